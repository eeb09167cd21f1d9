"""Array files: every format gives the same arrays, in blocks."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from array_files import FORMATS, IMAGE, LABEL, element, mat5_file, mat5_matrix, save_mat73
from scipy import sparse
from scipy.io import loadmat, savemat

from cmrbench.core.errors import DataError
from cmrbench.data.files import open_arrays
from cmrbench.data.files import stored as limits
from cmrbench.data.files.stored import Stored

NAMES = ["réseau", "лицо", "", "a b", "顔"]


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
        save_mat73(path, names=NAMES)
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
    rng = np.random.default_rng(5)
    dense = np.where(rng.random((40, 9)) < 0.2, rng.random((40, 9)), 0)
    path = tmp_path / ("text.npz" if kind == "scipy" else "a.mat")
    if kind == "mat5":
        savemat(path, {"text": sparse.csc_matrix(dense)})
    elif kind == "mat73":
        save_mat73(path, text=sparse.csc_matrix(dense))
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


@pytest.mark.parametrize("kind", ["mat5", "mat73"])
def test_cells_of_matrices_are_listed(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    if kind == "mat5":
        cells = np.empty((1, 2), dtype=object)
        cells[0, 0], cells[0, 1] = IMAGE, LABEL
        savemat(path, {"train": cells})
    else:
        save_mat73(path, train=[IMAGE, LABEL])
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


def test_a_folder_of_several_files(tmp_path: Path) -> None:
    """As DCMH's files come: one variable each, in files of either MATLAB format."""
    savemat(tmp_path / "x-lall.mat", {"LAll": LABEL, "param": 1.0})
    save_mat73(tmp_path / "x-yall.mat", YAll=IMAGE, param=np.ones((2, 2)))
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
