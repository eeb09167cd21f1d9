"""Texts through sentence encoders (sentence-transformers)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cmrbench.data.extract.extractor import Extractor, needs
from cmrbench.data.extract.weights import choose_device, weights_digest


class SentenceBert(Extractor):
    """A sentence encoder (Reimers, Gurevych, EMNLP 2019).

    Parameters
    ----------
    model : str
        Name on the models' hub, from which it comes at the first use, or a folder.
    """

    takes = ("text",)
    extra = "extract"
    extractor = "sentence-transformers encoder"
    normalisation = "unit length"

    def __init__(self, model: str = "all-MiniLM-L6-v2") -> None:
        self.model = model

    def open(self, device: str, takes: str) -> str:
        """Load the encoder."""
        library = needs(self.extra, "sentence_transformers")
        self.network_ = library.SentenceTransformer(self.model, device=choose_device(device))
        return weights_digest(self.network_)

    def __call__(self, inputs: Sequence[Any]) -> np.ndarray:
        """Unit vectors (n, d)."""
        found = self.network_.encode(list(inputs), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, np.float32)
