"""CUB-200-2011 on a miniature of the official archives: which pictures are items, and what of damage is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import made_archives
import numpy as np
import pytest

from cmrbench.core.errors import DataError
from cmrbench.data.content import Content

CLASSES = ["001.Black_footed_Albatross", "002.Laysan_Albatross", "010.Red_winged_Blackbird", "200.Common_Yellowthroat"]
PICTURES = [f"{name}/{name[4:]}_{k:04d}_{k * 7}.jpg" for name in CLASSES for k in range(1, 4)]
SILENT, ODD = 2, 6
"""Numbers of a picture without sentences and of one with nine."""
IMAGES = "CUB_200_2011/images.txt"
LABELS = "CUB_200_2011/image_class_labels.txt"
HALVES = "CUB_200_2011/train_test_split.txt"


@dataclass
class Mini:
    """The members of the two archives, to be changed before they are packed."""

    folder: Path
    birds: dict[str, str | bytes] = field(default_factory=dict)
    sentences: dict[str, str | bytes] = field(default_factory=dict)

    def write(self) -> Path:
        self.folder.mkdir(exist_ok=True)
        made_archives.write_tar(self.folder / "CUB_200_2011.tgz", self.birds)
        if self.sentences:
            made_archives.write_tar(self.folder / "cvpr2016_cub.tar.gz", self.sentences)
        return self.folder


@pytest.fixture
def mini(tmp_path: Path) -> Mini:
    made = Mini(tmp_path / "cub")
    made.birds = {
        "attributes.txt": "1 has_bill_shape::curved\n",
        "CUB_200_2011/README": "birds",
        "CUB_200_2011/classes.txt": "".join(f"{int(name[:3])} {name}\n" for name in CLASSES),
        LABELS: "".join(f"{n} {int(p[:3])}\r\n" for n, p in enumerate(PICTURES, 1)),
        **{f"CUB_200_2011/images/{p}": b"\xff\xd8" for p in PICTURES},
        IMAGES: "".join(f"{n} {p}\n" for n, p in enumerate(PICTURES, 1)),
        "CUB_200_2011/parts/parts.txt": "1 back\n",
        HALVES: "".join(f"{n} {n % 2}\n" for n in range(1, len(PICTURES) + 1)),
    }
    made.sentences = {"cvpr2016_cub/allclasses.txt": "\n".join(CLASSES), "cvpr2016_cub/text_c10/001.t7": b"\x04\x00"}
    for n, p in enumerate(PICTURES, 1):
        if n != SILENT:
            end = "\r\n" if n % 2 else "\n"
            told = [f"this bird\thas a b\u00e9ak  {k} of {n}." for k in range(9 if n == ODD else 10)]
            made.sentences[f"cvpr2016_cub/text_c10/{p[:-4]}.txt"] = end.join(told) + end + ("\n" if n % 3 else "")
    made.sentences["cvpr2016_cub/text_c10/200.Common_Yellowthroat/none_0001_1.txt"] = "of no picture\n"
    return made


def make(folder: Path, **options: Any) -> Content:
    entry = made_archives.make_entry("cub", made_archives.RAW, options=options)
    return made_archives.run_builder(entry, folder, folder.parent / "scratch")


def test_items_are_pictures_and_each_of_their_sentences(mini: Mini) -> None:
    content = make(mini.write())
    image, text = content.items["image"], content.items["text"]
    kept = [n for n in range(1, 13) if n != SILENT]
    assert image.ids.tolist() == [str(n) for n in kept]
    assert content.classes == (
        "Black footed Albatross",
        "Laysan Albatross",
        "Red winged Blackbird",
        "Common Yellowthroat",
    )
    assert image.labels.argmax(1).tolist() == [(n - 1) // 3 for n in kept]
    assert (image.labels.sum(1) == 1).all()
    assert text.ids.tolist()[:11] == [*(f"1#{k}" for k in range(10)), "3#0"]
    assert text.instances.tolist() == [str(n) for n in kept for _ in range(9 if n == ODD else 10)]
    np.testing.assert_array_equal(text.labels, image.labels[[kept.index(int(i)) for i in text.instances]])
    assert content.texts["text"][10] == "this bird has a b\u00e9ak 0 of 3."
    assert content.pictures["image"][0] == f"CUB_200_2011.tgz/CUB_200_2011/images/{PICTURES[0]}"
    assert content.splits["image"].tolist() == ["train" if n % 2 else "query" for n in kept]
    assert content.splits["text"].tolist()[:11] == ["train"] * 11
    notes = " ".join(content.notes)
    for told in ("1 files of sentences belong to no", "1 pictures without sentences", "1 pictures have more or fewer"):
        assert told in notes
    assert "U+FFFD" not in notes


def test_sentences_can_be_joined(mini: Mini) -> None:
    content = make(mini.write(), captions="joined")
    assert content.items["text"].ids.tolist() == content.items["image"].ids.tolist()
    assert content.texts["text"][0].count("this bird has a b\u00e9ak") == 10


def test_lost_characters_are_counted(mini: Mini) -> None:
    name = f"cvpr2016_cub/text_c10/{PICTURES[0][:-4]}.txt"
    mini.sentences[name] = "a bird\ufffds beak\nand its tail\n"
    content = make(mini.write())
    assert any("1 sentences hold U+FFFD" in note for note in content.notes)


def test_the_order_of_the_list_is_the_order_of_the_items(mini: Mini) -> None:
    lines = str(mini.birds[IMAGES]).splitlines(keepends=True)
    mini.birds[IMAGES] = "".join(reversed(lines))
    image = make(mini.write()).items["image"]
    assert image.ids.tolist()[:3] == ["12", "11", "10"]
    assert image.labels.argmax(1).tolist() == [3, 3, 3, 2, 2, 2, 1, 1, 1, 0, 0]


def drop_last_line(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[:-1])


@pytest.mark.parametrize(
    ("member", "change", "told"),
    [
        (IMAGES, drop_last_line, r"image_class_labels.txt has 12 pictures and images.txt 11.*picture 12"),
        (LABELS, drop_last_line, r"image_class_labels.txt has 11 pictures and images.txt 12.*picture 12"),
        (HALVES, drop_last_line, r"train_test_split.txt has 11 pictures"),
        (HALVES, lambda t: t.replace("3 1", "3 2"), "train_test_split.txt: picture 3 has '2'"),
        (LABELS, lambda t: t.replace("\r\n3 1", "\r\n3 3"), "image_class_labels.txt: picture 3 has '3'"),
        (IMAGES, lambda t: t + "12 x.jpg\n", "images.txt line 13: expected a new number"),
        (IMAGES, lambda t: "x" + t, "images.txt line 1: expected a new number"),
        ("CUB_200_2011/classes.txt", lambda t: "\n", "classes.txt is empty"),
    ],
)
def test_lists_that_disagree_are_refused(mini: Mini, member: str, change: Callable[[str], str], told: str) -> None:
    mini.birds[member] = change(str(mini.birds[member]))
    with pytest.raises(DataError, match=told):
        make(mini.write())


def test_missing_files_are_named(mini: Mini) -> None:
    picture = f"CUB_200_2011/images/{PICTURES[4]}"
    del mini.birds[picture]
    with pytest.raises(DataError, match=rf"holds 10 of 11 pictures, but not that of {PICTURES[4]}"):
        make(mini.write())
    mini.birds = {n: c for n, c in mini.birds.items() if not n.endswith(".jpg")}
    with pytest.raises(DataError, match="holds none of the pictures"):
        make(mini.write())
    del mini.birds[HALVES]
    with pytest.raises(DataError, match="no file 'CUB_200_2011/train_test_split.txt'"):
        make(mini.write())


def test_sentences_come_separately(mini: Mini) -> None:
    mini.sentences = {}
    with pytest.raises(DataError, match="the sentences of Reed et al. come separately"):
        make(mini.write())


def test_sentences_of_other_pictures_are_refused(mini: Mini) -> None:
    mini.sentences = {"text_c10/001.Black_footed_Albatross/other.txt": "a bird\n"}
    with pytest.raises(DataError, match="no sentences belong to the pictures of images.txt"):
        make(mini.write())


def test_a_text_that_is_not_utf_8_is_refused(mini: Mini) -> None:
    name = f"cvpr2016_cub/text_c10/{PICTURES[0][:-4]}.txt"
    mini.sentences[name] = b"a bird\nits b\xe9ak\n"
    with pytest.raises(DataError, match=r"Black_footed_Albatross_0001_7.txt line 2 is not utf-8"):
        make(mini.write())


def test_a_truncated_archive_is_refused(mini: Mini) -> None:
    path = mini.write() / "CUB_200_2011.tgz"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match="CUB_200_2011.tgz"):
        make(mini.folder)
