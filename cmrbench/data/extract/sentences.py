"""Texts through sentence encoders (sentence-transformers)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cmrbench.data.extract.extractor import Extractor, needs
from cmrbench.data.extract.weights import choose_device, exactly, from_hub, weights_digest


class SentenceBert(Extractor):
    """A sentence encoder (Reimers, Gurevych, EMNLP 2019).

    Texts are cut after as many tokens as the model reads.

    Parameters
    ----------
    model : str
        Name on the models' hub, from which it comes at the first use, or a folder.
    """

    takes = ("text",)
    extra = "extract"
    libraries = ("torch", "sentence-transformers")
    makes = "the model's"
    extractor = "sentence-transformers encoder"
    normalisation = "unit length"

    def __init__(self, model: str = "all-MiniLM-L6-v2") -> None:
        self.model = model

    def open(self, device: str, takes: str) -> str:
        """Load the encoder."""
        library = needs(self.extra, "sentence_transformers")
        self.device_ = choose_device(device)
        with from_hub(f"the sentence encoder {self.model}", "check the name, or give a folder with model=PATH"):
            self.network_ = library.SentenceTransformer(self.model, device=self.device_)
        return weights_digest(self.network_)

    def __call__(self, inputs: Sequence[Any]) -> np.ndarray:
        """Unit vectors (n, d)."""
        with exactly():
            found = self.network_.encode(
                list(inputs), batch_size=len(inputs), normalize_embeddings=True, show_progress_bar=False
            )
        return np.asarray(found, np.float32)
