"""Array files that are hostile, damaged or something else: refused in words, and never followed or unpacked."""

from __future__ import annotations

import contextlib
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from array_files import FORMATS, IMAGE, LABEL, Trap, element, mat5_file, mat5_matrix, read_all, save_h5, save_mat73
from scipy import sparse
from scipy.io import savemat

from cmrbench.core.errors import DataError
from cmrbench.data.files import open_arrays


def test_what_leads_out_of_an_hdf5_file_is_never_followed(tmp_path: Path) -> None:
    secret = save_h5(tmp_path / "secret.h5", image=IMAGE)
    raw = tmp_path / "raw.bin"
    raw.write_bytes(IMAGE.tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["fine"] = IMAGE
        file["external"] = h5py.ExternalLink(str(secret), "image")
        file["dangling"] = h5py.SoftLink("/nowhere")
        file["through"] = h5py.SoftLink("/external")
        file.create_dataset("raw", IMAGE.shape, "f8", external=[(str(raw), 0, h5py.h5f.UNLIMITED)])
        layout = h5py.VirtualLayout(IMAGE.shape, "f8")
        layout[:] = h5py.VirtualSource(str(secret), "image", IMAGE.shape)
        file.create_virtual_dataset("virtual", layout)
    with open_arrays(tmp_path / "a.h5") as arrays:
        assert list(arrays) == ["fine"]
        for name, said in {
            "external": "a link into another file",
            "dangling": "a soft link to 'nowhere', which is no array of this file",
            "through": "a soft link to 'external', which is no array",
            "raw": "stored outside the file",
            "virtual": "a virtual dataset, whose values lie in other files",
        }.items():
            with pytest.raises(DataError, match=said):
                arrays[name]


def cells(file: h5py.File, **where: object) -> h5py.Dataset:
    """A MATLAB cell array of two, none of which refers to anything yet."""
    made = file.create_dataset("c", (2, 1), dtype=h5py.ref_dtype, **where)
    made.attrs["MATLAB_class"] = np.bytes_("cell")
    file["image"] = IMAGE
    file["image"].attrs["MATLAB_class"] = np.bytes_("double")
    return made


def test_cells_that_lie_in_another_file_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.bin"
    with h5py.File(tmp_path / "a.mat", "w") as file:
        cells(file, external=[(str(outside), 0, 16)])
        address = h5py.h5o.get_info(file["image"].id).addr
    for content in (np.array([address, address], "<u8").tobytes(), None):
        outside.unlink() if content is None else outside.write_bytes(content)
        with open_arrays(tmp_path / "a.mat") as arrays:
            assert list(arrays) == ["image"]
            assert arrays.unreadable == {"c": "stored outside the file, in other files"}


@pytest.mark.parametrize("full", [0, 1])
def test_cells_that_refer_to_nothing(full: int, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.mat", "w") as file:
        made = cells(file)
        made[full, 0] = file["image"].ref
    with open_arrays(tmp_path / "a.mat") as arrays:
        assert set(arrays) == {"image", f"c{{{full + 1}}}"}
        assert set(arrays.unreadable) == {f"c{{{2 - full}}}"}


def test_groups_that_contain_themselves_end(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("a")
        group["image"] = IMAGE
        group["again"] = group
        file["a/root"] = file["/"]
    with open_arrays(tmp_path / "a.h5") as arrays:
        assert list(arrays) == ["a/image"]
        assert arrays.unreadable["a/again"] == "a group that contains itself"


def test_deep_groups_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["/".join("abcdefghijklm")] = IMAGE
    with pytest.raises(DataError, match="groups nest deeper than 8"):
        open_arrays(tmp_path / "a.h5")


@pytest.mark.parametrize("kind", ["npz", "npz compressed", "npy", "pickle"])
def test_pickles_are_never_opened(kind: str, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    objects = np.array([Trap(sprung)], dtype=object)
    path = tmp_path / f"a.{kind[:3]}"
    if kind == "pickle":
        path = tmp_path / "a.npy"
        path.write_bytes(pickle.dumps(Trap(sprung)))
        with pytest.raises(DataError, match="is a Python pickle, which is never opened"):
            open_arrays(path)
    else:
        save = {"npz": np.savez, "npz compressed": np.savez_compressed}.get(kind)
        np.save(path, objects, allow_pickle=True) if save is None else save(path, a=objects, fine=IMAGE)
        with open_arrays(path) as arrays:
            with pytest.raises(DataError, match="an array of Python objects"):
                arrays["a"]
            assert kind == "npy" or arrays["fine"].read().shape == IMAGE.shape
    assert not sprung.exists()


def test_sparse_indices_are_checked(tmp_path: Path) -> None:
    matrix = sparse.csr_matrix(np.eye(4))
    np.savez(
        tmp_path / "a.npz",
        format=b"csr",
        shape=np.array([4, 4]),
        data=matrix.data,
        indices=matrix.indices + 2**20,
        indptr=matrix.indptr,
    )
    with pytest.raises(DataError, match="not a sound sparse matrix"):
        open_arrays(tmp_path / "a.npz")


def test_sparse_rows_without_end_take_no_memory(tmp_path: Path) -> None:
    path = save_mat73(tmp_path / "a.mat", text=sparse.csc_matrix(np.eye(3)))
    with h5py.File(path, "r+") as file:
        file["text"].attrs["MATLAB_sparse"] = np.uint64(2**31)
    with pytest.raises(DataError, match=r"claims the shape \(2147483648, 3\), which is too large"):
        open_arrays(path)


@pytest.mark.parametrize("kind", FORMATS)
def test_files_that_are_cut_off(kind: str, tmp_path: Path) -> None:
    """Wherever a file is cut, it is refused when it is opened or read; never taken, and never another error."""
    name, save = FORMATS[kind]
    path = save(tmp_path / name, image=IMAGE, label=LABEL)
    target = path / "image.npy" if path.is_dir() else path
    whole = target.read_bytes()
    for share in (0.02, 0.3, 0.5, 0.9, 0.98):
        target.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DataError) as caught:
            read_all(path, "image", "label")
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_bytes_never_raise_anything_else(kind: str, tmp_path: Path) -> None:
    name, save = FORMATS[kind]
    path = save(tmp_path / name, image=IMAGE, label=LABEL)
    target = path / "image.npy" if path.is_dir() else path
    whole = bytearray(target.read_bytes())
    rng = np.random.default_rng(1)
    for position in rng.integers(0, min(len(whole), 1500), 60).tolist():
        damaged = bytearray(whole)
        damaged[position] ^= int(rng.integers(1, 256))
        target.write_bytes(damaged)
        with contextlib.suppress(DataError):
            read_all(path)


def test_arrays_that_claim_too_much(tmp_path: Path) -> None:
    huge = tmp_path / "huge.npy"
    with huge.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, {"descr": "<f8", "fortran_order": False, "shape": (2**40, 2**40)})
    with pytest.raises(DataError, match=r"huge\.npy: array 'huge' of shape .* needs [\d,]+ bytes, the file has"):
        open_arrays(huge)
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("image", (2**40, 2**10), "f8", chunks=(64, 64))
    with pytest.raises(DataError, match=r"huge\.h5: array 'image' claims [\d,]+ bytes"):
        open_arrays(tmp_path / "huge.h5")
    mat = tmp_path / "huge.mat"
    mat.write_bytes(mat5_file(mat5_matrix("image", 6, (2**30, 2**30), b"")))
    with pytest.raises(DataError, match=r"huge\.mat: array 'image' claims the shape \(1073741824, 1073741824\)"):
        open_arrays(mat)


def test_bombs_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = tmp_path / "bomb.npz"
    np.savez_compressed(bomb, image=np.zeros((3000, 1000)))
    mat = tmp_path / "bomb.mat"
    cell = mat5_matrix("", 9, (0, 0), bytes(4 << 20))
    whole = mat5_matrix("image", 1, (1, 1), cell)
    packed = zlib.compress(whole)
    mat.write_bytes(mat5_file(struct.pack("<II", 15, len(packed)) + packed))
    for module in ("npz", "mat5_parts"):
        monkeypatch.setattr(f"cmrbench.data.files.{module}.MAX_WHOLE_BYTES", 1 << 20)
    tracemalloc.start()
    with pytest.raises(
        DataError, match=r"image' is compressed and would unpack to 24,000,000 bytes; at most 1,048,576"
    ):
        open_arrays(bomb)
    with pytest.raises(DataError, match=r"bomb\.mat unpacks to more than 1,048,576 bytes"):
        open_arrays(mat)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_indices_of_a_matlab_sparse_matrix_are_checked(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"text": sparse.csc_matrix(np.eye(3)[[2, 0, 1]])})
    content = (tmp_path / "a.mat").read_bytes()
    row_numbers = np.array([1, 2, 0], np.int32).tobytes()
    assert content.count(row_numbers) == 1
    (tmp_path / "a.mat").write_bytes(content.replace(row_numbers, np.array([1, 2, 2**30], np.int32).tobytes()))
    with pytest.raises(DataError, match="not a sound sparse matrix"):
        read_all(tmp_path / "a.mat")


def test_matlab_values_that_are_not_what_is_announced(tmp_path: Path) -> None:
    """Compiled parsers of this format end the process on some of these."""
    four = bytes(32)
    cases = {
        "few": (mat5_matrix("x", 6, (2, 3), element(9, four)), r"array 'x' of shape \(2, 3\) has 4 values"),
        "type": (mat5_matrix("x", 6, (2, 2), element(99, four)), "values of the unknown type 99"),
        "string": (mat5_matrix("x", 4, (1, 9), element(4, four)), r"string 'x' has 16 of 9 characters"),
        "long": (mat5_matrix("x", 6, (2, 2), struct.pack("<II", 9, 2**31)), "a part of 2,147,483,648 bytes where"),
        "cell": (mat5_matrix("x", 1, (1, 1), element(9, four)), "a cell of 'x' is no matrix"),
        "negative": (mat5_matrix("x", 6, (-2, -2), element(9, four)), r"array 'x' has the shape \(-2, -2\)"),
        "sparse": (mat5_matrix("x", 5, (2, 2), element(5, four) * 3), "not a sound sparse matrix"),
        "twice": (mat5_matrix("x", 6, (2, 2), element(9, four)) * 2, "holds the variable 'x' twice"),
    }
    for name, (variable, expected) in cases.items():
        (tmp_path / f"{name}.mat").write_bytes(mat5_file(variable))
        with pytest.raises(DataError, match=rf"{name}\.mat.*{expected}"):
            read_all(tmp_path / f"{name}.mat")
    (tmp_path / "many.mat").write_bytes(mat5_file(mat5_matrix("x", 1, (10**5, 10**5), b"")))
    with open_arrays(tmp_path / "many.mat") as arrays:
        assert arrays.unreadable == {"x": "a cell array of 10,000,000,000 cells"}


def test_nested_cells_do_not_reach_the_parser(tmp_path: Path) -> None:
    nested = mat5_matrix("", 6, (1, 1), element(9, bytes(8)))
    for depth in range(3000):
        nested = mat5_matrix("deep" if depth == 2999 else "", 1, (1, 1), nested)
    (tmp_path / "a.mat").write_bytes(mat5_file(nested))
    with open_arrays(tmp_path / "a.mat") as arrays:
        assert arrays.unreadable == {"deep": "a cell array of cell arrays"}


def test_files_that_are_something_else(tmp_path: Path) -> None:
    cases = {
        "text.mat": (b"1 2 3\n4 5 6\n", "is a text file, not the array file that its name says"),
        "empty.mat": (b"", "is empty"),
        "packed.mat": (b"Rar!\x1a\x07\x01\x00", "is a packed archive; unpack it first"),
        "noise.h5": (bytes(range(200)), "is no array file that is known"),
        "zip.npz": (b"PK\x03\x04" + bytes(60), r"is not a readable \.npz"),
    }
    savemat(tmp_path / "four.mat", {"image": IMAGE}, format="4")
    cases["four.mat"] = ((tmp_path / "four.mat").read_bytes(), "is a MATLAB 4 file.*save it again in MATLAB with -v7")
    for name, (content, expected) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"{name} {expected}"):
            open_arrays(tmp_path / name)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        open_arrays(tmp_path / "nowhere.mat")
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="holds no array file"):
        open_arrays(tmp_path / "bare")


def test_zips_that_play_tricks(tmp_path: Path) -> None:
    twice = tmp_path / "twice.npz"
    np.savez(twice, image=IMAGE)
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("image.npy", b"other")
    with pytest.raises(DataError, match="holds an array twice under one name"):
        open_arrays(twice)


def test_parquet_columns_that_are_no_arrays(tmp_path: Path) -> None:
    table = pa.table(
        {
            "ragged": pa.array([[1.0, 2.0], [3.0]]),
            "holes": pa.array([1.0, None]),
            "words": pa.array([["a"], ["b"]]),
            "empty": pa.array([[], [4.0]]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    with open_arrays(tmp_path / "a.parquet") as arrays:
        with pytest.raises(DataError, match="array 'ragged': lists are of different lengths, 1 where 2 is expected"):
            arrays["ragged"].read()
        assert "lists" in arrays.unreadable["words"]
        with pytest.raises(DataError, match="array 'holes' holds 1 nulls"):
            arrays["holes"].read()
        assert "empty" in arrays.unreadable["empty"]
