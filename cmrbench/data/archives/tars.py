"""Tar archives: by offset where they are not compressed, else in passes from the start."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from cmrbench.core.errors import DataError
from cmrbench.data.archives.safety import BROKEN, Admission, Limits, broken, guarded

_CHUNK = 1 << 20
# tarfile reads a header, however long it says it is, in one call.
_LONGEST_HEADER = 16 << 20


class _Member(NamedTuple):
    order: int
    offset: int
    size: int


@dataclass
class _Pass:
    """A walk through a compressed tar that stands at a member whose stream has been lent."""

    members: Generator[tuple[str, BinaryIO], None, None]
    order: int = -1
    lent: BinaryIO | None = None


class _Info(tarfile.TarInfo):
    """A header; one that is missing or damaged is an error, where tarfile takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> _Info:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.HeaderError as error:
            if isinstance(error, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
                raise
            raise tarfile.ReadError(str(error) or "the end mark is missing") from None


class _Forward(io.RawIOBase):
    """The tar stream, decompressed where it must be, as far as it stays within the limits."""

    def __init__(self, path: Path, admission: Admission) -> None:
        self._admission = admission
        self._raw = path.open("rb")
        self._packed = compression(path)
        if self._packed == "gz":
            self._stream = cast(BinaryIO, gzip.GzipFile(fileobj=self._raw))
        elif self._packed == "bz2":
            self._stream = cast(BinaryIO, bz2.BZ2File(self._raw))
        elif self._packed == "xz":
            self._stream = cast(BinaryIO, lzma.LZMAFile(self._raw))  # noqa: SIM115
        else:
            self._stream = self._raw
        self._position = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0 or size > _LONGEST_HEADER:
            raise tarfile.ReadError("a header is too long")
        got = self._stream.read(size)
        self._position += len(got)
        if self._packed:
            limits = self._admission.limits
            self._admission.check_total(self._position)
            if self._position > limits.ratio_from and self._position > limits.ratio * self._raw.tell():
                raise DataError(
                    f"{self._admission.archive} unpacks to more than {limits.ratio} times its size, as a decompression "
                    "bomb does; it is not read"
                )
        return got

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence != 0:
            raise tarfile.StreamError("the stream is read forwards only")
        if not self._packed:
            self._position = self._stream.seek(offset)
            return self._position
        if offset < self._position:
            raise tarfile.StreamError("the stream is read forwards only")
        while self._position < offset and self.read(min(_CHUNK, offset - self._position)):
            pass
        return self._position

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._raw.close()
        super().close()


class Tar:
    """A tar archive that has been walked through once and checked.

    A compressed one has no directory and no way to jump: opening members in archive order, each closed before the
    next, is one more pass; any other order starts again from the front each time.

    Parameters
    ----------
    path : Path
    limits : Limits

    Raises
    ------
    DataError
        With archive and member, for what `Admission` refuses, links, devices, sparse members, and files that are
        damaged or cut off.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self._limits = limits
        self._members: dict[str, _Member] = {}
        self._passes: list[_Pass] = []
        with self._walk() as (tar, forward):
            admission = Admission(path, limits)
            try:
                for info in _infos(tar):
                    name = admission.name(info.name)
                    if _is_file(info, name, admission):
                        admission.admit(name, info.size)
                        self._members[name] = _Member(len(self._members), info.offset_data, info.size)
                self._check_rest(forward)
            except BROKEN as error:
                raise broken(path, error) from None

    @contextmanager
    def _walk(self) -> Iterator[tuple[tarfile.TarFile, _Forward]]:
        try:
            forward = _Forward(self.path, Admission(self.path, self._limits))
        except OSError as error:
            raise broken(self.path, error) from None
        try:
            try:
                tar = tarfile.open(fileobj=forward, mode="r:", tarinfo=_Info)  # noqa: SIM115
            except BROKEN as error:
                raise broken(self.path, error) from None
            yield tar, forward
        finally:
            forward.close()

    def _check_rest(self, forward: _Forward) -> None:
        """Read what follows the end mark: padding, up to the checksum of the compressed stream."""
        while rest := forward.read(_CHUNK):
            if rest.strip(b"\0"):
                raise DataError(f"{self.path} goes on after its end mark; it is damaged: get it again")

    def names(self) -> Collection[str]:
        """Names of the plain files, in archive order."""
        return self._members.keys()

    def size(self, name: str) -> int:
        """Unpacked bytes of a member."""
        return self._members[name].size

    def open(self, name: str) -> BinaryIO:
        """The member's bytes."""
        member = self._members[name]
        if not compression(self.path):
            return guarded(cast(BinaryIO, _Window(self.path, member)), self.path, name)
        idle = [p for p in self._passes if p.lent is None or p.lent.closed]
        passing = max((p for p in idle if p.order < member.order), key=lambda p: p.order, default=None)
        for ended in idle:
            if ended is not passing:
                ended.members.close()
                self._passes.remove(ended)
        if passing is None:
            passing = _Pass(self.iterate(self._members))
            self._passes.append(passing)
        for found, stream in passing.members:
            if found == name:
                passing.order, passing.lent = member.order, stream
                return stream
        raise DataError(f"{self.path} has changed while it was read: member {name!r} is gone")

    def iterate(self, wanted: Collection[str]) -> Generator[tuple[str, BinaryIO], None, None]:
        """The wanted members with their streams, in archive order; a stream is closed at the next step."""
        admission = Admission(self.path, self._limits)
        with self._walk() as (tar, _):
            infos = _infos(tar)
            while True:
                try:
                    info = next(infos, None)
                except BROKEN as error:
                    raise broken(self.path, error) from None
                if info is None:
                    return
                name = admission.name(info.name)
                if name in wanted and info.isreg():
                    inner = tar.extractfile(info)
                    with guarded(cast(BinaryIO, inner), self.path, name) as stream:
                        yield name, stream

    def close(self) -> None:
        """End the passes under way."""
        for passing in self._passes:
            passing.members.close()
        self._passes.clear()


class _Window(io.RawIOBase):
    """The bytes of one member of a tar that is not compressed."""

    def __init__(self, path: Path, member: _Member) -> None:
        self._file = path.open("rb")
        self._file.seek(member.offset)
        self._left = member.size

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        got = self._file.read(wanted)
        if len(got) < wanted:
            raise EOFError("unexpected end of data")
        self._left -= len(got)
        return got

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def compression(path: Path) -> str:
    """How a tar archive of that name is compressed: "gz", "bz2", "xz", or "" for not at all."""
    name = path.name.lower()
    for ends, kind in (((".gz", ".tgz"), "gz"), ((".bz2", ".tbz2", ".tbz"), "bz2"), ((".xz", ".txz"), "xz")):
        if name.endswith(ends):
            return kind
    return ""


def _infos(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Headers in order. tarfile would keep all of them: millions are gigabytes."""
    while (info := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]
        yield info


def _is_file(info: tarfile.TarInfo, name: str, admission: Admission) -> bool:
    if info.isdir():
        return False
    if info.issym() or info.islnk():
        raise admission.refusal(name, f"is a link (to {info.linkname!r})")
    if not info.isreg():
        raise admission.refusal(name, "is a device or another special file")
    if info.issparse():
        raise admission.refusal(name, "is a sparse file")
    return True
