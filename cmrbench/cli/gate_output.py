"""Where a gate's report goes: the terminal, JSON, a job's summary, annotations, JUnit."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cmrbench.cli.console import console, one_line
from cmrbench.core.errors import UsageError
from cmrbench.core.files import write_whole

if TYPE_CHECKING:
    from cmrbench.gate import Change, GateReport
    from cmrbench.gate.baseline import LeftOut
    from cmrbench.gate.lines import Line

_MOST = {"drop": 200, "missing": 200, "doubtful": 200, "lower": 20, "rise": 20, "new": 20}
_STYLES = {
    **{"drop": "bold red", "missing": "bold red", "gone": "bold red", "doubtful": "yellow", "lower": "yellow"},
    **{"rise": "green", "new": "dim"},
}
_ASKED = (
    *("dataset", "feature_set", "method", "preset", "params", "dim", "bits", "seed", "protocol"),
    *("protocol_fingerprint", "gallery_codes", "retrieval", "metric", "spec_key"),
)


class OutputError(UsageError):
    """A file that was asked for cannot be written."""


@dataclass(frozen=True)
class Outputs:
    """What was asked for.

    Attributes
    ----------
    summary : Path or None
        Markdown is appended to it.
    named : bool
        Whether a person named that file; a file that the CI names must not decide on the exit code.
    annotations : bool
    junit, output : Path or None
    as_json : bool
    """

    summary: Path | None
    named: bool
    annotations: bool
    junit: Path | None
    output: Path | None
    as_json: bool

    @classmethod
    def of(
        cls, summary: Path | None, annotations: bool | None, junit: Path | None, output: Path | None, as_json: bool
    ) -> Outputs:
        """The options, and what the environment says where they are not given."""
        given = os.environ.get("GITHUB_STEP_SUMMARY")
        file = summary or (Path(given) if given else None)
        github = os.environ.get("GITHUB_ACTIONS") == "true"
        return cls(file, summary is not None, github if annotations is None else annotations, junit, output, as_json)

    def report(self, report: GateReport, baseline: str) -> None:
        """The verdict, in every form."""
        from cmrbench.gate.annotations import workflow_commands
        from cmrbench.gate.junit import junit
        from cmrbench.gate.markdown import gate_summary
        from cmrbench.gate.wording import counts, verdict

        if not self.as_json:
            with self._quiet():
                _print(report, f"gate {verdict(report)} against {baseline}: {counts(report)}")
        if self.annotations:
            self._say(workflow_commands(report))
        self._write(lambda: _verdict(report), lambda: junit(report), lambda: gate_summary(report, baseline))

    def refused(self, message: str) -> None:
        """What CI shows where nothing was judged; the message itself is the error that ends the command."""
        from cmrbench.gate.annotations import error_annotation
        from cmrbench.gate.junit import error_junit
        from cmrbench.gate.markdown import error_summary

        if self.annotations:
            self._say([error_annotation(message)])
        try:
            self._write(None, lambda: error_junit(message), lambda: error_summary(message))
        except OutputError as error:
            typer.echo(f"warning: {one_line(str(error))}", err=True)

    def left_out(self, left_out: LeftOut) -> None:
        """Runs that a new baseline does not hold."""
        from cmrbench.gate.wording import run_title

        for row, cause in left_out:
            typer.echo(f"warning: {run_title(row)} is not in the baseline: {cause}", err=True)

    def show_update(self, report: GateReport, baseline: str, other: str) -> None:
        """What is about to change, before it is written."""
        from cmrbench.gate.wording import counts

        if not self.as_json:
            with self._quiet():
                last = [f"changes in {baseline}: {counts(report, gone=True)}", *([other] if other else [])]
                _print(report, "\n".join(last), gone=True)

    def updated(self, report: GateReport, baseline: str, state: str, left_out: LeftOut) -> None:
        """What has become of the baseline."""
        from cmrbench.gate.markdown import update_summary

        if not self.as_json:
            typer.echo(f"{one_line(baseline)}: {state}")
        told = {"baseline": baseline, "unchanged": state == "unchanged"}
        self._write(lambda: told | _accepted(report, left_out), None, lambda: update_summary(report, baseline, state))

    def _write(
        self, value: Callable[[], dict[str, Any]] | None, xml: Callable[[], bytes] | None, markdown: Callable[[], str]
    ) -> None:
        """Every file that was asked for, also where another cannot be written; then the first error."""
        errors = []
        if value is not None and (self.as_json or self.output is not None):
            text = json.dumps(value(), indent=2, allow_nan=False) + "\n"
            if self.as_json:
                sys.stdout.write(text)
            errors += _put("--output", self.output, text.encode())
        if xml is not None and self.junit is not None:
            errors += _put("--junit", self.junit, xml())
        if self.summary is not None:
            # Other commands of the step may have written to it.
            found = _put("--summary" if self.named else "$GITHUB_STEP_SUMMARY", self.summary, markdown().encode(), "ab")
            if not self.named:
                for error in found:
                    typer.echo(f"warning: {one_line(str(error))}", err=True)
            errors += found if self.named else []
        if errors:
            raise errors[0]

    def _say(self, lines: Sequence[str]) -> None:
        # The runner reads both streams; JSON has standard output to itself.
        for line in lines:
            typer.echo(line, err=self.as_json)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Keep the runner from taking a line of the table, in which hostile names stand, for a command."""
        token = secrets.token_hex(16)
        if self.annotations:
            typer.echo(f"::stop-commands::{token}")
        try:
            yield
        finally:
            if self.annotations:
                typer.echo(f"::{token}::")


def _put(option: str, path: Path | None, content: bytes, mode: str = "wb") -> list[OutputError]:
    """Write a file, if one was named; the error that kept it from being written."""
    if path is None:
        return []
    try:
        if mode == "ab":
            with path.open(mode) as file:
                file.write(content)
        else:
            write_whole(path, content)
    except OSError as error:
        return [OutputError(f"{option} {path} cannot be written: {error.strerror or error}")]
    return []


def _verdict(report: GateReport) -> dict[str, Any]:
    told = {"passed": report.passed, "max_drop": report.max_drop, "counts": report.counts}
    return told | {"changes": [_as_dict(c) for c in report.changes]}


def _accepted(report: GateReport, left_out: LeftOut) -> dict[str, Any]:
    return {
        "rows": sum(n for kind, n in report.counts.items() if kind != "missing"),
        "left_out": [{"asked": _asked(row), "cause": cause} for row, cause in left_out],
        "counts": report.counts,
        "changes": [_as_dict(c) for c in report.changes if c.kind != "same"],
    }


def _as_dict(change: Change) -> dict[str, Any]:
    values = {name: getattr(change, name) for name in ("before", "now", "tolerance", "p", "cause")}
    return {"kind": change.kind, **_asked(change.asked), "direction": change.asked["direction"], **values}


def _asked(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name in _ASKED}


def _print(report: GateReport, last: str, gone: bool = False) -> None:
    from rich.text import Text

    from cmrbench.gate.lines import lines
    from cmrbench.gate.wording import COUNTED, rule_of

    out = console()
    found = {kind: lines(report.of(kind)) for kind in _MOST}
    shown = [line for kind, most in _MOST.items() for line in found[kind][:most]]
    causes = {text: i for i, text in enumerate(dict.fromkeys(line.cause for line in shown if line.cause), start=1)}
    if shown:
        out.print(_table(shown, causes, gone))
    for text, i in causes.items():
        out.print(Text(f"[{i}] {text}"), soft_wrap=True)
    for kind, most in _MOST.items():
        if len(found[kind]) > most:
            out.print(Text(f"... and {len(found[kind]) - most} more lines {COUNTED[kind]} (--json lists all)"))
    if not gone and any(line.numbers[-1] for line in shown):
        out.print(Text(rule_of(report)), soft_wrap=True)
    style = "" if gone else "bold green" if report.passed else "bold red"
    out.print(Text(last, style=style), soft_wrap=True)


def _table(shown: Sequence[Line], causes: Mapping[str, int], gone: bool) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("Run and measure", overflow="fold")
    for head in ("Before", "Now", "Change", "Allowed"):
        table.add_column(head, justify="right", no_wrap=True)
    for line in shown:
        word = "gone" if gone and line.kind == "missing" else line.kind
        kind = f"{word} [{causes[line.cause]}]" if line.cause else word
        what = f"{line.run}\n{line.measured}" + (f", {line.test}" if line.test else "")
        table.add_row(Text(kind, style=_STYLES[word]), *map(Text, [what, *line.numbers]))
    return table
