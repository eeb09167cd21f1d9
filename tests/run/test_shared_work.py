"""Runs that differ in their code length alone share what does not depend on it, and nothing else."""

from pathlib import Path

import pytest

import cmrbench

PLUGIN = Path(__file__).parent / "sharing.py"
SMALL = {"n_train": 60, "n_val": 20, "n_query": 20, "n_gallery": 30, "classes": 4, "dims": [70, 66]}
BITS = [8, 16, 32]


@pytest.fixture
def run(cache_dir, tmp_path):
    def carry_out(method, bits, *, seconds=0.0, jobs=1, seeds=1):
        settings = {"synthetic": SMALL, method: {"notes": str(tmp_path), "seconds": seconds}}
        table = cmrbench.run(
            methods=[method],
            datasets=["synthetic"],
            settings=settings,
            bits=bits,
            seeds=seeds,
            plugins=[PLUGIN],
            results=tmp_path / f"results-{len(list(tmp_path.iterdir()))}",
            jobs=jobs,
        )
        return {(r["bits"], r["seed"]): r for r in table.to_pylist()}

    return carry_out


def lines(tmp_path, name):
    return (tmp_path / name).read_text().splitlines()


def test_work_is_done_once_and_counted_in_every_run(run, tmp_path):
    rows = run("shares", BITS, seconds=0.3)
    assert {r["status"] for r in rows.values()} == {"done"}
    assert len(lines(tmp_path, "made")) == 1
    assert all(0.3 <= r["fit_s"] < 3 for r in rows.values())


def test_numbers_are_those_of_runs_of_their_own(run):
    together = run("shares", BITS)
    alone = {key: row for bits in BITS for key, row in run("shares", [bits]).items()}
    assert {k: r["value"] for k, r in together.items()} == {k: r["value"] for k, r in alone.items()}


def test_seeds_share_nothing(run, tmp_path):
    run("shares", [8, 16], seeds=2)
    assert len({line.split()[0] for line in lines(tmp_path, "made")}) == 2


def test_jobs_are_kept_busy_before_anything_is_shared(run, tmp_path):
    run("shares", [8, 16], jobs=2)
    assert len({line.split()[0] for line in lines(tmp_path, "made")}) == 2


def test_a_run_that_dies_costs_itself_only(run, tmp_path):
    rows = run("shares_and_dies", BITS)
    assert {bits: r["status"] for (bits, _), r in rows.items()} == {8: "done", 16: "failed", 32: "done"}
    assert "exit code 7" in rows[16, 0]["cause"]
    assert len({line.split()[0] for line in lines(tmp_path, "made")}) == 2, "the last one has a process of its own"


def test_without_shared_work_every_run_has_its_own_process(run, tmp_path):
    run("shares_nothing", BITS)
    assert len(set(lines(tmp_path, "processes"))) == 3
