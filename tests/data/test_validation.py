"""What must hold of every dataset is checked, and the file, the modality and the row are named."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import made_data
import numpy as np
import pytest

from cmrbench.core.errors import DataError
from cmrbench.core.protocol import Protocol
from cmrbench.data.catalogue import Entry
from cmrbench.data.content import Content

PROTOCOLS = (Protocol("query-gallery", ("query",), ("gallery",)),)
Change = Callable[[dict[str, np.ndarray]], object]


def content(folder: Path, change: Change, multilabel: bool = True) -> Content:
    raw = made_data.arrays(multilabel=multilabel)
    change(raw)
    entry = Entry.model_validate(made_data.entry(labels={"multilabel": multilabel}))
    return made_data.build(entry, "plain", made_data.save(folder, raw))


def put(name: str, at: object, value: object) -> Change:
    def change(raw: dict[str, np.ndarray]) -> None:
        raw[name][at] = value

    return change


BROKEN: dict[str, tuple[Change, str]] = {
    "NaN": (put("image", (5, 2), np.nan), r"data\.npz: image: row 5 \(item item-5\) holds NaN or infinity"),
    "infinity": (put("text", (47, 0), np.inf), r"data\.npz: text: row 47 \(item item-47\) holds NaN or infinity"),
    "zero row": (put("text", 9, 0), r"text: row 9 \(item item-9\) is all zero; drop"),
    "zero rows": (put("text", [9, 11, 30], 0), r"text: row 9 \(item item-9\) is all zero, and so are 2 more"),
    "same ids": (put("ids", 40, "item-3"), r"image: rows 3 and 40 have the same id item-3"),
    "unknown split": (put("split", 0, "test"), r"row 0 \(item item-0\) is in split 'test'; known: train, val"),
    "no training": (put("split", slice(0, 24), "val"), r"no item is in the split 'train'"),
    "no query": (put("split", slice(32, 38), "val"), r"protocol query-gallery needs the split 'query'"),
}


def no_relevant(raw: dict[str, np.ndarray]) -> None:
    raw["label"][raw["split"] == "gallery"] %= 3


def no_training_item(raw: dict[str, np.ndarray]) -> None:
    train = raw["split"] == "train"
    raw["label"][train] = np.where(raw["label"][train] == 2, 1, raw["label"][train])


RARE: dict[str, tuple[Change, str]] = {
    "class without training item": (no_training_item, r"image: class 'c2' has no training item"),
    "query without relevant item": (no_relevant, r"image query item-35 has no relevant text in the gallery of"),
}


def test_sound_data_passes(tmp_path: Path) -> None:
    cut, notes = made_data.checked(content(tmp_path, lambda raw: None), PROTOCOLS, multilabel=True)
    assert {s: len(p["image"]) for s, p in cut.rows.items()} == made_data.SIZES
    assert notes == []


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_said(case: str, tmp_path: Path) -> None:
    change, expected = BROKEN[case]
    with pytest.raises(DataError, match=expected) as caught:
        made_data.checked(content(tmp_path, change), PROTOCOLS, multilabel=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [0, 2])
def test_one_label_an_item(count: int, tmp_path: Path) -> None:
    def change(raw: dict[str, np.ndarray]) -> None:
        raw["label"] = np.eye(4, dtype=np.int64)[raw["label"]]
        raw["label"][12] = [1] * count + [0] * (4 - count)

    broken = content(tmp_path, change, multilabel=False)
    with pytest.raises(DataError, match=rf"row 12 \(item item-12\) has {count} labels, but the dataset has one"):
        made_data.checked(broken, PROTOCOLS, multilabel=False)


def test_an_instance_in_two_splits_is_refused(tmp_path: Path) -> None:
    sound = content(tmp_path, lambda raw: None)
    instances = sound.items["text"].instances.copy()
    instances[45] = "item-2"
    items = {m: replace(i, instances=instances) for m, i in sound.items.items()}
    with pytest.raises(DataError, match=r"instance item-2 is in both train and gallery; splits are disjoint"):
        made_data.checked(replace(sound, items=items), PROTOCOLS, multilabel=True)


def test_relevance_by_instance(tmp_path: Path) -> None:
    sound = content(tmp_path, lambda raw: None)
    same = Protocol("pairs", ("query",), ("query",), relevance="instance")
    made_data.checked(sound, (same,))
    with pytest.raises(DataError, match="image query item-32 has no relevant text in the gallery of protocol pairs"):
        made_data.checked(sound, (replace(same, gallery=("gallery",)),))


def test_labels_are_needed_where_they_are_compared(tmp_path: Path) -> None:
    sound = content(tmp_path, lambda raw: None)
    unlabelled = replace(sound, items={m: i.without_labels() for m, i in sound.items.items()})
    with pytest.raises(DataError, match="protocol query-gallery compares labels, but there are none"):
        made_data.checked(unlabelled, PROTOCOLS, multilabel=True)


@pytest.mark.parametrize("case", RARE)
def test_rare_labels_are_noted_in_multi_label_data_and_refused_otherwise(case: str, tmp_path: Path) -> None:
    change, expected = RARE[case]
    broken = content(tmp_path, change, multilabel=False)
    with pytest.raises(DataError, match=expected):
        made_data.checked(broken, PROTOCOLS, multilabel=False)
    _, notes = made_data.checked(broken, PROTOCOLS, multilabel=True)
    assert re.search(expected, notes[0])
