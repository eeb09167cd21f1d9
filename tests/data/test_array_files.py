"""Array files: every format gives the same arrays, in blocks; what is hostile or damaged is refused in words."""

from __future__ import annotations

import contextlib
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import array_files
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse
from scipy.io import loadmat, savemat

from cmrbench.core.errors import DataError
from cmrbench.data.files import open_arrays
from cmrbench.data.files import stored as limits
from cmrbench.data.files.stored import Stored

RNG = np.random.default_rng(5)
IMAGE = RNG.standard_normal((23, 5))
LABEL = RNG.integers(0, 2, (23, 3)).astype(np.uint8)
NAMES = ["réseau", "лицо", "", "a b", "顔"]


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
    "mat73": ("a.mat", array_files.save_mat73),
    "hdf5": ("a.h5py", save_h5),
    "npz": ("a.npz", saved(lambda p, a: np.savez(p, **a))),
    "npz compressed": ("a.npz", saved(lambda p, a: np.savez_compressed(p, **a))),
    "npy folder": ("folder", save_npy_folder),
    "parquet": ("a.parquet", save_parquet),
}


@pytest.fixture(params=FORMATS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name, save = FORMATS[request.param]
    return save(tmp_path / name, image=IMAGE, label=LABEL)


def test_every_format_gives_the_same_arrays(written: Path) -> None:
    with open_arrays(written) as arrays:
        assert sorted(arrays) == ["image", "label"]
        image, label = arrays["image"], arrays["label"]
        assert (image.shape, image.dtype, label.dtype) == ((23, 5), np.float64, np.uint8)
        np.testing.assert_array_equal(image.read(), IMAGE)
        np.testing.assert_array_equal(image.read(4, 15), IMAGE[4:15])
        np.testing.assert_array_equal(image.read(20, 99), IMAGE[20:])
        np.testing.assert_array_equal(label.read(), LABEL)
        assert image.read().dtype == np.float64


def test_blocks_are_the_rows_in_order(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", 5 * 8 * 7)
    with open_arrays(written) as arrays:
        blocks = list(arrays["image"].blocks())
    assert len(blocks) > 2
    assert [start for start, _ in blocks] == np.cumsum([0, *(len(b) for _, b in blocks)])[:-1].tolist()
    np.testing.assert_array_equal(np.concatenate([b for _, b in blocks]), IMAGE)


@pytest.mark.parametrize("kind", [f for f in FORMATS if f != "parquet"])
def test_transposed(kind: str, tmp_path: Path) -> None:
    name, save = FORMATS[kind]
    with open_arrays(save(tmp_path / name, image=IMAGE.T, label=LABEL)) as arrays:
        image = arrays["image"].transposed()
        assert image.shape == (23, 5)
        np.testing.assert_array_equal(image.read(3, 11), IMAGE[3:11])
        with pytest.raises(DataError, match="only arrays of two axes"):
            Stored("f", "n", (3,), np.dtype("f8"), lambda key: np.zeros(3)).transposed()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i8", "u1", "u4", ">f4", ">i2", "?"])
@pytest.mark.parametrize("kind", ["mat5", "mat73", "hdf5", "npz", "npy folder"])
def test_dtypes_come_as_they_are(kind: str, dtype: str, tmp_path: Path) -> None:
    if kind == "mat5" and dtype == "f2":
        pytest.skip("MATLAB has no half precision")
    values = (IMAGE * 20).astype(dtype)
    name, save = FORMATS[kind]
    with open_arrays(save(tmp_path / name, image=values, label=LABEL)) as arrays:
        read = arrays["image"].read(2, 9)
        assert read.dtype == values.dtype.newbyteorder("=")
        assert arrays["image"].dtype == read.dtype
        np.testing.assert_array_equal(read, values[2:9])


def test_numbers_that_matlab_stores_narrower_are_doubles(tmp_path: Path) -> None:
    """MATLAB stores a double array of small whole numbers as bytes; scipy hands it over like that."""
    path = tmp_path / "a.mat"
    path.write_bytes(mat5_file(mat5_matrix("x", 6, (2, 2), element(2, bytes([1, 2, 3, 4])))))
    with open_arrays(path) as arrays:
        assert arrays["x"].read().dtype == np.float64
        np.testing.assert_array_equal(arrays["x"].read(), [[1, 3], [2, 4]])


@pytest.mark.parametrize("kind", ["mat5", "mat73", "hdf5", "npz", "npz compressed", "npy folder", "parquet"])
def test_strings(kind: str, tmp_path: Path) -> None:
    name, save = FORMATS[kind]
    path = tmp_path / name
    if kind == "mat5":
        savemat(path, {"names": np.array([[n] for n in NAMES], dtype=object)})
    elif kind == "mat73":
        array_files.save_mat73(path, names=NAMES)
    elif kind == "hdf5":
        with h5py.File(path, "w") as file:
            file["names"] = NAMES
    elif kind == "parquet":
        pq.write_table(pa.table({"names": NAMES}), path)
    else:
        save(path, names=np.array(NAMES))
    with open_arrays(path) as arrays:
        assert arrays["names"].is_text
        assert arrays["names"].shape == (5,)
        assert arrays["names"].read().tolist() == NAMES
        assert arrays["names"].read(1, 3).tolist() == NAMES[1:3]


def test_byte_strings_are_utf8_or_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.array([n.encode() for n in NAMES]))
    np.save(tmp_path / "bad.npy", np.array([b"ok", b"\xff\xfe"]))
    with open_arrays(tmp_path) as arrays:
        assert arrays["good"].read().tolist() == NAMES
        with pytest.raises(DataError, match=r"bad\.npy: array 'bad': row 1 is not UTF-8"):
            arrays["bad"].read()


def test_char_matrices_are_strings(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"names": np.array(["train", "val"])})
    with open_arrays(tmp_path / "a.mat") as arrays:
        assert arrays["names"].read().tolist() == ["train", "val"]


@pytest.mark.parametrize("kind", ["mat5", "mat73", "scipy"])
def test_sparse_matrices_come_as_dense_blocks(kind: str, tmp_path: Path) -> None:
    dense = np.where(RNG.random((40, 9)) < 0.2, RNG.random((40, 9)), 0)
    path = tmp_path / ("text.npz" if kind == "scipy" else "a.mat")
    if kind == "mat5":
        savemat(path, {"text": sparse.csc_matrix(dense)})
    elif kind == "mat73":
        array_files.save_mat73(path, text=sparse.csc_matrix(dense))
    else:
        sparse.save_npz(path, sparse.csr_matrix(dense))
    with open_arrays(path) as arrays:
        assert arrays["text"].shape == (40, 9)
        np.testing.assert_array_equal(arrays["text"].read(7, 31), dense[7:31])


def test_logical_sparse_matrices_of_matlab(tmp_path: Path) -> None:
    """MATLAB stores a byte a value and announces doubles."""
    rows, columns = np.array([2, 0, 1], "<i4").tobytes(), np.array([0, 1, 2, 3], "<i4").tobytes()
    for kind, values in ((9, b"\1\1\1"), (2, b"\1\1\1"), (9, np.ones(3).tobytes())):
        rest = element(5, rows) + element(5, columns) + element(kind, values)
        (tmp_path / "a.mat").write_bytes(mat5_file(mat5_matrix("x", 5, (3, 3), rest, flags=0x200)))
        with open_arrays(tmp_path / "a.mat") as arrays:
            np.testing.assert_array_equal(arrays["x"].read(), np.eye(3, dtype=bool)[:, [2, 0, 1]])


def test_files_that_matlab_wrote() -> None:
    """scipy brings files of many versions of MATLAB: both parsers read the same out of them."""
    import scipy.io.matlab

    folder = Path(scipy.io.matlab.__file__).parent / "tests" / "data"
    paths = [p for p in sorted(folder.glob("*_[67].*_*.mat")) if "hdf5" not in p.name]
    if not paths:
        pytest.skip("this scipy comes without its test data")
    compared = 0
    for path in paths:
        expected = loadmat(path)
        with open_arrays(path) as arrays:
            for name in set(arrays) & set(expected):
                value = expected[name]
                if arrays[name].is_text:
                    flat = [v if isinstance(v, str) else "".join(v) for v in value.ravel("F").tolist()]
                    assert arrays[name].read().tolist() == [v.rstrip(" ") for v in flat]
                else:
                    np.testing.assert_array_equal(
                        arrays[name].read(), value.toarray() if sparse.issparse(value) else value
                    )
                compared += 1
    assert compared > 20


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


@pytest.mark.parametrize("kind", ["mat5", "mat73"])
def test_cells_of_matrices_are_listed(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    if kind == "mat5":
        cells = np.empty((1, 2), dtype=object)
        cells[0, 0], cells[0, 1] = IMAGE, LABEL
        savemat(path, {"train": cells})
    else:
        array_files.save_mat73(path, train=[IMAGE, LABEL])
    with open_arrays(path) as arrays:
        assert list(arrays) == ["train{1}", "train{2}"]
        np.testing.assert_array_equal(arrays["train{1}"].read(), IMAGE)
        np.testing.assert_array_equal(arrays["train{2}"].read(3, 5), LABEL[3:5])


def test_groups_are_named_by_their_path(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train/image"] = IMAGE
        file["again"] = h5py.SoftLink("/train/image")
    with open_arrays(tmp_path / "a.h5") as arrays:
        assert list(arrays) == ["train/image", "again"]
        np.testing.assert_array_equal(arrays["again"].read(), IMAGE)


def test_sparse_rows_without_end_take_no_memory(tmp_path: Path) -> None:
    path = array_files.save_mat73(tmp_path / "a.mat", text=sparse.csc_matrix(np.eye(3)))
    with h5py.File(path, "r+") as file:
        file["text"].attrs["MATLAB_sparse"] = np.uint64(2**31)
    with pytest.raises(DataError, match=r"claims the shape \(2147483648, 3\), which is too large"):
        open_arrays(path)


def test_a_folder_of_several_files(tmp_path: Path) -> None:
    """As DCMH's files come: one variable each, in files of either MATLAB format."""
    savemat(tmp_path / "x-lall.mat", {"LAll": LABEL, "param": 1.0})
    array_files.save_mat73(tmp_path / "x-yall.mat", YAll=IMAGE, param=np.ones((2, 2)))
    (tmp_path / "readme.txt").write_text("not looked at")
    with open_arrays(tmp_path) as arrays:
        assert sorted(arrays) == ["LAll", "YAll", "x-lall/param", "x-yall/param"]
        np.testing.assert_array_equal(arrays["YAll"].read(), IMAGE)


def test_other_variables_of_a_mat_can_be_read(tmp_path: Path) -> None:
    nested = np.empty((1, 1), dtype=object)
    nested[0, 0] = np.array([[1, "a"]], dtype=object)
    savemat(tmp_path / "a.mat", {"net": {"layers": 3}, "deep": nested, "image": IMAGE, "z": IMAGE * 1j})
    with open_arrays(tmp_path / "a.mat") as arrays:
        np.testing.assert_array_equal(arrays["image"].read(), IMAGE)
        assert arrays.unreadable["net"] == "a MATLAB struct"
        for name, said in (("net", "a MATLAB struct"), ("deep", "a cell array of cell"), ("z", "complex numbers")):
            with pytest.raises(DataError, match=rf"a\.mat: '{name}' is .*{said}"):
                arrays[name]
        with pytest.raises(DataError, match=r"a\.mat has no array 'imag'; it has image"):
            arrays["imag"]


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


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return (Path.touch, (self.path,))


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


def read_all(path: Path, *names: str) -> None:
    with open_arrays(path) as arrays:
        for name in names or arrays:
            arrays[name].read()


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


def element(kind: int, values: bytes) -> bytes:
    return struct.pack("<II", kind, len(values)) + values + bytes(-len(values) % 8)


def mat5_matrix(name: str, kind: int, shape: tuple[int, ...], rest: bytes, flags: int = 0) -> bytes:
    head = element(6, struct.pack("<II", kind | flags, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, head + element(1, name.encode()) + rest)


def mat5_file(*variables: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(variables)


def test_arrays_that_claim_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize("encoding", [(16, "utf-8"), (17, "utf-16-le"), (18, "utf-32-le"), (4, "utf-16-le")])
def test_matlab_strings_of_every_encoding(encoding: tuple[int, str], tmp_path: Path) -> None:
    kind, name = encoding
    text = "héllo 顔😀"
    units = len(text.encode("utf-16-le")) // 2
    (tmp_path / "a.mat").write_bytes(mat5_file(mat5_matrix("x", 4, (1, units), element(kind, text.encode(name)))))
    with open_arrays(tmp_path / "a.mat") as arrays:
        assert arrays["x"].read().tolist() == [text]


def test_big_endian_matlab_files(tmp_path: Path) -> None:
    head = struct.pack(">IIIIIIii", 6, 8, 6, 0, 5, 8, 2, 2) + struct.pack(">I", 1 << 16 | 1) + b"x\0\0\0"
    body = head + struct.pack(">II4d", 9, 32, 1, 2, 3, 4)
    file = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI" + struct.pack(">II", 14, len(body)) + body
    (tmp_path / "a.mat").write_bytes(file)
    with open_arrays(tmp_path / "a.mat") as arrays:
        assert arrays["x"].read().tolist() == [[1, 3], [2, 4]]
        assert arrays["x"].read().dtype.isnative


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


def test_memory_does_not_grow_with_an_hdf5_array(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("image", (40_000, 512), "f8", chunks=(500, 512))
        for start in range(0, 40_000, 5000):
            made[start : start + 5000] = start
    tracemalloc.start()
    with open_arrays(tmp_path / "a.h5") as arrays:
        total = sum(float(block[:, 0].sum()) for _, block in arrays["image"].blocks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == sum(range(0, 40_000, 5000)) * 5000
    assert peak < 80 << 20  # the array has 156 MiB
