"""What another version left, or a process that was killed: refused in words or made again."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_shell import FETCH, Shell, content, sha256, sound
from file_server import FileServer

from cmrbench.core.errors import DataError
from cmrbench.data import load_dataset
from cmrbench.data.builders import npz
from cmrbench.data.fetching.partial import Part
from cmrbench.data.importing import brought, job


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
        wrong = f"{path} is of another version: its format is 999, expected 2"
        assert said.endswith(f"{wrong}; delete the folder, and it is made again")
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
