"""Arrays in an .npz: members that are not compressed are mapped, the others are read whole, one at a time."""

from __future__ import annotations

import math
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.files.npy import header, mapped
from cmrbench.data.files.sparse import from_matrix, from_parts
from cmrbench.data.files.stored import (
    MAX_WHOLE_BYTES,
    Arrays,
    Key,
    Stored,
    Unreadable,
    as_text,
    plain_dtype,
    said,
)

_LOCAL_HEADER = 30
_SPARSE = {"format", "shape", "data", "indices", "indptr"}


def open_npz_arrays(path: Path) -> Arrays:
    """The arrays of an .npz.

    A compressed member knows no blocks: it is read whole, up to 4 GiB, and the last one that was read is kept. The
    file of `scipy.sparse.save_npz` is one array, named like the file.

    Raises
    ------
    DataError
        If it is no zip, encrypted, damaged, or holds a name twice.
    """
    arrays = Arrays(str(path), "NumPy .npz")
    try:
        archive = arrays.closing.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(f"{path} is not a readable .npz: {said(error)}") from None
    members = archive.infolist()
    names = [m.filename.removesuffix(".npy") for m in members]
    if len(set(names)) < len(names):
        raise DataError(f"{path} holds an array twice under one name; write the file anew")
    reader = _Members(path, archive)
    for name, member in zip(names, members, strict=True):
        arrays.add(name, partial(reader.stored, name, member))
    if set(arrays.stored) | set(arrays.unreadable) == _SPARSE:
        matrix = _sparse(path, arrays, reader)
        arrays.stored.clear()
        arrays.unreadable.clear()
        arrays.add(path.stem, lambda: from_matrix(str(path), path.stem, matrix))
    return arrays


class _Members:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self.archive = archive
        self._kept: tuple[str, np.ndarray] | None = None

    def stored(self, name: str, member: zipfile.ZipInfo) -> Stored:
        """The member as a stored array; only its header is read."""
        where = f"{self.path}: array {name!r}"
        if member.flag_bits & 1:
            raise Unreadable("encrypted")
        if not member.filename.endswith(".npy"):
            raise Unreadable("no .npy array")
        try:
            with self.archive.open(member) as handle:
                shape, fortran, dtype = header(handle, where)  # type: ignore[arg-type]
                values_at = handle.tell()
        except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
            raise DataError(f"{where} is damaged: {said(error)}") from None
        kind = plain_dtype(dtype)
        if not shape:
            raise Unreadable("a single value")
        if member.compress_type == zipfile.ZIP_STORED:
            return mapped(self.path, name, self._start(member) + values_at, (shape, fortran, dtype))
        size = math.prod(shape) * dtype.itemsize
        if size + values_at != member.file_size:
            raise DataError(
                f"{where} of shape {shape} needs {size:,} bytes, {member.file_size - values_at:,} are there"
            )
        if size > MAX_WHOLE_BYTES:
            raise DataError(
                f"{where} is compressed and would unpack to {size:,} bytes; at most {MAX_WHOLE_BYTES:,} are "
                "unpacked: save it with numpy.savez, which does not compress"
            )

        def source(key: Key) -> np.ndarray:
            values = self.whole(name, member)[key]
            return as_text(values, where) if dtype.kind in "US" else np.array(values)

        if 0 in shape:
            raise Unreadable("empty")
        return Stored(str(self.path), name, shape, kind, source)

    def whole(self, name: str, member: zipfile.ZipInfo) -> np.ndarray:
        """All values of a compressed member."""
        if self._kept is None or self._kept[0] != name:
            self._kept = None
            with self.archive.open(member) as handle:
                values: np.ndarray = np.lib.format.read_array(handle, allow_pickle=False)
            self._kept = (name, values)
        return self._kept[1]

    def _start(self, member: zipfile.ZipInfo) -> int:
        """Where a member's bytes begin: its local header can have other extra fields than the directory says."""
        with self.path.open("rb") as handle:
            handle.seek(member.header_offset)
            local = handle.read(_LOCAL_HEADER)
        if len(local) < _LOCAL_HEADER or local[:4] != b"PK\x03\x04":
            raise DataError(f"{self.path} is damaged: there is no member where its directory says")
        return (
            member.header_offset
            + _LOCAL_HEADER
            + int.from_bytes(local[26:28], "little")
            + int.from_bytes(local[28:30], "little")
        )


def _sparse(path: Path, arrays: Arrays, reader: _Members) -> Any:
    parts: dict[str, np.ndarray] = {}
    for name in _SPARSE - {"format"}:
        parts[name] = arrays[name].read()
    # The layout's name has no axis, so it is not among the arrays.
    layout = np.asarray(reader.whole("format", reader.archive.getinfo("format.npy"))).item()
    layout = layout.decode("ascii", "replace") if isinstance(layout, bytes) else str(layout)
    shape = parts.pop("shape")
    if shape.shape != (2,) or shape.dtype.kind not in "iu":
        raise DataError(f"{path} is not a sound sparse matrix: its shape is {shape}")
    return from_parts(str(path), layout, parts, (int(shape[0]), int(shape[1])))
