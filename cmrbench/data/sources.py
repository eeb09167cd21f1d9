"""Source files: where a dataset's files lie on this machine, and whether they are the registered ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cmrbench.core.errors import DataError, DatasetMissingError
from cmrbench.core.hashing import digest_file
from cmrbench.data.cache import cache_root, cache_roots
from cmrbench.data.record import recorded_files

if TYPE_CHECKING:
    from cmrbench.data.catalogue import Catalogue, Entry, FeatureSet, Source


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


def source_folder(catalogue: Catalogue, name: str, feature_set: FeatureSet | None = None) -> Path:
    """Where the source files of a dataset lie: the first cache folder that has them, else where they would be put.

    With a feature set, only the files of a variant that holds it count.
    """
    entry = catalogue.entry(name)
    if entry.folder is not None:
        return catalogue.home(name) / entry.folder
    owner = entry.sources_of or catalogue.resolve(name)
    places = [root / "sources" / owner for root in cache_roots()]
    return next(
        (p for p in places if find_variant(entry, p, feature_set) is not None), cache_root() / "sources" / owner
    )


def needed(sources: list[Source]) -> list[Source]:
    """Those without which nothing can be built."""
    return [s for s in sources if not s.attachment]


def find_variant(entry: Entry, folder: Path, feature_set: FeatureSet | None = None) -> str | None:
    """The first variant (that holds the feature set) whose needed files all lie in the folder; None: there is none."""
    for variant, sources in entry.variants(feature_set).items():
        if needed(sources) and all((folder / s.file).is_file() for s in needed(sources)):
            return variant
    return None


def locate(catalogue: Catalogue, name: str, feature_set: FeatureSet | None = None) -> Located:
    """Find the source files of a dataset (a registered name), those of one feature set if it is given.

    Raises
    ------
    DatasetMissingError
        With where the dataset comes from, its licence, and the command that would bring it.
    """
    entry = catalogue.entry(name)
    folder = source_folder(catalogue, name, feature_set)
    variant = find_variant(entry, folder, feature_set)
    if variant is None:
        raise DatasetMissingError(missing_message(name, entry, folder, feature_set))
    recorded = {file: known["sha256"] for file, known in recorded_files(folder).items()}
    there = [s for s in entry.variants()[variant] if not s.attachment and (folder / s.file).is_file()]
    hashes = {s.file: s.sha256 or recorded.get(s.file) or digest_file(folder / s.file) for s in there}
    return Located(folder, variant, hashes, all(s.sha256 for s in there))


def check_sources(located: Located) -> None:
    """Compare the files that are read for features with their registered or recorded hashes.

    Raises
    ------
    DataError
        With the file, the hash that was expected and the one that was found.
    """
    for file, expected in located.hashes.items():
        check_hash(located.folder / file, expected)


def check_hash(path: Path, expected: str) -> None:
    """Raise a DataError unless the file is there and has this SHA-256."""
    if not path.is_file():
        raise DataError(f"{path} is not there any more; get the file again")
    found = digest_file(path)
    if found != expected:
        raise DataError(
            f"{path} is not the registered file: its SHA-256 is {found}, expected {expected}; get the file again"
        )


def expected_files(entry: Entry, feature_set: FeatureSet | None = None) -> str:
    """The files that a folder must hold to be the dataset's, alternatives joined by "or"."""
    ways = [" and ".join(s.file for s in needed(v)) for v in entry.variants(feature_set).values()]
    return " or ".join(filter(None, ways))


def can_fetch(entry: Entry, feature_set: FeatureSet | None = None) -> bool:
    """Whether `data fetch` can bring all that is needed of some variant."""
    return any(needed(v) and all(s.url for s in needed(v)) for v in entry.variants(feature_set).values())


def how_to_get(name: str, entry: Entry, feature_set: FeatureSet | None = None) -> str:
    """What to type to bring the dataset here, and what a person has to do before."""
    files, owner = expected_files(entry, feature_set), entry.sources_of or name
    where = f"FOLDER, where FOLDER holds {files}" if files else "FILE, with features, labels and split of your own"
    bring = f"cmrbench data import {owner} --from {where}"
    fetch = f"cmrbench data fetch {owner}" if can_fetch(entry, feature_set) else ""
    by_hand = " ".join(entry.obtain.split()).rstrip(".")
    return "; ".join(filter(None, (by_hand, f"bring it with: {' or '.join(filter(None, (fetch, bring)))}")))


def missing_message(name: str, entry: Entry, folder: Path, feature_set: FeatureSet | None = None) -> str:
    """What to say of a dataset that is not on this machine."""
    origin = entry.homepage or next((s.origin for s in entry.sources if s.origin), "")
    parts = [f"dataset {name!r} ({entry.title}) is not on this machine"]
    if entry.folder is not None:
        return f"{parts[0]}: {folder} should hold {expected_files(entry, feature_set)}"
    if origin:
        parts.append(f"it comes from {origin}")
    parts.append(f"licence: {' '.join(entry.licence.split()).rstrip('.')}")
    parts.append(how_to_get(name, entry, feature_set))
    return "; ".join(parts)
