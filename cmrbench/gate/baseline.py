"""The baseline file: what it holds, how it is made of results, written and read."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import UsageError
from cmrbench.gate.rows import DESCRIPTION, KEY, Queries, Row, Selection, finite, key_of, sortable, standing_rows
from cmrbench.report.current import rows_of
from cmrbench.report.wording import outcome

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = "2"
_MARK, _ENGINE, _VERSION = b"cmrbench_baseline", b"cmrbench_engine", b"cmrbench_version"
_COLUMNS = (*DESCRIPTION, *KEY, "dataset_fingerprint", "value")

UPDATE = "cmrbench gate --update"

LeftOut = tuple[tuple[Mapping[str, Any], str], ...]
"""Runs that have no place in a baseline, each with the cause."""


class BaselineError(UsageError):
    """The baseline file is missing, damaged, not a baseline, or does not fit the results."""


@dataclass(frozen=True)
class Baseline:
    """Values that results are compared with.

    Attributes
    ----------
    table : pyarrow.Table
        A row a value, sorted; `per_query` is null where values of single queries are not kept (float32).
    engine : str
        Version of the engine that measured all of it (`cmrbench.core.runs.ENGINE`); empty in files of format 1.
    version : str
        Version of cmrbench that wrote the file.
    refresh : str
        The command that writes the file anew, for messages.
    format : str
    """

    table: pa.Table
    engine: str
    version: str = ""
    refresh: str = UPDATE
    format: str = FORMAT

    @cached_property
    def rows(self) -> list[Row]:
        """The rows as dictionaries, without values of single queries."""
        return rows_of(self.table.select(list(_COLUMNS)))

    @property
    def holds_queries(self) -> bool:
        """Whether it holds values of single queries."""
        return bool(self.table.column("per_query").null_count < self.table.num_rows)

    def queries(self, keys: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], list[float]]:
        """The values of single queries of some rows, where the file has them."""
        import pyarrow as pa

        wanted = set(keys)
        places = [i for i, row in enumerate(self.rows) if key_of(row) in wanted]
        values = self.table.column("per_query").take(pa.array(places, pa.int64())).to_pylist()
        return {key_of(self.rows[i]): found for i, found in zip(places, values, strict=True) if found}

    def equals(self, other: Baseline) -> bool:
        """Whether both hold the same values, measured by the same engine, in the same format."""
        same = (self.engine, self.format) == (other.engine, other.format)
        return same and bool(self.table.equals(other.table))


def baseline_of(
    table: pa.Table, select: Selection | None = None, queries: Queries | None = None
) -> tuple[Baseline, LeftOut]:
    """The baseline that the results make: finished runs of the newest engine, sorted, so that equal results give
    equal files.

    Parameters
    ----------
    table : pyarrow.Table
        Results with the schema of `cmrbench.store.schema` (at least `cmrbench.gate.COLUMNS`).
    select : Selection, optional
        Which rows take part.
    queries : callable, optional
        Reads the values of single queries, which are then kept.

    Raises
    ------
    UsageError
        If a selected name does not occur, no row is left, a value is not a number, or the results do not say which
        engine measured them.
    """
    import pyarrow as pa

    from cmrbench import __version__

    select = select or Selection()
    select.check(table, "the results")
    chosen = [row for row in standing_rows(table, select) if select.asks_for(row)]
    finished = [row for row in chosen if row["metric"] is not None]
    if not finished:
        raise UsageError("the results hold no finished run to make a baseline of: make some with `cmrbench run`")
    engine = finished[-1]["engine"]
    if not engine:
        raise UsageError(
            "the results do not say which version of the engine measured them: they are older than this version of "
            "cmrbench; make them again with `cmrbench run`"
        )
    rows = sorted((row for row in finished if row["engine"] == engine), key=sortable)
    for row in rows:
        if finite(row["value"]) is None:
            raise UsageError(
                f"{row['method']} on {row['dataset']}, seed {row['seed']}, {row['direction']}: {row['metric']} is not "
                "a number, so it cannot be a baseline; leave the method out with --methods"
            )
    left_out = [(row, outcome(row["status"], row["cause"])) for row in chosen if row["metric"] is None]
    others = {row["run_key"]: row for row in finished if row["engine"] != engine}
    left_out += [(row, other_engine(row["engine"], engine)) for row in others.values()]
    values = query_values(rows, queries) if queries is not None else {}
    schema = _schema(engine, __version__)
    made = [{name: row[name] for name in _COLUMNS} | {"per_query": values.get(key_of(row))} for row in rows]
    return Baseline(pa.Table.from_pylist(made, schema=schema), engine, __version__), tuple(left_out)


def other_engine(found: str, expected: str) -> str:
    """Why a value that another engine measured does not count."""
    named = f"version {found}" if found else "an unknown version"
    return f"measured by {named} of the engine, not by version {expected}: run it again"


def query_values(rows: Sequence[Row], queries: Queries) -> dict[tuple[Any, ...], list[float]]:
    """The values of single queries of rows that stand, by key; rows without them are left out."""
    wanted = {(row["run_key"], key_of(row)) for row in rows}
    found = queries(dict.fromkeys(row["run_key"] for row in rows))
    return {
        key_of(row): row["per_query"]
        for row in found.to_pylist()
        if row["per_query"] and (row["run_key"], key_of(row)) in wanted
    }


def _schema(engine: str = "", version: str = "") -> pa.Schema:
    import pyarrow as pa

    from cmrbench.store.schema import SCHEMA

    fields = [pa.field(name, SCHEMA.field(name).type) for name in _COLUMNS]
    metadata = {_MARK: FORMAT.encode(), _ENGINE: engine.encode(), _VERSION: version.encode()}
    return pa.schema([*fields, pa.field("per_query", pa.list_(pa.float32()))], metadata=metadata)


def write_baseline(baseline: Baseline, path: Path) -> int:
    """Write a baseline so that `path` is either the old file or the whole new one; its size in bytes.

    Raises
    ------
    BaselineError
        If the file cannot be written.
    """
    from cmrbench.store.store import write_parquet

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(baseline.table, path)
        return os.path.getsize(path)
    except OSError as error:
        raise BaselineError(f"the baseline {path} cannot be written: {error.strerror or error}") from error


def update_command(path: Path, results: Path) -> str:
    """What to type to write the baseline anew."""
    return f"{UPDATE} --baseline {shlex.quote(str(path))} --results {shlex.quote(str(results))}"


def read_baseline(path: Path, refresh: str = "") -> Baseline:
    """The baseline in a file.

    Parameters
    ----------
    path : Path
    refresh : str, optional
        The command that writes it anew, for messages.

    Raises
    ------
    BaselineError
        If the file is missing, truncated, another kind of file, of an older format, or holds values that are not
        numbers.
    """
    found = read_any_baseline(path, refresh)
    if found.format != FORMAT:
        raise BaselineError(
            f"the baseline {path} has format {found.format}, which does not say which engine measured it; this version "
            f"of cmrbench reads format {FORMAT}: make the results again with `cmrbench run`, then write it with "
            f"`{found.refresh}`"
        )
    return found


def read_any_baseline(path: Path, refresh: str = "") -> Baseline:
    """As `read_baseline`, but a file of an older format is read, too, to show what a new one changes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    refresh = refresh or f"{UPDATE} --baseline {shlex.quote(str(path))}"
    if not path.exists():
        raise BaselineError(f"there is no baseline {path}: write it with `{refresh}`")
    if not path.is_file():
        raise BaselineError(f"the baseline {path} is no file: name one with --baseline")
    try:
        # One file, not a dataset: a folder of that name is refused.
        with pq.ParquetFile(path) as file:
            marks = file.schema_arrow.metadata or {}
            if _MARK not in marks:
                raise BaselineError(
                    f"{path} is not a baseline but another Parquet file: name the baseline with --baseline, or write "
                    f"one with `{refresh}`"
                )
            table = file.read()
        table.validate(full=True)  # texts that are none would fail wherever they are first read
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = (str(error).splitlines() or ["it cannot be read"])[0]
        raise BaselineError(
            f"the baseline {path} is damaged or not a Parquet file ({reason}): restore it, or write it anew with "
            f"`{refresh}`"
        ) from error
    table = _checked(table, marks, path, refresh)
    engine, version = (marks.get(name, b"").decode(errors="replace") for name in (_ENGINE, _VERSION))
    return Baseline(table, engine, version, refresh, marks[_MARK].decode(errors="replace"))


def _checked(table: pa.Table, marks: Mapping[bytes, bytes], path: Path, refresh: str) -> pa.Table:
    import pyarrow as pa

    expected = _schema()
    if marks[_MARK] == b"1" and table.schema.names == list(_COLUMNS):
        table = table.append_column("per_query", pa.nulls(table.num_rows, expected.field("per_query").type))
    elif marks[_MARK] != FORMAT.encode():
        raise BaselineError(
            f"the baseline {path} was written by another version of cmrbench: install that one, or write it anew with "
            f"`{refresh}`"
        )
    if not table.schema.equals(expected):
        raise BaselineError(f"the baseline {path} has other columns than a baseline: write it anew with `{refresh}`")
    required = [name for name in _COLUMNS if name not in ("dim", "bits")]
    for name in required:
        if table.column(name).null_count:
            raise BaselineError(f"the baseline {path} has a row without {name}: write it anew with `{refresh}`")
    rows = table.select(list(dict.fromkeys(("method", *KEY, "value")))).to_pylist()
    for row in rows:
        if finite(row["value"]) is None:
            raise BaselineError(f"the baseline {path} holds a value for {row['method']} that is not a number")
    if len({key_of(row) for row in rows}) < len(rows):
        raise BaselineError(f"the baseline {path} holds two values for one question: write it anew with `{refresh}`")
    return table
