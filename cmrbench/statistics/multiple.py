"""Many tests at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def holm(p: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """P-values adjusted for their number by Holm's step-down rule.

    Rejecting where the adjusted value is at most alpha makes one or more false rejections among all tests with
    probability at most alpha, whatever the tests have to do with each other.

    Parameters
    ----------
    p : array-like of shape (n,)
        NaN for a test that was not made; it does not count.

    Returns
    -------
    ndarray of shape (n,), float64
        At least `p`, at most 1, in the order of `p`.

    Raises
    ------
    ValueError
        If a value is outside [0, 1].

    Notes
    -----
    Holm 1979, Scandinavian Journal of Statistics 6: with p sorted upwards, the i-th of n becomes the largest of
    (n - j + 1) p_j over j <= i.
    """
    values = np.asarray(p, dtype=np.float64).reshape(-1)
    if ((values < 0) | (values > 1)).any():
        raise ValueError("p-values must lie in [0, 1]")
    adjusted = np.full(values.shape, np.nan)
    made = np.flatnonzero(~np.isnan(values))
    order = made[np.argsort(values[made], kind="stable")]
    weighted = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(weighted), 1.0)
    return adjusted
