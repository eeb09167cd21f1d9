"""Feature noise: every column is shaken in proportion to how much it varies over the training items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cmrbench.core.errors import DataError, UsageError
from cmrbench.data.transforms.base import LEARNT, Transform, number

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.core.items import Items
    from cmrbench.data.transforms.base import Part

WHERE = {"train": LEARNT, "query": ("query",), "gallery": ("gallery",), "test": ("query", "gallery")}
_BLOCK_VALUES = 1 << 22


@dataclass(frozen=True)
class Jitter(Transform):
    """Gaussian noise whose standard deviation is `amount` times that of the column over the training items.

    Attributes
    ----------
    where : str
        A key of `WHERE`: only items of these splits, whatever role they play in a protocol; ``train``: only what is
        learnt from, also where train is a gallery. ``""``: all items.
    """

    where: str = ""

    name = "jitter"
    summary = "Feature noise: Gaussian, in units of each column's standard deviation over the training items"
    example = "jitter=query:0.5"
    most = 100.0
    words: ClassVar[str] = f"[:{'|'.join(WHERE)}]"

    @classmethod
    def of(cls, amount: float, seed: int, words: Sequence[str]) -> Transform:
        """Beside the amount there may be a key of `WHERE`."""
        if words and (len(words) > 1 or words[0] not in WHERE):
            raise UsageError(f"{cls.name}: {words[-1]!r} means nothing to it; expected {cls.form()}")
        return cls(amount, seed, where=words[0] if words else "")

    @property
    def text(self) -> str:
        """The one text of this value."""
        return self._text(f"{self.where}:{number(self.amount)}" if self.where else number(self.amount))

    def check(self, dataset: Dataset) -> None:
        """Tokens and raw items have no columns of real numbers."""
        for modality in dataset.modalities:
            kind = dataset.kind(modality)
            if kind not in ("vector", "set"):
                raise DataError(f"{self.text}: the {modality} features of {dataset.name} are {kind}, not real numbers")

    def learnt(self, split: str, part: Part, dataset: Dataset) -> Part:
        """Training items with noise, if they are to have it."""
        return self._shaken(part, dataset) if self.where in ("", "train") else part

    def measured(self, split: str, part: Part, dataset: Dataset) -> Part:
        """Items with noise, if those of this split are to have it."""
        here = self.where == "" or (self.where != "train" and split in WHERE[self.where])
        return self._shaken(part, dataset) if here else part

    def _shaken(self, part: Part, dataset: Dataset) -> Part:
        train = dataset.part("train")
        return {m: self._with_noise(items, _deviations(train[m].features)) for m, items in part.items()}

    def _with_noise(self, items: Items, deviations: np.ndarray) -> Items:
        scale = (self.amount * deviations).astype(np.float32)
        shaken = np.array(items.features)
        for row, name in enumerate(items.ids.tolist()):
            rng = np.random.default_rng(int.from_bytes(self.key(items.modality, name)[:16], "little"))
            shaken[row] += scale * rng.standard_normal(shaken.shape[1:], np.float32)
        if not np.isfinite(shaken).all():
            raise DataError(f"{self.text}: {items.modality} features overflow {shaken.dtype}; take less of it")
        return replace(items, features=shaken)


def _deviations(features: np.ndarray) -> np.ndarray:
    """Standard deviation of every column over all rows (of sets: over all vectors), float64 (d,)."""
    flat = features.reshape(-1, features.shape[-1])
    rows = max(1, _BLOCK_VALUES // flat.shape[1])
    blocks = [flat[i : i + rows] for i in range(0, len(flat), rows)]
    mean = sum((b.sum(0, dtype=np.float64) for b in blocks), np.zeros(flat.shape[1])) / len(flat)
    squares = sum((((b - mean) ** 2).sum(0) for b in blocks), np.zeros(flat.shape[1]))
    found: np.ndarray = np.sqrt(squares / len(flat))
    return found
