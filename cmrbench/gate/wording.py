"""The words of the gate, the same in every form of output. Hostile text is made plain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cmrbench.core.names import with_features
from cmrbench.gate.changes import FAILING, Change, GateReport
from cmrbench.report.wording import plain, setting

COUNTED = {
    "drop": "dropped",
    "missing": "missing",
    "doubtful": "dropped without significance",
    "lower": "lower within the tolerance",
    "rise": "risen",
    "same": "unchanged",
    "new": "new",
}
"""Kinds of changes after a number, in the order of a summary."""

_SILENT = ("doubtful",)
"""Kinds that are not named where there is none."""


def run_title(row: Mapping[str, Any], seed: bool = True) -> str:
    """``"lcm (quick) k=100 16 bits on emoji, seed 0"``."""
    what = _setting(row)
    bits = f"{row['bits']} bits" if row["bits"] else ""
    where = with_features(row["dataset"], row["feature_set"])
    named = " ".join(part for part in (row["method"], what, bits) if part)
    return plain(f"{named} on {where}" + (f", seed {row['seed']}" if seed else ""))


def _setting(row: Mapping[str, Any]) -> str:
    try:
        return setting(row["params"], row["preset"], row["dim"])
    except (ValueError, AttributeError):  # parameters that are no JSON object: some other program's file
        return plain(row["params"])


def measured(change: Change) -> str:
    """``"image->text mAP@all, all-test, cosine"``."""
    asked = change.asked
    learned = ", learned codes" if asked["gallery_codes"] == "learned" else ""
    better = " (smaller is better)" if change.smaller_is_better else ""
    return plain(f"{asked['direction']} {asked['metric']}{better}, {asked['protocol']}, {asked['retrieval']}{learned}")


def number(value: float | None) -> str:
    """Four digits behind the point, or nothing."""
    return "" if value is None else f"{value:.4f}"


def signed(value: float | None) -> str:
    """As `number`, with its sign."""
    return "" if value is None else f"{value:+.4f}"


def p_value(p: float | None) -> str:
    """``"p = 0.012"``, or nothing."""
    return "" if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def sentence(change: Change) -> str:
    """What happened to a value, for a place that has no table."""
    if change.kind == "missing":
        told = f"missing, before {number(change.before)}: {change.cause}"
    elif change.now is None:
        told = f"before {number(change.before)}, now not a number"
    else:
        told = f"{number(change.before)} -> {number(change.now)}, tolerance {number(change.tolerance)}"
        told += "".join(f", {aside}" for aside in (p_value(change.p), change.cause) if aside)
    return plain(f"{measured(change)}: {told}")


def verdict(report: GateReport) -> str:
    """``"passed"`` or ``"failed"``."""
    return "passed" if report.passed else "failed"


def counts(report: GateReport, gone: bool = False) -> str:
    """``"1 dropped, 0 missing, 2 unchanged"``; `gone`: missing rows are about to be given up."""
    words = COUNTED | ({"missing": "gone"} if gone else {})
    told = {kind: n for kind, n in report.counts.items() if n or kind not in _SILENT}
    return ", ".join(f"{told[kind]} {word}" for kind, word in words.items() if kind in told)


def rule_of(report: GateReport) -> str:
    """How much worse a value may be, as a sentence."""
    if report.max_drop is not None:
        return f"Tolerance: {report.max_drop:g}."
    return (
        "Tolerance of a value: 3 standard deviations over the baseline's seeds, at least 0.001 (of ranks: half a rank)."
    )


def failing(report: GateReport) -> list[Change]:
    """What the gate does not let through, the worst first."""
    return report.of(*FAILING)
