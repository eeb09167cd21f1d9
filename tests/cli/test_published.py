"""`cmrbench published`: formats, names, exit codes."""

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from cmrbench.cli import app
from cmrbench.cli.published_output import FIELDS
from cmrbench.core.errors import CmrbenchError
from cmrbench.published.ledger import ledger


def published(*arguments):
    done = CliRunner().invoke(app, ["published", *arguments])
    if isinstance(done.exception, CmrbenchError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_without_arguments_an_overview():
    shown = published("--format", "text")
    assert "Survey Table VII" in shown
    assert "P10g" in shown
    assert "--method NAME" in shown
    found = json.loads(published("--json"))
    assert {t["table"]: t["numbers"] for t in found["tables"] if t["paper"] == "drcl"} == {
        "II": 420,
        "III": 144,
        "V": 252,
        "VI": 42,
    }
    assert found["papers"].keys() == {"survey", "lcm", "drcl"}


def test_csv_has_every_number():
    rows = list(csv.DictReader(io.StringIO(published("--format", "csv"))))
    assert tuple(rows[0]) == FIELDS
    assert [r["printed"] for r in rows] == [e.printed for e in ledger()]
    assert all(float(r["value"]) == float(r["printed"]) for r in rows if r["value"])
    assert published("--all", "--format", "csv") == published("--format", "csv")


def test_json_lines_say_what_is_known():
    (line,) = [
        one
        for one in json.loads(published("--method", "LCM", "--dataset", "Wikipedia", "--table", "2", "--json"))
        if (one["task"], one["setting"]) == ("image->text", "2sknn")
    ]
    assert (line["value"], line["printed"], line["split"]) == (0.65, "0.65", "1942/215/462/462")
    assert line["contradicted"] == ["0.64 in LCM Table 5"]
    assert line["findings"] == ["P6a", "P10a"]
    assert line["origin"] == "result of the paper's authors for their method"


def test_printed_digits_are_kept_in_every_format():
    wanted = ("--method", "clip4cmr", "--dataset", "wiki", "--table", "lcm5")
    for form in ("text", "md", "csv", "json"):
        assert "0.60" in published(*wanted, "--format", form)


@pytest.mark.parametrize("heading", ["pascal", "Pascal-Sentence", "pascal sentence", "PASCAL"])
def test_datasets_are_named_by_name_alias_or_heading(heading):
    rows = json.loads(published("--dataset", heading, "--json"))
    assert {r["dataset"] for r in rows} == {"pascal"}


def test_an_ambiguous_heading_says_what_it_is_taken_for():
    done = CliRunner().invoke(app, ["published", "--dataset", "NUS-WIDE", "--method", "cvh", "--format", "md"])
    assert "nuswide10k" in done.stderr
    assert "nuswide: mAP@50" in done.stdout


def test_lists_are_separated_by_commas():
    rows = json.loads(published("--method", "cca,kcca", "--method", "dscmr", "--dataset", "wiki,pascal", "--json"))
    assert {r["method"] for r in rows} == {"cca", "kcca", "dscmr"}
    assert {r["dataset"] for r in rows} == {"wiki", "pascal"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--method", "dscmrr"], 2, "did you mean .*dscmr"),
        (["--dataset", "wikki"], 2, "did you mean wiki"),
        (["--paper", "survay"], 2, "did you mean survey"),
        (["--table", "lcm9"], 2, "did you mean"),
        (["--format", "pdf"], 2, "unknown format"),
        (["--method", "a,,b"], 2, "empty name"),
        (["--json", "--format", "md"], 2, "exclude each other"),
        (["--method", "dscmr", "--table", "VII"], 1, "no number is printed for --method dscmr --table VII"),
        (["--dataset", "emoji"], 1, "no number is printed for --dataset emoji"),
        (["--method", "fsh"], 1, "no number is printed for --method fsh"),
    ],
)
def test_what_goes_wrong_is_one_sentence(arguments, code, said):
    with pytest.raises(CmrbenchError, match=said) as caught:
        published(*arguments)
    assert caught.value.exit_code == code


def test_markdown_tables_are_whole():
    for line in published("--all", "--format", "md").splitlines():
        if line.startswith("| Table"):
            width = line.count("|")
        elif line.startswith("|"):
            assert line.count("|") == width


@pytest.mark.parametrize("form", ["text", "md", "csv", "json"])
def test_output_goes_to_a_file(tmp_path, form):
    target = tmp_path / "ledger"
    assert published("--method", "mtfh", "--format", form, "-o", str(target)) == ""
    assert "294.0" in target.read_text(encoding="utf-8")


def test_text_fits_its_width():
    from cmrbench.cli.published_output import WIDTH

    lines = published("--all", "--format", "text").splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert not any("…" in line for line in lines)


def test_tab_offers_names(monkeypatch):
    from cmrbench.cli.parsing import complete_papers, complete_published_methods, complete_published_tables

    assert "cca,dscmr" in list(complete_published_methods("cca,ds"))
    assert list(complete_published_tables("lcm")) == ["lcm2", "lcm3", "lcm4", "lcm5"]
    assert list(complete_papers("")) == ["survey", "lcm", "drcl"]
