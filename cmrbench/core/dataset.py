"""Dataset: a name, frozen splits, and a way to open one split at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

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
        The name as results hold it (with split and transforms where they are not the default) and the feature set's.
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
    split : str
        Name of the frozen split; ``""`` for the default one.
    kinds : mapping of modality to str
        ``vector``, ``set``, ``tokens`` or ``raw``; a modality that is not named holds vectors.
    transforms : tuple of str
        What was done to the registered data, in this order.
    notes : tuple of str
        What was done to the source's values, for people.
    describer : callable or None
        Maps split, modality and ``"texts"`` or ``"pictures"`` to one text an item, or None.
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
    split: str = ""
    kinds: Mapping[str, str] = field(default_factory=dict)
    transforms: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    describer: Callable[[str, str, str], list[str] | None] | None = field(default=None, repr=False)

    def kind(self, modality: str) -> str:
        """What an item of this modality is: ``vector``, ``set``, ``tokens`` or ``raw``."""
        return self.kinds.get(modality, "vector")

    def texts(self, split: str, modality: str) -> list[str] | None:
        """One text an item of a split (caption, tags), in the order of its items; None where there are none."""
        return self.describer(split, modality, "texts") if self.describer else None

    def pictures(self, split: str, modality: str) -> list[str] | None:
        """Where the raw file of each item of a split lies among the dataset's source files; None where unknown."""
        return self.describer(split, modality, "pictures") if self.describer else None

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

    def measured(self, *splits: str) -> dict[str, Items]:
        """As `part`, but to be measured on: robustness transforms change what is learnt from, not what is found.

        An opener that tells the two apart has a method `measured`.
        """
        return replace(self, opener=getattr(self.opener, "measured", self.opener)).part(*splits)

    def protocol(self, name: str) -> Protocol:
        """The protocol of that name."""
        for protocol in self.protocols:
            if protocol.name == name:
                return protocol
        raise DataError(f"{self.name} has no protocol {name!r}; it has {', '.join(p.name for p in self.protocols)}")
