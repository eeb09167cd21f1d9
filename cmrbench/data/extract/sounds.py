"""Sounds as cepstral coefficients."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.extract.extractor import Extractor, needs

MAX_SECONDS = 3600


class Mfcc(Extractor):
    """Mean and standard deviation over time of Mel-frequency cepstral coefficients, by librosa.

    Parameters
    ----------
    coefficients : int
    rate : int
        Samples a second that the sound is brought to, mixed to one channel.
    """

    takes = ("sound",)
    extra = "extract"
    libraries = ("librosa",)
    makes = "2 x coefficients"
    extractor = "MFCC, mean and standard deviation over time"

    def __init__(self, coefficients: int = 20, rate: int = 22050) -> None:
        self.coefficients = coefficients
        self.rate = rate

    def open(self, device: str, takes: str) -> str:
        """Look for librosa."""
        needs(self.extra, "librosa")
        return ""

    def __call__(self, inputs: Sequence[Any]) -> np.ndarray:
        """Statistics (n, 2 * coefficients)."""
        librosa = needs(self.extra, "librosa")
        rows = []
        for content in inputs:
            try:
                sound, rate = librosa.load(io.BytesIO(content), sr=self.rate, mono=True, duration=MAX_SECONDS + 1)
            except Exception as error:  # whatever a decoder makes of a damaged file
                raise DataError(f"it is no readable sound: {' '.join(str(error).split())}") from None
            if not 0 < len(sound) <= MAX_SECONDS * rate:
                raise DataError(f"it is empty or longer than {MAX_SECONDS:,} seconds")
            over_time = librosa.feature.mfcc(y=sound, sr=rate, n_mfcc=self.coefficients)
            rows.append(np.concatenate([over_time.mean(1), over_time.std(1)]))
        return np.array(rows, np.float32)
