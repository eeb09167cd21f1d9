"""The Parquet file of one run: written whole or not at all, laid out to be opened fast, read if it is one of ours."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


class StoreWarning(UserWarning):
    """A file in the results folder is not what the store wrote; it is left alone and left out."""


def read_run(path: Path, columns: Sequence[str] | None) -> pa.Table:
    """A run's rows with some columns, or all; those that a file of an earlier version lacks are null.

    Raises
    ------
    OSError, pyarrow.ArrowException, ValueError
        If the file cannot be read, or is not of a run.
    """
    import pyarrow.parquet as pq

    from cmrbench.store.schema import completed, is_known

    with pq.ParquetFile(path) as file:
        found = file.schema_arrow
        if not is_known(found):
            raise ValueError("its columns are not those of a cmrbench result")
        held = None if columns is None else [name for name in columns if name in found.names]
        return completed(file.read(held, use_threads=False), columns)


def write_run(table: pa.Table, path: Path) -> None:
    """Write a run's rows so that `path` is either the old file or the whole new one."""
    write_parquet(table, path, **run_layout())


def write_parquet(table: pa.Table, path: Path, **options: Any) -> None:
    """Write a table so that `path` is either the old file or the whole new one, whatever happens."""
    import pyarrow.parquet as pq

    temporary = path.parent / f".tmp-{secrets.token_hex(8)}.parquet"
    try:
        with open(temporary, "xb") as out:
            pq.write_table(table, out, **{"compression": "zstd", **options})
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
    compression = {leaf: "zstd" if leaf.split(".")[0] in HEAVY else "none" for leaf in leaves}
    return {"compression": compression, "use_dictionary": False, "write_statistics": False}
