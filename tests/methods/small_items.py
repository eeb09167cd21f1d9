"""Small paired items with a class in every column, for tests of training methods."""

from dataclasses import replace

import numpy as np

from cmrbench.core.items import Items


def small_items(n=60, dims=(12, 7), n_classes=3, seed=0, noise=0.5, modalities=("image", "text")):
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % n_classes
    centres = np.random.default_rng(99)  # the same classes whatever the seed of the items
    part = {}
    for name, d in zip(modalities, dims, strict=True):
        x = centres.standard_normal((n_classes, d))[classes] + noise * rng.standard_normal((n, d))
        ids = np.char.add(name, np.arange(n).astype(str))
        labels = np.eye(n_classes, dtype=np.uint8)[classes]
        part[name] = Items(name, x.astype(np.float32), ids, np.arange(n).astype(str), labels)
    return part


def spoiled(part, without=5):
    """The same items with a constant feature column, the first few without any label."""
    worse = {}
    for name, items in part.items():
        features, labels = items.features.copy(), items.labels.copy()
        features[:, 2] = 7
        labels[:without] = 0
        worse[name] = replace(items, features=features, labels=labels)
    return worse
