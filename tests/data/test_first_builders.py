"""Builders of the first datasets: both forms of wiki are one, and arrays of users are taken exactly or refused."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import array_files
import made_data
import numpy as np
import pytest
from scipy.io import savemat

from cmrbench.core.dataset import Dataset
from cmrbench.core.errors import DataError
from cmrbench.data.arrays import as_features, as_labels, open_npz
from cmrbench.data.builders.pairs import bag_of_words, char_ngrams
from cmrbench.data.catalogue import Entry, load_catalogue
from cmrbench.data.content import Content, Cut
from cmrbench.data.splits.validation import validation_rows


def read_wiki(folder: Path, variant: str) -> Content:
    entry = load_catalogue().entry("wiki")
    return made_data.build(entry, "sift-lda", folder, variant)


def write_original(folder: Path, raw: dict[str, np.ndarray]) -> None:
    """The original's files: two feature matrices a modality, and two lists with categories from 1."""
    train, test = (raw["split"] == s for s in ("train", "test"))
    matrices = {"I_tr": raw["image"][train], "I_te": raw["image"][test]}
    savemat(folder / "raw_features.mat", matrices | {"T_tr": raw["text"][train], "T_te": raw["text"][test]})
    for rows, name in ((train, "trainset_txt_img_cat.list"), (test, "testset_txt_img_cat.list")):
        columns = (raw["text_id"][rows], raw["image_id"][rows], raw["label"][rows] + 1)
        lines = ["\t".join(map(str, line)) for line in zip(*columns, strict=True)]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def small_wiki(tmp_path: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    n, train = 60, 40
    raw = {
        "image": rng.random((n, 128)),
        "text": rng.random((n, 10)),
        "label": np.tile(np.arange(10), 6),
        "split": np.array(["train"] * train + ["test"] * (n - train)),
        "text_id": np.array([f"{i * 7919:x}-1" for i in range(n)]),
        "image_id": np.array([f"{i * 104729:x}" for i in range(n)]),
    }
    np.savez(tmp_path / "data.npz", **raw)
    write_original(tmp_path, raw)
    return raw


def assert_same(a: Content, b: Content) -> None:
    assert a.classes == b.classes
    assert Cut.by(a, a.splits).fingerprint() == Cut.by(b, b.splits).fingerprint()


def test_both_forms_of_wiki_are_one(small_wiki: dict[str, np.ndarray], tmp_path: Path) -> None:
    packed = read_wiki(tmp_path, "packed")
    assert_same(packed, read_wiki(tmp_path, "original"))
    text = packed.items["text"]
    assert text.ids.tolist() == small_wiki["text_id"].tolist()
    assert packed.items["image"].ids.tolist() == small_wiki["image_id"].tolist()
    np.testing.assert_array_equal(text.features, small_wiki["text"].astype(np.float32))
    np.testing.assert_array_equal(text.labels.argmax(1), small_wiki["label"])
    assert set(packed.splits["text"][40:].tolist()) == {"query"}


def test_both_forms_of_the_real_wiki_are_one(wiki_source: Path, tmp_path: Path) -> None:
    with open_npz(wiki_source / "data.npz") as stored:
        write_original(tmp_path, {name: stored[name] for name in stored.files})
    assert_same(read_wiki(wiki_source, "packed"), read_wiki(tmp_path, "original"))


@pytest.mark.parametrize(
    ("file", "change", "expected"),
    [
        (
            "trainset_txt_img_cat.list",
            lambda text: text + "one two\n",
            r"line 41: expected 'text-id image-id category'",
        ),
        ("testset_txt_img_cat.list", lambda text: text.partition("\n")[2], r"I_te has 20 image rows.*list has 19"),
        ("trainset_txt_img_cat.list", lambda text: text.replace("\t1\n", "\t11\n", 1), r"is class 10, but .* 0 to 9"),
        ("raw_features.mat", lambda text: text[:100], "begins like a MATLAB file but its header is cut off"),
    ],
)
def test_broken_originals_are_refused(
    small_wiki: object, tmp_path: Path, file: str, change: object, expected: str
) -> None:
    path = tmp_path / file
    path.write_bytes(change(path.read_bytes().decode("latin1")).encode("latin1"))
    with pytest.raises(DataError, match=expected):
        read_wiki(tmp_path, "original")


def test_wiki(wiki: Dataset) -> None:
    assert {s: n["image"] for s, n in wiki.sizes.items()} == {"train": 1956, "val": 217, "query": 693}
    learning = wiki.part("train", "val")
    counts = learning["text"].labels.sum(0)
    assert counts.tolist() == [138, 272, 244, 248, 202, 178, 186, 144, 214, 347]
    share = wiki.part("val")["text"].labels.sum(0) / counts
    assert np.abs(share - 0.1).max() < 0.005
    outputs = {p.name: (p.query, p.gallery, p.outputs, p.gallery_codes) for p in wiki.protocols}
    assert outputs == {
        "test": (("query",), ("query",), ("real",), "function"),
        "test-vs-train": (("query",), ("train", "val"), ("hash",), "function"),
        "test-vs-train-learned": (("query",), ("train", "val"), ("hash",), "learned"),
    }


def test_validation_rule_knows_no_file_order() -> None:
    rng = np.random.default_rng(1)
    ids = np.array([f"id{i}" for i in range(200)])
    labels = np.eye(4, dtype=np.uint8)[rng.integers(0, 4, 200)]
    chosen = validation_rows(ids, labels, 0.1)
    order = rng.permutation(200)
    again = validation_rows(ids[order], labels[order], 0.1)
    assert set(ids[order][again]) == set(ids[chosen])
    for k in range(4):
        members = ids[labels[:, k] == 1].tolist()
        first = sorted(members, key=lambda i: hashlib.sha256(i.encode()).hexdigest())[: int(len(members) * 0.1 + 0.5)]
        assert set(first) == set(ids[chosen]) & set(members)


def read_npz(folder: Path, **changes: object) -> Content:
    entry = Entry.model_validate(made_data.entry(**changes))
    return made_data.build(entry, "plain", folder)


def test_arrays_of_a_user(tmp_path: Path) -> None:
    raw = made_data.arrays()
    content = read_npz(made_data.save(tmp_path, raw))
    assert content.classes == ("c0", "c1", "c2", "c3")
    assert content.notes == ("text: float64 rounded to float32",)
    np.testing.assert_array_equal(content.items["image"].features, raw["image"])
    np.testing.assert_array_equal(content.items["image"].labels, raw["label"])
    assert content.items["text"].ids.tolist() == raw["ids"].tolist()


def test_ids_and_class_names_may_be_left_out(tmp_path: Path) -> None:
    raw = made_data.arrays(multilabel=False)
    del raw["ids"], raw["class_names"]
    content = read_npz(made_data.save(tmp_path, raw))
    assert content.classes == ("class0", "class1", "class2", "class3")
    assert content.items["image"].ids[5] == "0000005"
    np.testing.assert_array_equal(content.items["image"].labels.argmax(1), raw["label"])


BROKEN = {
    "rows": (lambda a: a | {"image": a["image"][:-1]}, r"data\.npz: image has 47 rows, but split has 48"),
    "label rows": (lambda a: a | {"label": a["label"][:-1]}, r"label has the shape \(47, 4\), but split has 48"),
    "missing": (lambda a: {k: v for k, v in a.items() if k != "text"}, r"has no array text; it has image"),
    "one-dimensional": (lambda a: a | {"image": a["image"][:, 0]}, r"image features must have the shape"),
    "strings": (lambda a: a | {"text": a["image"].astype(str)}, r"text features must be real numbers, got dtype <U"),
    "complex": (lambda a: a | {"text": a["image"] * 1j}, r"must be real numbers, got dtype complex"),
    "overflow": (lambda a: a | {"text": a["text"] * 1e300}, r"text features: row 0 holds .*, too large for float32"),
    "label -1": (lambda a: a | {"label": np.r_[a["label"].argmax(1)[:-1], -1]}, r"row 47 is class -1, .* 0 to 3"),
    "label 4": (lambda a: a | {"label": np.r_[4, a["label"].argmax(1)[1:]]}, r"row 0 is class 4, .* 0 to 3"),
    "label 2 in multi-hot": (lambda a: a | {"label": a["label"] * 2}, r"row 0 holds 2; multi-hot labels are 0 or 1"),
    "half labels": (lambda a: a | {"label": a["label"] / 2}, r"labels must be whole numbers, got dtype float64"),
    "width": (lambda a: a | {"label": a["label"][:, :3]}, r"must have the shape \(items,\) or \(items, 4\)"),
    "empty id": (lambda a: a | {"ids": np.r_[a["ids"][:-1], [""]]}, r"ids: row 47 is ''"),
    "objects": (
        lambda a: a | {"image": np.array([{}] * 48, object)},
        r"holds Python objects \(a pickle\), which are never",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_in_a_file_is_said(case: str, tmp_path: Path) -> None:
    change, expected = BROKEN[case]
    made_data.save(tmp_path, change(made_data.arrays()))
    with pytest.raises(DataError, match=expected) as caught:
        read_npz(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    trap = array_files.Trap(tmp_path / "sprung")
    path.write_bytes(pickle.dumps(trap))
    with pytest.raises(DataError, match="not a readable"):
        read_npz(tmp_path)
    np.savez(path, **made_data.arrays() | {"image": np.array([trap], object)})
    with pytest.raises(DataError, match="Python objects \\(a pickle\\), which are never opened"):
        read_npz(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_data.save(tmp_path, made_data.arrays())
    monkeypatch.setattr("cmrbench.data.arrays.MAX_UNPACKED_BYTES", 100)
    with pytest.raises(DataError, match=r"would unpack to [\d,]+ bytes; at most 100"):
        read_npz(tmp_path)


def test_whole_numbers_are_taken_exactly_or_refused() -> None:
    features, note = as_features(np.array([[1, 2**24]]), "f", "image")
    assert features.dtype == np.float32
    assert "exactly" in note
    with pytest.raises(DataError, match=r"f: image features: row 1 holds 16777217, which float32 cannot"):
        as_features(np.array([[1], [2**24 + 1]]), "f", "image")


def test_labels_in_both_forms_agree() -> None:
    numbers = np.array([0, 2, 1, 2])
    np.testing.assert_array_equal(as_labels(numbers, "f", 3), as_labels(np.eye(3)[numbers], "f", 3))


def test_bag_of_words_says_when_it_is_empty() -> None:
    bag = bag_of_words(np.array([0, 2, 2, 3], np.uint32), np.array([0, 2, 1], np.uint16), 3)
    np.testing.assert_array_equal(bag, [[1, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]])


def test_ngrams_depend_on_their_own_text_only() -> None:
    together = char_ngrams(["grinning face", "лицо", "顔"], 64)
    alone = char_ngrams(["顔"], 64)
    np.testing.assert_array_equal(together[2:], alone)
    assert together.any(1).all()
