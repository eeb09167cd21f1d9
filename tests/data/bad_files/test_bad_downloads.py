"""Downloads that are wrong or cut off, and disks that are full: one sentence, and nothing taken for a dataset."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bad_shell import FETCH, SOUND, TRAIN, N, Shell, content, sha256, shots, sound
from file_server import FileServer

from cmrbench.core.errors import UnknownNameError
from cmrbench.data import load_dataset
from cmrbench.data.arrays import scratch_array
from cmrbench.data.extract.shards import Shards


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
