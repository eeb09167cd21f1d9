"""`cmrbench data split`: a new split is drawn once, checked, frozen, and used by its name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import made_data
import numpy as np
import pytest
from commands import invoked

from cmrbench.cli.data import app
from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.data import load_catalogue, load_dataset
from cmrbench.data.splits.frozen import frozen_splits, lists_digest, read_lists
from cmrbench.data.verify import verify_dataset

DRAW = ("--query", 8, "--train", 24, "--val", 4, "--gallery", "rest")


def split(*arguments: object) -> str:
    return invoked(app, "split", *arguments).stdout


@pytest.fixture
def mine(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset `mine` of 48 pairs, registered in a YAML file, and a cache of its own; the cache folder."""
    made_data.register_in_place(tmp_path / "home", monkeypatch)
    return own_cache


def ids(name: str, part: str) -> set[str]:
    return set(load_dataset(name).part(part)["image"].ids.tolist())


def test_a_drawn_split_is_used_by_its_name(mine: Path) -> None:
    said = split("mine", *DRAW, "--seed", 3, "--as", "own")
    assert "use it as mine:own (protocols: query-gallery)" in " ".join(said.split())
    dataset = load_dataset("mine:own")
    assert dataset.name == "mine:own"
    assert dataset.split == "own"
    assert {s: n["text"] for s, n in dataset.sizes.items()} == {"train": 20, "val": 4, "query": 8, "gallery": 16}
    assert dataset.fingerprint != load_dataset("mine").fingerprint
    assert ids("mine:own", "query") != ids("mine", "query")
    # the same draw under another name has the same items
    made = json.loads(split("mine/plain", *DRAW, "--seed", 3, "--as", "again", "--json"))
    assert made["name"] == "mine:again"
    assert made["sizes"] == {"train": 20, "val": 4, "query": 8, "gallery": 16}
    assert load_dataset("mine:again").fingerprint == dataset.fingerprint


def test_a_new_split_is_measured_by_all_protocols_that_it_has_items_for(mine: Path) -> None:
    protocols = [
        {"name": "query-gallery", "query": ["query"], "gallery": ["gallery"], "splits": ["standard"]},
        {"name": "test", "query": ["query"], "gallery": ["query"], "splits": ["standard"]},
        {"name": "query-val", "query": ["query"], "gallery": ["val"], "splits": ["standard"]},
    ]
    made_data.write_catalogue(mine.parent / "home" / "mine.yaml", {"mine": made_data.entry(protocols=protocols)})
    split("mine", "--query", 8, "--train", "rest", "--as", "no-gallery")
    assert [p.name for p in load_dataset("mine:no-gallery").protocols] == ["test"]
    said = split("mine", "--query", 8, "--train", 24, "--gallery", "rest", "--as", "no-val")
    assert "names the split" not in said
    assert [p.name for p in load_dataset("mine:no-val").protocols] == ["query-gallery", "test"]


def test_a_part_that_no_protocol_measures_is_said(mine: Path) -> None:
    entry = made_data.entry(protocols=[{"name": "test", "query": ["query"], "gallery": ["query"]}])
    made_data.write_catalogue(mine.parent / "home" / "mine.yaml", {"mine": entry})
    said = split("mine", *DRAW, "--as", "own")
    assert "note: no protocol of mine names the split gallery" in " ".join(said.split())


def test_transforms_apply_to_a_frozen_split(mine: Path) -> None:
    split("mine", *DRAW, "--as", "own")
    assert load_dataset("mine:own+train=0.5").name == "mine:own+train=0.5"


def test_the_record_says_how_it_was_drawn(mine: Path) -> None:
    split("mine", *DRAW, "--per-class", "--seed", 7, "--as", "own")
    record = json.loads((mine / "splits" / "mine" / "own" / "split.json").read_text(encoding="utf-8"))
    assert record["scheme"]["seed"] == 7
    assert record["scheme"]["per_class"] is True
    assert record["feature_set"] == "plain"
    assert list(record["sources"]) == ["data.npz"]
    assert record["files"]["query.txt"]["ids"] == 8
    lists = read_lists(mine / "splits" / "mine" / "own")
    assert set(lists["query"][""]) == ids("mine:own", "query")


def test_other_schemes(mine: Path) -> None:
    split("mine", "--scheme", "order", "--query", "last 10", "--train", "first 20", "--gallery", "rest", "--as", "ends")
    assert ids("mine:ends", "query") == {f"item-{k}" for k in range(38, 48)}
    split("mine", "--scheme", "source", "--as", "theirs")
    assert load_dataset("mine:theirs").fingerprint == load_dataset("mine").fingerprint
    split("mine", "--each", "--query", 2, "--train", 4, "--gallery", "rest", "--as", "alike")
    assert len(ids("mine:alike", "query")) == 8


def test_lists_of_somebody_else(mine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    names = [f"item-{k}" for k in range(48)]
    (folder / "train.txt").write_bytes("\r\n".join(names[:30]).encode())
    (folder / "query.txt").write_text("\n".join(names[30:36]) + "\n", encoding="utf-8-sig")
    for modality in ("image", "text"):
        (folder / f"gallery.{modality}.txt").write_text("\n".join(names[36:]), encoding="utf-8")
    split("mine", "--from", folder, "--as", "paper")
    assert ids("mine:paper", "query") == set(names[30:36])
    assert load_dataset("mine:paper").sizes["gallery"] == {"image": 12, "text": 12}
    # what was frozen can be handed on
    split("mine", "--from", mine / "splits" / "mine" / "paper", "--as", "copy")
    assert load_dataset("mine:copy").fingerprint == load_dataset("mine:paper").fingerprint
    assert lists_digest(mine / "splits" / "mine" / "copy") != lists_digest(folder)


def test_list(mine: Path) -> None:
    split("mine", *DRAW, "--as", "own")
    rows = {r["name"]: r for r in json.loads(split("mine", "--list", "--json"))}
    assert rows["mine:own"]["origin"] == "frozen here"
    assert rows["mine:own"]["folder"]
    assert [r["default"] for r in rows.values()] == [True, False]
    shown = " ".join(split("mine", "--list").split())
    assert "mine:own" in shown
    assert rows["mine:own"]["summary"].startswith("draw: query 8, train 24, val 4, gallery rest, seed 0; frozen on 2")


def test_a_name_that_is_taken_is_refused(mine: Path) -> None:
    split("mine", *DRAW, "--as", "own")
    before = lists_digest(mine / "splits" / "mine" / "own")
    with pytest.raises(UsageError, match="has a split 'own' already"):
        split("mine", *DRAW, "--seed", 9, "--as", "own")
    with pytest.raises(UsageError, match="has a split 'standard' already"):
        split("mine", *DRAW, "--as", "standard")
    assert lists_digest(mine / "splits" / "mine" / "own") == before


def test_a_split_of_a_shared_folder_is_found_and_its_name_is_taken(
    mine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    split("mine", *DRAW, "--as", "own")
    monkeypatch.setenv("CMRBENCH_DATA", f"{mine}:{tmp_path / 'second'}")
    assert load_dataset("mine:own").split == "own"
    with pytest.raises(UsageError, match="has a split 'own' already"):
        split("mine", *DRAW, "--as", "own")
    split("mine", *DRAW, "--as", "other")
    assert (tmp_path / "second" / "splits" / "mine" / "other").is_dir()


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("mine", *DRAW), UsageError, "--as SPLIT"),
        (("mine", *DRAW, "--as", "../out"), UsageError, "is no name of a split"),
        (("mine", *DRAW, "--as", ".hidden"), UsageError, "is no name of a split"),
        (("mine:standard", *DRAW, "--as", "a"), UsageError, "names a split"),
        (("mine+noise=0.4", *DRAW, "--as", "a"), UsageError, "or a transform"),
        (("nothing", *DRAW, "--as", "a"), UnknownNameError, "unknown dataset 'nothing'"),
        (("mine/none", *DRAW, "--as", "a"), UnknownNameError, "unknown feature set of mine"),
        (("synthetic", *DRAW, "--as", "a"), UsageError, "made in memory"),
        (("mine", "--scheme", "dice", "--as", "a"), UnknownNameError, "unknown split scheme 'dice'"),
        (("mine", "--query", 3, "--as", "a"), UsageError, "--scheme draw: --train is missing"),
        (("mine", "--query", "many", "--train", 3, "--as", "a"), UsageError, "--query 'many': expected a number"),
        (("mine", "--query", "0", "--train", 3, "--as", "a"), UsageError, "--query 0: expected a number of instances"),
        (("mine", "--query", "rest", "--train", 3, "--as", "a"), UsageError, "--query rest: expected a number"),
        (
            ("mine", "--scheme", "order", "--query", 3, "--train", "rest", "--as", "a"),
            UsageError,
            "'first N' or 'last N'",
        ),
        (("mine", "--scheme", "source", "--query", 3, "--as", "a"), UsageError, "it has no --query"),
        (("mine", "--query", 3, "--train", "rest", "--gallery", "rest", "--as", "a"), UsageError, "are both 'rest'"),
        (("mine", "--query", 30, "--train", 30, "--as", "a"), DataError, "train asks for 30 instances, but 18 of 48"),
        (
            ("mine", "--query", 8, "--train", 24, "--as", "a"),
            DataError,
            "no protocol of mine measures a split of train, query; they need query-gallery: query, gallery",
        ),
        (("mine", "--list", "--as", "a"), UsageError, "--list only lists"),
        (("mine", "--from", "x", "--seed", 3, "--as", "a"), UsageError, "leave out --seed"),
        (("mine", "--from", "/nowhere", "--as", "a"), DataError, "/nowhere is not a folder"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_leaves_nothing(
    mine: Path, arguments: tuple[object, ...], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        split(*arguments)
    assert not list((mine / "splits").glob("*/*"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("test.txt", b"item-1\n", "not named like a list of ids"),
        ("query.txt", b"", "is empty"),
        ("query.txt", b"item-1\n\nitem-2\n", "line 2 is empty"),
        ("query.txt", b"item-1\n\xff\n", "line 2 is not UTF-8"),
        ("query.txt", b"item-1\nitem-99\n", "1 of the 2 ids of instances in query are not in the data, item-99"),
        ("query.txt", b"item-1\nitem-1\n", "has item-1 twice"),
        ("query.txt", b"item-1\nitem-40\n", "in both"),
        ("query.sound.txt", b"item-1\n", "a list for 'sound'"),
    ],
)
def test_lists_that_are_not_sound_are_refused(mine: Path, tmp_path: Path, name: str, content: bytes, said: str) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "train.txt").write_text("\n".join(f"item-{k}" for k in range(10, 48)), encoding="utf-8")
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        split("mine", "--from", folder, "--as", "paper")
    assert frozen_splits("mine") == {}


def test_links_are_refused(mine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (tmp_path / "elsewhere.txt").write_text("item-1\n", encoding="utf-8")
    (folder / "train.txt").symlink_to(tmp_path / "elsewhere.txt")
    with pytest.raises(DataError, match="not a plain file"):
        split("mine", "--from", folder, "--as", "paper")


def test_a_class_without_training_items_is_refused(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = made_data.arrays(multilabel=False)
    content["label"] = np.where(np.arange(48) == 47, 3, np.arange(48) % 3)
    made_data.save(tmp_path, content)
    registered = made_data.write_catalogue(tmp_path / "mine.yaml", {"mine": made_data.entry(labels={"classes": 4})})
    monkeypatch.setenv("CMRBENCH_DATASETS", str(registered))
    with pytest.raises(DataError, match="class 'c3' has no training item"):
        split(
            "mine", "--scheme", "order", "--query", "last 10", "--train", "first 20", "--gallery", "rest", "--as", "a"
        )


def test_a_frozen_split_that_was_changed_is_refused(mine: Path) -> None:
    split("mine", *DRAW, "--as", "own")
    folder = mine / "splits" / "mine" / "own"
    before = (folder / "query.txt").read_bytes()
    (folder / "query.txt").write_bytes(before.replace(b"\n", b"\r\n"))
    with pytest.raises(DataError, match="is not the list that was frozen"):
        load_dataset("mine:own")
    (folder / "query.txt").unlink()
    with pytest.raises(DataError, match="does not hold the 4 lists"):
        load_dataset("mine:own")
    (folder / "split.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="split.json is damaged"):
        load_dataset("mine:own")


def test_verify_hashes_frozen_splits_again(mine: Path) -> None:
    split("mine", *DRAW, "--as", "own")

    def verified() -> str:
        (check,) = [c for c in verify_dataset("mine") if c.kind == "frozen split"]
        return f"{check.item} {check.status} {check.detail}"

    assert verified() == "own ok as frozen"
    made_data.save(mine.parent / "home", made_data.arrays(seed=4))
    assert "drawn from other files" in verified()
    (mine / "splits" / "mine" / "own" / "val.txt").write_text("item-1\n", encoding="utf-8")
    assert "own bad" in verified()
    assert "is not the list that was frozen" in verified()


def test_a_split_of_another_version_is_refused(mine: Path) -> None:
    split("mine", *DRAW, "--as", "own")
    path = mine / "splits" / "mine" / "own" / "split.json"
    record = json.loads(path.read_text(encoding="utf-8")) | {"format": 99}
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(DataError, match="its format is 99, expected 1"):
        frozen_splits("mine")


def test_registered_lists_of_ids(mine: Path, tmp_path: Path) -> None:
    split("mine", *DRAW, "--as", "own")
    shutil.copytree(mine / "splits" / "mine" / "own", tmp_path / "home" / "lists" / "own")
    entry = made_data.entry(splits={"paper": {"scheme": {"kind": "ids", "file": "lists/own"}}})
    made_data.write_catalogue(tmp_path / "home" / "mine.yaml", {"mine": entry})
    assert load_catalogue().entry("mine").default_split == "paper"
    assert load_dataset("mine").fingerprint == load_dataset("mine:own").fingerprint
