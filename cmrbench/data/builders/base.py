"""What a builder is: a module with `VERSION`, `Options` and `build`, and the request that `build` answers.

A builder reads the files of one source layout and gives all items of a dataset in one feature set. It does not draw
splits, check labels against the catalogue or write into the cache: that is done once, for all of them, by
`cmrbench.data.reading`. It streams: big arrays are made in `BuildRequest.scratch`, and filled in blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.catalogue import Entry, FeatureSet
    from cmrbench.data.content import Content


class BuilderOptions(BaseModel):
    """Base of a builder's options, as `options` of a catalogue entry gives them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True, eq=False)
class BuildRequest:
    """What is asked of a builder.

    Attributes
    ----------
    name : str
        The dataset's registered name, for messages.
    entry : Entry
        As registered: class names, options, source files.
    feature_set : FeatureSet
        Which modalities are asked for, and how each is described.
    tree : SourceTree
        The source files.
    scratch : Path
        An empty folder, deleted when the data has been prepared.
    variant : str
        Which of the entry's alternative sets of source files is there.
    """

    name: str
    entry: Entry
    feature_set: FeatureSet
    tree: SourceTree
    scratch: Path
    variant: str = ""

    @property
    def builder(self) -> str:
        """Name of the builder."""
        return self.feature_set.builder or self.entry.builder

    @property
    def options(self) -> dict[str, Any]:
        """The entry's options, those of the feature set in their place."""
        of_entry = {} if self.feature_set.builder else self.entry.options
        return {**of_entry, **(self.feature_set.options or {})}


class Builder(Protocol):
    """A builder's module."""

    VERSION: int
    """Goes up when other values come out of the same files: prepared data of older versions is made anew."""
    Options: type[BuilderOptions]

    def build(self, request: BuildRequest) -> Content:
        """All items in the feature set that is asked for."""
        ...
