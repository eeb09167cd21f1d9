"""What builders of pictures and texts share: items without features, captions as items, where pictures lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.content import Content

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.builders.base import BuildRequest

How = Literal["each", "joined"]


def modalities(request: BuildRequest, described: Sequence[str] = ()) -> list[str]:
    """The modalities that are asked for.

    Parameters
    ----------
    request : BuildRequest
    described : sequence of str
        Those of which the builder can make vectors.

    Raises
    ------
    DataError
        If anything but ``image`` and ``text`` is asked for, or features that the source does not have.
    """
    asked = request.feature_set.modalities
    for modality, spec in asked.items():
        if modality not in ("image", "text"):
            raise DataError(f"dataset {request.name!r} has the modalities image and text, not {modality!r}")
        if spec.kind != "raw" and (modality not in described or spec.kind != "vector"):
            raise DataError(
                f"dataset {request.name!r}: its source files hold no {spec.kind} features of {modality}; "
                "make them with cmrbench extract"
            )
    return list(asked)


def undescribed(n: int) -> np.ndarray:
    """Features of n items that nothing describes yet: float32 (n, 0)."""
    return np.empty((n, 0), np.float32)


def is_number(text: str) -> bool:
    """Whether it is a whole number of at most seven digits."""
    return text.isascii() and text.isdigit() and len(text) < 8


def plain(text: str) -> str:
    """A text on one line: line ends, tabs and runs of blanks, which released captions hold, become one blank."""
    return " ".join(text.split())


@dataclass(frozen=True, eq=False)
class Captioned:
    """Pictures with several captions each.

    Attributes
    ----------
    ids : list of str
        Of the pictures.
    labels : ndarray, uint8, shape (n, C)
    classes : tuple of str
    captions : list of list of (str, str)
        Of each picture at least one: the caption's id and its text.
    splits : ndarray of str, shape (n,), or None
    pictures : list of str or None
        Where the pictures lie.
    """

    ids: list[str]
    labels: np.ndarray
    classes: tuple[str, ...]
    captions: list[list[tuple[str, str]]]
    splits: np.ndarray | None
    pictures: list[str] | None

    def content(self, request: BuildRequest, how: How, notes: list[str]) -> Content:
        """Items without features; a text item is one caption, or all captions of a picture joined by a blank."""
        if how == "each":
            rows = np.repeat(np.arange(len(self.ids)), [len(c) for c in self.captions])
            text_ids = [i for captions in self.captions for i, _ in captions]
            texts = [text for captions in self.captions for _, text in captions]
        else:
            rows = np.arange(len(self.ids))
            text_ids, texts = self.ids, [" ".join(text for _, text in captions) for captions in self.captions]
        ids = np.array(self.ids)
        own = {"image": (np.arange(len(ids)), ids), "text": (rows, np.array(text_ids))}
        items, splits = {}, {}
        for modality in modalities(request):
            of, named = own[modality]
            items[modality] = Items(modality, undescribed(len(of)), named, ids[of], self.labels[of])
            if self.splits is not None:
                splits[modality] = self.splits[of]
        return Content(
            file=str(request.tree.folder),
            items=items,
            splits=splits if self.splits is not None else None,
            classes=self.classes,
            notes=tuple(notes),
            texts={"text": texts} if "text" in items else {},
            pictures={"image": self.pictures} if "image" in items and self.pictures is not None else {},
        )


def located(tree: SourceTree, patterns: Sequence[str], identify: Callable[[str], str]) -> dict[str, str]:
    """Where the pictures lie, by the id that `identify` gives to a file's name in the tree.

    The patterns are tried in order, until one matches anything.
    """
    names: list[str] = next((found for p in patterns if (found := tree.find_all(p))), [])
    return {identify(name): name for name in names}


def pictures(
    tree: SourceTree, patterns: Sequence[str], identify: Callable[[str], str], ids: Sequence[str]
) -> list[str] | None:
    """Where the picture of every id lies; None if none of these pictures is there. For the rest, see `located`.

    Raises
    ------
    DataError
        If some pictures are there and others are not: what is there must not depend on how far a download came.
    """
    known = located(tree, patterns, identify)
    places = [known.get(i) for i in ids]
    missing = places.count(None)
    if missing == len(places):
        return None
    if missing:
        raise DataError(
            f"{tree.folder} holds {len(places) - missing:,} of {len(places):,} pictures, but not that of "
            f"{ids[places.index(None)]}; is the archive complete?"
        )
    return [p for p in places if p is not None]
