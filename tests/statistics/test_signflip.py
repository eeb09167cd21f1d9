"""The paired randomisation test against enumeration, Monte Carlo, the t test and Wilcoxon's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cmrbench.statistics import signflip
from cmrbench.statistics.signflip import sign_flip_p

RNG = np.random.default_rng


def enumerated(differences: np.ndarray) -> float:
    """All patterns of signs, by their bits."""
    n = len(differences)
    patterns = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    sums = (2 * patterns - 1) @ differences
    return float(np.mean(np.abs(sums) >= abs(differences.sum()) - 1e-9))


def ap_like(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.beta(0.3, 1.0, n) - rng.beta(0.3, 1.3, n)


@given(st.lists(st.floats(-1, 1, allow_nan=False).map(lambda x: round(x, 3)), min_size=1, max_size=10))
@settings(max_examples=100, deadline=None)
def test_few_differences_are_enumerated(values: list[float]) -> None:
    assert sign_flip_p(values)[0] == pytest.approx(enumerated(np.array(values)))


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=12), st.sampled_from([1.0, 1 / 3, 0.1]))
@settings(max_examples=100, deadline=None)
def test_whole_numbers_are_exact(steps: list[int], unit: float) -> None:
    if any(steps):
        kept = np.array([s for s in steps if s])
        assert signflip._on_lattice(kept) == pytest.approx(enumerated(kept * unit))


@pytest.mark.parametrize("unit", [1.0, 1 / 3, 1 / 30])
def test_differences_on_a_grid_are_seen_as_such(unit: float) -> None:
    steps = RNG(0).integers(-3, 4, 400)
    kept = steps[steps != 0]
    assert sign_flip_p(steps * unit)[0] == pytest.approx(signflip._on_lattice(kept), rel=1e-9)


def test_differences_of_one_size_are_the_sign_test() -> None:
    won, lost = 45, 21
    differences = np.r_[np.ones(won), -np.ones(lost), np.zeros(134)]
    assert sign_flip_p(differences)[0] == pytest.approx(stats.binomtest(won, won + lost).pvalue, rel=1e-9)


def test_a_large_grid_agrees_with_the_sign_test() -> None:
    won, lost = 3000, 2790
    assert won + lost > signflip.LATTICE
    differences = np.r_[np.ones(won), -np.ones(lost)]
    assert sign_flip_p(differences)[0] == pytest.approx(stats.binomtest(won, won + lost).pvalue, rel=2e-3)


@pytest.mark.parametrize("draw", [lambda r, n: r.normal(0.3, 1, n), ap_like], ids=["normal", "skewed"])
def test_the_saddlepoint_agrees_with_enumeration(draw: Callable[[np.random.Generator, int], np.ndarray]) -> None:
    """17 differences, the fewest that it is used for, and its worst case: the sums are coarse then."""
    rng = RNG(1)
    assert signflip.ENUMERATED < 17
    for _ in range(25):
        differences = draw(rng, 17)
        exact = signflip._enumerated(differences)
        if exact > 1e-3:
            assert sign_flip_p(differences)[0] == pytest.approx(exact, rel=0.2)
        assert sign_flip_p(differences)[0] == pytest.approx(exact, rel=1.0)


@pytest.mark.parametrize("shift", [0.0, 0.01, 0.02])
def test_the_saddlepoint_agrees_with_monte_carlo(shift: float) -> None:
    differences = ap_like(RNG(2), 300) * 0.5 + shift
    found = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, vectorized=True, rng=RNG(3)
    )
    error = 4 * np.sqrt(found.pvalue * (1 - found.pvalue) / 20_000) + 1e-4
    assert sign_flip_p(differences)[0] == pytest.approx(found.pvalue, abs=error)


def test_far_out_it_goes_on_where_samples_of_patterns_end() -> None:
    """Against the exact distribution of a fine grid, at 1e-30 and beyond."""
    rng = RNG(4)
    steps = rng.integers(-4, 12, 200)
    kept = steps[steps != 0]
    exact = signflip._on_lattice(kept)
    assert exact < 1e-15
    smooth = signflip._saddlepoint(kept[None].astype(float), np.ones(1))[0]
    assert np.log(smooth) == pytest.approx(np.log(exact), rel=0.01)


def test_many_normal_differences_give_the_p_value_of_students_test() -> None:
    rng = RNG(5)
    first = rng.beta(1, 2, (40, 800))
    second = first + rng.normal(0.004, 0.05, first.shape)
    ours = sign_flip_p(second - first)
    assert ours == pytest.approx(stats.ttest_rel(second, first, axis=1).pvalue, rel=0.05, abs=1e-4)
    ranks = stats.wilcoxon(second - first, axis=1).pvalue
    assert stats.spearmanr(ours, ranks).statistic > 0.9


def test_tests_do_not_depend_on_each_other_or_on_signs_order_and_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = RNG(6)
    rows = np.stack([ap_like(rng, 90) * 0.3, np.zeros(90), np.round(ap_like(rng, 90), 1), np.eye(90)[3] * 0.4])
    alone = np.concatenate([sign_flip_p(row) for row in rows])
    monkeypatch.setattr(signflip, "_AT_ONCE", 100)
    for changed in (rows, -rows, rows[:, rng.permutation(90)], rows * 37.0):
        assert sign_flip_p(changed) == pytest.approx(alone, rel=1e-6)
    assert alone[1] == alone[3] == 1.0


def test_all_of_one_sign_is_one_pattern_of_two() -> None:
    sizes = RNG(7).random(30) + 0.1
    assert sign_flip_p(sizes)[0] == pytest.approx(2.0**-29)
    assert sign_flip_p(np.full(30, 0.25))[0] == pytest.approx(2.0**-29)


def test_differences_without_a_value_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        sign_flip_p([0.1, float("nan")])
