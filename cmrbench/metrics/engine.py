"""The evaluation engine: scores and relevance in, metrics out; exact, tie-aware, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from cmrbench.core.errors import DataError, UsageError
from cmrbench.metrics.checks import check_positive
from cmrbench.metrics.compiled import compiled_blocks
from cmrbench.metrics.curve import Curve
from cmrbench.metrics.device import check_device, torch_blocks
from cmrbench.metrics.evaluation import Evaluation, Gathered
from cmrbench.metrics.graded import graded_blocks
from cmrbench.metrics.metric import Metric
from cmrbench.metrics.ranking import Needs, Ranked, ranked_blocks
from cmrbench.metrics.relevance import Relevance
from cmrbench.metrics.scores import Scores

BLOCK_BYTES = 256 << 20

T = TypeVar("T", Metric, Curve)


def evaluate(
    scores: Scores,
    relevance: Relevance,
    metrics: Iterable[Metric | str] | Metric | str = ("mAP@all",),
    block_bytes: int = BLOCK_BYTES,
    threads: int = 1,
    *,
    curves: Iterable[Curve | str] | Curve | str = (),
    device: str | None = None,
) -> Evaluation:
    """Measure a ranking.

    Parameters
    ----------
    scores : Scores
        Similarities of queries and gallery items.
    relevance : Relevance
        Which gallery items answer which query.
    metrics : Metric or str, or several
        What to measure; all of them in one pass, and those with graded gains in a second.
    block_bytes : int
        Memory for one block of queries. At least one query is taken at a time, so a gallery of n items needs about
        ``144 n`` bytes in any case, and ``64 n`` more for every tie rule after the first. Compiled kernels, used
        from `cmrbench.metrics.compiled.LEAST_PAIRS` pairs up where numba is installed, need less.
    threads : int
        Threads for compiled kernels; no value depends on their number. The matrix products behind real-valued scores
        take as many as the BLAS library is told to.
    curves : Curve or str, or several
        Such as ``"PR@11"``; see `Curve`.
    device : str or None
        ``"cuda"`` or ``"cuda:N"``: scores, rankings and binary metrics by torch on a CUDA device, which holds the
        representations or codes and the labels as a whole and takes `block_bytes` beside them. ``"cpu"``: the same by
        torch on the CPU. None: compiled kernels or numpy. Metrics with graded gains are numpy's in any case.

    Raises
    ------
    DataError
        If scores and relevance differ in shape, or there is no query or no gallery item.
    UsageError
        If there is no metric and no curve, a metric or curve that the scores do not allow, or a bad `block_bytes`,
        `threads` or `device`.
    """
    wanted, drawn = listed(metrics, Metric), listed(curves, Curve)
    n_query, n = check_task(scores, relevance)
    check_wanted(wanted, drawn, scores.levels)
    check_positive(block_bytes=block_bytes, threads=threads)
    check_device(device)

    gathered = Gathered(wanted, drawn, n_query, n)
    needs = Needs.of(wanted, drawn, n)
    if needs:
        for ranked in ranked_by(scores, relevance, needs, block_bytes, threads, device=device):
            gathered.add(ranked)
    graded = [m for m in wanted if m.gain != "binary"]
    if graded:
        for block in graded_blocks(scores, relevance, graded, block_bytes):
            gathered.add_graded(block)
    return gathered.evaluation()


def ranked_by(
    scores: Scores,
    relevance: Relevance,
    needs: Needs,
    block_bytes: int = BLOCK_BYTES,
    threads: int = 1,
    *,
    device: str | None = None,
) -> Iterator[Ranked]:
    """Rankings block by block: by torch on a device, or by compiled kernels where they pay, or by numpy alone."""
    if device is not None:
        check_device(device)
        return torch_blocks(scores, relevance, needs, block_bytes, device)
    blocks = compiled_blocks(scores, relevance, needs, block_bytes, threads)
    return ranked_blocks(scores, relevance, needs, block_bytes) if blocks is None else blocks


def check_task(scores: Scores, relevance: Relevance) -> tuple[int, int]:
    """Number of queries and gallery items of scores and relevance that go together."""
    for value, kind, example in (
        (scores, Scores, "cosine(query, gallery)"),
        (relevance, Relevance, "from_labels(query_labels, gallery_labels)"),
    ):
        if not isinstance(value, kind):
            name = kind.__name__
            raise UsageError(f"{name.lower()} must be {name}, such as {example}, got {type(value).__name__}")
    if scores.shape != relevance.shape:
        raise DataError(
            f"the representations are of {scores.shape[0]} queries and {scores.shape[1]} gallery items, "
            f"but the labels are of {relevance.shape[0]} and {relevance.shape[1]}"
        )
    n_query, n = scores.shape
    if not n_query or not n:
        raise DataError(f"nothing to rank: {n_query} queries and {n} gallery items")
    return n_query, n


def check_wanted(metrics: Sequence[Metric], curves: Sequence[Curve], levels: int | None) -> None:
    """Refuse to measure nothing, and Hamming radii where distances are not Hamming's.

    Parameters
    ----------
    metrics, curves : sequence
    levels : int or None
        Bits of the codes + 1; None for scores of another kind.
    """
    if not metrics and not curves:
        raise UsageError("no metric to evaluate; name at least one, such as mAP@all")
    for wanted in (*(m for m in metrics if m.radius is not None), *(c for c in curves if c.by_radius)):
        if levels is None:
            raise UsageError(f"{wanted} is measured within Hamming radii, so it needs the distance hamming")
    for m in metrics:
        if m.radius is not None and levels is not None and m.radius >= levels:
            raise UsageError(f"{m}: the Hamming radius of codes of {levels - 1} bits is at most {levels - 1}")


def listed(wanted: Iterable[T | str] | T | str, kind: type[T]) -> list[T]:
    """Metrics or curves, each once and in order, from one or several values or names."""
    what = kind.__name__.lower()
    if isinstance(wanted, str | Metric | Curve):
        wanted = [wanted]
    elif not isinstance(wanted, Iterable):
        raise UsageError(f"{what}s must be names or {kind.__name__} values, got {wanted!r}")
    several = [kind.parse(one) if isinstance(one, str) else one for one in wanted]
    for one in several:
        if not isinstance(one, kind):
            raise UsageError(f"a {what} must be a name or a {kind.__name__}, got {one!r}")
    return list(dict.fromkeys(several))
