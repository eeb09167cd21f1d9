"""Encoded: what a strategy is handed, the representations of some items of one modality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Encoded:
    """Representations of items of one modality.

    Attributes
    ----------
    modality : str
    representations : ndarray, shape (n, d)
        Real-valued vectors, or codes in {-1, +1}.
    labels : ndarray of 0 and 1, shape (n, C), or None
        For strategies that read labels (`READS_LABELS`); None otherwise.
    """

    modality: str
    representations: np.ndarray
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.representations)
