"""Import: bring source files that somebody has downloaded into the cache, checked before anything is copied."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from cmrbench.core.errors import DataError, UsageError
from cmrbench.core.hashing import digest_file
from cmrbench.data.cache import new_folder
from cmrbench.data.prepared import read_content
from cmrbench.data.resolve import resolve_files
from cmrbench.data.sources import RECORD, Located, check_hash, expected_files, find_variant, source_folder

if TYPE_CHECKING:
    from cmrbench.data.catalogue import Catalogue, Entry, Source

MAX_SOURCE_BYTES = 64 << 30


def import_dataset(name: str, folder: str | Path, catalogue: Catalogue | None = None) -> Located:
    """Copy a dataset's source files from `folder` into the cache.

    Hashes are compared, and the data is read and validated, before anything is copied. Files without a registered
    hash are taken as they are, and what was taken is written down (``import.json``).

    Parameters
    ----------
    name : str
        Registered name or alias.
    folder : path
        Holds the files that the catalogue names; others are ignored.
    catalogue : Catalogue, optional

    Returns
    -------
    Located
        The files in the cache.

    Raises
    ------
    DataError
        If files are missing, are links or no plain files, are too large, are not the registered ones, hold data that
        does not validate, or cannot be written.
    UsageError
        If the dataset is not one that is imported.
    """
    if catalogue is None:
        from cmrbench.data.catalogue import load_catalogue

        catalogue = load_catalogue()
    name = catalogue.resolve(name)
    entry = catalogue.entry(name)
    if entry.folder is not None or entry.builder == "synthetic":
        instead = "made in memory" if entry.builder == "synthetic" else f"read from {source_folder(catalogue, name)}"
        raise UsageError(f"dataset {name!r} needs no import: it is {instead}")
    found = _examine(name, entry, Path(folder))
    for feature_set, spec in entry.feature_sets.items():
        if find_variant(entry, found.folder, spec) is not None:
            with read_content(resolve_files(name, feature_set, found, catalogue)):
                pass  # that it can be read is what is asked
    final = source_folder(catalogue, name)
    with new_folder(final, f"import {name}", replace=True) as temporary:
        copied = {}
        for source in _files(entry, found.variant):
            if (found.folder / source.file).exists():
                copied[source.file] = _copy(found.folder / source.file, temporary / source.file)
        for file, sha256 in found.hashes.items():
            if copied[file]["sha256"] != sha256:
                raise DataError(f"{found.folder / file} has changed while it was being imported")
        record = {"dataset": name, "variant": found.variant, "files": copied}
        (temporary / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    return Located(final, found.variant, found.hashes, found.registered)


def _files(entry: Entry, variant: str) -> list[Source]:
    return entry.variants()[variant]


def _examine(name: str, entry: Entry, folder: Path) -> Located:
    """Find, measure and hash the files; nothing is written."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    variant = find_variant(entry, folder)
    if variant is None:
        there = sorted(p.name for p in folder.iterdir())
        shown = ", ".join(there[:5]) + (f" and {len(there) - 5} more" if len(there) > 5 else "")
        raise DataError(f"{folder} does not hold {name}: expected {expected_files(entry)}, found {shown or 'nothing'}")
    hashes = {}
    for source in _files(entry, variant):
        path = folder / source.file
        if (source.attachment or source.optional) and not path.exists():
            continue
        _plain_file(path)
        if source.sha256 is not None:
            check_hash(path, source.sha256)
        if not source.attachment:
            hashes[source.file] = source.sha256 or digest_file(path)
    return Located(folder, variant, hashes, all(s.sha256 for s in _files(entry, variant) if not s.attachment))


def _plain_file(path: Path) -> None:
    """Refuse links (they may lead anywhere and change later), devices, pipes, and files beyond the limit."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a plain file"
        raise DataError(f"{path} is {kind}; import a folder that holds the file itself")
    if status.st_size > MAX_SOURCE_BYTES:
        raise DataError(f"{path} has {status.st_size:,} bytes; at most {MAX_SOURCE_BYTES:,} are imported")


def _copy(source: Path, target: Path) -> dict[str, int | str]:
    """Copy and hash in one pass, so that what is recorded is what was written."""
    h, size = hashlib.sha256(), 0
    descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with open(descriptor, "rb") as reading, open(target, "xb") as writing:
        while chunk := reading.read(1 << 20):
            h.update(chunk)
            size += len(chunk)
            writing.write(chunk)
    return {"bytes": size, "sha256": h.hexdigest()}
