"""MS COCO on a miniature of the official annotations: which pictures are items, and what of damage is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import made_archives
import numpy as np
import pytest

from cmrbench.core.errors import DataError
from cmrbench.data.builders._json_records import records
from cmrbench.data.content import Content

CATEGORIES = {1: "person", 2: "bicycle", 13: "stop sign", 90: "toothbrush"}
"""With gaps, as in the official files, where 12 and 26 are missing."""
TRAIN, VAL = [9, 581_929, 25, 30], [42, 73, 7]
UNLABELLED, SILENT, ODD = 25, 73, 30
"""Pictures without an object, without a caption, and with six captions."""
Files = dict[str, Any]


@pytest.fixture
def files() -> Files:
    """The four annotation files of 2014 as Python values, categories last as in the official files."""
    made: Files = {}
    for part, numbers in (("train", TRAIN), ("val", VAL)):
        images = [
            {"license": 1, "file_name": f"COCO_{part}2014_{n:012d}.jpg", "height": 4, "width": 5, "id": n}
            for n in numbers
        ]
        objects = [
            {"segmentation": [[0.5, 1.25, 3.0]], "area": 2.5, "iscrowd": 0, "image_id": n, "category_id": c, "id": k}
            for k, (n, c) in enumerate((n, c) for n in numbers for c in categories_of(n))
        ]
        if objects:
            crowd = {"segmentation": {"counts": [1, 2], "size": [4, 5]}, "iscrowd": 1, "id": 99}
            objects.append(crowd | {"image_id": numbers[0], "category_id": 90})
        captions = [
            {"image_id": n, "id": 1000 * n + k, "caption": f" Ein Café,\nnumber {k}  of {n}.\n"}
            for k in range(6)
            for n in numbers
            if n != SILENT and (k < 5 or n == ODD)
        ]
        info, licences = {"year": 2014}, [{"id": 1, "name": "CC"}]
        categories = [{"supercategory": "x", "id": i, "name": name} for i, name in CATEGORIES.items()]
        made[f"instances_{part}2014"] = {
            "info": info, "images": images, "licenses": licences, "annotations": objects, "categories": categories,
        }  # fmt: skip
        made[f"captions_{part}2014"] = {
            "info": info, "images": images, "licenses": licences, "annotations": captions,
        }  # fmt: skip
    return made


def categories_of(number: int) -> list[int]:
    """The objects' categories, one of them twice."""
    return [] if number == UNLABELLED else [1, 1, 13] if number % 2 else [2]


def pack(folder: Path, files: Files, pictures: dict[str, list[int]] | None = None, year: int = 2014) -> Path:
    folder.mkdir(exist_ok=True)
    renamed = {name.replace("2014", str(year)): content for name, content in files.items()}
    members = {f"annotations/{n}.json": c if isinstance(c, str) else json.dumps(c) for n, c in renamed.items()}
    made_archives.write_zip(folder / f"annotations_trainval{year}.zip", members)
    for part, numbers in (pictures or {}).items():
        made_archives.write_zip(
            folder / f"{part}2014.zip", {f"{part}2014/COCO_{part}2014_{n:012d}.jpg": b"\xff\xd8" for n in numbers}
        )
    return folder


def make(folder: Path, modalities: dict[str, Any] | None = None, **options: Any) -> Content:
    entry = made_archives.make_entry("mscoco", modalities or made_archives.RAW, options=options)
    return made_archives.run_builder(entry, folder, folder.parent / "scratch")


def test_items_are_labelled_pictures_and_each_of_their_captions(tmp_path: Path, files: Files) -> None:
    content = make(pack(tmp_path / "coco", files))
    image, text = content.items["image"], content.items["text"]
    assert content.classes == tuple(CATEGORIES.values())
    assert image.ids.tolist() == ["7", "9", "30", "42", "581929"], "by number, not as text, 25 and 73 left out"
    expected = {"7": [1, 0, 1, 0], "9": [1, 0, 1, 1], "30": [0, 1, 0, 0], "42": [0, 1, 0, 1], "581929": [1, 0, 1, 0]}
    assert {i: row.tolist() for i, row in zip(image.ids, image.labels, strict=True)} == expected
    assert image.features.shape == (5, 0)
    assert text.ids.tolist()[:6] == ["7000", "7001", "7002", "7003", "7004", "9000"]
    assert text.instances.tolist() == [i for i in image.ids for _ in range(6 if i == "30" else 5)]
    assert (text.labels == image.labels[np.searchsorted(image.ids.astype(int), text.instances.astype(int))]).all()
    assert content.texts["text"][0] == "Ein Café, number 0 of 7."
    assert content.splits["image"].tolist() == ["query", "train", "train", "query", "train"]
    assert content.splits["text"].tolist()[:6] == ["query"] * 5 + ["train"]
    notes = " ".join(content.notes)
    for told in ("1 pictures without a caption", "1 pictures without an annotated object", "5 to 6 captions", "7 pict"):
        assert told in notes


def test_both_years_give_the_same_items(tmp_path: Path, files: Files) -> None:
    first = make(pack(tmp_path / "a", files))
    for kind in ("instances", "captions"):
        train, val = files[f"{kind}_train2014"], files[f"{kind}_val2014"]
        for key, field in (("images", "id"), ("annotations", "image_id")):
            moved = [e for e in train[key] if e[field] == 30]
            train[key] = [e for e in train[key] if e[field] != 30]
            val[key] = moved + val[key]
    second = make(pack(tmp_path / "b", files, year=2017))
    for modality in ("image", "text"):
        for name in ("ids", "instances", "labels"):
            np.testing.assert_array_equal(
                getattr(first.items[modality], name), getattr(second.items[modality], name), err_msg=name
            )
    assert first.texts == second.texts
    assert second.splits["image"].tolist() == ["query", "train", "query", "query", "train"]


def test_unlabelled_pictures_can_be_kept_and_captions_joined(tmp_path: Path, files: Files) -> None:
    content = make(pack(tmp_path / "coco", files), unlabelled="keep", captions="joined")
    image, text = content.items["image"], content.items["text"]
    assert image.ids.tolist() == text.ids.tolist() == ["7", "9", "25", "30", "42", "581929"]
    assert not image.labels[2].any()
    assert content.texts["text"][2].startswith("Ein Café, number 0 of 25. Ein Café, number 1 of 25.")
    assert "1 pictures have no annotated object" in " ".join(content.notes)


def test_one_part_alone(tmp_path: Path, files: Files) -> None:
    del files["instances_train2014"], files["captions_train2014"]
    content = make(pack(tmp_path / "coco", files), parts="val")
    assert content.items["image"].ids.tolist() == ["7", "42"]


def test_pictures_are_found_in_their_archives(tmp_path: Path, files: Files) -> None:
    content = make(pack(tmp_path / "coco", files, {"train": TRAIN}))
    assert content.pictures["image"] == [
        "val2014.zip/val2014/COCO_val2014_000000000007.jpg",
        "train2014.zip/train2014/COCO_train2014_000000000009.jpg",
        "train2014.zip/train2014/COCO_train2014_000000000030.jpg",
        "val2014.zip/val2014/COCO_val2014_000000000042.jpg",
        "train2014.zip/train2014/COCO_train2014_000000581929.jpg",
    ]
    assert any("pictures of val2014 are not there" in note for note in content.notes)


def test_an_incomplete_archive_of_pictures_is_refused(tmp_path: Path, files: Files) -> None:
    with pytest.raises(
        DataError, match=r"holds 2 of 3 pictures, but not that of train2014/COCO_train2014_000000000030"
    ):
        make(pack(tmp_path / "coco", files, {"train": [9, 581_929]}))


@pytest.mark.parametrize(
    ("name", "keep", "told"),
    [("instances_train2014", 0.6, "no complete JSON"), ("captions_val2014", 0.5, "no complete JSON")],
)
def test_truncated_json_is_refused(tmp_path: Path, files: Files, name: str, keep: float, told: str) -> None:
    whole = json.dumps(files[name])
    files[name] = whole[: int(len(whole) * keep)]
    with pytest.raises(DataError, match=rf"annotations/{name}.json is .*{told}"):
        make(pack(tmp_path / "coco", files))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: f["instances_train2014"]["annotations"][0].update(image_id=77), "names picture 77"),
        (lambda f: f["instances_val2014"]["annotations"][0].update(category_id=12), "names category 12"),
        (lambda f: f["instances_train2014"]["annotations"][1].pop("category_id"), "expected 'category_id' with a int"),
        (lambda f: f["instances_train2014"]["annotations"][1].update(image_id="9"), "expected 'image_id' with a int"),
        (lambda f: f["captions_train2014"]["annotations"][0].update(caption=None), "expected 'caption' with a str"),
        (lambda f: f["captions_train2014"]["annotations"][0].update(image_id=78), "a caption of picture 78"),
        (lambda f: f["instances_val2014"]["images"].append(f["instances_train2014"]["images"][0]), "in both train and"),
        (lambda f: f["instances_val2014"]["categories"].pop(), "do not list the same categories"),
        (lambda f: f["instances_train2014"]["images"][0].update(file_name="../../etc/passwd"), "is no file name"),
        (lambda f: f["instances_train2014"].update(categories=[]), "has no array 'categories'"),
        (lambda f: f.update(captions_val2014=[1, 2]), "has no array 'annotations'"),
        (lambda f: f.pop("captions_val2014"), "holds no file 'captions_val2014.json'"),
    ],
)
def test_damage_is_refused(tmp_path: Path, files: Files, change: Any, told: str) -> None:
    change(files)
    with pytest.raises(DataError, match=told):
        make(pack(tmp_path / "coco", files))


def test_two_years_in_one_folder_are_refused(tmp_path: Path, files: Files) -> None:
    pack(tmp_path / "coco", files)
    with pytest.raises(DataError, match="both 2014 and 2017"):
        make(pack(tmp_path / "coco", files, year=2017))
    assert len(make(tmp_path / "coco", year=2017).items["image"]) == 5


@pytest.mark.parametrize(
    ("modalities", "told"),
    [
        ({"image": {"dims": 4096}, "text": {"kind": "raw"}}, "no vector features of image; make them"),
        ({"image": {"kind": "raw"}, "audio": {"kind": "raw"}}, "not 'audio'"),
    ],
)
def test_features_that_the_source_does_not_have_are_refused(
    tmp_path: Path, files: Files, modalities: dict[str, Any], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        make(pack(tmp_path / "coco", files), modalities)


def test_a_wrong_option_is_refused(tmp_path: Path, files: Files) -> None:
    with pytest.raises(DataError, match="year"):
        make(pack(tmp_path / "coco", files), year=2015)


@pytest.mark.parametrize("element", [7, "7", None, [7], [[{"id": 7}]]])
def test_what_is_no_record_is_told(element: Any) -> None:
    text = json.dumps({"a": [{"id": 1, "deep": {"id": 2, "a": [{"id": 3}]}}, element, {}], "b": [{"id": 4}]})
    found = list(records(io.BytesIO(text.encode()), "x.json", {"a": ["id", "name"]}))
    assert found == [("a", {"id": 1}), ("a", None), ("a", {})]


class Endless:
    """A JSON file of a given number of outlines, made while it is read."""

    def __init__(self, objects: int) -> None:
        outline = json.dumps({"segmentation": [[float(k) for k in range(2000)]], "image_id": 3, "category_id": 1})
        self._parts = iter(['{"annotations": [', *([outline + ","] * (objects - 1)), outline + "]}"])
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size and (part := next(self._parts, "")):
            self._rest += part.encode()
        chunk, self._rest = self._rest[:size], self._rest[size:]
        return chunk


def test_memory_does_not_grow_with_the_file() -> None:
    import tracemalloc

    def peak(objects: int) -> int:
        stream: Any = Endless(objects)
        tracemalloc.start()
        try:
            found = [r for _, r in records(stream, "x.json", {"annotations": ["image_id", "segmentation"]})]
            assert found == [{"image_id": 3}] * objects
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(50)
    small, large = peak(100), peak(500)
    assert large < small + (4 << 20), (small, large)
