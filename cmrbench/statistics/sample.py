"""One method's values for a set of queries under several seeds, reduced to what tests and variance splits need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sample:
    """Values of one method: seeds crossed with queries, y[s, q] = mean + seed[s] + query[q] + residual[s, q].

    Attributes
    ----------
    means : ndarray of shape (n_queries,), float64
        Of every query over the seeds; NaN where the metric is undefined.
    seeds : int
    seed_part : float
        What the seeds add to the variance of the method's mean, their share of the residual included: the sample
        variance (divisor n - 1) of the means of the seeds, divided by their number. NaN for a single seed of a method
        that is not known to be deterministic; 0 for one that is.
    residual_part : float
        What the residual alone adds to it: residual mean square / (seeds x queries). NaN as above.
    seed_df : float
        Degrees of freedom of `seed_part`.
    """

    means: Floats
    seeds: int
    seed_part: float
    residual_part: float
    seed_df: float

    @classmethod
    def of(cls, values: npt.ArrayLike, deterministic: bool = False) -> Sample:
        """Reduce values of shape (n_seeds, n_queries), or (n_queries,) for one seed.

        Parameters
        ----------
        values : array-like of shape (n_seeds, n_queries) or (n_queries,)
            NaN where the metric is undefined; such a query is left out for every seed.
        deterministic : bool
            Whether a single seed is known to be as good as many.

        Raises
        ------
        ValueError
            If there is no seed.
        """
        found = np.atleast_2d(np.asarray(values, dtype=np.float64))
        seeds, _ = found.shape
        if seeds < 1:
            raise ValueError("a sample needs at least one seed")
        means = found.mean(axis=0)
        if seeds == 1:
            unknown = 0.0 if deterministic else float("nan")
            return cls(means, 1, unknown, unknown, 0.0)
        defined = np.isfinite(means)
        kept = found if defined.all() else found[:, defined]
        queries = kept.shape[1]
        if queries < 2:
            return cls(means, seeds, float("nan"), float("nan"), 0.0)
        of_seeds = kept.mean(axis=1)
        seed_part = float(of_seeds.var(ddof=1)) / seeds
        left = kept - of_seeds[:, None]
        left -= means[defined] - of_seeds.mean()
        residual = float(np.vdot(left, left)) / ((seeds - 1) * (queries - 1))
        return cls(means, seeds, seed_part, residual / (seeds * queries), seeds - 1.0)

    @property
    def seeds_known(self) -> bool:
        """Whether it is known how far the seeds move the method's mean."""
        return not np.isnan(self.seed_part)
