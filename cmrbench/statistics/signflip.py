"""The paired randomisation test: how often would random signs of the differences make a sum as large as theirs?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ENUMERATED = 16
"""Up to so many differences that are not zero, all sign patterns are gone through."""

LATTICE = 4096
"""Up to this sum of whole numbers, the distribution of differences on a grid is computed exactly."""

_DISTINCT = 64  # more distinct differences than this are not taken for a grid
_AT_ONCE = 2_000_000  # numbers that are worked on at a time
_STEPS = 100


def sign_flip_p(differences: npt.ArrayLike) -> Floats:
    """Two-sided p-values of paired randomisation tests, one for each row of differences.

    Under the null hypothesis each difference is as likely to have the other sign. The p-value is the share of all
    2^n patterns of signs whose sum is at least as far from zero as the observed one. It is exact where at most
    `ENUMERATED` differences are not zero and where the differences are whole multiples of a unit with a sum up to
    `LATTICE` (precision at a rank, say). Elsewhere it is the saddlepoint approximation, which keeps its relative
    accuracy far out in the tail, where a sample of patterns ends at 1 / (its size + 1).

    Parameters
    ----------
    differences : array-like of shape (n_tests, n_queries) or (n_queries,)
        Finite.

    Returns
    -------
    ndarray of shape (n_tests,), float64
        In (0, 1]; 1 where all differences are zero.

    Raises
    ------
    ValueError
        If a difference is not finite.

    Notes
    -----
    With K(t) = sum log cosh(t d_i), the cumulant generating function of the sum under random signs, and t the root of
    K'(t) = s: w = sqrt(2 (t s - K(t))), u = t sqrt(K''(t)), P(S >= s) = 1 - Phi(w + log(u / w) / w)
    (Davison and Hinkley 1988, Biometrika 75, section 2; the tail formula is Barndorff-Nielsen's 1986 r*, which stays
    between 0 and 1).
    """
    found = np.atleast_2d(np.asarray(differences, dtype=np.float64))
    if not np.isfinite(found).all():
        raise ValueError("differences must be finite")
    p = np.ones(len(found))
    step = max(1, _AT_ONCE // max(found.shape[1], 1))
    for start in range(0, len(found), step):
        p[start : start + step] = _p_values(found[start : start + step])
    return p


def _p_values(differences: Floats) -> Floats:
    scale = np.abs(differences).max(axis=1, initial=0.0)
    rows = differences / np.where(scale > 0, scale, 1.0)[:, None]
    rows[np.abs(rows) < 1e-12] = 0.0  # rounding of equal values
    p = np.ones(len(rows))
    smooth = np.zeros(len(rows), dtype=bool)
    shift = np.zeros(len(rows))
    for i, row in enumerate(rows):
        kept = row[row != 0]
        if not kept.size:
            continue
        if kept.size <= ENUMERATED:
            p[i] = _enumerated(kept)
            continue
        unit = _unit(kept)
        if unit and np.abs(kept).sum() <= LATTICE * unit:
            p[i] = _on_lattice(np.rint(kept / unit).astype(np.int64))
        else:
            smooth[i] = True
            shift[i] = unit  # half of the step between the sums that can occur
    if smooth.any():
        p[smooth] = _saddlepoint(rows[smooth], shift[smooth])
    return p


def _enumerated(kept: Floats) -> float:
    sums = np.zeros(1)
    for value in np.abs(kept):
        sums = np.concatenate([sums + value, sums - value])
    return float(np.mean(np.abs(sums) >= abs(kept.sum()) - 1e-9 * np.abs(kept).sum()))


def _unit(kept: Floats) -> float:
    """The largest unit of which all values are whole multiples; 0 where there is none worth the name."""
    sizes = np.unique(np.round(np.abs(kept), 10))
    if len(sizes) > _DISTINCT:
        return 0.0
    unit = float(sizes[0])
    for size in sizes[1:]:
        a, b = float(size), unit
        while b > 1e-6:
            a, b = b, abs(a - b * round(a / b))
        unit = a
    if unit < 1e-5:
        return 0.0
    off = np.abs(kept / unit - np.rint(kept / unit)).max()
    return unit if off < 1e-4 else 0.0


def _on_lattice(steps: npt.NDArray[np.int64]) -> float:
    """P(|S| >= |s|) for whole numbers: the positive part of the sum is a sum of scaled binomial variables."""
    from scipy.special import gammaln

    sizes, counts = np.unique(np.abs(steps), return_counts=True)
    chances = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        k = np.arange(count + 1)
        binomial = np.exp(gammaln(count + 1) - gammaln(k + 1) - gammaln(count - k + 1) - count * np.log(2))
        stretched = np.zeros(count * size + 1)
        stretched[::size] = binomial
        chances = np.convolve(chances, stretched)
    total = int(np.abs(steps).sum())
    return _two_sided(float(chances[(total + abs(int(steps.sum()))) // 2 :].sum()), len(steps))


def _two_sided(tail: float, n: int) -> float:
    return float(min(1.0, max(2 * tail, 2.0 ** (1 - min(n, 1000)))))


def _saddlepoint(rows: Floats, shift: Floats) -> Floats:
    from scipy.special import ndtr

    size = np.abs(rows)
    observed = np.abs(rows.sum(axis=1)) - shift
    counts = np.count_nonzero(rows, axis=1)
    least = 2.0 ** (1 - np.minimum(counts, 1000).astype(np.float64))
    spread = np.sqrt((rows**2).sum(axis=1))
    near = observed < 1e-3 * spread  # w is near zero: the normal tail, from which nothing differs there
    certain = observed >= size.sum(axis=1) * (1 - 1e-12)
    p = np.where(certain, least, 2 * ndtr(-np.maximum(observed, 0.0) / spread))
    some = np.flatnonzero(~near & ~certain)
    if some.size:
        p[some] = 2 * ndtr(-_signed_root(size[some], observed[some]))
    clipped: Floats = np.clip(p, least, 1.0)
    return clipped


def _signed_root(size: Floats, observed: Floats) -> Floats:
    """Barndorff-Nielsen's r* of each row, for sums above zero."""
    # K' is concave for t > 0 and the start lies left of the root, so Newton's steps never overshoot.
    t = observed / (size**2).sum(axis=1)
    active = np.arange(len(t))
    for _ in range(_STEPS):
        slope = np.tanh(t[active, None] * size[active])
        miss = observed[active] - (size[active] * slope).sum(axis=1)
        curvature = (size[active] ** 2 * (1 - slope**2)).sum(axis=1)
        move = miss / np.maximum(curvature, np.finfo(np.float64).tiny)
        t[active] += move
        active = active[move > 1e-10 * t[active]]
        if not active.size:
            break
    scaled = t[:, None] * size
    # log cosh x = x + log((1 + exp(-2 x)) / 2), which does not overflow
    cumulant = (scaled + np.log1p(np.exp(-2 * scaled)) - np.log(2)).sum(axis=1)
    w = np.sqrt(2 * np.maximum(t * observed - cumulant, np.finfo(np.float64).tiny))
    u = t * np.sqrt((size**2 / np.cosh(np.minimum(scaled, 300.0)) ** 2).sum(axis=1))
    root: Floats = w + np.log(np.maximum(u, np.finfo(np.float64).tiny) / w) / w
    return root
