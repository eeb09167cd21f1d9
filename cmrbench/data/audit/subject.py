"""The dataset under audit: its rows, labels and texts, and what several checks need of them, computed once."""

from __future__ import annotations

from functools import cached_property, lru_cache
from itertools import permutations
from typing import Any

import numpy as np

from cmrbench.core.dataset import SPLITS, Dataset
from cmrbench.core.hashing import derive_seed
from cmrbench.core.items import Items
from cmrbench.data.audit.finding import AuditOptions
from cmrbench.data.audit.rows import Rows
from cmrbench.data.audit.tasks import Task

POOR_VALUES = 5
"""A row with no more non-zero values than this can equal another one by coincidence."""

POOR_WORDS = 3
"""A text with fewer words can do so, too."""

COMMON = 20
"""A row that more items than this share stands for "nothing known" (an empty text, a blank picture)."""


class Subject:
    """What the checks look at.

    Parameters
    ----------
    dataset : Dataset
    options : AuditOptions
    """

    def __init__(self, dataset: Dataset, options: AuditOptions) -> None:
        self.dataset = dataset
        self.options = options
        self.splits = tuple(s for s in SPLITS if s in dataset.sizes)
        self.modalities = dataset.modalities
        self.parts: dict[str, dict[str, Items]] = {s: dataset.part(s) for s in self.splits}
        self.near: dict[str, Any] = {}  # what `duplicates.near_of` has searched
        self.rows = lru_cache(maxsize=None)(self._rows)
        self.poor = lru_cache(maxsize=None)(self._poor)
        self.texts = lru_cache(maxsize=None)(self._texts)

    def rng(self, *parts: object) -> np.random.Generator:
        """Randomness for one purpose: independent of all others, the same each time."""
        return np.random.default_rng(derive_seed("audit", self.options.seed, *parts))

    def kind(self, modality: str) -> str:
        """``vector``, ``set``, ``tokens`` or ``raw``."""
        return self.dataset.kind(modality)

    def _rows(self, modality: str) -> Rows:
        return Rows(tuple((s, part[modality]) for s, part in self.parts.items()), self.kind(modality))

    def _texts(self, modality: str) -> list[str] | None:
        """Texts of a modality, split after split as in `rows`; None unless every split has them."""
        texts: list[str] = []
        for split in self.splits:
            part = self.dataset.texts(split, modality)
            if part is None:
                return None
            texts.extend(part)
        return texts

    def _poor(self, modality: str) -> np.ndarray:
        """Whether a row says too little for an equal row to be a copy: bool (n,)."""
        rows = self.rows(modality)
        poor: np.ndarray = (rows.filled <= POOR_VALUES) | (rows.equal.size > COMMON) | rows.broken
        texts = self.texts(modality)
        if texts is not None:
            poor |= np.fromiter((len(t.split()) < POOR_WORDS for t in texts), bool, len(texts))
        return poor

    @cached_property
    def labelled(self) -> bool:
        """Whether items have labels."""
        return all(items.labels is not None for part in self.parts.values() for items in part.values())

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """Every protocol in every direction that its splits allow."""
        return tuple(
            Task(p, a, b, tuple(self.parts[s][a] for s in p.query), tuple(self.parts[s][b] for s in p.gallery))
            for p in self.dataset.protocols
            if all(s in self.parts for s in (*p.query, *p.gallery))
            for a, b in permutations(self.modalities, 2)
        )
