"""Metric: what is measured, as one value whose text form is its name everywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cmrbench.core.errors import UnknownNameError, UsageError

KINDS = ("mAP", "P", "R", "hit", "NDCG")
"""Mean average precision, precision, recall, share of queries with a relevant item, NDCG with gains 0 and 1."""

NORMS = ("hits", "min_kr", "r")
MEANS = ("all", "with_relevant", "with_hits")
TIES = ("expected", "stable", "optimistic", "pessimistic")

_ALIASES = {"map": "mAP", "p": "P", "precision": "P", "r": "R", "recall": "R", "hit": "hit", "ndcg": "NDCG"}
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
    ties : str
        How items of equal score are ordered. ``"expected"``: the expectation over all orders; ``"stable"``: gallery
        order; ``"optimistic"`` and ``"pessimistic"``: relevant items first and last.

    Raises
    ------
    UnknownNameError, UsageError
        If a field is not one of these.
    """

    kind: str = "mAP"
    k: int | None = None
    norm: str = "hits"
    mean: str = "all"
    ties: str = "expected"

    def __post_init__(self) -> None:
        for what, value, known in (
            ("metric", self.kind, KINDS),
            ("AP normalisation", self.norm, NORMS),
            ("mean over queries", self.mean, MEANS),
            ("tie rule", self.ties, TIES),
        ):
            if value not in known:
                raise UnknownNameError(what, str(value), known)
        if self.k is not None and (isinstance(self.k, bool) or not isinstance(self.k, int) or self.k <= 0):
            raise UsageError(f"{self.kind}@{self.k}: the cut-off must be a whole number from 1 up, or all")
        if self.kind != "mAP" and self.norm != "hits":
            raise UsageError(f"{self.kind} takes no AP normalisation, got {self.norm}; only mAP does")

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
            for field, known in (("norm", NORMS), ("mean", MEANS), ("ties", TIES)):
                if name in known:
                    if field in fields:
                        raise UsageError(f"metric {text!r} has two options for one thing: {fields[field]} and {name}")
                    fields[field] = name
                    break
            else:
                raise UnknownNameError("metric option", name, NORMS + MEANS + TIES)
        return cls(_ALIASES[kind.lower()], _cut_off(text, cut), **fields)

    @classmethod
    def parse_list(cls, text: str) -> tuple[Metric, ...]:
        """Several metrics separated by commas: ``"mAP@all,mAP@50[min_kr,stable]"``."""
        parts = re.split(r",(?![^\[]*\])", text)
        if not all(part.strip() for part in parts):
            raise UsageError(f"metrics {text!r} hold an empty name: separate metrics by single commas")
        return tuple(cls.parse(part) for part in parts)

    def with_ties(self, ties: str) -> Metric:
        """The same metric under another tie rule."""
        return replace(self, ties=ties)

    def __str__(self) -> str:
        options = [
            value
            for value, known in ((self.norm, NORMS), (self.mean, MEANS), (self.ties, TIES))
            if value != known[0]  # the first of each is the default
        ]
        return f"{self.kind}@{self.k or 'all'}" + (f"[{','.join(options)}]" if options else "")


def _cut_off(text: str, cut: str | None) -> int | None:
    if cut is None or cut.lower() == "all":
        return None
    if not re.fullmatch(r"-?[0-9]{1,18}", cut):
        raise UsageError(f"metric {text!r}: the cut-off must be a whole number from 1 up, or all, got {cut!r}")
    return int(cut)
