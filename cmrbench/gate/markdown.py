"""A gate's report as Markdown, for the summary page of a job."""

from __future__ import annotations

from collections.abc import Sequence

from cmrbench.gate.changes import Change, GateReport
from cmrbench.gate.lines import lines
from cmrbench.gate.wording import counts, rule_of, verdict
from cmrbench.report.markdown import escape
from cmrbench.report.wording import plain

MOST = 100
"""Rows of one kind in a summary, which a page of 1 MiB has room for."""

_OPEN = {"drop": "Dropped", "missing": "Missing", "doubtful": "Dropped, but not significantly"}
_FOLDED = {"lower": "Lower within the tolerance", "rise": "Risen", "new": "New"}


def gate_summary(report: GateReport, baseline: str) -> str:
    """The verdict, its counts, what fails, and folded what does not; ended by an empty line."""
    mark = "✅" if report.passed else "❌"
    return _document(report, f"{mark} cmrbench gate {verdict(report)}", baseline, _OPEN)


def update_summary(report: GateReport, baseline: str, state: str) -> str:
    """What a new baseline changes in the old one."""
    return _document(report, f"cmrbench baseline {state}", baseline, _OPEN | {"missing": "Gone"})


def error_summary(message: str) -> str:
    """Why nothing could be judged."""
    return f"### ❌ cmrbench gate could not judge\n\n{escape(plain(message))}\n\n"


def _document(report: GateReport, title: str, baseline: str, heads: dict[str, str]) -> str:
    told = counts(report, gone=heads["missing"] == "Gone")
    parts = [f"### {title}", f"Against {escape(plain(baseline))}: {told}. {rule_of(report)}"]
    for kind, head in heads.items():
        found = report.of(kind)
        if found:
            parts += [f"**{head}** ({len(found)})", _table(found)]
    for kind, head in _FOLDED.items():
        found = report.of(kind)
        if found:
            # GitHub reads Markdown inside <details> only after an empty line.
            folded = f"<details><summary>{head} ({len(found)})</summary>"
            parts += [folded, _table(found), "</details>"]
    return "\n\n".join(parts) + "\n\n"


def _table(changes: Sequence[Change]) -> str:
    found = lines(changes)
    tested = any(line.test for line in found)
    causes = any(line.cause for line in found)
    heads = ["Run", "Measured", "Before", "Now", "Difference", "Tolerance"]
    heads += ["Test"] * tested + ["Cause"] * causes
    cells = [heads, [":--", ":--", *["--:"] * 4, *[":--"] * (tested + causes)]]
    for line in found[:MOST]:
        aside = [line.test] * tested + [escape(line.cause)] * causes
        cells.append([escape(line.run), escape(line.measured), *line.numbers, *aside])
    table = "\n".join(f"| {' | '.join(row)} |" for row in cells)
    return table + (f"\n\n... and {len(found) - MOST} more." if len(found) > MOST else "")
