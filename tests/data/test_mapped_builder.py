"""The builder of mapped files: labels of every form, pairs and captions, and every file that must be refused."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import array_files
import h5py
import made_data
import numpy as np
import pytest
from scipy import sparse
from scipy.io import savemat

from cmrbench.core.errors import DataError
from cmrbench.data import builders
from cmrbench.data.archives import SourceTree
from cmrbench.data.builders.base import BuildRequest
from cmrbench.data.catalogue import Entry
from cmrbench.data.content import Content
from cmrbench.data.files import open_arrays
from cmrbench.data.importing.mapping import check, propose

N = 12
CLASSES = np.arange(N) % 3
HOT = np.eye(3, dtype=np.uint8)[CLASSES]


def images(n: int = N, d: int = 5, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def texts(n: int = N) -> np.ndarray:
    return images(n, 4, seed=2).astype(np.float32)


def build(
    path: Path, labels: dict[str, Any] | None = None, mapping: dict[str, str] | None = None, **options: Any
) -> Content:
    """What is made of the file by the mapping that is proposed for it, with changes."""
    changes = {"labels": labels} if labels is not None else {}
    if labels == {}:
        changes = {"labels": None}
    values = made_data.entry(builder="mapped", **changes)
    entry = Entry.model_validate(values)
    with open_arrays(path) as arrays:
        found = propose(arrays, ("image", "text"))
        roles = {str(r): a for r, a in found.roles.items()} | (mapping or {})
        if not mapping:
            check(found, str(path), entry.labels is not None)
    scratch = path.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    with SourceTree(path) if path.is_dir() else SourceTree(path.parent, [path.name]) as tree:
        spec = entry.feature_sets["plain"].model_copy(update={"options": {"mapping": roles, **options}})
        return builders.build(BuildRequest("mine", entry, spec, tree, scratch))


def save(path: Path, **arrays: Any) -> Path:
    savemat(path, arrays)
    return path


def parts(label: Any = None, **changes: Any) -> dict[str, Any]:
    """Arrays of the I_tr layout: 8 training and 4 test pairs."""
    label = HOT if label is None else label
    whole = {"I": images(), "T": texts(), "L": label}
    made = {f"{k}_tr": v[:8] for k, v in whole.items()} | {f"{k}_te": v[8:] for k, v in whole.items()}
    return made | changes


def test_values_ids_and_splits(tmp_path: Path) -> None:
    content = build(save(tmp_path / "a.mat", **parts()))
    image, text = content.items["image"], content.items["text"]
    np.testing.assert_array_equal(image.features, images().astype(np.float32))
    np.testing.assert_array_equal(text.features, texts())
    np.testing.assert_array_equal(image.labels, HOT)
    assert content.splits is not None
    assert content.splits["text"].tolist() == ["train"] * 8 + ["query"] * 4
    assert image.ids[[0, 8]].tolist() == ["train-0000000", "test-0000000"]
    assert image.instances.tolist() == text.instances.tolist()
    assert content.classes == ("class0", "class1", "class2")
    assert content.notes == ("image: float64 rounded to float32",)
    assert content.items["image"].features.dtype == np.float32


def test_every_format_gives_the_same_content(tmp_path: Path) -> None:
    arrays = {"image": images(), "text": texts(), "label": HOT, "split": np.array(["train"] * 8 + ["query"] * 4)}
    np.savez(tmp_path / "a.npz", **arrays)
    array_files.save_mat73(tmp_path / "b.mat", **arrays | {"split": arrays["split"].tolist()})
    with h5py.File(tmp_path / "c.h5", "w") as file:
        for name, value in arrays.items():
            file[name] = value.tolist() if name == "split" else value
    (tmp_path / "d").mkdir()
    for name, value in arrays.items():
        np.save(tmp_path / "d" / f"{name}.npy", value)
    made = [build(tmp_path / name) for name in ("a.npz", "b.mat", "c.h5", "d")]
    for content in made[1:]:
        for modality in ("image", "text"):
            a, b = made[0].items[modality], content.items[modality]
            for what in ("features", "labels", "ids", "instances"):
                np.testing.assert_array_equal(getattr(a, what), getattr(b, what))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u1", "?", ">f4", "i8"])
def test_other_dtypes_are_exact_or_noted(dtype: str, tmp_path: Path) -> None:
    values = (images() * 3).astype(dtype)
    np.savez(tmp_path / "a.npz", image=values, text=texts(), label=HOT)
    content = build(tmp_path / "a.npz")
    np.testing.assert_array_equal(content.items["image"].features, values.astype(np.float32))
    expected = {"f4": (), "f8": ("image: float64 rounded to float32",)}
    native = np.dtype(dtype).newbyteorder("=")
    if native != np.float32 and dtype != "f8":
        assert content.notes == (f"image: {native} as float32, exactly",)
    else:
        assert content.notes == expected[dtype.strip(">")]


def test_whole_numbers_in_float64_are_exact(tmp_path: Path) -> None:
    save(tmp_path / "a.mat", **parts(I_tr=np.ones((8, 5)), I_te=np.ones((4, 5))))
    assert build(tmp_path / "a.mat").notes == ("image: float64 as float32, exactly",)


def test_sparse_features(tmp_path: Path) -> None:
    dense = np.where(np.arange(N * 6).reshape(N, 6) % 4 == 0, 1.0, 0.0)
    save(tmp_path / "a.mat", XAll=images(), YAll=sparse.csc_matrix(dense), LAll=HOT)
    np.testing.assert_array_equal(build(tmp_path / "a.mat").items["text"].features, dense)


LABELS: dict[str, tuple[Any, str]] = {
    "column": (CLASSES.reshape(-1, 1), ""),
    "from 1": (CLASSES.reshape(-1, 1) + 1, "classes were numbered from 1 to 3: they are counted from 0"),
    "float column from 1": (CLASSES.reshape(-1, 1) + 1.0, "classes were numbered from 1 to 3"),
    "float matrix": (HOT.astype(float), ""),
    "bool matrix": (HOT.astype(bool), ""),
    "names": (np.array(["cat", "dog", "eel"])[CLASSES], "classes are in the alphabetical order of their names"),
}


@pytest.mark.parametrize("form", LABELS)
def test_labels_of_every_form(form: str, tmp_path: Path) -> None:
    label, note = LABELS[form]
    np.savez(tmp_path / "a.npz", **parts(label))
    content = build(tmp_path / "a.npz")
    np.testing.assert_array_equal(content.items["image"].labels, HOT)
    assert not note or any(note in n for n in content.notes)
    assert content.classes == (("cat", "dog", "eel") if form == "names" else ("class0", "class1", "class2"))


def test_rows_of_labels_as_matlab_saves_vectors(tmp_path: Path) -> None:
    save(tmp_path / "a.mat", **parts(CLASSES + 1, L_tr=CLASSES[None, :8] + 1, L_te=CLASSES[None, 8:] + 1))
    np.testing.assert_array_equal(build(tmp_path / "a.mat").items["text"].labels, HOT)


def test_numbering_is_decided_over_all_parts(tmp_path: Path) -> None:
    """The test part alone lacks the last class: by itself its numbers would look as if they began at 0."""
    save(tmp_path / "a.mat", **parts(L_tr=CLASSES[:8] + 1, L_te=np.array([1, 2, 1, 2])))
    content = build(tmp_path / "a.mat")
    np.testing.assert_array_equal(content.items["image"].labels[8:].argmax(1), [0, 1, 0, 1])


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_of_a_dataset_whose_classes_are_known(first: int, tmp_path: Path) -> None:
    """Class 1 never occurs: the last one tells what the numbers begin with."""
    np.savez(tmp_path / "a.npz", **parts(np.array([0, 2] * 6) + first))
    content = build(tmp_path / "a.npz", labels={"classes": 3})
    np.testing.assert_array_equal(content.items["image"].labels.argmax(1), [0, 2] * 6)


def test_class_names(tmp_path: Path) -> None:
    names = ["chat", "chien", "crêpe"]
    np.savez(tmp_path / "a.npz", **parts(), class_names=np.array(names))
    assert build(tmp_path / "a.npz").classes == tuple(names)
    known = {"names": ["dog", "cat", "eel"], "classes": 3}
    np.savez(tmp_path / "b.npz", **parts(np.array(["cat", "dog", "eel"])[CLASSES]))
    content = build(tmp_path / "b.npz", labels=known)
    assert content.classes == ("dog", "cat", "eel")
    np.testing.assert_array_equal(content.items["image"].labels.argmax(1), np.array([1, 0, 2])[CLASSES])


@pytest.mark.parametrize(
    ("label", "labels", "expected"),
    [
        (np.array([1, 2, 4] * 4), None, r"numbered 1 to 4 with gaps \(3 never occurs\); number classes without gaps"),
        (np.array([0, 1, 5] * 4), None, r"numbered 0 to 5 with gaps \(2, 3, 4 never occur\)"),
        (np.array([3, 4, 5] * 4), None, r"numbered 3 to 5 with gaps"),
        (np.array([1, 2, 2] * 4), {"classes": 4}, r"numbered 1 to 2 of 4 classes: that is neither 0 to 3 nor 1 to 4"),
        (np.array([0, 1, 4] * 4), {"classes": 4}, r"numbered 0 to 4, but the dataset has 4 classes"),
        (np.array([0, 1, -1] * 4), None, r"L_tr'.*: row 2 is class -1"),
        (np.where(HOT == 1, 1, -1), None, r"array 'L_t[re]' holds labels of -1 and \+1; store 0 in the place of -1"),
        (np.array([1, -1] * 6), None, r"row 1 is class -1; store 0 and 1 in a matrix"),
        (HOT * 2, None, r"row 0 holds 2; labels are 0 or 1"),
        (HOT * 0.5, None, r"row 0 holds 0.5; labels are 0 or 1"),
        (CLASSES + 0.5, None, r"row 0 is 0.5; numbers of classes are whole"),
        (np.array(["cat", "dog", "fish"] * 4), {"names": ["cat", "dog"]}, r"row 2 is 'fish', which is no class"),
        (np.array(["cat", "", "dog"] * 4), None, r"row 1 is '', which is no class; give every item a class"),
        (HOT, {"names": ["cat", "dog"]}, r"has 3 classes, but there are 2 names of classes"),
        (np.array([0, 1, 10**9] * 4), None, r"row 2 is class 1000000000; at most 100,000"),
    ],
)
def test_labels_that_leave_doubt_are_refused(
    label: np.ndarray, labels: dict[str, Any] | None, expected: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", **parts(label))
    with pytest.raises(DataError, match=expected) as caught:
        build(tmp_path / "a.npz", labels=labels)
    assert "a.npz" in str(caught.value)


def test_items_without_a_label_are_refused_or_counted(tmp_path: Path) -> None:
    label = HOT.copy()
    label[[2, 5, 9]] = 0
    np.savez(tmp_path / "a.npz", **parts(label))
    with pytest.raises(DataError, match=r"image: row 2 of I_tr has no label, nor have 1 more; .* --drop-unlabelled"):
        build(tmp_path / "a.npz")
    content = build(tmp_path / "a.npz", drop_unlabelled=True)
    kept = np.delete(np.arange(N), [2, 5, 9])
    np.testing.assert_array_equal(content.items["text"].features, texts()[kept])
    np.testing.assert_array_equal(content.items["image"].features, images()[kept].astype(np.float32))
    np.testing.assert_array_equal(content.items["image"].labels, HOT[kept])
    assert content.items["image"].ids.tolist()[2] == "train-0000003"
    assert "image: 3 items without a label left out" in content.notes
    assert content.splits is not None
    assert content.splits["image"].tolist() == ["train"] * 6 + ["query"] * 3


def test_items_that_are_all_zero_go_with_their_partners(tmp_path: Path) -> None:
    text = texts()
    text[[1, 10]] = 0
    np.savez(tmp_path / "a.npz", **parts(T_tr=text[:8], T_te=text[8:]))
    with pytest.raises(DataError, match=r"array 'T_tr': row 1 is all zero, and so are 1 more of text; .* --drop-empty"):
        build(tmp_path / "a.npz")
    content = build(tmp_path / "a.npz", drop_empty=True)
    kept = np.delete(np.arange(N), [1, 10])
    np.testing.assert_array_equal(content.items["image"].features, images()[kept].astype(np.float32))
    np.testing.assert_array_equal(content.items["text"].features, text[kept])
    assert content.items["text"].instances.tolist() == content.items["image"].instances.tolist()
    assert "text: 2 items that are all zero left out, with their partners" in content.notes
    np.savez(tmp_path / "b.npz", **parts(T_te=np.zeros((4, 4))))
    with pytest.raises(DataError, match="no row of I_te is left that is not all zero and has its partner"):
        build(tmp_path / "b.npz", drop_empty=True)


def test_an_empty_caption_goes_alone_and_an_empty_picture_with_its_captions(tmp_path: Path) -> None:
    of = np.repeat(np.arange(N), 2)
    image, text = images(), texts(2 * N)
    image[3], text[[0, 20]] = 0, 0
    np.savez(tmp_path / "a.npz", image=image, text=text, label=HOT, of=of)
    content = build(tmp_path / "a.npz", mapping={"text_instances": "of"}, drop_empty=True)
    np.testing.assert_array_equal(content.items["image"].features, np.delete(image, 3, 0).astype(np.float32))
    np.testing.assert_array_equal(content.items["text"].features, np.delete(text, [0, 6, 7, 20], 0))


TRANSPOSED: dict[str, tuple[dict[str, Any], str]] = {
    "image": ({"I_tr": images()[:8].T, "I_te": images()[8:].T}, "I_te has the shape (5, 4)"),
    "label": ({"L_tr": HOT[:8].T, "L_te": HOT[8:].T}, "L_te has the shape (3, 4)"),
}


@pytest.mark.parametrize("case", TRANSPOSED)
def test_items_in_columns_are_refused_with_a_hint(case: str, tmp_path: Path) -> None:
    changes, said = TRANSPOSED[case]
    save(tmp_path / "a.mat", **parts(**changes))
    with pytest.raises(DataError, match=rf"{re.escape(said)}: that is one item a column, .* say --transpose {case}$"):
        build(tmp_path / "a.mat")
    content = build(tmp_path / "a.mat", transpose=[case])
    np.testing.assert_array_equal(content.items["image"].features, images().astype(np.float32))
    np.testing.assert_array_equal(content.items["text"].labels, HOT)


def test_a_file_all_of_columns(tmp_path: Path) -> None:
    arrays = {"image": images(), "text": texts(), "label": HOT}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, value in arrays.items():
            file[name] = value.T
    with pytest.raises(DataError, match=r"say --transpose image --transpose label --transpose text$"):
        build(tmp_path / "a.h5")
    np.testing.assert_array_equal(build(tmp_path / "a.h5", transpose=["all"]).items["text"].features, texts())


def test_images_and_texts_of_different_counts(tmp_path: Path) -> None:
    save(tmp_path / "a.mat", image=images(), text=texts(10), label=HOT)
    with pytest.raises(DataError, match=r"text has 10 rows of text, but label has 12 labels; .*--map text_instances="):
        build(tmp_path / "a.mat")
    save(tmp_path / "b.mat", image=images(), text=texts(10))
    with pytest.raises(DataError, match=r"different numbers of rows \(image 12, text 10\); .*--map text_instances="):
        build(tmp_path / "b.mat", labels={})


def test_modalities_with_labels_of_their_own_need_no_pairs(tmp_path: Path) -> None:
    save(tmp_path / "a.mat", image=images(), text=texts(10), image_label=CLASSES + 1, text_label=CLASSES[:10] + 1)
    content = build(tmp_path / "a.mat")
    image, text = content.items["image"], content.items["text"]
    assert (len(image), len(text)) == (12, 10)
    assert not set(image.instances.tolist()) & set(text.instances.tolist())
    assert any("different numbers of items (image 12, text 10): items are taken to have no" in n for n in content.notes)
    other = CLASSES.copy()
    other[3] = 1
    save(tmp_path / "b.mat", image=images(), text=texts(), image_label=CLASSES + 1, text_label=other + 1)
    content = build(tmp_path / "b.mat")
    assert any("image and text have other labels in row 3" in n for n in content.notes)
    save(tmp_path / "c.mat", image=images(), text=texts(), image_label=CLASSES + 1, text_label=CLASSES + 1)
    content = build(tmp_path / "c.mat")
    assert content.items["image"].instances.tolist() == content.items["text"].instances.tolist()


@pytest.mark.parametrize("index", ["names", "from 0", "from 1"])
def test_captions_of_pictures(index: str, tmp_path: Path) -> None:
    """Two captions a picture, shuffled; labels are given for pictures."""
    of = np.random.default_rng(4).permutation(np.repeat(np.arange(N), 2))
    arrays: dict[str, Any] = {"image": images(), "text": texts(2 * N), "label": HOT}
    arrays["split"] = np.array(["train"] * 8 + ["test"] * 4)
    arrays["captions"] = np.array([f"légende {k}" for k in range(2 * N)])
    if index == "names":
        arrays["ids"] = np.array([f"bild-ü{k}.jpg" for k in range(N)])
    arrays["of"] = arrays["ids"][of] if index == "names" else of + (index == "from 1")
    np.savez(tmp_path / "a.npz", **arrays)
    roles = {"text_instances": "of", "text_texts": "captions"}
    content = build(tmp_path / "a.npz", mapping=roles)
    image, text = content.items["image"], content.items["text"]
    np.testing.assert_array_equal(text.instances, image.instances[of])
    np.testing.assert_array_equal(text.labels, HOT[of])
    assert content.splits is not None
    np.testing.assert_array_equal(content.splits["text"], np.array(["train"] * 8 + ["query"] * 4)[of])
    assert len(set(text.ids.tolist())) == 2 * N
    assert list(content.texts["text"]) == arrays["captions"].tolist()
    assert ("of counts rows from 1" in content.notes) == (index == "from 1")


def test_captions_of_nothing(tmp_path: Path) -> None:
    arrays = {"image": images(), "text": texts(3), "label": HOT, "ids": np.array([f"i{k}" for k in range(N)])}
    np.savez(tmp_path / "a.npz", **arrays, of=np.array(["i0", "i99", "i1"]))
    with pytest.raises(DataError, match=r"array 'of': row 1 is 'i99', which is the id of no instance"):
        build(tmp_path / "a.npz", mapping={"text_instances": "of"})
    del arrays["ids"]
    np.savez(tmp_path / "b.npz", **arrays, of=np.array([1, 5, 7]))
    with pytest.raises(DataError, match=r"holds 1 to 7, which are not the row numbers of 12 instances"):
        build(tmp_path / "b.npz", mapping={"text_instances": "of"})


def test_training_items_in_the_database_are_kept_once(tmp_path: Path) -> None:
    """As in mir_cnn.mat: I_db holds all training rows again."""
    order = np.random.default_rng(0).permutation(8)
    whole = {"I": images(), "T": texts(), "L": HOT}
    arrays = {f"{k}_tr": v[order[:5]] for k, v in whole.items()}
    arrays |= {f"{k}_db": v[:8] for k, v in whole.items()} | {f"{k}_te": v[8:] for k, v in whole.items()}
    content = build(save(tmp_path / "a.mat", **arrays))
    assert content.splits is not None
    split = content.splits["image"]
    assert split.tolist().count("gallery") == 3
    left = content.items["image"].features[split == "gallery"]
    np.testing.assert_array_equal(left, images()[np.sort(order[5:])].astype(np.float32))
    assert any("all 5 training items stand among the 8 of the gallery again" in n for n in content.notes)
    twice = {f"{k}_db": np.concatenate([v[:8], v[order[:1]]]) for k, v in whole.items()}
    content = build(save(tmp_path / "c.mat", **arrays | twice))
    assert content.splits is not None
    assert content.splits["image"].tolist().count("gallery") == 4
    arrays["I_tr"] = arrays["I_tr"] + 1
    content = build(save(tmp_path / "b.mat", **arrays))
    assert content.splits is not None
    assert content.splits["image"].tolist().count("gallery") == 8


def test_split_names_of_the_field(tmp_path: Path) -> None:
    arrays = {"image": images(), "text": texts(), "label": HOT}
    np.savez(
        tmp_path / "a.npz", **arrays, split=np.array(["Train"] * 6 + ["valid"] * 2 + ["test"] * 2 + ["database"] * 2)
    )
    content = build(tmp_path / "a.npz")
    assert content.splits is not None
    assert content.splits["image"].tolist() == ["train"] * 6 + ["val"] * 2 + ["query"] * 2 + ["gallery"] * 2
    np.savez(tmp_path / "b.npz", **arrays, split=np.array(["train"] * 11 + ["rest"]))
    with pytest.raises(DataError, match=r"array 'split': row 11 is 'rest'; expected train, val, query or gallery"):
        build(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", **arrays)
    assert build(tmp_path / "c.npz").splits is None


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (
            np.array(["a"] * 2 + [f"i{k}" for k in range(10)]),
            r"image: row 0 of image and row 1 of image have the same id 'a'",
        ),
        (np.array(["x", ""] * 6), r"array 'ids': row 1 is ''; expected a non-empty single line"),
        (np.array(["x", "a\nb"] * 6), r"row 1 is 'a\\nb'"),
        (np.array([f"i{k}" for k in range(11)]), r"array 'ids' has 11 entries, but there are 12 rows"),
        (np.arange(12) + 0.5, r"ids are strings or whole numbers, not float64"),
    ],
)
def test_ids_that_are_none(ids: np.ndarray, expected: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=images(), text=texts(), label=HOT, ids=ids)
    with pytest.raises(DataError, match=expected):
        build(tmp_path / "a.npz")


def test_the_same_id_in_two_parts(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **parts(), ids_tr=np.arange(8), ids_te=np.arange(7, 11))
    with pytest.raises(DataError, match=r"row 7 of I_tr and row 0 of I_te have the same id '7'"):
        build(tmp_path / "a.npz")


def test_ids_of_any_script(tmp_path: Path) -> None:
    ids = np.array([f"картина-{k}-顔" for k in range(N)])
    np.savez(tmp_path / "a.npz", image=images(), text=texts(), label=HOT, ids=ids)
    assert build(tmp_path / "a.npz").items["text"].ids.tolist() == ids.tolist()


def broken(at: tuple[int, int], value: float) -> np.ndarray:
    array = images()
    array[at] = value
    return array


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (broken((7, 2), np.nan), r"array 'image': row 7 holds nan in column 2"),
        (broken((3, 0), np.inf), r"array 'image': row 3 holds inf in column 0"),
        (broken((3, 0), 1e300), r"array 'image': row 3 holds 1e\+300, too large for float32"),
        (np.full((N, 5), 2**24 + 1), r"array 'image': row 0 holds 16777217, which float32 cannot"),
        (images() * 1j, r"'image' is an array of complex numbers, which cannot be read"),
        (images().astype(str), r"mapped to image but holds strings"),
        (images()[:, 0], r"mapped to image but has the shape \(12,\); features are \(items, columns\)"),
        (np.ones((N, 2, 2)), r"mapped to image but has the shape \(12, 2, 2\)"),
        (np.array([[{}] * 5] * N, dtype=object), r"'image' is an array of Python objects"),
    ],
)
def test_features_that_are_none(image: np.ndarray, expected: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=image, text=texts(), label=HOT)
    with pytest.raises(DataError, match=expected) as caught:
        build(tmp_path / "a.npz", mapping={"image": "image"})
    assert "a.npz" in str(caught.value)


def test_the_row_is_that_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the array is read in several blocks."""
    monkeypatch.setattr("cmrbench.data.files.stored.BLOCK_BYTES", 3 * 5 * 8)
    np.savez(tmp_path / "a.npz", image=broken((10, 1), np.nan), text=texts(), label=HOT)
    with pytest.raises(DataError, match="row 10 holds nan"):
        build(tmp_path / "a.npz")


def test_parts_of_different_widths(tmp_path: Path) -> None:
    save(tmp_path / "a.mat", **parts(I_te=images(4, 6)))
    with pytest.raises(DataError, match=r"image has different numbers of columns: I_tr has 5, I_te has 6"):
        build(tmp_path / "a.mat")
    save(tmp_path / "b.mat", **parts(L_te=np.eye(4, dtype=np.uint8)))
    with pytest.raises(DataError, match=r"labels are of different widths: L_t[re] [34], L_t[re] [34]"):
        build(tmp_path / "b.mat")
    save(tmp_path / "c.mat", **parts(L_te=CLASSES[8:]))
    with pytest.raises(DataError, match=r"holds a 0/1 matrix, but 'L_t[re]' numbers of classes; give all in one form"):
        build(tmp_path / "c.mat")


def test_unknown_options_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=images(), text=texts(), label=HOT)
    with pytest.raises(DataError, match=r"options of builder 'mapped': flip: "):
        build(tmp_path / "a.npz", flip=True)


_MEASURED = """
import resource, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import test_mapped_builder as t
path = Path({path!r})
t.build(path.parent / "small.h5")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
content = t.build(path)
assert content.items["image"].features.shape == (30000, 1024)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_does_not_grow_with_the_features(tmp_path: Path) -> None:
    """234 MiB of float64 become 117 MiB of float32 within some blocks of 32 MiB."""
    rng = np.random.default_rng(0)
    for name, n in (("small.h5", 60), ("a.h5", 30_000)):
        with h5py.File(tmp_path / name, "w") as file:
            image = file.create_dataset("image", (n, 1024), "f8", chunks=(60, 1024))
            for start in range(0, n, 2000):
                image[start : start + 2000] = rng.random((min(2000, n - start), 1024))
            file["text"] = rng.random((n, 4))
            file["label"] = np.arange(n) % 3
    code = _MEASURED.format(tests=str(Path(__file__).parent), path=str(tmp_path / "a.h5"))
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 160
