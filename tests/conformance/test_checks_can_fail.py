"""Every check catches a method that breaks its promise and nothing else; good methods pass all of them.

Without this, a check that cannot fail would look like one that every method keeps.
"""

import pytest
from broken_methods import BROKEN
from small_methods import GOOD, Oracle, Selecting

from cmrbench.testing import all_checks, run_checks


@pytest.mark.parametrize(("cls", "check", "words"), BROKEN)
def test_a_broken_method_is_caught(cls, check, words):
    (result,) = run_checks(cls, [check])
    assert result.status in ("failed", "error"), result
    assert words in result.detail


def test_every_check_catches_something():
    assert {check for _, check, _ in (p.values for p in BROKEN)} == {c.name for c in all_checks()}


@pytest.mark.parametrize("cls", GOOD)
def test_good_methods_pass(cls):
    assert [r for r in run_checks(cls) if not r.ok] == []


def test_every_check_applies_to_a_good_method():
    passed = {r.name for cls in GOOD for r in run_checks(cls) if r.status == "passed"}
    assert passed == {c.name for c in all_checks()}


def test_a_label_oracle_is_checked_through_its_labels():
    status = {r.name: r.status for r in run_checks(Oracle)}
    assert status["output_shape"] == status["beats_random"] == "passed"
    assert status["subset_invariance"] == "not_applicable"


class StaticScore(Selecting):
    """A similarity that needs nothing of the method."""

    @staticmethod
    def score(query, gallery, query_modality, gallery_modality):
        return query @ gallery.T


def test_a_score_may_be_a_static_method():
    (result,) = run_checks(StaticScore, ["own_score"])
    assert result.status == "passed", result
