"""Features in one .mat or .h5 file, as DRCL, SDML, MRL and their kin pass them on: views with items of their own.

The names of files and arrays are those of the released loaders (penghu-cs/SDML data_loader.py, penghu-cs/MRL
src/noisydataset.py, penghu-cs/ISVN data_loader.py, perquisite/DRCL) and of others that read the same files:

=========== =========================================================== =============================================
layout      file                                                        arrays, P standing for the part
=========== =========================================================== =============================================
xmedia      XMediaFeatures.mat                                          I_P_CNN, T_P_BOW, A_P, d3_P, V_P_CNN (P: tr,
                                                                        te); PImgCat, PTxtCat, PAudCat, P3dCat, PVidCat
cells       XMediaNet5View_Doc2Vec.mat, XMediaNet4View_pairs.mat        cells P and P_labels, one cell a view (P:
                                                                        train, valid, test)
deep        wiki.mat, wiki_deep_doc2vec_data_corr_ae.h5py,              P_imgs_deep; P_text, P_texts or P_texts_doc;
            nus_wide_deep_doc2vec-corr-ae.h5py,                         P_imgs_labels, P_texts_labels (P: train, valid,
            xmedianet_deep_doc2vec_data.h5py                            test; valid may be missing)
websearch   INRIA-Websearch.mat                                         P_img, P_txt; P_img_lab, P_txt_lab (P: tr,
                                                                        val, te)
pascal      pascal.mat                                                  img_P, text_P, label_P (P: train, test)
=========== =========================================================== =============================================

The loaders take validation items out of the test items where a file has none: of XMedia the second half of every view
(500, 500, 100, 50 and 87), of the others the first so many (Wikipedia 231, NUS-WIDE 5,000). That the cells of
XMediaNet are image, text, audio, 3d and video is known of the first two; the others are in the order of DRCL's Table I.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.arrays import as_labels, scratch_array, whole_numbers
from cmrbench.data.builders.base import BuilderOptions, BuildRequest
from cmrbench.data.content import Content
from cmrbench.data.files import open_arrays
from cmrbench.data.importing.feature_rows import copy_features

if TYPE_CHECKING:
    from cmrbench.data.files import Arrays, Stored

VERSION = 1
Templates = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Layout:
    """Where a layout keeps what: names with ``{}`` for the part, the first that is there counts.

    Attributes
    ----------
    parts : dict of split to str
        How the part that becomes a split is called.
    features, labels : dict of modality to tuple of str
        A modality without labels of its own has the image's.
    optional : frozenset of str
        Splits that a file may lack.
    halved : bool
        Whether the second half of each view's test items is validation.
    """

    parts: dict[str, str]
    features: Templates
    labels: Templates
    optional: frozenset[str] = field(default_factory=frozenset)
    halved: bool = False


_VALID = {"train": "train", "val": "valid", "query": "test"}
LAYOUTS = {
    "xmedia": Layout(
        {"train": "tr", "query": "te"},
        {
            "image": ("I_{}_CNN", "I_{}"),
            "text": ("T_{}_BOW", "T_{}"),
            "audio": ("A_{}",),
            "3d": ("d3_{}",),
            "video": ("V_{}_CNN", "V_{}"),
        },
        {
            "image": ("{}ImgCat",),
            "text": ("{}TxtCat",),
            "audio": ("{}AudCat",),
            "3d": ("{}3dCat",),
            "video": ("{}VidCat",),
        },
        halved=True,
    ),
    "deep": Layout(
        _VALID,
        {"image": ("{}_imgs_deep",), "text": ("{}_text", "{}_texts", "{}_texts_doc")},
        {"image": ("{}_imgs_labels",), "text": ("{}_texts_labels",)},
        optional=frozenset({"val"}),
    ),
    "websearch": Layout(
        {"train": "tr", "val": "val", "query": "te"},
        {"image": ("{}_img",), "text": ("{}_txt",)},
        {"image": ("{}_img_lab",), "text": ("{}_txt_lab",)},
    ),
    "pascal": Layout(
        {"train": "train", "query": "test"},
        {"image": ("img_{}",), "text": ("text_{}",)},
        {"image": ("label_{}",)},
    ),
}


class Options(BuilderOptions):
    """Which layout, and what it leaves open.

    Attributes
    ----------
    layout : str
    file : str
        Pattern of the file's name; where it is left out, the only array file there.
    views : list of str
        Layout ``cells``: the modality of each cell.
    val_items : int
        So many test items, the first ones, become validation items; only where the file has none of its own.
    """

    layout: Literal["xmedia", "cells", "deep", "websearch", "pascal"]
    file: str = Field("", max_length=200)
    views: list[str] = Field(["image", "text", "audio", "3d", "video"], min_length=1)
    val_items: int = Field(0, ge=0)

    @property
    def where(self) -> Layout:
        """The layout's names."""
        if self.layout != "cells":
            return LAYOUTS[self.layout]
        cells = {view: k for k, view in enumerate(self.views, 1)}
        return Layout(
            _VALID,
            {view: (f"{{}}{{{{{k}}}}}",) for view, k in cells.items()},
            {view: (f"{{}}_labels{{{{{k}}}}}",) for view, k in cells.items()},
        )


@dataclass(frozen=True, eq=False)
class _View:
    """One modality: where the rows of each split lie, and their classes, as numbers or multi-hot."""

    stored: dict[str, Stored]
    classes: dict[str, np.ndarray]

    @property
    def sizes(self) -> dict[str, int]:
        return {split: s.shape[0] for split, s in self.stored.items()}


def build(request: BuildRequest) -> Content:
    """Read the views that the feature set has.

    A modality of the feature set may name its arrays itself: ``read: {array: "I_{}"}``.

    Returns
    -------
    Content
        Ids are the part and the row there (``test-000007``). Image and text of one row are one instance where both
        have as many rows, with the same classes, in every part; items of other views are alone.

    Raises
    ------
    DataError
        If an array is missing, rows and labels differ in number, or labels count neither from 0 nor from 1.
    """
    options = Options.model_validate(request.options)
    layout, tree = options.where, request.tree
    found = tree.find(options.file) if options.file else _only(request)
    with open_arrays(tree.path(found, request.scratch)) as arrays:
        views = {m: _view(request, arrays, layout, m) for m in request.feature_set.modalities}
        notes: list[str] = []
        labels, classes = _labels(request, arrays.file, views, notes)
        linked = _linked(views, notes)
        items, splits = {}, {}
        for modality, view in views.items():
            features = _features(request, arrays.file, modality, view, notes)
            ids = [f"{layout.parts[s]}-{i:06d}" for s, n in view.sizes.items() for i in range(n)]
            instances = ids if modality in linked else [f"{modality}-{i}" for i in ids]
            items[modality] = Items(modality, features, np.array(ids), np.array(instances), labels[modality])
            splits[modality] = _split(arrays.file, view, layout, options.val_items)
    return Content(str(tree.folder / found), items, splits, classes, tuple(filter(None, notes)))


def _only(request: BuildRequest) -> str:
    names = [n for n in request.tree.names() if n.lower().endswith((".mat", ".h5", ".h5py", ".hdf5"))]
    if len(names) != 1:
        shown = ", ".join(names[:5]) or "none"
        raise DataError(f"{request.tree.folder}: expected one .mat or .h5 file, found {shown}; name one by 'file'")
    return names[0]


def _view(request: BuildRequest, arrays: Arrays, layout: Layout, modality: str) -> _View:
    own = request.feature_set.modalities[modality].read.get("array")
    if modality not in layout.features:
        raise DataError(f"{arrays.file}: this layout has {', '.join(layout.features)}, not {modality!r}")
    stored, classes = {}, {}
    for split, part in layout.parts.items():
        templates = (own,) if own else layout.features[modality]
        if split in layout.optional and not any(t.format(part) in arrays for t in templates):
            continue
        stored[split] = _array(arrays, templates, part)
        labels = layout.labels.get(modality, ())
        if not any(t.format(part) in arrays for t in labels):
            labels = layout.labels["image"]
        classes[split] = _classes(_array(arrays, labels, part), stored[split])
    return _View(stored, classes)


def _array(arrays: Arrays, templates: tuple[str, ...], part: str) -> Stored:
    names = [t.format(part) for t in templates]
    return arrays[next((n for n in names if n in arrays), names[0])]


def _classes(labels: Stored, features: Stored) -> np.ndarray:
    """Class numbers (n,) or multi-hot (n, C) of as many items as there are features."""
    n = features.shape[0]
    if labels.is_text or labels.dtype.kind not in "biuf":
        raise DataError(f"{labels.where}: expected class numbers, found {labels.dtype}")
    single = sum(k > 1 for k in labels.shape) <= 1 and n in (labels.shape or (1,))
    values = labels.read().reshape(-1) if single else labels.read()
    if len(values) != n:
        raise DataError(f"{labels.where} has {len(values):,} rows, but {features.name!r} has {n:,}")
    values = whole_numbers(values)
    if values.dtype.kind == "f":
        raise DataError(f"{labels.where}: labels must be whole numbers")
    return values


def _labels(
    request: BuildRequest, file: str, views: dict[str, _View], notes: list[str]
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Multi-hot labels of every view, with classes from 0, and the names of the classes."""
    known = request.entry.labels
    joined = {}
    for modality, view in views.items():
        shapes = {c.shape[1:] for c in view.classes.values()}
        if len(shapes) > 1:
            raise DataError(f"{file}: labels of {modality} have {len(shapes)} different widths in its parts")
        joined[modality] = np.concatenate(list(view.classes.values()))
    numbered = [c for c in joined.values() if c.ndim == 1]
    if numbered:
        first = min((int(c.min()) for c in numbered if len(c)), default=0)
        if first not in (0, 1):
            raise DataError(f"{file}: the smallest class number is {first}; expected classes from 0 or from 1")
        if first == 1:
            notes.append("class numbers from 1 stored as from 0")
        joined = {m: c - first if c.ndim == 1 else c for m, c in joined.items()}
    count = known.classes if known else None
    if count is None:
        count = max(int(c.max(initial=0)) + 1 if c.ndim == 1 else c.shape[1] for c in joined.values())
    labels = {m: as_labels(c, f"{file}: {m}", count) for m, c in joined.items()}
    names = known.names if known else None
    return labels, tuple(names if names is not None else (f"class{k}" for k in range(count)))


def _linked(views: dict[str, _View], notes: list[str]) -> frozenset[str]:
    """Image and text, if their rows are pairs."""
    if not {"image", "text"} <= views.keys():
        return frozenset()
    image, text = views["image"], views["text"]
    if image.sizes != text.sizes:
        notes.append("image and text have different numbers of items and are not linked")
        return frozenset()
    for split, classes in image.classes.items():
        if not np.array_equal(classes, text.classes[split]):
            notes.append(f"image and text have different classes in some rows of {split} and are not linked")
            return frozenset()
    return frozenset({"image", "text"})


def _features(request: BuildRequest, file: str, modality: str, view: _View, notes: list[str]) -> np.ndarray:
    widths = {s.shape[1:] for s in view.stored.values()}
    if len(widths) > 1 or len(next(iter(widths))) != 1:
        shapes = ", ".join(f"{s.name} {s.shape}" for s in view.stored.values())
        raise DataError(f"{file}: {modality} must be rows of one width in every part, got {shapes}")
    for stored in view.stored.values():
        if stored.dtype.kind not in "fiu":
            raise DataError(f"{stored.where}: {modality} features must be real numbers, got dtype {stored.dtype}")
    n, d = sum(view.sizes.values()), next(iter(widths))[0]
    features = scratch_array(request.scratch, modality, (n, d), np.float32)
    every = [np.ones(size, bool) for size in view.sizes.values()]
    notes.append(copy_features(list(view.stored.values()), every, features, modality, "describe such items otherwise"))
    return features


def _split(file: str, view: _View, layout: Layout, val_items: int) -> np.ndarray:
    splits = np.repeat(np.array(list(view.sizes), dtype="<U7"), list(view.sizes.values()))
    query = np.flatnonzero(splits == "query")
    if layout.halved:
        splits[query[len(query) // 2 :]] = "val"
    elif val_items:
        if "val" in view.sizes:
            raise DataError(f"{file} has validation items of its own; leave out 'val_items'")
        if val_items >= len(query):
            raise DataError(
                f"{file}: {val_items} validation items are asked for, but there are {len(query)} test items"
            )
        splits[query[:val_items]] = "val"
    return splits
