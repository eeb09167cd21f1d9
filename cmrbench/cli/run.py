"""`cmrbench run`: methods x datasets into the results folder, with progress and a table at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cmrbench.cli.console import console
from cmrbench.cli.parsing import (
    complete_datasets,
    complete_methods,
    complete_retrievals,
    complete_suites,
    duration,
    integers,
    names,
    settings,
    size,
)
from cmrbench.core.errors import UsageError
from cmrbench.core.runs import is_settled

if TYPE_CHECKING:
    from cmrbench.registry import MethodTable
    from cmrbench.run.api import Plan
    from cmrbench.run.plan import RunRequest
    from cmrbench.run.suites import Suite


def run_command(
    methods: str | None = typer.Option(
        None, help="Methods, separated by commas: lcm,drcl.", autocompletion=complete_methods
    ),
    datasets: str | None = typer.Option(
        None,
        help="Datasets, separated by commas; a feature set follows a slash: emoji,emoji/multilingual.",
        autocompletion=complete_datasets,
    ),
    suite: str | None = typer.Option(
        None, help="A named list of runs (see `cmrbench list suites`).", autocompletion=complete_suites
    ),
    config: Path | None = typer.Option(None, help="A YAML file with a list of runs of your own."),
    bits: str | None = typer.Option(None, help="Code lengths for hashing methods. [default: 16,32,64,128]"),
    dim: int | None = typer.Option(None, help="Dimension of the common space for real-valued methods."),
    seeds: int | None = typer.Option(None, help="Seeds per run; deterministic methods run once. [default: 1]"),
    preset: str = typer.Option("auto", help="Method preset: auto (the dataset's), none, quick, paper ..."),
    set_: list[str] = typer.Option(
        [], "--set", metavar="NAME.PARAMETER=VALUE", help="A parameter: lcm.k=50. May be given several times."
    ),
    retrieval: str | None = typer.Option(
        None,
        help="Retrieval strategies instead of each method's own: cosine,2sknn.",
        autocompletion=complete_retrievals,
    ),
    device: str = typer.Option("auto", help="auto, cpu or cuda.", autocompletion=lambda: ["auto", "cpu", "cuda"]),
    jobs: int | None = typer.Option(None, help="Runs at a time. [default: one per processor and thread]"),
    threads: int = typer.Option(1, help="Threads of one run; part of what makes numbers repeat to the bit."),
    timeout: str = typer.Option("30m", help="Longest wall time of one run: 90s, 30m, 1h30m, none."),
    max_memory: str = typer.Option("8GiB", help="Most memory of one run: 8GiB, 512MB, none."),
    plugin: list[Path] = typer.Option(
        [], metavar="FILE", help="A Python file with a method. May be given several times."
    ),
    methods_dir: list[Path] = typer.Option(
        [], metavar="FOLDER", help="A folder of such files (also: CMRBENCH_METHODS)."
    ),
    datasets_file: list[Path] = typer.Option(
        [], metavar="FILE", help="A datasets.yaml of your own (also: CMRBENCH_DATASETS)."
    ),
    results: Path = typer.Option(Path("results"), help="The results folder."),
    force: bool = typer.Option(False, "--force", help="Run again what the results folder has already."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Print what would be run, and run nothing."),
) -> None:
    """Run methods on datasets; what is there already is not run again.

    Exit code 0: every planned run has its result (or was declined with a reason); 1: some failed; 2: bad usage.
    """
    from cmrbench.cli.progress import watch
    from cmrbench.registry import load_methods
    from cmrbench.run.api import default_jobs, make_plan, take_stored
    from cmrbench.run.local import Limits, run_all
    from cmrbench.store.store import Store

    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {jobs}")
    limits = Limits(duration(timeout), size(max_memory), jobs or default_jobs(max(threads, 1)))
    asked = _Asked(names(methods, "--methods"), names(datasets, "--datasets"), integers(bits, "--bits"), seeds)
    chosen = settings(set_)
    table = load_methods(plugin, methods_dir)
    _warn(table)
    if suite is not None or config is not None:
        if dim is not None or preset != "auto" or chosen or retrieval is not None:
            raise UsageError("--dim, --preset, --set and --retrieval go with --methods; a suite or config has its own")
        wanted = _suite(suite, config, asked)
        shown_as, requests = wanted.table, [entry.request(device, threads) for entry in wanted.entries]
    else:
        shown_as = ""
        requests = [_request(asked, dim, preset, chosen, names(retrieval, "--retrieval"), device, threads)]
    store = Store(results)
    plan = make_plan(requests, table, store, catalogue_files=[str(f) for f in datasets_file], force=force)
    _warn_of_leaks(plan)
    if dry_run:
        _print_plan(plan)
        return
    if plan.todo:
        store.prepare()
    take_stored(plan, store)
    with watch(plan) as listener:
        try:
            run_all(plan.todo, store, limits, listener, plan.seen)
        except KeyboardInterrupt:
            listener.interrupted()
            raise typer.Exit(130) from None
    raise typer.Exit(_conclude(plan, store, listener.unstored, shown_as))


class _Asked:
    """The options that a suite and a list of methods share."""

    def __init__(
        self, methods: tuple[str, ...], datasets: tuple[str, ...], bits: tuple[int, ...], seeds: int | None
    ) -> None:
        if seeds is not None and seeds < 1:
            raise UsageError(f"--seeds must be at least 1, not {seeds}")
        self.methods = methods
        self.datasets = datasets
        self.bits = bits
        self.seeds = seeds


def _suite(suite: str | None, config: Path | None, asked: _Asked) -> Suite:
    from cmrbench.run.suites import find_suite, narrowed, read_config

    if suite is not None and config is not None:
        raise UsageError("name either --suite or --config, not both")
    chosen = find_suite(suite) if suite is not None else read_config(config or Path())
    return narrowed(chosen, asked.methods, asked.datasets, asked.bits, asked.seeds)


def _request(
    asked: _Asked,
    dim: int | None,
    preset: str,
    chosen: dict[str, dict[str, Any]],
    retrievals: tuple[str, ...],
    device: str,
    threads: int,
) -> RunRequest:
    from cmrbench.run.plan import DEFAULT_BITS, RunRequest

    if not asked.methods or not asked.datasets:
        raise UsageError("name --methods and --datasets, or a --suite (see `cmrbench list suites`), or a --config file")
    return RunRequest(
        methods=asked.methods,
        datasets=asked.datasets,
        bits=asked.bits or DEFAULT_BITS,
        dim=dim,
        seeds=tuple(range(asked.seeds or 1)),
        preset=preset,
        settings=chosen,
        retrievals=retrievals,
        device=device,
        threads=threads,
    )


def _warn(table: MethodTable) -> None:
    for warning in table.warnings:
        typer.echo(f"warning: {warning}; its methods are left out", err=True)


def _warn_of_leaks(plan: Plan) -> None:
    """One line for every planned dataset in which an audit on this machine found a leak."""
    from cmrbench.data.audit.stored import leak_warning

    specs = (run.spec for run in plan.runs)
    for data in dict.fromkeys((s.dataset, s.feature_set, s.dataset_fingerprint) for s in specs):
        warning = leak_warning(*data)
        if warning:
            typer.echo(f"warning: {warning}", err=True)


def _print_plan(plan: Plan) -> None:
    from rich.table import Table

    todo = {r.run_key for r in plan.todo}
    shown = Table("run", "protocols", "retrieval", "state", title=f"{len(todo)} of {len(plan.runs)} runs to do")
    for planned in plan.runs:
        state = "to do" if planned.run_key in todo else "in the store"
        if planned.declined:
            state = f"declined: {planned.declined}"
        shown.add_row(planned.spec.title, ", ".join(planned.protocols), ", ".join(planned.retrievals), state)
    console().print(shown)


def _conclude(plan: Plan, store: Any, unstored: Sequence[str], name: str) -> int:
    """Print the leaderboards and what is missing; the exit code."""
    from cmrbench.report import TABLE_COLUMNS, print_leaderboards
    from cmrbench.run.api import rows_of

    out = console(least=0)
    table = rows_of(store, plan.runs, TABLE_COLUMNS)
    print_leaderboards(out, table, name, store)
    status = dict(zip(table.column("run_key").to_pylist(), table.column("status").to_pylist(), strict=True))
    failed = [r for r in plan.runs if not is_settled(status.get(r.run_key))]
    declined = sum(s == "declined" for s in status.values())
    done = len(plan.runs) - len(failed) - declined
    parts = [f"{done} of {len(plan.runs)} runs have a result in {store.folder}"]
    parts += [f"{declined} declined"] if declined else []
    parts += [f"{len(failed)} failed"] if failed else []
    out.print("; ".join(parts) + ".", soft_wrap=True, highlight=False)
    for sentence, times in Counter(unstored).items():
        typer.echo(f"error: {times} of the runs could not be stored: {sentence}", err=True)
    return 1 if failed else 0
