"""Zip archives: members by name, in any order."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from cmrbench.core.errors import DataError
from cmrbench.data.archives.safety import Admission, ByHandError, Limits, broken, guarded

_UTF8 = 0x800
_ENCRYPTED = 0x1
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_METHOD_NAMES = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES"}


class Zip:
    """A zip archive whose directory has been checked.

    Parameters
    ----------
    path : Path
    limits : Limits

    Raises
    ------
    DataError
        With archive and member, for what `Admission` refuses, links, devices, encrypted members, unknown compression
        and files that are damaged or cut off.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise broken(path, error) from None
        try:
            self._members = self._check(Admission(path, limits))
        except BaseException:
            self._zip.close()
            raise

    def _check(self, admission: Admission) -> dict[str, zipfile.ZipInfo]:
        members = {}
        packed = 0
        for info in self._zip.infolist():
            name = admission.name(_decoded(info))
            self._refuse_kind(info, name, admission)
            if info.is_dir():
                continue
            admission.admit(name, info.file_size, info.compress_size)
            packed += info.compress_size
            members[name] = info
        if packed > self.path.stat().st_size:
            raise DataError(f"{self.path}: members overlap, as in a decompression bomb; the archive is not read")
        return members

    def _refuse_kind(self, info: zipfile.ZipInfo, name: str, admission: Admission) -> None:
        # The upper half of the external attributes is the Unix mode; 0 where the archive was made elsewhere.
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind == stat.S_IFLNK:
            raise admission.refusal(name, "is a symbolic link")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise admission.refusal(name, "is a device or another special file")
        if info.flag_bits & _ENCRYPTED:
            raise ByHandError(self.path, f"holds an encrypted member, {name!r}")
        if info.compress_type not in _METHODS:
            method = _METHOD_NAMES.get(info.compress_type, f"number {info.compress_type}")
            raise ByHandError(
                self.path, f"holds a member that is packed by the method {method}, {name!r}, which is not read"
            )

    def names(self) -> Collection[str]:
        """Names of the plain files, in archive order."""
        return self._members.keys()

    def size(self, name: str) -> int:
        """Unpacked bytes of a member."""
        return self._members[name].file_size

    def open(self, name: str) -> BinaryIO:
        """The member's bytes. Its CRC is compared when they have been read to the end."""
        try:
            inner = self._zip.open(self._members[name])
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
            raise DataError(f"{self.path}: member {name!r} is damaged or cut off ({error}); get it again") from None
        return guarded(cast(BinaryIO, inner), self.path, name)

    def iterate(self, wanted: Collection[str]) -> Iterator[tuple[str, BinaryIO]]:
        """The wanted members with their streams, in archive order; a stream is closed at the next step."""
        for name in self._members:
            if name in wanted:
                with self.open(name) as stream:
                    yield name, stream

    def close(self) -> None:
        """Close the file."""
        self._zip.close()


def _decoded(info: zipfile.ZipInfo) -> str:
    """The name; bytes that are not marked as UTF-8 but are UTF-8 are read so, instead of as code page 437."""
    name = info.orig_filename
    if info.flag_bits & _UTF8 or name.isascii():
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name
