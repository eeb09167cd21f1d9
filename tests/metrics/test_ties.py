"""The closed forms against every order of the ties, and against sums over positions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from plain_metrics import (
    arranged,
    by_rule,
    codes_of,
    compositions,
    expected_ap,
    orders,
    relevance_of,
    sorted_groups,
    value,
)

from cmrbench.metrics import MEANS, TIES, Metric, evaluate, from_labels, given, hamming
from cmrbench.metrics.ties import hypergeometric

pytestmark = pytest.mark.usefixtures("way")

KINDS = [("mAP", "hits"), ("mAP", "min_kr"), ("mAP", "r"), ("P", "hits"), ("R", "hits"), ("hit", "hits")]
KINDS += [("NDCG", "hits")]
UNCUT = [Metric("RPrec", mean=mean, ties=ties) for mean in MEANS for ties in TIES]
UNCUT += [Metric(kind, ties=ties) for kind in ("MedR", "MeanR") for ties in TIES]


@pytest.mark.parametrize(("n", "by"), [*((n, "scores") for n in range(1, 8)), *((n, "codes") for n in range(1, 7))])
def test_every_order_of_up_to_seven_items(n, by):
    cases = compositions(n)
    rng = np.random.default_rng(n)
    scores, found = (np.stack(a) for a in zip(*(arranged(g, rng) for g in cases), strict=True))
    every = list(itertools.product((0, 1), repeat=n))
    row = {ranking: i for i, ranking in enumerate(every)}
    probability = {rule: np.zeros((len(cases), len(every))) for rule in TIES}  # of each order, by case
    for i, groups in enumerate(cases):
        likely = orders(groups)
        for order in likely:
            probability["expected"][i, row[order]] += 1 / len(likely)
        for rule in TIES[1:]:
            probability[rule][i, row[by_rule(scores[i], found[i], rule)]] = 1

    metrics = [
        Metric(kind, k, norm, mean, ties)
        for (kind, norm), k, mean, ties in itertools.product(KINDS, [*range(1, n + 2), None], MEANS, TIES)
    ]
    metrics += UNCUT
    task = given(scores) if by == "scores" else hamming(*codes_of(scores))
    result = evaluate(task, relevance_of(found), metrics)
    for m in metrics:
        total = probability[m.ties] @ [value(order, m.kind, m.k, m.norm) for order in every]
        weight = {
            "all": found.any(axis=1).astype(float) if m.is_rank else np.ones(len(cases)),
            "with_relevant": found.any(axis=1).astype(float),
            "with_hits": probability[m.ties] @ [float(any(order[: m.k])) for order in every],
        }[m.mean]
        expected = np.divide(total, weight, out=np.full(len(cases), np.nan), where=weight > 0)
        np.testing.assert_allclose(result.per_query[str(m)], expected, rtol=0, atol=1e-12, err_msg=str(m))
        mean = np.median(total[weight > 0]) if m.kind == "MedR" else total.sum() / weight.sum()
        assert result.values[str(m)] == pytest.approx(mean, abs=1e-12), str(m)
        assert result.counted[str(m)] == pytest.approx(weight.sum(), abs=1e-9), str(m)


def test_300_random_cases_against_sums_over_positions():
    rng = np.random.default_rng(0)
    for _ in range(300):
        n = int(rng.integers(1, 80))
        scores = rng.integers(0, rng.integers(1, n + 2), n).astype(float)
        found = (rng.random(n) < rng.random()).astype(int)
        k, norm = int(rng.integers(1, n + 5)), ("hits", "min_kr", "r")[rng.integers(3)]
        metrics = [Metric("mAP", k, norm), *(Metric("mAP", k, norm, ties=t) for t in ("stable", "optimistic"))]
        result = evaluate(given(scores[None]), relevance_of(found[None]), metrics)
        groups = sorted_groups(scores.tolist(), found.tolist())
        assert result.values[str(metrics[0])] == pytest.approx(expected_ap(groups, k, norm), abs=1e-12)
        for m in metrics[1:]:
            expected = value(by_rule(scores, found, m.ties), "mAP", k, norm)
            assert result.values[str(m)] == pytest.approx(expected, abs=1e-12)


def test_deep_rankings_lose_no_digits():
    rng = np.random.default_rng(1)
    n = 200_000
    scores = rng.integers(0, 60_000, n).astype(float)  # about three items a group, far down the ranking
    found = rng.random(n) < 0.3
    labels = found.astype(np.uint8)[:, None]
    result = evaluate(given(scores[None]), from_labels(np.ones((1, 1), dtype=int), labels), ["mAP@all", "mAP@100000"])
    size = np.bincount(-scores.astype(int) + 60_000, minlength=60_001)
    relevant = np.bincount(-scores.astype(int) + 60_000, weights=found, minlength=60_001).astype(int)
    groups = [(int(t), int(r)) for t, r in zip(size, relevant, strict=True) if t]
    assert result.values["mAP@all"] == pytest.approx(expected_ap(groups, n, "hits"), abs=1e-11)
    assert result.values["mAP@100000"] == pytest.approx(expected_ap(groups, 100_000, "hits"), abs=1e-11)


@pytest.mark.parametrize(("t", "r", "m"), [(1, 0, 1), (1, 1, 1), (10, 4, 6), (10, 9, 6), (500, 300, 200), (60, 60, 7)])
def test_hypergeometric_against_binomial_coefficients(t, r, m):
    x, probability = hypergeometric(np.array([t]), np.array([r]), np.array([m]))
    exact = [math.comb(r, i) * math.comb(t - r, m - i) / math.comb(t, m) if 0 <= m - i <= t - r else 0.0 for i in x[0]]
    np.testing.assert_allclose(probability[0], exact, rtol=1e-11, atol=1e-14)
    assert x[0, 0] == max(0, m - (t - r))
    assert x[0, -1] == min(m, r)


def test_hypergeometric_of_large_groups_against_scipy():
    from scipy.stats import hypergeom

    t, r, m = np.array([100_000, 200_000, 50]), np.array([20_000, 3, 50]), np.array([5_000, 150_000, 20])
    x, probability = hypergeometric(t, r, m)
    for i in range(3):
        exact = hypergeom.pmf(x[i], t[i], r[i], m[i])
        np.testing.assert_allclose(probability[i], exact, rtol=1e-8, atol=1e-13)
