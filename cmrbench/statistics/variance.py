"""Where the uncertainty of a method's mean comes from: seeds, queries, splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cmrbench.statistics.sample import Sample


@dataclass(frozen=True)
class VarianceSplit:
    """Estimated contributions to the variance of a method's mean over seeds and queries; they add up to `total`.

    Attributes
    ----------
    seeds, queries, residual, splits : float
        Variance that other seeds, other queries, what queries do under single seeds, and other splits of the data
        would bring. A negative estimate is 0. NaN where nothing is known: seeds and residual of a single seed (the
        residual is part of `queries` then), splits of a single one.
    total : float
        Sum of those that are known.
    """

    seeds: float
    queries: float
    residual: float
    splits: float
    total: float


def variance_split(samples: Sequence[Sample]) -> VarianceSplit:
    """Split the variance of a method's mean.

    Parameters
    ----------
    samples : sequence of Sample
        One for each split of the data into training, queries and gallery; usually one.

    Raises
    ------
    ValueError
        If there is none, or one without two queries that have a value.

    Notes
    -----
    Within a split: seeds = seed part - residual part, queries = variance of the queries' means / queries - residual
    part (method of moments of the crossed design; see `Sample`). With several splits these are averaged and divided by
    the number of splits, and splits = variance of the splits' means / number - what the others explain of it.
    """
    if not samples:
        raise ValueError("a variance needs at least one sample")
    parts = np.array([_parts(sample) for sample in samples])
    n = len(samples)
    seeds, queries, residual = (float(v) for v in parts.mean(axis=0) / n)
    splits = float("nan")
    if n > 1:
        means = np.array([np.nanmean(sample.means) for sample in samples])
        splits = max(float(means.var(ddof=1)) / n - float(np.nansum([seeds, queries, residual])), 0.0)
    return VarianceSplit(seeds, queries, residual, splits, float(np.nansum([seeds, queries, residual, splits])))


def _parts(sample: Sample) -> tuple[float, float, float]:
    values: npt.NDArray[np.float64] = sample.means[np.isfinite(sample.means)]
    if len(values) < 2:
        raise ValueError("a variance needs at least two queries that have a value")
    of_queries = float(values.var(ddof=1)) / len(values)
    if not sample.seeds_known:
        return float("nan"), of_queries, float("nan")
    return (
        max(sample.seed_part - sample.residual_part, 0.0),
        max(of_queries - sample.residual_part, 0.0),
        sample.residual_part,
    )
