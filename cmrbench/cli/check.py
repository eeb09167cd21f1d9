"""``cmrbench check``: run the conformance checks on a method or on a plugin file."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmrbench.cli.console import console
from cmrbench.cli.parsing import complete_checks, complete_methods
from cmrbench.core.errors import UsageError

if TYPE_CHECKING:
    from cmrbench.method import Method
    from cmrbench.testing import CheckResult

COLOURS = {
    "passed": "green",
    "failed": "bold red",
    "error": "bold red",
    "expected_failure": "yellow",
    "not_applicable": "dim",
}
GRACE = 15.0
"""Seconds after the time limit at which code that never returns to Python is ended with its stack trace."""


def check_command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="A registered method, or a plugin file that ends in .py.",
            autocompletion=complete_methods,
        ),
    ] = "",
    only: Annotated[
        str,
        typer.Option("--only", metavar="CHECK,...", help="Run these checks only.", autocompletion=complete_checks),
    ] = "",
    show: Annotated[bool, typer.Option("--list", help="List the checks and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON alone on standard output.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds that one check may take.")] = 60.0,
) -> None:
    """Run the named conformance checks on a method; exit code 1 if one fails."""
    names = [name.strip() for name in only.split(",") if name.strip()] or None
    if show:
        _print_checks(names, as_json)
        return
    if not target:
        raise UsageError("check needs the name of a method or a plugin file (cmrbench list methods shows the names)")
    if only and names is None:
        raise UsageError(f"--only {only!r} names no check (cmrbench check --list shows all)")

    from cmrbench.testing import select_checks

    select_checks(names)  # an unknown check is refused before anything runs
    results: dict[str, list[CheckResult]] = {}
    for cls in _methods(target):
        results[cls.info.name] = list(_run(cls, names, timeout))
        if not as_json:
            _print_results(cls.info.name, results[cls.info.name])
    if as_json:
        rows = [{"method": m, "check": r.name, **_facts(r)} for m, found in results.items() for r in found]
        print(json.dumps(rows, indent=2))
    if not all(r.ok for found in results.values() for r in found):
        raise typer.Exit(1)


def _methods(target: str) -> list[type[Method]]:
    from cmrbench.registry import load_methods, methods_in_file

    if target.endswith(".py"):
        return methods_in_file(Path(target))
    return [load_methods().get(target)]


def _run(cls: type[Method], names: list[str] | None, timeout: float) -> Iterator[CheckResult]:
    """Results one by one, with what the method prints sent to standard error and a status line meanwhile."""
    from rich.console import Console

    from cmrbench.testing import iterate_checks

    with (
        Console(stderr=True).status(f"checking {cls.info.name}") as status,
        contextlib.redirect_stdout(sys.stderr),
    ):
        results = iterate_checks(cls, names, timeout=timeout)
        while True:
            faulthandler.dump_traceback_later(timeout + GRACE, exit=True, file=sys.__stderr__ or sys.stderr)
            try:
                result = next(results, None)
            finally:
                faulthandler.cancel_dump_traceback_later()
            if result is None:
                return
            status.update(f"checking {cls.info.name}: {result.name} {result.status}")
            yield result


def _facts(result: CheckResult) -> dict[str, object]:
    return {"status": result.status, "detail": result.detail, "seconds": round(result.seconds, 3)}


def _print_results(method: str, results: list[CheckResult]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"Conformance of {method}", title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("detail", overflow="fold")
    for r in results:
        colour = COLOURS[r.status]
        table.add_row(r.name, f"[{colour}]{r.status.replace('_', ' ')}[/]", escape(_short(r.detail)))
    out = console()
    out.print(table)
    counts = {status: sum(r.status == status for r in results) for status in COLOURS}
    said = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in counts.items() if n)
    out.print(f"{method}: {said} ({sum(r.seconds for r in results):.1f} s)", highlight=False)


def _short(text: str) -> str:
    return text if len(text) <= 400 else f"{text[:400]} ..."


def _print_checks(names: list[str] | None, as_json: bool) -> None:
    from rich.table import Table

    from cmrbench.testing import select_checks

    checks = select_checks(names)
    if as_json:
        print(json.dumps([{"check": c.name, "theme": c.theme, "description": c.description} for c in checks], indent=2))
        return
    table = Table()
    table.add_column("check", no_wrap=True)
    table.add_column("what a method promises", overflow="fold")
    for c in checks:
        table.add_row(c.name, c.description)
    console().print(table)
