"""The results folder: ``runs/<run key>.parquet``, each file written whole or not at all."""

from __future__ import annotations

import os
import secrets
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cmrbench.core.errors import StoreError, UnknownNameError
from cmrbench.core.runs import RunResult
from cmrbench.store.lock import RunLock

if TYPE_CHECKING:
    import pyarrow as pa

Stamp = tuple[int, int]
"""What tells one file of a run from the file that replaces it."""


class StoreWarning(UserWarning):
    """A file in the results folder is not what the store wrote; it is left alone and left out."""


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
            column = _read(self._path(run_key), ["status"]).column("status")
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

    def write_table(self, run_key: str, table: pa.Table) -> Path:
        """Put a run's table into the store; see `write`."""
        path = self._path(run_key)
        with self._explained("written to"):
            self.runs.mkdir(parents=True, exist_ok=True)
            write_parquet(table, path)
        return path

    def table(self, columns: Sequence[str] | None = None, run_keys: Iterable[str] | None = None) -> pa.Table:
        """All rows of all runs in one Arrow table, in the order of the run keys.

        A truncated or foreign file is left out with a `StoreWarning` that names it.

        Parameters
        ----------
        columns : sequence of str, optional
            Names out of the schema; all by default.
        run_keys : iterable of str, optional
            Read these runs only.

        Raises
        ------
        UnknownNameError
            For a column that results do not have.
        """
        from cmrbench.store.schema import SCHEMA, concat

        for name in columns or ():
            if name not in SCHEMA.names:
                raise UnknownNameError("column", name, SCHEMA.names)
        if run_keys is None:
            files = self.files()
        else:
            files = [path for key in sorted(set(run_keys)) if (path := self._path(key)).exists()]
        parts = [part for path in files if (part := self._checked(path, columns)) is not None]
        if not parts and columns is not None:
            return concat([]).select(list(columns))
        return concat(parts)

    def result(self, run_key: str) -> RunResult | None:
        """One run as it was written, or None."""
        from cmrbench.store.schema import from_table

        table = self._checked(self._path(run_key), None) if self._path(run_key).exists() else None
        return None if table is None else from_table(table)

    def files(self) -> list[Path]:
        """The run files, sorted by run key."""
        return sorted(p for p in self.runs.glob("*.parquet") if not p.name.startswith("."))

    def lock(self, run_key: str) -> RunLock:
        """The lock that whoever carries out the run holds."""
        return RunLock(self.locks / f"{run_key}.lock")

    def _path(self, run_key: str) -> Path:
        return self.runs / f"{run_key}.parquet"

    def _checked(self, path: Path, columns: Sequence[str] | None) -> pa.Table | None:
        import pyarrow as pa

        try:
            return _read(path, columns)
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


def _read(path: Path, columns: Sequence[str] | None) -> pa.Table:
    import pyarrow.parquet as pq

    from cmrbench.store.schema import completed, is_known

    with pq.ParquetFile(path) as file:
        found = file.schema_arrow
        if not is_known(found):
            raise ValueError("its columns are not those of a cmrbench result")
        held = None if columns is None else [name for name in columns if name in found.names]
        return completed(file.read(held, use_threads=False), columns)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table so that `path` is either the old file or the whole new one, whatever happens."""
    import pyarrow.parquet as pq

    temporary = path.parent / f".tmp-{secrets.token_hex(8)}.parquet"
    try:
        with open(temporary, "xb") as out:
            pq.write_table(table, out, compression="zstd")
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
