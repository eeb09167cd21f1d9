"""Array files of users: every refusal names the file, and leaves nothing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import array_files
import h5py
import made_data
import numpy as np
import pytest
import scipy.sparse
from bad_shell import SOUND, TRAIN, N, Shell
from scipy.io import savemat

from cmrbench.core.dataset import Dataset
from cmrbench.data import load_dataset

CLASSES = SOUND["label"].argmax(1)


def refuse(shell: Shell, file: Path, *options: Any) -> str:
    said = shell.refuses("data", "import", "own", "--from", file, *options)
    assert str(file) in said
    shell.has_nothing_of("own")
    return said


def take(shell: Shell, file: Path, *options: Any) -> tuple[Dataset, list[str]]:
    """The dataset that a file becomes, and what is said of it."""
    out = shell.accepts("data", "import", "own", "--from", file, *options)
    dataset = load_dataset("own/imported")
    assert dataset.kinds == {"image": "vector", "text": "vector"}
    return dataset, [line.removeprefix("note: ") for line in out.splitlines() if line.startswith("note: ")]


def npz_with(shell: Shell, **changes: Any) -> Path:
    return made_data.save(shell.folder / "brought", SOUND | changes) / "data.npz"


def mat_with(shell: Shell, **changes: Any) -> Path:
    whole = {"I": SOUND["image"], "T": SOUND["text"], "L": SOUND["label"]}
    halves = {f"{k}_tr": v[:30] for k, v in whole.items()} | {f"{k}_te": v[30:] for k, v in whole.items()}
    savemat(shell.folder / "data.mat", halves | changes)
    return shell.folder / "data.mat"


def test_mat_with_object_arrays(shell: Shell) -> None:
    cells = np.empty((30, 7), object)
    cells[:] = 1.0
    said = refuse(shell, mat_with(shell, I_tr=cells))
    assert "'I_tr' is a cell array of more than strings or a few matrices, and cannot be image_train" in said
    assert said.endswith("save it as a plain array, or choose another with --map image_train=ARRAY")


def test_mat_with_nan(shell: Shell) -> None:
    values = SOUND["image"][:30].copy()
    values[3, 2] = np.nan
    assert "array 'I_tr': row 3 holds nan in column 2" in refuse(shell, mat_with(shell, I_tr=values))


def test_truncated_mat(shell: Shell) -> None:
    file = mat_with(shell)
    file.write_bytes(file.read_bytes()[:900])
    assert "is cut off" in refuse(shell, file)


def test_mat73(shell: Shell) -> None:
    halves = {"I_tr": SOUND["image"][:30], "T_tr": SOUND["text"][:30], "I_te": SOUND["image"][30:]}
    halves |= {"T_te": SOUND["text"][30:], "L_tr": SOUND["label"][:30], "L_te": SOUND["label"][30:]}
    dataset, _ = take(shell, array_files.save_mat73(shell.folder / "data.mat", **halves))
    assert np.array_equal(dataset.part("query")["image"].features, SOUND["image"][30:])


def test_npz_with_pickles(shell: Shell) -> None:
    sprung = shell.folder / "sprung"
    traps = np.array([array_files.Trap(sprung)] * N, object)
    file = npz_with(shell, image=traps)
    assert "'image' is an array of Python objects (a pickle), which is never opened" in refuse(shell, file)
    said = shell.refuses("data", "import", "mine", "--from", file.parent)
    assert f"{file} holds Python objects (a pickle), which are never opened" in said
    shell.has_nothing_of("mine")
    file.write_bytes(pickle.dumps(traps))
    assert "is a Python pickle, which is never opened" in refuse(shell, file)
    assert not sprung.exists()


def test_hdf5_with_external_links(shell: Shell) -> None:
    file = shell.folder / "data.h5"
    with h5py.File(shell.folder / "other.h5", "w") as other:
        other["image"] = SOUND["image"]
    with h5py.File(file, "w") as made:
        made["image"] = h5py.ExternalLink("other.h5", "image")
        made["text"], made["label"] = SOUND["text"], SOUND["label"]
    assert "'image' is a link into another file ('other.h5'), which is never followed" in refuse(shell, file)


def test_hdf5_with_external_storage(shell: Shell) -> None:
    file = shell.folder / "data.h5"
    (shell.folder / "secret").write_bytes(b"s" * 4 * 7 * N)
    with h5py.File(file, "w") as made:
        made.create_dataset("image", (N, 7), "f4", external=[(str(shell.folder / "secret"), 0, 4 * 7 * N)])
        made["text"], made["label"] = SOUND["text"], SOUND["label"]
    assert "'image' is stored outside the file, in other files" in refuse(shell, file)


def test_labels_as_strings(shell: Shell) -> None:
    named = np.array(["dög", "cat", "bee", "ant"])[CLASSES]
    unnamed = {k: v for k, v in SOUND.items() if k != "class_names"}
    dataset, notes = take(shell, made_data.save(shell.folder / "brought", unnamed | {"label": named}) / "data.npz")
    assert dataset.classes == ("ant", "bee", "cat", "dög")
    assert np.array_equal(dataset.part("train")["text"].labels.argmax(1), 3 - CLASSES[:TRAIN])
    assert "classes are in the alphabetical order of their names" in notes


def test_labels_as_strings_in_a_source_file(shell: Shell) -> None:
    file = npz_with(shell, label=np.array(["a", "b", "c", "d"])[CLASSES])
    said = shell.refuses("data", "import", "mine", "--from", file.parent)
    assert f"{file}: labels must be whole numbers" in said
    assert "number the classes from 0" in said
    shell.has_nothing_of("mine")


def test_labels_that_begin_at_one(shell: Shell) -> None:
    dataset, notes = take(shell, npz_with(shell, label=CLASSES + 1))
    assert len(dataset.classes) == 4
    assert np.array_equal(dataset.part("train")["image"].labels.argmax(1), CLASSES[:TRAIN])
    assert "classes were numbered from 1 to 4: they are counted from 0" in notes


def test_labels_that_begin_at_one_in_a_source_file(shell: Shell) -> None:
    content = {k: v for k, v in SOUND.items() if k != "class_names"} | {"label": CLASSES + 1}
    folder = made_data.save(shell.folder / "brought", content)
    said = shell.refuses("data", "import", "mine", "--from", folder)
    assert f"{folder / 'data.npz'}: labels are numbered 1 to 4; number classes from 0" in said
    shell.has_nothing_of("mine")


def test_rows_without_a_label(shell: Shell) -> None:
    label = np.eye(4, dtype=int)[CLASSES]
    label[5] = 0
    file = npz_with(shell, label=label)
    said = refuse(shell, file)
    assert "row 5 of image has no label; leave such items out with --drop-unlabelled" in said
    dataset, notes = take(shell, file, "--drop-unlabelled")
    assert "image: 1 items without a label left out" in notes
    assert SOUND["ids"][5] not in dataset.part("train")["image"].ids


def test_rows_without_a_label_in_a_source_file_are_noted(shell: Shell) -> None:
    label = np.eye(4, dtype=int)[CLASSES]
    label[[5, 7]] = 0
    shell.accepts("data", "import", "mine", "--from", npz_with(shell, label=label).parent)
    assert "image: item item-5 has no label, nor have 1 more" in load_dataset("mine").notes


def test_duplicate_ids(shell: Shell) -> None:
    ids = SOUND["ids"].copy()
    ids[9] = ids[2]
    file = npz_with(shell, ids=ids)
    assert "row 2 of image and row 9 of image have the same id 'item-2'" in refuse(shell, file)
    said = shell.refuses("data", "import", "mine", "--from", file.parent)
    assert f"{file}: image: rows 2 and 9 have the same id item-2" in said
    shell.has_nothing_of("mine")


def test_images_and_texts_of_different_counts(shell: Shell) -> None:
    file = npz_with(shell, text=SOUND["text"][:40])
    assert "text has 40 rows of text, but label has 48 labels" in refuse(shell, file)
    assert f"{file}: text has 40 rows, but split has 48" in shell.refuses("data", "import", "mine", "--from", file)
    shell.has_nothing_of("mine")


@pytest.mark.parametrize(
    ("dtype", "note"),
    [
        ("float16", "image: float16 as float32, exactly"),
        ("float64", "image: float64 rounded to float32"),
        ("int8", "image: int8 as float32, exactly"),
    ],
)
def test_features_of_other_types(dtype: str, note: str, shell: Shell) -> None:
    values = (np.random.default_rng(0).standard_normal((N, 7)) * 20).astype(dtype)
    dataset, notes = take(shell, npz_with(shell, image=values))
    found = dataset.part("train")["image"].features
    assert found.dtype == np.float32
    assert np.array_equal(found, values[:TRAIN].astype(np.float32))
    assert note in notes


def test_sparse_features(shell: Shell) -> None:
    dense = np.where(SOUND["image"] > 0, SOUND["image"], 0) + np.eye(N, 7)
    parts = {"I_tr": scipy.sparse.csc_matrix(dense[:30]), "I_te": scipy.sparse.csc_matrix(dense[30:])}
    dataset, _ = take(shell, mat_with(shell, **parts))
    assert np.array_equal(dataset.part("query")["image"].features, dense[30:].astype(np.float32))


def test_features_too_large_for_float32(shell: Shell) -> None:
    values = SOUND["image"].astype(np.float64)
    values[4, 1] = 1e200
    assert "row 4 holds 1e+200, too large for float32; scale the features" in refuse(
        shell, npz_with(shell, image=values)
    )


def test_captions_that_are_not_ascii(shell: Shell) -> None:
    captions = np.array([f"Straße № {k} – 猫 🐈‍⬛ ﷽ e\u0301" for k in range(N)])
    dataset, _ = take(shell, npz_with(shell, captions=captions))
    assert dataset.texts("train", "text") == captions[:TRAIN].tolist()


def test_an_empty_file(shell: Shell) -> None:
    (shell.folder / "data.npz").touch()
    assert refuse(shell, shell.folder / "data.npz").endswith("data.npz is empty")
    assert "is not a readable .npz" in shell.refuses("data", "import", "mine", "--from", shell.folder)
    shell.has_nothing_of("mine")


def test_a_folder_that_is_called_like_a_file(shell: Shell) -> None:
    (shell.folder / "brought" / "data.npz").mkdir(parents=True)
    assert "data.npz is not a plain file" in refuse(shell, shell.folder / "brought")
    assert "does not hold mine: expected data.npz" in shell.refuses("data", "import", "mine", "--from", shell.folder)


def test_a_file_of_more_than_four_gib(shell: Shell) -> None:
    with (shell.folder / "data.npz").open("wb") as made:
        made.truncate(5 << 30)
    assert "is no array file that is known" in refuse(shell, shell.folder / "data.npz")
    with (shell.folder / "data.npz").open("wb") as made:
        made.truncate(65 << 30)
    assert "at most 68,719,476,736 are imported" in refuse(shell, shell.folder / "data.npz")
