"""When two representations count as the same: to the bit, or up to the order of float32 additions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cmrbench.testing.case import CheckFailed

TOLERANCE = 1e-4
"""Largest difference, relative to the largest value, that blocks of another size may cause in float32."""
FLIPPED = 1
"""Code bits that may differ in one comparison: a projection within rounding of zero has no sign of its own."""


def identical(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays agree in dtype, shape and every bit."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def all_identical(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> bool:
    """`identical` for every modality."""
    return all(identical(a[m], b[m]) for m in a)


def need_identical(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], what: str) -> None:
    """Fail with `what` and the first difference unless every modality agrees to the bit."""
    for modality in a:
        if not identical(a[modality], b[modality]):
            raise CheckFailed(f"{what}: {modality} differs ({difference(a[modality], b[modality])})")


def need_close(a: np.ndarray, b: np.ndarray, what: str) -> None:
    """Fail with `what` unless the arrays agree up to rounding."""
    if a.shape != b.shape or not _close(a, b):
        raise CheckFailed(f"{what} ({difference(a, b)})")


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype.kind in "iub" and b.dtype.kind in "iub":
        return int((a != b).sum()) <= FLIPPED
    scale = float(np.abs(a).max(initial=0.0)) or 1.0
    return bool((np.abs(a.astype(np.float64) - b) <= TOLERANCE * scale).all())


def difference(a: np.ndarray, b: np.ndarray) -> str:
    """How two arrays differ, for a person."""
    if a.shape != b.shape:
        return f"shape {a.shape} against {b.shape}"
    if a.dtype != b.dtype:
        return f"dtype {a.dtype} against {b.dtype}"
    rows = int((a != b).reshape(len(a), -1).any(axis=1).sum())
    return f"{rows} of {len(a)} rows, by up to {np.abs(a.astype(np.float64) - b).max(initial=0.0):.3g}"
