"""Several cache folders: the first that has a thing gives it, the last one is written, a shared one is left alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import made_data
import pytest

from cmrbench.core.errors import DatasetMissingError
from cmrbench.data import import_dataset, load_catalogue, load_dataset
from cmrbench.data.cache import cache_root, cache_roots, find_in_cache
from cmrbench.data.catalogue import Catalogue


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return load_catalogue([made_data.write_catalogue(tmp_path / "mine.yaml", {"mine": made_data.entry(folder=None)})])


def folders(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    monkeypatch.setenv("CMRBENCH_DATA", os.pathsep.join(map(str, paths)))


def everything_in(folder: Path) -> set[tuple[str, float]]:
    return {(str(p), p.stat().st_mtime) for p in folder.rglob("*")}


def test_order_and_doubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    folders(monkeypatch, a, b, a)
    assert cache_roots() == (a, b)
    assert cache_root() == b
    (b / "sources" / "x").mkdir(parents=True)
    assert find_in_cache("sources", "x") == b / "sources" / "x"
    assert find_in_cache("sources", "x", holds="import.json") is None
    (a / "sources" / "x").mkdir(parents=True)
    assert find_in_cache("sources", "x") == a / "sources" / "x"


def test_a_shared_folder_is_read_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue
) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    folders(monkeypatch, shared)
    import_dataset("mine", made_data.save(tmp_path / "brought", made_data.arrays()), catalogue)
    before = everything_in(shared)
    folders(monkeypatch, shared, own)
    first = load_dataset("mine", catalogue=catalogue)
    assert everything_in(shared) == before
    assert [p.name for p in (own / "prepared").iterdir()] == ["mine"]
    # What the shared folder has prepared itself is used as it is.
    folders(monkeypatch, shared)
    load_dataset("mine", catalogue=catalogue)
    shutil.rmtree(own)
    folders(monkeypatch, shared, own)
    assert load_dataset("mine", catalogue=catalogue).fingerprint == first.fingerprint
    assert not own.exists()


def test_nothing_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue) -> None:
    folders(monkeypatch, tmp_path / "shared", tmp_path / "own")
    with pytest.raises(DatasetMissingError, match="cmrbench data import mine --from"):
        load_dataset("mine", catalogue=catalogue)
