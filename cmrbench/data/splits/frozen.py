"""Frozen splits: lists of ids in a folder, one text file a split, with a record of how they were drawn.

A folder holds ``train.txt`` with an instance id a line (all items of these instances), or ``train.image.txt`` with an
item id a line, and likewise for ``val``, ``query`` and ``gallery``. Those of the cache lie in
``splits/NAME/SPLIT/``, with ``split.json``.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.dataset import SPLITS
from cmrbench.core.errors import DataError
from cmrbench.data.cache import cache_roots, read_versioned

if TYPE_CHECKING:
    from cmrbench.data.catalogue import NamedSplit

RECORD = "split.json"
FORMAT = 1
MAX_LIST_BYTES = 256 << 20
_FILE = re.compile(r"(?P<split>[a-z]+)(\.(?P<modality>[a-z0-9][a-z0-9_.-]*))?\.txt")
_KEYS = ("format", "dataset", "split", "feature_set", "scheme", "created", "sources", "sizes", "files")


def frozen_splits(name: str) -> dict[str, tuple[NamedSplit, Path]]:
    """The frozen splits of a dataset (a registered name) in the cache, by name, each with its folder."""
    from cmrbench.data.catalogue import NamedSplit

    found: dict[str, tuple[NamedSplit, Path]] = {}
    for root in cache_roots():
        for record in sorted((root / "splits" / name).glob(f"*/{RECORD}")):
            folder = record.parent
            if folder.name not in found and not folder.name.startswith("."):
                scheme = {"kind": "ids", "file": folder.name}
                split = NamedSplit.model_validate({"summary": summary(read_record(folder)), "scheme": scheme})
                found[folder.name] = split, folder
    return found


def read_record(folder: Path) -> dict[str, Any]:
    """What ``split.json`` says of a frozen split.

    Raises
    ------
    DataError
        If it is damaged or of another version.
    """
    path = folder / RECORD
    remedy = "delete its folder and draw the split again"
    record = read_versioned(path, FORMAT, _KEYS, remedy)
    try:
        values: dict[str, Any] = {key: record[key] for key in _KEYS}
        values["files"] = {str(n): str(f["sha256"]) for n, f in values["files"].items()}
        summary(values)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{path} is damaged; {remedy}") from None
    return values


def summary(record: Mapping[str, Any]) -> str:
    """One sentence on how a frozen split was made."""
    scheme = record["scheme"]
    if "from" in scheme:
        return f"brought from {scheme['from']} on {record['created'][:10]}"
    from pydantic import TypeAdapter

    from cmrbench.data.splits.models import Scheme

    return f"{TypeAdapter[Scheme](Scheme).validate_python(scheme)}; frozen on {record['created'][:10]}"


def read_lists(folder: Path) -> dict[str, dict[str, list[str]]]:
    """The lists of a folder by split and modality; the modality ``""`` holds instance ids.

    Raises
    ------
    DataError
        If there is none, a file is not text of one id a line, or the lists are not those that were frozen.
    """
    lists: dict[str, dict[str, list[str]]] = {}
    known = read_record(folder)["files"] if (folder / RECORD).exists() else None
    for path, split, modality in _files(folder):
        content = _content(path)
        if known is not None and known.get(path.name) != hashlib.sha256(content).hexdigest():
            raise DataError(f"{path} is not the list that was frozen: its SHA-256 has changed; bring the split again")
        lists.setdefault(split, {})[modality] = _lines(content, path)
    if known is not None and len(known) != sum(map(len, lists.values())):
        raise DataError(f"{folder} does not hold the {len(known)} lists that {RECORD} names; bring the split again")
    return lists


def lists_digest(folder: Path) -> str:
    """SHA-256 over names and bytes of the lists of a folder."""
    h = hashlib.sha256()
    for path, _, _ in _files(folder):
        content = _content(path)
        h.update(f"{path.name}|{len(content)}\n".encode())
        h.update(content)
    return h.hexdigest()


def _files(folder: Path) -> list[tuple[Path, str, str]]:
    """The lists in a folder with their splits and modalities, by name."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; expected one with train.txt, query.txt and so on")
    found = []
    for path in sorted(folder.glob("*.txt")):
        match = _FILE.fullmatch(path.name)
        if not match or match["split"] not in SPLITS:
            raise DataError(
                f"{path} is not named like a list of ids; expected SPLIT.txt or SPLIT.MODALITY.txt with a split out of "
                f"{', '.join(SPLITS)}"
            )
        found.append((path, match["split"], match["modality"] or ""))
    if not found:
        raise DataError(f"{folder} holds no list of ids; expected train.txt, query.txt and so on")
    return found


def _content(path: Path) -> bytes:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path} is not a plain file; name a folder that holds the lists themselves")
        if status.st_size > MAX_LIST_BYTES:
            raise DataError(f"{path} has {status.st_size:,} bytes; at most {MAX_LIST_BYTES:,} are read")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def _lines(content: bytes, path: Path) -> list[str]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path} line {place} is not UTF-8; expected one id a line") from None
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise DataError(f"{path} line {number} is empty; expected one id a line")
    if not lines:
        raise DataError(f"{path} is empty; leave a split without items out")
    return lines


def write_lists(lists: Mapping[str, Mapping[str, Sequence[str]]], folder: Path) -> dict[str, dict[str, Any]]:
    """Write the lists into a folder; returns the number of ids and the SHA-256 of each file.

    Raises
    ------
    DataError
        If an id holds a line break, which a list of lines cannot keep.
    """
    written = {}
    for split, by_modality in lists.items():
        for modality, ids in by_modality.items():
            bad = next((name for name in ids if not name.strip() or re.search(r"[\r\n]", name)), None)
            if bad is not None:
                raise DataError(f"the id {bad!r} of {split} cannot stand on a line of its own; give such items others")
            content = "".join(f"{name}\n" for name in ids).encode()
            path = folder / ".".join(filter(None, (split, modality, "txt")))
            path.write_bytes(content)
            written[path.name] = {"ids": len(ids), "sha256": hashlib.sha256(content).hexdigest()}
    return written
