"""Markdown, workflow commands and JUnit: what fails is in them, and no name gets out of its place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from gate_tables import IT, TI, gate, run
from junitparser import Error, Failure, JUnitXml

from cmrbench.gate import GateReport
from cmrbench.gate.annotations import error_annotation, workflow_commands
from cmrbench.gate.changes import Change
from cmrbench.gate.changes import GateReport as Report
from cmrbench.gate.junit import error_junit, junit
from cmrbench.gate.markdown import error_summary, gate_summary
from cmrbench.store.schema import concat

HOSTILE = [
    "x\n::error::owned",
    "x\r\n##[error]owned",
    "a::b,c%0A::warning::owned",
    "</failure><script>alert(1)</script>&amp;",
    "]]><!--",
    "a\x00\x08\x1b[31m\ud800\ufffe\uffff",
    "| a | b |\n\n# owned @somebody [x](javascript:1) <img src=x onerror=1>",
    "`code` **bold** </details>",
    "\u202eesrever",
]


def mixed(method: str = "cca", cause: str = "ValueError: singular matrix") -> GateReport:
    """Of every kind one, but for what was tested."""
    before = concat([run(method), run("kcca"), run("lcm", {IT: 0.3, TI: 0.2})])
    now = concat(
        [
            run(method, {IT: 0.4, TI: 0.3995}),
            run("kcca", status="failed", cause=cause),
            run("lcm", {IT: 0.3, TI: 0.25}),
            run("drcl", {IT: 0.9}),
        ]
    )
    return gate(before, now)


def doubtful(report: GateReport) -> GateReport:
    changes = [Change("doubtful", c.asked, c.before, c.now, "", c.tolerance, 0.31) for c in report.of("drop")]
    return Report(tuple(changes))


def many(n: int, kind: str = "drop") -> GateReport:
    (drop,) = mixed().of("drop")
    return Report((Change(kind, drop.asked, 0.5, 0.4, "", 0.001, None),) * n)


def parsed(xml: bytes, tmp_path: Path) -> list[Any]:
    (tmp_path / "gate.xml").write_bytes(xml)
    return [case for suite in JUnitXml.fromfile(str(tmp_path / "gate.xml")) for case in suite]


def test_junit_has_a_case_for_every_row_of_the_baseline(tmp_path: Path) -> None:
    cases = parsed(junit(mixed()), tmp_path)
    assert len(cases) == 6, "the new row of drcl could not fail"
    failed = {(case.classname, case.name): case.result[0] for case in cases if case.result}
    assert all(isinstance(r, Failure) for r in failed.values())
    assert sorted(r.type for r in failed.values()) == ["drop", "missing", "missing"]
    (drop,) = [r for r in failed.values() if r.type == "drop"]
    assert drop.text.splitlines() == ["before: 0.5000", "now: 0.4000", "tolerance: 0.0010"]
    assert "0.5000 -> 0.4000, tolerance 0.0010" in drop.message
    assert ("emoji.cca", "cca on emoji, seed 0: image->text mAP@all, all-test, cosine") in failed
    (suite,) = JUnitXml.fromfile(str(tmp_path / "gate.xml"))
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (6, 3, 0, 0)
    assert len({(case.classname, case.name) for case in cases}) == 6


def test_junit_of_a_refused_gate_is_an_error(tmp_path: Path) -> None:
    (case,) = parsed(error_junit("there is no baseline <b>"), tmp_path)
    assert isinstance(case.result[0], Error)
    assert case.result[0].message == "there is no baseline <b>"


def test_a_drop_that_is_not_significant_is_no_failure_but_told(tmp_path: Path) -> None:
    report = doubtful(mixed())
    (case,) = parsed(junit(report), tmp_path)
    assert not case.result
    assert "p = 0.310" in case.system_out
    (warning,) = workflow_commands(report)
    assert warning.startswith("::warning title=dropped%2C not significantly")
    assert "p = 0.310" in gate_summary(report, "b")
    assert "✅" in gate_summary(report, "b")


@pytest.mark.parametrize("text", HOSTILE)
def test_junit_holds_any_text(text: str, tmp_path: Path) -> None:
    legal = text.replace("\ud800", "")  # Parquet holds no lone surrogates
    cases = parsed(junit(mixed(method=legal, cause=legal)), tmp_path)
    assert len(cases) == 6
    root = ElementTree.fromstring(junit(mixed(method=legal, cause=legal)))
    assert {e.tag for e in root.iter()} == {"testsuites", "testsuite", "testcase", "failure"}
    assert len(parsed(error_junit(text), tmp_path)) == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_a_workflow_command_is_one_line_with_one_title(text: str) -> None:
    legal = text.replace("\ud800", "")
    lines = [*workflow_commands(mixed(method=legal, cause=legal)), error_annotation(text)]
    assert len(lines) == 3
    for line in lines:
        assert len(line.splitlines()) == 1
        # As the runner reads it: properties end at the first "::", are split at commas and then decoded.
        command = re.fullmatch(r"::(error) (.*?)::(.*)", line)
        assert command is not None
        name, _, value = command[2].partition("=")
        assert name == "title"
        assert "," not in value
        assert ":" not in value
        assert not re.search(r"%(?!25|0A|0D|3A|2C)", value + command[3])


def test_percent_signs_survive() -> None:
    assert error_annotation("100% of %0A").endswith("::100%25 of %250A")


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_keeps_any_text_in_its_cell(text: str) -> None:
    legal = text.replace("\ud800", "")
    page = gate_summary(mixed(method=legal, cause=legal), legal) + error_summary(legal)
    for line in page.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (7, 8)
    assert set(re.findall(r"<[^>]*>", page)) <= {"<details>", "</details>", "<summary>", "</summary>"}
    assert page.count("<details>") == page.count("</details>") == 3
    assert not re.search(r"(?<!\w)@\w", page.replace("mAP@all", ""))
    assert "](" not in re.sub(r"\\.", "", page)


def test_markdown_says_what_fails_and_folds_what_does_not() -> None:
    page = gate_summary(mixed(), "results/baseline.parquet")
    assert page.startswith("### ❌ cmrbench gate failed\n\nAgainst results/baseline.parquet: 1 dropped, 2 missing")
    assert page.index("**Dropped** (1)") < page.index("**Missing** (2)") < page.index("<details>")
    assert "failed: ValueError: singular matrix" in page
    row = "| cca on emoji, seed 0 | image-&gt;text mAP@all, all-test, cosine | 0.5000 | 0.4000 | -0.1000 | 0.0010 |"
    assert row in page
    for line in page.splitlines():
        if line.startswith("<details>"):
            assert page.splitlines()[page.splitlines().index(line) + 1] == "", "GitHub needs an empty line there"


def test_a_run_that_is_missing_is_one_line() -> None:
    report = mixed()
    assert [c.kind for c in report.changes].count("missing") == 2
    (missing,) = [line for line in workflow_commands(report) if "missing" in line]
    assert missing == (
        "::error title=missing%3A kcca on emoji%2C seed 0::2 values of image->text, text->image: "
        "failed: ValueError: singular matrix"
    )
    page = gate_summary(report, "b")
    assert "**Missing** (2)" in page
    assert page.count("kcca on emoji") == 1


def test_one_direction_that_is_missing_is_named() -> None:
    report = gate(run(), run(values={IT: 0.5}))
    (missing,) = workflow_commands(report)
    assert "::text->image mAP@all, all-test, cosine: missing, before 0.4000: the run has no such record" in missing


def test_runs_are_missing_for_their_own_causes() -> None:
    before = concat([run("cca"), run("cca", spec={"seed": 1}), run("cca", spec={"seed": 2})])
    now = concat([run("cca", status="oom", spec={"seed": 1}), run("cca", status="failed", spec={"seed": 2})])
    found = workflow_commands(gate(before, now))
    assert len(found) == 3
    assert [text for text in ("not run", "oom", "failed") if sum(text in line for line in found) != 1] == []


def test_long_lists_are_cut_with_a_count() -> None:
    commands = workflow_commands(many(25))
    assert len(commands) == 10
    assert commands[-1].endswith("::and 16 more; the log of the step and the job's summary list them")
    assert len(workflow_commands(many(10))) == 10
    page = gate_summary(many(250), "b")
    assert "... and 150 more." in page
    assert len(page) < 2**20
    assert len(parsed_cases(junit(many(250)))) == 250


def parsed_cases(xml: bytes) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(xml).iter("testcase"))


def test_a_gate_that_passes_says_nothing_by_commands() -> None:
    report = gate(run(), run())
    assert workflow_commands(report) == []
    assert gate_summary(report, "b").startswith("### ✅ cmrbench gate passed")
