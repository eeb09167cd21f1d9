"""Words of captions, and the vocabulary of a training set's captions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cmrbench.core.hashing import digest_lines

SPECIAL = ("<pad>", "<start>", "<end>", "<unk>")
"""The first four numbers of every vocabulary."""
PAD, START, END, UNKNOWN = range(len(SPECIAL))

_WORD = re.compile(r"\w+(?:-\w+)*|'\w+|[^\w\s]")


def words_of(caption: str) -> list[str]:
    """The words of a caption in lower case: ``"A dog's T-shirt."`` has ``a dog 's t-shirt .``

    Letters and digits, with hyphens between them, are a word; an apostrophe begins one; any other sign is one by
    itself. This is near to what the field takes, NLTK's `word_tokenize` of the caption in lower case, and needs no
    model; it differs in contractions (``don 't`` there is ``do n't``) and in abbreviations.
    """
    return _WORD.findall(caption.lower())


@dataclass(frozen=True)
class Vocabulary:
    """Words with their numbers: the special ones, then the others from the most frequent on.

    Attributes
    ----------
    words : tuple of str
        Word k has the number k.
    """

    words: tuple[str, ...]

    @classmethod
    def of(cls, captions: Iterable[str], min_count: int = 4) -> Vocabulary:
        """The words that these captions hold at least `min_count` times; equally frequent ones by alphabet.

        Give it training captions only. (The vocabularies that VSE++ and SCAN released were made with the test captions,
        too, as the README of VSE++ says.)
        """
        counts: Counter[str] = Counter()
        for caption in captions:
            counts.update(words_of(caption))
        kept = sorted((w for w, n in counts.items() if n >= min_count), key=lambda w: (-counts[w], w))
        return cls((*SPECIAL, *kept))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    @property
    def digest(self) -> str:
        """SHA-256 of the words in order."""
        return digest_lines(self.words)

    def numbers(self, caption: str) -> list[int]:
        """The numbers of a caption's words, without start and end; `UNKNOWN` for words that are not in here."""
        return [self._numbers.get(word, UNKNOWN) for word in words_of(caption)]

    def tokens(self, captions: Sequence[str]) -> np.ndarray:
        """Captions as numbers, each from `START` to `END` and padded with `PAD`: int32, (n, longest + 2)."""
        lines = [self.numbers(caption) for caption in captions]
        found = np.full((len(lines), max(map(len, lines), default=0) + 2), PAD, np.int32)
        for row, line in zip(found, lines, strict=True):
            row[: len(line) + 2] = [START, *line, END]
        return found

    def bags(self, captions: Sequence[str], columns: int, out: np.ndarray | None = None) -> np.ndarray:
        """How often a caption holds the most frequent words: float32, (n, columns).

        Column 0 counts all words that have no column of their own, so that no caption with words is all zero. Column k
        is the k-th most frequent word's.
        """
        found = np.zeros((len(captions), columns), np.float32) if out is None else out
        first = len(SPECIAL) - 1
        for row, caption in zip(found, captions, strict=True):
            numbers = np.array(self.numbers(caption), dtype=np.intp) - first
            np.add.at(row, np.where(numbers < columns, numbers, 0), 1)
        return found
