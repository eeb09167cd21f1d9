"""What an archive may hold: names, kinds and sizes of members, and streams whose errors name the member."""

from __future__ import annotations

import io
import lzma
import re
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from cmrbench.core.errors import DataError

_CHUNK = 1 << 20
# What the standard library raises for bytes that are not what an archive's format says.
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError)


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold.

    Attributes
    ----------
    members : int
        Members of one archive.
    total : int
        Unpacked bytes of one archive.
    ratio, ratio_from : int
        Beyond `ratio_from` unpacked bytes, a member (of a zip) or the stream (of a compressed tar) may be `ratio`
        times as large as it is packed. Real data is far below; what is far above was made to fill disks.
    """

    members: int = 5_000_000
    total: int = 512 << 30
    ratio: int = 1000
    ratio_from: int = 100 << 20


class Admission:
    """Looks at the members of one archive, one after the other, and refuses what no dataset holds.

    Parameters
    ----------
    archive : Path
    limits : Limits
    """

    def __init__(self, archive: Path, limits: Limits) -> None:
        self.archive = archive
        self.limits = limits
        self._names: set[str] = set()
        self._total = 0

    def name(self, raw: str) -> str:
        """The member's name as a relative POSIX path; "" for the archive's top folder.

        Raises
        ------
        DataError
            For a name that would lead out of the archive's folder.
        """
        name = printable(raw.replace("\\", "/"))
        if name.startswith("/") or re.match(r"[A-Za-z]:", name):
            raise self.refusal(raw, "has an absolute path")
        parts = [p for p in name.split("/") if p not in ("", ".")]
        if ".." in parts:
            raise self.refusal(raw, "leads out of the archive's folder ('..')")
        return "/".join(parts)

    def admit(self, name: str, size: int, packed: int | None = None) -> None:
        """Count a plain file.

        Parameters
        ----------
        name : str
            As `name` gave it.
        size : int
            Unpacked bytes, as declared.
        packed : int, optional
            Its bytes in the archive, where they are known.

        Raises
        ------
        DataError
            If the name was there before or a limit is passed.
        """
        if not name:
            raise self.refusal(name, "has no name")
        if name in self._names:
            raise self.refusal(name, "is there twice")
        self._names.add(name)
        if len(self._names) > self.limits.members:
            raise DataError(f"{self.archive} holds more than {self.limits.members:,} files; it is not read")
        self._total += size
        self.check_total(self._total)
        if packed is not None and size > self.limits.ratio_from and size > self.limits.ratio * packed:
            raise self.refusal(name, f"unpacks from {packed:,} to {size:,} bytes, as a decompression bomb does")

    def check_total(self, total: int) -> None:
        """Raise a DataError if the archive unpacks to more bytes than are read."""
        if total > self.limits.total:
            raise DataError(f"{self.archive} unpacks to more than {self.limits.total:,} bytes; it is not read")

    def refusal(self, member: str, what: str) -> DataError:
        """The error for a member that makes the whole archive untrustworthy."""
        return DataError(
            f"{self.archive}: member {member!r} {what}; the archive is not read: get it from the dataset's own home"
        )


class ByHandError(DataError):
    """An archive that only a person can unpack."""

    def __init__(self, archive: Path, why: str) -> None:
        super().__init__(
            f"{archive} {why}: unpack it by hand into {unpacked_folder(archive)} and leave the archive where it is"
        )


def unpacked_folder(archive: Path) -> Path:
    """Where a person unpacks an archive that is not read: ``X`` for ``X.rar``."""
    return archive.with_name(archive.name.rpartition(".")[0])


def printable(name: str) -> str:
    """The name with undecodable bytes (surrogates) taken as Latin-1, so that it can be stored as UTF-8."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("latin-1")
    return name


def is_web_page(head: bytes) -> bool:
    """Whether a file that starts so is HTML: what cloud drives send in the place of a file."""
    start = head[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<script", b"<body", b"<!--"))


def broken(archive: Path, why: object) -> DataError:
    """The error for an archive that cannot be read to its end, with the likeliest reason."""
    try:
        with archive.open("rb") as file:
            head = file.read(1024)
    except OSError:
        head = b""
    if is_web_page(head):
        return DataError(f"{archive} is no archive but a web page; download the file itself, by hand in a browser")
    if not head:
        return DataError(f"{archive} is empty; get it again")
    said = " ".join(str(why).split()).rstrip(".") or type(why).__name__
    return DataError(f"{archive} is damaged or cut off ({said}); get it again")


class Guarded(io.RawIOBase):
    """A member's bytes, forwards only; what is wrong with them is a DataError that names archive and member.

    Parameters
    ----------
    inner : binary stream
    archive : Path
    member : str
    """

    def __init__(self, inner: BinaryIO, archive: Path, member: str) -> None:
        self._inner = inner
        self._archive = archive
        self._member = member

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: object) -> int:
        """Read at most a megabyte into the buffer."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        try:
            got = self._inner.read(min(len(view), _CHUNK))
        except BROKEN as error:
            said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise DataError(
                f"{self._archive}: member {self._member!r} is damaged or cut off ({said}); get the archive again"
            ) from None
        view[: len(got)] = got
        return len(got)

    def close(self) -> None:
        """Close the member; the archive stays open."""
        if not self.closed:
            self._inner.close()
        super().close()


def guarded(inner: BinaryIO, archive: Path, member: str) -> BinaryIO:
    """A buffered `Guarded` stream."""
    return cast(BinaryIO, io.BufferedReader(Guarded(inner, archive, member), 1 << 16))
