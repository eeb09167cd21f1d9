"""Remove what the cache holds of a dataset: only inside the folder that is written, and never through a link."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.core.names import is_own_name
from cmrbench.data.cache import cache_root, cache_roots, explained, retire
from cmrbench.data.lock import source_lock

if TYPE_CHECKING:
    from cmrbench.core.names import DatasetName
    from cmrbench.data.catalogue import Catalogue

KINDS = {
    "sources": "files that were fetched or imported",
    "features": "features that were brought or extracted, and unfinished extractions",
    "splits": "splits that were drawn or brought",
    "prepared": "prepared arrays and audits, which are made again when they are needed",
}
"""What can be removed: one kind an option."""

_PREPARED = re.compile(r"(?P<feature_set>.+)-[0-9a-f]{16}")
_AUDIT = re.compile(r"(?P<feature_set>.+)-[0-9a-f]{16}\.json")


@dataclass(frozen=True)
class Target:
    """One file or folder in the cache that would go.

    Attributes
    ----------
    kind : str
        A key of `KINDS`.
    path : Path
    bytes : int
        Of all files in it; links count nothing.
    note : str
        What one should know before.
    """

    kind: str
    path: Path
    bytes: int
    note: str = ""


@dataclass(frozen=True)
class Removal:
    """What would be removed of a dataset.

    Attributes
    ----------
    name : str
        Registered name, or that of a folder in the cache of a dataset that is no longer registered.
    targets : tuple of Target
    untouched : tuple of str
        Sentences on what stays: shared folders, and files of other datasets.
    """

    name: str
    targets: tuple[Target, ...]
    untouched: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Of all targets."""
        return sum(t.bytes for t in self.targets)


def plan_removal(name: DatasetName, kinds: Sequence[str], catalogue: Catalogue) -> Removal:
    """Find what would be removed; nothing is.

    Parameters
    ----------
    name : DatasetName
        A dataset, or only one feature set or split of it.
    kinds : sequence of str
        Keys of `KINDS`.
    catalogue : Catalogue

    Raises
    ------
    UsageError
        If the name has transforms, or sources are asked for with a feature set or split.
    UnknownNameError
        If the dataset is neither registered nor in the cache.
    DataError
        If a folder on the way is a symbolic link.
    """
    if name.transforms:
        raise UsageError(f"{name} names a transform, of which nothing is stored; name NAME[/FEATURE_SET][:SPLIT]")
    if "sources" in kinds and (name.feature_set or name.split):
        raise UsageError(f"sources belong to the whole dataset; remove them with {name.dataset} --sources")
    registered = _registered(name.dataset, catalogue)
    root = cache_root()
    targets = [t for kind in kinds for t in _targets(root, registered, name, kind, catalogue)]
    shared = [
        f"{other} is a shared folder and stays as it is, with {registered} in it"
        for other in cache_roots()[:-1]
        if any((other / kind / registered).exists() for kind in KINDS)
    ]
    return Removal(registered, tuple(targets), (*shared, *_elsewhere(registered, kinds, catalogue)))


def remove(removal: Removal) -> None:
    """Delete the targets.

    Each is renamed first, so that a deletion that is cut short leaves nothing that could be taken for a dataset.

    Raises
    ------
    DataError
        If a target is in use, or cannot be deleted.
    """
    root = cache_root()
    with ExitStack() as held:
        for target in removal.targets:
            if target.kind == "sources":
                held.enter_context(source_lock(target.path, _in_use))
        for target in removal.targets:
            _inside(root, target.path)
            with explained(target.path.parent, f"remove {target.path.name}"):
                if target.path.is_dir() and not target.path.is_symlink():
                    shutil.rmtree(retire(target.path))
                else:
                    target.path.unlink()


def _in_use(said: str) -> None:
    raise DataError(f"{said.partition(';')[0]}; nothing was removed: wait for it or end it first")


def _registered(typed: str, catalogue: Catalogue) -> str:
    """The registered name; or the name of a folder that an entry which is gone has left."""
    try:
        return catalogue.resolve(typed)
    except UnknownNameError:
        if is_own_name(typed) and any((cache_root() / kind / typed).is_dir() for kind in KINDS):
            return typed
        raise


def _targets(root: Path, name: str, asked: DatasetName, kind: str, catalogue: Catalogue) -> Iterator[Target]:
    if kind == "sources":
        yield from _one(root, kind, root / "sources" / name, _users(name, catalogue))
    elif kind == "features":
        for path in _entries(root, "features", name):
            if asked.feature_set in (None, path.name) and not asked.split:
                yield from _one(root, kind, path)
        for path in _entries(root, "extracting"):
            if (match := _PREPARED.fullmatch(path.name)) and match["feature_set"] == name and _whole(asked):
                yield from _one(root, kind, path, "an extraction that has not ended")
    elif kind == "splits":
        for path in _entries(root, "splits", name):
            if asked.split in (None, path.name) and not asked.feature_set:
                yield from _one(
                    root, kind, path, "" if asked.split else "drawn or brought here; keep it if results name it"
                )
    else:
        for path in _entries(root, "prepared", name):
            if _is_of(path, asked):
                yield from _one(root, kind, path)
        for path in _entries(root, "audits", name):
            match = _AUDIT.fullmatch(path.name)
            if match and asked.feature_set in (None, match["feature_set"]) and not asked.split:
                yield from _one(root, kind, path)


def _whole(asked: DatasetName) -> bool:
    return not asked.feature_set and not asked.split


def _is_of(folder: Path, asked: DatasetName) -> bool:
    """Whether a prepared folder is of the feature set and split that are asked for."""
    match = _PREPARED.fullmatch(folder.name)
    if not match or asked.feature_set not in (None, match["feature_set"]):
        return False
    if asked.split is None:
        return True
    try:
        return bool(json.loads((folder / "manifest.json").read_bytes())["split"] == asked.split)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _entries(root: Path, *parts: str) -> list[Path]:
    """What lies in a folder of the cache, but for what is hidden or temporary."""
    folder = root.joinpath(*parts)
    _inside(root, folder / "any")
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if not p.name.startswith("."))


def _one(root: Path, kind: str, path: Path, note: str = "") -> Iterator[Target]:
    _inside(root, path)
    if path.is_symlink():
        yield Target(kind, path, 0, "a symbolic link: it goes, what it leads to stays")
    elif path.exists():
        yield Target(kind, path, _bytes(path), note)


def _inside(root: Path, path: Path) -> None:
    """Raise a DataError unless every folder between the cache folder and `path` is a real one."""
    if root not in path.parents:
        raise DataError(f"{path} is not in the cache folder {root}; nothing was removed")
    for parent in path.parents:
        if parent == root:
            return
        if parent.is_symlink():
            raise DataError(f"{parent} is a symbolic link; nothing is removed through links: remove it where it leads")


def _bytes(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; links are not followed."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size if stat.S_ISREG(status.st_mode) else 0
    total = 0
    for folder, _, files in os.walk(path):
        total += sum(_bytes(Path(folder) / file) for file in files)
    return total


def _users(name: str, catalogue: Catalogue) -> str:
    """A note on the other datasets that are built from the same files."""
    others = [n for n in catalogue.names() if catalogue.entry(n).sources_of == name]
    return f"{', '.join(others)} {'needs' if len(others) == 1 else 'need'} them, too" if others else ""


def _elsewhere(name: str, kinds: Sequence[str], catalogue: Catalogue) -> Iterator[str]:
    if "sources" not in kinds or name not in catalogue.names():
        return
    entry = catalogue.entry(name)
    if entry.sources_of is not None:
        owner = entry.sources_of
        yield f"the source files of {name} are those of {owner}; remove them with cmrbench data rm {owner} --sources"
    elif entry.folder is not None:
        yield f"the source files of {name} lie in {catalogue.home(name) / entry.folder}, outside the cache, and stay"
