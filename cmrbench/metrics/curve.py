"""Curve: what is drawn, as one value whose text form is its name, like `Metric`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.metrics.metric import TIES, plain_int

CURVES = ("PR", "P", "R")
"""Precision against recall, precision against k, recall against k."""
CURVE_MEANS = ("all", "with_relevant")

_FORM = re.compile(
    r"\s*([^@\[\]\s]+)\s*@\s*(?:(?P<levels>[0-9]{1,9})|(?P<radius>[hH])|1\.\.(?P<k>[0-9]{1,9}))\s*(?:\[([^\[\]]*)\]\s*)?"
)


@dataclass(frozen=True)
class Curve:
    """One curve with everything that changes it.

    Attributes
    ----------
    kind : str
        ``"PR"``: precision against recall; ``"P"`` and ``"R"``: precision and recall against k.
    levels : int or None
        PR, interpolated: at so many levels of recall, evenly spaced from 0 to 1, the best precision at that recall or
        above (``PR@11``: the classical eleven points).
    by_radius : bool
        PR by Hamming radius, from 0 to the length of the codes (``PR@H``).
    k : int or None
        P and R: from 1 up to k (``P@1..1000``).
    mean : str
        ``"all"``: queries without relevant items count as 0; ``"with_relevant"``: they are left out.
    ties : str
        As in `Metric`. Under ``"expected"`` the curve of expected precision at expected recall is interpolated.

    Raises
    ------
    UnknownNameError, UsageError
        If a field is not one of these, or does not go with the kind.
    """

    kind: str
    levels: int | None = None
    by_radius: bool = False
    k: int | None = None
    mean: str = "all"
    ties: str = "expected"

    def __post_init__(self) -> None:
        for what, value, known in (
            ("curve", self.kind, CURVES),
            ("mean over queries", self.mean, CURVE_MEANS),
            ("tie rule", self.ties, TIES),
        ):
            if value not in known:
                raise UnknownNameError(what, str(value), known)
        for name in ("levels", "k"):
            number = plain_int(getattr(self, name))
            if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
                raise UsageError(f"the curve {self.kind} takes a whole number for {name}, got {number!r}")
            object.__setattr__(self, name, number)
        if self.kind == "PR":
            if self.k is not None or (self.levels is None) == (not self.by_radius):
                raise UsageError("the curve PR is PR@11 (levels of recall) or PR@H (Hamming radii)")
            if self.levels is not None and self.levels < 2:
                raise UsageError(f"PR@{self.levels}: a curve needs at least 2 levels of recall")
            if self.by_radius and self.ties != "expected":
                raise UsageError(f"PR@H does not depend on the order of ties, so it takes no {self.ties}")
        elif self.k is None or self.k < 1 or self.levels is not None or self.by_radius:
            raise UsageError(f"the curve {self.kind} runs over cut-offs from 1 up, such as {self.kind}@1..1000")

    @classmethod
    def parse(cls, text: str) -> Curve:
        """The curve that a name such as ``"PR@11"`` or ``"P@1..1000[stable]"`` stands for; the inverse of ``str``."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise UsageError(f"curve {text!r} is not of the form PR@11, PR@H, P@1..1000 or R@1..1000")
        kind = next((known for known in CURVES if known.lower() == match[1].lower()), None)
        if kind is None:
            raise UnknownNameError("curve", match[1], CURVES)
        fields: dict[str, str] = {}
        for option in [] if match[5] is None else match[5].split(","):
            name = option.strip()
            field = "mean" if name in CURVE_MEANS else "ties"
            if field == "ties" and name not in TIES:
                raise UnknownNameError("curve option", name, (*CURVE_MEANS, *TIES))
            if field in fields:
                raise UsageError(f"curve {text!r} has two options for one thing: {fields[field]} and {name}")
            fields[field] = name
        levels, k = (None if match[part] is None else int(match[part]) for part in ("levels", "k"))
        return cls(kind, levels, match["radius"] is not None, k, **fields)

    def with_ties(self, ties: str) -> Curve:
        """The same curve under another tie rule; itself where the order of ties does not matter."""
        return self if self.by_radius else replace(self, ties=ties)

    def __str__(self) -> str:
        at = "H" if self.by_radius else str(self.levels) if self.k is None else f"1..{self.k}"
        options = [v for v, default in ((self.mean, CURVE_MEANS[0]), (self.ties, TIES[0])) if v != default]
        return f"{self.kind}@{at}" + (f"[{','.join(options)}]" if options else "")
