"""NUS-WIDE on a miniature of the official archives: which pictures are items, and what of damage is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import made_archives
import numpy as np
import pytest
from made_archives import RAW

from cmrbench.core.errors import DataError
from cmrbench.data.builders import nuswide
from cmrbench.data.content import Content

N = 48
VECTORS = {"image": {"dims": 500}, "text": {"dims": 1000}}
UNLABELLED, UNTAGGED, BLANK = 5, 7, 11
"""Pictures with none of the concepts, with none of the tags, and with a row of zeros for an image."""


@dataclass
class Mini:
    """The official files as text, to be changed before they are packed."""

    folder: Path
    names: list[str]
    labels: np.ndarray
    tags: np.ndarray
    words: np.ndarray
    files: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        return [name.replace("\\", "/").removesuffix(".jpg") for name in self.names]

    def write(self) -> Path:
        """The archives of the official home page; the low-level features come in a .rar, unpacked by hand."""
        self.folder.mkdir(exist_ok=True)
        for archive, members in self.files.items():
            if archive.endswith(".zip"):
                made_archives.write_zip(self.folder / archive, members)
            else:
                for name, text in members.items():
                    path = self.folder / archive / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(text.encode())
        return self.folder

    def change(self, archive: str, name: str, change: Callable[[str], str]) -> None:
        self.files[archive][name] = change(self.files[archive][name])


def rows(array: np.ndarray, blank: str, end: str) -> str:
    """One row a line, with a blank behind the last value too, as the official files have it."""
    return "".join(blank.join(map(str, row)) + blank + end for row in array.tolist())


@pytest.fixture
def mini(tmp_path: Path) -> Mini:
    rng = np.random.default_rng(7)
    folders = ["actor", "albatross", "4x4", "cafe_au-lait"]
    numbers = rng.permutation(10**6)[:N]
    numbers[20] = numbers[10]  # one photo under two names
    names = [f"{folders[i % 4]}\\{i:04d}_{number}.jpg" for i, number in enumerate(numbers.tolist())]
    labels = (rng.random((N, 81)) < 0.05).astype(int)
    ten = [nuswide.CONCEPTS_81.index(c) for c in nuswide.CONCEPTS_10K]
    labels[:, ten] = np.eye(10, dtype=int)[np.arange(N) % 10]
    labels[40:, ten[0]] = 1
    labels[UNLABELLED] = 0
    tags = (rng.random((N, 1000)) < 0.01).astype(int)
    tags[:, 0], tags[UNTAGGED] = 1, 0
    words = rng.integers(0, 120, (N, 500)) * (rng.random((N, 500)) < 0.4)
    words[BLANK] = 0
    half = np.arange(N) % 3 > 0
    lines = [name + "\r\n" for name in names]
    files = {
        "Groundtruth.zip": {
            f"AllLabels/Labels_{concept}.txt": rows(labels[:, [k]], "", "\n")
            for k, concept in enumerate(nuswide.CONCEPTS_81)
        }
        | {"TrainTestLabels/Labels_lake_Train.txt": "0\n-1130179\n"},
        "NUS_WID_Tags.zip": {
            "AllTags1k.txt": rows(tags, "\t", "\r\n"),
            "TagList1k.txt": "".join(f"tag{k}\r\n" for k in range(1000)),
            "All_Tags.txt": "".join(f"{n}      été usa tag{i} \r\n" for i, n in enumerate(numbers.tolist())),
        },
        "ImageList.zip": {
            "ImageList/Imagelist.txt": "".join(lines),
            "ImageList/TrainImagelist.txt": "".join(line for line, train in zip(lines, half, strict=True) if train),
            "ImageList/TestImagelist.txt": "".join(line for line, train in zip(lines, half, strict=True) if not train),
        },
        "Low_Level_Features": {"BoW_int.dat": rows(words, " ", "\n")},
    }
    return Mini(tmp_path / "sources", names, labels, tags, words, files)


def build(mini: Mini, modalities: dict[str, Any] = VECTORS, **options: Any) -> Content:
    entry = made_archives.make_entry("nuswide", modalities, options=options)
    return made_archives.run_builder(entry, mini.write(), mini.folder.parent / "scratch")


def columns(classes: tuple[str, ...]) -> list[int]:
    return [nuswide.CONCEPTS_81.index(c) for c in classes]


@pytest.mark.parametrize("concepts", [10, 21, 81])
def test_pictures_with_a_concept_a_tag_and_words_are_items(mini: Mini, concepts: int) -> None:
    content = build(mini, concepts=concepts)
    chosen = mini.labels[:, columns(content.classes)]
    expected = [i for i in range(N) if chosen[i].any() and i not in (UNTAGGED, BLANK)]
    image, text = content.items["image"], content.items["text"]
    assert image.ids.tolist() == text.ids.tolist() == [mini.ids[i] for i in expected]
    assert image.instances.tolist() == image.ids.tolist()
    np.testing.assert_array_equal(image.features, mini.words[expected])
    np.testing.assert_array_equal(text.features, mini.tags[expected])
    np.testing.assert_array_equal(text.labels, chosen[expected])
    assert image.features.dtype == text.features.dtype == np.float32
    assert len(content.classes) == concepts
    notes = "; ".join(content.notes)
    assert f"{(~chosen.any(1)).sum()} pictures with none of the {concepts} concepts left out" in notes
    assert "1 of the others have none of the 1,000 tags" in notes
    assert f"1 pictures whose row of BoW_int.dat is all zero left out, {mini.ids[BLANK]} the first" in notes
    assert "1 photos occur twice" in notes
    assert "48 pictures are listed; the official lists have 269,648" in notes


def test_21_concepts_are_the_default_and_the_official_halves_the_split(mini: Mini) -> None:
    content = build(mini)
    assert content.classes == nuswide.CONCEPTS_21
    assert content.splits is not None
    positions = [mini.ids.index(i) for i in content.items["text"].ids.tolist()]
    assert content.splits["image"].tolist() == ["train" if i % 3 else "query" for i in positions]


def test_without_the_halves_there_is_no_split(mini: Mini) -> None:
    del mini.files["ImageList.zip"]["ImageList/TestImagelist.txt"]
    assert build(mini).splits is None


def test_texts_are_the_tags(mini: Mini) -> None:
    content = build(mini)
    first = content.items["text"].ids.tolist().index(mini.ids[20])
    assert content.texts["text"][first].split() == [f"tag{k}" for k in np.flatnonzero(mini.tags[20])]
    full = build(mini, texts="all")
    assert full.texts["text"][first] == "été usa tag20"
    assert len(full.texts["text"]) == len(full.items["text"])


def test_pictures_without_tags_may_be_marked_instead(mini: Mini) -> None:
    content = build(mini, {"image": {"dims": 500}, "text": {"dims": 1001}}, concepts=81, untagged="mark")
    ids = content.items["text"].ids.tolist()
    marked = content.items["text"].features[:, 1000]
    assert [ids[i] for i in np.flatnonzero(marked)] == [mini.ids[UNTAGGED]]
    assert content.texts["text"][ids.index(mini.ids[UNTAGGED])] == ""
    assert content.items["text"].features.any(1).all()


def drawn(mini: Mini, per_class: int, without: tuple[int, ...]) -> list[str]:
    """The subset by its definition: single labels, class by class in the order of a hash, in the order of the list."""
    chosen = mini.labels[:, columns(nuswide.CONCEPTS_10K)]
    ids = set()
    for k in range(10):
        members = [i for i in range(N) if chosen[i].sum() == 1 and chosen[i, k] and i not in without]
        members.sort(key=lambda i: hashlib.sha256(f"nuswide10k:{mini.ids[i]}".encode()).hexdigest())
        assert len(members) >= per_class
        ids |= {mini.ids[i] for i in members[:per_class]}
    return [i for i in mini.ids if i in ids]


def test_the_10k_subset_draws_single_labels_by_hash(mini: Mini) -> None:
    content = build(mini, subset="10k", per_class=3)
    assert content.classes == nuswide.CONCEPTS_10K
    assert content.items["image"].ids.tolist() == drawn(mini, 3, (UNTAGGED, BLANK))
    labels = content.items["image"].labels
    assert labels is not None
    assert (labels.sum(1) == 1).all()
    assert "1 of these have no visual word and are left out too" in content.notes


def test_raw_draws_the_same_subset_where_the_words_are_there(mini: Mini) -> None:
    mini.files["Flickr.zip"] = {f"Flickr/{name}".replace("\\", "/"): "jpeg" for name in mini.names}
    assert build(mini, RAW, subset="10k", per_class=3).items["image"].ids.tolist() == drawn(mini, 3, (UNTAGGED, BLANK))


def test_without_visual_words_the_subset_is_drawn_among_all(mini: Mini) -> None:
    del mini.files["Low_Level_Features"]
    mini.files["Flickr.zip"] = {f"Flickr/{name}".replace("\\", "/"): "jpeg" for name in mini.names}
    content = build(mini, RAW, subset="10k", per_class=3)
    assert content.items["image"].ids.tolist() == drawn(mini, 3, (UNTAGGED,))
    assert "drawn without BoW_int.dat: among pictures without a visual word, too" in content.notes


def test_too_small_a_class_for_the_subset_is_refused(mini: Mini) -> None:
    with pytest.raises(DataError, match=r"pictures have 'animal' as their only one .* but per_class is 40"):
        build(mini, subset="10k", per_class=40)


def test_other_descriptors_are_chosen_by_their_width(mini: Mini) -> None:
    moments = np.random.default_rng(1).standard_normal((N, 225)).astype(np.float32)
    mini.files["Low_Level_Features"]["Normalized_CM55.dat"] = rows(moments.astype(np.float64), " ", "\r\n")
    content = build(mini, {"image": {"dims": 225}, "text": {"dims": 1000}})
    positions = [mini.ids.index(i) for i in content.items["image"].ids.tolist()]
    np.testing.assert_array_equal(content.items["image"].features, moments[positions])
    assert BLANK in positions


def test_raw_pictures_that_are_not_there_are_left_out(mini: Mini) -> None:
    missing = 9
    mini.files["Flickr.zip"] = {
        f"Flickr/{name}".replace("\\", "/"): "jpeg" for i, name in enumerate(mini.names) if i != missing
    }
    content = build(mini, RAW, concepts=81)
    ids = content.items["image"].ids.tolist()
    assert mini.ids[missing] not in ids
    assert mini.ids[BLANK] in ids
    assert content.items["image"].features.shape == (len(ids), 0)
    assert content.pictures["image"] == [f"Flickr.zip/Flickr/{i}.jpg" for i in ids]
    assert len(content.texts["text"]) == len(ids)
    assert "1 pictures are not there and left out" in content.notes


def test_raw_needs_pictures(mini: Mini) -> None:
    with pytest.raises(DataError, match=r"holds none of the pictures, such as actor/0000_\d+\.jpg"):
        build(mini, RAW)


def cut(text: str) -> str:
    return text[: len(text) // 2]


DAMAGE: dict[str, tuple[str, str, Callable[[str], str], str]] = {
    "truncated tags": (
        "NUS_WID_Tags.zip",
        "AllTags1k.txt",
        cut,
        r"AllTags1k\.txt (line \d+: expected 1000|has 24 rows)",
    ),
    "a tag too many": (
        "NUS_WID_Tags.zip",
        "AllTags1k.txt",
        lambda t: t.replace("\r\n", "1\t\r\n", 1),
        r"AllTags1k\.txt line 1: expected 1000 numbers, found 1001",
    ),
    "a count for a tag": (
        "NUS_WID_Tags.zip",
        "AllTags1k.txt",
        lambda t: "2" + t[1:],
        r"AllTags1k\.txt line 1: expected 0 or 1, found 2",
    ),
    "truncated features": (
        "Low_Level_Features",
        "BoW_int.dat",
        lambda t: "".join(t.splitlines(keepends=True)[:-3]),
        r"BoW_int\.dat has 45 rows, but Imagelist\.txt has 48 pictures; is the file complete\?",
    ),
    "too many features": (
        "Low_Level_Features",
        "BoW_int.dat",
        lambda t: t + t.splitlines(keepends=True)[0],
        r"BoW_int\.dat has more than 48 rows",
    ),
    "a blank line": (
        "Low_Level_Features",
        "BoW_int.dat",
        lambda t: "\n" + t,
        r"BoW_int\.dat line 1: expected 500 numbers, found 0",
    ),
    "a wrong label": (
        "Groundtruth.zip",
        "AllLabels/Labels_lake.txt",
        lambda t: t.replace("0\n", "-1130179\n", 1),
        r"Labels_lake\.txt line \d+: expected whole numbers, found '-1130179'",
    ),
    "a list of tags": (
        "NUS_WID_Tags.zip",
        "TagList1k.txt",
        lambda t: t.replace("tag3\r\n", ""),
        r"TagList1k\.txt names 999 tags, but AllTags1k\.txt has 1,000 columns",
    ),
    "a list of words": (
        "ImageList.zip",
        "ImageList/Imagelist.txt",
        lambda t: t.replace("\\", " ", 1),
        r"Imagelist\.txt line 1: expected a picture such as actor",
    ),
    "overlapping halves": (
        "ImageList.zip",
        "ImageList/TestImagelist.txt",
        lambda t: t + "albatross\\0001_5.jpg\r\nalbatross\\0001_5.jpg\r\n",
        r"TestImagelist\.txt: albatross/0001_5 is in a list twice",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_refused(mini: Mini, case: str) -> None:
    archive, name, change, expected = DAMAGE[case]
    mini.change(archive, name, change)
    with pytest.raises(DataError, match=expected):
        build(mini)


def test_tags_in_another_order_than_the_pictures_are_refused(mini: Mini) -> None:
    mini.change("NUS_WID_Tags.zip", "All_Tags.txt", lambda t: "".join(reversed(t.splitlines(keepends=True))))
    with pytest.raises(DataError, match=r"All_Tags\.txt line 1: photo '\d+', but Imagelist\.txt has \d+"):
        build(mini, texts="all")


def test_a_missing_file_is_named(mini: Mini) -> None:
    del mini.files["Groundtruth.zip"]["AllLabels/Labels_sky.txt"]
    with pytest.raises(DataError, match=r"holds no file 'AllLabels/Labels_sky\.txt'"):
        build(mini)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"concepts": 20}, "concepts: Input should be 10, 21 or 81"),
        ({"subset": "10k", "concepts": 21}, "the subset 10k has 10 concepts, not 21"),
        ({"tags": 1000}, "tags: Extra inputs are not permitted"),
    ],
)
def test_wrong_options_are_refused(mini: Mini, options: dict[str, Any], expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        build(mini, **options)


def test_no_such_descriptor(mini: Mini) -> None:
    with pytest.raises(DataError, match=r"no image descriptor of 4096 columns; it has 500 \(BoW_int\.dat\), 64"):
        build(mini, {"image": {"dims": 4096}, "text": {"dims": 1000}})


def test_the_lists_of_concepts() -> None:
    assert list(nuswide.CONCEPTS_81) == sorted(set(nuswide.CONCEPTS_81))
    assert len(nuswide.CONCEPTS_81) == 81
    for chosen, size in ((nuswide.CONCEPTS_10, 10), (nuswide.CONCEPTS_21, 21), (nuswide.CONCEPTS_10K, 10)):
        assert list(chosen) == sorted(set(chosen))
        assert len(chosen) == size
        assert set(chosen) <= set(nuswide.CONCEPTS_81)
    assert set(nuswide.CONCEPTS_10) < set(nuswide.CONCEPTS_21)


def test_nothing_left_is_refused(mini: Mini) -> None:
    for concept in nuswide.CONCEPTS_10:
        mini.change("Groundtruth.zip", f"AllLabels/Labels_{concept}.txt", lambda t: t.replace("1", "0"))
    with pytest.raises(DataError, match="none of the 48 listed pictures has one of the concepts and a tag"):
        build(mini, concepts=10)
