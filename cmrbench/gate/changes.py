"""What became of one value, and of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cmrbench.gate.rows import is_rank, sortable

KINDS = ("drop", "missing", "doubtful", "lower", "rise", "new", "same")
"""All kinds of changes, the worst first."""

FAILING = ("drop", "missing")
"""The kinds that the gate does not let through."""


@dataclass(frozen=True)
class Change:
    """One compared value.

    Attributes
    ----------
    kind : str
        ``"drop"`` (worse beyond the tolerance, or NaN now), ``"missing"``, ``"doubtful"`` (worse beyond the tolerance,
        but the test over the queries cannot tell it from chance), ``"lower"`` (worse within the tolerance), ``"rise"``
        (better), ``"same"``, or ``"new"`` (not in the baseline). Worse is lower, but for ranks (MedR, MeanR), which
        are worse when they rise.
    asked : mapping
        What was asked: dataset, feature set, method, preset, params, dim, bits, seed, protocol, direction ...
    before, now : float or None
    cause : str
        Why a value is missing or NaN, or could not be tested.
    tolerance : float or None
        How much worse it may be, in the metric's unit; None for new rows.
    p : float or None
        Of the paired test between before and now over the queries, where it was made.
    """

    kind: str
    asked: Mapping[str, Any] = field(repr=False)
    before: float | None = None
    now: float | None = None
    cause: str = ""
    tolerance: float | None = None
    p: float | None = None

    @property
    def difference(self) -> float | None:
        """Now minus before; None where one of them is missing."""
        return None if self.before is None or self.now is None else self.now - self.before

    @property
    def smaller_is_better(self) -> bool:
        """Whether the metric is a rank."""
        return is_rank(self.asked["metric"])

    @property
    def gain(self) -> float | None:
        """By how much the value is better than before; less than 0 where it is worse."""
        return -self.difference if self.difference is not None and self.smaller_is_better else self.difference

    @property
    def order(self) -> tuple[Any, ...]:
        """The worst kind first, in it the largest loss."""
        return KINDS.index(self.kind), self.gain or 0.0, *sortable(self.asked)


@dataclass(frozen=True)
class GateReport:
    """All changes, and whether the gate lets them through.

    Attributes
    ----------
    changes : tuple of Change
        The worst first.
    max_drop : float or None
        The tolerance of all values, if it was given; None: each has its own.
    """

    changes: tuple[Change, ...]
    max_drop: float | None = None

    @property
    def passed(self) -> bool:
        """True if nothing dropped beyond the tolerance and nothing is missing."""
        return not any(c.kind in FAILING for c in self.changes)

    def of(self, *kinds: str) -> list[Change]:
        """The changes of these kinds."""
        return [c for c in self.changes if c.kind in kinds]

    @property
    def counts(self) -> dict[str, int]:
        """How many changes there are of each kind."""
        return {kind: len(self.of(kind)) for kind in KINDS}
