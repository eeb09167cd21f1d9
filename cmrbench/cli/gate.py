"""`cmrbench gate`: fail when mAP drops, or when something that was measured once is no longer measured."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cmrbench.cli.gate_output import OutputError, Outputs
from cmrbench.cli.parsing import complete_datasets, complete_methods, metric_name, names
from cmrbench.core.errors import CmrbenchError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from cmrbench.gate import Baseline, Rule, Selection

DECLINED = "the baseline is left as it was"


def gate_command(
    baseline: Path = typer.Option(Path("results/baseline.parquet"), help="The baseline file."),
    results: Path = typer.Option(Path("results"), help="The results folder."),
    max_drop: float | None = typer.Option(
        None,
        help="The largest drop of a metric (of a rank such as MedR: the largest rise) that passes. "
        "[default: 3 standard deviations over the baseline's seeds, at least 0.001, of ranks 0.5]",
    ),
    significance: bool = typer.Option(
        False, "--significance", help="Fail on a larger drop only if a paired test over the queries confirms it."
    ),
    alpha: float = typer.Option(0.05, help="The level of that test."),
    update: bool = typer.Option(False, "--update", help="Show what changes, and rewrite the baseline."),
    with_queries: bool | None = typer.Option(
        None,
        "--with-queries/--without-queries",
        help="Whether --update keeps values of single queries, which --significance needs. [default: as before]",
    ),
    yes: bool = typer.Option(False, "--yes", "-y", help="With --update: do not ask, whatever gets worse."),
    methods: str | None = typer.Option(
        None, help="Only these methods, separated by commas.", autocompletion=complete_methods
    ),
    datasets: str | None = typer.Option(
        None, help="Only these datasets, separated by commas.", autocompletion=complete_datasets
    ),
    metric: list[str] = typer.Option(
        [], metavar="NAME", help="Only this metric; may be given several times. [default: every mAP]"
    ),
    summary: Path | None = typer.Option(
        None, metavar="FILE", help="Append a summary in Markdown to this file. [default: $GITHUB_STEP_SUMMARY]"
    ),
    annotations: bool | None = typer.Option(
        None,
        "--annotations/--no-annotations",
        help="Print what fails as GitHub's workflow commands. [default: if $GITHUB_ACTIONS is true]",
    ),
    junit: Path | None = typer.Option(None, metavar="FILE", help="Write JUnit XML to this file."),
    output: Path | None = typer.Option(None, "--output", "-o", metavar="FILE", help="Write the JSON to this file."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON on standard output."),
) -> None:
    """Compare the results with a baseline; exit 1 on a drop beyond the tolerance or a missing row, 2 on bad input."""
    outputs = Outputs.of(summary, annotations, junit, output, as_json)
    try:
        from cmrbench.gate import Rule, Selection

        rule = Rule(max_drop, alpha if significance else None)
        select = Selection(names(methods, "--methods"), names(datasets, "--datasets"), tuple(map(metric_name, metric)))
        if update:
            if significance:
                raise UsageError("--significance and --update exclude each other: an update accepts what is there")
            _Update(baseline, results, rule, select, outputs).carry_out(with_queries, yes)
            return
        if with_queries is not None or yes:
            raise UsageError("--with-queries, --without-queries and --yes go with --update")
        passed = _judge(baseline, results, rule, select, outputs)
    except OutputError:
        raise
    except CmrbenchError as error:
        outputs.refused(str(error))
        raise
    if not passed:
        raise typer.Exit(1)


def _judge(path: Path, results: Path, rule: Rule, select: Selection, outputs: Outputs) -> bool:
    from cmrbench import gate
    from cmrbench.gate.baseline import update_command

    expected = gate.read_baseline(path, update_command(path, results))
    report = gate.compare(_table(results), expected, rule, select, _Queries(results))
    outputs.report(report, str(path))
    return report.passed


def _table(results: Path) -> pa.Table:
    from cmrbench.gate import COLUMNS
    from cmrbench.store.store import Store

    table = Store(results).table(columns=list(COLUMNS))
    if not table.num_rows:
        raise UsageError(f"{results} holds no results: make some with `cmrbench run`, or name another folder")
    return table


@dataclass(frozen=True)
class _Queries:
    """Reads the values of single queries of some runs."""

    results: Path

    def __call__(self, run_keys: Iterable[str]) -> pa.Table:
        from cmrbench.gate import QUERY_COLUMNS
        from cmrbench.store.store import Store

        return Store(self.results).table(columns=list(QUERY_COLUMNS), run_keys=run_keys)


@dataclass(frozen=True)
class _Update:
    """A new baseline in place of the old one."""

    path: Path
    results: Path
    rule: Rule
    select: Selection
    outputs: Outputs

    def carry_out(self, with_queries: bool | None, yes: bool) -> None:
        """Show what changes, ask a person who would lose by it, and write."""
        from cmrbench import gate

        old = self._old()
        keep = old is not None and old.holds_queries if with_queries is None else with_queries
        new, left_out = gate.baseline_of(_table(self.results), self.select, _Queries(self.results) if keep else None)
        self.outputs.left_out(left_out)
        empty = gate.Baseline(new.table.slice(0, 0), new.engine)
        report = gate.difference(old or empty, new, self.rule)
        if old is not None and old.equals(new):
            self.outputs.updated(report, str(self.path), "unchanged", left_out)
            return
        if old is not None:
            self.outputs.show_update(report, str(self.path), self._other(old, new))
        asks = not yes and not self.outputs.as_json and sys.stdin.isatty() and sys.stdout.isatty()
        if asks and not report.passed and not typer.confirm("Rows get worse or are given up. Write it?"):
            typer.echo(DECLINED, err=True)
            raise typer.Exit(1)
        size = gate.write_baseline(new, self.path)
        queries = ", with values of single queries" if new.holds_queries else ""
        state = f"{new.table.num_rows} rows{queries}, {size:,} bytes"
        self.outputs.updated(report, str(self.path), state, left_out)

    def _old(self) -> Baseline | None:
        from cmrbench.gate import BaselineError, read_any_baseline

        if not self.path.exists():
            return None
        try:
            return read_any_baseline(self.path)
        except BaselineError as error:
            if not self.path.is_file():
                raise
            typer.echo(f"warning: {error}; it is replaced, and what changes cannot be shown", err=True)
            return None

    @staticmethod
    def _other(old: Baseline, new: Baseline) -> str:
        """What else is new beside the values."""
        told = []
        if old.engine != new.engine:
            told.append(f"engine version {old.engine or 'unknown'} -> {new.engine}")
        if old.format != new.format:
            told.append(f"file format {old.format} -> {new.format}")
        if old.holds_queries != new.holds_queries:
            told.append("values of single queries are " + ("kept" if new.holds_queries else "no longer kept"))
        return ", ".join(told)
