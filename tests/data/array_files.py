"""Array files as MATLAB and others write them, to be read and to be broken one way at a time."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.io import savemat

from cmrbench.data.files import open_arrays

RNG = np.random.default_rng(5)
IMAGE = RNG.standard_normal((23, 5))
LABEL = RNG.integers(0, 2, (23, 3)).astype(np.uint8)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def save_mat73(path: Path, **values: Any) -> Path:
    """A .mat as MATLAB writes it with -v7.3: HDF5 behind 512 bytes, axes reversed, types in attributes.

    Arrays are written as they are; strings as char; lists as cell arrays; scipy sparse matrices as sparse groups.
    """
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in values.items():
            _write(file, file, name, value)
    with path.open("r+b") as handle:
        handle.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 .")
        handle.seek(124)
        handle.write(b"\x00\x02IM")
    return path


def _write(file: h5py.File, group: h5py.Group, name: str, value: Any) -> None:
    if hasattr(value, "tocsc"):
        matrix = value.tocsc()
        made = group.create_group(name)
        made.attrs["MATLAB_class"] = np.bytes_("double")
        made.attrs["MATLAB_sparse"] = np.uint64(matrix.shape[0])
        made["data"], made["ir"] = matrix.data, matrix.indices.astype(np.uint64)
        made["jc"] = matrix.indptr.astype(np.uint64)
    elif isinstance(value, str):
        codes = np.frombuffer(value.encode("utf-16-le"), "<u2").reshape(-1, 1)
        made = group.create_dataset(name, data=codes if value else np.array([0, 0], np.uint64))
        made.attrs["MATLAB_class"] = np.bytes_("char")
        if not value:
            made.attrs["MATLAB_empty"] = np.uint8(1)
    elif isinstance(value, list):
        held = file.require_group("#refs#")
        references = []
        for item in value:
            key = f"r{len(held)}"
            _write(file, held, key, item)
            references.append(held[key].ref)
        made = group.create_dataset(name, data=np.array([references], dtype=h5py.ref_dtype))
        made.attrs["MATLAB_class"] = np.bytes_("cell")
    else:
        array = np.asarray(value)
        logical = array.dtype == bool
        made = group.create_dataset(name, data=(array.astype(np.uint8) if logical else array).T)
        made.attrs["MATLAB_class"] = np.bytes_("logical" if logical else "double")


def save_npy_folder(path: Path, **arrays: np.ndarray) -> Path:
    path.mkdir()
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    return path


def save_h5(path: Path, **arrays: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, chunks=(4, 2) if array.ndim == 2 else None)
    return path


def save_parquet(path: Path, **arrays: np.ndarray) -> Path:
    table = pa.table({n: [row.tolist() for row in a] if a.ndim == 2 else a for n, a in arrays.items()})
    table = table.set_column(1, "label", pa.array(LABEL.tolist(), pa.list_(pa.uint8())))
    pq.write_table(table, path, row_group_size=6)
    return path


def saved(save: Callable[..., Any]) -> Callable[..., Path]:
    def write(path: Path, **arrays: np.ndarray) -> Path:
        save(path, arrays)
        return path

    return write


FORMATS: dict[str, tuple[str, Callable[..., Path]]] = {
    "mat5": ("a.mat", saved(savemat)),
    "mat5 compressed": ("a.mat", saved(lambda p, a: savemat(p, a, do_compression=True))),
    "mat73": ("a.mat", save_mat73),
    "hdf5": ("a.h5py", save_h5),
    "npz": ("a.npz", saved(lambda p, a: np.savez(p, **a))),
    "npz compressed": ("a.npz", saved(lambda p, a: np.savez_compressed(p, **a))),
    "npy folder": ("folder", save_npy_folder),
    "parquet": ("a.parquet", save_parquet),
}
"""The name of a file and what writes it, by format."""


def element(kind: int, values: bytes) -> bytes:
    """A tagged part of a MATLAB 5 file, filled up to eight bytes."""
    return struct.pack("<II", kind, len(values)) + values + bytes(-len(values) % 8)


def mat5_matrix(name: str, kind: int, shape: tuple[int, ...], rest: bytes, flags: int = 0) -> bytes:
    """A variable of a MATLAB 5 file: its class, shape and name, and the parts that hold the values."""
    head = element(6, struct.pack("<II", kind | flags, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, head + element(1, name.encode()) + rest)


def mat5_file(*variables: bytes) -> bytes:
    """A whole MATLAB 5 file."""
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(variables)


def read_all(path: Path, *names: str) -> None:
    """Open a file and read these arrays of it, or all."""
    with open_arrays(path) as arrays:
        for name in names or arrays:
            arrays[name].read()
