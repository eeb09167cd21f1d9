"""The session of docs/importing.md: its code runs, and its commands print what stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cmrbench.cli.data import app
from cmrbench.core.errors import CmrbenchError

DOC = Path(__file__).parents[2] / "docs" / "importing.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOC.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def session() -> str:
    """What a person sees who types the commands in an empty folder."""
    (code,) = blocks("python")
    exec(compile(code, str(DOC), "exec"), {})
    lines = []
    for command in re.findall(r"^\$ cmrbench data ((?:.*\\\n)*.*)", blocks("console")[0], re.MULTILINE):
        result = CliRunner().invoke(app, shlex.split(command.replace("\\\n", " ")))
        lines += [f"$ cmrbench data {command}", result.output.rstrip("\n")]
        if isinstance(result.exception, CmrbenchError):
            lines.append(f"error: {result.exception}")
    return "\n".join(filter(None, lines)) + "\n"


def test_the_session_is_what_happens(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    assert session() == blocks("console")[0]


def test_every_option_is_explained() -> None:
    result = CliRunner().invoke(app, ["import", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    options = set(re.findall(r"--[a-z-]+", result.output)) - {"--help"}
    rows = re.findall(r"^\| `(--[a-z-]+)", DOC.read_text(encoding="utf-8"), re.MULTILINE)
    assert options == set(rows)
