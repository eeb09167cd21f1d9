"""The words of `openclipart`: from titles, file names, keywords and descriptions to a text without the class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tools import clipart_rules as rules
from tools import text
from tools.clipart_source import Drawing

LONGEST_DESCRIPTION = 300
"""Characters of the description that are read; the longest are copied encyclopaedia articles."""


@dataclass(frozen=True)
class Words:
    """A drawing's words by where they come from; words of its authors' names and stop words are left out."""

    title: str  # as written, for people
    file_name: tuple[str, ...]
    free: tuple[str, ...]  # title, file name, description
    keywords: tuple[str, ...]

    @property
    def all(self) -> list[str]:
        """Every word once."""
        return text.unique([*self.free, *self.keywords])


def title_counts(drawings: Iterable[Drawing]) -> Counter[str]:
    """For each title the number of files that carry it."""
    return Counter(title for drawing in drawings for title in set(drawing.titles) if title)


def author_words(drawing: Drawing) -> set[str]:
    """The words of the authors' names, which file names and titles often repeat."""
    return {word for author in drawing.authors for word in re.findall(r"[a-z]+", author.lower())}


def file_name_words(drawing: Drawing) -> tuple[str, ...]:
    """The words of the file name but for whole or shortened names of the authors."""
    authors = author_words(drawing)
    stem = drawing.path.rpartition("/")[2].removesuffix(".svg")
    words = [word for word in re.split(r"[^a-z]+", text.ascii_lower(stem)) if len(word) > 1]
    return tuple(word for word in words if not any(_is_name(word, author) for author in authors))


def _is_name(word: str, author: str) -> bool:
    shortened = len(word) >= 3 and author.startswith(word)
    extended = len(author) >= 4 and word.startswith(author)
    return word == author or shortened or extended


def words_of(drawing: Drawing, titles: Counter[str]) -> Words:
    """The words of a drawing; a title that many files carry, or that names the archive, is passed over."""
    title = " ".join(
        title
        for title in text.unique(drawing.titles)
        if title
        and titles[title] < rules.FREQUENT_TITLE
        and not re.search(r"clipart by|sibmission|submission", title, re.IGNORECASE)
    )
    file_name = file_name_words(drawing)
    description = " ".join(drawing.descriptions)[:LONGEST_DESCRIPTION]
    left_out = rules.STOP_WORDS | author_words(drawing)
    free = text.tokens(text.ascii_lower(" ".join([title, *file_name, description])))
    keywords = text.tokens(text.ascii_lower(" ".join(filter(_is_keyword, (k.lower() for k in drawing.keywords)))))
    return Words(
        title=title,
        file_name=file_name,
        free=tuple(word for word in text.unique(free) if word not in left_out),
        keywords=tuple(word for word in text.unique(keywords) if word not in left_out),
    )


def _is_keyword(keyword: str) -> bool:
    """Not an identifier of the archive's software, a number, or an author's mark."""
    return not (keyword in rules.EMPTY_KEYWORDS or re.match(r"0x|\d+$", keyword) or "rollandin" in keyword)


def clean_texts(words: Sequence[Words], labels: Sequence[str], folders: set[str]) -> list[str]:
    """A text for each drawing without words that give its class away; empty where none is left.

    Keywords lose the words that a fifth of some class carries, the folders' names (singular and plural), the class
    labels and `CATEGORY_WORDS`. What the author wrote freely loses the class labels and `GENERIC_WORDS` only.
    """
    label_words = text.with_plurals(word for label in labels for word in label.split("_"))
    folder_words = {word for folder in folders for word in re.findall("[a-z]+", folder)}
    folder_words |= {word.rstrip("s") for word in folder_words} | {word + "s" for word in folder_words}
    telling = text.class_words([item.all for item in words], labels) | folder_words | label_words | rules.CATEGORY_WORDS
    unwanted = label_words | rules.GENERIC_WORDS
    return [
        " ".join(
            word
            for word in text.unique([*item.free, *(word for word in item.keywords if word not in telling)])
            if word not in unwanted
        )
        for item in words
    ]
