"""Texts as paragraph vectors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from cmrbench.data.extract.extractor import Extractor, needs

_WORD = re.compile(r"\w\w+")


class Doc2Vec(Extractor):
    """Paragraph vectors, distributed bag of words (Le, Mikolov, ICML 2014), by gensim.

    The papers that use 300-d Doc2Vec (DRCL Table I among them) took vectors of a model that was trained on Wikipedia;
    this one is trained on the training texts. A text's vector is inferred from a random start that depends on the
    text alone, so that neither order nor company changes it.

    Parameters
    ----------
    dims : int
    epochs : int
    min_items : int
        Fewest occurrences of a word.
    """

    takes = ("text",)
    fits = True
    extra = "extract"
    extractor = "Doc2Vec (DBOW) fitted on the training texts"

    def __init__(self, dims: int = 300, epochs: int = 40, min_items: int = 2) -> None:
        self.dims = dims
        self.epochs = epochs
        self.min_items = min_items

    def fit(self, inputs: Sequence[Any], seed: int) -> None:
        """Train the model, in one thread: more would make it depend on chance."""
        gensim = needs(self.extra, "gensim.models.doc2vec")
        tagged = [gensim.TaggedDocument(_WORD.findall(text.lower()), [i]) for i, text in enumerate(inputs)]
        self.model_ = gensim.Doc2Vec(
            tagged, dm=0, vector_size=self.dims, epochs=self.epochs, min_count=self.min_items, workers=1,
            seed=seed % 2**31, hashfxn=_word_hash,
        )  # fmt: skip

    def __call__(self, inputs: Sequence[Any]) -> np.ndarray:
        """Inferred vectors (n, dims)."""
        vectors = np.empty((len(inputs), self.dims), np.float32)
        for row, text in enumerate(inputs):
            self.model_.random.seed(_word_hash(text) % 2**32)
            vectors[row] = self.model_.infer_vector(_WORD.findall(text.lower()))
        return vectors


def _word_hash(text: str) -> int:
    """A hash that is the same in every process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
