"""What to cite: one paper or report, as a value that prints itself as BibTeX or as one readable line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

KINDS = {
    "article": "journal",
    "inproceedings": "booktitle",
    "techreport": "institution",
    "phdthesis": "school",
    "misc": "howpublished",
}
"""BibTeX entry types, and the field that holds the venue in each."""

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9:.+_-]*")
_DOI = re.compile(r"10\.\d{4,9}/[^\s{}\\]+")
_URL = re.compile(r"https?://[^\s{}\\]+")
_AND = re.compile(r" and (?![^{}]*\})")  # not the one inside the braces of a group's name
_BODY = re.compile(r"^(\W*)(.*?)(\W*)$", re.DOTALL)
_SPECIAL = {
    **{c: "\\" + c for c in "&%$#_"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"ß": r"{\ss}", "ø": r"{\o}", "Ø": r"{\O}", "æ": r"{\ae}", "Æ": r"{\AE}", "ł": r"{\l}", "Ł": r"{\L}"},
    **{"–": "--", "—": "---"},
}
_ACCENTS = dict(
    zip("\u0300\u0301\u0302\u0303\u0308\u0304\u0307\u0327\u0328\u030a\u030b\u030c", "`'^~\"=.ckrHv", strict=True)
)


@dataclass(frozen=True)
class Citation:
    """One thing to cite. All fields are plain text: `bibtex` adds escapes and braces.

    Attributes
    ----------
    key : str
        BibTeX key, such as ``chua2009nuswide``.
    kind : str
        A key of `KINDS`.
    author : str
        Full names, separated by " and " as in BibTeX; a last name ``others`` stands for those left out. The name of a
        group is put into braces: ``{The Unicode Consortium}``.
    title : str
        In sentence case; capitals inside it are kept by `bibtex`.
    venue : str
        Journal, proceedings, institution or school; may be empty for ``misc`` only.
    year : int
    pages, doi, url, note : str
        Left out where empty. `doi` without the resolver's address.

    Raises
    ------
    ValueError
        If a field is not as described; the message names key and field.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}  # where a model holds a citation

    key: str
    kind: str
    author: str
    title: str
    venue: str
    year: int
    pages: str = ""
    doi: str = ""
    url: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        def need(ok: object, what: str) -> None:
            if not ok:
                raise ValueError(f"citation {self.key!r}: {what}")

        need(
            isinstance(self.key, str) and _KEY.fullmatch(self.key),
            "key must begin with a letter and hold letters, digits and : . + _ - only",
        )
        need(self.kind in KINDS, f"kind {self.kind!r} is none of {', '.join(KINDS)}")
        for name in ("author", "title", "venue", "pages", "doi", "url", "note"):
            value = getattr(self, name)
            need(isinstance(value, str), f"{name} must be text, found {value!r}")
            need(value == " ".join(value.split()), f"{name} must be one line without needless blanks, found {value!r}")
            need(all(map(str.isprintable, value)), f"{name} holds characters that cannot be printed: {value!r}")
            latex = name != "author" and any(c in value for c in "{}\\")
            need(not latex, f"{name} must be plain text without braces or backslashes, found {value!r}")
        need(self.title, "title is empty")
        need(self.venue or self.kind == "misc", f"venue is empty, which only kind misc allows, not {self.kind}")
        need(
            isinstance(self.year, int) and not isinstance(self.year, bool) and 1800 <= self.year <= 2200,
            f"year must be a whole number from 1800 to 2200, found {self.year!r}",
        )
        for person in _AND.split(self.author):
            group = person.startswith("{") and person.endswith("}")
            bare = person[1:-1] if group else person
            need(bare.strip(), f"author holds an empty name: {self.author!r}")
            need(
                not any(c in bare for c in "{}\\"),
                f"author {person!r} must be plain, or one name in one pair of braces",
            )
            need(not re.search(r"\bet\.? al\b", bare), "author must end with 'and others' instead of 'et al.'")
        need(
            not self.doi or _DOI.fullmatch(self.doi), f"doi must look like 10.1145/1873951.1873987, found {self.doi!r}"
        )
        need(not self.url or _URL.fullmatch(self.url), f"url must begin with http:// or https://, found {self.url!r}")

    def authors(self) -> tuple[str, ...]:
        """Names as people write them; the last may be ``others``."""
        return tuple(person.strip("{}") for person in _AND.split(self.author))

    def bibtex(self) -> str:
        """The BibTeX entry: specials escaped, accents as commands, capitals in the title kept by braces."""
        fields = {
            "author": _escaped(self.author),
            "title": _title(self.title),
            KINDS[self.kind]: _escaped(self.venue),
            "year": str(self.year),
            "pages": re.sub(r"\s*[-–—]+\s*", "--", self.pages),
            "doi": self.doi,
            "url": self.url,
            "note": _escaped(self.note),
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])

    def line(self) -> str:
        """The reference as one readable line."""
        *first, last = self.authors()
        last = "et al." if last == "others" else last
        people = f"{', '.join(first)}{' and ' if first and last != 'et al.' else ' ' if first else ''}{last}"
        where = ", ".join(filter(None, (self.venue, str(self.year), self.pages)))
        link = f"https://doi.org/{self.doi}" if self.doi else self.url
        parts = (people, self.title, where, self.note)
        return " ".join([*(_sentence(p) for p in parts if p), *([link] if link else [])])


def bibliography(citations: Iterable[Citation]) -> str:
    """A BibTeX file's text: each entry once, in the order of their keys.

    A paper that is cited for two things keeps the notes of both.

    Raises
    ------
    ValueError
        If two citations of one key differ in more than their notes.
    """
    found: dict[str, Citation] = {}
    for citation in citations:
        known = found.setdefault(citation.key, citation)
        if replace(known, note="") != replace(citation, note=""):
            raise ValueError(f"two different citations have the key {citation.key!r}")
        if citation.note not in known.note:
            found[citation.key] = replace(known, note="; ".join(filter(None, (known.note, citation.note))))
    return "".join(f"{found[key].bibtex()}\n\n" for key in sorted(found, key=str.lower)).removesuffix("\n")


def _sentence(text: str) -> str:
    return text if text[-1] in ".?!" else f"{text}."


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(c) or _accented(c) for c in text)


def _accented(character: str) -> str:
    """``é`` as ``{\\'e}``: older BibTeX sorts and cuts bytes. What has no such command stays as it is."""
    base, *marks = list(unicodedata.normalize("NFD", character))
    if len(marks) != 1 or marks[0] not in _ACCENTS or not base.isascii():
        return character
    command = _ACCENTS[marks[0]]
    letter = {"i": r"\i", "j": r"\j"}.get(base, base) if command not in "ck" else base
    return f"{{\\{command}{{{letter}}}}}" if command.isalpha() or letter != base else f"{{\\{command}{base}}}"


def _title(title: str) -> str:
    """Brace the words whose capitals a style would take away."""
    words = []
    begins = True  # styles keep the first letter of a title, and the one after a colon
    for word in title.split(" "):
        before, body, after = _BODY.match(word).groups()  # type: ignore[union-attr]
        loses = any(c.isupper() for c in (body[1:] if begins else body))
        words.append(_escaped(before) + (f"{{{_escaped(body)}}}" if loses else _escaped(body)) + _escaped(after))
        begins = word.endswith(":")
    return " ".join(words)
