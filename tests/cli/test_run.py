"""`cmrbench run` and `list` as a user runs them: exit codes, what is printed, what is written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent.parent / "run" / "misbehaving.py"
SMALL = [f"--set=synthetic.{k}" for k in ("n_train=40", "n_val=20", "n_query=20", "n_gallery=20", "classes=3")]


def cmrbench(*arguments, cwd=None):
    command = [sys.executable, "-m", "cmrbench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


@pytest.fixture
def run(cache_dir, tmp_path):
    def call(*arguments):
        return cmrbench("run", "--results", tmp_path / "results", *arguments)

    return call


def test_a_run_prints_a_leaderboard_and_ends_with_0(run, tmp_path):
    done = run("--methods", "random,cca", "--datasets", "synthetic", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "CCA" in done.stdout
    assert "Chance" in done.stdout
    assert "2 of 2 runs have a result" in done.stdout
    assert done.stderr.count("done") == 2
    assert len(list((tmp_path / "results" / "runs").iterdir())) == 2


def test_a_failed_run_ends_with_1_and_everything_else_is_finished(run):
    done = run("--methods", "raises_in_fit,good", "--datasets", "synthetic", "--plugin", PLUGIN, *SMALL)
    assert done.returncode == 1
    assert "1 of 2 runs have a result" in done.stdout
    assert "1 failed" in done.stdout
    assert "not> positive definite" in done.stderr.replace("\n", " ")


def test_a_failed_run_is_tried_again_and_a_done_one_is_not(run):
    arguments = ["--methods", "raises_in_fit,good", "--datasets", "synthetic", "--plugin", PLUGIN, *SMALL]
    run(*arguments)
    again = run(*arguments)
    assert "raises_in_fit" in again.stderr
    assert "good" not in again.stderr
    assert "good" in run(*arguments, "--force").stderr


def test_a_declined_run_is_no_failure(run):
    done = run("--methods", "cca", "--datasets", "emoji/multilingual")
    assert done.returncode == 0
    assert "1 declined" in done.stdout


def test_a_dry_run_runs_nothing(run, tmp_path):
    done = run("--methods", "random", "--datasets", "synthetic", "--dry-run", *SMALL)
    assert done.returncode == 0
    assert "1 of 1 runs to do" in done.stdout
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--methods", "lmc", "--datasets", "emoji"], "did you mean lcm"),
        (["--methods", "cca", "--datasets", "cca"], "unknown dataset 'cca'"),
        (["--methods", "cca,,x", "--datasets", "emoji"], "holds an empty name"),
        (["--methods", "cca"], "name --methods and --datasets"),
        (["--suite", "quik"], "did you mean quick?"),
        (["--suite", "quick", "--config", "x.yaml"], "not both"),
        (["--suite", "quick", "--set", "cca.reg=1"], "a suite or config has its own"),
        (["--methods", "cca", "--datasets", "emoji", "--timeout", "soon"], "--timeout 'soon'"),
        (["--methods", "cca", "--datasets", "emoji", "--max-memory", "lots"], "--max-memory 'lots'"),
        (["--methods", "cca", "--datasets", "emoji", "--jobs", "0"], "--jobs must be at least 1"),
        (["--methods", "cca", "--datasets", "emoji", "--seeds", "0"], "--seeds must be at least 1"),
        (["--methods", "batch", "--datasets", "emoji", "--bits", "sixteen"], "whole numbers"),
        (["--methods", "cca", "--datasets", "emoji", "--plugin", "none.py"], "does not exist"),
    ],
)
def test_bad_usage_is_one_sentence_and_2(run, tmp_path, arguments, words):
    done = run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_a_broken_plugin_is_a_warning(run, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise ValueError('nope')")
    done = run("--methods", "random", "--datasets", "synthetic", "--plugin", broken, *SMALL)
    assert done.returncode == 0
    assert "raises on import: ValueError: nope" in done.stderr


def test_a_results_folder_that_is_a_file(cache_dir, tmp_path):
    (tmp_path / "file").write_text("x")
    done = cmrbench("run", "--results", tmp_path / "file", "--methods", "random", "--datasets", "synthetic", *SMALL)
    assert done.returncode == 2
    assert "cannot be written to" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_results_folder_is_one_sentence_and_the_rest_is_finished(cache_dir, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip(f"this system does not let tests mount a tmpfs: {made.stderr.decode().strip()}")
    try:
        done = cmrbench("run", "--results", folder, "--methods", "random,cca", "--datasets", "emoji", "--seeds", "9")
        files = list((folder / "runs").iterdir())
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 1
    assert "could not be stored" in done.stderr
    assert "No space left on device" in done.stderr
    assert files
    assert not [f for f in files if f.name.startswith(".")]
    assert f"{len(files)} of 10 runs have a result" in done.stdout


def test_a_foreign_file_in_the_results_folder_is_named(run, tmp_path):
    (tmp_path / "results" / "runs").mkdir(parents=True)
    (tmp_path / "results" / "runs" / "foreign.parquet").write_bytes(b"PAR1 not really PAR1")
    assert run("--methods", "random", "--datasets", "synthetic", *SMALL).returncode == 0
    report = cmrbench("report", "--results", tmp_path / "results")
    assert report.returncode == 0
    assert "foreign.parquet is left out" in report.stderr


def test_a_truncated_result_is_computed_again(run, tmp_path):
    arguments = ("--methods", "random", "--datasets", "synthetic", *SMALL)
    run(*arguments)
    (file,) = (tmp_path / "results" / "runs").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-200])
    done = run(*arguments)
    assert done.returncode == 0
    assert "1 of 1 runs have a result" in done.stdout
    assert file.stat().st_size > len(whole) - 200


def test_a_configuration_file(run, tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text(
        "title: mine\nentries:\n- {methods: [random], datasets: [synthetic], seeds: 2,"
        " set: {synthetic: {n_train: 40, n_query: 20, n_gallery: 20, classes: 3}}}\n"
    )
    done = run("--config", config)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 runs have a result" in done.stdout


def test_lists_in_json(run, tmp_path):
    run("--methods", "random", "--datasets", "synthetic", "--dim", "8", *SMALL)
    methods = json.loads(cmrbench("list", "methods", "--json").stdout)
    assert {"cca", "drcl"} <= {m["name"] for m in methods["methods"]}
    assert methods["broken"] == []
    assert "quick" in json.loads(cmrbench("list", "suites", "--json").stdout)
    transforms = {t["name"]: t for t in json.loads(cmrbench("list", "transforms", "--json").stdout)}
    assert transforms["missing"]["example"] == "missing=text:0.2"
    (one,) = json.loads(cmrbench("list", "runs", "--json", "--results", tmp_path / "results").stdout)
    assert (one["method"], one["dim"], one["status"]) == ("random", 8, "done")
    assert "8-d" in cmrbench("list", "runs", "--results", tmp_path / "results").stdout
    status = json.loads(cmrbench("status", "--json", "--results", tmp_path / "results").stdout)
    assert status == {"runs": 1, "by_status": {"done": 1}, "without_result": []}


@pytest.mark.parametrize("what", ["methods", "datasets", "suites", "transforms"])
def test_lists_for_people(cache_dir, what, tmp_path):
    done = cmrbench("list", what, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [["list", "runs"], ["status"]])
def test_a_results_folder_that_is_not_there_is_said(cache_dir, command, tmp_path):
    done = cmrbench(*command, "--results", tmp_path / "typo")
    assert done.returncode == 2
    assert "typo does not exist" in done.stderr


def test_dimensions_that_were_not_found_are_said(run):
    done = run("--methods", "cca", "--datasets", "synthetic", "--dim", "500", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "500 dimensions were asked for, " in done.stdout


def test_help_names_every_command(cache_dir):
    text = cmrbench("--help").stdout
    assert all(c in text for c in ("run", "report", "gate", "eval", "list", "data", "check", "new", "status"))
