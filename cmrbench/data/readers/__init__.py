"""Readers: source files of one layout into `Content`. One module a layout, each with `VERSION` and `read`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cmrbench.data.catalogue import Entry, FeatureSet
    from cmrbench.data.content import Content


def read(entry: Entry, feature_set: FeatureSet, folder: Path, variant: str) -> Content:
    """Read the source files in `folder` by the reader that the entry names.

    Parameters
    ----------
    entry : Entry
    feature_set : FeatureSet
    folder : Path
        Holds the source files of `variant`.
    variant : str
        Which of the entry's alternative sets of source files.
    """
    content: Content = import_module(f"{__name__}.{entry.reader}").read(entry, feature_set, folder, variant)
    return content


def reader_version(name: str) -> int:
    """Goes up when a reader would make other values of the same files: prepared data of older versions is remade."""
    version: int = import_module(f"{__name__}.{name}").VERSION
    return version
