"""Licences and terms of use: shown before a download, and accepted once by the person whose cache it is."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.hashing import digest
from cmrbench.data.cache import cache_root, explained, write_whole

if TYPE_CHECKING:
    from cmrbench.data.catalogue import Entry

FILE = "terms.json"


def licence_text(entry: Entry) -> str:
    """The licence as one paragraph, so that another line break in the catalogue is no other licence."""
    return " ".join(entry.licence.split())


def accepted(name: str, entry: Entry) -> bool:
    """Whether the licence of a dataset (a registered name), as it is worded now, has been accepted here."""
    known = _read(cache_root() / FILE).get(name)
    return isinstance(known, dict) and known.get("licence_digest") == _digest(entry)


def accept(name: str, entry: Entry) -> None:
    """Write down that the licence has been accepted, as it is worded now, and when.

    Raises
    ------
    DataError
        If the cache cannot be written.
    """
    from filelock import FileLock

    root = cache_root()
    path = root / FILE
    with explained(root, "write down the accepted licence"):
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{FILE}.lock"):
            known = _read(path)
            known[name] = {
                "licence_digest": _digest(entry),
                "licence": licence_text(entry),
                "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            }
            write_whole(path, json.dumps(known, indent=1, ensure_ascii=False), "write down the accepted licence")


def _digest(entry: Entry) -> str:
    return digest(licence_text(entry), length=64)


def _read(path: Path) -> dict[str, Any]:
    """What was accepted. A file that cannot be read accepts nothing: the worst that happens is a second question."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
