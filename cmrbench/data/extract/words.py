"""Texts as bags of words, TF-IDF and topics. Vocabularies and topics are fitted on training items only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.extract.extractor import Extractor

TOKENS = r"(?u)\b\w\w+\b"
"""A word: two or more letters, digits or underscores; texts are put into lower case before."""


class BagOfWords(Extractor):
    """Which of the most frequent training words occur in a text.

    One more column is 1 for texts without any of them: such an item says exactly that, instead of being a zero vector
    that has no direction.

    Parameters
    ----------
    words : int
        Size of the vocabulary: the words in the most training texts; ties in alphabetical order.
    min_items : int
        Fewest training texts that a word must occur in.
    counts : bool
        How often it occurs in the place of whether.
    """

    takes = ("text",)
    fits = True
    libraries = ("scikit-learn",)
    makes = "words + 1"
    extractor = "bag of the most frequent training words"

    def __init__(self, words: int = 2000, min_items: int = 2, counts: bool = False) -> None:
        self.words = words
        self.min_items = min_items
        self.counts = counts

    def fit(self, inputs: Sequence[Any], seed: int) -> None:
        """Choose the vocabulary."""
        from sklearn.feature_extraction.text import CountVectorizer

        counter = CountVectorizer(token_pattern=TOKENS, binary=True)
        try:
            occurs = counter.fit_transform(inputs)
        except ValueError:
            raise DataError("the training texts hold no word") from None
        names = counter.get_feature_names_out()
        items = np.asarray(occurs.sum(0)).ravel()
        order = sorted(np.flatnonzero(items >= self.min_items), key=lambda k: (-items[k], names[k]))[: self.words]
        if not order:
            raise DataError(f"no word occurs in {self.min_items} training texts; ask for a smaller min_items")
        order.sort(key=lambda k: names[k])
        self.vocabulary_ = [str(names[k]) for k in order]
        self.items_ = items[order]

    def __call__(self, inputs: Sequence[Any]) -> np.ndarray:
        """Binary or counted words (n, words + 1)."""
        counted = self._counted(inputs)
        values = counted if self.counts else (counted > 0).astype(np.float32)
        return np.hstack([values, ~values.any(1, keepdims=True)]).astype(np.float32)

    def _counted(self, inputs: Sequence[Any]) -> np.ndarray:
        return np.asarray(self._sparse(inputs).toarray(), np.float32)

    def _sparse(self, inputs: Sequence[Any]) -> Any:
        """Counted words, scipy's csr_matrix."""
        from sklearn.feature_extraction.text import CountVectorizer

        counter = CountVectorizer(token_pattern=TOKENS, vocabulary=self.vocabulary_, dtype=np.float32)
        return counter.transform(inputs)


class TfIdf(BagOfWords):
    """Word counts times the logarithm of how rare a word is among the training texts; rows of unit length.

    ``tf * (ln((1 + n) / (1 + df)) + 1)``, as in scikit-learn; see `BagOfWords` for the vocabulary and the last column.
    """

    extractor = "TF-IDF of the most frequent training words"
    normalisation = "unit length"

    def __init__(self, words: int = 2000, min_items: int = 2) -> None:
        super().__init__(words, min_items)

    def fit(self, inputs: Sequence[Any], seed: int) -> None:
        """Choose the vocabulary and count in how many training texts each word occurs."""
        super().fit(inputs, seed)
        self.idf_ = np.log((1 + len(inputs)) / (1 + self.items_)) + 1

    def __call__(self, inputs: Sequence[Any]) -> np.ndarray:
        """Weighted words (n, words + 1), unit length."""
        weighted = self._counted(inputs) * self.idf_
        weighted = np.hstack([weighted, ~weighted.any(1, keepdims=True)])
        unit = weighted / np.linalg.norm(weighted, axis=1, keepdims=True)
        return np.asarray(unit, np.float32)


class LatentDirichlet(BagOfWords):
    """Proportions of topics (Blei, Ng, Jordan, JMLR 2003), by scikit-learn's variational inference.

    A text without any of the words has all topics alike.

    Parameters
    ----------
    topics : int
    words, min_items : int
        The vocabulary; see `BagOfWords`.
    iterations : int
        Passes over the training texts.
    """

    makes = "topics"
    extractor = "LDA topic proportions, variational inference"
    normalisation = "rows sum to 1"

    def __init__(self, topics: int = 100, words: int = 5000, min_items: int = 2, iterations: int = 20) -> None:
        super().__init__(words, min_items, counts=True)
        self.topics = topics
        self.iterations = iterations

    def fit(self, inputs: Sequence[Any], seed: int) -> None:
        """Fit the topics."""
        from sklearn.decomposition import LatentDirichletAllocation

        super().fit(inputs, seed)
        self.model_ = LatentDirichletAllocation(self.topics, max_iter=self.iterations, random_state=seed % 2**32)
        self.model_.fit(self._sparse(inputs))

    def __call__(self, inputs: Sequence[Any]) -> np.ndarray:
        """Topic proportions (n, topics)."""
        return np.asarray(self.model_.transform(self._counted(inputs)), np.float32)
