"""The gate: results now against a baseline, by what was asked. A drop or a missing row fails; time never does."""

from cmrbench.gate.baseline import (
    Baseline,
    BaselineError,
    baseline_of,
    read_any_baseline,
    read_baseline,
    write_baseline,
)
from cmrbench.gate.changes import FAILING, KINDS, Change, GateReport
from cmrbench.gate.compare import Rule, compare, difference
from cmrbench.gate.rows import COLUMNS, KEY, QUERY_COLUMNS, Selection

__all__ = [
    "COLUMNS",
    "FAILING",
    "KEY",
    "KINDS",
    "QUERY_COLUMNS",
    "Baseline",
    "BaselineError",
    "Change",
    "GateReport",
    "Rule",
    "Selection",
    "baseline_of",
    "compare",
    "difference",
    "read_any_baseline",
    "read_baseline",
    "write_baseline",
]
