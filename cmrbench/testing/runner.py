"""Runs checks one after another and says what came of each."""

from __future__ import annotations

import inspect
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from cmrbench.method import Method
from cmrbench.testing.case import Case, CheckFailed, CheckTimeout, NotApplicable
from cmrbench.testing.check import Check, select_checks

STATUSES = ("passed", "failed", "expected_failure", "not_applicable", "error")


@dataclass(frozen=True)
class CheckResult:
    """What came of one check.

    Attributes
    ----------
    name : str
    status : str
        ``passed``, ``failed`` (the promise is broken), ``error`` (the method raised), ``expected_failure`` (broken,
        and the method says why), ``not_applicable``.
    detail : str
        One sentence: what was found, or why the check does not apply; for a passed check the first warning, if any.
    seconds : float
        Wall time.
    """

    name: str
    status: str
    detail: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong: neither ``failed`` nor ``error``."""
        return self.status not in ("failed", "error")


def iterate_checks(
    method_class: type[Method],
    names: Iterable[str] | None = None,
    params: Mapping[str, Any] | None = None,
    timeout: float | None = None,
) -> Iterator[CheckResult]:
    """Like `run_checks`, one result at a time."""
    case = Case(method_class, params)
    for check in select_checks(names):
        yield run_check(check, case, timeout)


def run_checks(
    method_class: type[Method],
    names: Iterable[str] | None = None,
    params: Mapping[str, Any] | None = None,
    timeout: float | None = None,
) -> list[CheckResult]:
    """Run the named conformance checks on a method.

    Parameters
    ----------
    method_class : type of Method
    names : iterable of str, optional
        Checks to run; default: all of them.
    params : mapping, optional
        Constructor parameters over those of ``PRESETS["quick"]`` and ``PRESETS["check"]``.
    timeout : float, optional
        Seconds after which a check fails (in the main thread of a Unix process only).

    Raises
    ------
    UnknownNameError
        If there is no check of a name.
    """
    return list(iterate_checks(method_class, names, params, timeout))


def assert_conforms(method_class: type[Method], params: Mapping[str, Any] | None = None) -> None:
    """Run every check and raise AssertionError with the broken ones; for a plugin's own test file."""
    broken = [f"{r.name}: {r.detail}" for r in run_checks(method_class, params=params) if not r.ok]
    if broken:
        raise AssertionError(f"{method_class.info.name} breaks {len(broken)} checks:\n" + "\n".join(broken))


def run_check(check: Check, case: Case, timeout: float | None = None) -> CheckResult:
    """Run one check; checks on one `Case` share its basic fit."""
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            with _one_thread(_uses_torch(case)), _time_limit(timeout):
                check.function(case)
            status, detail = "passed", _first_warning(caught)
        except NotApplicable as reason:
            status, detail = "not_applicable", str(reason)
        except CheckFailed as failure:
            status, detail = "failed", str(failure)
        except CheckTimeout:
            status, detail = "failed", f"did not end within {timeout:g} s"
        except (Exception, SystemExit) as error:  # released code is fond of sys.exit and argparse
            status, detail = "error", _say(error, case.method_class)
    status, detail = _judge(check.name, status, detail, case.method_class)
    return CheckResult(check.name, status, detail, time.perf_counter() - start)


def _judge(name: str, status: str, detail: str, method_class: type[Method]) -> tuple[str, str]:
    """Set a result against what the method says about it in ``EXPECTED_FAILURES``."""
    reason = method_class.EXPECTED_FAILURES.get(name)
    if reason is None:
        return status, detail
    if status in ("failed", "error"):
        return "expected_failure", reason
    if status == "passed":
        return "failed", f"no longer fails: remove it from EXPECTED_FAILURES (its reason was: {reason})"
    return status, detail


def _first_warning(caught: list[warnings.WarningMessage]) -> str:
    if not caught:
        return ""
    more = f" (and {len(caught) - 1} more)" if len(caught) > 1 else ""
    return f"{caught[0].category.__name__}: {caught[0].message}{more}"


def _say(error: BaseException, method_class: type[Method]) -> str:
    """The error's type and words, and the last line of the method's own file that it passed through."""
    text = f"{type(error).__name__}: {error}"
    try:
        own = inspect.getfile(method_class)
    except (TypeError, OSError):
        return text
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == own]
    return f"{text} (line {lines[-1].lineno} of {own.rpartition('/')[2]})" if lines else text


def _uses_torch(case: Case) -> bool:
    return bool(getattr(getattr(case.method_class, "info", None), "torch", False))


@contextmanager
def _one_thread(with_torch: bool) -> Iterator[None]:
    """One thread for numerical libraries, as runs have by default: numbers then repeat to the bit."""
    import scipy.linalg  # noqa: F401 - the limit holds for libraries that are loaded, not for what a fit loads later
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        if not with_torch:
            yield
            return
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `CheckTimeout` in the block after `seconds`, and every second after that until it is left."""
    usable = sys.platform != "win32" and threading.current_thread() is threading.main_thread()
    if seconds is None or not usable:
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise CheckTimeout

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
