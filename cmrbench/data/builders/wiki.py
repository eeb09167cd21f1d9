"""Builder of the classic Wikipedia features: the packed data.npz, or raw_features.mat and its two lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.arrays import as_features, as_labels, as_strings, open_npz
from cmrbench.data.builders.base import BuilderOptions, BuildRequest
from cmrbench.data.content import Content

VERSION = 1
PACKED, MATLAB = "data.npz", "raw_features.mat"
LISTS = {"train": "trainset_txt_img_cat.list", "test": "testset_txt_img_cat.list"}
_IN_MATLAB = {"image": ("I_tr", "I_te"), "text": ("T_tr", "T_te")}


class Options(BuilderOptions):
    """None."""


def build(request: BuildRequest) -> Content:
    """Read either form; both give the same content. The 693 test items become the split ``query``."""
    entry, variant = request.entry, request.variant
    names = [MATLAB, *LISTS.values()] if variant == "original" else [PACKED]
    folder = {request.tree.path(name, request.scratch).parent for name in names}.pop()
    classes = tuple(entry.labels.names or ()) if entry.labels else ()
    file = str(folder / (MATLAB if variant == "original" else PACKED))
    raw = _original(folder) if variant == "original" else _packed(folder)
    n = len(raw["label"])
    labels = as_labels(raw["label"], file, len(classes))
    instances = as_strings(raw["text_id"], file, "text_id", n)
    splits = np.where(raw["split"] == "test", "query", raw["split"])
    items, notes = {}, []
    for modality in request.feature_set.modalities:
        features, note = as_features(raw[modality], file, modality)
        if len(features) != n:
            raise DataError(f"{file}: {len(features)} rows of {modality}, but {n} labels")
        ids = as_strings(raw[f"{modality}_id"], file, f"{modality}_id", n)
        items[modality] = Items(modality, features, ids, instances, labels)
        notes.append(note)
    return Content(file, items, dict.fromkeys(items, splits), classes, tuple(filter(None, notes)))


def _packed(folder: Path) -> dict[str, np.ndarray]:
    needed = ("image", "text", "label", "split", "image_id", "text_id")
    with open_npz(folder / PACKED) as stored:
        missing = [name for name in needed if name not in stored.files]
        if missing:
            raise DataError(f"{folder / PACKED} has no array {', '.join(missing)}")
        return {name: stored[name] for name in needed}


def _original(folder: Path) -> dict[str, np.ndarray]:
    from scipy.io import loadmat

    names = [name for pair in _IN_MATLAB.values() for name in pair]
    try:
        stored = loadmat(folder / MATLAB, variable_names=names)
    except Exception as error:  # scipy's parser raises whatever a broken header leads it to
        raise DataError(f"{folder / MATLAB} is not a readable MATLAB 5 file: {error}") from None
    missing = [name for name in names if name not in stored]
    if missing:
        raise DataError(f"{folder / MATLAB} has no matrix {', '.join(missing)}")
    listed = {split: _listed(folder / name) for split, name in LISTS.items()}
    for (modality, pair), k in ((m, k) for m in _IN_MATLAB.items() for k in (0, 1)):
        rows, expected = len(stored[pair[k]]), len(listed[("train", "test")[k]])
        if rows != expected:
            raise DataError(f"{folder / MATLAB}: {pair[k]} has {rows} {modality} rows, but its list has {expected}")
    entries = [*listed["train"], *listed["test"]]
    return {modality: np.concatenate([stored[a], stored[b]]) for modality, (a, b) in _IN_MATLAB.items()} | {
        "text_id": np.array([text for text, _, _ in entries]),
        "image_id": np.array([image for _, image, _ in entries]),
        "label": np.array([category - 1 for _, _, category in entries]),
        "split": np.array([split for split, lines in listed.items() for _ in lines]),
    }


def _listed(path: Path) -> list[tuple[str, str, int]]:
    """Lines of ``text id, image id, category`` with categories from 1."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable list: {error}") from None
    found = []
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 3 or not fields[2].isdecimal():
            raise DataError(f"{path} line {number}: expected 'text-id image-id category', got {line[:80]!r}")
        found.append((fields[0], fields[1], int(fields[2])))
    return found
