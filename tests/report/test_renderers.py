"""What the renderers print: emphasis, escapes, widths, machine forms."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pylatexenc.latexwalker import LatexWalker, LatexWalkerParseError
from report_tables import INFO, IT, TI, hash_run, run, table
from rich.console import Console

from cmrbench.core.errors import UnknownNameError
from cmrbench.report import FORMATS, Wish, leaderboards, named_tables, print_leaderboards, render
from cmrbench.report.markdown import escape
from cmrbench.report.model import Cell, Column, Group, Leaderboard, Row, TableKey, header

HOSTILE = (
    "a|b <script>alert('x')</script>\n| c | **d** [e](javascript:f) @g `h` \\i $j$ #k ~l~ "
    '_m_ & "n" \x1b[31mred\x1b[0m \u202egnp.exe %o }p{ ^q \\input{/etc/passwd}'
)


@pytest.fixture
def results() -> pa.Table:
    runs = [run("cca", {IT: 0.3, TI: 0.25}), run("random", {IT: 0.12, TI: 0.11})]
    runs += [run("lcm", {IT: 0.5 + s / 10, TI: 0.4}, seed=s) for s in range(2)]
    runs += [run("lcm", {IT: 0.9, TI: 0.9}, retrieval="2sknn", flags=("label-reading",), key="x")]
    runs += [run("drcl", status="timeout", cause="stopped after 60 s")]
    runs += [hash_run(m, b, {IT: 0.5 + b / 1000, TI: 0.4}) for m in ("scm", "batch") for b in (16, 32, 64, 128)]
    return table(*runs)


@pytest.fixture
def hostile() -> pa.Table:
    info = dict.fromkeys(("title", "group", "venue", "category"), HOSTILE) | {"output": "real"}
    return table(
        run("cca", {IT: 0.5, TI: 0.4}),
        run(
            "evil",
            {IT: 0.6, TI: 0.4},
            info=info,
            flags=(HOSTILE,),
            spec={"preset": HOSTILE, "params": (("k", HOSTILE),)},
        ),
        run("worse", status=HOSTILE, cause=HOSTILE, info=info),
        run("cca", {IT: 0.5}, spec={"dataset": HOSTILE, "feature_set": HOSTILE}, protocol=HOSTILE),
    )


def test_unknown_format() -> None:
    with pytest.raises(UnknownNameError, match="did you mean"):
        render([], "htm")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_renders_everything(name: str, results: pa.Table, hostile: pa.Table) -> None:
    assert render([], name)
    text = render(leaderboards(results), name)
    for word in ("LCM + 2sknn", "0.550" if name not in ("csv", "json") else "0.55", "stopped after 60 s", "Chance"):
        assert word in text
    assert "\x1b" not in render(leaderboards(hostile), name)
    assert "\u202e" not in render(leaderboards(hostile), name)


# Markdown


def markdown_cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_markdown_best_bold_second_underlined(results: pa.Table) -> None:
    lines = {
        markdown_cells(x)[0]: markdown_cells(x) for x in render(leaderboards(results)).splitlines() if x[:1] == "|"
    }
    assert lines["LCM"][3:6] == ["**0.550** ±0.071", "**0.400** ±0.000", "**0.475** ±0.035"]
    assert lines["CCA"][3:6] == [f"<ins>{n}</ins>" for n in ("0.300", "0.250", "0.275")]
    assert lines["LCM + 2sknn †"][3] == "0.900"
    assert lines["Random"][3] == "0.120"
    assert lines["DRCL"][3] == "timeout¹"
    assert "- ¹ timeout: stopped after 60 s" in render(leaderboards(results))


def test_markdown_holds_hostile_text(hostile: pa.Table) -> None:
    text = render(leaderboards(hostile))
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert tables
    for block in tables:
        widths = {len(markdown_cells(line)) for line in block.splitlines()}
        assert len(widths) == 1, "no text adds a cell or a line"
    bare = re.sub(r"</?ins>", "", text)
    assert "<" not in bare
    assert not re.search(r"(?<!\\)\[", bare)
    assert not re.search(r"(?<!\\)`", bare)
    assert not re.search(r"(?<!\w)@", bare)
    assert "**d**" not in bare
    assert not re.search(r"^#k", bare, re.M)


@pytest.mark.parametrize(
    "text", ["see http://evil.example", "HTTPS://evil.example", "www.evil.example", "@team", "x @a-b"]
)
def test_markdown_makes_no_links_and_mentions_nobody(text: str) -> None:
    shown = escape(text)
    assert not re.search(r"(?i)https?://|\bwww\.|@", shown)
    assert unescape(shown).replace("\u200b", "") == text
    assert "\u200b" in unescape(shown) or "@" not in text, "GitHub looks for mentions in what is rendered"


# HTML


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.rows: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += int(dict(attrs).get("colspan") or 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", ["results", "hostile"])
def test_html_is_well_formed_and_holds_hostile_text(name: str, request: pytest.FixtureRequest) -> None:
    boards = leaderboards(request.getfixturevalue(name))
    page = render(boards, "html")
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert not set(tags.seen) & {"script", "img", "a", "iframe", "link"}
    assert tags.seen.count("table") == len(boards)
    assert "http" not in page.replace("http-equiv", "").replace("https", "http")


def test_html_body_rows_have_the_width_of_the_head(results: pa.Table) -> None:
    (real,) = [b for b in leaderboards(results) if b.key.output == "real"]
    tags = Tags()
    tags.feed(render([real], "html"))
    assert set(tags.rows) == {3 + 3 + 2}


def test_html_emphasis(results: pa.Table) -> None:
    page = render(leaderboards(results), "html")
    assert '<b>0.550</b> <span class="spread">±0.071</span>' in page
    assert '<span class="second">0.300</span>' in page


# LaTeX


def latex_is_balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text.replace(r"\\", "")):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def test_latex(results: pa.Table) -> None:
    text = render(leaderboards(results), "tex")
    assert r"\textbf{0.550} {\scriptsize $\pm$0.071}" in text
    assert r"\underline{0.300}" in text
    assert r"LCM + 2sknn \dag{}" in text
    assert r"timeout\textsuperscript{1}" in text
    assert r"\cmidrule(lr){4-7} \cmidrule(lr){8-11}" in text
    assert latex_is_balanced(text)


def test_latex_holds_hostile_text(hostile: pa.Table) -> None:
    text = render(leaderboards(hostile), "tex")
    assert latex_is_balanced(text)
    assert r"\input" not in text
    body = text.split("\n", 2)[2]
    assert not re.search(r"(?<!\\)[%#~^]", body)
    assert set(re.findall(r"(?<!\\)\$[^$]*\$", body)) <= {r"$\rightarrow$", r"$\times$", r"$\pm$", r"$\cdot$"}
    for tabular in re.findall(r"\\begin\{tabular\}\{(l+r+)\}(.*?)\\end\{tabular\}", body, re.S):
        lines = [line for line in tabular[1].splitlines() if line.endswith(r"\\") and r"\multicolumn" not in line]
        assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {len(tabular[0])}


def compiled(text: str, folder: Path) -> None:
    """Compile tables with pdfTeX where it is installed, else parse them."""
    packages = "".join(line.removeprefix("% ") + "\n" for line in text.splitlines() if line.startswith("% "))
    document = f"\\documentclass{{article}}\n{packages}\\begin{{document}}\n{text}\n\\end{{document}}\n"
    if shutil.which("pdflatex") is None:
        LatexWalker(document, tolerant_parsing=False).get_latex_nodes()
        return
    (folder / "tables.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "-draftmode", "tables.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=300)
    log = (folder / "tables.log").read_text(encoding="latin-1")
    assert done.returncode == 0, [line for line in log.splitlines() if line.startswith("!")]


def test_latex_compiles(results: pa.Table, hostile: pa.Table, tmp_path: Path) -> None:
    letters = run(
        "evil", {IT: 0.5}, info={"title": "é ß ő ≠ ℓ 名前 😀 \u00a0 ’ “x” ﬁ µ ª ½ Ωmega"}, spec={"dataset": "letters"}
    )
    compiled(render(leaderboards(table(results, hostile, letters)), "tex"), tmp_path)
    with pytest.raises(AssertionError if shutil.which("pdflatex") else LatexWalkerParseError):
        compiled(render(leaderboards(results), "tex").replace(r"\end{tabular}", r"\end{tabula}"), tmp_path)


def test_latex_of_the_papers_tables_compiles(results: pa.Table, hostile: pa.Table, tmp_path: Path) -> None:
    made = named_tables(table(results, hostile), "all", Wish(published=True))
    assert len(made) == 10
    compiled(render([board for boards in made.values() for board in boards], "tex"), tmp_path)


@pytest.mark.parametrize("name", FORMATS)
def test_papers_tables_hold_hostile_text(name: str, hostile: pa.Table) -> None:
    boards = named_tables(hostile, "VI", Wish(published=True))["VI"]
    assert any("javascript" in row.title for row in boards[0].rows)
    text = render(boards, name)
    assert "\x1b" not in text
    assert "\u202e" not in text
    if name == "html":
        tags = Tags()
        tags.feed(text)
        assert tags.open == []
        assert not set(tags.seen) & {"script", "img", "a", "iframe", "link"}
    if name == "md":
        for block in (block for block in text.split("\n\n") if block.startswith("|")):
            assert len({len(markdown_cells(line)) for line in block.splitlines()}) == 1


# Header lines

DEEP = (("A", "x", "1"), ("A", "x", "2"), ("A", "y", "1"), ("B", "y", "1"), ("B",))


@pytest.fixture
def deep() -> Leaderboard:
    cells = tuple(Cell(i / 10, digits=1) for i in range(len(DEEP)))
    columns = tuple(Column(heads, (str(i),)) for i, heads in enumerate(DEEP))
    return Leaderboard(TableKey(), "deep", (), columns, (Group("g", (Row("r", cells=cells),)),), (), costs=False)


def test_neighbours_share_the_heads_in_which_they_agree_from_the_outermost_in() -> None:
    assert header([Column(heads) for heads in DEEP]) == [
        [("A", 3), ("B", 2)],
        [("x", 2), ("y", 1), ("y", 1), ("", 1)],
        [("1", 1), ("2", 1), ("1", 1), ("1", 1), ("", 1)],
    ]
    assert header([]) == []


def test_markdown_joins_header_lines(deep: Leaderboard) -> None:
    head = next(line for line in render([deep], "md").splitlines() if line.startswith("|"))
    assert markdown_cells(head)[3:] == ["A x 1", "A x 2", "A y 1", "B y 1", "B"]


def test_html_merges_header_cells(deep: Leaderboard) -> None:
    page = render([deep], "html")
    assert '<th class="text" rowspan="3">Method</th>' in page
    assert '<th colspan="3">A</th><th colspan="2">B</th>' in page
    assert '<tr><th colspan="2">x</th><th>y</th><th>y</th><th></th></tr>' in page


def test_latex_merges_and_rules_header_cells(deep: Leaderboard) -> None:
    text = render([deep], "tex")
    assert r" &  &  & \multicolumn{3}{c}{A} & \multicolumn{2}{c}{B} \\" in text
    assert r"\cmidrule(lr){4-6} \cmidrule(lr){7-8}" in text
    assert r"\cmidrule(lr){4-5} \cmidrule(lr){6-6} \cmidrule(lr){7-7}" + "\n" in text
    assert r"Method & Category & Source & 1 & 2 & 1 & 1 &  \\" in text


def test_terminal_centres_shared_heads_over_their_columns(deep: Leaderboard) -> None:
    lines = render([deep], "text").splitlines()
    numbers = next(line for line in lines if "0.1" in line)
    outer = next(line for line in lines if line.strip().startswith("A"))
    assert numbers.index("0.0") <= outer.index("A") <= numbers.index("0.2") + 3
    assert numbers.index("0.3") <= outer.index("B") <= numbers.index("0.4") + 3
    assert sum("Method" in line for line in lines) == 1


def test_differences_bear_their_sign_and_the_mark_of_the_interval() -> None:
    inside = Cell(0.0104, digits=2, signed=True, inside=True)
    assert (inside.number, inside.aside) == ("+0.01", "≈")
    assert Cell(-0.0104, signed=True, inside=False).number == "-0.010"


def test_csv_and_json_tell_what_kind_a_number_is_and_whether_it_is_inside(deep: Leaderboard) -> None:
    cells = (Cell(0.5), Cell(0.25, signed=True, inside=True), Cell(word=""))  # what is blank is not told
    columns = (Column(("a",), (IT,), kind="published"), Column(("b",), (IT,), kind="difference"), Column(("c",), (IT,)))
    board = replace(deep, columns=columns, groups=(Group("g", (Row("r", cells=cells),), ("x",), TableKey("wiki")),))
    lines = list(csv.DictReader(io.StringIO(render([board], "csv"))))
    assert [(x["kind"], x["mean"], x["inside"], x["dataset"]) for x in lines] == [
        ("published", "0.5", "", "wiki"),
        ("difference", "0.25", "true", "wiki"),
    ]
    told = json.loads(render([board], "json"))["leaderboards"][0]["cells"]
    assert [(c["kind"], c["mean"], c["inside"], c["directions"]) for c in told] == [
        ("published", 0.5, None, IT),
        ("difference", 0.25, True, IT),
    ]


def test_latex_row_that_begins_with_a_bracket() -> None:
    text = render(leaderboards(run("evil", {IT: 0.5}, info={"title": "[1cm] *"})), "tex")
    assert "{[}1cm] {*} & " in text, "a row end would take it for its argument"


def test_latex_of_more_columns_than_a_cell_can_span_compiles(tmp_path: Path) -> None:
    ways = {f"m{i}->n{i}": 0.5 for i in range(260)}
    text = render(leaderboards(run("cca", ways)), "tex")
    assert max(map(int, re.findall(r"\\multicolumn\{(\d+)\}", text))) <= 255
    compiled(text, tmp_path)


# CSV and JSON


def test_csv_is_one_line_a_cell(results: pa.Table) -> None:
    boards = leaderboards(results)
    lines = list(csv.DictReader(io.StringIO(render(boards, "csv"))))
    assert len(lines) == sum(len(r.cells) for b in boards for r in b.rows)
    (best,) = [x for x in lines if x["title"] == "LCM" and x["column"] == "image → text"]
    assert float(best["mean"]) == pytest.approx(0.55)
    assert (best["rank"], best["seeds"], best["status"], best["bits"]) == ("best", "2", "", "")
    lost = [x for x in lines if x["title"] == "DRCL"]
    assert {(x["mean"], x["status"], x["note"]) for x in lost} == {("", "timeout", "timeout: stopped after 60 s")}
    assert {x["bits"] for x in lines if x["title"] == "SCM"} == {"16", "32", "64", "128"}


def test_csv_holds_no_formula() -> None:
    info = INFO["lcm"] | {"title": "=cmd|' /C calc'!A0", "venue": "@x", "group": "-1+2"}
    lines = list(csv.reader(io.StringIO(render(leaderboards(run("lcm", {IT: 0.5}, info=info)), "csv"))))
    assert not any(cell[:1] in "=+-@" for line in lines for cell in line if cell)


def test_json_is_strict_and_complete(results: pa.Table) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    spoilt = table(results, run("kcca", {IT: float("nan"), TI: 0.1}, chance=float("nan")))
    told = json.loads(render(leaderboards(spoilt), "json"), parse_constant=refuse)
    assert told["format"] == 2
    real, hashing = told["leaderboards"]
    assert real["facts"]["queries × gallery"] == "467 × 467"
    cells = {(c["title"], c["column"]): c for c in real["cells"]}
    assert cells["LCM", "image → text"]["mean"] == pytest.approx(0.55)
    assert cells["LCM", "image → text"]["directions"] == "image->text"
    assert cells["LCM + 2sknn", "average"]["flags"] == "label-reading"
    assert cells["KCCA", "image → text"]["mean"] is None
    assert {c["protocol"] for c in hashing["cells"]} == {"all-test"}
    assert [c["bits"] for c in hashing["columns"]] == [16, 32, 64, 128] * 2


# Terminal


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_terminal_tables_fit_and_lose_no_column(width: int, results: pa.Table, hostile: pa.Table) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=False, color_system=None)
    print_leaderboards(console, table(results, hostile))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    console.file = out = io.StringIO()
    print_leaderboards(console, results)
    text = out.getvalue()
    assert "…" not in text, "no column is squeezed"
    assert "Unsupervised real-valued" in text, "names are not folded while there is room in another panel"
    for number in ("0.516", "0.532", "0.564", "0.628", "0.550", "0.475"):
        assert number in text


def test_terminal_costs_do_not_stand_alone(results: pa.Table) -> None:
    results = results.filter(pc.is_null(results["bits"]))
    for width in range(60, 120):
        out = io.StringIO()
        print_leaderboards(Console(file=out, width=width, force_terminal=False, color_system=None), results)
        assert not re.search(r"^Method +\(s\)", out.getvalue(), re.M), width
        assert max(map(len, out.getvalue().splitlines())) <= width


def test_text_fits_100_columns_with_five_modalities_and_three_seeds() -> None:
    names = ["image", "text", "audio", "video", "3d"]
    values = {f"{a}->{b}": 0.5 for a in names for b in names if a != b}
    boards = leaderboards(table(*(run("a_method_with_quite_a_long_name_of_its_own", values, seed=s) for s in range(3))))
    text = render(boards, "text")
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("±0.000") == 6
    assert "…" not in text


def test_text_marks_ranks_without_style(results: pa.Table) -> None:
    text = render(leaderboards(results), "text")
    assert "*0.550* ±0.071" in text
    assert "_0.300_" in text


def test_terminal_uses_style_and_prints_no_markup(results: pa.Table) -> None:
    out = io.StringIO()
    info = INFO["lcm"] | {"title": "[bold red]LCM[/]"}
    console = Console(file=out, width=100, force_terminal=True, color_system="standard", legacy_windows=False)
    print_leaderboards(console, table(results, run("mine", {IT: 0.1, TI: 0.1}, info=info)))
    text = out.getvalue()
    assert "[bold red]LCM[/]" in text
    assert "\x1b[1m0.550" in text
    assert "\x1b[4m0.300" in text
