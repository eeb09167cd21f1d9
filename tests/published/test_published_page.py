"""docs/published.md says what the data say."""

import re
from pathlib import Path

from cmrbench.cli.published_output import FIELDS
from cmrbench.published import (
    cells,
    contradictions,
    findings,
    missing,
    paper_title,
    papers,
    query_times,
    tables,
    timings,
)
from cmrbench.published.findings import KINDS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "published.md").read_text(encoding="utf-8")
FLAT = " ".join(TEXT.split())


def section(title):
    return re.split(r"^#+ ", TEXT.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_every_finding_is_told_as_the_data_have_it():
    for kind, words in KINDS.items():
        told = re.findall(
            r"^- \*\*(\w+)\*\* (.*(?:\n  .*)*)", section(words[0].upper() + words[1:]), flags=re.MULTILINE
        )
        assert {name: " ".join(text.split()) for name, text in told} == {
            f.id: f"{f.title}. {f.text}" for f in findings() if f.kind == kind
        }


def test_every_paper_is_named():
    for paper in papers():
        assert f"| {paper}: *{paper_title(paper)}*" in TEXT
    for paper in ("lcm", "drcl"):
        (row,) = re.findall(rf"^\| {paper}: .*\| (.*) \|$", TEXT, flags=re.MULTILINE)
        assert re.findall(r"\b(?:[IVX]+|[2-5](?=[,;])|5\.\d)", row) == [t.removeprefix("text ") for t in tables(paper)]


def test_every_column_is_explained():
    told = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section("What it holds"), flags=re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(told))) == sorted(FIELDS)


def test_the_counts_are_right():
    assert f"{len(cells()):,} numbers, {len(missing())} dashes, {len(timings())} pairs" in FLAT
    assert f"{len(query_times())} times a query, of {len({c.method for c in cells()})} methods" in FLAT
    assert f"{len(cells()) + len(missing()) + 2 * len(timings()):,} cells and {len(query_times())} query times" in FLAT
    one = sum(c.same_source for c in contradictions())
    assert f"{one} such quantities, and {len(contradictions()) - one} more" in FLAT
    averages = [c for c in cells() if c.is_average]
    assert f"{len(averages)} averages are printed. 228 have printed parts: 226" in FLAT
    lost = [c for c in cells() if any(f.startswith("origin_unknown") for f in c.flags)]
    assert f"of {len(lost)} numbers it is not known" in FLAT


def test_the_python_lines_run(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    exec(block, {})
    assert capsys.readouterr().out.startswith("0.65 ['P6a', 'P10a']\n")
