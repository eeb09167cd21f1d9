"""Array files as MATLAB and others write them, to be read and to be broken one way at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np


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
