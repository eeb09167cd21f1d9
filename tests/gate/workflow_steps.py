"""Carries out the `run:` steps of the action and of the documented workflows on this machine, with bash.

What GitHub's runner does besides is done as far as the two files need it: inputs and their defaults, the few
expressions that occur, the files behind GITHUB_OUTPUT and GITHUB_STEP_SUMMARY, `if`, and that a failed step skips the
next ones. Steps that use other actions (Python, cache, artifact) are left out: they bring things that are here, or take
things away. `pip install` is written down instead of carried out, since the package is installed already.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


@dataclass
class Done:
    """What a job left behind."""

    code: int = 0
    log: str = ""
    steps: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""


@dataclass
class Runner:
    """A machine of CI: a checked-out repository, a temporary folder, and programs in front of the PATH."""

    workspace: Path
    temp: Path

    def __post_init__(self) -> None:
        self.bin = self.temp / "bin"
        self.bin.mkdir(parents=True, exist_ok=True)
        self.pip = self.temp / "pip.log"
        python = shlex.quote(sys.executable)
        self._program(
            "python",
            f'if [[ "$1 $2" == "-m pip" ]]; then printf "%s\\n" "${{@:3}}" > {shlex.quote(str(self.pip))}\n'
            f'else exec {python} "$@"; fi',
        )
        self._program("cmrbench", f'exec {python} -m cmrbench "$@"')

    def _program(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/usr/bin/env bash\n{script}\n")
        path.chmod(0o755)

    def job(self, steps: list[dict[str, Any]], values: dict[str, str]) -> Done:
        """Carry out the steps of a workflow's job; `values`: of expressions."""
        done = Done()
        for step in steps:
            if "run" in step:
                self._run(step, values, done)
            elif not str(step["uses"]).startswith("actions/"):
                given = {name: evaluated(str(value), values) for name, value in step["with"].items()}
                unknown = set(given) - set(ACTION["inputs"])
                assert not unknown, f"the action has no input {unknown}"
                self.action(given, done)
        return done

    def action(self, given: dict[str, str], done: Done | None = None) -> Done:
        """Carry out the action."""
        done = Done() if done is None else done
        inputs = {name: str(spec.get("default", "")) for name, spec in ACTION["inputs"].items()} | given
        values = {f"inputs.{name}": value for name, value in inputs.items()}
        values |= {"runner.temp": str(self.temp), "runner.os": "Linux"}
        values["inputs.data || runner.temp"] = inputs["data"] or str(self.temp)
        for step in ACTION["runs"]["steps"]:
            if "run" in step and holds(step.get("if", ""), values):
                self._run(step, values, done)
        return done

    def _run(self, step: dict[str, Any], values: dict[str, str], done: Done) -> None:
        if done.code:
            return
        files = {name: self.temp / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for path in files.values():
            path.write_text("")
        environment = os.environ | {name: evaluated(str(v), values) for name, v in step.get("env", {}).items()}
        environment |= {name: str(path) for name, path in files.items()}
        environment |= {"GITHUB_ACTIONS": "true", "GITHUB_ACTION_PATH": str(ROOT), "PYTHONPATH": str(ROOT)}
        environment["PATH"] = f"{self.bin}{os.pathsep}{environment['PATH']}"
        assert "${{" not in step["run"]
        found = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            **{"cwd": self.workspace, "env": environment, "timeout": 300},
            **{"stdin": subprocess.DEVNULL, "capture_output": True, "text": True},
        )
        done.code = found.returncode
        done.log += found.stdout + found.stderr
        done.steps.append(step.get("name", step["run"]))
        done.outputs |= dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        done.summary += files["GITHUB_STEP_SUMMARY"].read_text()


def evaluated(text: str, values: dict[str, str]) -> str:
    """A text with its expressions replaced; one that is not in `values` is an error."""
    return re.sub(r"\$\{\{ *(.*?) *\}\}", lambda found: values[found[1]], text)


def holds(condition: str, values: dict[str, str]) -> bool:
    """Whether a step is carried out: conditions of the form ``inputs.x != ''``."""
    found = re.fullmatch(r"(inputs\.[a-z-]+) != ''", condition)
    assert found is not None or not condition, f"{condition!r} is not understood"
    return found is None or values[found[1]] != ""
