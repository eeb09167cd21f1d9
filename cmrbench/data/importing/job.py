"""Import: bring source files that somebody has downloaded into the cache, checked before anything is copied."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import DataError, UsageError
from cmrbench.core.hashing import digest_file
from cmrbench.data.cache import cache_root, new_folder
from cmrbench.data.importing.copying import copy_file, copy_unpacked, plain_file
from cmrbench.data.lock import source_lock
from cmrbench.data.reading import read_content
from cmrbench.data.record import RECORD, recorded_files, write_record
from cmrbench.data.resolve import resolve_files
from cmrbench.data.sources import Located, check_hash, expected_files, find_variant, source_folder

if TYPE_CHECKING:
    from cmrbench.data.catalogue import Catalogue, Entry, Source
    from cmrbench.data.importing.brought import Brought
    from cmrbench.data.importing.inspecting import Wanted


def import_dataset(
    name: str, path: str | Path, catalogue: Catalogue | None = None, wanted: Wanted | None = None
) -> Located | Brought:
    """Bring files that somebody has into the cache: a dataset's registered source files, or features of one's own.

    Of source files, hashes are compared, and the data is read and validated, before anything is copied. Files without
    a registered hash are taken as they are, and what was taken is written down (``import.json``). Everything else that
    holds arrays becomes a local feature set, see `cmrbench.data.importing.brought`.

    Parameters
    ----------
    name : str
        Registered name or alias.
    path : path
        A folder that holds the files that the catalogue names (others are ignored), or one of these files; or an
        array file of any layout, or a folder of such.
    catalogue : Catalogue, optional
    wanted : Wanted, optional
        How a file of one's own is to be read. Where it says anything, the file is not taken for a source file.

    Returns
    -------
    Located or Brought
        The source files in the cache; or the local feature set.

    Raises
    ------
    DataError
        If files are missing, are links or no plain files, are too large, are not the registered ones, hold data that
        does not validate, or cannot be written.
    UsageError
        If the dataset is not one that is imported.
    """
    from cmrbench.data.importing.brought import bring
    from cmrbench.data.importing.inspecting import Wanted, inspect

    if catalogue is None:
        from cmrbench.data.catalogue import load_catalogue

        catalogue = load_catalogue()
    wanted, path = wanted or Wanted(), Path(path)
    if is_own(name, path, catalogue, wanted):
        return bring(inspect(name, path, wanted, catalogue))
    return import_sources(name, path, catalogue)


def is_own(name: str, path: Path, catalogue: Catalogue, wanted: Wanted) -> bool:
    """Whether a path is read as features of the user's own, and not as the dataset's source files.

    Raises
    ------
    UsageError
        If the dataset is made in memory.
    DataError
        If the path does not exist.
    """
    from cmrbench.data.files import looks_like_arrays

    entry = catalogue.entry(name)
    if entry.builder == "synthetic":
        raise UsageError(f"dataset {catalogue.resolve(name)!r} needs no import: it is made in memory")
    try:
        there = path.exists()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}; name another path") from None
    if not there:
        raise DataError(f"{path} is not there; name a folder or an array file")
    if wanted.said:
        return True
    folder = path if path.is_dir() else path.parent
    variant = find_variant(entry, folder) if entry.folder is None else None
    if variant is not None and (path.is_dir() or path.name in {s.file for s in _files(entry, variant)}):
        return False
    if path.is_file():
        return True
    # A part of the source files is no file of the user's own: what is missing is said.
    some = entry.folder is None and any((path / s.file).exists() for s in entry.sources if not s.attachment)
    return not some and looks_like_arrays(path)


def import_sources(name: str, path: Path, catalogue: Catalogue) -> Located:
    """Bring the registered source files of a dataset; see `import_dataset`."""
    name = catalogue.resolve(name)
    entry = catalogue.entry(name)
    if entry.folder is not None:
        raise UsageError(f"dataset {name!r} needs no import: it is read from {source_folder(catalogue, name)}")
    found = _examine(name, entry, path if path.is_dir() else path.parent)
    for feature_set, spec in entry.feature_sets.items():
        if found.variant in entry.variants(spec):
            with read_content(resolve_files(name, feature_set, found, catalogue)):
                pass  # that it can be read is what is asked
    final = cache_root() / "sources" / (entry.sources_of or name)
    with source_lock(final, _say), new_folder(final, f"import {name}", replace=True) as temporary:
        copied = {}
        for source in _files(entry, found.variant):
            if (found.folder / source.file).exists():
                copied[source.file] = copy_file(found.folder / source.file, temporary / source.file)
                copy_unpacked(found.folder / source.file, temporary)
        for file, sha256 in found.hashes.items():
            if copied[file]["sha256"] != sha256:
                raise DataError(f"{found.folder / file} has changed while it was being imported")
        kept = _keep_others(final, temporary)
        write_record(temporary, final.name, found.variant, kept | copied)
    return Located(final, found.variant, found.hashes, found.registered)


def _say(message: str) -> None:
    warnings.warn(message, ImportNotice, stacklevel=2)


class ImportNotice(UserWarning):
    """Says that another process is bringing the same dataset."""


def _keep_others(final: Path, temporary: Path) -> dict[str, dict[str, Any]]:
    """Take over what lies in the folder already and is not brought anew: another form of the same dataset."""
    if not final.is_dir():
        return {}
    for old in final.iterdir():
        if old.name == RECORD or (temporary / old.name).exists() or old.is_symlink():
            continue
        if old.is_dir():
            shutil.copytree(old, temporary / old.name, symlinks=True, copy_function=os.link)
        else:
            os.link(old, temporary / old.name)
    return {file: known for file, known in recorded_files(final).items() if (temporary / file).exists()}


def _files(entry: Entry, variant: str) -> list[Source]:
    return entry.variants()[variant]


def _examine(name: str, entry: Entry, folder: Path) -> Located:
    """Find, measure and hash the files; nothing is written."""
    variant = find_variant(entry, folder)
    if variant is None:
        there = sorted(p.name for p in folder.iterdir())
        shown = ", ".join(there[:5]) + (f" and {len(there) - 5} more" if len(there) > 5 else "")
        expected = " or ".join(filter(None, (expected_files(entry), "an array file of your own")))
        raise DataError(f"{folder} does not hold {name}: expected {expected}, found {shown or 'nothing'}")
    hashes = {}
    for source in _files(entry, variant):
        path = folder / source.file
        if source.attachment and not path.exists():
            continue
        plain_file(path)
        if source.sha256 is not None:
            check_hash(path, source.sha256)
        if not source.attachment:
            hashes[source.file] = source.sha256 or digest_file(path)
    return Located(folder, variant, hashes, all(s.sha256 for s in _files(entry, variant) if not s.attachment))
