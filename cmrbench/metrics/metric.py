"""Metric: what is measured, as one value whose text form is its name everywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from numbers import Integral

from cmrbench.core.errors import UnknownNameError, UsageError

KINDS = ("mAP", "P", "R", "hit", "NDCG", "RPrec", "MedR", "MeanR")
"""Mean average precision, precision, recall, share of queries with a relevant item, normalised discounted cumulative
gain, R-precision, and the median and mean over queries of the rank of the first relevant item."""

NORMS = ("hits", "min_kr", "r")
MEANS = ("all", "with_relevant", "with_hits")
TIES = ("expected", "stable", "optimistic", "pessimistic")
GAINS = ("binary", "shared", "exp_shared")

UNCUT = ("RPrec", "MedR", "MeanR")
"""Kinds that take no cut-off."""
RANKS = ("MedR", "MeanR")
"""Kinds whose values are ranks: smaller is better, and a query without relevant items has none."""

_ALIASES = {kind.lower(): kind for kind in KINDS} | {"precision": "P", "recall": "R"}
_FORM = re.compile(r"\s*([^@\[\]\s]+)\s*(?:@\s*([^@\[\]\s]+)\s*)?(?:\[([^\[\]]*)\]\s*)?")


@dataclass(frozen=True)
class Metric:
    """One metric with everything that changes its value.

    Attributes
    ----------
    kind : str
        Out of `KINDS`.
    k : int or None
        Cut-off rank; None: the whole gallery (``@all``).
    norm : str
        What the sum of precisions at the relevant items within k is divided by (mAP only). ``"hits"``: the relevant
        items found within k (the survey's eq. 17); ``"min_kr"``: min(k, R); ``"r"``: R, all relevant items of the
        gallery. At ``@all`` the three are equal.
    mean : str
        Which queries the mean is over. ``"all"``: a query without relevant items counts as 0;
        ``"with_relevant"``: such queries are left out; ``"with_hits"``: only queries with a relevant item within k.
        MedR and MeanR are over queries with relevant items, whose first one has a rank.
    ties : str
        How items of equal score are ordered. ``"expected"``: the expectation over all orders; ``"stable"``: gallery
        order; ``"optimistic"`` and ``"pessimistic"``: relevant items first and last (NDCG: larger gains first and
        last).
    gain : str
        What an item adds to NDCG. ``"binary"``: 1 if it is relevant; ``"shared"``: the number s of labels it shares
        with the query; ``"exp_shared"``: 2^s - 1.
    radius : int or None
        P and R of the items within this Hamming distance (``P@H2``), a hash lookup, in place of a cut-off.

    Raises
    ------
    UnknownNameError, UsageError
        If a field is not one of these, or does not go with the kind.
    """

    kind: str = "mAP"
    k: int | None = None
    norm: str = "hits"
    mean: str = "all"
    ties: str = "expected"
    gain: str = "binary"
    radius: int | None = None

    def __post_init__(self) -> None:
        for what, value, known in (
            ("metric", self.kind, KINDS),
            ("AP normalisation", self.norm, NORMS),
            ("mean over queries", self.mean, MEANS),
            ("tie rule", self.ties, TIES),
            ("gain", self.gain, GAINS),
        ):
            if value not in known:
                raise UnknownNameError(what, str(value), known)
        for name in ("k", "radius"):
            object.__setattr__(self, name, plain_int(getattr(self, name)))
        if self.k is not None and (isinstance(self.k, bool) or not isinstance(self.k, int) or self.k <= 0):
            raise UsageError(f"{self.kind}@{self.k}: the cut-off must be a whole number from 1 up, or all")
        if self.radius is not None:
            self._check_radius(self.radius)
        for option, default, kinds in (("norm", "hits", ("mAP",)), ("gain", "binary", ("NDCG",))):
            value = getattr(self, option)
            if value != default and self.kind not in kinds:
                what = "AP normalisation" if option == "norm" else "gain"
                raise UsageError(f"{self.kind} takes no {what}, got {value}; only {kinds[0]} does")
        if self.kind in UNCUT and self.k is not None:
            raise UsageError(f"{self.kind} takes no cut-off, got {self.k}")
        if self.kind in RANKS and self.mean != "all":
            raise UsageError(f"{self.kind} is over the queries with relevant items and takes no mean, got {self.mean}")

    def _check_radius(self, radius: int) -> None:
        if isinstance(radius, bool) or not isinstance(radius, int) or radius < 0:
            raise UsageError(f"{self.kind}@H{radius}: the Hamming radius must be a whole number from 0 up")
        if self.kind not in ("P", "R"):
            raise UsageError(f"{self.kind}@H{radius}: only P and R are measured within a Hamming radius")
        if self.k is not None:
            raise UsageError(f"{self.kind}: a cut-off ({self.k}) and a Hamming radius ({radius}) exclude each other")
        if self.ties != "expected":
            raise UsageError(f"{self.kind}@H{radius} does not depend on the order of ties, so it takes no {self.ties}")

    @property
    def is_rank(self) -> bool:
        """Whether the values are ranks: smaller is better."""
        return self.kind in RANKS

    @classmethod
    def parse(cls, text: str) -> Metric:
        """The metric that a name such as ``"mAP@50[min_kr,stable]"`` stands for; the inverse of ``str``.

        The kind is read without regard to case; ``precision`` and ``recall`` are accepted for P and R. Without a
        cut-off the whole gallery counts.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise UsageError(f"metric {text!r} is not of the form mAP@50 or mAP@50[min_kr,stable]")
        kind, cut, options = match.groups()
        if kind.lower() not in _ALIASES:
            raise UnknownNameError("metric", kind, KINDS)
        fields: dict[str, str] = {}
        for option in [] if options is None else options.split(","):
            name = option.strip()
            for field, known in _OPTIONS:
                if name in known:
                    if field in fields:
                        raise UsageError(f"metric {text!r} has two options for one thing: {fields[field]} and {name}")
                    fields[field] = name
                    break
            else:
                raise UnknownNameError("metric option", name, [name for _, known in _OPTIONS for name in known])
        k, radius = _cut_off(text, cut)
        return cls(_ALIASES[kind.lower()], k, radius=radius, **fields)

    @classmethod
    def parse_list(cls, text: str) -> tuple[Metric, ...]:
        """Several metrics separated by commas: ``"mAP@all,mAP@50[min_kr,stable]"``."""
        parts = re.split(r",(?![^\[]*\])", text)
        if not all(part.strip() for part in parts):
            raise UsageError(f"metrics {text!r} hold an empty name: separate metrics by single commas")
        return tuple(cls.parse(part) for part in parts)

    def with_ties(self, ties: str) -> Metric:
        """The same metric under another tie rule; itself where the order of ties does not matter."""
        return self if self.radius is not None else replace(self, ties=ties)

    def __str__(self) -> str:
        options = [value for field, known in _OPTIONS if (value := getattr(self, field)) != known[0]]
        cut = f"H{self.radius}" if self.radius is not None else str(self.k or "all")
        name = self.kind if self.kind in UNCUT else f"{self.kind}@{cut}"
        return name + (f"[{','.join(options)}]" if options else "")


def plain_int(value: object) -> object:
    """A whole number of another library's type as an int; anything else as it is."""
    return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else value


_OPTIONS = (("norm", NORMS), ("mean", MEANS), ("gain", GAINS), ("ties", TIES))  # the first of each is the default


def _cut_off(text: str, cut: str | None) -> tuple[int | None, int | None]:
    """Cut-off rank and Hamming radius; both None: the whole gallery."""
    if cut is None or cut.lower() == "all":
        return None, None
    match = re.fullmatch(r"([Hh]?)(-?[0-9]{1,18})", cut)
    if match is None:
        raise UsageError(
            f"metric {text!r}: the cut-off must be a whole number from 1 up, all, or a Hamming radius such as H2, "
            f"got {cut!r}"
        )
    number = int(match[2])
    return (None, number) if match[1] else (number, None)
