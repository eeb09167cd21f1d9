"""The .mat and .h5 files that released loaders of several-view methods read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import made_archives
import numpy as np
import pytest
from scipy.io import savemat

from cmrbench.core.errors import DataError
from cmrbench.data.content import Content

RNG = np.random.default_rng(5)
DIMS = {"image": 9, "text": 7, "audio": 4, "3d": 6, "video": 8}
TRAIN = {"image": 40, "text": 40, "audio": 16, "3d": 8, "video": 19}
TEST = {"image": 20, "text": 20, "audio": 8, "3d": 4, "video": 14}
NAMES = {"image": "Img", "text": "Txt", "audio": "Aud", "3d": "3d", "video": "Vid"}
MATRICES = {"image": "I_{}_CNN", "text": "T_{}_BOW", "audio": "A_{}", "3d": "d3_{}", "video": "V_{}_CNN"}
CLASSES = 4
Raw = dict[str, Any]


def rows(modality: str, n: int) -> np.ndarray:
    return RNG.random((n, DIMS[modality])) + 0.1


def numbers(n: int, first: int) -> np.ndarray:
    return np.arange(n) % CLASSES + first


def xmedia() -> Raw:
    """XMediaFeatures.mat: double precision, classes from 1 in columns, other descriptors beside those that count."""
    raw: Raw = {"I_tr": RNG.random((40, 3)), "I_te": RNG.random((20, 3))}
    for modality, name in MATRICES.items():
        for part, sizes in (("tr", TRAIN), ("te", TEST)):
            raw[name.format(part)] = rows(modality, sizes[modality])
            raw[f"{part}{NAMES[modality]}Cat"] = numbers(sizes[modality], 1)[:, None].astype(np.uint8)
    return raw


def cells(first: int = 0) -> Raw:
    """XMediaNet5View_Doc2Vec.mat: one cell a view, labels in rows."""
    raw: Raw = {}
    for part, sizes in (("train", TRAIN), ("valid", TEST), ("test", TEST)):
        for key, make in (
            (part, lambda m, n: rows(m, n).astype(np.float32)),
            (f"{part}_labels", lambda m, n: numbers(n, first)[None]),
        ):
            raw[key] = np.empty((1, 5), dtype=object)
            for k, modality in enumerate(DIMS):
                raw[key][0, k] = make(modality, sizes[modality])
    return raw


def deep(text: str = "{}_texts") -> Raw:
    raw: Raw = {}
    for part, n in (("train", 40), ("valid", 12), ("test", 20)):
        raw[f"{part}_imgs_deep"] = rows("image", n).astype(np.float32)
        raw[text.format(part)] = rows("text", n).astype(np.float32)
        raw[f"{part}_imgs_labels"] = raw[f"{part}_texts_labels"] = numbers(n, 1)
    return raw


def websearch() -> Raw:
    raw: Raw = {}
    for part, n in (("tr", 40), ("val", 12), ("te", 20)):
        raw |= {f"{part}_img": rows("image", n), f"{part}_txt": rows("text", n)}
        raw |= {f"{part}_img_lab": numbers(n, 0)[:, None], f"{part}_txt_lab": numbers(n, 0)[:, None]}
    return raw


def pascal() -> Raw:
    raw: Raw = {}
    for part, n in (("train", 40), ("test", 20)):
        raw |= {
            f"img_{part}": rows("image", n),
            f"text_{part}": rows("text", n),
            f"label_{part}": numbers(n, 0)[:, None],
        }
    return raw


def save(path: Path, raw: Raw) -> None:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".mat":
        savemat(path, raw, do_compression=True)
    else:
        with h5py.File(path, "w") as file:
            for name, values in raw.items():
                file[name] = values


def build(folder: Path, raw: Raw, name: str, modalities: Any = DIMS, labels: Any = None, **options: Any) -> Content:
    save(folder / "sources" / name, raw)
    specs = {m: {"dims": DIMS[m]} for m in modalities} if not isinstance(modalities, dict) else modalities
    specs = {m: spec if isinstance(spec, dict) else {"dims": spec} for m, spec in specs.items()}
    entry = made_archives.make_entry("views", specs, options=options, labels=labels or {"classes": CLASSES})
    return made_archives.run_builder(entry, folder / "sources", folder / "scratch")


PAIR = ("image", "text")


def test_xmedia_has_five_views_of_different_sizes(tmp_path: Path) -> None:
    raw = xmedia()
    content = build(tmp_path, raw, "XMediaFeatures.mat", layout="xmedia")
    assert content.splits is not None
    for modality, name in MATRICES.items():
        items = content.items[modality]
        expected = np.concatenate([raw[name.format("tr")], raw[name.format("te")]]).astype(np.float32)
        np.testing.assert_array_equal(items.features, expected)
        assert items.labels is not None
        classes = np.concatenate([raw[f"{p}{NAMES[modality]}Cat"].ravel() for p in ("tr", "te")])
        np.testing.assert_array_equal(items.labels.argmax(1), classes - 1)
        train, half = TRAIN[modality], TEST[modality] // 2
        assert content.splits[modality].tolist() == ["train"] * train + ["query"] * half + ["val"] * (
            TEST[modality] - half
        )
    image, text, audio = (content.items[m] for m in ("image", "text", "audio"))
    assert image.instances.tolist() == text.instances.tolist()
    assert image.ids.tolist()[40] == "te-000000"
    assert not set(audio.instances.tolist()) & set(image.instances.tolist())
    assert "class numbers from 1 stored as from 0" in content.notes
    assert "audio: float64 rounded to float32" in content.notes


def test_a_feature_set_may_name_another_array(tmp_path: Path) -> None:
    raw = xmedia()
    specs = {"image": {"dims": 3, "read": {"array": "I_{}"}}, "text": {"dims": 7}}
    content = build(tmp_path, raw, "XMediaFeatures.mat", specs, layout="xmedia")
    np.testing.assert_array_equal(content.items["image"].features[:40], raw["I_tr"].astype(np.float32))


@pytest.mark.parametrize("first", [0, 1])
def test_cells_of_views(tmp_path: Path, first: int) -> None:
    raw = cells(first)
    content = build(tmp_path, raw, "XMediaNet5View_Doc2Vec.mat", layout="cells")
    assert list(content.items) == list(DIMS)
    assert content.splits is not None
    for k, modality in enumerate(DIMS):
        items = content.items[modality]
        np.testing.assert_array_equal(
            items.features, np.concatenate([raw[p][0, k] for p in ("train", "valid", "test")])
        )
        assert items.labels is not None
        assert items.labels.argmax(1).tolist()[:5] == [0, 1, 2, 3, 0]
        assert content.splits[modality].tolist() == [
            s for s, n in (("train", TRAIN), ("val", TEST), ("query", TEST)) for _ in range(n[modality])
        ]


def test_four_views_are_named_by_an_option(tmp_path: Path) -> None:
    raw = {k: v[:, [0, 1, 2, 4]] for k, v in cells().items()}
    views = ["image", "text", "audio", "video"]
    content = build(tmp_path, raw, "XMediaNet4View_pairs.mat", views, layout="cells", views=views)
    assert content.items["video"].dim == DIMS["video"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("nus_wide_deep_doc2vec-corr-ae.h5py", "{}_texts"), ("xmedianet.h5", "{}_text"), ("wiki.mat", "{}_texts_doc")],
)
def test_deep_features_with_valid(tmp_path: Path, name: str, text: str) -> None:
    raw = deep(text)
    content = build(tmp_path, raw, name, PAIR, layout="deep")
    expected = np.concatenate([raw[text.format(p)] for p in ("train", "valid", "test")])
    np.testing.assert_array_equal(content.items["text"].features, expected)
    assert content.splits is not None
    assert content.splits["image"].tolist() == ["train"] * 40 + ["val"] * 12 + ["query"] * 20
    assert content.items["text"].instances.tolist() == content.items["image"].ids.tolist()


def test_validation_is_the_first_of_the_test_items(tmp_path: Path) -> None:
    raw = {k: v for k, v in deep("{}_texts_doc").items() if "valid" not in k and "texts_labels" not in k}
    content = build(tmp_path, raw, "wiki.mat", PAIR, layout="deep", val_items=6)
    assert content.splits is not None
    assert content.splits["text"].tolist() == ["train"] * 40 + ["val"] * 6 + ["query"] * 14


@pytest.mark.parametrize(
    ("raw", "name", "layout"), [(websearch, "INRIA-Websearch.mat", "websearch"), (pascal, "pascal.mat", "pascal")]
)
def test_the_others(tmp_path: Path, raw: Any, name: str, layout: str) -> None:
    content = build(tmp_path, raw(), name, PAIR, layout=layout)
    assert content.splits is not None
    counts = {s: content.splits["text"].tolist().count(s) for s in ("train", "val", "query")}
    assert counts == {"train": 40, "val": 12 if layout == "websearch" else 0, "query": 20}
    assert content.classes == ("class0", "class1", "class2", "class3")


def test_several_labels_an_item(tmp_path: Path) -> None:
    raw = deep()
    for part, n in (("train", 40), ("valid", 12), ("test", 20)):
        hot = np.eye(CLASSES, dtype=np.int64)[np.arange(n) % CLASSES]
        hot[:, 0] = 1
        raw[f"{part}_imgs_labels"] = raw[f"{part}_texts_labels"] = hot
    content = build(tmp_path, raw, "coco.h5py", PAIR, layout="deep", labels={"classes": CLASSES, "multilabel": True})
    labels = content.items["image"].labels
    assert labels is not None
    assert labels.sum(1).tolist()[:4] == [1, 2, 2, 2]


def test_rows_that_are_no_pairs_are_not_linked(tmp_path: Path) -> None:
    raw = xmedia()
    raw["teTxtCat"] = raw["teTxtCat"][::-1]
    content = build(tmp_path, raw, "XMediaFeatures.mat", PAIR, layout="xmedia")
    image, text = (set(content.items[m].instances.tolist()) for m in PAIR)
    assert not image & text
    assert "image and text have different classes in some rows of query and are not linked" in content.notes


def test_names_of_classes_come_from_the_catalogue(tmp_path: Path) -> None:
    names = ["insect", "bird", "wind", "dog"]
    content = build(tmp_path, websearch(), "x.mat", PAIR, {"classes": 4, "names": names}, layout="websearch")
    assert content.classes == tuple(names)


DAMAGE: dict[str, tuple[Raw, Raw, str]] = {
    "no array": ({"te_txt": None}, {}, r"x\.mat has no array 'te_txt'; it has"),
    "labels short": ({"tr_img_lab": numbers(39, 0)[:, None]}, {}, r"'tr_img_lab' has 39 rows, but 'tr_img' has 40"),
    "labels from 2": (
        {
            f"{p}_{v}_lab": numbers(n, 2)[:, None]
            for p, n in (("tr", 40), ("val", 12), ("te", 20))
            for v in ("img", "txt")
        },
        {},
        r"the smallest class number is 2; expected classes from 0 or from 1",
    ),
    "too many classes": (
        {"te_img_lab": numbers(20, 0)[:, None] + 2},
        {},
        r"is class 4, but classes are numbered 0 to 3",
    ),
    "half a class": ({"te_img_lab": numbers(20, 0)[:, None] / 2}, {}, r"'te_img_lab': labels must be whole numbers"),
    "another width": (
        {"te_img": RNG.random((20, 3))},
        {},
        r"image must be rows of one width in every part, got tr_img \(40, 9\)",
    ),
    "words for labels": ({"te_img_lab": np.array(["a"] * 20)}, {}, r"'te_img_lab': expected class numbers"),
    "own validation": ({}, {"val_items": 3}, r"has validation items of its own; leave out 'val_items'"),
    "another layout": ({}, {"layout": "xmedia"}, r"has no array 'I_tr_CNN'"),
    "unknown layout": ({}, {"layout": "views"}, r"layout: Input should be 'xmedia', 'cells'"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_refused(tmp_path: Path, case: str) -> None:
    changed, options, expected = DAMAGE[case]
    raw = {k: v for k, v in (websearch() | changed).items() if v is not None}
    with pytest.raises(DataError, match=expected):
        build(tmp_path, raw, "x.mat", PAIR, **{"layout": "websearch"} | options)


def test_too_many_validation_items(tmp_path: Path) -> None:
    raw = {k: v for k, v in deep().items() if "valid" not in k}
    with pytest.raises(DataError, match="20 validation items are asked for, but there are 20 test items"):
        build(tmp_path, raw, "x.h5", PAIR, layout="deep", val_items=20)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "whole.mat", websearch())
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "x.mat").write_bytes((tmp_path / "whole.mat").read_bytes()[:3000])
    entry = made_archives.make_entry("views", {m: {"dims": DIMS[m]} for m in PAIR}, options={"layout": "websearch"})
    with pytest.raises(DataError, match=r"x\.mat"):
        made_archives.run_builder(entry, tmp_path / "sources", tmp_path / "scratch")


def test_a_view_that_the_layout_has_not(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"this layout has image, text, not 'audio'"):
        build(tmp_path, websearch(), "x.mat", ("image", "audio"), layout="websearch")


def test_several_files_need_a_name(tmp_path: Path) -> None:
    save(tmp_path / "sources" / "other.mat", pascal())
    with pytest.raises(
        DataError, match=r"expected one \.mat or \.h5 file, found other\.mat, x\.mat; name one by 'file'"
    ):
        build(tmp_path, websearch(), "x.mat", PAIR, layout="websearch")
    assert build(tmp_path, websearch(), "x.mat", PAIR, layout="websearch", file="x.mat").items["image"].dim == 9
