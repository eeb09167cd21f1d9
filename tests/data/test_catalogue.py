"""datasets.yaml: what is registered is complete, and what is wrong in a file is said in one sentence."""

from __future__ import annotations

from pathlib import Path

import made_data
import pytest

from cmrbench.core.errors import DataError, UnknownNameError
from cmrbench.data import load_catalogue


def test_what_ships_or_is_imported_has_frozen_splits() -> None:
    catalogue = load_catalogue()
    for name in ("emoji", "openclipart", "openclipart_tags", "wiki"):
        entry = catalogue.entry(name)
        assert all(
            (fs.records or {}).get(entry.default_split) or entry.splits[entry.default_split].records
            for fs in entry.feature_sets.values()
        ), name
        assert entry.preset == "quick"


def test_unknown_dataset_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown dataset 'emjoi'; did you mean emoji"):
        load_catalogue().entry("emjoi")
    with pytest.raises(UnknownNameError, match=r"unknown dataset 'zzzzzz'; 'cmrbench data list' shows all"):
        load_catalogue().entry("zzzzzz")
    with pytest.raises(UnknownNameError, match="did you mean multilingual"):
        load_catalogue().entry("emoji").feature_set("emoji", "multilingal")


def test_files_of_the_user_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made_data.write_catalogue(tmp_path / "a.yaml", {"mine": made_data.entry()})
    second = made_data.write_catalogue(tmp_path / "b.yaml", {"yours": made_data.entry()})
    monkeypatch.setenv("CMRBENCH_DATASETS", str(first))
    names = load_catalogue([second]).names()
    assert {"emoji", "mine", "yours"} <= set(names)
    assert load_catalogue([first]).names().count("mine") == 1, "a file that is named twice is read once"


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = made_data.write_catalogue(tmp_path / "a.yaml", {"mine": made_data.entry()})
    assert "mine" in load_catalogue([path]).names()
    made_data.write_catalogue(path, {"renamed": made_data.entry()})
    assert "renamed" in load_catalogue([path]).names()


BROKEN = {
    "unknown key": (
        {"licens": "x"},
        r"a\.yaml: dataset 'mine': unknown key 'licens'; allowed: title, summary, names, licence",
    ),
    "unknown key inside": (
        {"sources": [{"file": "data.npz", "sha265": "0"}]},
        r"unknown key 'sha265' in sources\.0; allowed: file, url, bytes, sha256, md5, from",
    ),
    "unknown key in a modality": (
        {"feature_sets": {"plain": {"default": True, "modalities": {"image": {"dim": 3}, "text": {"extractor": "y"}}}}},
        r"'mine': .*feature_sets\.plain\.modalities\.image",
    ),
    "wrong type": ({"preset": 3}, r"dataset 'mine': key 'preset': .*string, got 3"),
    "yes is no string": ({"title": True}, r"key 'title': .*string, got True"),
    "unknown split": (
        {"protocols": [{"name": "p", "query": ["test"], "gallery": ["gallery"]}]},
        r"key 0 in protocols\.0\.query: .*'train', 'val', 'query' or 'gallery', got 'test'",
    ),
    "no builder's name": ({"builder": "../csv"}, r"key 'builder': .*got '\.\./csv'"),
    "no default": (
        {"feature_sets": {"plain": {"modalities": {"image": {"extractor": "x"}, "text": {"extractor": "y"}}}}},
        r"exactly one feature set must say 'default: true'",
    ),
    "bad hash": ({"sources": [{"file": "data.npz", "sha256": "ABC"}]}, r"key 'sha256' in sources\.0: .*got 'ABC'"),
    "path as file name": ({"sources": [{"file": "../data.npz"}]}, r"key 'file' in sources\.0: .*got '\.\./data\.npz'"),
    "dotted file name": ({"sources": [{"file": ".."}]}, r"key 'file' in sources\.0"),
}


def test_a_misspelt_key_is_unknown_before_it_is_missing(tmp_path: Path) -> None:
    entry = made_data.entry()
    entry["licens"] = entry.pop("licence")
    with pytest.raises(DataError, match=r"unknown key 'licens'; .*\(and 1 more\)"):
        load_catalogue([made_data.write_catalogue(tmp_path / "a.yaml", {"mine": entry})])


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_in_an_entry_is_said(case: str, tmp_path: Path) -> None:
    changes, expected = BROKEN[case]
    path = made_data.write_catalogue(tmp_path / "a.yaml", {"mine": made_data.entry(**changes)})
    with pytest.raises(DataError, match=expected) as caught:
        load_catalogue([path])
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_missing_key(tmp_path: Path) -> None:
    broken = made_data.entry()
    del broken["licence"]
    with pytest.raises(DataError, match=r"dataset 'mine': key 'licence' is missing"):
        load_catalogue([made_data.write_catalogue(tmp_path / "a.yaml", {"mine": broken})])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("datasets:\n  mine: {title: a}\n  mine: {title: b}\n", r"a\.yaml line 3: key 'mine' is given twice"),
        ("datasets: [", r"a\.yaml line \d"),
        ("- emoji\n", "expected a mapping with the key 'datasets', found list"),
        ("datasets: !!python/object/apply:os.system ['true']\n", r"could not determine a constructor"),
        ("data: {}\n", r"unknown key 'data'; allowed: datasets"),
        ("", "expected a mapping"),
    ],
)
def test_what_is_no_catalogue_is_said(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=expected):
        load_catalogue([path])


def test_taken_names_are_refused(tmp_path: Path) -> None:
    for taken in ({"emoji": made_data.entry()}, {"mine": made_data.entry(aliases={"nuswide": ""})}):
        with pytest.raises(DataError, match=r"'(emoji|nuswide)' is already taken by .*datasets\.yaml"):
            load_catalogue([made_data.write_catalogue(tmp_path / "a.yaml", taken)])


def test_absent_file() -> None:
    with pytest.raises(DataError, match=r"nowhere\.yaml cannot be read: No such file"):
        load_catalogue(["nowhere.yaml"])
