"""The unfinished part of a download, and what is known of the version of the file that it belongs to."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from cmrbench.core.errors import DataError
from cmrbench.core.hashing import digest_file
from cmrbench.data.cache import explained
from cmrbench.data.fetching.web import Failure, length_of
from cmrbench.data.record import PART, REJECTED, STATE

if TYPE_CHECKING:
    import requests

MAX_BYTES = 256 << 30


@dataclass(frozen=True)
class Wanted:
    """A file to download.

    Attributes
    ----------
    target : Path
        Where it will lie.
    urls : tuple of str
        Tried in this order.
    bytes, sha256 : optional
        As registered, or as recorded when the file was first fetched.
    md5 : str, optional
        As its makers publish it, where nobody states a SHA-256.
    """

    target: Path
    urls: tuple[str, ...]
    bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None

    def fault(self, sha256: str, path: Path) -> str:
        """How a downloaded file differs from what was expected; empty if it does not."""
        if self.sha256 is not None:
            return "" if sha256 == self.sha256 else f"its SHA-256 is {sha256}, expected {self.sha256}"
        md5 = digest_file(path, "md5") if self.md5 is not None else None
        return "" if md5 == self.md5 else f"its MD5 is {md5}, expected {self.md5}"


@dataclass
class _State:
    """Of which version of the file the bytes in the part are."""

    url: str = ""
    etag: str = ""
    modified: str = ""
    total: int | None = None


class Part:
    """The unfinished file and its state.

    Parameters
    ----------
    wanted : Wanted
    """

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.path = wanted.target.with_name(wanted.target.name + PART)
        self._state_path = wanted.target.with_name(wanted.target.name + STATE)
        self._state = self._read_state()
        if self.path.is_symlink() or not self._state.url:
            self.clear()

    def _read_state(self) -> _State:
        try:
            known = json.loads(self._state_path.read_bytes())
            state = _State(**known)
        except (OSError, ValueError, TypeError):
            return _State()
        texts = (state.url, state.etag, state.modified)
        sound = all(isinstance(t, str) for t in texts) and isinstance(state.total, (int, type(None)))
        return state if sound else _State()

    def size(self) -> int:
        """Bytes that are there."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def total(self) -> int | None:
        """Bytes that the whole file has, where they are known."""
        return self._state.total if self._state.total is not None else self.wanted.bytes

    def is_complete(self) -> bool:
        """Whether all bytes are there."""
        return self.total() is not None and self.size() == self.total()

    def belongs_to(self, url: str) -> bool:
        """Whether a download from there can go on with these bytes. Across mirrors only the hash can prove them."""
        return self.wanted.sha256 is not None or (url == self._state.url and bool(self._validator()))

    def _validator(self) -> str:
        # A weak ETag promises the same meaning, not the same bytes.
        return self._state.modified if self._state.etag.startswith("W/") else self._state.etag or self._state.modified

    def range_headers(self) -> dict[str, str]:
        """What asks for the rest, provided that the file is still the same one."""
        done = self.size()
        if done == 0 or not self.belongs_to(self._state.url):
            return {}
        headers = {"Range": f"bytes={done}-"}
        if self._validator():
            headers["If-Range"] = self._validator()
        return headers

    def goes_on(self, response: requests.Response) -> bool:
        """Whether a partial answer continues these bytes: some servers send parts of a changed file."""
        if self.size() == 0:
            return False
        unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
        where, _, total = rest.partition("/")
        if unit != "bytes" or where.partition("-")[0] != str(self.size()):
            return False
        if total != "*" and self._state.total is not None and total != str(self._state.total):
            return False
        etag, modified = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
        return not (
            (etag and self._state.etag and etag != self._state.etag)
            or (modified and self._state.modified and modified != self._state.modified)
        )

    def start(self, url: str, response: requests.Response) -> None:
        """Forget what was there and begin with this answer."""
        self.clear()
        headers = response.headers
        self._state = _State(url, headers.get("ETag", ""), headers.get("Last-Modified", ""), length_of(response))
        with explained(self.path.parent, f"write {self.path.name}"):
            self._state_path.write_text(json.dumps(asdict(self._state)), encoding="utf-8")

    def opened(self) -> BinaryIO:
        """The part, to append to; never through a link."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        return open(os.open(self.path, flags, 0o644), "ab")

    def check_size(self, size: int | None, least: bool = True) -> None:
        """Refuse a file that is larger than expected (or, with `least`, of any other size)."""
        expected = self.wanted.bytes
        if size is None or (expected is not None and (size == expected or (not least and size < expected))):
            return
        if expected is not None:
            self.clear()
            raise Failure(f"it has {size:,} bytes, expected {expected:,}: it is not the registered file")
        if size > MAX_BYTES:
            self.clear()
            raise Failure(f"it has more than {MAX_BYTES:,} bytes, the most that is fetched")

    def check_room(self, more: int) -> None:
        """Raise a DataError if the disk has no room for so many more bytes."""
        free = shutil.disk_usage(self.path.parent).free
        if more > free:
            raise DataError(
                f"cannot fetch {self.wanted.target.name} into {self.path.parent}: it needs {more:,} more bytes and "
                f"{free:,} are free; free some space, or name another cache folder in CMRBENCH_DATA"
            )

    def finish(self) -> None:
        """Give the complete part its name, in one step."""
        with explained(self.path.parent, f"write {self.wanted.target.name}"):
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(self.path, self.wanted.target)
            self._state_path.unlink(missing_ok=True)

    def reject(self) -> str:
        """Keep what came under a name that nothing reads."""
        kept = self.wanted.target.with_name(self.wanted.target.name + REJECTED)
        os.replace(self.path, kept)
        self._state_path.unlink(missing_ok=True)
        return str(kept)

    def clear(self) -> None:
        """Delete the part."""
        with explained(self.path.parent, f"write {self.path.name}"):
            self.path.unlink(missing_ok=True)
            self._state_path.unlink(missing_ok=True)
        self._state = _State()
