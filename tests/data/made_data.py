"""Small datasets in the layout that users bring, to be broken one way at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cmrbench.core.protocol import Protocol
from cmrbench.data import builders
from cmrbench.data.archives import SourceTree
from cmrbench.data.builders.base import BuildRequest
from cmrbench.data.catalogue import Entry
from cmrbench.data.content import Content, Cut
from cmrbench.data.validate import validate_cut, validate_items

SIZES = {"train": 24, "val": 8, "query": 6, "gallery": 10}
CLASSES = 4


def arrays(multilabel: bool = True, seed: int = 3) -> dict[str, Any]:
    """A sound data.npz: 48 pairs; every class in every split."""
    rng = np.random.default_rng(seed)
    n = sum(SIZES.values())
    split = np.repeat(list(SIZES), list(SIZES.values()))
    label = np.concatenate([np.arange(k) % CLASSES for k in SIZES.values()])
    hot = np.eye(CLASSES, dtype=np.int64)[label]
    if multilabel:
        hot |= rng.random(hot.shape) < 0.2
    return {
        "image": rng.standard_normal((n, 7)).astype(np.float32),
        "text": rng.random((n, 5)),
        "label": hot if multilabel else label,
        "split": split,
        "ids": np.array([f"item-{i}" for i in range(n)]),
        "class_names": np.array([f"c{k}" for k in range(CLASSES)]),
    }


def save(folder: Path, content: dict[str, Any]) -> Path:
    """Write data.npz and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "data.npz", **content)
    return folder


def entry(**changes: Any) -> dict[str, Any]:
    """A sound entry of a datasets.yaml for such a file, with keys changed."""
    return {
        "title": "Mine",
        "summary": "Made for a test.",
        "licence": "none",
        "citation": "none",
        "labels": {"multilabel": True},
        "builder": "npz",
        "folder": ".",
        "sources": [{"file": "data.npz"}],
        "feature_sets": {
            "plain": {"default": True, "modalities": {"image": {"extractor": "x"}, "text": {"extractor": "y"}}}
        },
        "protocols": [{"name": "query-gallery", "query": ["query"], "gallery": ["gallery"]}],
    } | changes


def write_catalogue(path: Path, datasets: object) -> Path:
    """Write a datasets.yaml and return its path."""
    path.write_text(yaml.safe_dump({"datasets": datasets}), encoding="utf-8")
    return path


def register_in_place(folder: Path, monkeypatch: Any, **changes: Any) -> None:
    """Register the dataset ``mine``, whose data.npz stays where it is, beside the catalogue."""
    save(folder, arrays())
    monkeypatch.setenv("CMRBENCH_DATASETS", str(write_catalogue(folder / "mine.yaml", {"mine": entry(**changes)})))


def register(folder: Path, monkeypatch: Any) -> None:
    """Register the dataset ``mine``, whose data.npz is imported into the cache."""
    own = entry(
        homepage="https://example.org",
        folder=None,
        sources=[{"file": "data.npz", "from": "made by the user"}],
        splits={"standard": {"scheme": {"kind": "source", "val": 0.1}}},
        protocols=[
            {"name": "query-gallery", "query": ["query"], "gallery": ["gallery"], "outputs": ["real"]},
            {"name": "query-database", "query": ["query"], "gallery": ["gallery", "train", "val"], "outputs": ["hash"]},
        ],
    )
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("CMRBENCH_DATASETS", str(write_catalogue(folder / "mine.yaml", {"mine": own})))


def build(entry: Entry, feature_set: str, folder: Path, variant: str = "") -> Content:
    """What the entry's builder makes of the files of a folder."""
    files = [s.file for s in entry.variants()[variant]]
    (folder / "scratch").mkdir(exist_ok=True)
    with SourceTree(folder, [f for f in files if (folder / f).exists()]) as tree:
        spec = entry.feature_sets[feature_set]
        return builders.build(BuildRequest("mine", entry, spec, tree, folder / "scratch", variant))


def checked(content: Content, protocols: Sequence[Protocol] = (), multilabel: bool = True) -> tuple[Cut, list[str]]:
    """Validate a content of vectors and cut it by its own splits, as preparing does; the cut and the notes."""
    validate_items(content, dict.fromkeys(content.items, "vector"), multilabel)
    cut = Cut.by(content, dict(content.splits or {}))
    return cut, validate_cut(cut, tuple(protocols), multilabel)[1]
