"""A sound dataset in memory, to be spoilt one way at a time before it is audited."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cmrbench.core.dataset import Dataset
from cmrbench.core.items import Items
from cmrbench.core.protocol import Protocol
from cmrbench.data.audit import Audit, AuditOptions, audit_dataset

SIZES = {"train": 240, "val": 60, "query": 90, "gallery": 150}
DIM = 40
CLASSES = ("zebra", "night sky", "city", "violin", "engine", "harbour")
WORDS = tuple(f"w{a}{b}" for a in "bcdfghjklm" for b in "aeiouxyzqv")
PROTOCOLS = (
    Protocol("query-gallery", ("query",), ("gallery",)),
    Protocol("all-test", ("query", "gallery"), ("query", "gallery")),
)


@dataclass
class Made:
    """Arrays by split and modality that a test may change."""

    parts: dict[str, dict[str, dict[str, Any]]]
    texts: dict[str, list[str]] = field(default_factory=dict)
    protocols: tuple[Protocol, ...] = PROTOCOLS
    classes: tuple[str, ...] = CLASSES
    kinds: dict[str, str] = field(default_factory=dict)
    with_texts: bool = True

    def dataset(self) -> Dataset:
        parts = {s: {m: Items(m, **arrays) for m, arrays in part.items()} for s, part in self.parts.items()}
        sizes = {s: {m: len(i) for m, i in part.items()} for s, part in parts.items()}
        modalities = tuple(next(iter(parts.values())))

        def describe(split: str, modality: str, what: str) -> list[str] | None:
            return self.texts[split] if what == "texts" and modality == "text" and self.with_texts else None

        return Dataset(
            name="made",
            feature_set="plain",
            modalities=modalities,
            dims={m: parts["train"][m].dim for m in modalities},
            classes=self.classes,
            multilabel=False,
            sizes=sizes,
            protocols=self.protocols,
            fingerprint="f" * 64,
            opener=parts.__getitem__,
            kinds=self.kinds,
            describer=describe,
        )

    def audit(self, **options: Any) -> Audit:
        return audit_dataset(self.dataset(), AuditOptions(**options))


def made() -> Made:
    """Independent rows around class centres, classes in shuffled order, texts of eight random words."""
    rng = np.random.default_rng(0)
    centres = {m: rng.standard_normal((len(CLASSES), DIM)) for m in ("image", "text")}
    parts: dict[str, dict[str, dict[str, Any]]] = {}
    texts = {}
    for split, n in SIZES.items():
        label = rng.permutation(np.arange(n) % len(CLASSES))
        ids = np.array([f"{split}-{k}" for k in range(n)], "<U16")
        parts[split] = {
            m: {
                "features": (centre[label] + 2 * rng.standard_normal((n, DIM))).astype(np.float32),
                "ids": ids.copy(),
                "instances": ids.copy(),
                "labels": np.eye(len(CLASSES), dtype=np.uint8)[label],
            }
            for m, centre in centres.items()
        }
        texts[split] = [" ".join(rng.choice(WORDS, 8)) for _ in range(n)]
    return Made(parts, texts)
