"""What makes results doubtful as a whole: one run with two values, and numbers of several versions of the engine."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cmrbench.core.names import with_features
from cmrbench.report.current import NEEDED, RECORD_KEY, codes_of, rows_of, standing, together
from cmrbench.report.wording import DETERMINISM_FAULT, OLDER_ENGINE, plain, setting

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from cmrbench.store.store import Store

SETTING = ("method", "params", "preset", "dataset", "dataset_fingerprint", "feature_set", "bits", "dim")
"""What the runs of one cell agree in; only their seeds differ."""

COLUMNS = tuple(dict.fromkeys((*NEEDED, *SETTING, "seed", "value", "environment")))
"""The columns of `cmrbench.store.schema` that these checks read."""

_SHOWN = 5

FilesOf = Callable[[Iterable[str]], Mapping[str, Sequence[str]]]
"""From run keys to the names of the files that hold these runs."""


class ResultsWarning(UserWarning):
    """Results that contradict each other, or cannot be compared with each other."""


@dataclass(frozen=True)
class DeterminismFault:
    """One record of one run (one run key) with different values in different files.

    Attributes
    ----------
    run_key, run : str
        The key, and the run in words.
    direction, protocol, metric : str
        Which of its records, the first of several that differ.
    values : tuple of float
        In the order of the files; the first is the one that counts.
    records : int
        How many records of the run differ.
    """

    run_key: str
    run: str
    direction: str
    protocol: str
    metric: str
    values: tuple[float, ...]
    records: int = 1


@dataclass(frozen=True)
class Engines:
    """Which versions of the engine measured the rows that stand.

    Attributes
    ----------
    runs : mapping of str to tuple of str
        Runs in words by version, the newest first; ``""``: before results kept it. Empty where there is one version.
    left_out : tuple of str
        Runs that do not count, as other seeds of their setting were measured by a newer version.
    """

    runs: Mapping[str, tuple[str, ...]]
    left_out: tuple[str, ...] = ()


def determinism_faults(table: pa.Table) -> list[DeterminismFault]:
    """Runs that are there several times and differ in a value; copies that agree are no fault.

    Parameters
    ----------
    table : pyarrow.Table
        All rows of a store, with at least `COLUMNS`.
    """
    import numpy as np
    import pyarrow as pa

    if not table.num_rows:
        return []
    record = together([codes_of(table.column(name)) for name in ("run_key", *RECORD_KEY)])
    order = np.argsort(record, kind="stable")
    repeated = np.bincount(record)[record[order]] > 1
    if not repeated.any():
        return []
    values = np.asarray(table.column("value").to_numpy(), dtype=np.float64)[order]
    same = (record[order][1:] == record[order][:-1]) & ~_equal(values[1:], values[:-1])
    differing = np.isin(record, record[order][1:][same])
    by_run: dict[str, dict[tuple[Any, ...], list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows_of(table.select(list(COLUMNS[:-1])).take(pa.array(np.flatnonzero(differing)))):
        by_run[row["run_key"]][tuple(row[name] for name in RECORD_KEY)].append(row)
    return [_fault(run_key, records) for run_key, records in by_run.items()]


def _equal(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    import numpy as np

    return np.equal(one, other) | (np.isnan(one) & np.isnan(other))


def _fault(run_key: str, records: Mapping[tuple[Any, ...], Sequence[dict[str, Any]]]) -> DeterminismFault:
    rows = next(iter(records.values()))
    first = rows[0]
    values = tuple(float("nan") if row["value"] is None else row["value"] for row in rows)
    direction, protocol, metric = (plain(first[name] or "") for name in ("direction", "protocol", "metric"))
    return DeterminismFault(run_key, in_words(first), direction, protocol, metric, values, len(records))


def of_one_engine(table: pa.Table) -> tuple[pa.Table, Engines]:
    """The rows without those whose setting has seeds that a newer version of the engine measured.

    Seeds are averaged, and numbers of two versions of the engine are not numbers of one kind. Different settings may
    still come from different versions; `Engines` tells.

    Parameters
    ----------
    table : pyarrow.Table
        All rows of a store, with at least `COLUMNS`.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not table.num_rows:
        return table, Engines({})
    versions = engine_of(table)
    if len(versions.unique()) == 1:
        return table, Engines({})
    numbered = table.select(list(COLUMNS[:-1])).append_column("engine", versions)
    current = standing(numbered.append_column("row", pa.array(np.arange(table.num_rows))))
    measured = current.filter(pc.is_valid(current.column("metric")))
    if not measured.num_rows:
        return table, Engines({})
    names = versions.unique().to_pylist()
    rank = {name: i for i, name in enumerate(sorted(names, key=_version))}
    ranks = np.array([rank[name] for name in versions.to_pylist()])
    cell = together([codes_of(table.column(name)) for name in SETTING])
    newest = np.full(cell.max() + 1, -1)
    stands = np.asarray(measured.column("row"))
    np.maximum.at(newest, cell[stands], ranks[stands])
    # Runs without a number were measured by nobody, and still say why there is none.
    older = (ranks < newest[cell]) & np.asarray(pc.is_valid(table.column("metric")))
    kept = measured.filter(pa.array(~older[stands]))
    return table.filter(pa.array(~older)), Engines(
        {name: _runs(kept.filter(pc.equal(kept.column("engine"), name))) for name in sorted(names, key=_version)[::-1]},
        _runs(measured.filter(pa.array(older[stands]))),
    )


def _runs(rows: pa.Table) -> tuple[str, ...]:
    return tuple({row["run_key"]: in_words(row) for row in rows_of(rows)}.values())


def _version(name: str) -> tuple[Any, ...]:
    """An order of versions: none, whole numbers, anything else."""
    return (0,) if not name else (1, int(name), name) if name.isascii() and name.isdigit() else (2, 0, name)


def in_words(row: Mapping[str, Any]) -> str:
    """A run as one line: method, setting, dataset, seed."""
    size = f"{row['bits']} bits" if row["bits"] is not None else ""
    asked = (row["method"], setting(row["params"], row["preset"], row["dim"]), size)
    where = with_features(row["dataset"], row["feature_set"])
    return plain(f"{' '.join(str(part) for part in asked if part)} on {where}, seed {row['seed']}")


def told(faults: Sequence[DeterminismFault], engines: Engines, files_of: FilesOf = lambda keys: {}) -> list[str]:
    """What people are warned of, one line each."""
    lines = []
    files = files_of([fault.run_key for fault in faults[:_SHOWN]])
    for fault in faults[:_SHOWN]:
        values = " and ".join(f"{value:.6f}" for value in fault.values)
        lines.append(
            f"determinism fault: {fault.run} has different values in different files: {fault.metric} "
            f"({fault.direction}, {fault.protocol}) is {values}"
            + (f", and {fault.records - 1} more of its numbers differ" if fault.records > 1 else "")
            + f", in {_files(files.get(fault.run_key, ()))}. One run key is one measurement, and only one of these is "
            "shown: find out why they differ, and delete the wrong file"
        )
    if len(faults) > _SHOWN:
        lines.append(f"determinism faults: {len(faults) - _SHOWN} more runs have different values in different files")
    measured = {name: runs for name, runs in engines.runs.items() if runs}
    if len(measured) > 1:
        newest, *older = measured
        which = "; ".join(f"{_engine(name)}: {_listed(measured[name])}" for name in older)
        lines.append(
            f"the results come from several versions of the evaluation engine. {_engine(newest).capitalize()} measured "
            f"{_count(measured[newest])}; {which}. Numbers of different versions cannot be compared: carry out the "
            "older runs again with the same `cmrbench run`"
        )
    if engines.left_out:
        lines.append(
            f"{_count(engines.left_out)} left out, as other seeds of the same setting were measured by a newer version "
            f"of the evaluation engine: {_listed(engines.left_out)}. Carry them out again with the same `cmrbench run`"
        )
    return lines


def checked(store: Store, table: pa.Table) -> pa.Table:
    """`examined`, with a `ResultsWarning` for each thing that is wrong."""
    kept, lines = examined(store, table)
    for line in lines:
        warnings.warn(line, ResultsWarning, stacklevel=2)
    return kept


def examined(store: Store, table: pa.Table) -> tuple[pa.Table, list[str]]:
    """The rows of a store that may share numbers, and what is wrong with them and the rest, one line each.

    Rows of a run whose copies disagree carry the flag `DETERMINISM_FAULT`, those of an older engine `OLDER_ENGINE`.

    Parameters
    ----------
    store : Store
        Where the table comes from: names the files.
    table : pyarrow.Table
        All its rows, with at least `COLUMNS`.
    """
    kept, engines = of_one_engine(table)
    found = determinism_faults(table)
    kept = _flagged(kept, DETERMINISM_FAULT, {fault.run_key for fault in found})
    kept = _flagged(kept, OLDER_ENGINE, _of_older(kept, engines))
    return kept, told(found, engines, store.files_of)


def _of_older(table: pa.Table, engines: Engines) -> set[str]:
    """The run keys of what is shown and was not measured by the newest version."""
    import pyarrow as pa
    import pyarrow.compute as pc

    _, *older = [name for name, runs in engines.runs.items() if runs] or [""]
    if not older:
        return set()
    measured = table.filter(pc.is_in(engine_of(table), value_set=pa.array(older, pa.string())))
    return set(measured.column("run_key").to_pylist())


def engine_of(table: pa.Table) -> pa.ChunkedArray:
    """The version of the engine that measured each row, ``""`` where it was not kept."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.fill_null(pc.map_lookup(table.column("environment"), "engine", "first"), "").cast(pa.string())


def _flagged(table: pa.Table, flag: str, run_keys: set[str]) -> pa.Table:
    import pyarrow as pa

    if not run_keys or "flags" not in table.column_names:
        return table
    at = table.column_names.index("flags")
    flags = [
        [*(listed or ()), flag] if key in run_keys else listed
        for key, listed in zip(table.column("run_key").to_pylist(), table.column("flags").to_pylist(), strict=True)
    ]
    return table.set_column(at, table.schema.field(at), pa.array(flags, table.schema.field(at).type))


def _files(names: Sequence[str]) -> str:
    return plain(" and ".join(names)) or "one file"


def _engine(name: str) -> str:
    return plain(f"version {name}") if name else "an unknown version (results of before it was stored)"


def _count(runs: Sequence[str]) -> str:
    return f"{len(runs)} run{'s' if len(runs) != 1 else ''}"


def _listed(runs: Sequence[str]) -> str:
    more = f" and {len(runs) - _SHOWN} more" if len(runs) > _SHOWN else ""
    return "; ".join(runs[:_SHOWN]) + more
