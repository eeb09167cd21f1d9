"""The results folder: ``runs/<run key>.parquet``, each file written whole or not at all."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cmrbench.core.errors import StoreError, UnknownNameError
from cmrbench.core.runs import RunResult
from cmrbench.store.files import StoreWarning, read_run, write_parquet, write_run
from cmrbench.store.lock import RunLock

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

    from cmrbench.store.index import Index

__all__ = ["Store", "StoreWarning", "write_parquet"]

Stamp = tuple[int, int]
"""What tells one file of a run from the file that replaces it."""


class Store:
    """Results of runs, one Parquet file each.

    Parameters
    ----------
    folder
        The results folder; made on first write.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.runs = self.folder / "runs"
        self.locks = self.folder / ".locks"

    @cached_property
    def _index(self) -> Index:
        from cmrbench.store.index import Index

        return Index(self.runs)

    def prepare(self) -> None:
        """Make the folder and prove that it can be written to, before anything is computed.

        Raises
        ------
        StoreError
            If it cannot.
        """
        with self._explained("written to"):
            self.runs.mkdir(parents=True, exist_ok=True)
            self.locks.mkdir(exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.runs, prefix=".probe-") as probe:
                probe.write(b"\0" * 4096)
                probe.flush()
        self._remove_leftovers()

    def status(self, run_key: str) -> str | None:
        """How the run with that key ended, or None if the store does not have it."""
        import pyarrow as pa

        try:
            column = read_run(self._path(run_key), ["status"]).column("status")
        except (OSError, pa.ArrowException, ValueError):
            return None
        return str(column[0]) if len(column) else None

    def stamp(self, run_key: str) -> Stamp | None:
        """What changes whenever the run's result is written, on any clock; None if the store does not have it."""
        try:
            found = self._path(run_key).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    def write(self, result: RunResult) -> Path:
        """Put the rows of one run into the store, replacing an earlier result of the same run key.

        Raises
        ------
        StoreError
            If the folder is read-only or full; nothing half-written is left.
        """
        from cmrbench.store.schema import to_table

        return self.write_table(result.run_key, to_table(result))

    def answer_again(self, run_keys: Iterable[str], when: str) -> None:
        """Make runs the newest answer to what they were asked, where another run has answered since.

        So it is when a method has gone back to an earlier state: its earlier result is what it gives now. Such a run
        is written again as created `when`; its environment keeps, as ``measured``, when it was carried out.

        Parameters
        ----------
        run_keys : iterable of str
            Runs that the store has.
        when : str
            The time in ISO 8601, UTC.

        Raises
        ------
        StoreError
            If the folder cannot be written to.
        """
        table = self.table(["spec_key", "run_key", "created"])
        newest: dict[str, tuple[str, str]] = {}
        spec_of: dict[str, str] = {}
        for spec, key, created in zip(*(column.to_pylist() for column in table.columns), strict=True):
            newest[spec] = max(newest.get(spec, ("", "")), (created or "", key))
            spec_of[key] = spec
        for key in run_keys:
            if key in spec_of and newest[spec_of[key]][1] != key and (result := self.result(key)) is not None:
                environment = {"measured": result.created, **result.environment}
                self.write(replace(result, created=when, environment=environment))

    def write_table(self, run_key: str, table: pa.Table) -> Path:
        """Put a run's table into the store; see `write`."""
        path = self._path(run_key)
        with self._explained("written to"):
            self.runs.mkdir(parents=True, exist_ok=True)
            write_run(table, path)
        return path

    def table(
        self,
        columns: Sequence[str] | None = None,
        run_keys: Iterable[str] | None = None,
        where: pc.Expression | None = None,
    ) -> pa.Table:
        """All rows of all runs in one Arrow table, in the order of the run keys.

        Of many runs, columns other than `cmrbench.store.schema.HEAVY` come from an index beside the run files
        (`cmrbench.store.index`), and heavy ones from the files of the rows asked for. A truncated or foreign file is
        left out with a `StoreWarning` that names it.

        Parameters
        ----------
        columns : sequence of str, optional
            Names out of the schema; all by default.
        run_keys : iterable of str, optional
            Read these runs only.
        where : pyarrow.compute.Expression, optional
            Read the rows only for which it holds, such as ``pc.field("metric") == "mAP@50"``; not on heavy columns.

        Raises
        ------
        UnknownNameError
            For a column that results do not have.
        UsageError
            If rows cannot be filtered so.
        StoreError
            If the folder is a file, or may not be read.
        """
        from cmrbench.store.schema import SCHEMA

        with self._explained("read"):
            for folder in (self.folder, self.runs):
                if folder.exists():
                    os.scandir(folder).close()
        names = list(SCHEMA.names if columns is None else dict.fromkeys(columns))
        for name in names:
            if name not in SCHEMA.names:
                raise UnknownNameError("column", name, SCHEMA.names)
        from cmrbench.store.reading import read_table

        return read_table(self._index, names, run_keys, where)

    def result(self, run_key: str) -> RunResult | None:
        """One run as it was written, or None."""
        from cmrbench.store.schema import from_table

        table = self._checked(self._path(run_key), None) if self._path(run_key).exists() else None
        return None if table is None else from_table(table)

    def files(self) -> list[Path]:
        """The run files, sorted by run key."""
        return sorted(p for p in self.runs.glob("*.parquet") if not p.name.startswith("."))

    def files_of(self, run_keys: Iterable[str]) -> dict[str, list[str]]:
        """Names of the files that hold some runs: by their rows, whatever the files are called."""
        from cmrbench.store.reading import files_of

        return files_of(self._index, run_keys)

    def lock(self, run_key: str) -> RunLock:
        """The lock that whoever carries out the run holds."""
        return RunLock(self.locks / f"{run_key}.lock")

    def _path(self, run_key: str) -> Path:
        return self.runs / f"{run_key}.parquet"

    def _checked(self, path: Path, columns: Sequence[str] | None) -> pa.Table | None:
        import pyarrow as pa

        try:
            return read_run(path, columns)
        except (OSError, pa.ArrowException, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            warnings.warn(f"{path} is left out: {reason}; delete it", StoreWarning, stacklevel=3)
            return None

    def _remove_leftovers(self) -> None:
        """Delete temporary files of writers that died more than an hour ago."""
        import time

        for path in self.runs.glob(".tmp-*"):
            try:
                if time.time() - path.stat().st_mtime > 3600:
                    path.unlink()
            except OSError:
                continue

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"the results folder {self.folder} cannot be {what}: {error.strerror or error}; "
                "name another one with --results"
            ) from error
