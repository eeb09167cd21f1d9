"""Holm's rule and rank groups, by their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmrbench.statistics.groups import letter_groups, letters
from cmrbench.statistics.multiple import holm

P = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def rejected_step_by_step(p: list[float], alpha: float) -> set[int]:
    """Holm's rule as he states it: test the smallest at alpha / n, the next at alpha / (n - 1), until one stands."""
    out: set[int] = set()
    for step, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[i] * (len(p) - step) > alpha:
            break
        out.add(i)
    return out


@given(P, st.sampled_from([0.01, 0.05, 0.3]))
def test_adjusted_values_reject_what_the_step_down_rule_rejects(p: list[float], alpha: float) -> None:
    assert set(np.flatnonzero(holm(p) <= alpha)) == rejected_step_by_step(p, alpha)


def test_values_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])


@given(P)
def test_order_is_kept_and_tests_that_were_not_made_do_not_count(p: list[float]) -> None:
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()
    with_gap = holm([float("nan"), *p])
    assert np.isnan(with_gap[0])
    assert with_gap[1:] == pytest.approx(adjusted)


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="0, 1"):
        holm([0.5, 1.2])


@st.composite
def matrices(draw: st.DrawFn) -> np.ndarray:
    n = draw(st.integers(1, 8))
    upper = np.triu(np.array(draw(st.lists(st.booleans(), min_size=n * n, max_size=n * n))).reshape(n, n), 1)
    return upper | upper.T


@given(matrices())
def test_rank_groups_never_contradict_the_pairwise_tests(different: np.ndarray) -> None:
    groups = letter_groups(different)
    for i in range(len(different)):
        for j in range(len(different)):
            together = any(i in group and j in group for group in groups)
            assert together != different[i, j]


@given(matrices())
def test_letters_say_the_same_as_the_groups_and_none_is_needless(different: np.ndarray) -> None:
    shown = letters(different)
    for i, j in np.ndindex(different.shape):
        assert bool(set(shown[i]) & set(shown[j])) != different[i, j]
    groups = letter_groups(different)
    assert not any(a < b or (a == b and x != y) for x, a in enumerate(groups) for y, b in enumerate(groups))


def test_letters_by_hand() -> None:
    """Four methods, neighbours alike: the display of a textbook."""
    far = np.abs(np.subtract.outer(range(4), range(4))) > 1
    assert letters(far) == ["a", "ab", "bc", "c"]
    assert letters(np.zeros((2, 2), bool)) == ["a", "a"]
    assert letters(np.zeros((0, 0), bool)) == []


@pytest.mark.parametrize("wrong", [[[True]], [[False, True], [False, False]], [[False, False]]])
def test_what_is_no_matrix_of_pairs_is_refused(wrong: list[list[bool]]) -> None:
    with pytest.raises(ValueError, match="symmetric"):
        letter_groups(wrong)
