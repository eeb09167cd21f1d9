"""Bad input from end to end: what is typed, one clear sentence, exit code 2, and nothing that is taken for a dataset.

One test a thing that can be wrong. The rooms' own tests go further into each; these go through the command line, and
look at what is left in the cache.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import array_files
import h5py
import made_data
import numpy as np
import pytest
import scipy.sparse
import yaml
from file_server import FileServer, serving
from scipy.io import savemat

from cmrbench import cli
from cmrbench.core.dataset import Dataset
from cmrbench.core.errors import DataError, DatasetMissingError, UnknownNameError
from cmrbench.data import load_dataset
from cmrbench.data.arrays import scratch_array
from cmrbench.data.builders import npz
from cmrbench.data.extract.shards import Shards
from cmrbench.data.fetching import download
from cmrbench.data.fetching.partial import Part
from cmrbench.data.importing import brought, job

SOUND = made_data.arrays()
CLASSES = SOUND["label"].argmax(1) if SOUND["label"].ndim == 2 else SOUND["label"]
TRAIN = made_data.SIZES["train"]
N = len(SOUND["ids"])
SPLIT = {"kind": "draw", "query": 12, "train": "rest", "val": 6}
OWN = {
    "title": "Own",
    "summary": "Takes features.",
    "licence": "none",
    "citation": "none",
    "labels": {"multilabel": True},
    "protocols": [{"name": "test", "query": ["query"], "gallery": ["query"]}],
    "splits": {"drawn": {"default": True, "scheme": SPLIT}},
}
RAW = {
    "title": "Shots",
    "summary": "Pictures with sentences.",
    "licence": "none",
    "citation": "none",
    "builder": "captioned",
    "options": {"layout": "flickr"},
    "sources": [{"file": "shots.zip"}],
    "feature_sets": {
        "raw": {"default": True, "modalities": {m: {"kind": "raw", "extractor": "none"} for m in ("image", "text")}}
    },
    "protocols": [{"name": "matching", "query": ["query"], "gallery": ["query"], "relevance": "instance"}],
}


class Shell:
    """Types commands at a cache of its own, where ``mine`` is fetched or imported, ``own`` takes features of users."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.capsys = capsys
        self.monkeypatch = monkeypatch
        monkeypatch.setenv("CMRBENCH_DATA", str(self.cache))
        monkeypatch.setenv("CMRBENCH_DATASETS", str(folder / "datasets.yaml"))
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        self.register()

    def register(self, **source: Any) -> None:
        """Write the catalogue; `source` are keys of the file of ``mine``."""
        mine = made_data.entry(folder=None, sources=[{"file": "data.npz"} | source])
        datasets = {"mine": mine, "own": OWN, "shots": RAW}
        (self.folder / "datasets.yaml").write_text(yaml.safe_dump({"datasets": datasets}), encoding="utf-8")

    def __call__(self, *arguments: Any) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self.capsys.readouterr()
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["cmrbench", *map(str, arguments)])
            code = 0
            try:
                cli.main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        return code, *self.capsys.readouterr()

    def refuses(self, *arguments: Any) -> str:
        """The one sentence that is all that a refused command says on standard error but for notes."""
        code, _, said = self(*arguments)
        lines = said.splitlines()
        assert code == 2, said
        assert [line.startswith("error: ") for line in lines] == [False] * (len(lines) - 1) + [True], said
        assert all(line.startswith(("note: ", "warning: ")) for line in lines[:-1])
        assert lines[-1].isprintable()
        return lines[-1]

    def accepts(self, *arguments: Any) -> str:
        code, out, said = self(*arguments)
        assert code == 0, said
        return out

    def has_nothing_of(self, name: str) -> None:
        """Fail if anything takes what lies in the cache for the dataset, or for a part of it."""
        listed = json.loads(self.accepts("data", "list", "--json"))
        assert next(d for d in listed if d["name"] == name)["state"] == "missing"
        with pytest.raises(DatasetMissingError):
            load_dataset(name)
        for feature_set in ("imported", "plain"):
            with pytest.raises((UnknownNameError, DatasetMissingError)):
                load_dataset(name, feature_set)
        left = [p for kind in ("features", "prepared", "splits") for p in self.cache.glob(f"{kind}/{name}/[!.]*")]
        assert left == []
        assert not (self.cache / "sources" / name / "import.json").exists()


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(tmp_path, capsys, monkeypatch)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    with serving() as running:
        yield running


def sound(folder: Path) -> Path:
    """A folder with a sound data.npz."""
    return made_data.save(folder, SOUND)


def content() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **SOUND)
    return stream.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


FETCH = ("data", "fetch", "mine", "--accept-licence")


# Downloads.


def test_wrong_checksum(shell: Shell, server: FileServer) -> None:
    wrong = b"PK not what was registered"
    shell.register(url=[server.add("a", wrong)], sha256=sha256(content()))
    said = shell.refuses(*FETCH)
    kept = shell.cache / "sources" / "mine" / "data.npz.rejected"
    assert f"its SHA-256 is {sha256(wrong)}, expected {sha256(content())}; what came is kept as {kept}" in said
    assert "and is not used; try again later, or download it by hand, and type: cmrbench data import mine" in said
    assert kept.read_bytes() == wrong
    shell.has_nothing_of("mine")


def test_wrong_checksum_of_what_a_user_brings(shell: Shell) -> None:
    shell.register(sha256="0" * 64)
    folder = sound(shell.folder / "brought")
    said = shell.refuses("data", "import", "mine", "--from", folder)
    assert f"{folder / 'data.npz'} is not the registered file: its SHA-256 is " in said
    shell.has_nothing_of("mine")


def test_truncated_download(shell: Shell, server: FileServer) -> None:
    data = content()
    shell.register(url=[server.add("a", data, ranges=False)], bytes=len(data), sha256=sha256(data))
    server.files["a"].cuts = [1000] * 20
    assert "the connection was cut" in shell.refuses(*FETCH)
    assert (shell.cache / "sources" / "mine" / "data.npz.part").exists()
    shell.has_nothing_of("mine")
    assert "not hold mine" in shell.refuses("data", "import", "mine", "--from", shell.cache / "sources" / "mine")
    server.files["a"].cuts = []
    shell.accepts(*FETCH)
    assert load_dataset("mine").sizes["train"] == {"image": TRAIN, "text": TRAIN}


def test_a_server_that_says_less_than_the_whole(shell: Shell, server: FileServer) -> None:
    data = content()
    shell.register(url=[server.add("a", data[:2000])], bytes=len(data), sha256=sha256(data))
    assert f"{len(data):,}" in shell.refuses(*FETCH)
    shell.has_nothing_of("mine")


def test_two_processes_fetching_at_once(shell: Shell, server: FileServer) -> None:
    data, gate = content(), threading.Event()
    shell.register(url=[server.add("a", data, gate=gate)], sha256=sha256(data))

    def fetch() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "cmrbench", *FETCH]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    first = fetch()
    assert server.files["a"].first_bytes.wait(30)
    second = fetch()
    assert second.stderr is not None
    assert second.stderr.readline() == "note: another process is bringing mine; waiting for it\n"
    gate.set()
    assert (first.wait(30), second.wait(30)) == (0, 0)
    first.communicate()
    second.communicate()
    assert server.sent["a"] == len(data)
    assert load_dataset("mine").sizes["query"] == {"image": 6, "text": 6}


# A full disk.


@contextlib.contextmanager
def room(size: int) -> Iterator[None]:
    """Let the system refuse every byte of a file beyond a size, as a full disk does."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


FULL = "the disk is full; free some space, or name another cache folder in CMRBENCH_DATA"


def test_disk_full_in_the_middle_of_a_fetch(shell: Shell, server: FileServer) -> None:
    data = content()
    shell.register(url=[server.add("a", data, etag='"1"')], sha256=sha256(data))
    with room(2000):
        said = shell.refuses(*FETCH)
    assert f"cannot write data.npz.part under {shell.cache / 'sources' / 'mine'}: {FULL}" in said
    shell.has_nothing_of("mine")
    shell.accepts(*FETCH)
    load_dataset("mine")


def test_disk_full_in_the_middle_of_an_import(shell: Shell) -> None:
    folder = sound(shell.folder / "brought")
    with room(2000):
        assert f"cannot import mine under {shell.cache / 'sources'}: {FULL}" in shell.refuses(
            "data", "import", "mine", "--from", folder
        )
        assert f"cannot store own/imported under {shell.cache / 'features' / 'own'}: {FULL}" in shell.refuses(
            "data", "import", "own", "--from", folder
        )
    shell.has_nothing_of("mine")
    shell.has_nothing_of("own")
    assert list(shell.cache.rglob(".tmp-*")) == []


def test_disk_full_while_scratch_arrays_are_filled(shell: Shell) -> None:
    folder = sound(shell.folder / "brought")
    with room((folder / "data.npz").stat().st_size + 100):
        shell.accepts("data", "import", "own", "--from", folder)  # there is room for the copy and the arrays
    many = {k: np.repeat(v, 50, axis=0) if k != "class_names" else v for k, v in SOUND.items()}
    many["ids"] = np.arange(50 * N)
    many["image"] = np.ones_like(many["image"])  # compressed, the file is smaller than the array
    np.savez_compressed(folder / "many.npz", **many)
    size = (folder / "many.npz").stat().st_size
    assert size < many["image"].nbytes
    with room(size):
        said = shell.refuses("data", "import", "own", "--from", folder / "many.npz", "--as", "many")
    assert f"cannot make room for image of shape (2400, 7) under {shell.cache}: {FULL}" in said
    assert [p.name for p in (shell.cache / "features" / "own").iterdir()] == ["imported"]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot set room aside")
def test_scratch_arrays_have_their_room_set_aside(tmp_path: Path) -> None:
    array = scratch_array(tmp_path, "image", (1000, 500), np.float32)
    assert (tmp_path / "image.npy").stat().st_blocks * 512 >= array.nbytes, "a full disk would kill the process"


def test_disk_full_in_the_middle_of_preparing(shell: Shell) -> None:
    shell.accepts("data", "import", "mine", "--from", sound(shell.folder / "brought"))
    with room(500):
        said = shell.refuses("data", "export", "mine", "--format", "npz", "--to", shell.folder / "out")
    assert f"cannot prepare mine/plain under {shell.cache / 'prepared' / 'mine'}: {FULL}" in said
    assert list((shell.cache / "prepared" / "mine").iterdir()) == []
    assert not (shell.folder / "out").exists()
    load_dataset("mine")


def shots(folder: Path) -> Path:
    """A folder with shots.zip, of eight pictures with a sentence each."""
    from PIL import Image

    names = [f"{k}.jpg" for k in range(8)]
    lists = {"train": names[:4], "dev": names[4:5], "test": names[5:]}
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "shots.zip", "w", zipfile.ZIP_DEFLATED) as packing:
        packing.writestr("Flickr8k.token.txt", "".join(f"{n}#0\tpicture of a {n[0]} and more\n" for n in names))
        for part, listed in lists.items():
            packing.writestr(f"Flickr_8k.{part}Images.txt", "".join(f"{n}\n" for n in listed))
        for k, name in enumerate(names):
            stream = io.BytesIO()
            Image.fromarray(np.random.default_rng(k).integers(0, 256, (8, 8, 3), np.uint8)).save(stream, "JPEG")
            packing.writestr(f"pictures/{name}", stream.getvalue())
    return folder


def test_disk_full_in_the_middle_of_extracting(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.accepts("data", "import", "shots", "--from", shots(shell.folder / "brought"))
    extract = ("extract", "shots", "--image", "colour", "--text", "bow:min_items=1", "--as", "made")
    whole = Shards.assemble

    def full(self: Shards, target: Path) -> int:
        target.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Shards, "assemble", full)
    assert f"cannot store shots/made under {shell.cache / 'features' / 'shots'}: {FULL}" in shell.refuses(*extract)
    with pytest.raises(UnknownNameError):
        load_dataset("shots/made")
    monkeypatch.setattr(Shards, "assemble", whole)
    shell.accepts(*extract)
    assert load_dataset("shots/made").sizes["train"] == {"image": 4, "text": 4}


# Archives.


def archive_with(folder: Path, name: str, data: bytes = b"x", link: bool = False) -> Path:
    """A sound shots.zip with one more member."""
    shots(folder)
    with zipfile.ZipFile(folder / "shots.zip", "a", zipfile.ZIP_DEFLATED) as packing:
        member = zipfile.ZipInfo(name)
        member.compress_type = zipfile.ZIP_DEFLATED
        if link:
            member.create_system, member.external_attr = 3, 0o120777 << 16
        packing.writestr(member, data)
    return folder


def refused_archive(shell: Shell, folder: Path) -> str:
    said = shell.refuses("data", "import", "shots", "--from", folder)
    assert str(folder / "shots.zip") in said
    assert "get it from the dataset's own home" in said
    shell.has_nothing_of("shots")
    assert not (shell.folder / "evil").exists()
    return said


def test_a_sound_zip(shell: Shell) -> None:
    shell.accepts("data", "import", "shots", "--from", shots(shell.folder / "brought"))
    assert load_dataset("shots").texts("train", "text") == [f"picture of a {k} and more" for k in range(4)]


def test_zip_that_leads_out_of_its_folder(shell: Shell) -> None:
    folder = archive_with(shell.folder / "brought", "../../evil")
    assert "leads out of the archive's folder" in refused_archive(shell, folder)


def test_zip_with_absolute_paths(shell: Shell) -> None:
    folder = archive_with(shell.folder / "brought", str(shell.folder / "evil"))
    assert "has an absolute path" in refused_archive(shell, folder)


def test_zip_with_symlinks(shell: Shell) -> None:
    folder = archive_with(shell.folder / "brought", "pictures/link.png", b"/etc/passwd", link=True)
    assert "link" in refused_archive(shell, folder)


def test_zip_bomb(shell: Shell) -> None:
    folder = archive_with(shell.folder / "brought", "bomb", bytes(101 << 20))
    assert "as a decompression bomb does" in refused_archive(shell, folder)


def test_truncated_zip(shell: Shell) -> None:
    archive = shots(shell.folder / "brought") / "shots.zip"
    archive.write_bytes(archive.read_bytes()[:900])
    said = shell.refuses("data", "import", "shots", "--from", archive.parent)
    assert f"{archive} is damaged or cut off" in said
    assert said.endswith("get it again")
    shell.has_nothing_of("shots")


# Array files of users. Every refusal names the file, and leaves nothing.


def refuse(shell: Shell, file: Path, *options: Any) -> str:
    said = shell.refuses("data", "import", "own", "--from", file, *options)
    assert str(file) in said
    shell.has_nothing_of("own")
    return said


def take(shell: Shell, file: Path, *options: Any) -> tuple[Dataset, list[str]]:
    """The dataset that a file becomes, and what is said of it."""
    out = shell.accepts("data", "import", "own", "--from", file, *options)
    dataset = load_dataset("own/imported")
    assert dataset.kinds == {"image": "vector", "text": "vector"}
    return dataset, [line.removeprefix("note: ") for line in out.splitlines() if line.startswith("note: ")]


def npz_with(shell: Shell, **changes: Any) -> Path:
    return made_data.save(shell.folder / "brought", SOUND | changes) / "data.npz"


def mat_with(shell: Shell, **changes: Any) -> Path:
    whole = {"I": SOUND["image"], "T": SOUND["text"], "L": SOUND["label"]}
    halves = {f"{k}_tr": v[:30] for k, v in whole.items()} | {f"{k}_te": v[30:] for k, v in whole.items()}
    savemat(shell.folder / "data.mat", halves | changes)
    return shell.folder / "data.mat"


def test_mat_with_object_arrays(shell: Shell) -> None:
    cells = np.empty((30, 7), object)
    cells[:] = 1.0
    said = refuse(shell, mat_with(shell, I_tr=cells))
    assert "'I_tr' is a cell array of more than strings or a few matrices, and cannot be image_train" in said
    assert said.endswith("save it as a plain array, or choose another with --map image_train=ARRAY")


def test_mat_with_nan(shell: Shell) -> None:
    values = SOUND["image"][:30].copy()
    values[3, 2] = np.nan
    assert "array 'I_tr': row 3 holds nan in column 2" in refuse(shell, mat_with(shell, I_tr=values))


def test_truncated_mat(shell: Shell) -> None:
    file = mat_with(shell)
    file.write_bytes(file.read_bytes()[:900])
    assert "is cut off" in refuse(shell, file)


def test_mat73(shell: Shell) -> None:
    halves = {"I_tr": SOUND["image"][:30], "T_tr": SOUND["text"][:30], "I_te": SOUND["image"][30:]}
    halves |= {"T_te": SOUND["text"][30:], "L_tr": SOUND["label"][:30], "L_te": SOUND["label"][30:]}
    dataset, _ = take(shell, array_files.save_mat73(shell.folder / "data.mat", **halves))
    assert np.array_equal(dataset.part("query")["image"].features, SOUND["image"][30:])


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_npz_with_pickles(shell: Shell) -> None:
    sprung = shell.folder / "sprung"
    traps = np.array([Trap(sprung)] * N, object)
    file = npz_with(shell, image=traps)
    assert "'image' is an array of Python objects (a pickle), which is never opened" in refuse(shell, file)
    said = shell.refuses("data", "import", "mine", "--from", file.parent)
    assert f"{file} holds Python objects (a pickle), which are never opened" in said
    shell.has_nothing_of("mine")
    file.write_bytes(pickle.dumps(traps))
    assert "is a Python pickle, which is never opened" in refuse(shell, file)
    assert not sprung.exists()


def test_hdf5_with_external_links(shell: Shell) -> None:
    file = shell.folder / "data.h5"
    with h5py.File(shell.folder / "other.h5", "w") as other:
        other["image"] = SOUND["image"]
    with h5py.File(file, "w") as made:
        made["image"] = h5py.ExternalLink("other.h5", "image")
        made["text"], made["label"] = SOUND["text"], SOUND["label"]
    assert "'image' is a link into another file ('other.h5'), which is never followed" in refuse(shell, file)


def test_hdf5_with_external_storage(shell: Shell) -> None:
    file = shell.folder / "data.h5"
    (shell.folder / "secret").write_bytes(b"s" * 4 * 7 * N)
    with h5py.File(file, "w") as made:
        made.create_dataset("image", (N, 7), "f4", external=[(str(shell.folder / "secret"), 0, 4 * 7 * N)])
        made["text"], made["label"] = SOUND["text"], SOUND["label"]
    assert "'image' is stored outside the file, in other files" in refuse(shell, file)


def test_labels_as_strings(shell: Shell) -> None:
    named = np.array(["dög", "cat", "bee", "ant"])[CLASSES]
    unnamed = {k: v for k, v in SOUND.items() if k != "class_names"}
    dataset, notes = take(shell, made_data.save(shell.folder / "brought", unnamed | {"label": named}) / "data.npz")
    assert dataset.classes == ("ant", "bee", "cat", "dög")
    assert np.array_equal(dataset.part("train")["text"].labels.argmax(1), 3 - CLASSES[:TRAIN])
    assert "classes are in the alphabetical order of their names" in notes


def test_labels_as_strings_in_a_source_file(shell: Shell) -> None:
    file = npz_with(shell, label=np.array(["a", "b", "c", "d"])[CLASSES])
    said = shell.refuses("data", "import", "mine", "--from", file.parent)
    assert f"{file}: labels must be whole numbers" in said
    assert "number the classes from 0" in said
    shell.has_nothing_of("mine")


def test_labels_that_begin_at_one(shell: Shell) -> None:
    dataset, notes = take(shell, npz_with(shell, label=CLASSES + 1))
    assert len(dataset.classes) == 4
    assert np.array_equal(dataset.part("train")["image"].labels.argmax(1), CLASSES[:TRAIN])
    assert "classes were numbered from 1 to 4: they are counted from 0" in notes


def test_labels_that_begin_at_one_in_a_source_file(shell: Shell) -> None:
    content = {k: v for k, v in SOUND.items() if k != "class_names"} | {"label": CLASSES + 1}
    folder = made_data.save(shell.folder / "brought", content)
    said = shell.refuses("data", "import", "mine", "--from", folder)
    assert f"{folder / 'data.npz'}: labels are numbered 1 to 4; number classes from 0" in said
    shell.has_nothing_of("mine")


def test_rows_without_a_label(shell: Shell) -> None:
    label = np.eye(4, dtype=int)[CLASSES]
    label[5] = 0
    file = npz_with(shell, label=label)
    said = refuse(shell, file)
    assert "row 5 of image has no label; leave such items out with --drop-unlabelled" in said
    dataset, notes = take(shell, file, "--drop-unlabelled")
    assert "image: 1 items without a label left out" in notes
    assert SOUND["ids"][5] not in dataset.part("train")["image"].ids


def test_rows_without_a_label_in_a_source_file_are_noted(shell: Shell) -> None:
    label = np.eye(4, dtype=int)[CLASSES]
    label[[5, 7]] = 0
    shell.accepts("data", "import", "mine", "--from", npz_with(shell, label=label).parent)
    assert "image: item item-5 has no label, nor have 1 more" in load_dataset("mine").notes


def test_duplicate_ids(shell: Shell) -> None:
    ids = SOUND["ids"].copy()
    ids[9] = ids[2]
    file = npz_with(shell, ids=ids)
    assert "row 2 of image and row 9 of image have the same id 'item-2'" in refuse(shell, file)
    said = shell.refuses("data", "import", "mine", "--from", file.parent)
    assert f"{file}: image: rows 2 and 9 have the same id item-2" in said
    shell.has_nothing_of("mine")


def test_images_and_texts_of_different_counts(shell: Shell) -> None:
    file = npz_with(shell, text=SOUND["text"][:40])
    assert "text has 40 rows of text, but label has 48 labels" in refuse(shell, file)
    assert f"{file}: text has 40 rows, but split has 48" in shell.refuses("data", "import", "mine", "--from", file)
    shell.has_nothing_of("mine")


@pytest.mark.parametrize(
    ("dtype", "note"),
    [
        ("float16", "image: float16 as float32, exactly"),
        ("float64", "image: float64 rounded to float32"),
        ("int8", "image: int8 as float32, exactly"),
    ],
)
def test_features_of_other_types(dtype: str, note: str, shell: Shell) -> None:
    values = (np.random.default_rng(0).standard_normal((N, 7)) * 20).astype(dtype)
    dataset, notes = take(shell, npz_with(shell, image=values))
    found = dataset.part("train")["image"].features
    assert found.dtype == np.float32
    assert np.array_equal(found, values[:TRAIN].astype(np.float32))
    assert note in notes


def test_sparse_features(shell: Shell) -> None:
    dense = np.where(SOUND["image"] > 0, SOUND["image"], 0) + np.eye(N, 7)
    parts = {"I_tr": scipy.sparse.csc_matrix(dense[:30]), "I_te": scipy.sparse.csc_matrix(dense[30:])}
    dataset, _ = take(shell, mat_with(shell, **parts))
    assert np.array_equal(dataset.part("query")["image"].features, dense[30:].astype(np.float32))


def test_features_too_large_for_float32(shell: Shell) -> None:
    values = SOUND["image"].astype(np.float64)
    values[4, 1] = 1e200
    assert "row 4 holds 1e+200, too large for float32; scale the features" in refuse(
        shell, npz_with(shell, image=values)
    )


def test_captions_that_are_not_ascii(shell: Shell) -> None:
    captions = np.array([f"Straße № {k} – 猫 🐈‍⬛ ﷽ e\u0301" for k in range(N)])
    dataset, _ = take(shell, npz_with(shell, captions=captions))
    assert dataset.texts("train", "text") == captions[:TRAIN].tolist()


# What another version left, or a process that was killed.


def manifest(shell: Shell) -> Path:
    return next((shell.cache / "prepared" / "mine").glob("plain-*/manifest.json"))


def test_a_manifest_from_another_version(shell: Shell) -> None:
    shell.accepts("data", "import", "mine", "--from", sound(shell.folder / "brought"))
    load_dataset("mine")
    path = manifest(shell)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 999}))
    for command in (
        ("export", "mine", "--format", "npz", "--to", shell.folder / "out"),
        ("verify",),
        ("audit", "mine"),
    ):
        said = shell.refuses("data", *command)
        assert f"{path} is of another version: its format is 999, expected " in said
        assert said.endswith("delete the folder, and it is made again")
    shell.accepts("data", "rm", "mine", "--yes")
    load_dataset("mine")


def test_a_feature_set_from_another_version(shell: Shell) -> None:
    shell.accepts("data", "import", "own", "--from", sound(shell.folder / "brought"))
    path = shell.cache / "features" / "own" / "imported" / "feature_set.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 999}))
    assert f"{path} is of another version" in shell.refuses("data", "audit", "own/imported")


def test_a_feature_set_whose_record_names_files_elsewhere(shell: Shell) -> None:
    shell.accepts("data", "import", "own", "--from", sound(shell.folder / "brought"))
    path = shell.cache / "features" / "own" / "imported" / "feature_set.json"
    path.write_text(path.read_text().replace('"data.npz": {', '"../../../../brought/data.npz": {'))
    for command in ("audit", "verify"):
        said = shell.refuses("data", command, "own/imported" if command == "audit" else "own")
        assert f"{path} is damaged; delete the folder and import" in said


def test_a_feature_set_whose_file_is_gone(shell: Shell) -> None:
    shell.accepts("data", "import", "own", "--from", sound(shell.folder / "brought"))
    gone = shell.cache / "features" / "own" / "imported" / "data.npz"
    gone.unlink()
    assert f"{gone} is not there any more; get the file again" in shell.refuses("data", "audit", "own/imported")


@pytest.mark.parametrize("scheme", [{"kind": "of a later version"}, 5])
def test_a_split_whose_record_is_not_understood(scheme: Any, shell: Shell) -> None:
    shell.accepts("data", "import", "mine", "--from", sound(shell.folder / "brought"))
    sizes = ("--query", "0.2", "--gallery", "0.3", "--train", "rest")
    shell.accepts("data", "split", "mine", *sizes, "--as", "drawn")
    path = shell.cache / "splits" / "mine" / "drawn" / "split.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"scheme": scheme}))
    for command in (("split", "mine", "--list"), ("audit", "mine:drawn"), ("verify", "mine")):
        assert f"{path} is damaged; delete its folder and draw the split again" in shell.refuses("data", *command)


def killed(task: Callable[[], object]) -> None:
    """Run something in a process of its own, which kills itself on the way."""
    worker = multiprocessing.get_context("fork").Process(target=task)
    worker.start()
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL


def die(*args: object, **options: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_import_that_is_killed(shell: Shell) -> None:
    folder = sound(shell.folder / "brought")

    def sources() -> None:
        job.write_record = die  # the files are copied by then
        shell("data", "import", "mine", "--from", folder)

    def features() -> None:
        brought._add_splits = die  # everything but the last line of the record is there
        shell("data", "import", "own", "--from", folder)

    killed(sources)
    killed(features)
    assert len(list(shell.cache.rglob(".tmp-*"))) == 2
    shell.has_nothing_of("mine")
    shell.has_nothing_of("own")
    shell.accepts("data", "import", "mine", "--from", folder)
    shell.accepts("data", "import", "own", "--from", folder)
    assert load_dataset("mine").fingerprint == load_dataset("own/imported").fingerprint


def test_a_fetch_that_is_killed(shell: Shell, server: FileServer) -> None:
    data = content()
    shell.register(url=[server.add("a", data, etag='"1"')], sha256=sha256(data))

    def fetch() -> None:
        Part.finish = die  # all bytes are there, and their hash is right
        shell(*FETCH)

    killed(fetch)
    assert (shell.cache / "sources" / "mine" / "data.npz.part").stat().st_size == len(data)
    shell.has_nothing_of("mine")
    shell.accepts(*FETCH)
    assert server.sent["a"] == len(data), "nothing is sent twice"
    load_dataset("mine")


def test_preparing_that_is_killed(shell: Shell) -> None:
    shell.accepts("data", "import", "mine", "--from", sound(shell.folder / "brought"))

    def prepare() -> None:
        from cmrbench.data import prepare as module

        module.write_told = module._told = die  # the arrays are written, the manifest is not
        load_dataset("mine")

    killed(prepare)
    assert [p.name[:5] for p in (shell.cache / "prepared" / "mine").iterdir()] == [".tmp-"]
    assert "no figures: the data of mine is not on this machine, or not prepared yet" in shell.accepts(
        "data", "info", "mine"
    )
    load_dataset("mine")


def test_a_builder_that_fails_half_way(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.accepts("data", "import", "mine", "--from", sound(shell.folder / "brought"))
    sound_build = npz.build

    def build(request: Any) -> Any:
        (request.scratch / "half.npy").write_bytes(b"half")
        raise DataError(f"{request.tree.names()[0]}: line 7 is no number")

    monkeypatch.setattr(npz, "build", build)
    assert shell.refuses("data", "audit", "mine") == "error: data.npz: line 7 is no number"
    assert not (shell.cache / "prepared").exists()
    assert list(shell.cache.glob(".tmp-*")) == []
    monkeypatch.setattr(npz, "build", sound_build)
    load_dataset("mine")


# Names and places.

OUTSIDE = [
    "../x",
    "..",
    "a/../b",
    "/etc/x",
    ".hidden",
    ".tmp-x",
    "a" * 65,
    "a" * 300,
    "ä",
    "x:y",
    "a b",
    "abc\n",
    "A",
    "-",
]


def test_names_that_would_leave_the_cache_or_hide_in_it(shell: Shell) -> None:
    folder = sound(shell.folder / "brought")
    shell.accepts("data", "import", "mine", "--from", folder)
    before = sorted(shell.folder.rglob("*"))
    split = ("--query", "0.2", "--gallery", "0.3", "--train", "rest")
    for name in OUTSIDE:
        assert "no name of a feature set" in shell.refuses("data", "import", "own", "--from", folder, f"--as={name}")
        assert "no name of a split" in shell.refuses("data", "split", "mine", *split, f"--as={name}")
        # What cannot be a feature set's or a split's name removes nothing either.
        for typed in (f"mine/{name}", f"mine:{name}", name):
            code, out, _ = shell("data", "rm", "--all", "--yes", "--", typed)
            assert code == 2 or "nothing to remove" in out
    assert sorted(shell.folder.rglob("*")) == before


def test_names_that_are_taken(shell: Shell) -> None:
    folder = sound(shell.folder / "brought")
    said = shell.refuses("data", "import", "mine", "--from", folder, "--as", "plain")
    assert "mine/plain is a registered feature set; call yours otherwise with --as NAME" in said
    shell.accepts("data", "import", "own", "--from", folder)
    said = shell.refuses("data", "import", "own", "--from", folder)
    assert "has a local feature set 'imported' already; choose another name, or say --replace" in said


@pytest.mark.parametrize("name", ["mine/nonsense", "mine:nonsense"])
def test_names_that_there_are_none_of(name: str, shell: Shell) -> None:
    assert "'nonsense'" in shell.refuses("data", "info", name)


@pytest.mark.parametrize("below", ["", "below"])
def test_a_cache_that_is_a_file(below: str, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    file = shell.folder / "datasets.yaml" / below
    monkeypatch.setenv("CMRBENCH_DATA", str(file))
    folder = sound(shell.folder / "brought")
    for command in (("list",), ("import", "mine", "--from", folder), ("verify", "emoji"), ("info", "emoji")):
        said = shell.refuses("data", *command) if command[0] != "info" else shell("data", *command)[2]
        assert f"CMRBENCH_DATA names {file}, which is, or lies in, a file; name a folder" in said


def test_a_cache_of_several_with_an_empty_and_a_relative_one(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shell.folder)
    monkeypatch.setenv("CMRBENCH_DATA", os.pathsep.join(["", str(shell.cache), "", "rel/cache", ""]))
    shell.accepts("data", "import", "mine", "--from", sound(shell.folder / "brought"))
    assert (shell.folder / "rel" / "cache" / "sources" / "mine" / "data.npz").is_file()
    assert not shell.cache.exists()


def test_what_may_not_be_read(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.accepts("data", "import", "mine", "--from", sound(shell.folder / "brought"))
    closed = shell.cache / "sources" / "mine" / "data.npz"
    stat = os.stat

    def refused(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if os.fspath(path) == str(closed):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, *args, **options)

    monkeypatch.setattr(os, "stat", refused)
    for command in (("list",), ("verify", "mine"), ("audit", "mine")):
        assert f"{closed} cannot be used: Permission denied; " in shell.refuses("data", *command)


def test_a_source_folder_that_is_a_link(shell: Shell) -> None:
    (shell.folder / "link").symlink_to(sound(shell.folder / "brought"))
    shell.accepts("data", "import", "mine", "--from", shell.folder / "link")
    assert not (shell.cache / "sources" / "mine" / "data.npz").is_symlink()


def test_importing_from_the_cache_itself(shell: Shell) -> None:
    folder = sound(shell.folder / "brought")
    shell.accepts("data", "import", "mine", "--from", folder)
    shell.accepts("data", "import", "own", "--from", folder)
    shell.accepts("data", "import", "mine", "--from", shell.cache / "sources" / "mine")
    shell.accepts("data", "import", "own", "--from", shell.cache / "features" / "own" / "imported", "--replace")
    assert load_dataset("mine").fingerprint == load_dataset("own/imported").fingerprint


def test_an_empty_file(shell: Shell) -> None:
    (shell.folder / "data.npz").touch()
    assert refuse(shell, shell.folder / "data.npz").endswith("data.npz is empty")
    assert "is not a readable .npz" in shell.refuses("data", "import", "mine", "--from", shell.folder)
    shell.has_nothing_of("mine")


def test_a_folder_that_is_called_like_a_file(shell: Shell) -> None:
    (shell.folder / "brought" / "data.npz").mkdir(parents=True)
    assert "data.npz is not a plain file" in refuse(shell, shell.folder / "brought")
    assert "does not hold mine: expected data.npz" in shell.refuses("data", "import", "mine", "--from", shell.folder)


def test_a_file_of_more_than_four_gib(shell: Shell) -> None:
    with (shell.folder / "data.npz").open("wb") as made:
        made.truncate(5 << 30)
    assert "is no array file that is known" in refuse(shell, shell.folder / "data.npz")
    with (shell.folder / "data.npz").open("wb") as made:
        made.truncate(65 << 30)
    assert "at most 68,719,476,736 are imported" in refuse(shell, shell.folder / "data.npz")


def test_paths_too_long_and_names_with_control_characters(shell: Shell) -> None:
    assert "File name too long" in shell.refuses("data", "import", "own", "--from", shell.folder / ("x" * 300))
    said = shell.refuses("data", "import", "own", "--from", shell.folder / "a\n\x1b[31mb.npz")
    assert r"a\n\x1b[31mb.npz is not there" in said


def test_a_file_whose_name_is_not_utf8(shell: Shell) -> None:
    file = sound(shell.folder / "brought") / "data.npz"
    try:
        file = file.rename(file.with_name(os.fsdecode(b"\xfe.npz")))
    except (OSError, UnicodeError):
        pytest.skip("the file system takes only names in UTF-8")
    said = shell.refuses("data", "import", "own", "--from", file)
    assert "has a name that is not UTF-8; give it another one" in said
    shell.has_nothing_of("own")


def test_catalogues_that_are_no_plain_yaml(shell: Shell) -> None:
    file = shell.folder / "datasets.yaml"
    sprung = shell.folder / "sprung"
    for written, said in (
        ("[" * 50_000, "nests more than 50 levels deep"),
        ("- " * 50_000, "nests more than 50 levels deep"),
        ("? [a]\n: b\n", "unhashable key"),
        (f"datasets: !!python/object/apply:os.mkdir ['{sprung}']", "could not determine a constructor"),
        ("datasets: {../mine: {}}", "'../mine'"),
    ):
        file.write_text(written)
        refused = shell.refuses("data", "list")
        assert str(file) in refused
        assert said in refused
    assert not sprung.exists()
    assert "/dev/zero is not a plain file" in shell.refuses("data", "list", "--datasets-file", "/dev/zero")
