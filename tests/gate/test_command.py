"""`cmrbench gate`: what it prints, writes and exits with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from gate_tables import IT, LATER, TI, run
from junitparser import JUnitXml
from typer.testing import CliRunner

from cmrbench.cli import gate as gate_module
from cmrbench.cli.gate import gate_command
from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.gate import BaselineError, read_baseline
from cmrbench.store.schema import from_table
from cmrbench.store.store import Store


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(gate_command)
    return made


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command takes its streams for a person's."""

    class Streams:
        class stdin:  # noqa: N801
            @staticmethod
            def isatty() -> bool:
                return True

        stdout = stdin

    monkeypatch.setattr(gate_module, "sys", Streams)


def store(folder: Path, *tables: pa.Table) -> Path:
    for table in tables:
        Store(folder).write(from_table(table))
    return folder


def worse(folder: Path) -> Path:
    return store(folder, run("cca", {IT: 0.4, TI: 0.4}, key="b", created=LATER))


def call(app: typer.Typer, folder: Path, *arguments: str, said: str | None = None) -> Any:
    where = ["--results", str(folder), "--baseline", str(folder / "baseline.parquet")]
    return CliRunner().invoke(app, [*where, *arguments], input=said)


def test_update_then_pass_then_fail(app: typer.Typer, tmp_path: Path) -> None:
    folder = store(tmp_path, run("cca"), run("kcca"), run("lcm", status="timeout", cause="after 60 s"))
    updated = call(app, folder, "--update", "--methods", "cca,lcm")
    assert updated.exit_code == 0
    assert "2 rows" in updated.output
    assert "warning: lcm on emoji, seed 0 is not in the baseline: timeout: after 60 s" in updated.output
    assert call(app, folder).exit_code == 0
    failed = call(app, worse(folder))
    assert failed.exit_code == 1
    assert "gate failed" in failed.output
    assert "1 dropped" in failed.output
    assert call(app, folder, "--max-drop", "0.2").exit_code == 0


def test_json(app: typer.Typer, tmp_path: Path) -> None:
    folder = store(tmp_path, run("cca"))
    call(app, folder, "--update")
    store(folder, run("cca", status="failed", cause="x\x1b[31m", key="b", created=LATER))
    result = call(app, folder, "--json", "--annotations", "--output", str(tmp_path / "gate.json"))
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told == json.loads((tmp_path / "gate.json").read_text())
    assert told["passed"] is False
    assert told["counts"]["missing"] == 2
    assert [(c["kind"], c["before"], c["tolerance"]) for c in told["changes"]] == [
        ("missing", 0.5, 0.001),
        ("missing", 0.4, 0.001),
    ]
    assert {c["direction"] for c in told["changes"]} == {IT, TI}
    assert result.stderr.count("::error title=") == 1, "what the CI reads does not spoil the JSON"
    assert "\x1b" not in call(app, folder).output


def test_bad_input(app: typer.Typer, tmp_path: Path) -> None:
    folder = store(tmp_path, run("cca"))
    assert isinstance(call(app, folder).exception, BaselineError)
    call(app, folder, "--update")
    (folder / "baseline.parquet").write_bytes(b"PAR1")
    assert isinstance(call(app, folder).exception, BaselineError)
    assert isinstance(call(app, folder, "--update", "--methods", "ccaa").exception, UnknownNameError)


@pytest.mark.parametrize(
    "arguments",
    [["--yes"], ["--with-queries"], ["--without-queries"], ["--update", "--significance"], ["--max-drop", "nan"]],
)
def test_options_that_do_not_go_together_are_refused(app: typer.Typer, tmp_path: Path, arguments: list[str]) -> None:
    folder = store(tmp_path, run("cca"))
    call(app, folder, "--update")
    assert isinstance(call(app, folder, *arguments).exception, UsageError)


def test_no_results_are_bad_input(app: typer.Typer, tmp_path: Path) -> None:
    folder = store(tmp_path, run("cca"))
    call(app, folder, "--update")
    for path in Store(folder).files():
        path.unlink()
    found = call(app, folder)
    assert isinstance(found.exception, UsageError)
    assert "holds no results" in str(found.exception)


def test_a_refused_update_leaves_the_old_baseline(app: typer.Typer, tmp_path: Path) -> None:
    folder = store(tmp_path, run("cca"))
    call(app, folder, "--update")
    before = (folder / "baseline.parquet").read_bytes()
    store(folder, run("cca", {IT: float("nan"), TI: 0.4}, key="b", created=LATER))
    assert call(app, folder, "--update").exit_code != 0
    assert (folder / "baseline.parquet").read_bytes() == before


# Updates


def test_an_update_shows_what_changes(app: typer.Typer, tmp_path: Path) -> None:
    folder = store(tmp_path, run("cca"), run("kcca"))
    call(app, folder, "--update")
    store(worse(folder), run("lcm"))
    shown = call(app, folder, "--update", "--methods", "cca,lcm")
    assert shown.exit_code == 0, "nobody is asked where there is no terminal"
    assert "1 dropped, 2 gone, 0 lower within the tolerance, 0 risen, 1 unchanged, 2 new" in shown.output
    assert "-0.1000" in shown.output
    assert {row["method"] for row in read_baseline(folder / "baseline.parquet").rows} == {"cca", "lcm"}


def test_an_update_that_changes_nothing_leaves_the_bytes(app: typer.Typer, tmp_path: Path) -> None:
    folder = store(tmp_path, run("cca"))
    call(app, folder, "--update")
    path = folder / "baseline.parquet"
    pq.write_table(pq.read_table(path), path, compression="gzip")
    before = path.read_bytes()
    store(folder, run("cca", key="b", created=LATER, seconds=7))
    assert "unchanged" in call(app, folder, "--update").output
    assert path.read_bytes() == before
    assert json.loads(call(app, folder, "--update", "--json").stdout)["unchanged"] is True


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(("said", "written"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_a_person_is_asked_before_rows_get_worse(app: typer.Typer, tmp_path: Path, said: str, written: bool) -> None:
    folder = store(tmp_path, run("cca"))
    first = call(app, folder, "--update")
    assert first.exit_code == 0
    assert "Write it?" not in first.output
    before = (folder / "baseline.parquet").read_bytes()
    answered = call(app, worse(folder), "--update", said=said)
    assert "Write it?" in answered.output
    assert (answered.exit_code == 0) is written
    assert ((folder / "baseline.parquet").read_bytes() != before) is written


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("arguments", [["--yes"], ["--json"]])
def test_nobody_is_asked_who_said_yes_or_reads_json(app: typer.Typer, tmp_path: Path, arguments: list[str]) -> None:
    folder = store(tmp_path, run("cca"))
    call(app, folder, "--update")
    written = call(app, worse(folder), "--update", *arguments)
    assert written.exit_code == 0
    assert "Write it?" not in written.output
    assert min(row["value"] for row in read_baseline(folder / "baseline.parquet").rows) == 0.4


def test_a_damaged_baseline_is_replaced_with_a_warning(app: typer.Typer, tmp_path: Path) -> None:
    folder = store(tmp_path, run("cca"))
    (folder / "baseline.parquet").write_bytes(b"PAR1")
    done = call(app, folder, "--update")
    assert done.exit_code == 0
    assert "what changes cannot be shown" in done.output
    assert call(app, folder).exit_code == 0


def test_single_queries_are_kept_once_they_were_asked_for(app: typer.Typer, tmp_path: Path) -> None:
    folder = store(tmp_path, run("cca"))
    path = folder / "baseline.parquet"
    call(app, folder, "--update")
    assert isinstance(call(app, folder, "--significance").exception, BaselineError)
    assert "values of single queries" in call(app, folder, "--update", "--with-queries").output
    assert read_baseline(path).holds_queries
    assert "unchanged" in call(app, folder, "--update").output
    judged = call(app, worse(folder), "--significance", "--json")
    assert judged.exit_code == 1
    (drop,) = [c for c in json.loads(judged.stdout)["changes"] if c["kind"] == "drop"]
    assert drop["p"] == pytest.approx(2**-9), "all ten queries lost as much: two of 2^10 patterns of signs"
    call(app, folder, "--update", "--without-queries")
    assert not read_baseline(path).holds_queries


# In CI


def test_ci_finds_everything_in_its_place(app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = store(tmp_path / "results", run("cca"), run("kcca"))
    call(app, folder, "--update")
    page = tmp_path / "summary.md"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    failed = call(app, worse(folder), "--junit", str(tmp_path / "gate.xml"))
    assert failed.exit_code == 1
    lines = failed.output.splitlines()
    assert [line for line in lines if line.startswith("::error")] == [
        "::error title=dropped%3A cca on emoji%2C seed 0::image->text mAP@all, all-test, cosine: "
        "0.5000 -> 0.4000, tolerance 0.0010"
    ]
    token = lines[0].removeprefix("::stop-commands::")
    assert len(token) == 32
    table = [i for i, line in enumerate(lines) if "mAP@all" in line and not line.startswith("::")]
    assert 0 < min(table) <= max(table) < lines.index(f"::{token}::")
    assert page.read_text().startswith("before\n### ❌ cmrbench gate failed")
    (suite,) = JUnitXml.fromfile(str(tmp_path / "gate.xml"))
    assert (suite.tests, suite.failures) == (4, 1)
    assert "::" not in call(app, folder, "--no-annotations").output


def test_a_refused_gate_is_told_in_ci(app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    folder = store(tmp_path, run("cca"))
    page, xml = tmp_path / "summary.md", tmp_path / "gate.xml"
    refused = call(app, folder, "--summary", str(page), "--junit", str(xml))
    assert isinstance(refused.exception, BaselineError)
    assert "::error title=cmrbench gate could not judge::there is no baseline" in refused.output
    assert "could not judge" in page.read_text()
    (suite,) = JUnitXml.fromfile(str(xml))
    assert (suite.tests, suite.errors) == (1, 1)


def test_a_summary_that_cannot_be_written(app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = store(tmp_path, run("cca"))
    call(app, folder, "--update")
    nowhere = str(tmp_path / "no" / "summary.md")
    named = call(app, folder, "--summary", nowhere)
    assert isinstance(named.exception, UsageError)
    assert "--summary" in str(named.exception)
    assert "gate passed" in named.output, "the verdict comes first"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", nowhere)
    by_ci = call(app, folder)
    assert by_ci.exit_code == 0, "a CI that is set up wrong does not decide on the verdict"
    assert "warning: $GITHUB_STEP_SUMMARY" in by_ci.output
    for option in ("--junit", "--output"):
        page = tmp_path / f"{option}.md"
        wrong = call(app, folder, option, str(tmp_path), "--summary", str(page))
        assert isinstance(wrong.exception, UsageError)
        assert option in str(wrong.exception)
        assert "✅" in page.read_text(), "what can be written is, and says the verdict"
        assert "could not judge" not in page.read_text()


def test_an_update_in_ci_tells_what_changed(app: typer.Typer, tmp_path: Path) -> None:
    folder = store(tmp_path, run("cca"))
    call(app, folder, "--update")
    page = tmp_path / "summary.md"
    call(app, worse(folder), "--update", "--summary", str(page))
    assert page.read_text().startswith("### cmrbench baseline 2 rows")
    assert "**Dropped** (1)" in page.read_text()


def test_the_documented_lines_of_python_run(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "gate.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    folder = store(tmp_path / "results", run("cca"), run("kcca"))
    call(app, folder, "--update", "--baseline", str(tmp_path / "baseline.parquet"))
    store(folder, run("kcca", status="failed", cause="broken", key="b", created=LATER))
    monkeypatch.chdir(tmp_path)
    exec(block, {})
    assert "False {'drop': 0, 'missing': 2" in capsys.readouterr().out
