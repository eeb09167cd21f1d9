"""Readers of the emoji list (emoji-test.txt) and of the CLDR annotations: names and keywords in many languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from cmrbench.core.errors import DataError

_LINE = re.compile(r"([0-9A-F ]+?)\s+; fully-qualified\s+# (\S+) E([\d.]+) (.*)")
_SKIN_TONES = range(0x1F3FB, 0x1F3FF + 1)
_VARIATION_SELECTOR = "\ufe0f"


@dataclass(frozen=True)
class Emoji:
    """One line of emoji-test.txt."""

    id: str  # code points in hexadecimal, joined by hyphens
    char: str
    name: str
    subgroup: str


@dataclass(frozen=True)
class Annotation:
    """What CLDR says of a character in one language."""

    name: str | None
    keywords: tuple[str, ...]

    def joined(self) -> str:
        """Name and keywords between bars, the name first."""
        return " | ".join(([self.name] if self.name else []) + list(self.keywords))


def read_emoji(path: Path) -> Iterator[Emoji]:
    """The fully qualified emoji in the file's order, without those that only add a skin tone."""
    subgroup = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# subgroup:"):
            subgroup = line.removeprefix("# subgroup:").strip()
        found = _LINE.match(line)
        if not found:
            continue
        points = found[1].split()
        if any(int(point, 16) in _SKIN_TONES for point in points):
            continue
        char = "".join(chr(int(point, 16)) for point in points)
        yield Emoji("-".join(points), char, found[4], subgroup)


def read_annotations(folder: Path, language: str) -> dict[str, Annotation]:
    """Character (without variation selectors) to its annotation in one language.

    Parameters
    ----------
    folder
        CLDR's folder ``common``.
    language
        A file name without its ending, such as ``"de"``.
    """
    names: dict[str, str | None] = {}
    keywords: dict[str, tuple[str, ...]] = {}
    for part in ("annotations", "annotationsDerived"):
        path = folder / part / f"{language}.xml"
        if not path.exists():
            raise DataError(
                f"{path}: no such file; CLDR's annotations for the language {language!r} are expected there"
            )
        for element in ElementTree.parse(path).iter("annotation"):
            char = element.get("cp", "")
            if element.get("type") == "tts":
                names[char] = element.text
            else:
                keywords[char] = tuple(word.strip() for word in (element.text or "").split("|"))
    return {char: Annotation(names.get(char), keywords.get(char, ())) for char in names | keywords}


def without_variation_selector(char: str) -> str:
    """The form of a character that CLDR uses as key."""
    return char.replace(_VARIATION_SELECTOR, "")
