"""The action and the documented workflows, carried out step by step in a repository as a user would have it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from junitparser import JUnitXml
from workflow_steps import ACTION, ROOT, Done, Runner, evaluated

DOC = (ROOT / "docs" / "your-repository.md").read_text(encoding="utf-8")
GITHUB, GITLAB = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", DOC, flags=re.DOTALL))
JOB = GITHUB["jobs"]["gate"]["steps"]
UPDATE = "inputs.update || false"


@pytest.fixture
def repository(tmp_path: Path, cache_dir: Path) -> Path:
    """A repository with one method, as `cmrbench new` writes it."""
    folder = tmp_path / "my methods"
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "cmrbench", "new", "my_method"], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def runner(repository: Path, tmp_path: Path) -> Runner:
    return Runner(repository, tmp_path / "runner")


def break_method(repository: Path, old: str, new: str) -> None:
    path = repository / "my_method.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def workflow(runner: Runner, update: bool = False) -> Done:
    return runner.job(JOB, {UPDATE: str(update).lower()})


@pytest.mark.slow
def test_the_documented_workflow_passes_fails_and_is_updated(repository: Path, runner: Runner) -> None:
    report = runner.temp / "cmrbench-gate"
    first = workflow(runner)
    assert first.code == 2, "there is no baseline yet"
    assert "::error title=cmrbench gate could not judge::there is no baseline baseline.parquet" in first.log
    assert "could not judge" in first.summary
    assert first.outputs == {"passed": "false", "counts": ""}

    made = workflow(runner, update=True)
    assert made.code == 0, made.log
    assert (report / "baseline.parquet").read_bytes() == (repository / "baseline.parquet").read_bytes()
    assert made.outputs["passed"] == "true"

    passed = workflow(runner)
    assert passed.code == 0, passed.log
    assert passed.steps[-1] == "cmrbench check my_method.py"
    assert json.loads(passed.outputs["counts"])["same"] == 16, "my_method once, random for three seeds"
    assert passed.summary.startswith("### ✅")
    assert (repository / ".cmrbench-data").is_dir()

    break_method(repository, "** 4", "** 0")
    failed = workflow(runner)
    assert failed.code == 1
    assert failed.outputs["passed"] == "false"
    assert json.loads(failed.outputs["counts"])["drop"] == 4
    assert failed.log.count("::error title=dropped%3A my_method on emoji") == 4
    assert failed.summary.startswith("### ❌")
    (suite,) = JUnitXml.fromfile(str(report / "gate.xml"))
    assert (suite.tests, suite.failures) == (16, 4)
    assert "cmrbench check" not in failed.steps[-1]

    break_method(repository, "** 0", "** zero")
    crashed = workflow(runner)
    assert crashed.code == 1
    assert "::warning title=cmrbench run::some runs failed" in crashed.log
    assert json.loads(crashed.outputs["counts"])["missing"] == 4
    assert "NameError" in crashed.summary


@pytest.mark.slow
def test_the_documented_job_of_another_ci(repository: Path, runner: Runner) -> None:
    job = GITLAB["benchmark"]
    steps = [{"run": "\n".join(job["script"]), "env": job["variables"]}]
    # It sets up no baseline: that is the user's first command, which the document names.
    (update,) = set(re.findall(r"`(cmrbench gate --update[^`]*)`", DOC))
    setup = [{"run": "\n".join([*job["script"][:2], update]), "env": job["variables"]}]
    assert runner.job(setup, {}).code == 0
    done = runner.job(steps, {})
    assert done.code == 0, done.log
    break_method(repository, "** 4", "** 0")
    assert runner.job(steps, {}).code == 1
    (suite,) = JUnitXml.fromfile(str(repository / job["artifacts"]["reports"]["junit"]))
    assert suite.failures == 4


def test_what_pip_is_asked_to_install(repository: Path, runner: Runner) -> None:
    install = [s for s in ACTION["runs"]["steps"] if s["name"] == "Install cmrbench"]
    for given, expected in (
        ({}, ["-c", f"{ROOT}/constraints.txt", str(ROOT)]),
        ({"install": "-r requirements.txt\nfoo>=1"}, [str(ROOT), "-r", "requirements.txt", "foo>=1"]),
        ({"cmrbench": "cmrbench @ git+https://x/y@z"}, ["cmrbench @ git+https://x/y@z"]),
    ):
        values = {"inputs.cmrbench": "", "inputs.install": ""} | {f"inputs.{k}": v for k, v in given.items()}
        done = Done()
        runner._run(install[0], values, done)
        assert done.code == 0, done.log
        asked = runner.pip.read_text().splitlines()
        assert asked[0] == "install"
        assert asked[-len(expected) :] == expected
    assert (ROOT / "constraints.txt").is_file()


@pytest.mark.parametrize("name", ["run", "gate", "baseline", "results", "max-drop", "update", "install", "fetch"])
def test_no_input_becomes_code(repository: Path, runner: Runner, name: str) -> None:
    """A hostile input reaches no shell: the commands get it as arguments, and refuse it."""
    for hostile in ("$(touch owned) `touch owned`", "\"; touch owned; ' && touch owned ${{ x }} *\ntouch owned"):
        done = runner.action({"run": "", "data": "", name: hostile})
        assert not list(repository.rglob("owned*"))
        assert not list(runner.temp.rglob("owned*"))
        assert done.steps[0] == "Install cmrbench"


def test_scripts_hold_no_expressions_and_steps_are_pinned() -> None:
    for step in ACTION["runs"]["steps"]:
        if "run" in step:
            assert "${{" not in step["run"], "an expression in a script is code"
            assert step["shell"] == "bash"
        else:
            assert re.fullmatch(r"actions/(setup-python|cache|upload-artifact)@v\d+", step["uses"]), step["uses"]
    assert ACTION["runs"]["using"] == "composite"


def test_every_input_and_output_is_used_and_documented() -> None:
    text = (ROOT / "action.yml").read_text()
    for name in ACTION["inputs"]:
        assert len(re.findall(rf"inputs\.{name}\b(?!-)", text)) >= 1, name
        assert re.search(rf"^\|.*`{name}`.*\|", DOC, flags=re.MULTILINE), name
    steps = {step.get("id") for step in ACTION["runs"]["steps"]}
    for name, output in ACTION["outputs"].items():
        (step, key) = re.fullmatch(r"\$\{\{ steps\.(\w+)\.outputs\.(\w+) \}\}", output["value"]).groups()
        assert step in steps
        assert key == name
        assert f"| `{name}` |" in DOC
    used = set(re.findall(r"inputs\.([a-z-]+)", text))
    assert used == set(ACTION["inputs"])


def test_the_documented_defaults_are_those_of_the_action() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \|([^|]*)\|", DOC, flags=re.MULTILINE))
    for name in ("max-drop", "update", "python-version", "fetch", "data", "artifact", "run", "gate", "install"):
        assert rows[name].strip("` ") == str(ACTION["inputs"][name]["default"])


def test_the_documented_workflow_is_one() -> None:
    triggers: Any = GITHUB[True] if True in GITHUB else GITHUB["on"]  # YAML 1.1 reads `on` as true
    assert set(triggers) == {"push", "pull_request", "workflow_dispatch"}
    assert GITHUB["permissions"] == {"contents": "read"}
    used = [step["uses"] for step in JOB if "uses" in step]
    assert used == ["actions/checkout@v6", "OWNER/cmrbench@REF"]
    assert evaluated(JOB[1]["with"]["update"], {UPDATE: "true"}) == "true"
