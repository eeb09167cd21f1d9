"""Dataset: a name, frozen splits, and a way to open one split at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items, concatenate
from cmrbench.core.protocol import Protocol

SPLITS = ("train", "val", "query", "gallery")


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset in one feature set. Splits are opened one by one: fitting never opens the test items.

    Attributes
    ----------
    name, feature_set : str
        Registered names.
    modalities : tuple of str
    dims : mapping of modality to int
        Feature columns.
    classes : tuple of str
        Names of the C labels, in column order.
    multilabel : bool
        Whether an item can have several labels.
    sizes : mapping of split to mapping of modality to int
    protocols : tuple of Protocol
    fingerprint : str
        SHA-256 over features, labels, ids and splits.
    preset : str
        Name of the method preset that fits this dataset's size, or ``""``.
    opener : callable
        Maps a split name to its items by modality.
    """

    name: str
    feature_set: str
    modalities: tuple[str, ...]
    dims: Mapping[str, int]
    classes: tuple[str, ...]
    multilabel: bool
    sizes: Mapping[str, Mapping[str, int]]
    protocols: tuple[Protocol, ...]
    fingerprint: str
    opener: Callable[[str], Mapping[str, Items]] = field(repr=False)
    preset: str = ""

    def part(self, *splits: str) -> dict[str, Items]:
        """Items of one split, or of several splits one after another, by modality.

        Parameters
        ----------
        *splits
            Names out of ``train``, ``val``, ``query``, ``gallery``.

        Raises
        ------
        DataError
            If the dataset has no such split.
        """
        for split in splits:
            if split not in self.sizes:
                raise DataError(f"{self.name} has no split {split!r}; it has {', '.join(self.sizes)}")
        opened = [self.opener(s) for s in splits]
        return {m: concatenate([part[m] for part in opened]) for m in self.modalities}

    def protocol(self, name: str) -> Protocol:
        """The protocol of that name."""
        for protocol in self.protocols:
            if protocol.name == name:
                return protocol
        raise DataError(f"{self.name} has no protocol {name!r}; it has {', '.join(p.name for p in self.protocols)}")
