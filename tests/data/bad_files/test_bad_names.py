"""Names and places that cannot be used: one sentence, and nothing outside the cache is touched."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest
from bad_shell import Shell, sound

from cmrbench.data import load_dataset

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
