"""What comes of a check, which checks are run, and with which parameters."""

# ruff: noqa: RUF012 - presets are written as a plugin's author writes them

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from broken_methods.learning import Unrelated
from small_methods import Ridge, hash_info

from cmrbench.core.errors import UnknownNameError
from cmrbench.method import Method
from cmrbench.testing import Case, all_checks, run_checks


class Excused(Unrelated):
    EXPECTED_FAILURES = {"beats_random": "it is a floor"}


class Repaired(Ridge):
    EXPECTED_FAILURES = {"beats_random": "it is a floor"}


def test_an_expected_failure_gives_its_reason():
    (result,) = run_checks(Excused, ["beats_random"])
    assert (result.status, result.detail, result.ok) == ("expected_failure", "it is a floor", True)


def test_an_expected_failure_that_passes_is_a_failure():
    (result,) = run_checks(Repaired, ["beats_random"])
    assert result.status == "failed"
    assert "remove it" in result.detail


class Declining(Ridge):
    def declines(self, dataset):
        return "too small" if dataset.sizes["train"]["image"] < 20 else None


def test_declined_data_is_not_applicable_with_the_reason():
    (result,) = run_checks(Declining, ["one_item_per_class"])
    assert result.status == "not_applicable"
    assert "too small" in result.detail


class Hangs(Ridge):
    """Never ends."""

    def fit(self, train, val, context):
        while True:
            try:
                time.sleep(0.01)
            except Exception:  # a time limit must not be something that this can swallow
                continue


def test_a_hanging_fit_fails_once_and_is_not_tried_again():
    start = time.perf_counter()
    results = run_checks(Hangs, timeout=0.3)
    assert time.perf_counter() - start < 5
    assert next(r.detail for r in results if not r.ok) == "fit did not end in time on the basic dataset"
    assert sum(r.status == "failed" for r in results) > 15


class Crashes(Ridge):
    def fit(self, train, val, context):
        raise RuntimeError("out of luck")


def test_a_crash_is_an_error_with_its_place():
    (result,) = run_checks(Crashes, ["output_shape"])
    assert result.status == "error"
    assert "RuntimeError: out of luck" in result.detail
    assert "test_runner.py" in result.detail


class Exits(Ridge):
    def fit(self, train, val, context):
        raise SystemExit("usage: train.py DATASET")


def test_a_method_that_ends_the_program_is_an_error_of_its_own():
    results = run_checks(Exits, ["fit_returns_self", "three_modalities"])
    assert [r.status for r in results] == ["error", "error"]
    assert all("SystemExit: usage: train.py DATASET" in r.detail for r in results)


THREADS_OF_SCIPY = """
from threadpoolctl import threadpool_info
from small_methods import Ridge
from cmrbench.testing import run_checks

class LoadsScipy(Ridge):
    def fit(self, train, val, context):
        import scipy.linalg
        print(max((i["num_threads"] for i in threadpool_info()), default=1))
        return super().fit(train, val, context)

run_checks(LoadsScipy, ["fit_returns_self"])
"""


@pytest.mark.skipif(os.cpu_count() == 1, reason="one processor: there is but one thread to have")
def test_libraries_that_a_fit_loads_have_one_thread():
    env = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    env["PYTHONPATH"] = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", THREADS_OF_SCIPY], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]


def test_params_go_over_the_presets():
    class Seen(Ridge):
        PRESETS = {"quick": {"reg": 1.0, "dim": 7}, "check": {"reg": 2.0}}

    assert Case(Seen, {"dim": 9}).params == {"reg": 2.0, "dim": 9}
    assert Case(Seen).fitted.outputs()["image"].shape[1] == 7


def test_an_unknown_check_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="beats_random"):
        run_checks(Ridge, ["beat_random"])


def test_names_select_in_the_order_of_the_list():
    order = [c.name for c in all_checks()]
    chosen = [r.name for r in run_checks(Ridge, reversed(order[:4]))]
    assert chosen == order[:4]


def test_the_base_class_itself_is_no_method():
    class Nothing(Method):
        """Writes neither fit nor encode."""

        info = hash_info(name="nothing")

    assert {r.status for r in run_checks(Nothing, ["fit_returns_self", "output_shape"])} == {"error"}
