"""`cmrbench data rm`: shows what goes, asks, and never leaves the cache folder that is written."""

from __future__ import annotations

import json
from pathlib import Path

import made_data
import pytest
from commands import invoked
from filelock import FileLock

from cmrbench.cli.data import app
from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.data import load_dataset
from cmrbench.data.splits.frozen import frozen_splits


def rm(*arguments: object, answer: str = "", code: int = 0) -> str:
    return " ".join(invoked(app, "rm", *arguments, code=code, answer=answer).stdout.split())


@pytest.fixture
def cache(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with everything that can be there of a dataset `mine`, and a bystander `other`."""
    home = tmp_path / "home"
    made_data.save(home, made_data.arrays())
    entries = {
        "mine": made_data.entry(folder=None),
        "other": made_data.entry(),
        "views": made_data.entry(folder=None, sources=[], sources_of="mine"),
    }
    monkeypatch.setenv("CMRBENCH_DATASETS", str(made_data.write_catalogue(home / "mine.yaml", entries)))
    invoked(app, "import", "mine", "--from", home)
    invoked(app, "split", "mine", "--query", 8, "--train", 24, "--gallery", "rest", "--as", "own")
    invoked(app, "import", "mine", "--from", home / "data.npz", "--as", "brought")
    for name in ("mine", "mine:own", "mine/brought", "other"):
        load_dataset(name)
    audits = own_cache / "audits" / "mine"
    audits.mkdir(parents=True)
    (audits / f"plain-{'0' * 16}.json").write_text("{}", encoding="utf-8")
    (own_cache / "extracting" / f"mine-{'1' * 16}").mkdir(parents=True)
    return own_cache


def left(cache: Path) -> set[str]:
    return {
        f"{kind.name}/{name.name}"
        for kind in cache.iterdir()
        if kind.is_dir()
        for name in kind.iterdir()
        if not name.name.startswith(".") and (name.is_file() or any(name.iterdir()) or kind.name == "extracting")
    }


def test_prepared_data_goes_when_nothing_is_said_and_is_made_again(cache: Path) -> None:
    before = load_dataset("mine").fingerprint
    said = rm("mine", answer="y\n")
    assert "removed" in said
    assert not any((cache / "prepared" / "mine").iterdir())
    assert not any((cache / "audits" / "mine").iterdir())
    assert any((cache / "prepared" / "other").iterdir())
    assert (cache / "sources" / "mine" / "data.npz").is_file()
    assert load_dataset("mine").fingerprint == before


def test_nothing_goes_unless_one_says_yes(cache: Path) -> None:
    before = left(cache)
    assert "nothing was removed" in rm("mine", "--all", answer="n\n", code=1)
    rm("mine", "--all", answer="", code=1)
    assert left(cache) == before


def test_all_leaves_nothing_of_it_and_all_of_others(cache: Path) -> None:
    said = rm("mine", "--all", "--yes")
    assert "views needs them, too" in said
    assert left(cache) == {"prepared/other"}
    assert frozen_splits("mine") == {}
    assert "nothing to remove of mine; what was looked for in the cache: files that" in rm("mine", "--all")


@pytest.mark.parametrize(
    ("option", "gone"),
    [
        ("--sources", {"sources/mine"}),
        ("--features", {"features/mine", f"extracting/mine-{'1' * 16}"}),
        ("--splits", {"splits/mine"}),
        ("--prepared", {"prepared/mine", "audits/mine"}),
    ],
)
def test_each_kind_by_itself(cache: Path, option: str, gone: set[str]) -> None:
    before = left(cache)
    rm("mine", option, "--yes")
    assert before - left(cache) == gone


def prepared(cache: Path) -> set[tuple[str, str]]:
    manifests = (cache / "prepared" / "mine").glob("*/manifest.json")
    read = [json.loads(m.read_text(encoding="utf-8")) for m in manifests]
    return {(m["feature_set"], m["split"]) for m in read}


def test_a_feature_set_or_a_split_by_itself(cache: Path) -> None:
    everything = {("plain", "standard"), ("plain", "own"), ("brought", "")}
    assert prepared(cache) == everything
    rm("mine/brought", "--yes")
    assert prepared(cache) == everything - {("brought", "")}
    rm("mine:own", "--yes")
    assert prepared(cache) == {("plain", "standard")}
    assert list(frozen_splits("mine")) == ["own"]
    rm("mine:own", "--splits", "--yes")
    assert frozen_splits("mine") == {}
    rm("mine/brought", "--all", "--yes")
    assert "features/mine" not in left(cache)
    assert "sources/mine" in left(cache)


def test_a_feature_set_whose_name_begins_another_one(cache: Path) -> None:
    file = cache.parent / "home" / "data.npz"
    invoked(app, "import", "mine", "--from", file, "--as", "brought-2")
    load_dataset("mine/brought-2")
    rm("mine/brought", "--prepared", "--features", "--yes")
    assert ("brought-2", "") in prepared(cache)
    assert (cache / "features" / "mine" / "brought-2").is_dir()


def test_the_bytes_are_those_of_the_files(cache: Path) -> None:
    told = json.loads(rm("mine", "--sources", "--json"))
    assert told["removed"] is False
    folder = cache / "sources" / "mine"
    assert told["bytes"] == sum(p.stat().st_size for p in folder.iterdir())
    assert [t["path"] for t in told["targets"]] == [str(folder)]
    assert folder.is_dir()
    rm("mine", "--sources", "--json", "--yes")
    assert not folder.exists()


def test_shared_folders_stay_and_are_named(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CMRBENCH_DATA", f"{cache}:{tmp_path / 'second'}")
    before = left(cache)
    said = rm("mine", "--all", "--yes")
    assert f"{cache} is a shared folder and stays" in said
    assert "nothing to remove of mine" in said
    assert left(cache) == before


def test_files_elsewhere_stay_and_are_named(cache: Path) -> None:
    assert "outside the cache, and stay" in rm("other", "--sources", "--yes")
    assert "are those of mine; remove them with cmrbench data rm mine --sources" in rm("views", "--sources", "--yes")
    assert (cache.parent / "home" / "data.npz").is_file()
    assert (cache / "sources" / "mine").is_dir()


def test_a_link_goes_and_what_it_leads_to_stays(cache: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("x", encoding="utf-8")
    (cache / "features" / "mine" / "linked").symlink_to(precious)
    (cache / "features" / "mine" / "brought" / "more").symlink_to(precious)
    assert "a symbolic link" in rm("mine", "--features", "--yes")
    assert not (cache / "features" / "mine" / "linked").is_symlink()
    assert (precious / "thesis.tex").is_file()


@pytest.mark.parametrize("where", ["prepared", "prepared/mine"])
def test_nothing_is_removed_through_a_link(cache: Path, tmp_path: Path, where: str) -> None:
    outside = tmp_path / "outside"
    (cache / where).rename(outside)
    (cache / where).symlink_to(outside)
    before = sorted(outside.rglob("*"))
    with pytest.raises(DataError, match="is a symbolic link; nothing is removed through links"):
        rm("mine", "--yes")
    assert sorted(outside.rglob("*")) == before


def test_files_that_are_being_fetched_stay(cache: Path) -> None:
    with (
        FileLock(cache / "sources" / ".mine.lock"),
        pytest.raises(DataError, match="another process is bringing mine; nothing was removed"),
    ):
        rm("mine", "--all", "--yes")
    assert {"sources/mine", "prepared/mine"} <= left(cache)


def test_a_dataset_that_is_no_longer_registered(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CMRBENCH_DATASETS")
    rm("mine", "--all", "--yes")
    assert left(cache) == {"prepared/other"}
    with pytest.raises(UnknownNameError, match="unknown dataset 'nothing-of-it'"):
        rm("nothing-of-it", "--yes")


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("mine+noise=0.4",), UsageError, "of which nothing is stored"),
        (("mine/plain", "--sources"), UsageError, "sources belong to the whole dataset"),
        (("nowhere",), UnknownNameError, "unknown dataset 'nowhere'"),
        (("..",), UsageError, "not a dataset name"),
        (("../..",), UsageError, "not a dataset name"),
        (("/etc",), UsageError, "not a dataset name"),
    ],
)
def test_what_cannot_be_named(cache: Path, arguments: tuple[str, ...], error: type[Exception], said: str) -> None:
    before = left(cache)
    with pytest.raises(error, match=said):
        rm(*arguments, "--yes")
    assert left(cache) == before


def test_a_deletion_that_is_cut_short_leaves_no_dataset(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("cmrbench.data.remove.shutil.rmtree", cut)
    with pytest.raises(DataError, match="Input/output error"):
        rm("mine", "--prepared", "--yes")
    folders = list((cache / "prepared" / "mine").glob("[!.]*"))
    assert len(folders) == 2, "one of three had been renamed before"
