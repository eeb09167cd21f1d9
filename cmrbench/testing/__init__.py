"""The named conformance checks: what every method must keep, for plugin authors too.

>>> from cmrbench.testing import run_checks
>>> failed = [r for r in run_checks(MyMethod) if not r.ok]  # doctest: +SKIP
"""

from cmrbench.testing.case import Case, CheckFailed, CheckTimeout, NotApplicable
from cmrbench.testing.check import Check, all_checks, select_checks
from cmrbench.testing.runner import CheckResult, assert_conforms, iterate_checks, run_check, run_checks

__all__ = [
    "Case",
    "Check",
    "CheckFailed",
    "CheckResult",
    "CheckTimeout",
    "NotApplicable",
    "all_checks",
    "assert_conforms",
    "iterate_checks",
    "run_check",
    "run_checks",
    "select_checks",
]
