"""Import and verify: nothing unchecked gets into the cache, and what has changed there is found."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import made_data
import numpy as np
import pytest

from cmrbench.core.errors import DataError, UsageError
from cmrbench.core.hashing import digest_file
from cmrbench.data import import_dataset, load_catalogue, load_dataset, verify_dataset
from cmrbench.data.importing.copying import copy_unpacked


@pytest.fixture(autouse=True)
def registered(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_data.register(tmp_path.with_name(tmp_path.name + "-registered"), monkeypatch)


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    return made_data.save(tmp_path / "brought", made_data.arrays())


def nothing_in(cache: Path) -> bool:
    return not [p for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock"]


def test_features_that_a_user_brings(brought: Path, own_cache: Path) -> None:
    import_dataset("mine", brought)
    dataset = load_dataset("mine")
    raw = made_data.arrays()
    assert dataset.name == "mine"
    assert {s: n["image"] for s, n in dataset.sizes.items()} == made_data.SIZES
    query = dataset.part("query")
    np.testing.assert_array_equal(query["image"].features, raw["image"][raw["split"] == "query"])
    np.testing.assert_array_equal(query["text"].labels, raw["label"][raw["split"] == "query"])
    assert dataset.protocol("query-database").gallery == ("gallery", "train", "val")
    shutil.rmtree(brought)
    assert load_dataset("mine").fingerprint == dataset.fingerprint


def test_importing_again_replaces(brought: Path, own_cache: Path) -> None:
    import_dataset("mine", brought)
    before = load_dataset("mine").fingerprint
    import_dataset("mine", brought)
    assert load_dataset("mine").fingerprint == before
    import_dataset("mine", made_data.save(brought, made_data.arrays(seed=8)))
    assert load_dataset("mine").fingerprint != before
    assert [p.name for p in (own_cache / "sources").iterdir() if p.is_dir()] == ["mine"]


def test_wiki_can_be_imported(wiki_source: Path) -> None:
    located = import_dataset("wiki", wiki_source)
    assert located.registered
    assert {c.status for c in verify_dataset("wiki")} == {"ok"}


def test_a_changed_source_is_refused_before_anything_is_copied(
    wiki_source: Path, tmp_path: Path, own_cache: Path
) -> None:
    folder = tmp_path / "changed"
    folder.mkdir()
    content = bytearray((wiki_source / "data.npz").read_bytes())
    content[5000] ^= 1
    (folder / "data.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"data\.npz is not the registered file: its SHA-256 is"):
        import_dataset("wiki", folder)
    assert nothing_in(own_cache)


def test_data_that_does_not_validate_is_refused_before_anything_is_copied(brought: Path, own_cache: Path) -> None:
    raw = made_data.arrays()
    raw["text"][4] = 0
    with pytest.raises(DataError, match=r"data\.npz: text: row 4 \(item item-4\) is all zero"):
        import_dataset("mine", made_data.save(brought, raw))
    assert nothing_in(own_cache)


def test_links_are_refused(brought: Path, tmp_path: Path, own_cache: Path) -> None:
    folder = tmp_path / "links"
    folder.mkdir()
    (folder / "data.npz").symlink_to(brought / "data.npz")
    with pytest.raises(DataError, match=r"data\.npz is a symbolic link; import a folder that holds the file itself"):
        import_dataset("mine", folder)
    assert nothing_in(own_cache)


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data.npz")
    with pytest.raises(DataError, match=r"does not hold mine: expected data\.npz"):
        import_dataset("mine", tmp_path)


def test_oversize_files_are_refused(brought: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmrbench.data.importing.copying.MAX_SOURCE_BYTES", 1000)
    with pytest.raises(DataError, match=r"data\.npz has [\d,]+ bytes; at most 1,000 are imported"):
        import_dataset("mine", brought)
    assert nothing_in(own_cache)


def test_a_file_that_changes_meanwhile_is_refused(
    brought: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cmrbench.data.importing import job

    @contextmanager
    def read_then_change(*args: object) -> Iterator[None]:
        with (brought / "data.npz").open("ab") as file:
            file.write(b"more")
        yield

    monkeypatch.setattr(job, "read_content", read_then_change)
    with pytest.raises(DataError, match="has changed while it was being imported"):
        import_dataset("mine", brought)
    assert nothing_in(own_cache)


def test_wrong_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is not there; name a folder or an array file"):
        import_dataset("mine", tmp_path / "nowhere")
    (tmp_path / "raw_features.mat").touch()
    with pytest.raises(
        DataError,
        match=r"expected wikipedia_dataset\.zip or data\.npz or raw_features\.mat and trainset_txt_img_cat\.list and "
        r"testset_txt_img_cat\.list or .*found raw_features\.mat",
    ):
        import_dataset("wiki", tmp_path)


@pytest.mark.parametrize(("name", "expected"), [("emoji", "read from"), ("synthetic", "made in memory")])
def test_some_need_no_import(name: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"dataset '{name}' needs no import: it is {expected}"):
        import_dataset(name, tmp_path)


def test_verify_finds_a_changed_source(brought: Path, own_cache: Path) -> None:
    import_dataset("mine", brought)
    load_dataset("mine")
    assert Counter(c.kind for c in verify_dataset("mine")) == {"source": 1, "splits": 1, "prepared": 32}
    with (own_cache / "sources" / "mine" / "data.npz").open("ab") as file:
        file.write(b"x")
    (check,) = verify_dataset("mine")
    assert (check.kind, check.item, check.status) == ("source", "data.npz", "bad")


def test_verify_finds_a_changed_and_a_missing_array(brought: Path, own_cache: Path) -> None:
    import_dataset("mine", brought)
    load_dataset("mine")
    (folder,) = (own_cache / "prepared" / "mine").iterdir()
    path = folder / "gallery.text.features.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    (folder / "val.image.ids.npy").unlink()
    wrong = {c.item.rpartition("/")[2]: c.status for c in verify_dataset("mine") if c.status != "ok"}
    assert wrong == {"gallery.text.features.npy": "bad", "val.image.ids.npy": "missing"}


def test_verify_writes_nothing(own_cache: Path) -> None:
    assert {c.status for c in verify_dataset("openclipart")} == {"ok"}
    assert nothing_in(own_cache)


def test_another_form_that_is_there_stays(tmp_path: Path, own_cache: Path) -> None:
    forms = [{"file": "data.npz", "variant": "packed"}, {"file": "more.npz", "variant": "other"}]
    entry = made_data.entry(sources=forms, folder=None)
    catalogue = load_catalogue([made_data.write_catalogue(tmp_path / "forms.yaml", {"twoforms": entry})])
    import_dataset("twoforms", made_data.save(tmp_path / "a", made_data.arrays()), catalogue)
    other = made_data.save(tmp_path / "b", made_data.arrays(seed=8))
    (other / "data.npz").rename(other / "more.npz")
    import_dataset("twoforms", other, catalogue)
    stored = own_cache / "sources" / "twoforms"
    assert {p.name for p in stored.iterdir()} == {"data.npz", "more.npz", "import.json"}
    record = json.loads((stored / "import.json").read_bytes())["files"]
    assert {n: k["sha256"] for n, k in record.items()} == {n: digest_file(stored / n) for n in ("data.npz", "more.npz")}


def test_what_was_unpacked_by_hand_comes_along(tmp_path: Path) -> None:
    folder, target = tmp_path / "a", tmp_path / "b"
    (folder / "Features" / "deep").mkdir(parents=True)
    (folder / "Features.rar").write_bytes(b"Rar!")
    (folder / "Features" / "deep" / "BoW.dat").write_text("1 2", encoding="utf-8")
    target.mkdir()
    copy_unpacked(folder / "Features.rar", target)
    assert (target / "Features" / "deep" / "BoW.dat").read_text() == "1 2"
    copy_unpacked(folder / "Features.npz", target)  # a file that is read has no such folder
    (folder / "Features" / "link").symlink_to(tmp_path)
    shutil.rmtree(target)
    with pytest.raises(DataError, match="link is a symbolic link"):
        copy_unpacked(folder / "Features.rar", target)
