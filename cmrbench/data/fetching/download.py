"""Download of one file: resumed where it was cut, retried, from mirrors in order, checked before it is used.

Built on requests, not on ``pooch.retrieve``: that downloads into a file of random name, and deletes it when the
connection is cut or the hash is wrong, so that nothing could be continued or looked at.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cmrbench.core.errors import DataError
from cmrbench.core.hashing import digest_file
from cmrbench.data.archives.safety import is_web_page
from cmrbench.data.cache import explained
from cmrbench.data.fetching.partial import Part, Wanted
from cmrbench.data.fetching.web import Failure, connect, failure_of_transfer, refuse_web_page

if TYPE_CHECKING:
    import requests

_CHUNK = 64 << 10


@dataclass(frozen=True)
class Got:
    """A file that has been downloaded and checked."""

    sha256: str
    bytes: int
    url: str


@dataclass(frozen=True)
class Patience:
    """How often a transfer is tried that gains no further bytes.

    Attributes
    ----------
    tries : int
    wait, longest : float
        Seconds before the second try, doubled from try to try, and at most.
    """

    tries: int = 5
    wait: float = 1.0
    longest: float = 60.0


class Listener:
    """Hears how a download goes; this one says nothing."""

    def position(self, file: str, done: int, total: int | None) -> None:
        """So many bytes of the file are there."""

    def note(self, text: str) -> None:
        """Something that a person should know."""


def download(wanted: Wanted, listener: Listener, patience: Patience | None = None) -> Got:
    """Download a file, from where an earlier call stopped if the server allows it.

    The bytes grow in ``FILE.part``, with a small ``FILE.part.json`` that says of which version of the file they are.
    What turns out to be another file than expected is kept as ``FILE.rejected``.

    Raises
    ------
    DataError
        Says for each address why the file could not be had.
    """
    reasons = []
    for url in wanted.urls:
        try:
            return _from(url, wanted, listener, patience or Patience())
        except Failure as failure:
            reasons.append(f"{url}: {failure}")
            if url != wanted.urls[-1]:
                listener.note(f"{reasons[-1]}; trying the next address")
    raise DataError(f"{wanted.target.name} cannot be fetched from {'; from '.join(reasons)}")


def _from(url: str, wanted: Wanted, listener: Listener, patience: Patience) -> Got:
    part = Part(wanted)
    if not part.belongs_to(url):
        part.clear()
    while True:
        resumed = part.size() > 0
        _complete(url, part, listener, patience)
        sha256 = digest_file(part.path)
        fault = wanted.fault(sha256, part.path)
        if not fault:
            size = part.size()
            part.finish()
            return Got(sha256, size, url)
        if not resumed:
            kept = part.reject()
            raise Failure(f"{fault}; what came is kept as {kept} and is not used")
        listener.note(f"{wanted.target.name}: the continued download is not the file ({fault}); starting again")
        part.clear()


def _complete(url: str, part: Part, listener: Listener, patience: Patience) -> None:
    """Transfer until all bytes are there. As long as tries bring further bytes, there is a next one."""
    farthest, tries, wait = part.size(), 0, patience.wait
    contact = False
    while True:
        try:
            _transfer(url, part, listener)
            return
        except Failure as failure:
            size = part.size()
            contact = contact or failure.contact
            if size > farthest:
                farthest, tries, wait = size, 0, patience.wait
            tries += 1
            if not (failure.passing or (contact and failure.offline)):
                raise
            if tries >= patience.tries:
                raise Failure(f"{failure} (tried {tries} times)") from None
            pause = min(max(wait, failure.wait), patience.longest)
            listener.note(f"{part.wanted.target.name}: {failure}; trying again in {pause:.0f} s")
            time.sleep(pause)
            wait *= 2


def _transfer(url: str, part: Part, listener: Listener) -> None:
    """One request, and all that it brings."""
    if part.is_complete():
        return
    done = part.size()
    with connect(url, part.range_headers()) as response:
        status = response.status_code
        if status == 416 or (status == 206 and not part.goes_on(response)):
            part.clear()
            raise Failure("the file has changed on the server since the download began", passing=True, contact=True)
        if status == 200:
            if done:
                listener.note(f"{part.wanted.target.name}: the download cannot be continued; starting again")
            done = 0
            refuse_web_page(response, part.wanted.target.name)
            part.start(url, response)
        total = part.total()
        part.check_size(total)
        part.check_room((total or 0) - done)
        listener.position(part.wanted.target.name, done, total)
        with explained(part.path.parent, f"write {part.path.name}"), part.opened() as file:
            while chunk := _read(response):
                if done == 0 and is_web_page(chunk) and not part.wanted.target.name.endswith((".html", ".htm")):
                    raise Failure("it sends a web page in the place of the file, as cloud drives do")
                file.write(chunk)
                done += len(chunk)
                part.check_size(done, least=False)
                listener.position(part.wanted.target.name, done, total)
    if total is not None and done < total:
        raise Failure(f"the connection was cut after {done:,} of {total:,} bytes", passing=True, contact=True)
    part.check_size(done)
    if done == 0:
        raise Failure("it is empty", contact=True)


def _read(response: requests.Response) -> bytes:
    import urllib3

    try:
        return bytes(response.raw.read(_CHUNK, decode_content=False))
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise failure_of_transfer(error) from None
