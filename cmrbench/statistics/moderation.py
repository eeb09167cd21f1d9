"""Few seeds of many methods: what a method's own seeds say of its variance, and what those of all methods say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cmrbench.statistics.sample import Sample

FEWEST = 5
"""Methods with several seeds from which on their variances are taken together."""

COUNTED = 0.5
"""Share of the degrees of freedom that other methods add which is counted."""

_CERTAIN = 1e6  # degrees of freedom of a variance that all methods share


def moderated(samples: Sequence[Sample]) -> list[Sample]:
    """Samples of methods that were measured alike, with what the seeds of all of them say of the variance of each.

    Three seeds tell a variance with two degrees of freedom: they may agree by luck, and a test that must allow for that
    can hardly tell a method from one twice as good. The variances of all methods of a table say in which range one
    lies. The true ones are taken to be scattered as scaled inverse chi-squares, with a centre and degrees of freedom
    that are estimated from the observed ones; the more these resemble each other, the more a method's estimate gives
    way.

    Two things are more cautious than the source. A variance is raised by the others, never lowered: methods differ in
    how steady they are, and the unsteadiest were told from others too often. Half of the degrees of freedom that the
    others add are counted, for they are estimates themselves.

    Parameters
    ----------
    samples : sequence of Sample
        Those whose seeds do not vary, or are unknown, are returned as they are and tell nothing of the others.

    Returns
    -------
    list of Sample
        In the same order; all as they were if fewer than `FEWEST` vary.

    Notes
    -----
    Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3(1), article 3, section 6.2 (``limma``):
    e = log s^2 - digamma(d / 2) + log(d / 2); trigamma(d0 / 2) = var(e) - mean trigamma(d / 2);
    log s0^2 = mean(e) + digamma(d0 / 2) - log(d0 / 2); the moderated variance is (d0 s0^2 + d s^2) / (d0 + d), with
    d0 + d degrees of freedom.
    """
    from scipy.special import digamma, polygamma

    varying = [i for i, sample in enumerate(samples) if sample.seeds > 1 and sample.seed_part > 1e-20]
    if len(varying) < FEWEST:
        return list(samples)
    df = np.array([samples[i].seed_df for i in varying])
    variances = np.array([samples[i].seed_part * samples[i].seeds for i in varying])
    e = np.log(variances) - digamma(df / 2) + np.log(df / 2)
    scatter = float(e.var(ddof=1) - polygamma(1, df / 2).mean())
    prior_df = 2 * _trigamma_inverse(scatter) if scatter > 0 else _CERTAIN
    prior_df = min(prior_df, _CERTAIN)
    prior = float(np.exp(e.mean() + digamma(prior_df / 2) - np.log(prior_df / 2)))
    drawn: npt.NDArray[np.float64] = np.maximum((prior_df * prior + df * variances) / (prior_df + df), variances)
    found = list(samples)
    for i, variance, own in zip(varying, drawn.tolist(), df.tolist(), strict=True):
        found[i] = replace(samples[i], seed_part=variance / samples[i].seeds, seed_df=own + prior_df * COUNTED)
    return found


def _trigamma_inverse(value: float) -> float:
    """The x at which trigamma(x) is `value` > 0: Newton's steps on 1 / trigamma, which is convex (Smyth, appendix)."""
    from scipy.special import polygamma

    x = 0.5 + 1 / value
    for _ in range(50):
        height = float(polygamma(1, x))
        step = height * (1 - height / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-10:
            break
    return x
