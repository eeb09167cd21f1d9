"""`cmrbench cite`: what a results folder or named methods and datasets need in a bibliography."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from report_tables import IT, TI, run
from typer.testing import CliRunner

from cmrbench.citing import OWN
from cmrbench.cli.cite import cite_command
from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.data import load_catalogue
from cmrbench.store.schema import from_table
from cmrbench.store.store import Store

ROOT = Path(__file__).resolve().parents[2]

PLUGIN = '''
from cmrbench.method import Method, MethodInfo

class Own(Method):
    """Made for a test."""

    info = MethodInfo(
        name="own", title="Own", category="supervised_real", supervision="labels", citation="A. Other. me@home, 2020."
    )
'''


def call(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(cite_command)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def keys(text: str) -> list[str]:
    return re.findall(r"^@\w+\{([^,]+),", text, flags=re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = Store(tmp_path / "results")
    for method, dataset in (("drcl", "wiki:drcl+noise=0.4"), ("random", "emoji"), ("gone", "lost")):
        store.write(from_table(run(method, {IT: 0.5, TI: 0.4}, spec={"dataset": dataset})))
    return tmp_path / "results"


def test_named_methods_and_datasets() -> None:
    result = call("--methods", "cca,drcl", "--datasets", "wiki,nus/x:lcm")
    assert result.exit_code == 0
    assert keys(result.stdout) == ["cmrbench", "feng2014corrae", "pu2025drcl", "rasiwasia2010crossmodal"]
    assert "% dataset nuswide10k: feng2014corrae" in result.stdout


def test_aliases_splits_and_feature_sets_are_one_dataset() -> None:
    text = call("--datasets", "nus,nuswide10k:lcm,nuswide10k/mine").stdout
    assert text.count("% dataset") == 1
    assert keys(text) == ["cmrbench", "feng2014corrae"]


def test_a_paper_of_a_method_and_a_dataset_is_one_entry() -> None:
    text = call("--methods", "cca", "--datasets", "wiki").stdout
    assert "Hotelling" in text
    assert len(keys(text)) == 2


def test_what_a_results_folder_holds(folder: Path) -> None:
    result = call("--results", folder)
    assert keys(result.stdout) == ["cmrbench", "cmrbench-emoji", "pu2025drcl", "rasiwasia2010crossmodal"]
    assert "% method random: Random has no paper" in result.stdout
    for name in ("method 'gone'", "dataset 'lost'"):
        assert f"warning: {name} is not registered here" in result.stderr


def test_results_and_names_together(folder: Path) -> None:
    cited = json.loads(call("--results", folder, "--methods", "cca,drcl", "--json").stdout)
    assert [c["name"] for c in cited] == ["cca", "drcl", "gone", "random", "emoji", "lost", "wiki", "cmrbench"]
    assert {c["kind"] for c in cited} == {"method", "dataset", "software"}
    assert all(c["bibtex"] is None or c["bibtex"].startswith("@") for c in cited)


def test_the_default_is_the_folder_results(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert "pu2025drcl" in keys(call().stdout)
    assert "pu2025drcl" not in keys(call("--methods", "cca").stdout)


def test_a_plugin_that_gives_a_text(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(PLUGIN, encoding="utf-8")
    text = call("--methods", "own", "--plugin", tmp_path / "own.py").stdout
    assert "% method own: A. Other. me(at)home, 2020." in text
    assert text.count("@") == 1  # the entry of cmrbench: an @ elsewhere would begin one
    assert "A. Other. me@home" in call("--methods", "own", "--plugin", tmp_path / "own.py", "--text").stdout


def test_a_file_and_its_errors(tmp_path: Path) -> None:
    assert call("--datasets", "mscoco", "-o", tmp_path / "x.bib").exit_code == 0
    assert "lin2014coco" in keys((tmp_path / "x.bib").read_text(encoding="utf-8"))
    assert isinstance(call("--datasets", "mscoco", "-o", tmp_path).exception, UsageError)
    assert isinstance(call("--text", "--json").exception, UsageError)
    assert isinstance(call("--results", tmp_path / "nowhere").exception, UsageError)
    assert isinstance(call("--methods", "lmc").exception, UnknownNameError)
    assert isinstance(call("--datasets", "wikki").exception, UnknownNameError)


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no results"):
        raise call("--results", tmp_path).exception


def test_the_project_cites_itself_as_its_file_says() -> None:
    own = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert OWN.title.lower() == own["title"].lower()
    assert OWN.authors() == tuple(a["name"] for a in own["authors"])
    assert OWN.venue == f"Version {own['version']}"
    assert load_catalogue().entry("synthetic").citation == OWN
