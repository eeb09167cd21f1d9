"""Columns of a Parquet file: numbers, strings, and lists of one length as matrices, read by row groups."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.files.stored import MAX_WHOLE_BYTES, Arrays, Key, Stored, Unreadable, as_text, said


def open_parquet(path: Path) -> Arrays:
    """The columns of the file.

    Raises
    ------
    DataError
        If it is no Parquet file, or a row group would unpack to more than 4 GiB.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = Arrays(str(path), "Parquet")
    try:
        file = arrays.closing.enter_context(pq.ParquetFile(path))
        metadata = file.metadata
        groups = [metadata.row_group(g) for g in range(metadata.num_row_groups)]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {said(error)}") from None
    for number, group in enumerate(groups):
        if group.total_byte_size > MAX_WHOLE_BYTES:
            raise DataError(
                f"{path}: row group {number} would unpack to {group.total_byte_size:,} bytes; "
                f"at most {MAX_WHOLE_BYTES:,} are read at once: write smaller row groups"
            )
    bounds = np.cumsum([0, *(g.num_rows for g in groups)])
    reader = _Groups(file, bounds)
    for column in file.schema_arrow:
        arrays.add(column.name, partial(_column, arrays.file, column, reader))
    return arrays


class _Groups:
    """Reads one column of one row group at a time, and keeps the last."""

    def __init__(self, file: Any, bounds: np.ndarray) -> None:
        self.file = file
        self.bounds = bounds
        self._kept: tuple[tuple[str, int], Any] | None = None

    def rows(self, name: str, start: int, stop: int) -> list[Any]:
        """Rows of a column, as one Arrow array a row group that they lie in."""
        import pyarrow as pa

        parts = []
        for group in range(len(self.bounds) - 1):
            first, last = int(self.bounds[group]), int(self.bounds[group + 1])
            if first < stop and start < last:
                if self._kept is None or self._kept[0] != (name, group):
                    self._kept = None
                    column = self.file.read_row_group(group, columns=[name], use_threads=False).column(name)
                    whole = column.combine_chunks()
                    self._kept = ((name, group), pa.concat_arrays(whole.chunks) if hasattr(whole, "chunks") else whole)
                a, b = max(start, first) - first, min(stop, last) - first
                parts.append(self._kept[1].slice(a, b - a))
        return parts

    def first_length(self, name: str) -> int:
        """The length of the first row's list; reads no more than that takes.

        The file's metadata would tell, too, but pyarrow ends the process where that is damaged.
        """
        batch = next(self.file.iter_batches(batch_size=1, columns=[name], use_threads=False))
        first = batch.column(0)[0].as_py()
        return len(first) if first is not None else 0


def _column(file: str, column: Any, reader: _Groups) -> Stored:
    import pyarrow.types as types

    name, n = column.name, int(reader.bounds[-1])
    where = f"{file}: array {name!r}"
    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    if not n:
        raise Unreadable("empty")
    if types.is_string(kind) or types.is_large_string(kind):

        def texts(key: Key) -> np.ndarray:
            found = [value for part in reader.rows(name, key[0].start, key[0].stop) for value in part.to_pylist()]
            for row, value in enumerate(found, key[0].start):
                if value is None:
                    raise DataError(f"{where}: row {row} is null")
            return as_text(np.array(found, dtype=object), where)

        return Stored(file, name, (n,), np.dtype("U1"), texts)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        values = kind.value_type
        width = reader.first_length(name)
        if not _is_number(values) or not width:
            raise Unreadable("a column of lists that are empty or no numbers")

        def lists(key: Key) -> np.ndarray:
            made = [_matrix(part, width, where) for part in reader.rows(name, key[0].start, key[0].stop)]
            joined = np.concatenate(made) if made else np.empty((0, width), dtype)
            return joined[:, key[1]]

        dtype = np.dtype(values.to_pandas_dtype())
        return Stored(file, name, (n, width), dtype, lists)
    if not _is_number(kind):
        raise Unreadable(f"a column of the type {column.type}")
    dtype = np.dtype(kind.to_pandas_dtype())

    def numbers(key: Key) -> np.ndarray:
        parts = reader.rows(name, key[0].start, key[0].stop)
        return np.concatenate([_plain(part, where) for part in parts]) if parts else np.empty(0, dtype)

    return Stored(file, name, (n,), dtype, numbers)


def _is_number(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _plain(part: Any, where: str) -> np.ndarray:
    if part.null_count:
        raise DataError(f"{where} holds {part.null_count:,} nulls; give every row a value")
    import pyarrow as pa

    if pa.types.is_dictionary(part.type):
        part = part.dictionary_decode()
    return np.asarray(part.to_numpy(zero_copy_only=False))


def _matrix(part: Any, width: int, where: str) -> np.ndarray:
    """Lists of one length as rows."""
    if part.null_count:
        raise DataError(f"{where} holds {part.null_count:,} nulls; give every row a list")
    import pyarrow.compute as pc

    lengths = np.asarray(pc.list_value_length(part).to_numpy(zero_copy_only=False))
    if (lengths != width).any():
        row = int(np.argmax(lengths != width))
        raise DataError(f"{where}: lists are of different lengths, {lengths[row]} where {width} is expected")
    return _plain(part.flatten(), where).reshape(len(part), width)
