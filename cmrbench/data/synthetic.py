"""Synthetic datasets: class centres and noise, from a seed, in memory. For tests and for scaling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cmrbench.core.dataset import Dataset
from cmrbench.core.errors import DataError, UsageError
from cmrbench.core.hashing import derive_seed
from cmrbench.core.items import Items
from cmrbench.core.protocol import Protocol
from cmrbench.data.content import fingerprint

MODALITIES = ("image", "text", "audio", "video", "3d")

PROTOCOLS = (
    Protocol("all-test", ("query", "gallery"), ("query", "gallery"), outputs=("real",)),
    Protocol("query-gallery", ("query",), ("gallery",), outputs=("hash",)),
)

_DEFAULTS: dict[str, Any] = {
    "n_train": 300,
    "n_val": 60,
    "n_query": 60,
    "n_gallery": 120,
    "dims": (32, 16),
    "classes": 6,
    "modalities": 2,
    "multilabel": False,
    "density": 0.3,
    "noise": 1.0,
    "seed": 0,
}

_KINDS: dict[type, str] = {int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True, eq=False)
class _Memory:
    """Opens splits that are held in memory; a class, not a closure, so that a dataset can be sent to a process."""

    parts: Mapping[str, Mapping[str, Items]]

    def __call__(self, split: str) -> Mapping[str, Items]:
        """The items of a split by modality."""
        return self.parts[split]


def make_synthetic(
    *,
    n_train: int = _DEFAULTS["n_train"],
    n_val: int = _DEFAULTS["n_val"],
    n_query: int = _DEFAULTS["n_query"],
    n_gallery: int = _DEFAULTS["n_gallery"],
    dims: int | Sequence[int] | Mapping[str, int] = _DEFAULTS["dims"],
    classes: int = _DEFAULTS["classes"],
    modalities: int | Sequence[str] = _DEFAULTS["modalities"],
    multilabel: bool = _DEFAULTS["multilabel"],
    density: float = _DEFAULTS["density"],
    noise: float = _DEFAULTS["noise"],
    seed: int = _DEFAULTS["seed"],
) -> Dataset:
    """A dataset whose items are the sum of their classes' centres plus Gaussian noise.

    Centres are standard normal, independent for every modality. Every split has every class, so every query has
    something relevant in every gallery.

    Parameters
    ----------
    n_train, n_val, n_query, n_gallery : int
        Items of each split (pairs, triples ...); at least `classes`, except that `n_val` may be 0: no such split.
    dims : int, sequence of int, or mapping of modality to int
        Feature columns; one number is for all modalities.
    classes : int
        Number of labels C, at least 2.
    modalities : int or sequence of str
        How many (named image, text, audio, video, 3d, m6 ...), or their names; at least 2.
    multilabel : bool
        Whether items have further labels besides their first.
    density : float
        Expected share of the C labels that an item has, if `multilabel`; at least 1 / C.
    noise : float
        Standard deviation of the noise; centres have 1.
    seed : int

    Returns
    -------
    Dataset
        Named ``synthetic``, or ``synthetic[classes=5,n_train=100]`` where parameters differ from the defaults.

    Raises
    ------
    UsageError
        If a parameter is out of its range.
    """
    asked = dict(locals())
    _check_types(asked)
    names = _modality_names(modalities)
    widths = _widths(dims, names)
    sizes = {"train": n_train, "val": n_val, "query": n_query, "gallery": n_gallery}
    if classes < 2:
        raise UsageError(f"synthetic: classes must be at least 2, got {classes}")
    if noise < 0:
        raise UsageError(f"synthetic: noise must not be negative, got {noise}")
    if multilabel and not 1 / classes <= density <= 1:
        raise UsageError(f"synthetic: density must lie between 1/classes = {1 / classes:.3f} and 1, got {density}")
    for split, n in sizes.items():
        if n < classes and not (split == "val" and n == 0):
            raise UsageError(f"synthetic: n_{split} = {n} cannot hold every one of {classes} classes")

    def rng(*parts: object) -> np.random.Generator:
        return np.random.default_rng(derive_seed("synthetic", seed, *parts))

    centres = {m: rng("centres", m).standard_normal((classes, widths[m]), np.float32) for m in names}
    parts: dict[str, dict[str, Items]] = {}
    for split, n in sizes.items():
        if not n:
            continue
        labels = _draw_labels(rng("labels", split), n, classes, density if multilabel else None)
        ids = np.array([f"{split}-{i:07d}" for i in range(n)])
        parts[split] = {}
        for m in names:
            features = rng("noise", split, m).standard_normal((n, widths[m]), np.float32)
            features *= np.float32(noise)
            features += labels.astype(np.float32) @ centres[m]
            if not features.any(1).all():
                raise DataError("synthetic: a row came out all zero; use another seed or more noise")
            parts[split][m] = Items(m, features, ids, ids, labels)
    return Dataset(
        name=_name(asked),
        feature_set="default",
        modalities=names,
        dims=widths,
        classes=tuple(f"class{k}" for k in range(classes)),
        multilabel=multilabel,
        sizes={split: {m: len(items) for m, items in part.items()} for split, part in parts.items()},
        protocols=PROTOCOLS,
        fingerprint=fingerprint(parts),
        opener=_Memory(parts),
        preset="quick",
    )


def _check_types(asked: Mapping[str, Any]) -> None:
    """Parameters may come from a command line: what is no number is refused, not guessed."""
    for name, value in asked.items():
        if name in ("dims", "modalities"):
            continue
        kind = type(_DEFAULTS[name])
        fits = isinstance(value, (int, float) if kind is float else kind) and (kind is bool) == isinstance(value, bool)
        if not fits:
            raise UsageError(f"synthetic: {name} must be {_KINDS[kind]}, got {value!r}")


def _draw_labels(rng: np.random.Generator, n: int, classes: int, density: float | None) -> np.ndarray:
    """Multi-hot labels: a first label, equally often each class, and others by chance up to the density."""
    first = rng.permutation(np.arange(n) % classes)
    labels = np.zeros((n, classes), np.uint8)
    if density is not None:
        labels |= rng.random((n, classes)) < (density * classes - 1) / (classes - 1)
    labels[np.arange(n), first] = 1
    return labels


def _modality_names(modalities: int | Sequence[str]) -> tuple[str, ...]:
    if isinstance(modalities, int):
        modalities = [MODALITIES[i] if i < len(MODALITIES) else f"m{i + 1}" for i in range(modalities)]
    names = tuple(modalities)
    if len(names) < 2 or len(set(names)) < len(names):
        raise UsageError(f"synthetic: at least two modalities with different names are needed, got {', '.join(names)}")
    return names


def _widths(dims: int | Sequence[int] | Mapping[str, int], names: tuple[str, ...]) -> dict[str, int]:
    if isinstance(dims, int):
        widths = dict.fromkeys(names, dims)
    elif isinstance(dims, Mapping):
        widths = dict(dims)
    else:
        # The default names two widths; more modalities than widths go round again.
        widths = {m: dims[i % len(dims)] for i, m in enumerate(names)} if dims else {}
    if widths.keys() != set(names) or min(widths.values()) < 1:
        raise UsageError(f"synthetic: dims must give a positive number for each of {', '.join(names)}, got {dims}")
    return {m: int(widths[m]) for m in names}


def _name(asked: Mapping[str, Any]) -> str:
    def text(value: Any) -> str:
        if isinstance(value, Mapping):
            return "/".join(f"{k}:{v}" for k, v in value.items())
        return "/".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)

    changed = [f"{k}={text(v)}" for k, v in sorted(asked.items()) if text(v) != text(_DEFAULTS[k])]
    return f"synthetic[{','.join(changed)}]" if changed else "synthetic"
