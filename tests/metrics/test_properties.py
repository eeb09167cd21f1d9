"""What holds for any scores and labels: range, no effect of order, blocks or threads, better rankings score better."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import assume, settings
from hypothesis import given as cases
from hypothesis import strategies as st

from cmrbench.metrics import TIES, Evaluation, Metric, evaluate, from_labels, given, hamming

pytestmark = pytest.mark.usefixtures("way")

PARTLY_MONOTONE = ["mAP@3", "mAP@3[with_hits]", "P@3[with_hits]"]  # a hit more adds to the divisor, too
MONOTONE = ["mAP@all", "mAP@3[min_kr]", "mAP@3[r]", "P@3", "R@3", "P@20", "hit@2", "NDCG@3", "NDCG@all", "RPrec"]
MONOTONE += ["NDCG@3[shared]", "NDCG@all[exp_shared]", "mAP@all[with_relevant]", "MedR", "MeanR"]
LOOKUPS = ["P@H0", "P@H1", "R@H1"]
RULES = st.sampled_from([None, *TIES])  # all at once, or one: what is sorted for one may be counted for another
CURVES = ["PR@11", "PR@4[with_relevant]", "P@1..5", "R@1..20"]


@dataclass(frozen=True)
class Task:
    """Scores, or codes of queries and gallery, with labels."""

    query: np.ndarray
    gallery: np.ndarray
    query_labels: np.ndarray
    gallery_labels: np.ndarray
    by_codes: bool

    def items(self, order: list[int]) -> Task:
        """The same with the gallery in another order."""
        moved = self.gallery[order] if self.by_codes else self.gallery[:, order]
        return replace(self, gallery=moved, gallery_labels=self.gallery_labels[order])

    def queries(self, order: list[int]) -> Task:
        """The same with the queries in another order."""
        moved = {} if self.by_codes else {"gallery": self.gallery[order]}
        return replace(self, query=self.query[order], query_labels=self.query_labels[order], **moved)

    def measured(self, ties: str | None = None, **options: int) -> Evaluation:
        """All metrics and curves under a tie rule; the default: under all."""
        rules = TIES if ties is None else (ties,)
        names = [Metric.parse(m).with_ties(t) for m in (*MONOTONE, *PARTLY_MONOTONE) for t in rules]
        names += [Metric.parse(m) for m in LOOKUPS if self.by_codes]
        curves = [f"{c}[{t}]".replace("][", ",") for c in CURVES for t in rules] + (["PR@H"] if self.by_codes else [])
        scores = hamming(self.query, self.gallery) if self.by_codes else given(self.gallery)
        return evaluate(scores, from_labels(self.query_labels, self.gallery_labels), names, **options, curves=curves)


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_query, n, classes = draw(st.integers(1, 6)), draw(st.integers(1, 12)), draw(st.integers(1, 70))
    if draw(st.booleans()):
        labels = [rng.integers(0, classes, size) for size in (n_query, n)]
    else:
        labels = [rng.random((size, classes)) < min(0.4, 2 / classes) for size in (n_query, n)]
    if draw(st.booleans()):
        bits = draw(st.integers(1, 6))
        codes = [rng.choice([-1, 1], (size, bits)) for size in (n_query, n)]
        return Task(*codes, *labels, by_codes=True)
    dtype = draw(st.sampled_from([np.float32, np.float64, np.int64]))
    scores = rng.integers(-3, draw(st.integers(-2, 12)), (n_query, n)).astype(dtype)
    return Task(np.arange(n_query), scores, *labels, by_codes=False)


def same(one: Evaluation, other: Evaluation, atol: float, queries: list[int] | None = None) -> None:
    """Refuse any difference above `atol`; `queries`: where the queries of `one` were in `other`."""
    assert one.values.keys() == other.values.keys()
    for name, values in one.per_query.items():
        before = other.per_query[name] if queries is None else other.per_query[name][queries]
        np.testing.assert_allclose(values, before, rtol=0, atol=atol, err_msg=name)
        for part in ("values", "stderr", "chance", "counted"):
            a, b = (getattr(result, part)[name] for result in (one, other))
            assert a == pytest.approx(b, abs=max(atol, 1e-9), nan_ok=True), (part, name)
    for name, points in one.curves.items():
        for part in ("x", "y"):
            a, b = (getattr(p, part) for p in (points, other.curves[name]))
            np.testing.assert_allclose(a, b, rtol=0, atol=max(atol, 1e-9), err_msg=name)


@settings(deadline=None, max_examples=50)
@cases(tasks())
def test_values_stay_in_range_and_tie_rules_are_ordered(task):
    result = task.measured()
    n = result.n_gallery
    for name, values in result.per_query.items():
        low, high = (1, n) if Metric.parse(name).is_rank else (0, 1)
        for value in (*values, result.values[name], result.chance[name]):
            assert np.isnan(value) or low - 1e-12 <= value <= high + 1e-12, name
        assert not result.stderr[name] < 0
        assert -1e-12 <= result.counted[name] <= result.n_query + 1e-12
    for name in MONOTONE:
        low, mean, stable, high = (
            result.per_query[str(Metric.parse(name).with_ties(t))]
            for t in ("pessimistic", "expected", "stable", "optimistic")
        )
        low, high = (high, low) if Metric.parse(name).is_rank else (low, high)
        for value in (mean, stable):
            counts = ~np.isnan(value)
            assert (low - 1e-12 <= value)[counts].all(), name
            assert (value <= high + 1e-12)[counts].all(), name


@settings(deadline=None, max_examples=50)
@cases(tasks())
def test_curves_stay_in_range_rise_and_fall(task):
    result = task.measured()
    for name, points in result.curves.items():
        if np.isnan(points.y).all():
            continue
        assert ((points.y > -1e-12) & (points.y < 1 + 1e-12)).all(), name
        assert (np.diff(points.x) >= 0).all(), name
        steps = np.diff(points.y)
        if name.startswith("R@"):
            assert (steps > -1e-12).all(), name
        elif name.startswith("PR@") and name != "PR@H":
            assert (steps < 1e-12).all(), name
    for name in CURVES:
        low, mean, stable, high = (
            result.curves[f"{name}[{t}]".replace("][", ",").replace("[expected]", "").replace(",expected", "")].y
            for t in ("pessimistic", "expected", "stable", "optimistic")
        )
        for value in (mean, stable):
            counts = ~np.isnan(value)
            assert (low - 1e-12 <= value)[counts].all(), name
            assert (value <= high + 1e-12)[counts].all(), name


@settings(deadline=None, max_examples=60)
@cases(tasks(), st.randoms())
def test_gallery_order_changes_nothing_but_the_stable_rule(task, random):
    n = len(task.gallery_labels)
    moved = task.items(random.sample(range(n), n))
    for ties in ("expected", "optimistic", "pessimistic"):
        same(moved.measured(ties), task.measured(ties), 1e-12)


@settings(deadline=None, max_examples=60)
@cases(tasks(), RULES, st.randoms())
def test_query_order_changes_nothing(task, ties, random):
    order = random.sample(range(len(task.query)), len(task.query))
    same(task.queries(order).measured(ties), task.measured(ties), 0, order)


@settings(deadline=None, max_examples=60)
@cases(tasks(), RULES, st.integers(1, 5000), st.integers(1, 3))
def test_block_size_and_threads_change_nothing(task, ties, block_bytes, threads):
    same(task.measured(ties, block_bytes=block_bytes, threads=threads), task.measured(ties), 0)


@settings(deadline=None, max_examples=120)
@cases(st.integers(0, 2**32), st.integers(2, 14), st.booleans(), st.sampled_from(TIES))
def test_a_better_ranking_never_scores_worse(seed, n, by_codes, ties):
    """Two items change places, the one that shares more labels with the query goes up."""
    rng = np.random.default_rng(seed)
    labels = (rng.integers(0, 4, n)[:, None] > np.arange(3)).astype(np.uint8)
    grades = labels.sum(axis=1)
    if by_codes:
        gallery = rng.choice([-1, 1], (n, int(rng.integers(1, 9))))
        query, scores = gallery[:1] * 0 + 1, gallery.sum(axis=1)
    else:
        gallery = scores = rng.integers(0, int(rng.integers(2, 15)), n).astype(np.float32)
        query, gallery = np.arange(1), gallery[None]
    place = np.argsort(np.argsort(-scores, kind="stable"))
    worse = [(a, b) for a in range(n) for b in range(n) if place[a] < place[b] and grades[a] < grades[b]]
    assume(worse)
    a, b = worse[int(rng.integers(len(worse)))]
    better = labels.copy()
    better[[a, b]] = labels[[b, a]]
    task = Task(query, gallery, np.ones((1, 3), dtype=np.uint8), labels, by_codes)
    before, after = task.measured(ties), replace(task, gallery_labels=better).measured(ties)
    for name in [str(Metric.parse(m).with_ties(ties)) for m in MONOTONE] + (LOOKUPS if by_codes else []):
        gain = after.values[name] - before.values[name]
        assert (-gain if Metric.parse(name).is_rank else gain) > -1e-12, name
    for name, points in after.curves.items():
        assert (points.y - before.curves[name].y > -1e-12).all(), name


def test_average_precision_over_hits_is_not_monotone():
    """The second relevant item comes up to rank 3, and the mean of precisions falls from 1 to (1 + 2/3) / 2."""
    values = [
        evaluate(given([[4.0, 3.0, 2.0, 1.0]]), from_labels([1], found), ["mAP@3"]).values["mAP@3"]
        for found in ([1, 0, 0, 1], [1, 0, 1, 0])
    ]
    assert values == [pytest.approx(1), pytest.approx(5 / 6)]
