"""Paired tests: values by hand, and by simulation how often they are wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from cmrbench.statistics.paired import PairedTest, paired_test, paired_tests
from cmrbench.statistics.sample import Sample
from cmrbench.statistics.variance import variance_split

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]

# By hand


def test_one_seed_each_is_the_paired_t_interval_and_the_randomisation_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(200), rng.random(200)
    found = paired_test(a, b)
    classic = stats.ttest_rel(a, b)
    interval = classic.confidence_interval(0.95)
    assert found.effect == pytest.approx((a - b).mean())
    assert found.over_queries is not None
    assert (found.over_queries.low, found.over_queries.high) == pytest.approx((interval.low, interval.high))
    assert found.over_queries.p == pytest.approx(classic.pvalue, rel=0.02)
    assert found.over_seeds is None
    assert "one seed" in found.why


def test_queries_without_a_value_are_left_out_for_both_and_counted() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 40)), rng.random((3, 40))
    whole = paired_test(a[:, 3:], b[:, 3:])
    a[0, 0] = a[1, 1] = b[2, 2] = np.nan
    found = paired_test(a, b)
    assert (found.queries, found.dropped) == (37, 3)
    assert found.effect == pytest.approx(whole.effect)
    assert found.over_seeds == whole.over_seeds


def test_won_lost_and_tied() -> None:
    found = paired_test([0.5, 0.5, 0.2, 0.1], [0.5, 0.4, 0.3, 0.3])
    assert (found.won, found.lost, found.tied) == (0.25, 0.5, 0.25)


def test_swapping_the_methods_changes_signs_only() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random((3, 60)), rng.random((4, 60)) + 0.05
    one, other = paired_test(a, b), paired_test(b, a)
    for x, y in ((one.over_queries, other.over_queries), (one.over_seeds, other.over_seeds)):
        assert x is not None
        assert y is not None
        assert (x.p, x.low, x.high) == pytest.approx((y.p, -y.high, -y.low))
    assert (one.won, one.effect) == pytest.approx((other.lost, -other.effect))


def test_seeds_and_queries_are_mean_squares_of_the_crossed_design() -> None:
    """Both methods with the same numbers of seeds: the textbook's analysis of variance, computed by its sums."""
    rng = np.random.default_rng(3)
    y = [rng.normal(0.5, 0.1, (4, 30)) + rng.normal(0, 0.1, (4, 1)) + rng.normal(0, 0.2, (1, 30)) for _ in range(2)]
    expected = of_queries = np.var(y[0].mean(0) - y[1].mean(0), ddof=1) / 30
    for values in y:
        ms_seed = 30 * np.var(values.mean(1), ddof=1)
        fitted = values.mean(1)[:, None] + values.mean(0) - values.mean()
        ms_residual = ((values - fitted) ** 2).sum() / (3 * 29)
        expected += (ms_seed - ms_residual) / (4 * 30)
    assert expected > of_queries, "the case is not one that is cut off"
    found = paired_test(*y).over_seeds
    assert found is not None
    assert found.stderr**2 == pytest.approx(expected)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(y[0].mean() - y[1].mean()) / found.stderr, found.df))
    assert 3 <= found.df <= 29 + 6


def test_other_seeds_never_make_a_difference_more_certain() -> None:
    rng = np.random.default_rng(10)
    for _ in range(50):
        found = paired_test(rng.random((3, 40)), rng.random((2, 40)))
        assert found.over_queries is not None
        assert found.over_seeds is not None
        assert found.over_seeds.stderr >= found.over_queries.stderr * (1 - 1e-12)
        assert found.over_seeds.low <= found.over_queries.low + 1e-12


def test_a_deterministic_method_adds_no_variance_of_seeds() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.random(80), rng.random(80)
    once = paired_test(a, b, first_deterministic=True, second_deterministic=True).over_seeds
    thrice = paired_test(np.tile(a, (3, 1)), np.tile(b, (3, 1))).over_seeds
    assert once is not None
    assert thrice is not None
    assert (once.p, once.df) == pytest.approx((thrice.p, thrice.df))
    assert once.p == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_equal_methods_do_not_differ() -> None:
    values = np.random.default_rng(5).random((3, 50))
    found = paired_test(values, values)
    assert (found.effect, found.tied) == (0, 1)
    assert found.over_queries is not None
    assert found.over_seeds is not None
    assert found.over_queries.p == found.over_seeds.p == 1
    constant = paired_test(np.ones((2, 9)), np.ones((2, 9))).over_seeds
    assert constant is not None
    assert (constant.p, constant.low, constant.high) == (1, 0, 0)


def test_too_few_queries_give_no_answer() -> None:
    found = paired_test([0.5, np.nan], [0.2, 0.3])
    assert (found.queries, found.dropped, found.over_queries, found.over_seeds) == (1, 1, None, None)
    assert found.effect == pytest.approx(0.3)
    assert paired_test([np.nan], [np.nan]).queries == 0


def test_other_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="3 and 4 queries"):
        paired_test(np.ones(3), np.ones(4))


def test_many_pairs_at_once_are_the_same_as_one_by_one() -> None:
    rng = np.random.default_rng(6)
    values = rng.random((4, 3, 50))
    samples = [Sample.of(v) for v in values]
    together = paired_tests([(samples[i], samples[j]) for i in range(4) for j in range(i)])
    alone = [paired_test(values[i], values[j]) for i in range(4) for j in range(i)]
    for x, y in zip(together, alone, strict=True):
        assert x.over_queries is not None
        assert y.over_queries is not None
        assert x.over_queries.p == pytest.approx(y.over_queries.p)
        assert x.over_seeds is not None
        assert y.over_seeds is not None
        assert x.over_seeds.p == pytest.approx(y.over_seeds.p)


# How often it is wrong: the null hypothesis holds, 5 % are asked for

TIMES = 4000


def ap_like(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Average precision of a hard query set: most values near zero, a few near one."""
    return rng.beta(0.3, 0.9, size)


def one_seed_each(first: np.ndarray, second: np.ndarray) -> list[PairedTest]:
    return paired_tests([(Sample.of(x), Sample.of(y)) for x, y in zip(first, second, strict=True)])


def rate(tests: list[PairedTest], question: str) -> float:
    p = np.array([getattr(test, question).p for test in tests])
    return float(np.mean(p <= 0.05))


def coverage(tests: list[PairedTest], question: str) -> float:
    found = [getattr(test, question) for test in tests]
    return float(np.mean([f.low <= 0 <= f.high for f in found]))


@pytest.mark.parametrize("queries", [40, 155, 467])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda r, n: r.normal(0, 1, n), lambda r, n: r.normal(0, 1, n)),
        (ap_like, ap_like),
        (lambda r, n: r.beta(0.3, 0.6, n), lambda r, n: r.beta(2, 4, n)),  # equal means, skewed differences
    ],
    ids=["normal", "skewed", "skewed-differences"],
)
def test_over_queries_five_percent_are_false_positives(first: Draw, second: Draw, queries: int) -> None:
    rng = np.random.default_rng(queries)
    tests = one_seed_each(first(rng, (TIMES, queries)), second(rng, (TIMES, queries)))
    print(f"over queries, {queries} queries: {rate(tests, 'over_queries'):.3f}", end=" ")
    print(f"coverage {coverage(tests, 'over_queries'):.3f}")
    assert rate(tests, "over_queries") == pytest.approx(0.05, abs=0.01)
    assert coverage(tests, "over_queries") == pytest.approx(0.95, abs=0.012)


def simulated(
    seeds: tuple[int, int],
    shares: tuple[float, float],
    *,
    residual: float = 1.0,
    queries: int = 155,
    times: int = TIMES,
) -> list[PairedTest]:
    """Tests of two equal methods.

    `shares` are the variances that each method's seeds bring to the difference of means, in units of what the queries
    bring; values are AP-like and skewed, seeds shift all queries of a method, and the residual is as large as the
    difference between methods on a query.
    """
    rng = np.random.default_rng([*seeds, *(int(100 * s) for s in shares), int(100 * residual), queries])
    common = ap_like(rng, (times, queries))
    spread = 0.1
    of_queries = 2 * spread**2 / queries  # of the difference of means
    samples = []
    for n, share in zip(seeds, shares, strict=True):
        own = common + rng.exponential(spread, (times, queries)) - spread
        shift = rng.normal(0, np.sqrt(share * of_queries * n), (times, n, 1))
        noise = rng.normal(0, spread, (times, n, queries)) if n > 1 else 0.0
        samples.append([Sample.of(v, deterministic=n == 1) for v in own[:, None, :] + shift + noise])
    return paired_tests(list(zip(*samples, strict=True)))


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0, 3.0])
def test_over_seeds_five_percent_are_false_positives(seeds: int, share: float) -> None:
    tests = simulated((seeds, seeds), (share, share))
    found = rate(tests, "over_seeds")
    print(f"over seeds, {seeds} and {seeds} seeds, share {share}: {found:.3f}", end=" ")
    print(f"coverage {coverage(tests, 'over_seeds'):.3f}, over queries {rate(tests, 'over_queries'):.3f}")
    assert found == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_over_seeds_against_a_deterministic_method(seeds: int, share: float) -> None:
    tests = simulated((seeds, 1), (share, 0.0))
    found = rate(tests, "over_seeds")
    print(f"over seeds, {seeds} seeds and a deterministic method, share {share}: {found:.3f}", end=" ")
    print(f"coverage {coverage(tests, 'over_seeds'):.3f}, over queries {rate(tests, 'over_queries'):.3f}")
    assert found == pytest.approx(0.05, abs=0.01)


def test_over_seeds_the_worst_case_stays_below_seven_percent() -> None:
    """Three seeds that move the mean ten times as much as the queries do, against a deterministic method."""
    found = rate(simulated((3, 1), (10.0, 0.0)), "over_seeds")
    print(f"over seeds, worst case: {found:.3f}")
    assert found <= 0.07


def test_seeds_that_matter_make_the_test_over_queries_alone_say_too_much() -> None:
    tests = simulated((3, 3), (3.0, 3.0))
    assert rate(tests, "over_queries") > 0.3


# Where the variance comes from


def test_the_variance_of_a_mean_is_split_as_it_was_made() -> None:
    rng = np.random.default_rng(7)
    seeds, queries, splits, times = 5, 60, 4, 300
    made = {"seeds": 0.05**2, "queries": 0.2**2, "residual": 0.1**2, "splits": 0.03**2}
    found = []
    for _ in range(times):
        samples = []
        for _ in range(splits):
            y = rng.normal(0, 0.03) + rng.normal(0, 0.05, (seeds, 1)) + rng.normal(0, 0.2, (1, queries))
            samples.append(Sample.of(y + rng.normal(0, 0.1, (seeds, queries))))
        found.append(variance_split(samples))
    expected = {
        "seeds": made["seeds"] / seeds / splits,
        "queries": made["queries"] / queries / splits,
        "residual": made["residual"] / (seeds * queries) / splits,
        "splits": made["splits"] / splits,
    }
    for name, value in expected.items():
        got = np.mean([getattr(f, name) for f in found])
        assert got == pytest.approx(value, rel=0.35 if name == "splits" else 0.1), name  # splits: cut off at zero
    one = found[0]
    assert one.total == pytest.approx(one.seeds + one.queries + one.residual + one.splits)


def test_one_seed_leaves_seeds_unknown_and_one_split_splits() -> None:
    values = np.random.default_rng(8).random(50)
    single = variance_split([Sample.of(values)])
    assert np.isnan([single.seeds, single.residual, single.splits]).all()
    assert single.total == single.queries == pytest.approx(values.var(ddof=1) / 50)
    fixed = variance_split([Sample.of(values, deterministic=True)])
    assert (fixed.seeds, fixed.residual) == (0, 0)
    with pytest.raises(ValueError, match="at least one sample"):
        variance_split([])
