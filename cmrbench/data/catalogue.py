"""The catalogue: datasets.yaml as checked, typed values."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from cmrbench.core.errors import DataError, UnknownNameError
from cmrbench.core.protocol import Protocol

MAX_YAML_BYTES = 4 << 20

Split = Literal["train", "val", "query", "gallery"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=64)]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=128)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


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
    sha256: Sha256 | None = None
    origin: str = Field("", alias="from")
    variant: str = ""
    attachment: bool = False
    """Belongs to the dataset (pictures, notices) but is not read for features."""


class Read(_Model):
    """How the reader `pairs` makes a modality's features out of its file."""

    kind: Literal["int8", "bag_of_words", "char_ngrams"]
    column: str = ""


class ModalityFeatures(_Model):
    """One modality in one feature set: who made the features, how wide, how normalised."""

    extractor: Text
    dims: int | None = Field(None, ge=1)
    normalisation: str = ""
    read: Read | None = None


class SplitRecord(_Model):
    """A frozen split: number of items and the SHA-256 of its item ids in order, one a modality where ids differ."""

    items: int = Field(ge=1)
    sha256: Sha256 | dict[str, Sha256]


class FeatureSet(_Model):
    """One way to describe the items."""

    summary: str = ""
    default: bool = False
    modalities: dict[Name, ModalityFeatures] = Field(min_length=2)
    splits: dict[Split, SplitRecord] | None = None
    """Only where this feature set has other items than the dataset's other ones."""


class ProtocolFields(_Model):
    """The fields of `cmrbench.core.protocol.Protocol`."""

    name: Name
    query: list[Split] = Field(min_length=1)
    gallery: list[Split] = Field(min_length=1)
    outputs: list[Literal["real", "hash"]] = Field(["real", "hash"], min_length=1)
    metrics: list[str] = Field(["mAP@all", "mAP@50"], min_length=1)
    relevance: Literal["label", "instance"] = "label"
    gallery_codes: Literal["function", "learned"] = "function"
    selection: Literal["val", "last", "test_best"] = "val"

    def protocol(self) -> Protocol:
        """The protocol as the frozen value that runs use."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in self.model_dump().items()}
        return Protocol(**fields)


class Entry(_Model):
    """A registered dataset."""

    title: Text
    summary: Text
    licence: Text
    citation: Text
    homepage: str = ""
    aliases: list[Name] = []
    labels: Labels | None = None
    reader: Literal["pairs", "wiki", "npz", "synthetic"]
    folder: str | None = None
    """Where the sources lie, relative to the YAML file; without it they are imported into the cache."""
    tags: list[str] | None = None
    """Reader `pairs`: the column `tags` gives the labels, with these tags left out; items without a tag go."""
    validation: float | None = Field(None, gt=0, lt=0.5)
    """Share of the training items that is cut for validation, where the source has none."""
    sources: list[Source] = []
    feature_sets: dict[Name, FeatureSet] = Field(min_length=1)
    protocols: list[ProtocolFields] = Field(min_length=1)
    splits: dict[Split, SplitRecord] | None = None
    preset: str = ""
    obtain: str = ""
    """For a person: how to get the sources where they are not on the machine."""

    @model_validator(mode="after")
    def _consistent(self) -> Entry:
        defaults = [name for name, fs in self.feature_sets.items() if fs.default]
        if len(defaults) != 1:
            raise ValueError(f"exactly one feature set must say 'default: true', got {defaults or 'none'}")
        names = [p.name for p in self.protocols]
        if len(set(names)) < len(names):
            raise ValueError(f"protocol names must differ, got {', '.join(names)}")
        files = [s.file for s in self.sources]
        if len(set(files)) < len(files):
            raise ValueError(f"source files must differ, got {', '.join(files)}")
        if self.reader != "synthetic" and not files:
            raise ValueError(f"reader {self.reader!r} needs sources")
        return self

    @property
    def default_feature_set(self) -> str:
        """Name of the feature set that is used where none is named."""
        return next(name for name, fs in self.feature_sets.items() if fs.default)

    def feature_set(self, dataset: str, name: str | None) -> tuple[str, FeatureSet]:
        """The feature set of that name (None: the default one) with its name."""
        chosen = name or self.default_feature_set
        if chosen not in self.feature_sets:
            raise UnknownNameError(f"feature set of {dataset}", chosen, self.feature_sets)
        return chosen, self.feature_sets[chosen]

    def variants(self) -> dict[str, list[Source]]:
        """The source files by variant, in the order of the file; files without a variant belong to each."""
        named = dict.fromkeys(s.variant for s in self.sources if s.variant)
        return {v: [s for s in self.sources if s.variant in ("", v)] for v in named or [""]}


class _File(_Model):
    datasets: dict[Name, Entry]


class Catalogue:
    """All registered datasets.

    Parameters
    ----------
    entries : dict of str to Entry
    homes : dict of str to Path
        The folder of the YAML file that each entry comes from.
    """

    def __init__(self, entries: dict[str, Entry], homes: dict[str, Path]) -> None:
        self._entries = entries
        self._homes = homes
        self._aliases = {alias: name for name, entry in entries.items() for alias in entry.aliases}

    def names(self) -> tuple[str, ...]:
        """Registered names, in the order of the files."""
        return tuple(self._entries)

    def resolve(self, name: str) -> str:
        """The registered name behind a name or alias.

        Raises
        ------
        UnknownNameError
            With the nearest names.
        """
        lower = name.lower()
        resolved = self._aliases.get(lower, lower)
        if resolved not in self._entries:
            known = [*self._entries, *self._aliases]
            raise UnknownNameError("dataset", name, known, "'cmrbench data list' shows all.")
        return resolved

    def entry(self, name: str) -> Entry:
        """The entry of that name or alias."""
        return self._entries[self.resolve(name)]

    def home(self, name: str) -> Path:
        """Folder of the YAML file that registers the dataset; its `folder` is relative to it."""
        return self._homes[self.resolve(name)]


def load_catalogue(extra_files: Iterable[str | Path] = ()) -> Catalogue:
    """The datasets of the package, of the files named by ``CMRBENCH_DATASETS``, and of `extra_files`.

    Parameters
    ----------
    extra_files : iterable of path
        YAML files with the layout of datasets.yaml. ``CMRBENCH_DATASETS`` holds such paths too, separated like
        ``PATH``.

    Raises
    ------
    DataError
        If a file is not what it should be: file, dataset, key, and what is allowed there.
    """
    own = Path(__file__).parent.parent / "datasets.yaml"
    named = [p for p in os.environ.get("CMRBENCH_DATASETS", "").split(os.pathsep) if p]
    files = [own, *(Path(p).absolute() for p in [*named, *extra_files])]
    return _load(tuple(dict.fromkeys((f, _stamp(f)) for f in files)))


def _stamp(path: Path) -> tuple[int, int]:
    """Changes when the file does, so that a catalogue is parsed once a process but never stale."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"catalogue file {path} cannot be read: {error.strerror}") from None
    if status.st_size > MAX_YAML_BYTES:
        raise DataError(f"catalogue file {path} has {status.st_size:,} bytes; at most {MAX_YAML_BYTES:,} are read")
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def _load(files: tuple[tuple[Path, tuple[int, int]], ...]) -> Catalogue:
    entries: dict[str, Entry] = {}
    homes: dict[str, Path] = {}
    taken: dict[str, Path] = {}
    for path, _ in files:
        for name, entry in _read(path).items():
            for used in (name, *entry.aliases):
                if used in taken:
                    raise DataError(f"{path}: dataset {name!r}: the name {used!r} is already taken by {taken[used]}")
                taken[used] = path
            entries[name] = entry
            homes[name] = path.parent
    return Catalogue(entries, homes)


class _UniqueKeyLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain YAML values only; a key that is given twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is given twice", key.start_mark)
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep)  # type: ignore[no-any-return]


def _read(path: Path) -> dict[str, Entry]:
    try:
        content = yaml.load(path.read_bytes(), _UniqueKeyLoader)  # a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DataError(f"{path}{line}: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not YAML: {error}".replace("\n", " ")) from None
    except OSError as error:
        raise DataError(f"catalogue file {path} cannot be read: {error.strerror}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a mapping with the key 'datasets', found {type(content).__name__}")
    try:
        return _File.model_validate(content).datasets
    except ValidationError as error:
        raise DataError(f"{path}: {_sentence(error)}") from None


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong, as one sentence: dataset, key, what is allowed."""
    # A misspelt key is also a missing one: that it is unknown says more.
    first, *others = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    # Union members (a hash or a mapping of hashes) add their own labels to the location; the first is enough.
    where = [p for p in first["loc"] if not (isinstance(p, str) and ("[" in p or "(" in p))]
    dataset = f"dataset {where[1]!r}: " if len(where) > 1 else ""
    *path, key = where[2:] or where[:1] or ["datasets"]
    inside = f" in {'.'.join(str(p) for p in path)}" if path else ""
    if first["type"] == "extra_forbidden":
        said = f"unknown key {key!r}{inside}; allowed: {', '.join(_allowed(where[:-1]))}"
    elif first["type"] == "missing":
        said = f"key {key!r}{inside} is missing"
    elif first["type"] == "value_error":
        said = str(first["ctx"]["error"])
    else:
        message = first["msg"][0].lower() + first["msg"][1:]
        said = f"key {key!r}{inside}: {message}, got {reprlib.repr(first['input'])}"
    more = f" (and {len(others)} more)" if others else ""
    return f"{dataset}{said}{more}"


def _allowed(path: list[Any]) -> list[str]:
    """Keys that the model at this place of the file has."""
    model: type[BaseModel] = _File
    for part in path:
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        if field is not None:
            model = _model_in(field.annotation) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The pydantic model inside an annotation such as ``dict[str, Entry] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in get_args(annotation))
    return next((model for model in found if model), None)
