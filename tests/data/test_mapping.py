"""Mapping: names that leave no doubt are recognised in every known layout; others are shown, never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import array_files
import h5py
import numpy as np
import pytest
from scipy.io import savemat

from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.data.files import open_arrays
from cmrbench.data.importing.mapping import Proposal, check, propose
from cmrbench.data.importing.roles import Role, all_roles, parse_map, transposed_roles

TWO = ("image", "text")
FIVE = ("image", "text", "audio", "video", "3d")


def features(d: int = 4) -> np.ndarray:
    return np.ones((6, d))


def numbers() -> np.ndarray:
    return np.arange(6).reshape(-1, 1) % 3 + 1


def proposed(path: Path, modalities: tuple[str, ...] = TWO, *given: str) -> Proposal:
    with open_arrays(path) as arrays:
        return propose(arrays, modalities, parse_map(given, modalities))


def named(proposal: Proposal) -> dict[str, str]:
    return {str(role): array for role, array in proposal.roles.items()}


def arrays_of(names: Mapping[str, str]) -> dict[str, Any]:
    """Arrays by name: ``f`` features, ``l`` numbers of classes, ``h`` multi-hot, ``p`` pictures."""
    makers = {
        "f": features,
        "l": numbers,
        "h": lambda: np.eye(6, 3, dtype=np.uint8),
        "p": lambda: np.ones((6, 3, 2, 2)),
    }
    return {name: makers[kind]() for name, kind in names.items()}


LAYOUTS: dict[str, tuple[tuple[str, ...], dict[str, str], dict[str, str]]] = {
    "I_tr ... L_te": (
        TWO,
        {"I_tr": "f", "I_te": "f", "T_tr": "f", "T_te": "f", "L_tr": "h", "L_te": "h", "param": "l"},
        {
            "image_train": "I_tr",
            "image_test": "I_te",
            "text_train": "T_tr",
            "text_test": "T_te",
            "label_train": "L_tr",
            "label_test": "L_te",
        },
    ),
    "with a database": (
        TWO,
        {f"{m}_{p}": "h" if m == "L" else "f" for m in "ITL" for p in ("tr", "te", "db")},
        {
            f"{role}_{part}": f"{m}_{p}"
            for m, role in (("I", "image"), ("T", "text"), ("L", "label"))
            for p, part in (("tr", "train"), ("te", "test"), ("db", "gallery"))
        },
    ),
    "lower case and long names": (
        TWO,
        {"img_train": "f", "text_train": "f", "label_train": "l", "img_test": "f", "text_test": "f", "label_test": "l"},
        {
            "image_train": "img_train",
            "text_train": "text_train",
            "label_train": "label_train",
            "image_test": "img_test",
            "text_test": "text_test",
            "label_test": "label_test",
        },
    ),
    "XTrain": (
        TWO,
        {"XTrain": "f", "YTrain": "f", "LTrain": "h", "XTest": "f", "YTest": "f", "LTest": "h"},
        {
            "image_train": "XTrain",
            "text_train": "YTrain",
            "label_train": "LTrain",
            "image_test": "XTest",
            "text_test": "YTest",
            "label_test": "LTest",
        },
    ),
    "DCMH": (TWO, {"XAll": "f", "YAll": "f", "LAll": "h"}, {"image": "XAll", "text": "YAll", "label": "LAll"}),
    "DCMH with pictures": (
        TWO,
        {"IAll": "p", "XAll": "f", "YAll": "f", "LAll": "h"},
        {"image": "XAll", "text": "YAll", "label": "LAll"},
    ),
    "IAll, TAll": (TWO, {"IAll": "f", "TAll": "f", "LAll": "h"}, {"image": "IAll", "text": "TAll", "label": "LAll"}),
    "SDML and DRCL": (
        TWO,
        {
            f"{part}_{name}": kind
            for part in ("train", "valid", "test")
            for name, kind in (("imgs_deep", "f"), ("imgs_labels", "l"), ("texts", "f"), ("texts_labels", "l"))
        },
        {
            f"{role}_{part}": f"{p}_{name}"
            for p, part in (("train", "train"), ("valid", "val"), ("test", "test"))
            for role, name in (
                ("image", "imgs_deep"),
                ("image_label", "imgs_labels"),
                ("text", "texts"),
                ("text_label", "texts_labels"),
            )
        },
    ),
    "wiki.mat of DRCL": (
        TWO,
        {
            "train_imgs_deep": "f",
            "train_texts_doc": "f",
            "train_imgs_labels": "l",
            "test_imgs_deep": "f",
            "test_texts_doc": "f",
            "test_imgs_labels": "l",
        },
        {
            "image_train": "train_imgs_deep",
            "text_train": "train_texts_doc",
            "label_train": "train_imgs_labels",
            "image_test": "test_imgs_deep",
            "text_test": "test_texts_doc",
            "label_test": "test_imgs_labels",
        },
    ),
    "INRIA-Websearch": (
        TWO,
        {
            f"{p}_{n}": "l" if "lab" in n else "f"
            for p in ("tr", "val", "te")
            for n in ("img", "txt", "img_lab", "txt_lab")
        },
        {
            f"{role}_{part}": f"{p}_{name}"
            for p, part in (("tr", "train"), ("val", "val"), ("te", "test"))
            for role, name in (
                ("image", "img"),
                ("text", "txt"),
                ("image_label", "img_lab"),
                ("text_label", "txt_lab"),
            )
        },
    ),
    "XMediaFeatures": (
        FIVE,
        {f"{m}_{p}{x}": "f" for m, x in (("I", ""), ("I", "_CNN"), ("T", ""), ("T", "_BOW")) for p in ("tr", "te")}
        | {f"{m}_{p}{x}": "f" for m, x in (("V", ""), ("V", "_CNN"), ("A", ""), ("d3", "")) for p in ("tr", "te")}
        | {f"{p}{m}Cat": "l" for m in ("Img", "Txt", "Vid", "Aud", "3d") for p in ("tr", "te")},
        {
            f"{role}_{part}": array.format(p)
            for p, part in (("tr", "train"), ("te", "test"))
            for role, array in (
                ("image", "I_{}_CNN"),
                ("image_label", "{}ImgCat"),
                ("text", "T_{}_BOW"),
                ("text_label", "{}TxtCat"),
                ("audio", "A_{}"),
                ("audio_label", "{}AudCat"),
                ("video", "V_{}_CNN"),
                ("video_label", "{}VidCat"),
                ("3d", "d3_{}"),
                ("3d_label", "{}3dCat"),
            )
        },
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_known_layouts(layout: str, tmp_path: Path) -> None:
    modalities, names, expected = LAYOUTS[layout]
    savemat(tmp_path / "a.mat", arrays_of(names))
    found = proposed(tmp_path / "a.mat", modalities)
    assert named(found) == expected
    assert not found.choices
    check(found, "a.mat", labelled=True)
    assert set(found.unused) == set(names) - set(expected.values())


def test_the_layout_of_this_project(tmp_path: Path) -> None:
    strings = np.array(["a"] * 6)
    np.savez(
        tmp_path / "data.npz",
        image=features(),
        text=features(),
        label=numbers(),
        split=strings,
        ids=strings,
        class_names=strings[:3],
    )
    roles = named(proposed(tmp_path / "data.npz"))
    assert roles == {name: name for name in ("image", "text", "label", "split", "ids", "class_names")}


def test_cells_of_xmedianet(tmp_path: Path) -> None:
    parts = ("train", "valid", "test")
    views = [features(d) for d in (4, 3, 5, 2, 6)]
    cells = {part: views for part in parts} | {f"{part}_labels": [numbers()] * 5 for part in parts}
    array_files.save_mat73(tmp_path / "a.mat", **cells)
    found = proposed(tmp_path / "a.mat", FIVE)
    assert named(found) == {
        f"{role}_{part}": f"{p}{end}"
        for p, part in (("train", "train"), ("valid", "val"), ("test", "test"))
        for role, end in (
            ("image", "{1}"),
            ("image_label", "_labels{1}"),
            ("text", "{2}"),
            ("text_label", "_labels{2}"),
        )
    }
    assert "view 1 is image" in found.layout


def test_file_names_are_ids_and_split_files_are_one(tmp_path: Path) -> None:
    array_files.save_mat73(tmp_path / "mir-fall.mat", FAll=[f"im{k}.jpg" for k in range(6)])
    array_files.save_mat73(tmp_path / "mir-yall.mat", YAll=features())
    savemat(tmp_path / "mir-lall.mat", {"LAll": np.eye(6, 3)})
    np.save(tmp_path / "XAll.npy", features())
    assert named(proposed(tmp_path)) == {"image": "XAll", "text": "YAll", "label": "LAll", "image_ids": "FAll"}


def test_groups_of_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for part in ("train", "test"):
            for name in ("image", "text", "label"):
                file[f"{part}/{name}"] = numbers() if name == "label" else features()
    assert named(proposed(tmp_path / "a.h5"))["text_test"] == "test/text"


def test_what_is_ambiguous_is_asked(tmp_path: Path) -> None:
    names = {"I_tr": "f", "I_tr_vgg": "f", "T_tr": "f", "L_tr": "h", "I_te": "f", "T_te": "f", "L_te": "h"}
    savemat(tmp_path / "a.mat", arrays_of(names))
    found = proposed(tmp_path / "a.mat")
    with pytest.raises(
        DataError, match=r"image_train could be 'I_tr' or 'I_tr_vgg'; choose with --map image_train=I_tr"
    ):
        check(found, "a.mat", labelled=True)
    chosen = proposed(tmp_path / "a.mat", TWO, "image_train=I_tr_vgg")
    check(chosen, "a.mat", labelled=True)
    assert named(chosen)["image_train"] == "I_tr_vgg"
    assert list(chosen.unused) == ["I_tr"]


def test_x_and_y_without_l_are_not_taken_for_image_and_text(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"X": features(), "Y": features()})
    with pytest.raises(DataError, match=r"two modalities are needed, none were recognised .*names say nothing: X, Y"):
        check(proposed(tmp_path / "a.mat"), "a.mat", labelled=True)


@pytest.mark.parametrize(
    ("names", "given", "expected"),
    [
        (
            {"I_tr": "f", "T_tr": "f"},
            (),
            r"no array was recognised as label_train; give it with --map label_train=ARRAY",
        ),
        ({"I_tr": "f", "foo": "f", "L_tr": "h"}, (), r"only image was recognised.*names say nothing: foo"),
        ({"I_tr": "f", "I_te": "f", "T_tr": "f", "L_tr": "h"}, (), r"there is no array for text_test"),
        (
            {"I_tr": "f", "image": "f", "T_tr": "f", "L_tr": "h"},
            (),
            r"image is mapped whole and by part \(train\); take one out with --map image=",
        ),
        (
            {"I_te": "f", "I_query": "f", "T_te": "f", "T_query": "f", "L_te": "h", "L_query": "h"},
            (),
            r"image is mapped to both test and query",
        ),
        ({"a": "f", "b": "f", "c": "h"}, ("image=a", "text=b"), r"no array was recognised as label;"),
    ],
)
def test_incomplete_mappings_are_refused(
    names: dict[str, str], given: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    savemat(tmp_path / "a.mat", arrays_of(names))
    with pytest.raises(DataError, match=rf"^a\.mat: .*{expected}"):
        check(proposed(tmp_path / "a.mat", TWO, *given), "a.mat", labelled=True)


def test_datasets_without_labels_need_none(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", arrays_of({"I_tr": "f", "T_tr": "f"}))
    check(proposed(tmp_path / "a.mat"), "a.mat", labelled=False)


def test_what_the_user_says_goes_first(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", arrays_of({"I_tr": "f", "T_tr": "f", "L_tr": "h", "mine": "f"}))
    found = proposed(tmp_path / "a.mat", TWO, "text_train=mine", "label_train=")
    assert named(found) == {"image_train": "I_tr", "text_train": "mine"}
    swapped = proposed(tmp_path / "a.mat", TWO, "image_train=T_tr", "text_train=I_tr")
    assert named(swapped)["image_train"] == "T_tr"
    with pytest.raises(DataError, match="has no array 'nowhere'; it has I_tr, T_tr"):
        proposed(tmp_path / "a.mat", TWO, "text_train=nowhere")


def test_roles_and_their_names_are_inverse() -> None:
    for name in all_roles(FIVE):
        assert str(Role.parse(name, FIVE)) == name


@pytest.mark.parametrize("text", ["imag_train", "image_trai", "split_train", "image_split", "train", ""])
def test_unknown_roles_are_named(text: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown role"):
        Role.parse(text, TWO)


def test_options_are_checked() -> None:
    with pytest.raises(UsageError, match=r"--map 'image' is not ROLE=ARRAY"):
        parse_map(["image"], TWO)
    with pytest.raises(UsageError, match="gives the role image twice: 'a' and 'b'"):
        parse_map(["image=a", "image=b"], TWO)
    roles = parse_map(["image_train=a", "image_test=b", "text=c", "ids=d"], TWO)
    assert {str(r) for r in transposed_roles(["image"], roles, TWO)} == {"image_train", "image_test"}
    assert {str(r) for r in transposed_roles(["image_test"], roles, TWO)} == {"image_test"}
    assert {str(r) for r in transposed_roles(["all"], roles, TWO)} == {"image_train", "image_test", "text"}
    with pytest.raises(UsageError, match="--transpose label: no array is mapped to it; mapped are image_train"):
        transposed_roles(["label"], roles, TWO)
