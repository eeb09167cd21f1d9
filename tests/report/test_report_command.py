"""`cmrbench report`: formats, files, empty stores, wrong names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from report_tables import IT, TI, run
from typer.testing import CliRunner

from cmrbench.cli.report import report_command
from cmrbench.core.errors import CmrbenchError, UnknownNameError, UsageError
from cmrbench.store.schema import from_table
from cmrbench.store.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = Store(tmp_path / "results")
    for part in (run("cca", {IT: 0.5, TI: 0.4}), run("cca", {IT: 0.6, TI: 0.4}, spec={"dataset": "wiki"})):
        store.write(from_table(part))
    return tmp_path / "results"


def call(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(report_command)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_markdown_where_there_is_no_terminal(folder: Path) -> None:
    result = call("--results", folder)
    assert result.exit_code == 0
    assert result.stdout.count("### ") == 2
    assert "**0.500**" in result.stdout


def test_json_is_alone_on_standard_output(folder: Path) -> None:
    told = json.loads(call("--results", folder, "--json", "--dataset", "wiki").stdout)
    assert [b["key"]["dataset"] for b in told["leaderboards"]] == ["wiki"]
    assert call("--results", folder, "--format", "json").stdout == call("--results", folder, "--json").stdout


def test_datasets_by_comma_or_repeated(folder: Path) -> None:
    assert call("--results", folder, "--dataset", "wiki,emoji").stdout.count("### ") == 2
    assert call("--results", folder, "--dataset", "wiki", "--dataset", "emoji").stdout.count("### ") == 2


@pytest.mark.parametrize("name", ["md", "csv", "tex", "html", "json", "text"])
def test_output_file(folder: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "board"
    result = call("--results", folder, "--format", name, "--output", target)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert target.read_text(encoding="utf-8") == call("--results", folder, "--format", name).stdout


def test_an_empty_store_is_said_to_be_empty(tmp_path: Path) -> None:
    result = call("--results", tmp_path / "none")
    assert isinstance(result.exception, CmrbenchError)
    assert result.exception.exit_code == 1
    assert "no results yet" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--format", "mdd"], UnknownNameError),
        (["--dataset", "wikki"], UnknownNameError),
        (["--metric", "mAP@5"], UnknownNameError),
        (["--json", "--format", "csv"], UsageError),
        (["--metric", "mAP@all", "--all-metrics"], UsageError),
        (["--output", "/dev/null/x"], UsageError),
    ],
)
def test_wrong_options(folder: Path, arguments: list[str], error: type[Exception]) -> None:
    result = call("--results", folder, *arguments)
    assert isinstance(result.exception, error)
    assert result.exception.exit_code == 2  # type: ignore[attr-defined]
