"""The archive of the Wikipedia dataset: the same content as the two-list form, with texts and pictures."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_archives
import numpy as np
import pytest
from scipy.io import savemat

from cmrbench.core.errors import DataError
from cmrbench.data.builders import _wiki_files
from cmrbench.data.content import Content

CLASSES = ["art", "biology", "geography", "history", "literature", "media", "music", "royalty", "sport", "warfare"]
VECTORS = {"image": {"dims": 128}, "text": {"dims": 10}}
TRAIN, N = 30, 45
TOP = "wikipedia_dataset"
Members = dict[str, bytes]


def document(k: int, image_id: str) -> str:
    """As the archive has them: bare & and <, blank lines, character references."""
    return (
        f'<?xml version="1.0" encoding="UTF-8" ?>\r\n<document name="Section {k}">\r\n<text>\r\nAT&T {k} < 7,\n\n'
        f"  caf\u00e9 &amp; b\u00e9b\u00e9 [[File:x.jpg]]\r\n</text>\r\n"
        f'<imageset>\r\n<image file="x" id="{image_id}" ></image>\r\n</imageset>\r\n</document>\r\n'
    )


@pytest.fixture
def members() -> Members:
    rng = np.random.default_rng(2)
    category = np.arange(N) % 10
    text_ids = [f"{7919 * (i + 1):032x}-{i % 7}.{i % 3}" for i in range(N)]
    image_ids = [f"{104729 * (i + 1):032x}" for i in range(N)]
    features = {"I": rng.random((N, 128)), "T": rng.random((N, 10))}
    matrices = io.BytesIO()
    savemat(
        matrices,
        {f"{v}_tr": x[:TRAIN] for v, x in features.items()} | {f"{v}_te": x[TRAIN:] for v, x in features.items()},
    )
    lines = [f"{t}\t{i}\t{k + 1}\n" for t, i, k in zip(text_ids, image_ids, category, strict=True)]
    members: dict[str, Any] = {
        "README.txt": "none",
        "raw_features.mat": matrices.getvalue(),
        "categories.list": "".join(f"{c}\n" for c in CLASSES),
        "trainset_txt_img_cat.list": "".join(lines[:TRAIN]),
        "testset_txt_img_cat.list": "".join(lines[TRAIN:]),
    }
    for i in range(N):
        members[f"texts/{text_ids[i]}.xml"] = document(i, image_ids[i])
        members[f"images/{CLASSES[category[i]]}/{image_ids[i]}.jpg"] = f"jpeg {i}"
    members["texts/ffff-1.xml"] = "<document>not in the lists</document>"
    return {f"{TOP}/{n}": c.encode() if isinstance(c, str) else c for n, c in members.items()}


def entry(builder: str, modalities: dict[str, Any]) -> Any:
    return made_archives.make_entry(builder, modalities, labels={"classes": 10, "names": CLASSES})


def build(members: Members, folder: Path, modalities: dict[str, Any] = VECTORS) -> Content:
    (folder / "sources").mkdir(exist_ok=True)
    made_archives.write_zip(folder / "sources" / "wikipedia_dataset.zip", members)
    return made_archives.run_builder(entry("wiki", modalities), folder / "sources", folder / "scratch", "archive")


def test_it_is_the_two_list_form_with_texts_and_pictures(members: Members, tmp_path: Path) -> None:
    content = build(members, tmp_path)
    plain = tmp_path / "plain"
    plain.mkdir()
    for name, raw in members.items():
        if name.endswith((".mat", "cat.list")):
            (plain / name.rpartition("/")[2]).write_bytes(raw)
    lists = made_archives.run_builder(entry("wiki", VECTORS), plain, tmp_path / "other", "original")
    assert content.classes == lists.classes
    assert content.splits is not None
    assert lists.splits is not None
    for modality in ("image", "text"):
        ours, theirs = content.items[modality], lists.items[modality]
        for name in ("features", "ids", "instances", "labels"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
        assert content.splits[modality].tolist() == lists.splits[modality].tolist()
    assert content.notes == lists.notes
    assert content.texts["text"][4] == "AT&T 4 < 7, caf\u00e9 & b\u00e9b\u00e9 [[File:x.jpg]]"
    image = content.items["image"]
    assert image.labels is not None
    expected = [
        f"wikipedia_dataset.zip/{TOP}/images/{CLASSES[k]}/{i}.jpg"
        for i, k in zip(image.ids.tolist(), image.labels.argmax(1).tolist(), strict=True)
    ]
    assert content.pictures["image"] == expected


def test_raw_has_no_columns(members: Members, tmp_path: Path) -> None:
    del members[f"{TOP}/categories.list"]
    content = build(members, tmp_path, made_archives.RAW)
    assert content.items["image"].features.shape == content.items["text"].features.shape == (N, 0)
    assert content.classes == tuple(CLASSES)
    assert len(content.texts["text"]) == N


def test_what_differs_from_the_lists_is_noted(members: Members, tmp_path: Path) -> None:
    texts = [n for n in members if n.endswith(".xml")]
    members[texts[0]] = members[texts[0]].replace(b' id="', b' id="f')
    members[texts[1]] = members[texts[1]].decode().encode("latin-1", "replace")
    moved = next(n for n in members if "/images/art/" in n)
    members[moved.replace("/art/", "/music/")] = members.pop(moved)
    notes = "; ".join(build(members, tmp_path).notes)
    assert "1 texts name another picture than the lists; the lists were followed" in notes
    assert "1 texts are not UTF-8 and were read as Latin-1" in notes
    assert "1 pictures are in the folder of another category" in notes


def first(members: Members, part: str) -> str:
    return next(n for n in members if part in n)


def drop(part: str) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        del members[first(members, part)]

    return change


def replace(part: str, old: bytes, new: bytes) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        name = first(members, part)
        assert old in members[name]
        members[name] = members[name].replace(old, new, 1)

    return change


DAMAGE: dict[str, tuple[Callable[[Members], None], str]] = {
    "entities": (
        replace(".xml", b"<document", b'<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><document'),
        r"\.xml declares a document type or entities",
    ),
    "cut text": (replace(".xml", b"</text>", b""), r"\.xml has no closed <text>; is the file complete\?"),
    "no text": (drop(".xml"), r"1 texts are missing, texts/[0-9a-f]+-0\.0\.xml the first"),
    "no picture": (drop("/images/"), r"1 pictures are missing, images/<category>/[0-9a-f]{32}\.jpg the first"),
    "short list": (
        replace("testset", b"\t1\n", b"\t1\n" + b"a b 3\n"),
        r"I_te has 15 image rows, but testset_txt_img_cat\.list has 16 lines",
    ),
    "strange line": (replace("trainset", b"\t2\n", b"\n"), r"trainset_txt_img_cat\.list line 2: expected 'text-id"),
    "unknown category": (
        replace("trainset", b"\t1\n", b"\t11\n"),
        r"row 0 is class 10, but classes are numbered 0 to 9",
    ),
    "other categories": (
        replace("categories", b"sport", b"sports"),
        r"categories\.list lists art, .*the catalogue says",
    ),
    "no matrix": (drop("raw_features"), r"holds no file 'raw_features\.mat'"),
    "cut matrix": (
        lambda m: m.update({f"{TOP}/raw_features.mat": m[f"{TOP}/raw_features.mat"][:4000]}),
        r"raw_features\.mat",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_refused(members: Members, tmp_path: Path, case: str) -> None:
    change, expected = DAMAGE[case]
    change(members)
    with pytest.raises(DataError, match=expected):
        build(members, tmp_path)


def test_a_picture_under_two_names_is_refused(members: Members, tmp_path: Path) -> None:
    name = first(members, "/images/art/")
    members[name.replace("/art/", "/music/")] = b"jpeg"
    with pytest.raises(DataError, match="have the same image id"):
        build(members, tmp_path)


def test_a_huge_text_is_refused_and_a_hostile_one_read_in_time() -> None:
    with pytest.raises(DataError, match=r"x\.xml has more than 4,194,304 bytes"):
        _wiki_files.section(b"<text>" + b"a" * (4 << 20) + b"</text>", "x.xml")
    with pytest.raises(DataError, match="no closed <text>"):
        _wiki_files.section(b"<text><image " * 200_000, "x.xml")
