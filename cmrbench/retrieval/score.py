"""The method's own similarity, for methods that compare a query and an item jointly (cross-attention, densities)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cmrbench.core.errors import MethodError, UsageError
from cmrbench.metrics.scores import Scores
from cmrbench.retrieval.encoded import Encoded


@dataclass(frozen=True, eq=False)
class _MethodScores(Scores):
    method: Any
    query: Encoded
    gallery: Encoded

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.query), len(self.gallery)

    def block(self, start: int, stop: int) -> np.ndarray:
        name = _name(self.method)
        asked = self.query.representations[start:stop], self.gallery.representations
        values = np.asarray(self.method.score(*asked, self.query.modality, self.gallery.modality))
        expected = (stop - start, len(self.gallery))
        if values.shape != expected:
            raise MethodError(f"{name}.score must return an array of shape {expected}, got {values.shape}")
        if values.dtype.kind not in "iuf":
            raise MethodError(f"{name}.score must return numbers, got dtype {values.dtype}")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = start + int(np.argmax(~np.isfinite(values).all(axis=1)))
            raise MethodError(f"{name}.score returned NaN or infinity, first for query {row}")
        return values.astype(np.int64) if values.dtype.kind == "u" else values


def own_score(query: Encoded, gallery: Encoded, train: Encoded | None, method: Any) -> Scores:
    """Scores by ``method.score(query_block, gallery, query_modality, gallery_modality)``, larger is nearer.

    Raises
    ------
    UsageError
        If there is no method, or it has no `score`.
    MethodError
        When a block is taken and `score` returns another shape than (rows, n_gallery), NaN or infinity.
    """
    if method is None:
        raise UsageError("retrieval 'score' needs the method whose similarity it is")
    if not callable(getattr(method, "score", None)):
        raise UsageError(f"{_name(method)} has no similarity of its own; choose another retrieval than 'score'")
    return _MethodScores(method, query, gallery)


def _name(method: Any) -> str:
    info = getattr(method, "info", None)
    return str(getattr(info, "name", type(method).__name__))
