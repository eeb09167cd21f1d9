"""A source folder and what its archives hold, as one tree of names."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol

from cmrbench.core.errors import DataError
from cmrbench.data.archives.folder import BY_HAND, files_in
from cmrbench.data.archives.lines import split_lines
from cmrbench.data.archives.safety import ByHandError, Limits, unpacked_folder
from cmrbench.data.cache import explained

_ZIPS = (".zip",)
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")
_LIMIT = 64 << 20


class Archive(Protocol):
    """What the tree needs of an archive."""

    path: Path

    def names(self) -> Collection[str]: ...  # noqa: D102
    def size(self, name: str) -> int: ...  # noqa: D102
    def open(self, name: str) -> BinaryIO: ...  # noqa: D102
    def iterate(self, wanted: Collection[str]) -> Iterator[tuple[str, BinaryIO]]: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class SourceTree:
    """The files of a source folder, those in its zip and tar archives included, by POSIX path.

    ``Groundtruth.zip/Groundtruth/AllLabels/Labels_sky.txt`` is a member of an archive, ``notes/list.txt`` a plain
    file. Nothing is unpacked. Archives are opened and checked when names are first asked for; archives within
    archives are files like others. Hidden files and what a download has left unfinished are not seen.

    Parameters
    ----------
    folder : Path
    files : sequence of str, optional
        Look only into these files and folders of it; those that are not there are left out.
    limits : Limits, optional

    Raises
    ------
    DataError
        From every method: names the file (and the member), what is wrong with it and what to do.
    """

    def __init__(self, folder: Path, files: Sequence[str] | None = None, limits: Limits | None = None) -> None:
        self.folder = Path(folder)
        self._files = files
        self._limits = limits or Limits()
        self._plain: dict[str, Path] | None = None
        self._archives: dict[str, Archive] = {}
        self._by_hand: set[str] = set()
        self._by_last: dict[str, list[str]] | None = None
        self._copies: dict[tuple[str, Path], Path] = {}

    def __enter__(self) -> SourceTree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the archives."""
        for archive in self._archives.values():
            archive.close()
        self._archives, self._plain, self._by_last = {}, None, None

    def names(self) -> tuple[str, ...]:
        """All names: files of the folder in alphabetic order, members of an archive in its own order."""
        return tuple(name for top in self._tops() for name in self._below(top))

    def find_all(self, pattern: str) -> list[str]:
        """The names whose last components match, in alphabetic order.

        Parameters
        ----------
        pattern : str
            ``Labels_sky.txt``, ``AllLabels/Labels_*.txt``: one shell pattern a component, upper and lower case alike.
            What macOS adds to archives (``__MACOSX``, ``._x``) never matches.
        """
        return sorted(self._matches(pattern))

    def find(self, pattern: str) -> str:
        """The one name whose last components match; see `find_all`."""
        found = self.find_all(pattern)
        if len(found) == 1:
            return found[0]
        if found:
            shown = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
            raise DataError(f"{self.folder}: several files match {pattern!r}: {shown}; leave one of them there")
        if self._by_hand:
            unread = self.folder / min(self._by_hand)
            raise DataError(
                f"{self.folder} holds no file {pattern!r}, but {unread.name}, which is not read: unpack it by hand "
                f"into {unpacked_folder(unread)} and leave the archive where it is"
            )
        tops = self._tops()
        shown = ", ".join(tops[:5]) + (f" and {len(tops) - 5} more" if len(tops) > 5 else "")
        raise DataError(f"{self.folder} holds no file {pattern!r}; it holds {shown or 'nothing'}")

    def has(self, pattern: str) -> bool:
        """Whether any name matches; see `find_all`."""
        return bool(self._matches(pattern))

    def size(self, name: str) -> int:
        """Bytes of a file, as its archive declares them."""
        archive, member = self._place(name)
        return archive.size(member) if archive else self._everything()[name].stat().st_size

    def open(self, name: str) -> BinaryIO:
        """A stream of the file's bytes; read those of archive members forwards only, and close them.

        Members of a compressed tar cost a pass from its start unless they are opened in its order and closed: use
        `iterate` for many.
        """
        archive, member = self._place(name)
        if archive is not None:
            return archive.open(member)
        path = self._everything()[name]
        try:
            return path.open("rb")
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None

    def lines(self, name: str, encoding: str = "utf-8") -> Iterator[str]:
        r"""The lines of a text file without their ends (``\n``, ``\r\n`` or ``\r``) and without a byte-order mark.

        A line that is longer than 1 MiB or does not decode is a DataError with its number.
        """
        with self.open(name) as stream:
            yield from split_lines(stream, f"{self.folder / name}", encoding)

    def read(self, name: str, limit: int = _LIMIT) -> bytes:
        """All bytes of a file that has at most `limit`."""
        with self.open(name) as stream:
            content = stream.read(limit + 1)
        if len(content) > limit:
            raise DataError(f"{self.folder / name} has more than {limit:,} bytes; it is not what was expected there")
        return content

    def json(self, name: str, limit: int = _LIMIT) -> Any:
        """The content of a JSON file of at most `limit` bytes."""
        try:
            return json.loads(self.read(name, limit), parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.folder / name} is not JSON: {error}") from None

    def path(self, name: str, scratch: Path) -> Path:
        """A real file: the plain file itself, or a copy of the archive's member in `scratch`."""
        archive, _ = self._place(name)
        if archive is None:
            return self._everything()[name]
        known = self._copies.get((name, scratch))
        if known is not None and known.exists():
            return known
        base = re.sub(r"[^A-Za-z0-9._-]", "_", name.rpartition("/")[2])[-100:]
        copy = scratch / f"member-{len(self._copies)}-{base}"
        with self.open(name) as stream, explained(scratch, f"copy {name}"), copy.open("xb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)
        self._copies[name, scratch] = copy
        return copy

    def iterate(self, pattern: str) -> Iterator[tuple[str, BinaryIO]]:
        """Every file that matches, with a stream that is closed at the next step, in the order of `names`.

        One pass over each archive, whatever its kind.
        """
        wanted = set(self._matches(pattern))
        for top in self._tops():
            archive = self._archives.get(top)
            if archive is not None:
                start = len(top) + 1
                members = {n[start:] for n in wanted if n.startswith(f"{top}/")}
                if members:
                    for member, stream in archive.iterate(members):
                        yield f"{top}/{member}", stream
            elif top in wanted:
                with self.open(top) as stream:
                    yield top, stream

    def _everything(self) -> dict[str, Path]:
        """Every file of the folder, archives that are not read included; archives are opened and checked."""
        if self._plain is None:
            plain = files_in(self.folder, self._files)
            if len(plain) > self._limits.members:
                raise DataError(f"{self.folder} holds more than {self._limits.members:,} files")
            self._by_hand = {name for name in plain if name.lower().endswith(BY_HAND)}
            try:
                todo = list(plain.items())
                while todo:
                    name, path = todo.pop()
                    kind = _kind(name)
                    unpacked = self._opened(name, path, kind) if kind is not None else {}
                    todo += [(n, p) for n, p in unpacked.items() if n not in plain]
                    plain.update(unpacked)
            except BaseException:
                self.close()
                raise
            self._plain = dict(sorted(plain.items()))
        return self._plain

    def _opened(self, name: str, path: Path, kind: Callable[[Path, Limits], Archive]) -> dict[str, Path]:
        """Open an archive; gives the files of the folder into which a person has unpacked one that cannot be read."""
        try:
            self._archives[name] = kind(path, self._limits)
        except ByHandError:
            unpacked = unpacked_folder(path)
            if not unpacked.is_dir():
                raise
            self._by_hand.add(name)
            return files_in(self.folder, [unpacked.relative_to(self.folder).as_posix()])
        return {}

    def _tops(self) -> list[str]:
        """Plain files and archives, in alphabetic order."""
        return [name for name in self._everything() if name not in self._by_hand]

    def _below(self, top: str) -> Iterator[str]:
        archive = self._archives.get(top)
        if archive is None:
            yield top
        else:
            yield from (f"{top}/{member}" for member in archive.names())

    def _place(self, name: str) -> tuple[Archive | None, str]:
        """The archive that holds the name, and the member's name in it."""
        plain = self._everything()
        if name in plain and name not in self._archives:
            return None, name
        parts = name.split("/")
        for i in range(1, len(parts)):
            archive, member = self._archives.get("/".join(parts[:i])), "/".join(parts[i:])
            if archive is not None and member in archive.names():
                return archive, member
        raise DataError(f"{self.folder} holds no file {name!r}; names are those of find and names")

    def _matches(self, pattern: str) -> list[str]:
        parts = [_folded(p) for p in pattern.split("/")]
        if not all(parts):
            raise DataError(f"{pattern!r} is no file name or pattern")
        if self._by_last is None:
            by_last: dict[str, list[str]] = {}
            for name in self.names():
                last = _folded(name.rpartition("/")[2])
                if not last.startswith("._") and "__MACOSX" not in name:
                    by_last.setdefault(last, []).append(name)
            self._by_last = by_last
        if _is_literal(parts[-1]):
            candidates = self._by_last.get(parts[-1], [])
        else:
            match = re.compile(fnmatch.translate(parts[-1])).match
            candidates = [name for last, names in self._by_last.items() if match(last) for name in names]
        return [name for name in candidates if _tail_matches(name, parts[:-1])]


def _kind(name: str) -> Callable[[Path, Limits], Archive] | None:
    """The class that reads an archive of this name; None: a plain file."""
    from cmrbench.data.archives.tars import Tar
    from cmrbench.data.archives.zips import Zip

    lower = name.lower()
    return Zip if lower.endswith(_ZIPS) else Tar if lower.endswith(_TARS) else None


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON number")


def _folded(text: str) -> str:
    """For comparing: case and the two ways to write an accented letter make no difference."""
    return unicodedata.normalize("NFC", text).casefold()


def _is_literal(part: str) -> bool:
    return not any(c in part for c in "*?[")


def _tail_matches(name: str, parts: list[str]) -> bool:
    """Whether the components before the last one match."""
    if not parts:
        return True
    before = name.split("/")[:-1]
    if len(before) < len(parts):
        return False
    return all(fnmatch.fnmatchcase(_folded(b), p) for b, p in zip(before[-len(parts) :], parts, strict=True))
