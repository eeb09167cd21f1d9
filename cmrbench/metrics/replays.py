"""Replays: mAP as released code and published tables compute it, to compare with their cells and for nothing else.

A replay is a released evaluation function taken apart into what decides its number: what a cut-off keeps, how the
precisions of one query are averaged, which queries the mean is over and what their sum is divided by, and in which
floating-point arithmetic all that happens. Given the ranking that the released code had, a replay's value is that
code's value to the last bit. The ranking is the released code's own where no two items tie; where items tie, see
`Replay.stable` and `Replayed.undecided`.

No replay is the default of anything: `Metric` cannot name one, and an evaluation never holds one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.metrics.checks import check_positive
from cmrbench.metrics.metric import Metric
from cmrbench.metrics.relevance import Relevance
from cmrbench.metrics.scores import Scores

_BLOCK_BYTES = 64 << 20
_BYTES_PER_PAIR = 48  # scores, negated and ranked scores, order, flags


@dataclass(frozen=True)
class Replay:
    """One released way to compute mAP, with everything that changes its value.

    Notation: p_j is the rank, from 1 up, of the j-th relevant item of a ranking, so j / p_j is the precision there.

    Attributes
    ----------
    name, title, source : str
        Name in `REPLAYS`; what it is; which released code or paper it is read from.
    variant : str
        Its row in the list of AP variants in ``docs/replays.md``, N1 to N7.
    arithmetic : str
        ``"matlab"``: float64, precisions of a query added from the top down, then divided by their number; queries
        added one by one, then divided. ``"numpy"``: float64, ``np.mean`` (pairwise) over the precisions of a query;
        queries added one by one, then divided. ``"numpy_dot"``: float64, ``np.dot`` (the BLAS library's order) of
        relevance and precision at every rank, divided by the hits; ``np.mean`` over queries. ``"torch"``: float32,
        ``torch.mean`` over the precisions of a query; queries added one by one, then divided.
    cut : int or None
        Cut-off k of the source where the caller gives none; None: the whole ranking.
    takes_k : bool
        Whether the cut-off is an argument of the source, not written into it.
    keeps : str
        What k leaves of the p_j. ``"ranks"``: those with p_j <= k; ``"relevant"``: the first k, wherever they stand.
    mean : str
        Which queries the sum over queries is divided by the number of: out of `cmrbench.metrics.MEANS`.
    surplus : int
        What the source adds to that number.
    """

    name: str
    title: str
    source: str
    variant: str
    arithmetic: str
    cut: int | None = None
    takes_k: bool = False
    keeps: str = "ranks"
    mean: str = "all"
    surplus: int = 0

    @property
    def stable(self) -> bool:
        """Whether the source sorts stably, as MATLAB and Octave do: ties keep gallery order.

        numpy's and torch's default sorts leave the order of ties open. A replay keeps gallery order in either case.
        """
        return self.arithmetic == "matlab"

    def twin(self, k: int | None = None) -> str | None:
        """Name of the `Metric` with the same definition, in the engine's arithmetic; None if there is none.

        Parameters
        ----------
        k : int, optional
            As in `replay`.
        """
        k = self.cut if k is None else k
        if self.surplus or (self.keeps == "relevant" and k is not None):
            return None
        return str(Metric("mAP", k, mean=self.mean, ties="stable"))


@dataclass(frozen=True, eq=False)
class Replayed:
    """A replay's value.

    Attributes
    ----------
    replay : Replay
    k : int or None
        The cut-off it was computed at.
    value : float
        What the released code returns; NaN where that is 0/0 or the mean of nothing.
    per_query : ndarray, shape (n_query,)
        AP of every query, float32 under torch's arithmetic and float64 otherwise; NaN for a query that is left out.
    divisor : int
        What the sum over queries was divided by.
    undecided : int
        Queries for which items of equal score, some of them relevant and some not, stand among the ranks that count.
        The order of the gallery decided their AP; so it does in the released code if `Replay.stable`. If not, that
        code can give another value, and bit equality holds where this is 0.
    """

    replay: Replay
    k: int | None
    value: float
    per_query: np.ndarray
    divisor: int
    undecided: int


_LIBRARY = "BMC-SDNU/Cross-Modal-Hashing-Retrieval"

_TABLE = (
    Replay(
        "n_plus_10",
        "mAP@all divided by the queries with relevant items plus 10",
        f"{_LIBRARY}, perf_metric4Label.m of CCQ, CMFH, CVH, IMH, LEMON, LSSH, SCM, SCRATCH, SMFH, STMH and DLFH: the "
        "counter of queries starts at 10",
        variant="N1",
        arithmetic="matlab",
        mean="with_relevant",
        surplus=10,
    ),
    Replay(
        "perf_metric4label",
        "mAP@all over the queries with relevant items",
        f"{_LIBRARY}, perf_metric4Label.m of DCH, SePH, MTFH and BATCH; starxliu/MTFH",
        variant="N2",
        arithmetic="matlab",
        mean="with_relevant",
    ),
    Replay(
        "calc_map",
        "mAP@all over all queries",
        "calc_map of jiangqy/DCMH-CVPR2017, also in SSAH and DCHUC; calculate_map of DJSRH, JDSH, DGCPN, CIRH and UKD",
        variant="N3",
        arithmetic="numpy",
    ),
    Replay(
        "calculate_top_map",
        "mAP@k over all queries, divided by the hits",
        "calculate_top_map of zs-zhong/DJSRH, also in DSAH, JDSH, DGCPN, CIRH and UCMFH",
        variant="N4",
        arithmetic="numpy",
        cut=50,
        takes_k=True,
    ),
    *(
        Replay(
            f"survey_{k}",
            f"mAP@{k} over all queries, divided by the hits",
            f"the survey's eq. 17 and Table {table}; no released code prints that table, so the arithmetic is that of "
            "calculate_top_map, as in CIRH and UCMFH",
            variant="N4",
            arithmetic="numpy",
            cut=k,
        )
        for k, table in ((50, "VII"), (500, "VIII"))
    ),
    Replay(
        "fast_pr_map",
        "one point of the mAP curve over the queries with relevant items, divided by the hits",
        "HMAH, matlab/utils/fast_PR_MAP.m: the other released way to values such as the survey's mAP@500",
        variant="N5",
        arithmetic="matlab",
        takes_k=True,
        mean="with_relevant",
    ),
    Replay(
        "ucch",
        "mAP over the queries with a hit",
        "fx_calc_map_multilabel_k of penghu-cs/UCCH, whose k = 0 is the whole ranking",
        variant="N6",
        arithmetic="numpy_dot",
        takes_k=True,
        mean="with_hits",
    ),
    Replay(
        "torchcmh_map_k",
        "mean precision at the first min(k, R) relevant items, wherever they stand",
        "calc_map_k of WangGodder/deep-cross-modal-hashing (torchcmh) on a CPU; also in DADH, AGAH, CPAH, DCHMT, DSPH",
        variant="N7",
        arithmetic="torch",
        takes_k=True,
        keeps="relevant",
    ),
    *(
        Replay(
            name,
            f"mAP@{k} over all queries, divided by the hits",
            f"{source}; the cut-off is written into the script",
            variant="N4",
            arithmetic="matlab",
            cut=k,
        )
        for name, k, source in (
            ("lssh", 50, f"{_LIBRARY}, LSSH/code/mAP_multi.m"),
            ("stmh", 100, f"{_LIBRARY}, STMH/code/mAP.m"),
            ("fsh", 100, "mAP.m beside trainFSH.m, MATLAB code of Liu et al., Fusion Similarity Hashing, CVPR 2017"),
        )
    ),
)

REPLAYS: Mapping[str, Replay] = MappingProxyType({r.name: r for r in _TABLE})
"""All replays by name; read-only."""


def replay(
    name: str, scores: Scores, relevance: Relevance, k: int | None = None, *, block_bytes: int = _BLOCK_BYTES
) -> Replayed:
    """Compute mAP the way that released code does.

    Parameters
    ----------
    name : str
        Out of `REPLAYS`.
    scores : Scores
        Similarities of queries and gallery items.
    relevance : Relevance
        Which gallery items answer which query.
    k : int, optional
        Cut-off, for a replay that takes one; None: the source's own (`Replay.cut`).
    block_bytes : int
        Memory for one block of queries; at least one query is taken at a time. No value depends on it.

    Returns
    -------
    Replayed

    Raises
    ------
    UnknownNameError
        If there is no replay of this name.
    UsageError
        If `k` is not a whole number from 1 up, the replay takes none, or `block_bytes` is not positive.
    DataError
        If scores and relevance differ in shape or are empty, or the gallery is smaller than the cut-off of a MATLAB
        script, which reads that many ranks and stops with an error.

    Examples
    --------
    >>> import numpy as np
    >>> from cmrbench.metrics import from_labels, given
    >>> result = replay("n_plus_10", given(np.eye(2)), from_labels([0, 1], [0, 1]))
    >>> result.value == 2 / 12
    True
    """
    if name not in REPLAYS:
        raise UnknownNameError("replay", name, REPLAYS)
    chosen = REPLAYS[name]
    _check(chosen, scores, relevance, k, block_bytes)
    k = chosen.cut if k is None else k
    average = _AVERAGES[chosen.arithmetic]
    per_query = np.zeros(scores.shape[0], dtype=np.float32 if chosen.arithmetic == "torch" else np.float64)
    counts, undecided = np.zeros(scores.shape[0], dtype=bool), 0
    for query, (ranked, found) in enumerate(_rankings(scores, relevance, block_bytes)):
        last = len(ranked) if k is None else min(k, len(ranked))
        ranks = np.flatnonzero(found) + 1
        kept = ranks[:k] if chosen.keeps == "relevant" else ranks[ranks <= last]
        if chosen.keeps == "relevant":
            last = int(kept[-1]) if len(kept) else 0
        if len(kept):
            per_query[query] = average(kept, last)
        counts[query] = {"all": True, "with_relevant": len(ranks) > 0, "with_hits": len(kept) > 0}[chosen.mean]
        undecided += _undecided(ranked, found, last)
    divisor = int(counts.sum()) + chosen.surplus
    value = _over_queries(chosen.arithmetic, per_query[counts], divisor)
    per_query[~counts] = np.nan
    return Replayed(chosen, k, value, per_query, divisor, undecided)


def _check(chosen: Replay, scores: Scores, relevance: Relevance, k: int | None, block_bytes: int) -> None:
    if k is not None and not chosen.takes_k:
        own = "the whole ranking" if chosen.cut is None else f"{chosen.cut}"
        raise UsageError(f"replay {chosen.name} takes no k, got {k}: its cut-off is {own}")
    if k is not None and (isinstance(k, bool) or not isinstance(k, int) or k <= 0):
        raise UsageError(f"replay {chosen.name}: k must be a whole number from 1 up, got {k!r}")
    check_positive(block_bytes=block_bytes)
    if scores.shape != relevance.shape or 0 in scores.shape:
        raise DataError(
            f"replay {chosen.name}: scores and relevance must be of the same queries and gallery items, at least one "
            f"of each, got {scores.shape} and {relevance.shape}"
        )
    cut, n = chosen.cut if k is None else k, scores.shape[1]
    if chosen.arithmetic == "matlab" and cut is not None and cut > n:
        raise DataError(
            f"replay {chosen.name} reads the first {cut} ranks, but the gallery holds {n} items; "
            "the released script stops with an error there"
        )


def _rankings(scores: Scores, relevance: Relevance, block_bytes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scores and relevance of every query's ranking from the top down, ties in gallery order."""
    n_query, n = scores.shape
    step = max(1, block_bytes // (_BYTES_PER_PAIR * n))
    for start in range(0, n_query, step):
        stop = min(start + step, n_query)
        block = scores.block(start, stop)
        order = np.argsort(-block, axis=1, kind="stable")
        found = np.take_along_axis(relevance.block(start, stop), order, axis=1)
        yield from zip(np.take_along_axis(block, order, axis=1), found, strict=True)


def _undecided(ranked: np.ndarray, found: np.ndarray, last: int) -> bool:
    """Whether a group of equal scores that reaches into the first `last` ranks is only partly relevant."""
    if last == 0:
        return False
    mixed = (ranked[1:] == ranked[:-1]) & (found[1:] != found[:-1]) & (ranked[1:] >= ranked[last - 1])
    return bool(mixed.any())


def _matlab(ranks: np.ndarray, _: int) -> float:
    # Octave's sum adds from the first element on; MATLAB documents no order for its own.
    return float(np.cumsum(np.arange(1, len(ranks) + 1) / ranks)[-1] / len(ranks))


def _numpy(ranks: np.ndarray, _: int) -> float:
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def _numpy_dot(ranks: np.ndarray, last: int) -> float:
    # Ranks without a hit add nothing, but they decide in which of BLAS's partial sums a hit falls.
    found = np.zeros(last, dtype=bool)
    found[ranks - 1] = True
    return float(np.dot(found, found.cumsum() / np.arange(1.0, 1 + last)) / len(ranks))


def _torch(ranks: np.ndarray, _: int) -> float:
    import torch  # its float32 sum follows the CPU's vector width, which numpy's does not

    ahead = torch.arange(1, len(ranks) + 1).type(torch.float32)
    return float(torch.mean(ahead / (torch.from_numpy(ranks - 1).type(torch.float32) + 1.0)))


_AVERAGES: Mapping[str, Callable[[np.ndarray, int], float]] = MappingProxyType(
    {"matlab": _matlab, "numpy": _numpy, "numpy_dot": _numpy_dot, "torch": _torch}
)


def _over_queries(arithmetic: str, values: np.ndarray, divisor: int) -> float:
    """Sum over queries by the divisor; a cumulative sum keeps the order of additions that a loop has."""
    if divisor == 0:
        return float("nan")
    if arithmetic == "numpy_dot":
        return float(np.mean(values))
    total = np.cumsum(values)[-1] if len(values) else values.dtype.type(0)
    return float(total / values.dtype.type(divisor))
