"""Every named check on every registered method."""

from functools import cache

import pytest

from cmrbench.registry import load_methods
from cmrbench.testing import Case, all_checks, run_check

TABLE = load_methods()
CHECKS = {c.name: c for c in all_checks()}


@cache
def case_of(method):
    return Case(TABLE.get(method))


@cache
def result_of(method, check):
    return run_check(CHECKS[check], case_of(method), timeout=120)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("method", TABLE.names())
def test_method_keeps_its_promise(method, check):
    result = result_of(method, check)
    assert result.ok, f"{method}, {check}: {result.detail}"
    if result.status == "expected_failure":
        pytest.xfail(result.detail)


@pytest.mark.parametrize("method", TABLE.names())
def test_checks_apply_to_the_method(method):
    applied = [c for c in CHECKS if result_of(method, c).status != "not_applicable"]
    assert len(applied) >= len(CHECKS) / 2, f"only {', '.join(applied) or 'nothing'} could be checked"


def test_no_plugin_is_broken():
    assert TABLE.warnings == ()
