"""What is to be described: a dataset's texts, or the files of its pictures and sounds."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import DataError
from cmrbench.data.cache import explained
from cmrbench.data.pictures import MAX_PICTURE_BYTES, read_picture

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.data.archives import SourceTree

SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aiff")
VIDEOS = (".mp4", ".avi", ".mkv", ".webm", ".mov")
_NO_JUMPS = re.compile(r"(?P<archive>(?:.+/)?[^/]+\.(?:tgz|tbz2?|txz|tar\.(?:gz|bz2|xz)))/.+", re.IGNORECASE)


def input_kind(dataset: Dataset, modality: str) -> str:
    """What an item of a modality is: ``"text"``, ``"picture"`` or ``"sound"``.

    Raises
    ------
    DataError
        If the feature set has neither texts nor files of it, or they are videos.
    """
    where = f"{dataset.name}/{dataset.feature_set}: {modality}"
    if dataset.texts("train", modality) is not None:
        return "text"
    files = dataset.pictures("train", modality)
    if not files:
        raise DataError(
            f"{where} has neither texts nor files on this machine to make features of; choose a feature set that has "
            "(cmrbench data info)"
        )
    if files[0].lower().endswith(VIDEOS):
        raise DataError(
            f"{where} is videos, which no extractor takes; bring features of them with cmrbench data import"
        )
    return "sound" if files[0].lower().endswith(SOUNDS) else "picture"


class Files:
    """The files behind references, from a source tree; those in compressed tar archives are copied out once.

    Such an archive has no way to jump to a member: read in the order of a split, it would be unpacked from its start
    for every picture.

    Parameters
    ----------
    tree : SourceTree
    """

    def __init__(self, tree: SourceTree) -> None:
        self.tree = tree
        self._copies = Path()
        self._index: dict[str, tuple[int, int]] = {}

    def expect(self, references: Iterable[str], where: str) -> None:
        """Look for all of them before anything is computed.

        Parameters
        ----------
        references : iterable of str
        where : str
            Whose they are, for messages.

        Raises
        ------
        DataError
            With how many are missing, and the first.
        """
        wanted = list(dict.fromkeys(references))
        known = set(self.tree.names())
        missing = [r for r in wanted if r not in known and r.partition("#")[0] not in known]
        if missing:
            raise DataError(
                f"{where}: {len(missing):,} of {len(wanted):,} files are not on this machine, such as {missing[0]}, "
                f"which {self.tree.folder} or an archive in it should hold; bring the archives or folders that do"
            )

    def copy_out(self, references: Iterable[str], copies: Path) -> None:
        """Copy those that lie in compressed tar archives into the file `copies`; its list lies beside it."""
        self._copies = copies
        self._index = self._copied({r for r in references if _archive(r)})

    def read(self, reference: str) -> bytes:
        """The bytes of a file."""
        if reference not in self._index:
            return read_picture(self.tree, reference)
        start, size = self._index[reference]
        with self._copies.open("rb") as copies:
            copies.seek(start)
            return copies.read(size)

    def _copied(self, wanted: set[str]) -> dict[str, tuple[int, int]]:
        if not wanted:
            return {}
        listed = self._copies.with_suffix(".files.json")
        archives = {a: _stamp(self.tree.folder / a) for a in set(map(_archive, wanted))}
        found = self._listed(listed, archives)
        if wanted <= found.keys():
            return found
        found = {}
        with explained(self._copies.parent, "copy pictures"), self._copies.open("wb") as copies:
            for pattern in sorted({f"*{os.path.splitext(r)[1].lower()}" for r in wanted}):
                for name, stream in self.tree.iterate(pattern):
                    if name in wanted:
                        content = stream.read(MAX_PICTURE_BYTES + 1)
                        if len(content) > MAX_PICTURE_BYTES:
                            raise DataError(f"{self.tree.folder / name} has more than {MAX_PICTURE_BYTES:,} bytes")
                        found[name] = (copies.tell(), len(content))
                        copies.write(content)
            copies.flush()
            partial = listed.with_suffix(".partial")
            partial.write_text(json.dumps({"archives": archives, "members": found}), encoding="utf-8")
            os.replace(partial, listed)  # last, so that what is listed is whole
        return found

    def _listed(self, listed: Path, archives: dict[str, list[int]]) -> dict[str, tuple[int, int]]:
        """What has been copied out of these very archives before."""
        try:
            stored = json.loads(listed.read_bytes())
            if any(stored["archives"].get(a) != stamp for a, stamp in archives.items()):
                return {}
            members = {r: (int(a), int(b)) for r, (a, b) in stored["members"].items()}
            whole = self._copies.stat().st_size >= max(a + b for a, b in members.values())
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return members if whole else {}


def _archive(reference: str) -> str:
    """The compressed tar archive in a reference, or nothing."""
    found = _NO_JUMPS.fullmatch(reference)
    return found["archive"] if found else ""


def _stamp(path: Path) -> list[int]:
    known = path.stat() if path.is_file() else None
    return [known.st_size, known.st_mtime_ns] if known else []


@dataclass(frozen=True, eq=False)
class Inputs:
    """The inputs of one modality in one split, by row.

    Attributes
    ----------
    values : sequence of str
        Texts, or references to files.
    ids : sequence of str
    files : Files or None
        None where the values are texts.
    """

    values: Sequence[str]
    ids: Sequence[str]
    files: Files | None = None

    @classmethod
    def of(cls, dataset: Dataset, split: str, modality: str, files: Files | None) -> Inputs:
        """Those of a dataset; texts if `files` is None."""
        told = dataset.texts(split, modality) if files is None else dataset.pictures(split, modality)
        ids = dataset.part(split)[modality].ids
        if told is None or len(told) != len(ids):
            raise DataError(f"{dataset.name}/{dataset.feature_set}: {modality} of {split} lacks texts or files")
        return cls(told, ids.tolist(), files)

    def __len__(self) -> int:
        return len(self.values)

    def read(self, start: int, stop: int) -> list[Any]:
        """Texts, or files' bytes."""
        if self.files is None:
            return list(self.values[start:stop])
        return [self.files.read(reference) for reference in self.values[start:stop]]

    def named(self, row: int) -> str:
        """How a row is called in a message."""
        return f"item {self.ids[row]}" + (f" ({self.values[row]})" if self.files is not None else "")

    def digest(self, start: int, stop: int, batch: int) -> str:
        """A hash of the contents of these rows, read `batch` at a time."""
        return content_digest(self.read(k, min(k + batch, stop)) for k in range(start, stop, batch))


def content_digest(batches: Iterator[Sequence[Any]]) -> str:
    """A hash of inputs, however they are cut into batches."""
    h = hashlib.sha256()
    for chosen in batches:
        add_contents(h, chosen)
    return h.hexdigest()[:16]


def add_contents(h: Any, inputs: Sequence[Any]) -> None:
    """Add inputs to a hash, each with its length."""
    for one in inputs:
        content = one.encode("utf-8", "surrogatepass") if isinstance(one, str) else one
        h.update(len(content).to_bytes(8, "little"))
        h.update(content)
