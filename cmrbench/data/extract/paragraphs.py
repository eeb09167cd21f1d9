"""Texts as paragraph vectors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.extract.extractor import Extractor, needs

_WORD = re.compile(r"\w\w+")


class Doc2Vec(Extractor):
    """Paragraph vectors, distributed bag of words (Le, Mikolov, ICML 2014), by gensim.

    The papers that use 300-d Doc2Vec (DRCL Table I among them) took vectors of a model that was trained on Wikipedia;
    this one is trained on the training texts. A text's vector is inferred from a random start that its known words
    alone decide, so that neither order, company nor process changes it. Texts without any known word have nothing to
    learn from and all get the same vector.

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
    libraries = ("gensim",)
    makes = "dims"
    extractor = "Doc2Vec (DBOW) fitted on the training texts"

    def __init__(self, dims: int = 300, epochs: int = 40, min_items: int = 2) -> None:
        self.dims = dims
        self.epochs = epochs
        self.min_items = min_items

    def open(self, device: str, takes: str) -> str:
        """Look for gensim."""
        needs(self.extra, "gensim.models.doc2vec")
        return ""

    def fit(self, inputs: Sequence[Any], seed: int) -> None:
        """Train the model, in one thread: more would make it depend on chance."""
        gensim = needs(self.extra, "gensim.models.doc2vec")
        tagged = [gensim.TaggedDocument(_WORD.findall(text.lower()), [i]) for i, text in enumerate(inputs)]
        self.model_ = gensim.Doc2Vec(
            dm=0, vector_size=self.dims, epochs=self.epochs, min_count=self.min_items, workers=1, seed=seed % 2**31
        )
        self.model_.build_vocab(tagged)
        if not len(self.model_.wv):
            raise DataError(f"no word occurs {self.min_items} times in the training texts; ask for a smaller min_items")
        self.model_.train(tagged, total_examples=len(tagged), epochs=self.epochs)

    def __call__(self, inputs: Sequence[Any]) -> np.ndarray:
        """Inferred vectors (n, dims)."""
        return np.array([self._inferred(text) for text in inputs], np.float32)

    def _inferred(self, text: str) -> np.ndarray:
        """Gradient steps on one vector, the words' fixed.

        gensim's own `infer_vector` begins at Python's hash of the words, which differs from process to process.
        """
        from gensim.models.doc2vec_inner import train_document_dbow

        model = self.model_
        words = [w for w in _WORD.findall(text.lower()) if w in model.wv.key_to_index]
        seed = int.from_bytes(hashlib.sha256(" ".join(words).encode()).digest()[:4], "little")
        model.random.seed(seed)  # draws the negative samples
        vector = (np.random.default_rng(seed).random((1, self.dims), np.float32) - 0.5) / self.dims
        if not words:
            return np.asarray(vector[0])
        free, work = np.ones(1, np.float32), np.zeros(self.dims, np.float32)
        for rate in np.linspace(model.alpha, model.min_alpha, self.epochs):
            train_document_dbow(
                model, words, [0], rate, work, learn_words=False, learn_hidden=False,
                doctag_vectors=vector, doctags_lockf=free,
            )  # fmt: skip
        return np.asarray(vector[0])
