"""Fetch: bring a dataset's source files from their homes into the cache."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import DataError, DatasetMissingError, UsageError
from cmrbench.core.hashing import digest_file
from cmrbench.data.archives.folder import BY_HAND
from cmrbench.data.archives.safety import unpacked_folder
from cmrbench.data.cache import cache_root, explained
from cmrbench.data.fetching import terms
from cmrbench.data.fetching.download import Listener, download
from cmrbench.data.fetching.partial import Wanted
from cmrbench.data.lock import source_lock
from cmrbench.data.record import REJECTED, recorded_files, write_record
from cmrbench.data.sources import find_variant, how_to_get, needed, source_folder

if TYPE_CHECKING:
    from cmrbench.data.catalogue import Catalogue, Entry, FeatureSet, Source


@dataclass(frozen=True)
class FetchedFile:
    """One source file in the cache.

    Attributes
    ----------
    file : str
    bytes : int
    sha256 : str
    registered : bool
        Whether the catalogue has this hash; otherwise it is the one of the first fetch.
    new : bool
        Whether it was downloaded now.
    url : str
        Where it was downloaded from; ``""`` for a file that was there.
    """

    file: str
    bytes: int
    sha256: str
    registered: bool
    new: bool
    url: str = ""


@dataclass(frozen=True)
class Fetched:
    """What a fetch has brought.

    Attributes
    ----------
    dataset : str
        Registered name.
    folder : Path
    variant : str
    files : tuple of FetchedFile
    notes : tuple of str
        What was left out or has to be done by hand.
    """

    dataset: str
    folder: Path
    variant: str
    files: tuple[FetchedFile, ...]
    notes: tuple[str, ...] = ()


def fetch_dataset(
    name: str,
    catalogue: Catalogue | None = None,
    *,
    feature_set: str | None = None,
    accept_licence: bool = False,
    attachments: bool = False,
    listener: Listener | None = None,
) -> Fetched:
    """Download the source files of a dataset into ``sources/NAME`` of the cache.

    Files that are there and are the right ones stay. One process at a time fetches a dataset; a second one waits and
    then finds the files.

    Parameters
    ----------
    name : str
        Registered name or alias.
    catalogue : Catalogue, optional
    feature_set : str, optional
        Only the files that hold it, where the dataset comes in several variants.
    accept_licence : bool
        Whether the licence is accepted herewith; not needed where it has been accepted before.
    attachments : bool
        Also files that belong to the dataset but are not read for features.
    listener : Listener, optional
        Hears of progress.

    Returns
    -------
    Fetched

    Raises
    ------
    UsageError
        If the dataset is not one that is fetched, or its licence has not been accepted.
    DatasetMissingError
        If a needed file has no address: whom to ask, and how to bring the file.
    DataError
        If a file cannot be had or written, or is not the registered one.
    """
    if catalogue is None:
        from cmrbench.data.catalogue import load_catalogue

        catalogue = load_catalogue()
    registered = catalogue.resolve(name)
    entry = catalogue.entry(registered)
    if not needs_fetch(entry):
        instead = "made in memory" if entry.builder == "synthetic" else f"read from {source_folder(catalogue, name)}"
        raise UsageError(f"dataset {registered!r} needs no fetch: it is {instead}")
    chosen = entry.feature_set(registered, feature_set)[1] if feature_set else None
    folder = source_folder(catalogue, registered, chosen)
    if cache_root() not in folder.parents:
        shared = find_variant(entry, folder, chosen) or ""
        return Fetched(registered, folder, shared, (), (f"it is in a cache folder that is only read: {folder}",))
    variant = _variant(entry, folder, chosen)
    if variant is None:
        by_hand = how_to_get(registered, entry, chosen)
        raise DatasetMissingError(f"dataset {registered!r} ({entry.title}) cannot be fetched by a program; {by_hand}")
    if accept_licence:
        terms.accept(registered, entry)
    elif not terms.accepted(registered, entry):
        raise UsageError(
            f"the licence of {registered!r} has not been accepted yet ({terms.licence_text(entry).rstrip('.')}); "
            f"accept it with: cmrbench data fetch {registered} --accept-licence"
        )
    sources = [s for s in entry.variants(chosen)[variant] if attachments or not s.attachment]
    owner = entry.sources_of or registered
    said = listener or Listener()
    with source_lock(folder, said.note):
        with explained(folder, "fetch"):
            folder.mkdir(exist_ok=True)
        return _Fetch(registered, owner, entry, folder, said).bring(variant, sources)


def needs_fetch(entry: Entry) -> bool:
    """Whether the dataset's files lie in the cache, and not in a folder of their own or nowhere."""
    return entry.folder is None and entry.builder != "synthetic"


def _variant(entry: Entry, folder: Path, feature_set: FeatureSet | None) -> str | None:
    """The variant to fetch: one that can be had whole, else one in part; of several, that of which least is missing."""

    def missing(sources: list[Source]) -> int:
        return sum(not (folder / s.file).is_file() for s in needed(sources))

    variants = {name: sources for name, sources in entry.variants(feature_set).items() if needed(sources)}
    for enough in (all, any):
        can = {n: v for n, v in variants.items() if enough(s.url or (folder / s.file).is_file() for s in needed(v))}
        if can:
            return min(can, key=lambda n: missing(can[n]))
    return None


class _Fetch:
    """The files of one dataset, one after the other."""

    def __init__(self, name: str, owner: str, entry: Entry, folder: Path, listener: Listener) -> None:
        self.name = name
        self.owner = owner
        self.entry = entry
        self.folder = folder
        self.listener = listener
        self.known = recorded_files(folder)
        self.notes: list[str] = []

    def bring(self, variant: str, sources: list[Source]) -> Fetched:
        files: list[FetchedFile] = []
        missing: list[str] = []
        try:
            for source in sources:
                try:
                    file = self._here(source) or self._download(source)
                except DataError as error:
                    if not source.attachment:
                        raise DataError(f"{error}; {self._way_out()}") from None
                    self._note(f"{error}; the dataset can be used without {source.file}")
                    continue
                if file is not None:
                    files.append(file)
                elif not source.attachment:
                    missing.append(source.file)
                else:
                    self._note(f"{source.file} has no address and is left out; the dataset can be used without it")
        finally:
            if files:  # also what came before a file that did not, or before an interrupt
                self._record(variant, files)
        if missing:
            by_hand = " ".join(self.entry.obtain.split()).rstrip(".") or "see 'cmrbench data info'"
            raise DatasetMissingError(
                f"dataset {self.name!r} is not complete: {' and '.join(missing)} cannot be fetched by a program "
                f"({by_hand}); put it into {self.folder} and run the same command again"
            )
        return Fetched(self.name, self.folder, variant, tuple(files), tuple(self.notes))

    def _here(self, source: Source) -> FetchedFile | None:
        """The file, if it is there and the right one; a wrong one is moved aside."""
        path = self.folder / source.file
        if not path.is_file():
            return None
        if path.is_symlink():
            raise DataError(f"{path} is a symbolic link; put the file itself there")
        known = self.known.get(source.file, {})
        size = path.stat().st_size
        # A record of this size vouches for the content; `data verify` hashes again.
        sha256 = str(known["sha256"]) if known.get("bytes") == size else digest_file(path)
        expected = source.sha256 or known.get("sha256")
        if expected not in (None, sha256):
            kept = path.with_name(path.name + REJECTED)
            with explained(self.folder, f"move {path.name}"):
                path.replace(kept)
            self._note(f"{path.name} was not the expected file (SHA-256 {sha256}, expected {expected}): kept as {kept}")
            return None
        return FetchedFile(source.file, size, sha256, source.sha256 is not None, new=False)

    def _download(self, source: Source) -> FetchedFile | None:
        if not source.url:
            return None
        first = source.sha256 or self.known.get(source.file, {}).get("sha256")
        wanted = Wanted(self.folder / source.file, tuple(source.url), source.bytes, first, source.md5)
        got = download(wanted, self.listener)
        if source.sha256 is None:
            again = "as at the first fetch" if first else "recorded as the one to expect from now on"
            self._note(f"{source.file} has no registered SHA-256: {got.sha256} is {again}")
        if source.file.lower().endswith(BY_HAND):
            inside = unpacked_folder(self.folder / source.file)
            self._note(f"{source.file} is of a kind that is not read: unpack it by hand into {inside}")
        return FetchedFile(source.file, got.bytes, got.sha256, source.sha256 is not None, new=True, url=got.url)

    def _record(self, variant: str, files: list[FetchedFile]) -> None:
        """Write down what is there; files that are gone keep their hash, so that another file is noticed."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        record: dict[str, dict[str, Any]] = dict(self.known)
        for file in files:
            values: dict[str, Any] = {"bytes": file.bytes, "sha256": file.sha256}
            record[file.file] = values | ({"url": file.url, "date": now} if file.new else record.get(file.file, {}))
        with explained(self.folder, "write the record"):
            write_record(self.folder, self.owner, variant, record)

    def _way_out(self) -> str:
        home = f", from {self.entry.homepage}" if self.entry.homepage else ""
        return (
            f"try again later, or download it by hand{home}, and type: cmrbench data import {self.name} --from FOLDER"
        )

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self.listener.note(text)
