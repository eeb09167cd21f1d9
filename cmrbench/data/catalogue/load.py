"""Loading the catalogue: datasets.yaml and the user's own files, read as plain YAML and checked against the schema."""

from __future__ import annotations

import os
import reprlib
import stat
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from cmrbench.core.errors import DataError, UnknownNameError
from cmrbench.data.catalogue.schema import Entry, Name

MAX_YAML_BYTES = 4 << 20
_MAX_DEPTH = 50
_OWN = Path(__file__).parent.parent.parent / "datasets.yaml"
_SEE = "'cmrbench data list' shows all, and one of your own needs a --datasets-file (docs/data.md)."


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

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
            raise UnknownNameError("dataset", name, known, _SEE)
        return resolved

    def entry(self, name: str) -> Entry:
        """The entry of that name or alias."""
        return self._entries[self.resolve(name)]

    def note(self, typed: str) -> str:
        """What to tell somebody who typed this name: empty, but for an alias that is easily misunderstood."""
        note = self.entry(typed).aliases.get(typed.lower(), "")
        return f"{typed} is taken for {self.resolve(typed)}: {note}" if note else ""

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
    named = [p for p in os.environ.get("CMRBENCH_DATASETS", "").split(os.pathsep) if p]
    files = [_OWN, *(Path(p).absolute() for p in [*named, *extra_files])]
    return _load(tuple(dict.fromkeys((f, _stamp(f)) for f in files)))


def _stamp(path: Path) -> tuple[int, int]:
    """Changes when the file does, so that a catalogue is parsed once a process but never stale."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"catalogue file {path} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"catalogue file {path} is not a plain file; name a YAML file")
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
    for name, entry in entries.items():
        owner = entry.sources_of
        if owner is not None and (owner not in entries or entries[owner].sources_of is not None or entry.sources):
            raise DataError(
                f"{homes[name]}: dataset {name!r}: sources_of must name a dataset that has sources of its own, and the "
                f"dataset must not list any, got {owner!r}"
            )
        if owner is not None:
            entries[name] = entry.model_copy(update={"sources": entries[owner].sources})
    return Catalogue(entries, homes)


class _UniqueKeyLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain YAML values only; a key that is given twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key.value, str):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)  # type: ignore[no-any-return]


def _check_depth(path: Path, written: bytes) -> None:
    """Refuse what nests so deep that the loader, which calls itself for each level, would end the process."""
    depth = 0
    for event in yaml.parse(written, _UniqueKeyLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise DataError(f"{path} nests more than {_MAX_DEPTH} levels deep; it is no list of datasets")


def _read(path: Path) -> dict[str, Entry]:
    try:
        written = path.read_bytes()
        if path != _OWN:
            _check_depth(path, written)
        content = yaml.load(written, _UniqueKeyLoader)  # a subclass of the safe loader
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
