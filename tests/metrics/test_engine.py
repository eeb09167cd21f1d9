"""The engine as a whole: independent libraries, invariances, chance, memory, refusals."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.metrics import Metric, evaluate, evaluate_arrays, from_labels, given, hamming

pytestmark = pytest.mark.usefixtures("way")

ALL = ["mAP@all", "mAP@3", "mAP@3[min_kr]", "mAP@3[r]", "P@3", "R@3", "hit@2", "NDCG@3", "NDCG@all"]


@st.composite
def tasks(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_query, n, classes = draw(st.integers(1, 6)), draw(st.integers(1, 12)), draw(st.integers(1, 4))
    scores = rng.integers(0, draw(st.integers(1, 12)), (n_query, n)).astype(np.float32)
    if draw(st.booleans()):
        return scores, rng.integers(0, classes, n_query), rng.integers(0, classes, n)
    return scores, rng.random((n_query, classes)) < 0.4, rng.random((n, classes)) < 0.4


def measured(scores, ql, gl, metrics=ALL, **options):
    return evaluate(given(scores), from_labels(ql, gl), metrics, **options)


@settings(deadline=None, max_examples=60)
@cases(tasks())
def test_range_and_tie_rules_are_ordered(task):
    names = [f"{m}[{t}]".replace("][", ",") for m in ALL for t in ("pessimistic", "expected", "stable", "optimistic")]
    result = measured(*task, metrics=names)
    for name in ALL:
        low, mean, stable, high = (
            result.values[str(Metric.parse(name).with_ties(t))]
            for t in ("pessimistic", "expected", "stable", "optimistic")
        )
        assert -1e-12 <= mean <= 1 + 1e-12
        if name != "mAP@3":  # there a relevant item at the cut adds to the divisor, too
            assert low - 1e-12 <= mean <= high + 1e-12
            assert low - 1e-12 <= stable <= high + 1e-12


@settings(deadline=None, max_examples=60)
@cases(tasks(), st.randoms())
def test_no_order_changes_anything(task, random):
    scores, ql, gl = task
    result = measured(scores, ql, gl)
    items = random.sample(range(len(gl)), len(gl))
    queries = random.sample(range(len(ql)), len(ql))
    moved = measured(scores[:, items], ql, gl[items])
    turned = measured(scores[queries], ql[queries], gl)
    for name in ALL:
        np.testing.assert_allclose(moved.per_query[name], result.per_query[name], rtol=0, atol=1e-12)
        np.testing.assert_array_equal(turned.per_query[name], result.per_query[name][queries])
        assert turned.chance[name] == pytest.approx(result.chance[name], abs=1e-12)


@settings(deadline=None, max_examples=30)
@cases(tasks(), st.integers(1, 5000))
def test_block_size_changes_nothing_for_given_scores(task, block_bytes):
    names = [*ALL, "mAP@all[stable]"]
    one, many = measured(*task, metrics=names), measured(*task, metrics=names, block_bytes=block_bytes)
    for name in names:
        np.testing.assert_array_equal(one.per_query[name], many.per_query[name])
        assert one.values[name] == many.values[name]


def test_agrees_with_scikit_learn_where_nothing_is_tied():
    rng = np.random.default_rng(0)
    scores = rng.permuted(np.tile(np.arange(60.0), (40, 1)), axis=1)
    ql, gl = rng.integers(0, 4, 40), rng.integers(0, 4, 60)
    result = measured(scores, ql, gl, ["mAP@all", "NDCG@all", "NDCG@10"])
    found = (ql[:, None] == gl).astype(int)
    for i in range(40):
        assert result.per_query["mAP@all"][i] == pytest.approx(average_precision_score(found[i], scores[i]), abs=1e-12)
        for name, k in (("NDCG@all", None), ("NDCG@10", 10)):
            assert result.per_query[name][i] == pytest.approx(ndcg_score(found[[i]], scores[[i]], k=k), abs=1e-12)


def test_ndcg_with_ties_agrees_with_scikit_learn():
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 6, (20, 30)).astype(float)
    ql, gl = rng.integers(0, 3, 20), rng.integers(0, 3, 30)
    result = measured(scores, ql, gl, ["NDCG@all"])
    found = (ql[:, None] == gl).astype(int)
    for i in range(20):
        assert result.per_query["NDCG@all"][i] == pytest.approx(ndcg_score(found[[i]], scores[[i]]), abs=1e-12)


def test_scores_below_zero_count_like_any_other():
    scores = np.array([[-1.0, -3.0, -2.0]])
    assert measured(scores, [1], [1, 1, 0], ["mAP@all"]).values["mAP@all"] == pytest.approx((1 + 2 / 3) / 2)


def test_counting_equals_sorting():
    rng = np.random.default_rng(2)
    q, g = (np.where(rng.random((n, 12)) < 0.5, -1, 1).astype(np.int8) for n in (30, 90))
    ql, gl = rng.random((30, 70)) < 0.05, rng.random((90, 70)) < 0.05
    names = [*ALL, "mAP@all[stable]", "mAP@7[pessimistic]"]
    counted = evaluate(hamming(q, g), from_labels(ql, gl), names)
    by_sort = measured((q.astype(float) @ g.T.astype(float)), ql, gl, names)
    for name in names:
        np.testing.assert_allclose(counted.per_query[name], by_sort.per_query[name], rtol=0, atol=1e-13)


def test_chance_is_what_random_orders_give():
    rng = np.random.default_rng(4)
    n_query, n, draws = 8, 25, 3000
    ql, gl = rng.integers(0, 5, n_query), rng.integers(0, 4, n)  # class 4 has no gallery item
    names = ["mAP@all", "mAP@5", "mAP@5[min_kr]", "P@5", "R@5", "hit@2", "NDCG@5", "mAP@all[with_relevant]"]
    scores = rng.permuted(np.tile(np.arange(float(n)), (n_query * draws, 1)), axis=1)
    simulated = measured(scores, np.tile(ql, draws), gl, names)
    result = measured(np.zeros((n_query, n)), ql, gl, names)
    for name in names:
        assert result.chance[name] == pytest.approx(result.values[name], abs=1e-12)  # all items are tied here
        assert abs(simulated.values[name] - result.chance[name]) < 5 * simulated.stderr[name]
        assert simulated.chance[name] == pytest.approx(result.chance[name], abs=1e-12)


def test_chance_under_with_hits_is_expected_sum_over_expected_queries():
    rng = np.random.default_rng(5)
    ql, gl = rng.integers(0, 4, 6), rng.integers(0, 4, 20)
    scores = rng.permuted(np.tile(np.arange(20.0), (6 * 20_000, 1)), axis=1)
    name = "mAP@3[with_hits]"
    simulated = measured(scores, np.tile(ql, 20_000), gl, [name])
    assert simulated.chance[name] == pytest.approx(simulated.values[name], abs=5 * simulated.stderr[name])


def test_mean_and_standard_error_by_rule():
    # one query without relevant items, one with a hit within 1, one with a hit at rank 2
    scores = np.array([[2.0, 1.0], [2.0, 1.0], [1.0, 2.0]])
    result = measured(scores, [9, 0, 0], [0, 1], ["mAP@1", "mAP@1[with_relevant]", "mAP@1[with_hits]"])
    assert result.values == {
        "mAP@1": pytest.approx(1 / 3),
        "mAP@1[with_relevant]": pytest.approx(1 / 2),
        "mAP@1[with_hits]": pytest.approx(1.0),
    }
    assert result.counted == {"mAP@1": 3, "mAP@1[with_relevant]": 2, "mAP@1[with_hits]": 1}
    assert result.stderr["mAP@1"] == pytest.approx(np.std([0, 1, 0], ddof=1) / math.sqrt(3))
    assert result.stderr["mAP@1[with_relevant]"] == pytest.approx(np.std([1, 0], ddof=1) / math.sqrt(2))
    assert math.isnan(result.stderr["mAP@1[with_hits]"])
    np.testing.assert_array_equal(result.per_query["mAP@1[with_relevant]"], [np.nan, 1, 0])


def test_a_mean_over_no_query_is_nan_and_a_mean_over_all_is_zero():
    result = measured(np.ones((2, 3)), [7, 8], [0, 1, 2], ["mAP@all", "mAP@all[with_relevant]", "P@1[with_hits]"])
    assert result.values["mAP@all"] == 0
    assert math.isnan(result.values["mAP@all[with_relevant]"])
    assert math.isnan(result.values["P@1[with_hits]"])


def test_published_traps():
    """AP@k is not the AP of the first min(k, R) relevant items wherever they stand, nor divided by N + 10."""
    scores = -np.arange(6.0)[None]
    result = measured(scores, [1], [0, 1, 0, 1, 1, 1], ["mAP@2", "mAP@2[min_kr]", "mAP@2[r]"])
    assert list(result.values.values()) == [pytest.approx(x) for x in (1 / 2, 1 / 4, 1 / 8)]


@pytest.mark.parametrize("relevant", ["a tenth relevant", "all relevant"])
@pytest.mark.parametrize("rules", [[], ["mAP@50[stable]"], ["mAP@50[stable]", "P@9[pessimistic]", "R@9[optimistic]"]])
def test_memory_stays_within_the_budget(relevant, rules):
    rng = np.random.default_rng(6)
    n_query, n, budget = 300, 4000, 8 << 20
    scores = rng.random((n_query, n), dtype=np.float32)
    labels = np.zeros(n, dtype=int) if relevant == "all relevant" else rng.integers(0, 10, n)
    task = given(scores), from_labels(np.zeros(n_query, dtype=int), labels)
    evaluate(*task, ["mAP@all"], budget)
    tracemalloc.start()
    evaluate(*task, ["mAP@all", "mAP@50", "NDCG@all", *rules], budget)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < budget + (1 << 20)


@pytest.mark.parametrize(("n_query", "n", "C"), [(300, 4000, 10), (6_000, 10, 300)])
@pytest.mark.parametrize(
    "wanted",
    [
        {"metrics": ["NDCG@all[shared]", "NDCG@50[exp_shared,stable]", "NDCG@all[shared,optimistic]"]},
        {"metrics": [], "curves": ["PR@11", "P@1..4000", "R@1..20"]},
    ],
)
def test_memory_of_graded_metrics_and_curves(n_query, n, C, wanted):
    rng = np.random.default_rng(8)
    scores, budget = rng.random((n_query, n), dtype=np.float32), 8 << 20
    task = given(scores), from_labels(rng.random((n_query, C)) < 0.3, rng.random((n, C)) < 0.3)
    evaluate(*task, block_bytes=budget, **wanted)
    tracemalloc.start()
    evaluate(*task, block_bytes=budget, **wanted)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < budget + (1 << 20) + 64 * n_query  # values, chance and numbers of relevant items of every query


def test_one_call_on_arrays():
    rng = np.random.default_rng(7)
    q, g = rng.normal(size=(9, 4)), rng.normal(size=(11, 4))
    ql, gl = rng.integers(0, 3, 9), rng.integers(0, 3, 11)
    cosine = (q / np.linalg.norm(q, axis=1)[:, None]) @ (g / np.linalg.norm(g, axis=1)[:, None]).T
    expected = measured(cosine, ql, gl, ["mAP@all", "mAP@5"])
    result = evaluate_arrays(q, g, ql, gl, metrics=("mAP@all", Metric("mAP", 5)))
    assert result.values == pytest.approx(expected.values)
    assert (result.n_query, result.n_gallery) == (9, 11)
    assert list(evaluate_arrays(q, g, ql, gl, metrics="P@2", ties="stable").values) == ["P@2[stable]"]
    distances = ((q[:, None] - g[None]) ** 2).sum(-1)
    euclidean = evaluate_arrays(q, g, ql, gl, distance="euclidean")
    assert euclidean.values == pytest.approx(measured(-distances, ql, gl, ["mAP@all"]).values)


def test_bad_requests_are_refused():
    ones = np.ones((2, 3))
    with pytest.raises(DataError, match=r"2 queries and 3 gallery items.* 2 and 4"):
        evaluate(given(ones), from_labels([0, 1], [0, 1, 0, 1]))
    with pytest.raises(UsageError, match="no metric"):
        measured(ones, [0, 1], [0, 1, 0], [])
    with pytest.raises(UsageError, match="block_bytes"):
        measured(ones, [0, 1], [0, 1, 0], block_bytes=0)
    with pytest.raises(UsageError, match="threads"):
        measured(ones, [0, 1], [0, 1, 0], threads=0)
    with pytest.raises(UnknownNameError, match="did you mean cosine"):
        evaluate_arrays(ones, ones, [0, 1], [0, 1], distance="cosin")
    with pytest.raises(UnknownNameError, match="tie rule"):
        evaluate_arrays(ones, ones, [0, 1], [0, 1], ties="lucky")
    with pytest.raises(DataError, match="gallery labels are for 3 items, but gallery holds 2"):
        evaluate_arrays(ones, ones, [0, 1], [0, 1, 1])
