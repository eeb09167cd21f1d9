"""IAPR TC-12 on a miniature of the official archives: which pictures are items, and what of damage is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import made_archives
import numpy as np
import pytest

from cmrbench.core.errors import DataError
from cmrbench.data.content import Content

NUMBERS = [112, 25, 1009, 40_003, 7, 60, 1010, 61]
UNDESCRIBED, UNLABELLED, UNSEEN, SILENT = 60, 7, 1010, 61
"""Pictures without a document, without a region, without a file, and with an empty description."""
REGIONS = {112: [(1, 273), (2, 5), (3, 273)], 25: [(1, 5)], 1009: [(1, 40)], 40_003: [(1, 12), (2, 5)], 60: [(1, 40)]}
NAMES = {5: "sky-blue", 12: "woman", 40: "", 66: "never", 273: "palm"}
MORE = {UNSEEN: [(1, 5)], SILENT: [(1, 5)]}


@dataclass
class Mini:
    """What the archives hold, to be changed before they are packed."""

    folder: Path
    collection: dict[str, str | bytes] = field(default_factory=dict)
    regions: dict[str, str | bytes] = field(default_factory=dict)

    def write(self) -> Path:
        self.folder.mkdir(exist_ok=True)
        made_archives.write_tar(self.folder / "iaprtc12.tgz", self.collection)
        # The region labels come in a .rar in three parts, unpacked by hand.
        for name, content in self.regions.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.folder


def place(number: int) -> str:
    return f"{number // 1000:02d}/{number}"


def document(number: int, language: str = "English") -> bytes:
    """As in the archive: some without the XML line, in ISO-8859-1, with bytes of Windows-1252 and a bare ampersand."""
    head = '<?xml version="1.0" encoding="ISO-8859-1"?>\r\n' if number % 2 else ""
    text = "" if number == SILENT else f"ein Café & a house &amp; {language};\r\n  the man\x92s {number};"
    body = (
        f"<DOC>\r\n<DOCNO>annotations/{place(number)}.eng</DOCNO>\r\n<TITLE>Plaza {number}</TITLE>\r\n"
        f"<DESCRIPTION>{text}</DESCRIPTION>\r\n<NOTES>not to be read</NOTES>\r\n<LOCATION>Cochabamba</LOCATION>\r\n"
        f"<DATE>1 February 2002</DATE>\r\n<IMAGE>images/{place(number)}.jpg</IMAGE>\r\n</DOC>\r\n"
    )
    return (head + body).encode("latin-1")


@pytest.fixture
def mini(tmp_path: Path) -> Mini:
    made = Mini(tmp_path / "iapr")
    for n in NUMBERS:
        if n != UNDESCRIBED:
            made.collection[f"iaprtc12/annotations_complete_eng/{place(n)}.eng"] = document(n)
            made.collection[f"iaprtc12/annotations_complete_ger/{place(n)}.ger"] = document(n, "deutsch")
            made.collection[f"iaprtc12/annotations/{place(n)}.eng"] = b"<DOC><TITLE>light</TITLE></DOC>"
        if n != UNSEEN:
            made.collection[f"iaprtc12/images/{place(n)}.jpg"] = b"\xff\xd8"
            made.collection[f"iaprtc12/thumbnails/{place(n)}.jpg"] = b"\xff\xd8"
    lines: dict[str, str] = {}
    for n, found in (REGIONS | MORE).items():
        text = "".join(f"{n}\t{region}\t{label}\r\n" for region, label in found)
        name = f"benchmark/saiapr_tc-12/{n // 1000:02d}/labels.txt"
        lines[name] = lines.get(name, "") + text
    made.regions = {
        **lines,
        "benchmark/saiapr_tc-12/00/images/112.jpg": b"\xff\xd8",
        "matlab/wlist.txt": "".join(f"{code}\t{name}\n" for code, name in NAMES.items()),
    }
    return made


def make(folder: Path, **options: Any) -> Content:
    entry = made_archives.make_entry("iaprtc12", made_archives.RAW, options=options)
    return made_archives.run_builder(entry, folder, folder.parent / "scratch")


def test_items_are_described_pictures_with_the_labels_of_their_regions(mini: Mini) -> None:
    content = make(mini.write())
    image, text = content.items["image"], content.items["text"]
    assert image.ids.tolist() == text.ids.tolist() == text.instances.tolist() == ["25", "112", "1009", "40003"]
    assert content.classes == ("sky-blue", "woman", "label 40", "palm"), "label 66 occurs nowhere"
    np.testing.assert_array_equal(image.labels, [[1, 0, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0], [1, 1, 0, 0]])
    assert content.texts["text"][0] == "ein Café & a house & English; the man\u2019s 25;"
    assert content.pictures["image"][1] == "iaprtc12.tgz/iaprtc12/images/00/112.jpg"
    assert content.splits is None
    notes = " ".join(content.notes)
    for told in (
        "4 labels occur; in the official files 255 do",
        "2 labelled pictures that have no english text left out, 60 the first",
        "1 described pictures that are not there left out, 1010 the first",
        "1 pictures without a labelled region left out",
        "1 pictures whose description is empty left out",
        "1 labels have no name in wlist.txt",
    ):
        assert told in notes


def test_unlabelled_pictures_can_be_kept(mini: Mini) -> None:
    content = make(mini.write(), unlabelled="keep")
    assert content.items["image"].ids.tolist() == ["7", "25", "112", "1009", "40003"]
    assert not content.items["image"].labels[0].any()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"text": "title"}, "Plaza 25"),
        ({"text": "both"}, "Plaza 25 ein Café & a house & English; the man\u2019s 25;"),
        ({"language": "german"}, "ein Café & a house & deutsch; the man\u2019s 25;"),
    ],
)
def test_other_texts(mini: Mini, options: dict[str, Any], expected: str) -> None:
    content = make(mini.write(), **options)
    assert content.texts["text"][content.items["text"].ids.tolist().index("25")] == expected


def test_without_names_labels_are_named_by_number(mini: Mini) -> None:
    del mini.regions["matlab/wlist.txt"]
    assert make(mini.write()).classes == ("label 5", "label 12", "label 40", "label 273")


def test_archives_that_are_not_read_are_named(mini: Mini) -> None:
    mini.regions = {f"saiaprtc12ok.part{k}.rar": b"Rar!" for k in (1, 2, 3)}
    with pytest.raises(DataError, match=r"no file 'labels.txt', but saiaprtc12ok.part1.rar.*unpack it by hand"):
        make(mini.write())


@pytest.mark.parametrize("line", ["112\t1\n", "112\t1\t5\t6\n", "112\t1\tsky\n", "-1\t1\t5\n", "112\t1\t5.5\n"])
def test_a_line_of_labels_must_be_three_numbers(mini: Mini, line: str) -> None:
    name = "benchmark/saiapr_tc-12/00/labels.txt"
    old = mini.regions[name]
    assert isinstance(old, str)
    mini.regions[name] = old + line
    with pytest.raises(
        DataError, match=rf"labels.txt line {old.count(chr(10)) + 1}: expected the numbers of a picture"
    ):
        make(mini.write())


@pytest.mark.parametrize(
    ("member", "content", "told"),
    [
        ("iaprtc12/annotations_complete_eng/00/112.eng", document(112)[:60], "112.eng has neither a TITLE nor"),
        ("iaprtc12/annotations_complete_eng/00/112.eng", b"", "112.eng has neither a TITLE nor"),
        ("iaprtc12/annotations_complete_eng/00/x.eng", document(112), "expected the description of one picture"),
        ("iaprtc12/annotations_complete_eng/01/112.eng", document(112), "expected the description of one picture"),
        ("iaprtc12/annotations_complete_eng/00/112.eng", b" " * 2_000_000, "expected the description of one picture"),
    ],
)
def test_a_damaged_document_is_refused(mini: Mini, member: str, content: bytes, told: str) -> None:
    mini.collection[member] = content
    with pytest.raises(DataError, match=told):
        make(mini.write())


def test_missing_parts_are_named(mini: Mini) -> None:
    whole = dict(mini.collection)
    mini.collection = {n: c for n, c in whole.items() if "complete_eng" not in n}
    with pytest.raises(DataError, match=r"holds no annotations_complete_eng/00/112.eng; is iaprtc12.tgz there"):
        make(mini.write())
    mini.collection = {n: c for n, c in whole.items() if not n.startswith("iaprtc12/images")}
    del mini.regions["benchmark/saiapr_tc-12/00/images/112.jpg"]
    (mini.folder / "benchmark/saiapr_tc-12/00/images/112.jpg").unlink()
    with pytest.raises(DataError, match=r"no picture \(images/00/112.jpg\) has both english text"):
        make(mini.write())


def test_a_truncated_archive_is_refused(mini: Mini) -> None:
    path = mini.write() / "iaprtc12.tgz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="iaprtc12.tgz"):
        make(mini.folder)
