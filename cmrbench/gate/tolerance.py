"""How much worse a value may be: three times the spread over seeds in the baseline, but at least a floor."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from cmrbench.gate.rows import is_rank, key_of

SPREADS = 3.0
"""Standard deviations over seeds that a value may lose."""

FLOOR = 0.001
"""The least tolerance of a metric between 0 and 1."""

RANK_FLOOR = 0.5
"""The least tolerance of a rank (MedR, MeanR): the smallest step of a median rank."""

SETTING = (
    *("dataset_fingerprint", "feature_set", "method", "preset", "params", "dim", "bits"),
    *("direction", "protocol_fingerprint", "gallery_codes", "retrieval", "metric"),
)
"""What rows share that differ in their seed alone."""


def floor_of(metric: str) -> float:
    """The least tolerance of a metric, in its own unit."""
    return RANK_FLOOR if is_rank(metric) else FLOOR


def tolerances(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, ...], float]:
    """The tolerance of every row of a baseline, by its key.

    The spread is the sample standard deviation (divisor n - 1) of single seeds' values, since single seeds' values are
    judged. A row without other seeds has the floor.
    """
    setting = itemgetter(*SETTING)
    seeds: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        seeds[setting(row)].append(row)
    found = {}
    for group in seeds.values():
        spread = _deviation([row["value"] for row in group])
        for row in group:
            found[key_of(row)] = max(floor_of(row["metric"]), SPREADS * spread)
    return found


def _deviation(values: Sequence[float]) -> float:
    """Sample standard deviation (divisor n - 1); 0 for one value."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / max(len(values) - 1, 1))
