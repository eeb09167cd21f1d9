"""Writers of exported arrays: .npz, a folder of .npy, HDF5, MATLAB and Parquet; big arrays block by block."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from cmrbench.core.errors import DataError

if TYPE_CHECKING:
    from cmrbench.data.exporting.layout import Column, Layout

MAX_MATLAB_BYTES = (1 << 31) - 1
"""What one matrix of a MATLAB 5 file can hold."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_npz(layout: Layout, folder: Path) -> dict[str, str]:
    """Write data.npz; returns the name that each array has got."""
    with zipfile.ZipFile(folder / "data.npz", "x", allowZip64=True) as archive:
        for column in layout.all:
            with archive.open(zipfile.ZipInfo(f"{column.name}.npy", _EPOCH), "w", force_zip64=True) as writing:
                _write_npy(column, writing)
    return _same(layout)


def write_npy(layout: Layout, folder: Path) -> dict[str, str]:
    """Write one .npy file an array, which can be memory-mapped."""
    for column in layout.all:
        with open(folder / f"{column.name}.npy", "xb") as writing:
            _write_npy(column, writing)
    return _same(layout)


def _write_npy(column: Column, writing: Any) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(column.dtype), "fortran_order": False, "shape": column.shape}
    stream: BinaryIO = writing
    np.lib.format.write_array_header_1_0(stream, header)
    for block in column.blocks():
        stream.write(np.ascontiguousarray(block, dtype=column.dtype).tobytes())


def write_h5(layout: Layout, folder: Path) -> dict[str, str]:
    """Write data.h5."""
    import h5py

    with h5py.File(folder / "data.h5", "x") as file:
        for column in layout.all:
            if column.is_text:
                values = column.whole().astype(object)
                file.create_dataset(column.name, data=values, dtype=h5py.string_dtype())
                continue
            stored = file.create_dataset(column.name, column.shape, column.dtype)
            start = 0
            for block in column.blocks():
                stored[start : start + len(block)] = block
                start += len(block)
    return _same(layout)


def write_mat(layout: Layout, folder: Path) -> dict[str, str]:
    """Write data.mat (MATLAB 5): strings as cells, names as MATLAB takes them.

    Raises
    ------
    DataError
        If an array is too large for the format.
    """
    from scipy.io import savemat

    names: dict[str, str] = {}
    for column in layout.all:
        name = re.sub(r"[^A-Za-z0-9_]", "_", column.name)
        name = name if name[:1].isalpha() else f"m_{name}"
        if name in names.values():
            raise DataError(f"two arrays would be named {name} in MATLAB; export as h5 instead")
        size = column.dtype.itemsize * int(np.prod(column.shape, dtype=np.int64))
        if size > MAX_MATLAB_BYTES:
            raise DataError(
                f"{column.name} has {size:,} bytes, a MATLAB 5 file holds {MAX_MATLAB_BYTES:,} an array; "
                f"export as h5, which MATLAB reads, too"
            )
        names[column.name] = name
    values: dict[str, Any] = {}
    for column in layout.all:
        whole = column.whole()
        values[names[column.name]] = whole.astype(object).reshape(-1, 1) if column.is_text else whole
    savemat(folder / "data.mat", values, format="5", oned_as="column", long_field_names=True)
    return names


def write_parquet(layout: Layout, folder: Path) -> dict[str, str]:
    """Write data.parquet, or a file a modality where they have different items; vectors are lists."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for table, columns in layout.tables.items():
        fields = [pa.field(c.name, _arrow_type(c)) for c in columns]
        told = {"class_names": "\n".join(c.whole().tolist())} if (c := _class_names(layout)) else {}
        told |= {f"shape of {c.name}": "x".join(map(str, c.shape[1:])) for c in columns if len(c.shape) > 2}
        schema = pa.schema(fields, metadata=told)
        big = [c for c in columns if not c.is_text and len(c.shape) > 1]
        small = {c.name: c.whole() for c in columns if c not in big}
        with pq.ParquetWriter(folder / f"{table}.parquet", schema) as writer:
            for start, stop, blocks in together(big, columns[0].shape[0]):
                arrays = [
                    _arrow(blocks[c.name] if c in big else small[c.name][start:stop], field.type)
                    for c, field in zip(columns, fields, strict=True)
                ]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema), row_group_size=stop - start)
    return _same(layout)


def _class_names(layout: Layout) -> Column | None:
    return next((c for c in layout.extra if c.name == "class_names"), None)


def _arrow_type(column: Column) -> Any:
    import pyarrow as pa

    if column.is_text:
        return pa.string()
    value = pa.from_numpy_dtype(column.dtype)
    width = int(np.prod(column.shape[1:], dtype=np.int64))
    return pa.list_(value, width) if len(column.shape) > 1 else value


def _arrow(values: np.ndarray, kind: Any) -> Any:
    import pyarrow as pa

    if values.ndim == 1:
        return pa.array(values.tolist() if values.dtype.kind == "U" else values, kind)
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).reshape(-1)), type=kind)


def together(columns: Sequence[Column], n: int, rows: int = 8192) -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
    """Start, end and the rows of several columns by name, so many at a time, however their blocks are cut."""
    readers = {c.name: _Reader(c) for c in columns}
    for start in range(0, n, rows):
        stop = min(start + rows, n)
        yield start, stop, {name: reader.take(stop - start) for name, reader in readers.items()}


class _Reader:
    """Takes rows off a column's blocks, however these are cut."""

    def __init__(self, column: Column) -> None:
        self.blocks = column.blocks()
        self.left = np.empty((0, *column.shape[1:]), column.dtype)

    def take(self, n: int) -> np.ndarray:
        parts, have = [self.left], len(self.left)
        while have < n:
            parts.append(next(self.blocks))
            have += len(parts[-1])
        joined = np.concatenate(parts)
        self.left = joined[n:]
        return joined[:n]


def _same(layout: Layout) -> dict[str, str]:
    return {c.name: c.name for c in layout.all}


FORMATS: Mapping[str, tuple[str, Callable[[Layout, Path], dict[str, str]]]] = {
    "npz": ("data.npz", write_npz),
    "folder": ("one .npy file an array", write_npy),
    "h5": ("data.h5", write_h5),
    "mat": ("data.mat", write_mat),
    "parquet": ("Parquet", write_parquet),
}
"""What `data export` can write: how it is called, what it is, and its writer."""
