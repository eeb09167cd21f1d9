"""`cmrbench report`: formats, files, empty stores, wrong names."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
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
        (["--format", "md,csv"], UsageError),
        (["--format", "md,csvv", "--output", "x"], UnknownNameError),
        (["--format", "md,csv", "--output", "/dev/null/x"], UsageError),
        (["--table", "X"], UnknownNameError),
        (["--table", "VI", "--protocol", "x"], UnknownNameError),
        (["--table", "VI", "--metric", "mAP@all"], UsageError),
        (["--published"], UsageError),
        (["--protocol", "all-test"], UsageError),
    ],
)
def test_wrong_options(folder: Path, arguments: list[str], error: type[Exception]) -> None:
    result = call("--results", folder, *arguments)
    assert isinstance(result.exception, error)
    assert result.exception.exit_code == 2  # type: ignore[attr-defined]


def test_an_unknown_table_names_those_that_there_are(folder: Path) -> None:
    told = str(call("--results", folder, "--table", "zzz").exception)
    for name in ("V", "IX", "lcm2", "drcl3", "codes", "all"):
        assert name in told.split("known: ")[1].split(", ")


def test_the_paper_s_table_of_an_empty_folder_is_printed_only_with_published_numbers(tmp_path: Path) -> None:
    assert "no results yet" in str(call("--results", tmp_path, "--table", "VI").exception)
    result = call("--results", tmp_path, "--table", "VI", "--published")
    assert result.exit_code == 0
    assert "| 0.479 |" in result.stdout


def test_a_table_without_results_of_its_kind_says_so(folder: Path) -> None:
    result = call("--results", folder, "--table", "VII")
    assert isinstance(result.exception, CmrbenchError)
    assert "no results for table VII" in str(result.exception)


def test_methods_without_runs_are_told_from_those_that_are_not_registered(folder: Path) -> None:
    told = call("--results", folder, "--table", "lcm2", "--format", "json").stdout
    notes = {cell["method"]: cell["note"] for cell in json.loads(told)["leaderboards"][0]["cells"]}
    assert notes["kcca"] in ("not run", "no results on this dataset")
    assert notes["corr_ae"] == "no such method in cmrbench yet"


def test_several_formats_are_files_in_a_folder(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "tables"
    result = call("--results", folder, "--table", "lcm2", "--format", "md,csv,text", "--output", target)
    assert result.exit_code == 0
    assert sorted(path.name for path in target.iterdir()) == ["table_lcm2.csv", "table_lcm2.md", "table_lcm2.txt"]
    assert (target / "table_lcm2.md").read_text(encoding="utf-8") == call("--results", folder, "--table", "lcm2").stdout
    assert result.stdout.split() == [str(target / f"table_lcm2.{end}") for end in ("md", "csv", "txt")]


def test_a_folder_gets_every_table_and_the_headline_has_a_name(folder: Path, tmp_path: Path) -> None:
    call("--results", folder, "--table", "all", "--published", "--output", tmp_path)
    call("--results", folder, "--format", "md,json", "--output", tmp_path)
    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    tables = ("V", "VI", "VII", "VIII", "IX", "lcm2", "lcm3", "lcm5", "drcl2", "drcl3")
    assert names == {f"table_{name}.md" for name in tables} | {"leaderboards.md", "leaderboards.json"}


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "leaderboards.md"
    old.write_text("old", encoding="utf-8")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    result = call("--results", folder, "--format", "md,csv", "--output", tmp_path)
    assert isinstance(result.exception, UsageError)
    assert "No space left" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["leaderboards.md"]
    assert old.read_text(encoding="utf-8") == "old"


def test_a_table_without_results_under_the_protocol_says_under_which(folder: Path) -> None:
    write = Store(folder).write
    write(from_table(run("dscmr", {IT: 0.5, TI: 0.4}, spec={"dataset": "wiki"}, protocol="fixed")))
    result = call("--results", folder, "--table", "VII", "--protocol", "fixed")
    assert "no results for table VII under protocol fixed" in str(result.exception)


def test_a_damaged_file_is_named_once(folder: Path) -> None:
    good = Store(folder).files()[0]
    (folder / "runs" / "bad.parquet").write_text("x")
    for i in range(80):  # so many that an index is made of them, and read
        shutil.copy(good, folder / "runs" / f"copy{i}.parquet")
    command = [sys.executable, "-m", "cmrbench", "report", "--results", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0
    assert done.stderr.count("bad.parquet is left out") == 1
