"""Arrays in HDF5, and in the .mat of MATLAB 7.3, which is HDF5 with axes reversed and its own words for types."""

from __future__ import annotations

import posixpath
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.files.sparse import from_matrix, from_parts
from cmrbench.data.files.stored import (
    MAX_ARRAYS,
    MAX_WHOLE_BYTES,
    Arrays,
    Key,
    Stored,
    Unreadable,
    as_text,
    plain_dtype,
    said,
)

if TYPE_CHECKING:
    import h5py

MATLAB = b"MATLAB 7.3 MAT-file"
MAX_DEPTH = 8
MAX_CHUNK_BYTES = 1 << 30
MAX_CELLS = 2_000_000
MAX_LISTED_CELLS = 64
_OWN_GROUPS = ("#refs#", "#subsystem#")


def open_hdf5(path: Path) -> Arrays:
    """The arrays of an HDF5 file; those in groups are named ``group/array``.

    The values of MATLAB 7.3 come in the shape that MATLAB shows, and are read in blocks all the same. What leads out
    of the file (external links, raw external storage, virtual datasets) is listed as unreadable and never followed.

    Raises
    ------
    DataError
        If it is no HDF5 file, cut off, or its groups nest deeper than 8.
    """
    import h5py

    with path.open("rb") as handle:
        matlab = handle.read(len(MATLAB)) == MATLAB
    arrays = Arrays(str(path), "MATLAB 7.3 .mat" if matlab else "HDF5")
    try:
        file = arrays.closing.enter_context(h5py.File(path, "r"))
        matlab = matlab or any("MATLAB_class" in _attributes(file, n) for n in _hard_links(file))
        _Walk(arrays, file, matlab).run()
    except (OSError, RuntimeError, ValueError, KeyError, UnicodeError) as error:
        arrays.closing.close()
        raise DataError(f"{path} is not a readable HDF5 file: {said(error)}") from None
    return arrays


def _hard_links(group: Any) -> list[str]:
    import h5py

    return [name for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink)]


def _attributes(group: Any, name: str) -> Any:
    return group[name].attrs


class _Walk:
    """Goes through the groups of a file by hard links alone, each group once."""

    def __init__(self, arrays: Arrays, file: h5py.File, matlab: bool) -> None:
        self.arrays = arrays
        self.file = file
        self.matlab = matlab
        self.seen: set[Any] = set()
        self.soft: list[tuple[str, str]] = []

    def run(self) -> None:
        """List everything; then soft links, which are taken only where they name an array that is listed."""
        self._group(self.file, "", 0)
        for name, target in self.soft:
            if target in self.arrays.stored:
                self.arrays.stored[name] = self.arrays.stored[target]
            else:
                self.arrays.refuse(name, f"a soft link to {target!r}, which is no array of this file")

    def _group(self, group: h5py.Group, prefix: str, depth: int) -> None:
        import h5py

        address = h5py.h5o.get_info(group.id).addr
        if address in self.seen:
            self.arrays.refuse(prefix.rstrip("/"), "a group that contains itself")
            return
        self.seen.add(address)
        if depth > MAX_DEPTH:
            raise DataError(f"{self.arrays.file}: groups nest deeper than {MAX_DEPTH} at {prefix!r}")
        if len(group) > MAX_ARRAYS:
            raise DataError(
                f"{self.arrays.file}: {len(group):,} things in one group; at most {MAX_ARRAYS:,} are listed"
            )
        for key in group:
            if not prefix and key in _OWN_GROUPS:
                continue
            name = prefix + key
            link = group.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                self.arrays.refuse(name, f"a link into another file ({link.filename!r}), which is never followed")
            elif isinstance(link, h5py.SoftLink):
                self.soft.append((name, posixpath.normpath(posixpath.join("/", prefix, link.path)).lstrip("/")))
            else:
                self._thing(name, group[key], depth)

    def _thing(self, name: str, thing: Any, depth: int) -> None:
        import h5py

        if isinstance(thing, h5py.Dataset):
            if self.matlab and _matlab_class(thing) == "cell":
                self._cell(name, thing)
            else:
                self.arrays.add(name, lambda: self._dataset(name, thing))
        elif isinstance(thing, h5py.Group) and "MATLAB_sparse" in thing.attrs:
            self.arrays.add(name, lambda: self._sparse(name, thing))
        elif isinstance(thing, h5py.Group):
            self._group(thing, f"{name}/", depth + 1)

    def _dataset(self, name: str, dataset: h5py.Dataset) -> Stored:
        import h5py

        _inside(dataset)
        where = f"{self.arrays.file}: array {name!r}"
        kind = _matlab_class(dataset) if self.matlab else ""
        if kind in ("function_handle", "struct", "object") or "MATLAB_object_decode" in dataset.attrs:
            raise Unreadable(f"a MATLAB {kind or 'object'}")
        if dataset.shape is None or 0 in dataset.shape or "MATLAB_empty" in dataset.attrs:
            raise Unreadable("empty")
        if not dataset.shape:
            raise Unreadable("a single value")
        if kind == "char":
            return _char(self.arrays.file, name, dataset)
        if h5py.check_string_dtype(dataset.dtype) is not None:
            return Stored(
                self.arrays.file,
                name,
                dataset.shape,
                np.dtype("U1"),
                lambda key: as_text(np.asarray(dataset[key]), where),
            )
        if h5py.check_ref_dtype(dataset.dtype) is not None:
            raise Unreadable("an array of references")
        if dataset.dtype.names and set(dataset.dtype.names) in ({"real", "imag"}, {"r", "i"}):
            raise Unreadable("an array of complex numbers")
        dtype = np.dtype(bool) if kind == "logical" else plain_dtype(dataset.dtype)
        if dataset.chunks and int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize > MAX_CHUNK_BYTES:
            raise DataError(
                f"{where} is stored in chunks of the shape {dataset.chunks}; one of them would not fit into "
                "memory: write it in smaller chunks"
            )
        if self.matlab:
            return Stored(
                self.arrays.file,
                name,
                dataset.shape[::-1],
                dtype,
                lambda key: np.asarray(dataset[key[::-1]]).T.astype(dtype, copy=False),
                (dataset.chunks or ())[::-1],
            )
        return Stored(
            self.arrays.file,
            name,
            dataset.shape,
            dtype,
            lambda key: np.asarray(dataset[key]).astype(dtype, copy=False),
            dataset.chunks or (),
        )

    def _cell(self, name: str, dataset: h5py.Dataset) -> None:
        """A cell array of strings is one array of strings; one of matrices is listed as ``name{1}``, ``name{2}`` ..."""
        try:
            references = _references(dataset)
        except Unreadable as error:
            self.arrays.refuse(name, str(error))
            return
        if references[0] and _matlab_class(self.file[references[0]]) == "char":
            self.arrays.add(name, lambda: _strings(self.arrays.file, name, self.file, references))
        elif len(references) > MAX_LISTED_CELLS:
            self.arrays.refuse(name, f"a cell array of {len(references):,} cells that are no strings")
        else:
            for number, reference in enumerate(references, 1):
                self.arrays.add(f"{name}{{{number}}}", partial(self._in_cell, name, number, reference))

    def _in_cell(self, name: str, number: int, reference: Any) -> Stored:
        import h5py

        thing = self.file[reference] if reference else None
        if not isinstance(thing, h5py.Dataset) or _matlab_class(thing) == "cell":
            raise Unreadable("a cell that holds no array")
        return self._dataset(f"{name}{{{number}}}", thing)

    def _sparse(self, name: str, group: h5py.Group) -> Stored:
        where = f"{self.arrays.file}: array {name!r}"
        rows = int(group.attrs["MATLAB_sparse"])
        if any(part not in _hard_links(group) for part in ("data", "ir", "jc")):
            raise Unreadable("a sparse matrix without values")
        parts = {}
        for part, key in (("data", "data"), ("indices", "ir"), ("indptr", "jc")):
            _inside(group[key])
            if group[key].nbytes > MAX_WHOLE_BYTES:
                raise DataError(f"{where} is sparse with {group[key].nbytes:,} bytes of values; that is too large")
            values = np.asarray(group[key][()])
            if part == "data" and values.dtype.kind not in "biuf":
                raise Unreadable("a sparse matrix of complex numbers" if values.dtype.names else "a sparse matrix")
            parts[part] = values if part == "data" else values.astype(np.int64)
        return from_matrix(self.arrays.file, name, from_parts(where, "csc", parts, (rows, len(parts["indptr"]) - 1)))


def _references(dataset: h5py.Dataset) -> np.ndarray:
    """The cells of a cell array, in MATLAB's order."""
    import h5py

    _inside(dataset)
    if dataset.shape is None or not dataset.size or h5py.check_ref_dtype(dataset.dtype) is None:
        raise Unreadable("an empty cell array")
    if dataset.size > MAX_CELLS:
        raise Unreadable(f"a cell array of {dataset.size:,} cells")
    return np.asarray(dataset[()]).T.ravel("F")


def _inside(dataset: h5py.Dataset) -> None:
    """Refuse values that lie in other files."""
    if dataset.is_virtual:
        raise Unreadable("a virtual dataset, whose values lie in other files")
    if dataset.external:
        raise Unreadable("stored outside the file, in other files")


def _matlab_class(thing: Any) -> str:
    found = thing.attrs.get("MATLAB_class", b"")
    return found.decode("ascii", "replace") if isinstance(found, bytes) else str(found)


def _char(file: str, name: str, dataset: h5py.Dataset) -> Stored:
    """A MATLAB char matrix: every row is one string, filled up with blanks."""
    if dataset.ndim != 2 or dataset.dtype.kind not in "ui":
        raise Unreadable("a char array of more than two axes")
    if dataset.nbytes > MAX_WHOLE_BYTES:
        raise Unreadable("a char array too large to read")

    def source(key: Key) -> np.ndarray:
        codes = np.asarray(dataset[:, key[0]]).T
        return np.array([_decoded(row).rstrip(" ") for row in codes], dtype=np.str_)

    return Stored(file, name, (dataset.shape[1],), np.dtype("U1"), source)


def _decoded(codes: np.ndarray) -> str:
    return np.ascontiguousarray(codes, "<u2").tobytes().decode("utf-16-le", "replace")


def _strings(file: str, name: str, root: h5py.File, references: np.ndarray) -> Stored:
    where = f"{file}: array {name!r}"

    def source(key: Key) -> np.ndarray:
        found = []
        for row, reference in enumerate(references[key[0]], key[0].start):
            target = root[reference] if reference else None
            if target is None or _matlab_class(target) != "char":
                raise DataError(f"{where}: cell {row} holds no string, but the first one does")
            _inside(target)
            empty = "MATLAB_empty" in target.attrs
            found.append("" if empty else _decoded(np.asarray(target[()]).T.ravel()))
        return as_text(np.array(found, dtype=object), where)

    return Stored(file, name, (len(references),), np.dtype("U1"), source)
