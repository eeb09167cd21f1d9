"""A plugin that crashes, hangs, eats memory or breaks its contract costs its own run, and the store says why."""

from pathlib import Path

import psutil
import pytest

import cmrbench

PLUGIN = Path(__file__).parent / "misbehaving.py"
SMALL = {"synthetic": {"n_train": 60, "n_val": 20, "n_query": 20, "n_gallery": 30, "classes": 4}}

EXPECTED = {
    "good": ("done", ""),
    "raises_in_fit": ("failed", "RuntimeError: the matrix is <not> positive definite | really"),
    "raises_in_encode": ("failed", "ValueError: cannot encode"),
    "returns_nan": ("failed", "NaN or infinite values in 1 of"),
    "wrong_shape": ("failed", "returned shape ("),
    "wrong_dtype": ("failed", "dtype int64, expected float32"),
    "constant": ("failed", "one and the same vector"),
    "zero_codes": ("failed", "the value 0 in row 5; codes must be -1 or +1"),
    "not_self": ("failed", "fit must return self"),
    "hangs": ("timeout", "--timeout"),
    "allocates": ("oom", ""),
    "segfaults": ("killed", "SIGSEGV"),
    "prints_megabytes": ("done", ""),
    "exits": ("failed", "exit code 3"),
    "declines": ("declined", "only on Tuesdays"),
    "writes_features": ("failed", "read-only"),
    "uses_score": ("done", ""),
    "logs": ("done", ""),
    "holds_an_odd_object": ("done", ""),
    "sends_garbage": ("failed", "wrote into the pipe"),
    "sends_half_a_message": ("timeout", "--timeout"),
    "prints_forever": ("timeout", "--timeout"),
    "holds_the_interpreter": ("timeout", "--timeout"),
    "leaves_processes": ("done", ""),
    "closes_output": ("done", ""),
    "raises_the_unprintable": ("failed", "_UnprintableError: (its text cannot be made)"),
    "raises_megabytes": ("failed", "ValueError: xxx"),
    "warns_in_half_characters": ("done", ""),
    "eats_small_pieces": ("oom", ""),
    "exits_well": ("failed", "exit code 0 and no result"),
    "takes_functions": ("done", ""),
    "opens_the_dataset": ("failed", "not open its query items"),
}


@pytest.fixture(scope="module")
def rows(cache_dir, tmp_path_factory):
    """One call with all of them; what each left in the store."""
    table = cmrbench.run(
        methods=list(EXPECTED),
        datasets=["synthetic"],
        settings=SMALL,
        bits=[8],
        plugins=[PLUGIN],
        results=tmp_path_factory.mktemp("results"),
        timeout=4.0,
        max_memory=600 * 2**20,
        jobs=2,
    )
    found = {}
    for row in table.to_pylist():
        found.setdefault(row["method"], []).append(row)
    return found


@pytest.mark.parametrize("method", EXPECTED)
def test_the_run_ends_as_it_should(rows, method):
    status, words = EXPECTED[method]
    assert {r["status"] for r in rows[method]} == {status}
    assert words in rows[method][0]["cause"]
    if status == "done":
        assert all(r["value"] is not None for r in rows[method])
    else:
        assert [r["metric"] for r in rows[method]] == [None]


def test_every_run_is_in_the_store(rows):
    assert set(rows) == set(EXPECTED)


def test_a_failed_run_keeps_its_trace(rows):
    assert "misbehaving.py" in rows["raises_in_fit"][0]["trace"]
    assert "Segmentation fault" in rows["segfaults"][0]["trace"]


def test_output_is_drained_and_bounded(rows):
    assert all(len(r["trace"]) < 100_000 for group in rows.values() for r in group)


def test_a_methods_own_score_ranks_like_the_strategy_it_imitates(rows):
    by_strategy = {}
    for r in rows["uses_score"]:
        by_strategy.setdefault((r["direction"], r["metric"]), {})[r["retrieval"]] = r["value"]
    assert by_strategy
    for values in by_strategy.values():
        assert values["score"] == pytest.approx(values["cosine"], abs=1e-6)


def test_a_cause_is_a_line_that_can_be_read(rows):
    assert all(len(r["cause"]) <= 1000 for group in rows.values() for r in group)


def test_what_a_method_started_ends_with_its_run(rows):
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "98765"]]


def test_what_a_method_logs_as_a_warning_is_kept(rows):
    assert [w for w in rows["logs"][0]["warnings"] if "directions" in w] == ["only 8 of None directions"]
