"""The engine as a whole: all metrics at once, chance, means over queries, any number of labels and bits, memory."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from cmrbench.metrics import TIES, Curve, Metric, evaluate, evaluate_arrays, from_labels, given, hamming

pytestmark = pytest.mark.usefixtures("way")

ALL = ["mAP@all", "mAP@3", "mAP@3[min_kr]", "mAP@3[r]", "P@3", "R@3", "hit@2", "NDCG@3", "NDCG@all"]


def measured(scores, ql, gl, metrics=ALL, **options):
    return evaluate(given(scores), from_labels(ql, gl), metrics, **options)


def reference(grades: np.ndarray, k: int, levels: int) -> dict[str, float]:
    """Every metric and curve, as means over equally likely rankings; `grades` (rankings, n): labels shared, ranked."""
    relevant, rank = (grades > 0).astype(int), np.arange(1, grades.shape[1] + 1)
    found, R, cut = np.cumsum(relevant, axis=1), relevant[0].sum(), min(k, grades.shape[1])
    precisions, hits = (relevant * found / rank)[:, :cut].sum(axis=1), found[:, cut - 1]
    P, recall = found.mean(axis=0) / rank, found.mean(axis=0) / max(R, 1)
    values = {f"P@{k}": hits.mean() / k, f"R@{k}": hits.mean() / max(R, 1), f"hit@{k}": (hits > 0).mean()}
    for norm, divisor in (("", hits), ("[min_kr]", min(k, R)), ("[r]", R)):
        values[f"mAP@{k}{norm}"] = (precisions / np.maximum(divisor, 1)).mean()
    for name, gain in (("", relevant), ("[shared]", grades), ("[exp_shared]", 2.0**grades - 1)):
        dcg, ideal = ((g[:, :cut] / np.log2(1 + rank[:cut])).sum(axis=1) for g in (gain, -np.sort(-gain, axis=1)))
        values[f"NDCG@{k}{name}"] = (dcg / np.where(ideal == 0, 1, ideal)).mean()
    values["RPrec"] = found[:, R - 1].mean() / R if R else 0.0
    values["MedR"] = values["MeanR"] = (relevant.argmax(axis=1) + 1).mean() if R else math.nan
    steps = [max(P[recall >= i / (levels - 1) - 1e-9]) for i in range(levels)] if R else np.zeros(levels)
    return values | {f"PR@{levels}": steps, f"P@1..{k}": P[:k], f"R@1..{k}": recall[:k]}


def rankings(scores: np.ndarray, grades: np.ndarray, ties: str) -> np.ndarray:
    """The rankings that a tie rule stands for, (rankings, n); all permutations of groups that differ."""
    if ties != "expected":
        place = {"stable": np.arange(len(scores)), "optimistic": -grades, "pessimistic": grades}[ties]
        return grades[np.lexsort((place, -scores))][None]
    parts = [list(set(itertools.permutations(grades[scores == s].tolist()))) for s in np.unique(scores)[::-1]]
    return np.array([sum(parts, ()) for parts in itertools.product(*parts)])


def test_300_random_cases_of_every_metric_against_a_reference():
    rng = np.random.default_rng(9)
    most = 0
    for case in range(300):
        n, C = int(rng.integers(1, 25)), (1, 3, 70, 255)[case % 4]
        if case % 3:
            scores = rng.normal(size=n).astype((np.float32, np.float64)[case % 2])
            for size in (4, 3):
                scores[rng.integers(0, n, size)] = rng.choice(scores)
            task = given(scores[None])
        else:
            bits = (5, 64, 512)[case // 3 % 3]
            n = min(n, 8) if bits == 5 else n
            codes = np.where(rng.random((n, bits)) < rng.random((n, 1)), 1, -1)
            scores, task = codes.sum(axis=1), hamming(np.ones((1, bits)), codes)
        ql, gl = np.ones((1, C), dtype=int), (rng.random((n, C)) < 3 * rng.random() / C).astype(int)
        grades = (ql @ gl.T)[0]
        k, levels, ties = int(rng.integers(1, n + 4)), int(rng.integers(2, 30)), TIES[case % 5 % 4]
        every = rankings(scores, grades, ties)
        most = max(most, len(every))
        expected = reference(every, k, levels)
        metrics = [Metric.parse(name).with_ties(ties) for name in list(expected)[:-3]]
        curves = [replace(Curve.parse(name), ties=ties) for name in list(expected)[-3:]]
        result = evaluate(task, from_labels(ql, gl), metrics, curves=curves)
        for name, value in zip(list(expected), [*result.values.values(), *result.curves.values()], strict=True):
            got = value if isinstance(value, float) else value.y
            np.testing.assert_allclose(got, expected[name], rtol=0, atol=1e-12, err_msg=f"case {case}: {name} {ties}")
    assert most > 100


@pytest.mark.parametrize("bits", [1, 8, 63, 64, 65, 128, 129, 512])
@pytest.mark.parametrize("C", [1, 2, 63, 64, 65, 128, 255])
def test_any_number_of_bits_and_labels(bits, C):
    rng = np.random.default_rng(bits * C)
    q, g = (np.where(rng.random((n, bits)) < 0.3, 1, -1).astype(np.int8) for n in (5, 40))
    ql, gl = (rng.random((n, C)) < min(0.5, 2 / C) for n in (5, 40))
    ql[0], ql[1], gl[7] = False, True, True
    grades, distance = ql.astype(int) @ gl.T.astype(int), (q[:, None] != g).sum(axis=2)
    for ties in ("stable", "pessimistic"):
        every = [reference(rankings(-d, s, ties), 9, 6) for d, s in zip(distance, grades, strict=True)]
        names = [str(Metric.parse(name).with_ties(ties)) for name in list(every[0])[:-3]]
        result = evaluate(hamming(q, g), from_labels(ql, gl), [*names, "P@H1", "R@H1"], curves=f"R@1..9[{ties}]")
        for name, plain in zip(names, list(every[0])[:-3], strict=True):
            expected = [values[plain] for values in every]
            np.testing.assert_allclose(result.per_query[name], expected, rtol=0, atol=1e-12, err_msg=name)
        (points,) = result.curves.values()
        np.testing.assert_allclose(points.y, np.mean([v["R@1..9"] for v in every], axis=0), rtol=0, atol=1e-12)
    within, relevant = distance <= 1, grades > 0
    for name, of in (("P@H1", within), ("R@H1", relevant)):
        found, every = (within & relevant).sum(axis=1), of.sum(axis=1)
        np.testing.assert_allclose(result.per_query[name], found / np.maximum(every, 1), rtol=0, atol=1e-15)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize(("n", "k"), [(1, 1), (1, 5), (3, 2), (3, 3), (3, 7)])
def test_nothing_relevant_and_everything_relevant(n, k, ties):
    names = [f"{kind}@{k}" for kind in ("mAP", "P", "R", "hit", "NDCG")] + ["RPrec", "MedR", "MeanR", "mAP@all"]
    names += [f"{kind}@{k}[{option}]" for kind, option in (("mAP", "min_kr"), ("mAP", "r"), ("NDCG", "shared"))]
    metrics = [Metric.parse(name).with_ties(ties) for name in names]
    scores = np.arange(2.0 * n).reshape(2, n) // 2
    result = evaluate(given(scores), from_labels([0, 1], [1] * n), metrics, curves=f"PR@3[{ties}]")
    share = min(k, n) / n
    full = {f"P@{k}": min(k, n) / k, f"R@{k}": share, f"mAP@{k}[r]": share}
    for name, m in zip(names, metrics, strict=True):
        np.testing.assert_allclose(
            result.per_query[str(m)], [math.nan if m.is_rank else 0, full.get(name, 1)], err_msg=name
        )
        np.testing.assert_allclose(result.chance[str(m)], full.get(name, 1) / (1 if m.is_rank else 2), err_msg=name)
    (points,) = result.curves.values()
    np.testing.assert_allclose(points.y, [0.5, 0.5, 0.5])


def test_chance_of_a_lookup_is_that_of_as_many_items():
    rng = np.random.default_rng(10)
    q, g = (np.where(rng.random((n, 6)) < 0.4, 1, -1) for n in (7, 15))
    ql, gl = rng.integers(0, 4, 7), rng.integers(0, 3, 15)  # class 3 has no gallery item
    q[0], ql[0], gl[0] = g[0], 0, 0
    names = [f"{kind}@H{radius}{mean}" for kind in "PR" for radius in (0, 2, 6) for mean in ("", "[with_hits]")]
    chance = evaluate(hamming(q, g), from_labels(ql, gl), names).chance
    draws = [
        evaluate(hamming(q, g), from_labels(ql, rng.permutation(gl)), names) for _ in range(400)
    ]  # any labels for the items within the radius
    for name in names:
        values = np.nan_to_num([d.values[name] for d in draws])
        counted = np.array([d.counted[name] for d in draws])
        mean = (values * counted).sum() / counted.sum()
        spread = np.std(counted * (values - mean), ddof=1) / math.sqrt(len(draws)) / counted.mean()
        assert abs(chance[name] - mean) <= 5 * spread + 1e-12, name


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
    wanted = ["mAP@all", "mAP@50", "NDCG@all", *rules]
    evaluate(*task, wanted, budget)  # what is loaded or compiled once
    tracemalloc.start()
    evaluate(*task, wanted, budget)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < budget + (1 << 20)


@pytest.mark.parametrize(("n_query", "n", "C"), [(300, 4000, 10), (3_000, 10, 300)])
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
