"""MIRFlickr-25K on a miniature of the official archives: which pictures are items, and what of damage is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import made_archives
import numpy as np
import pytest
from made_archives import RAW

from cmrbench.core.errors import DataError
from cmrbench.data.builders.mirflickr import CONCEPTS, RELEVANT
from cmrbench.data.content import Content

N = 30
VECTORS = {"image": {"dims": 150}, "text": {"dims": 4}}
COMMON = {"sky": 845, "explore": 300, "nikon": 120, "café": 20}
UNLABELLED, UNTAGGED, SILENT, BLANK = 4, 10, 11, 12
"""Pictures with none of the concepts; with rare tags only; without tags; with a descriptor of zeros."""


@dataclass
class Mini:
    """The members of the official archives, to be changed before they are packed."""

    folder: Path
    archives: dict[str, dict[str, str | bytes]] = field(default_factory=dict)

    def write(self) -> Path:
        self.folder.mkdir(exist_ok=True)
        for name, members in self.archives.items():
            made_archives.write_zip(self.folder / name, members)
        return self.folder

    def change(self, archive: str, member: str, change: Callable[[str], str]) -> None:
        old = self.archives[f"{archive}.zip"][member]
        assert isinstance(old, str)
        self.archives[f"{archive}.zip"][member] = change(old)


def tags_of(number: int) -> list[str]:
    if number == SILENT:
        return []
    if number == UNTAGGED:
        return ["rare", "skyline"]
    return ["sky" if number % 2 else "nikon", "rare", *(["café", "explore"] if number % 3 == 0 else [])]


def pictures_of(concept: str) -> list[int]:
    """The pictures that a concept's file lists."""
    k = CONCEPTS.index(concept)
    listed = [n for n in range(1, N + 1) if concept == "tree" or k in (n % 24, n * 5 % 24)]
    return [n for n in listed if n != UNLABELLED] or [1]


@pytest.fixture
def mini(tmp_path: Path) -> Mini:
    """The members in the order of the archive: pictures and tags by name (1, 10, 11, ..., 2), not by number."""
    made = Mini(tmp_path / "mirflickr")
    by_name = sorted(range(1, N + 1), key=str)
    pictures: dict[str, str | bytes] = {f"mirflickr/im{n}.jpg": b"\xff\xd8" for n in by_name}
    # Half of the files have Windows line ends; a few end without one.
    for n in by_name:
        end = "\r\n" if n % 2 else "\n"
        pictures[f"mirflickr/meta/tags/tags{n}.txt"] = end.join(tags_of(n)) + (end if n % 5 else "")
        pictures[f"mirflickr/meta/tags_raw/tags{n}.txt"] = end.join(f"{t.title()} !" for t in tags_of(n))
        pictures[f"mirflickr/meta/license/license{n}.txt"] = "CC"
    pictures["mirflickr/doc/common_tags.txt"] = "".join(f"{tag} {count}\r\n" for tag, count in COMMON.items())
    lists: dict[str, str | bytes] = {"README.txt": "24 potential and 14 relevant labels"}
    for concept in CONCEPTS:
        lists[f"{concept}.txt"] = "".join(f"{n}\r\n" for n in pictures_of(concept))
    for relevant in RELEVANT:
        lists[f"{relevant}.txt"] = str(lists[f"{relevant[:-3]}.txt"]).split()[0] + "\n"
    made.archives = {
        "mirflickr25k.zip": pictures,
        "mirflickr25k_annotations_v080.zip": lists,
        "features_edgehistogram.zip": {
            # Numbers from 0, ten thousand a folder; the collection goes on with other pictures.
            f"features_edgehistogram/{k // 10_000}/{k}.txt": numbers(k + 1, 150)
            for k in (*range(N), N, 10_000, 25_000, 999_999)
        },
    }
    return made


def numbers(picture: int, dims: int) -> str:
    return "".join(f"{0 if picture == BLANK else picture / (k + 1)!r}\n" for k in range(dims))


def make(folder: Path, modalities: dict[str, Any], **options: Any) -> Content:
    entry = made_archives.make_entry("mirflickr", modalities, options=options)
    return made_archives.run_builder(entry, folder, folder.parent / "scratch")


def test_items_have_a_common_tag_and_a_label(mini: Mini) -> None:
    content = make(mini.write(), RAW)
    kept = [n for n in range(1, N + 1) if n not in (UNLABELLED, UNTAGGED, SILENT)]
    image, text = content.items["image"], content.items["text"]
    assert image.ids.tolist() == text.ids.tolist() == text.instances.tolist() == [f"im{n}" for n in kept]
    assert content.classes == CONCEPTS
    for n, row in zip(kept, image.labels, strict=True):
        assert [CONCEPTS[k] for k in np.flatnonzero(row)] == [c for c in CONCEPTS if n in pictures_of(c)]
    assert image.features.shape == (len(kept), 0)
    assert content.texts["text"][kept.index(6)] == "nikon rare café explore"
    assert content.pictures["image"][1] == "mirflickr25k.zip/mirflickr/im2.jpg"
    assert content.splits is None
    notes = " ".join(content.notes)
    assert "1 pictures with none of the 24 labels left out" in notes
    assert "2 of the others have none of the common tags and are left out too" in notes


def test_vectors_are_the_descriptor_of_the_same_picture_and_its_common_tags(mini: Mini) -> None:
    content = make(mini.write(), VECTORS)
    image, text = content.items["image"], content.items["text"]
    numbered = [int(i[2:]) for i in image.ids.tolist()]
    assert numbered == [n for n in range(1, N + 1) if n not in (UNLABELLED, UNTAGGED, SILENT, BLANK)]
    expected = np.array([[n / (k + 1) for k in range(150)] for n in numbered], np.float32)
    np.testing.assert_array_equal(image.features, expected)
    assert image.features.dtype == text.features.dtype == np.float32
    assert [[t for t, one in zip(COMMON, row, strict=True) if one] for row in text.features] == [
        [t for t in COMMON if t in tags_of(n)] for n in numbered
    ]
    assert text.ids.tolist() == image.ids.tolist()
    assert any("1 pictures whose descriptor is all zero left out" in note for note in content.notes)


def test_a_modality_can_be_described_and_the_other_raw(mini: Mini) -> None:
    content = make(mini.write(), {"image": {"kind": "raw"}, "text": {"dims": 4}})
    assert content.items["image"].features.shape == (27, 0)
    assert content.items["text"].features.shape == (27, 4)


def test_tags_of_fewer_pictures_are_no_columns_and_may_leave_a_picture_out(mini: Mini) -> None:
    content = make(mini.write(), {"image": {"kind": "raw"}, "text": {"dims": 2}}, min_images=200)
    assert content.items["text"].features.shape[1] == 2
    assert all(content.items["text"].features.any(1))
    assert "im2" not in content.items["image"].ids.tolist(), "its only common tag has 120 pictures"


def test_untagged_pictures_can_be_kept_with_raw_texts(mini: Mini) -> None:
    content = make(mini.write(), RAW, untagged="keep")
    ids = content.items["image"].ids.tolist()
    assert len(ids) == N - 1
    assert f"im{UNLABELLED}" not in ids
    assert content.texts["text"][ids.index(f"im{SILENT}")] == ""
    assert any("1 pictures have no tag at all" in note for note in content.notes)
    assert len(make(mini.folder, RAW, untagged="keep", unlabelled="keep").items["image"]) == N
    with pytest.raises(DataError, match="no text vector; set untagged: drop"):
        make(mini.folder, VECTORS, untagged="keep")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ("clean", "nikon rare café explore"),
        ("common", "nikon café explore"),
        ("raw", "Nikon ! Rare ! Café ! Explore !"),
    ],
)
def test_texts_are_all_tags_or_the_common_ones(mini: Mini, texts: str, expected: str) -> None:
    content = make(mini.write(), RAW, texts=texts)
    assert content.texts["text"][content.items["text"].ids.tolist().index("im6")] == expected


def test_relevant_labels_can_be_classes_of_their_own(mini: Mini) -> None:
    content = make(mini.write(), RAW, labels=38)
    assert len(content.classes) == 38
    assert content.classes[1:3] == ("baby", "baby_r1")
    labels = content.items["image"].labels
    both = labels[:, content.classes.index("tree_r1")], labels[:, content.classes.index("tree")]
    assert both[0].sum() == 1
    assert (both[0] <= both[1]).all()


def test_unpacked_archives_are_read_too(mini: Mini) -> None:
    first = make(mini.write(), RAW)
    other = mini.folder.parent / "unpacked"
    for archive, members in mini.archives.items():
        for name, content in members.items():
            path = other / archive.removesuffix(".zip") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    second = make(other, RAW)
    assert first.items["image"].ids.tolist() == second.items["image"].ids.tolist()
    assert second.pictures["image"][0] == "mirflickr25k/mirflickr/im1.jpg"


@pytest.mark.parametrize(
    ("archive", "member", "change", "told"),
    [
        ("mirflickr25k_annotations_v080", "sky.txt", lambda t: t + f"{N + 1}\n", r"sky.txt line \d+: .* found '31'"),
        ("mirflickr25k_annotations_v080", "sky.txt", lambda t: t + "sky\n", r"sky.txt line \d+: .* found 'sky'"),
        ("mirflickr25k_annotations_v080", "sea.txt", lambda t: "\n", "sea.txt lists no picture"),
        (
            "mirflickr25k",
            "mirflickr/doc/common_tags.txt",
            lambda t: t + "sk\n",
            "common_tags.txt line 5: expected a tag",
        ),
        ("mirflickr25k", "mirflickr/doc/common_tags.txt", lambda t: t + "sky 30\n", "or one twice"),
        ("mirflickr25k", "mirflickr/doc/common_tags.txt", lambda t: "", "lists no tag"),
        ("features_edgehistogram", "features_edgehistogram/0/5.txt", lambda t: t[:40], "5.txt: expected 150 finite"),
        (
            "features_edgehistogram",
            "features_edgehistogram/0/5.txt",
            lambda t: "nan" + t[3:],
            "5.txt: expected 150 finite",
        ),
        ("features_edgehistogram", "features_edgehistogram/0/5.txt", lambda t: "a" + t, "found something else"),
    ],
)
def test_damage_is_refused(mini: Mini, archive: str, member: str, change: Any, told: str) -> None:
    mini.change(archive, member, change)
    with pytest.raises(DataError, match=told):
        make(mini.write(), VECTORS)


@pytest.mark.parametrize(
    ("archive", "member", "told"),
    [
        ("mirflickr25k_annotations_v080", "lake.txt", "holds no file 'lake.txt'"),
        ("mirflickr25k", "mirflickr/im7.jpg", "holds 25 of 26 pictures, but not that of im7"),
        (
            "features_edgehistogram",
            "features_edgehistogram/0/6.txt",
            "holds no features_edgehistogram/0/6.txt, the desc",
        ),
    ],
)
def test_a_missing_member_is_refused(mini: Mini, archive: str, member: str, told: str) -> None:
    del mini.archives[f"{archive}.zip"][member]
    with pytest.raises(DataError, match=told):
        make(mini.write(), VECTORS)


def test_a_picture_that_has_labels_but_no_tags_file_is_refused(mini: Mini) -> None:
    del mini.archives["mirflickr25k.zip"]["mirflickr/meta/tags/tags9.txt"]
    with pytest.raises(DataError, match=r"expected the number of a picture that has tags, found '9'"):
        make(mini.write(), RAW)


def test_a_truncated_archive_is_refused(mini: Mini) -> None:
    path = mini.write() / "mirflickr25k.zip"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="mirflickr25k.zip"):
        make(mini.folder, RAW)


def test_a_width_that_no_descriptor_has_is_refused(mini: Mini) -> None:
    with pytest.raises(DataError, match=r"no image descriptor of 512 columns; it has 150 \(features_edgehistogram\)"):
        make(mini.write(), {"image": {"dims": 512}, "text": {"dims": 4}})
