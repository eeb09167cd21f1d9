"""An index over the run files: their rows without the heavy columns, in one file, so that tables need not open all.

It is made of the files alone and can be deleted at any time. An entry counts as long as its file has the size, the time
and the inode that it had when it was read; whatever is new or changed is read again. Where the index is damaged, of
another version or cannot be written, the files are read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cmrbench.store.files import write_parquet
from cmrbench.store.rows import LEAST, Rows, Stamp, light_schema, read_files, stamp_of
from cmrbench.store.schema import fault_in

NAME = ".index.parquet"

_MARK = b"cmrbench_index"
_VERSION = "2"


class Index:
    """Light rows of the runs in a folder.

    Parameters
    ----------
    runs : path
        The folder with the run files.
    """

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self._loaded: tuple[Stamp, tuple[str, ...], Rows] | None = None

    def rows(self, columns: Iterable[str], run_keys: Iterable[str] | None = None) -> Rows:
        """Columns out of `LIGHT` and `cmrbench.store.rows.RANGE`, of all runs or of some, in the order of the names."""
        wanted = tuple(dict.fromkeys(("run_key", *columns)))
        if run_keys is None:
            return self._of_files(self._stamps(), wanted)
        keys = set(run_keys)
        stamps = {}
        for name in sorted(f"{key}.parquet" for key in keys):
            with suppress(OSError):
                if (self.runs / name).is_file():
                    stamps[name] = stamp_of((self.runs / name).stat())
        if len(stamps) < len(keys) and len(every := self._stamps()) > len(stamps):
            # A run may lie in a file of another name, copied there by hand.
            everything = self._of_files(every, wanted)
            return everything.where(np.isin(everything.table.column("run_key").to_pylist(), list(keys)))
        return self._of_files(stamps, wanted)

    def _of_files(self, stamps: dict[str, Stamp], wanted: tuple[str, ...]) -> Rows:
        """Rows of some files: from the index what it knows, from the files the rest."""
        if len(stamps) <= LEAST:
            return read_files(self.runs, stamps, wanted)
        known = self._load(wanted)
        held = {} if known is None else known.stamps
        fresh = {name: stamp for name, stamp in stamps.items() if held.get(name) != stamp}
        if known is None or len(fresh) > LEAST:
            self._refresh()
            known = self._load(wanted)
            held = {} if known is None else known.stamps
            fresh = {name: stamp for name, stamp in stamps.items() if held.get(name) != stamp}
        if known is None:
            return read_files(self.runs, stamps, wanted)
        rows = known.of_files([name for name in stamps if name not in fresh])
        return rows.joined(read_files(self.runs, fresh, wanted)) if fresh else rows

    def _refresh(self) -> None:
        """Bring the index file up to date."""
        stamps = self._stamps()
        known = _read(self.runs / NAME, LIGHT_AND_RANGE)
        rows = Rows.empty(LIGHT_AND_RANGE)
        if known is not None:
            rows = known.of_files([name for name, stamp in known.stamps.items() if stamps.get(name) == stamp])
        lacking = {name: stamp for name, stamp in stamps.items() if name not in rows.stamps}
        rows = rows.joined(read_files(self.runs, lacking, LIGHT_AND_RANGE))
        self._loaded = None
        if _write(rows, self.runs / NAME) is None:
            # Kept for this process where the folder cannot be written to.
            self._loaded = (self._own_stamp(), LIGHT_AND_RANGE, rows)

    def _load(self, columns: tuple[str, ...]) -> Rows | None:
        """The index as the file has it now; None where there is none that can be used."""
        stamp = self._own_stamp()
        if self._loaded is not None and self._loaded[0] == stamp and set(columns) <= set(self._loaded[1]):
            return self._loaded[2].select(columns)
        rows = _read(self.runs / NAME, columns)
        if rows is not None:
            self._loaded = (stamp, columns, rows)
        return rows

    def _own_stamp(self) -> Stamp:
        try:
            return stamp_of((self.runs / NAME).stat())
        except OSError:
            return _NOWHERE

    def _stamps(self) -> dict[str, Stamp]:
        """The run files of the folder, sorted by name; those that vanish meanwhile are left out.

        So is what is no file, whatever its name: to read from a pipe may never end.
        """
        found = {}
        with suppress(OSError), os.scandir(self.runs) as entries:
            for entry in entries:
                if entry.name.endswith(".parquet") and not entry.name.startswith("."):
                    with suppress(OSError):
                        if entry.is_file():
                            found[entry.name] = stamp_of(entry.stat())
        return dict(sorted(found.items()))


LIGHT_AND_RANGE = tuple(light_schema().names)
_NOWHERE = Stamp(-1, -1, -1)


def _read(path: Path, columns: Sequence[str]) -> Rows | None:
    schema = light_schema()
    try:
        # Arrow's own file: threads that let go of one of Python's while the interpreter ends abort the process.
        with pa.OSFile(str(path)) as handle, pq.ParquetFile(handle) as file:
            told = json.loads((file.schema_arrow.metadata or {})[_MARK])
            if told["version"] != _VERSION or not file.schema_arrow.equals(schema):
                return None
            stamps = {
                str(name): Stamp(*map(int, stamp)) for name, stamp in zip(told["names"], told["stamps"], strict=True)
            }
            counts = np.array(told["counts"], dtype=np.int64)
            whole = counts.sum() == file.metadata.num_rows and len(counts) == len(stamps) and not (counts < 0).any()
            if not whole or list(stamps) != sorted(stamps):
                return None
            table = file.read(list(columns)).select(list(columns))
            if fault_in(table):
                return None
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
        return None
    typed = pa.schema([schema.field(name) for name in columns], metadata=schema.metadata)
    return Rows(pa.table(table.columns, schema=typed), stamps, counts)


def _write(rows: Rows, path: Path) -> Path | None:
    """Write the index; None where that is not possible."""
    told = {
        "version": _VERSION,
        "names": list(rows.stamps),
        "stamps": list(rows.stamps.values()),
        "counts": rows.counts.tolist(),
    }
    try:
        write_parquet(rows.table.replace_schema_metadata({_MARK: json.dumps(told)}), path)
    except OSError:
        return None
    return path
