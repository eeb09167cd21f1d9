"""The Parquet file of one run: written whole or not at all, laid out to be opened fast, read if it is one of ours."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.files import whole

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


class StoreWarning(UserWarning):
    """A file in the results folder is not what the store wrote; it is left alone and left out."""


def read_run(path: Path, columns: Sequence[str] | None) -> pa.Table:
    """A run's rows with some columns, or all; those that a file of an earlier version lacks are null.

    Raises
    ------
    OSError, pyarrow.ArrowException, ValueError
        If the file cannot be read, or is not of a run.
    """
    from cmrbench.store.schema import completed

    return completed(read_held(path, columns), columns)


def read_held(path: Path, columns: Sequence[str] | None) -> pa.Table:
    """As `read_run`, without the columns that the file lacks, and with the columns in the order of the file."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        held = _held(file)
        return file.read(held if columns is None else [name for name in held if name in columns], use_threads=False)


def _held(file: pq.ParquetFile) -> list[str]:
    """The columns of a run's file."""
    from cmrbench.store.schema import is_known

    found = file.schema_arrow
    if not is_known(found):
        raise ValueError("its columns are not those of a cmrbench result")
    return list(found.names)


@dataclass(frozen=True)
class Values:
    """Where the values of the column ``per_query`` lie in a file.

    Attributes
    ----------
    at : list of int or None
        First byte of each row's values, as little-endian float64; None: not in one piece.
    lengths : list of int or None
        How many values a row has; None: it has no list of them.
    """

    at: list[int | None]
    lengths: list[int | None]


def values_in(path: Path, columns: Sequence[str]) -> tuple[pa.Table, Values]:
    """As `read_held`, and where the values of queries lie: proved by comparing the bytes with what a reader finds."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pa.OSFile(str(path)) as handle, pq.ParquetFile(handle) as file:
        wanted = {*columns, "per_query"}
        table = file.read([name for name in _held(file) if name in wanted], use_threads=False)
        listed = table.column("per_query").combine_chunks()
        told = listed.value_lengths()
        lengths = told.fill_null(0).to_numpy().astype(np.int64)
        values = np.asarray(listed.flatten().to_numpy(zero_copy_only=False), dtype="<f8").tobytes()
        end = _end_of_values(file)
        if end is not None and sys.byteorder == "little" and not listed.flatten().null_count:
            handle.seek(max(0, end - len(values)))
            if handle.read(len(values)) == values:
                at = end - len(values) + 8 * (np.cumsum(lengths) - lengths)
                return table, Values(at.tolist(), told.to_pylist())
    return table, Values([None] * len(lengths), told.to_pylist())


def _end_of_values(file: pq.ParquetFile) -> int | None:
    """The byte after the column ``per_query``, which ends in its values where it is one page without compression."""
    metadata = file.metadata
    if metadata.num_row_groups != 1:
        return None
    group = metadata.row_group(0)
    for i in range(metadata.num_columns):
        column = group.column(i)
        if column.path_in_schema.startswith("per_query."):
            first = column.data_page_offset
            return int(first + column.total_compressed_size) if column.compression == "UNCOMPRESSED" else None
    return None


def write_run(table: pa.Table, path: Path) -> None:
    """Write a run's rows so that `path` is either the old file or the whole new one."""
    write_parquet(table, path, **run_layout())


def write_parquet(table: pa.Table, path: Path, **options: Any) -> None:
    """Write a table so that `path` is either the old file or the whole new one, whatever happens."""
    import pyarrow.parquet as pq

    with whole(path) as out:
        pq.write_table(table, out, **{"compression": "zstd", **options})


@cache
def run_layout() -> dict[str, Any]:
    """How pyarrow is to write a run's rows.

    Of a few rows, compressing and counting what is short gains nothing, and makes opening thousands of files slow.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from cmrbench.store.schema import HEAVY, SCHEMA

    sink = pa.BufferOutputStream()
    pq.write_table(SCHEMA.empty_table(), sink)
    schema = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    leaves = [schema.column(i).path for i in range(len(schema))]
    # Values of queries do not shrink, and can be read by their place in the file where they are one page as they are.
    plain = [name for name in SCHEMA.names if name not in HEAVY or name == "per_query"]
    return {
        "compression": {leaf: "none" if leaf.split(".")[0] in plain else "zstd" for leaf in leaves},
        "use_dictionary": False,
        "write_statistics": False,
        "data_page_size": 1 << 30,
        "store_schema": False,
    }
