"""The project's own gate: the fast deterministic methods on emoji and wiki against results/baseline.parquet."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

BASELINE = Path(__file__).resolve().parent.parent / "results" / "baseline.parquet"


def cmrbench(*arguments):
    command = [sys.executable, "-m", "cmrbench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def results(cache_dir, tmp_path_factory):
    """The suite `fast` on emoji, as the code stands."""
    folder = tmp_path_factory.mktemp("gate")
    done = cmrbench("run", "--suite", "fast", "--datasets", "emoji", "--results", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_emoji_keeps_its_values(results):
    done = cmrbench("gate", "--baseline", BASELINE, "--results", results, "--datasets", "emoji")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_wiki_keeps_its_values(wiki, tmp_path):
    done = cmrbench("run", "--suite", "fast", "--datasets", "wiki", "--results", tmp_path)
    assert done.returncode == 0, done.stderr
    done = cmrbench("gate", "--baseline", BASELINE, "--results", tmp_path, "--datasets", "wiki")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_gate_can_fail(results, tmp_path):
    """The same results against a baseline that is a hundredth better in one row."""
    table = pq.read_table(BASELINE)
    values = table.column("value").to_pylist()
    rows = [i for i, d in enumerate(table.column("dataset").to_pylist()) if d == "emoji"]
    values[rows[0]] += 0.01
    index = table.schema.get_field_index("value")
    raised = table.set_column(index, table.schema.field(index), pa.array(values, pa.float64()))
    pq.write_table(raised, tmp_path / "raised.parquet")
    done = cmrbench("gate", "--baseline", tmp_path / "raised.parquet", "--results", results, "--datasets", "emoji")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "drop" in done.stdout


def test_the_gate_fails_on_what_is_missing(results):
    done = cmrbench("gate", "--baseline", BASELINE, "--results", results)
    assert done.returncode == 1, "the baseline holds wiki, these results do not"
    assert "missing" in done.stdout


def test_the_baseline_holds_both_datasets_and_both_kinds():
    table = pq.read_table(BASELINE)
    assert set(table.column("dataset").to_pylist()) == {"emoji", "wiki"}
    assert {"cca", "kcca", "scm", "raw_2sknn"} <= set(table.column("method").to_pylist())
