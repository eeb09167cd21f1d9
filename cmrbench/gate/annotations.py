"""A gate's report as workflow commands, which GitHub shows beside the commit."""

from __future__ import annotations

from cmrbench.gate.changes import Change, GateReport
from cmrbench.gate.lines import lines
from cmrbench.gate.wording import failing
from cmrbench.report.wording import plain

MOST = 10
"""Annotations of one level that GitHub shows of one step."""


def workflow_commands(report: GateReport) -> list[str]:
    """An error for what fails, a warning for drops that are not significant; the last says how many more there are."""
    errors = _limited("error", failing(report))
    return errors + _limited("warning", report.of("doubtful"))


def error_annotation(message: str) -> str:
    """Why nothing could be judged."""
    return _command("error", "cmrbench gate could not judge", plain(message))


def _limited(level: str, changes: list[Change]) -> list[str]:
    found = lines(changes)
    shown = found if len(found) <= MOST else found[: MOST - 1]
    commands = [_command(level, f"{_HEADS[line.kind]}: {line.run}", line.sentence) for line in shown]
    if len(found) > len(shown):
        more = f"and {len(found) - len(shown)} more; the log of the step and the job's summary list them"
        commands.append(_command(level, "cmrbench gate", more))
    return commands


_HEADS = {"drop": "dropped", "missing": "missing", "doubtful": "dropped, not significantly"}


def _command(level: str, title: str, message: str) -> str:
    return f"::{level} title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
