"""When means over seeds agree with reference numbers: the one rule, for tests and for docs/fidelity.md."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

TOLERANCE = 0.01
ERRORS = 3


def allowed(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How far two means may lie apart: 0.01, or 3 standard errors of both sides if that is more.

    A side with a single value is taken to scatter like the other one.
    """
    spread = [statistics.variance(v) if len(v) > 1 else None for v in (ours, theirs)]
    known = [s for s in spread if s is not None] or [0.0]
    variances = [known[0] if s is None else s for s in spread]
    error = math.sqrt(sum(s / len(v) for s, v in zip(variances, (ours, theirs), strict=True)))
    return max(TOLERANCE, ERRORS * error)


def agree(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether the means of values, one a seed, agree."""
    return abs(statistics.fmean(ours) - statistics.fmean(theirs)) <= allowed(ours, theirs)
