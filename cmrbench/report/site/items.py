"""What the gallery shows of a dataset's items, and where it gets that from: reports know no datasets themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Place:
    """Which items the positions in a record count: those of one protocol on one state of a dataset."""

    dataset: str
    dataset_fingerprint: str
    feature_set: str
    protocol: str
    protocol_fingerprint: str


@dataclass(frozen=True)
class ShownItem:
    """One query or gallery item, as people see it.

    Attributes
    ----------
    name : str
        Its id in the dataset.
    text : str
        Caption or tags, or empty.
    picture : bytes
        A WebP, PNG or JPEG of a few hundred bytes, or empty.
    mime : str
        ``"image/webp"`` ...
    labels : tuple of str
        Names of its classes.
    """

    name: str
    text: str = ""
    picture: bytes = b""
    mime: str = ""
    labels: tuple[str, ...] = ()


class Collection(Protocol):
    """The items behind one `Place`.

    Attributes
    ----------
    credit : str
        Licence and attribution of what is shown.
    """

    @property
    def credit(self) -> str: ...  # noqa: D102

    def items(self, side: str, modality: str, positions: Sequence[int]) -> list[ShownItem]:
        """Items at positions among the protocol's queries (`side` ``"query"``) or its gallery (``"gallery"``)."""


class Resolver(Protocol):
    """Opens the items of datasets."""

    def open(self, place: Place) -> Collection | str:
        """The items, or a sentence on why there are none to show: not this data, or not to be shown."""
