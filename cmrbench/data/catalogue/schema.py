"""The layout of datasets.yaml. docs/data.md explains it; unknown keys and wrong types are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from cmrbench.core.citation import Citation
from cmrbench.core.errors import UnknownNameError
from cmrbench.core.protocol import Protocol
from cmrbench.data.splits.models import Scheme, SourceScheme

Split = Literal["train", "val", "query", "gallery"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=64)]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=128)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s\"<>]+$", max_length=1000)]
Kind = Literal["vector", "set", "tokens", "raw"]
"""`vector`: float32 (n, d). `set`: float16 or float32 (n, r, d), the regions of a picture. `tokens`: int32 (n, length),
0 is padding. `raw`: no features yet, only texts and pictures that `cmrbench extract` makes features of."""

BROUGHT = "imported"
"""Name of the feature set that `data import` makes of a user's own file where it is not told another."""

DEFAULT_SPLIT = "standard"
"""Name of the split of an entry that does not name its splits: what the source says."""


def _cited(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    try:
        return Citation(**value)
    except TypeError as error:
        raise ValueError(f"citation: {error}") from None


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Labels(_Model):
    """What is known of the labels: how many classes, their names, whether an item can have several.

    `classes` left out: as many as the file holds. `relevance` by instance needs no labels: leave the block out.
    """

    classes: int | None = Field(None, ge=1)
    names: list[str] | None = None
    multilabel: bool = False


class Source(_Model):
    """One source file. Files of one `variant` together are one way to have the dataset."""

    file: FileName
    url: list[Url] = []
    """Where `data fetch` gets it, in the order in which the addresses are tried; empty: a person has to."""
    bytes: int | None = Field(None, ge=1)
    sha256: Sha256 | None = None
    md5: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = None
    """As the makers publish it, where no SHA-256 is known: a download is compared with it."""
    origin: str = Field("", alias="from")
    variant: str = ""
    attachment: bool = False
    """Belongs to the dataset (pictures, notices) but is not read for features, and may be missing."""


class ModalityFeatures(_Model):
    """One modality in one feature set: who made the features, how wide, how normalised."""

    extractor: Text
    kind: Kind = "vector"
    dims: int | None = Field(None, ge=1)
    """Columns; of a set, those of one of its vectors; of tokens, left out."""
    layer: str = ""
    normalisation: str = ""
    read: dict[str, str] = {}
    """For the builder: where in the source this modality lies, or how it is made."""


class SplitRecord(_Model):
    """A frozen split: number of items and the SHA-256 of its item ids in order, one a modality where these differ."""

    items: int | dict[str, int]
    sha256: Sha256 | dict[str, Sha256]


Records = dict[Split, SplitRecord]


class NamedSplit(_Model):
    """One way to cut the items into train, val, query and gallery."""

    default: bool = False
    summary: str = ""
    used_by: list[str] = []
    scheme: Scheme = Field(default_factory=SourceScheme)
    records: Records | None = None


class FeatureSet(_Model):
    """One way to describe the items."""

    summary: str = ""
    default: bool = False
    modalities: dict[Name, ModalityFeatures] = Field(min_length=2)
    builder: Name | None = None
    """Only where this feature set comes out of other files than the entry's others."""
    options: dict[str, Any] | None = None
    variants: list[str] = []
    """The variants of source files that hold it; empty: any."""
    records: dict[Name, Records] | None = None
    """Frozen splits by name, only where this feature set has other items than the entry's others."""


class ProtocolFields(_Model):
    """The fields of `cmrbench.core.protocol.Protocol`, and the splits for which it is meant."""

    name: Name
    query: list[Split] = Field(min_length=1)
    gallery: list[Split] = Field(min_length=1)
    outputs: list[Literal["real", "hash"]] = Field(["real", "hash"], min_length=1)
    metrics: list[str] = Field(["mAP@all", "mAP@50"], min_length=1)
    relevance: Literal["label", "instance"] = "label"
    gallery_codes: Literal["function", "learned"] = "function"
    selection: Literal["val", "last", "test_best"] = "val"
    folds: int = Field(1, ge=1)
    splits: list[Name] = []
    """Names of the splits that it measures; empty: all."""

    @model_validator(mode="after")
    def _folds_are_of_instances(self) -> ProtocolFields:
        if self.folds > 1 and self.relevance != "instance":
            raise ValueError(f"folds are of instances: {self.name} needs relevance: instance")
        return self

    def protocol(self) -> Protocol:
        """The protocol as the frozen value that runs use."""
        dumped: dict[str, Any] = self.model_dump(exclude={"splits"})
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in dumped.items()}
        return Protocol(**fields)


class Entry(_Model):
    """A registered dataset."""

    title: Text
    summary: Text
    names: list[Text] = []
    """What papers call it."""
    licence: Text
    citation: Annotated[Citation | Text, BeforeValidator(_cited)]
    homepage: str = ""
    aliases: dict[Name, str] = {}
    """Other names that can be typed, each with a note that is shown when it is (or none)."""
    labels: Labels | None = None
    builder: Name = "mapped"
    options: dict[str, Any] = {}
    folder: str | None = None
    """Where the sources lie, relative to the YAML file; without it they are fetched or imported into the cache."""
    sources_of: Name | None = None
    """Another entry that has the same source files: one archive, several datasets."""
    sources: list[Source] = []
    feature_sets: dict[Name, FeatureSet] = {}
    """None: the dataset is known, and takes features that users bring."""
    protocols: list[ProtocolFields] = Field(min_length=1)
    splits: dict[Name, NamedSplit] = Field(default_factory=lambda: {DEFAULT_SPLIT: NamedSplit()}, min_length=1)
    fingerprints: dict[Name, Sha256] = {}
    """SHA-256 over all values of a feature set in the default split, where the data has been seen."""
    preset: str = ""
    obtain: str = ""
    """For a person: how to get the sources where no program can."""
    problems: list[Text] = []
    """What is known to be wrong with the data or with how papers use it."""

    @model_validator(mode="after")
    def _consistent(self) -> Entry:
        for what, named in (("feature set", self.feature_sets), ("split", self.splits)):
            defaults = [name for name, value in named.items() if value.default]
            if len(defaults) != 1 and not (what == "split" and len(named) == 1) and named:
                raise ValueError(f"exactly one {what} must say 'default: true', got {defaults or 'none'}")
        names = [p.name for p in self.protocols]
        if len(set(names)) < len(names):
            raise ValueError(f"protocol names must differ, got {', '.join(names)}")
        files = [s.file for s in self.sources]
        if len(set(files)) < len(files):
            raise ValueError(f"source files must differ, got {', '.join(files)}")
        if self.builder != "synthetic" and self.feature_sets and not files and self.sources_of is None:
            raise ValueError(f"builder {self.builder!r} needs sources")
        unknown_sets = self.fingerprints.keys() - self.feature_sets.keys()
        if unknown_sets:
            raise ValueError(f"fingerprints name the feature set {min(unknown_sets)!r}, which there is not")
        for where, used in ((f"protocol {p.name!r}", p.splits) for p in self.protocols):
            unknown = [s for s in used if s not in self.splits]
            if unknown:
                raise ValueError(f"{where} names the split {unknown[0]!r}; known: {', '.join(self.splits)}")
        return self

    @property
    def default_feature_set(self) -> str:
        """Name of the feature set that is used where none is named."""
        return next((name for name, fs in self.feature_sets.items() if fs.default), BROUGHT)

    @property
    def default_split(self) -> str:
        """Name of the split that is used where none is named."""
        return next((name for name, split in self.splits.items() if split.default), next(iter(self.splits)))

    @property
    def cited(self) -> str:
        """The citation as one line."""
        return self.citation.line() if isinstance(self.citation, Citation) else self.citation

    def feature_set(self, dataset: str, name: str | None) -> tuple[str, FeatureSet]:
        """The feature set of that name (None: the default one) with its name."""
        chosen = name or self.default_feature_set
        if chosen not in self.feature_sets:
            raise UnknownNameError(f"feature set of {dataset}", chosen, self.feature_sets)
        return chosen, self.feature_sets[chosen]

    def variants(self, feature_set: FeatureSet | None = None) -> dict[str, list[Source]]:
        """The source files by variant, in the order of the file; files without a variant belong to each.

        With a feature set, only the variants that hold it.
        """
        named = list(dict.fromkeys(s.variant for s in self.sources if s.variant)) or [""]
        if feature_set is not None and feature_set.variants:
            named = [v for v in named if v in feature_set.variants]
        return {v: [s for s in self.sources if s.variant in ("", v)] for v in named}
