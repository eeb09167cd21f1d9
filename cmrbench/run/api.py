"""`cmrbench.run(...)`: plan, skip what is there, carry out, and hand the rows back."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.runs import is_settled
from cmrbench.registry import MethodTable, load_methods
from cmrbench.run.local import Event, Limits, run_all
from cmrbench.run.plan import DEFAULT_BITS, PlannedRun, RunRequest, plan_runs
from cmrbench.run.worker import now
from cmrbench.store.store import Stamp, Store

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Plan:
    """What a call will do: all its runs, and those that the store does not have."""

    runs: tuple[PlannedRun, ...]
    todo: tuple[PlannedRun, ...]
    seen: Mapping[str, Stamp | None]
    """What the store had of each run to do when this was decided; for `run_all`."""


def make_plan(
    requests: Sequence[RunRequest],
    table: MethodTable,
    store: Store,
    *,
    catalogue_files: Sequence[str] = (),
    force: bool = False,
) -> Plan:
    """Plan all requests; a run that two of them ask for is planned once.

    Failed runs are tried again; done and declined ones are not, unless `force`.
    """
    runs: dict[str, PlannedRun] = {}
    for request in requests:
        for planned in plan_runs(request, table, catalogue_files):
            runs.setdefault(planned.run_key, planned)
    seen = {key: store.stamp(key) for key in runs}
    todo = [r for r in runs.values() if force or not is_settled(store.status(r.run_key))]
    return Plan(tuple(runs.values()), tuple(todo), {r.run_key: seen[r.run_key] for r in todo})


def take_stored(plan: Plan, store: Store) -> None:
    """Let the results that a plan finds in the store be the newest answers there: they are what its runs would give."""
    todo = {r.run_key for r in plan.todo}
    stored = [r.run_key for r in plan.runs if r.run_key not in todo]
    if stored:
        store.answer_again(stored, now())


def default_jobs(threads: int) -> int:
    """As many runs at a time as there are processors for their threads."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // threads)


def run(
    methods: Sequence[str],
    datasets: Sequence[str],
    *,
    bits: Sequence[int] = DEFAULT_BITS,
    dim: int | None = None,
    seeds: int | Sequence[int] = 1,
    preset: str = "auto",
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    retrievals: Sequence[str] = (),
    results: str | Path = "results",
    plugins: Sequence[str | Path] = (),
    device: str = "auto",
    threads: int = 1,
    jobs: int | None = None,
    timeout: float | None = 1800.0,
    max_memory: int | None = 8 * 2**30,
    force: bool = False,
    on_event: Callable[[Event], None] = lambda event: None,
) -> pa.Table:
    """Run methods on datasets and return their rows; what the results folder has already is not run again.

    Parameters
    ----------
    methods, datasets : sequence of str
        Registered names; a dataset may carry a feature set (``"emoji/multilingual"``).
    bits : sequence of int
        Code lengths for hashing methods.
    dim : int, optional
        Dimension of the common space for real-valued methods; by default each method's own.
    seeds : int or sequence of int
        A number of seeds (0, 1, ...) or the seeds themselves. Deterministic methods run once.
    preset : str
        ``"auto"``, ``"none"`` or the name of a method preset.
    settings : mapping of name to mapping, optional
        Parameters by method name: ``{"lcm": {"k": 100}}``.
    retrievals : sequence of str
        Retrieval strategies; by default each method's own.
    results : path
        The results folder.
    plugins : sequence of path
        Python files with further methods.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    threads, jobs : int
        Threads of one run, and runs at a time (by default as many as there are processors for).
    timeout : float or None
        Wall seconds that one run may take.
    max_memory : int or None
        Bytes that one run may use.
    force : bool
        Run again what is there.
    on_event : callable
        Called with an `Event` whenever a run starts, gets on or ends.

    Returns
    -------
    pyarrow.Table
        The rows of all runs asked for, with the columns of `cmrbench.store.schema.SCHEMA`.

    Raises
    ------
    UsageError, DataError, PluginError, StoreError
        Before anything is computed.
    """
    request = RunRequest(
        methods=_names(methods),
        datasets=_names(datasets),
        bits=tuple(bits),
        dim=dim,
        seeds=tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds),
        preset=preset,
        settings=settings or {},
        retrievals=_names(retrievals),
        device=device,
        threads=threads,
    )
    limits = Limits(timeout, max_memory, default_jobs(max(threads, 1)) if jobs is None else jobs)
    store = Store(results)
    plan = make_plan([request], load_methods(plugins), store, force=force)
    if plan.todo:
        store.prepare()
    take_stored(plan, store)
    run_all(plan.todo, store, limits, on_event, plan.seen)
    return rows_of(store, plan.runs)


def rows_of(store: Store, runs: Sequence[PlannedRun], columns: Sequence[str] | None = None) -> pa.Table:
    """The stored rows of some runs."""
    return store.table(columns, [r.run_key for r in runs])


def _names(given: Sequence[str]) -> tuple[str, ...]:
    """A lone name is a list of one, not of its letters."""
    return (given,) if isinstance(given, str) else tuple(given)
