"""Source files: where a dataset's files lie on this machine, and whether they are the registered ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cmrbench.core.errors import DataError, DatasetMissingError
from cmrbench.core.hashing import digest_file
from cmrbench.data.cache import cache_root

if TYPE_CHECKING:
    from cmrbench.data.catalogue import Catalogue, Entry

RECORD = "import.json"


@dataclass(frozen=True)
class Located:
    """A dataset's source files on this machine.

    Attributes
    ----------
    folder : Path
    variant : str
        Which alternative set of files is there.
    hashes : mapping of file name to str
        The SHA-256 of every file that is read for features: as registered, or as recorded at the import.
    registered : bool
        Whether all of these hashes come from the catalogue.
    """

    folder: Path
    variant: str
    hashes: dict[str, str]
    registered: bool


def source_folder(catalogue: Catalogue, name: str) -> Path:
    """Where the source files of a dataset are looked for."""
    entry = catalogue.entry(name)
    if entry.folder is not None:
        return catalogue.home(name) / entry.folder
    return cache_root() / "sources" / name


def find_variant(entry: Entry, folder: Path) -> str | None:
    """The first variant all of whose files lie in the folder; None: there is none."""
    for variant, sources in entry.variants().items():
        if all((folder / s.file).is_file() for s in sources if not s.attachment):
            return variant
    return None


def locate(catalogue: Catalogue, name: str) -> Located:
    """Find the source files of a dataset (a registered name).

    Raises
    ------
    DatasetMissingError
        With where the dataset comes from, its licence, and the command that would bring it.
    """
    entry = catalogue.entry(name)
    folder = source_folder(catalogue, name)
    variant = find_variant(entry, folder)
    if variant is None:
        raise DatasetMissingError(missing_message(name, entry, folder))
    recorded = _recorded(folder)
    needed = [s for s in entry.variants()[variant] if not s.attachment]
    hashes = {s.file: s.sha256 or recorded.get(s.file) or digest_file(folder / s.file) for s in needed}
    return Located(folder, variant, hashes, all(s.sha256 for s in needed))


def _recorded(folder: Path) -> dict[str, str]:
    """Hashes that an import wrote down, for files without a registered one."""
    path = folder / RECORD
    try:
        files = json.loads(path.read_bytes())["files"]
        return {str(name): str(known["sha256"]) for name, known in files.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{path} is damaged; import the dataset again") from None


def check_sources(entry: Entry, located: Located) -> None:
    """Compare the files that are read for features with their registered or recorded hashes.

    Raises
    ------
    DataError
        With the file, the hash that was expected and the one that was found.
    """
    for source in entry.variants()[located.variant]:
        if not source.attachment:
            check_hash(located.folder / source.file, located.hashes[source.file])


def check_hash(path: Path, expected: str) -> None:
    """Raise a DataError unless the file has this SHA-256."""
    found = digest_file(path)
    if found != expected:
        raise DataError(
            f"{path} is not the registered file: its SHA-256 is {found}, expected {expected}; get the file again"
        )


def expected_files(entry: Entry) -> str:
    """The files that a folder must hold to be the dataset's, alternatives joined by "or"."""
    return " or ".join(" and ".join(s.file for s in v if not s.attachment) for v in entry.variants().values())


def import_command(name: str, entry: Entry) -> str:
    """What to type to bring the dataset here."""
    return f"cmrbench data import {name} --from FOLDER, where FOLDER holds {expected_files(entry)}"


def missing_message(name: str, entry: Entry, folder: Path) -> str:
    """What to say of a dataset that is not on this machine."""
    ways = expected_files(entry)
    origin = entry.homepage or next((s.origin for s in entry.sources if s.origin), "")
    parts = [f"dataset {name!r} ({entry.title}) is not on this machine"]
    if entry.folder is not None:
        return f"{parts[0]}: {folder} should hold {ways}"
    if origin:
        parts.append(f"it comes from {origin}")
    parts.append(f"licence: {' '.join(entry.licence.split()).rstrip('.')}")
    if entry.obtain:
        parts.append(" ".join(entry.obtain.split()).rstrip("."))
    parts.append(f"bring it with: {import_command(name, entry)}")
    return "; ".join(parts)
