"""NDCG with graded gains: every order of the ties, the tie rules, chance, and many labels."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from plain_metrics import codes_of, graded_ndcg

from cmrbench.core.errors import UsageError
from cmrbench.metrics import MEANS, TIES, Metric, evaluate, from_instances, from_labels, given, hamming

both_ways = pytest.mark.usefixtures("way")  # by scores alone, numpy does it anyway

GAINS = ("shared", "exp_shared")


def cuts(n: int) -> list[np.ndarray]:
    """All ways to cut a ranking of n items into tie groups, as the group of every rank."""
    return [np.cumsum([0, *new]) for new in itertools.product((0, 1), repeat=n - 1)]


def labels_of(grades) -> np.ndarray:
    """Labels that share that many with a query which carries all three."""
    return (np.asarray(grades)[:, None] > np.arange(3)).astype(np.uint8)


class Ties:
    """Every way to tie items with the given grades, and every ranking that each stands for, by tie rule.

    The gallery holds the items in a random order; one query a way to tie them.
    """

    def __init__(self, grades: tuple[int, ...], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.grades, n = rng.permutation(grades), len(grades)
        self.rankings = sorted(set(itertools.permutations(grades)))
        rows, number_of = np.array(self.rankings), {ranking: i for i, ranking in enumerate(self.rankings)}
        scores, weights = [], {rule: [] for rule in TIES}
        for group in cuts(n):
            kinds = np.sort(group * 4 + rows, axis=1)  # what the groups hold, whatever the order inside
            _, first, case = np.unique(kinds, axis=0, return_index=True, return_inverse=True)
            for number, i in enumerate(first):
                at = rng.permutation(n)  # which of several items of one grade has which score
                at = at[np.argsort(self.grades[at], kind="stable")]
                score = np.empty(n)
                score[at] = -group[np.argsort(rows[i], kind="stable")]
                scores.append(score)
                likely = case.ravel() == number
                weights["expected"].append(likely / likely.sum())
                for rule in TIES[1:]:
                    place = {"stable": np.arange(n), "optimistic": -self.grades, "pessimistic": self.grades}[rule]
                    ranking = tuple(self.grades[np.lexsort((place, -score))].tolist())
                    weights[rule].append(np.arange(len(rows)) == number_of[ranking])
        self.scores = np.array(scores)
        self.weights = {rule: np.array(w) for rule, w in weights.items()}


@both_ways
@pytest.mark.parametrize("n", range(1, 5))
@pytest.mark.parametrize("by", ["scores", "codes"])
def test_every_order_of_a_few_items_with_grades_up_to_three(n, by):
    compare_every_order(n, by, [*range(1, n + 2), None], MEANS)


@pytest.mark.parametrize("n", [5, 6])
def test_every_order_of_up_to_six_items_with_grades_up_to_three(n):
    compare_every_order(n, "scores", [*range(1, n + 1), None], ("all",))


def compare_every_order(n: int, by: str, cut_offs: list[int | None], means: tuple[str, ...]) -> None:
    """The engine against all rankings, for every way to tie n items, their grades, cut-off, rule and gain."""
    rules = [ties for ties in TIES if by == "scores" or ties != "stable"]  # with stable, codes are sorted like scores
    for grades in itertools.combinations_with_replacement(range(4), n):
        ties = Ties(grades)
        query = np.ones((len(ties.scores), 3), dtype=np.uint8)
        task = given(ties.scores) if by == "scores" else hamming(*codes_of(ties.scores))
        parts = list(itertools.product(cut_offs, means, GAINS))
        plain = np.array([[graded_ndcg(ranking, gain, k) for k, _, gain in parts] for ranking in ties.rankings])
        hits = np.array([[_counts(ranking, k, mean) for k, mean, _ in parts] for ranking in ties.rankings])
        metrics = {
            rule: [Metric("NDCG", k, mean=mean, ties=rule, gain=gain) for k, mean, gain in parts] for rule in rules
        }
        result = evaluate(task, from_labels(query, labels_of(ties.grades)), itertools.chain(*metrics.values()))
        for rule in rules:
            names = [str(m) for m in metrics[rule]]
            total, weight = ties.weights[rule] @ plain, ties.weights[rule] @ hits
            expected = np.divide(total, weight, out=np.full(total.shape, np.nan), where=weight > 0)
            got = np.stack([result.per_query[name] for name in names], axis=1)
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12, err_msg=f"{grades} {names}")
            sums = weight.sum(axis=0)
            mean = np.divide(total.sum(axis=0), sums, out=np.full(len(sums), np.nan), where=sums > 0)
            np.testing.assert_allclose([result.values[name] for name in names], mean, rtol=0, atol=1e-12)


def _counts(ranking: tuple[int, ...], k: int | None, mean: str) -> float:
    """Whether a ranking is in a mean."""
    return float({"all": True, "with_relevant": any(ranking), "with_hits": any(ranking[:k])}[mean])


def plain(scores: np.ndarray, grades: np.ndarray, gain: str, k: int) -> float:
    """Expected NDCG@k of one query, position by position."""
    n, total = len(scores), 0.0
    gains = np.array([2.0**s - 1 if gain == "exp_shared" else s for s in grades.tolist()])
    order = np.argsort(-scores)
    for rank, item in enumerate(order[:k], start=1):
        tied = scores == scores[item]
        total += gains[tied].mean() / math.log2(1 + rank)
    best = math.fsum(g / math.log2(1 + rank) for rank, g in enumerate(np.sort(gains)[::-1][: min(k, n)], start=1))
    return total / best if best else 0.0


@pytest.mark.parametrize("C", [1, 2, 63, 64, 65, 255, 256, 300])
def test_any_number_of_labels(C):
    rng = np.random.default_rng(C)
    ql, gl = rng.random((7, C)) < rng.random((7, 1)), rng.random((40, C)) < rng.random((40, 1))
    ql[0], ql[1], gl[0], gl[1], gl[2] = 1, 0, 1, 0, 1  # all labels, none, and the highest grade twice
    scores = rng.integers(0, 12, (7, 40)).astype(float)
    names = [f"NDCG@{k}[{gain}]" for k in (1, 10, 40, 60) for gain in GAINS]
    result = evaluate(given(scores), from_labels(ql, gl), names)
    grades = ql.astype(int) @ gl.T.astype(int)
    for name in names:
        m = Metric.parse(name)
        expected = [plain(scores[i], grades[i], m.gain, m.k) for i in range(7)]
        np.testing.assert_allclose(result.per_query[name], expected, rtol=0, atol=1e-12, err_msg=name)
        assert result.per_query[name][1] == 0


@both_ways
def test_with_one_label_an_item_every_gain_is_the_binary_one():
    rng = np.random.default_rng(0)
    scores, ql, gl = rng.integers(0, 9, (20, 50)).astype(float), rng.integers(0, 6, 20), rng.integers(0, 5, 50)
    for relevance in (from_labels(ql, gl), from_labels(np.eye(6)[ql], np.eye(6)[gl]), from_instances(ql, gl)):
        for k, ties, mean in itertools.product((1, 7, None), TIES, MEANS):
            metrics = [Metric("NDCG", k, mean=mean, ties=ties, gain=gain) for gain in ("binary", *GAINS)]
            result = evaluate(given(scores), relevance, metrics)
            for m in metrics[1:]:
                a, b = (result.per_query[str(x)] for x in (metrics[0], m))
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-12, err_msg=str(m))
                for part in ("values", "stderr", "chance", "counted"):
                    one, other = (getattr(result, part)[str(x)] for x in (metrics[0], m))
                    assert one == pytest.approx(other, abs=1e-12, nan_ok=True), (part, str(m))


@both_ways
def test_distances_of_codes_are_ranked_like_scores():
    rng = np.random.default_rng(1)
    q, g = (np.where(rng.random((n, 10)) < 0.5, -1, 1) for n in (15, 60))
    ql, gl = rng.random((15, 5)) < 0.4, rng.random((60, 5)) < 0.4
    names = [f"NDCG@{k}[{gain},{ties}]" for k in ("all", 5) for gain in GAINS for ties in TIES]
    codes = evaluate(hamming(q, g), from_labels(ql, gl), names)
    scores = evaluate(given((q @ g.T).astype(float)), from_labels(ql, gl), names)
    for name in codes.values:
        np.testing.assert_allclose(codes.per_query[name], scores.per_query[name], rtol=0, atol=1e-12)


@both_ways
def test_chance_is_what_random_orders_give():
    rng = np.random.default_rng(2)
    draws, ql, gl = 3000, rng.random((5, 4)) < 0.5, rng.random((20, 4)) < 0.4
    ql[0] = 0
    names = ["NDCG@all[shared]", "NDCG@3[exp_shared]", "NDCG@3[with_relevant,shared]", "NDCG@2[with_hits,exp_shared]"]
    tied = evaluate(given(np.zeros((5, 20))), from_labels(ql, gl), names)
    scores = rng.permuted(np.tile(np.arange(20.0), (5 * draws, 1)), axis=1)
    drawn = evaluate(given(scores), from_labels(np.tile(ql, (draws, 1)), gl), names)
    for name in names:
        assert tied.chance[name] == pytest.approx(tied.values[name], abs=1e-12)
        assert drawn.chance[name] == pytest.approx(tied.chance[name], abs=1e-12)
        assert abs(drawn.values[name] - tied.chance[name]) < 5 * drawn.stderr[name]


def test_hand_computed():
    labels = labels_of([1, 3, 0, 2])
    result = evaluate(
        given([[4.0, 3.0, 2.0, 1.0]]), from_labels([[1, 1, 1]], labels), ["NDCG[shared]", "NDCG@2[exp_shared]"]
    )
    log3, log5 = math.log2(3), math.log2(5)
    assert result.values["NDCG@all[shared]"] == pytest.approx((1 + 3 / log3 + 2 / log5) / (3 + 2 / log3 + 1 / 2))
    assert result.values["NDCG@2[exp_shared]"] == pytest.approx((1 + 7 / log3) / (7 + 3 / log3))


def test_deep_rankings_lose_no_digits():
    rng = np.random.default_rng(3)
    n = 100_000
    scores, grades = rng.integers(0, 30_000, n).astype(float), rng.integers(0, 4, n)
    names = ["NDCG@all[shared]", "NDCG@50000[exp_shared]"]
    result = evaluate(given(scores[None]), from_labels([[1, 1, 1]], labels_of(grades)), names)
    _, group = np.unique(-scores, return_inverse=True)
    discount = 1 / np.log2(np.arange(2, n + 2))
    for name, gains, k in ((names[0], grades, n), (names[1], 2**grades - 1, 50_000)):
        share = (np.bincount(group, gains) / np.bincount(group))[np.sort(group)]
        best = math.fsum(np.sort(gains)[::-1][:k] * discount[:k])
        assert result.values[name] == pytest.approx(math.fsum(share[:k] * discount[:k]) / best, abs=1e-12)


@both_ways
def test_gains_that_no_number_holds_are_refused():
    labels = np.ones((2, 1030), dtype=np.uint8)
    task = given(np.ones((2, 2))), from_labels(labels, labels)
    assert evaluate(*task, "NDCG@all[shared]").values["NDCG@all[shared]"] == pytest.approx(1)
    with pytest.raises(UsageError, match=r"NDCG@all\[exp_shared\].* 1030 .*shared"):
        evaluate(*task, ["P@1", "NDCG@all[exp_shared]"])
