"""The page that says which method to use on what says what the results say."""

import re

import pytest

import cmrbench
from cmrbench.report import leaderboards
from cmrbench.store.store import Store
from tools.make_results_page import BEGIN, END, main


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    cmrbench.run(["cca", "kcca", "random"], ["emoji"], seeds=2, results=folder)
    cmrbench.run(["scm", "batch", "random_hash"], ["emoji"], bits=[16, 64], seeds=2, results=folder)
    return folder


def page(results, path):
    path.write_text(f"Before.\n{BEGIN}\nold\n{END}\nAfter.\n")
    assert main(["--results", str(results), "--page", str(path)]) == 0
    return path.read_text()


def lines_of(text, first_cell):
    return [line for line in text.splitlines() if line.startswith(f"| {first_cell}")]


def test_the_best_of_each_purpose_is_named(results, tmp_path):
    text = page(results, tmp_path / "page.md")
    [real] = [b for b in leaderboards(Store(results).table()) if b.key.output == "real"]
    average = {row.method: row.cells[-1].mean for row in real.rows}
    assert average["kcca"] > average["cca"] > average["random"]
    digest, detail = lines_of(text, "vectors, without labels")
    assert f"**KCCA** {average['kcca']:.3f}" in digest
    best, value, tied, fastest, lead = [cell.strip() for cell in detail.split("|")][2:7]
    assert best == "**KCCA**"
    assert tied == "none"
    assert fastest.startswith("KCCA, ")
    low, high = map(float, re.search(r"\[(.*), (.*)\]", value).groups())
    assert low < average["kcca"] < high
    effect, least, most = map(float, re.search(r"(\S+) \[(.*), (.*)\] over CCA", lead).groups())
    assert effect == pytest.approx(average["kcca"] - average["cca"], abs=6e-4)
    assert 0 < least < effect < most


def test_codes_have_a_line_for_each_length_and_protocol(results, tmp_path):
    text = page(results, tmp_path / "page.md")
    lines = lines_of(text, "codes, with labels, ")
    sizes = [re.match(r"\| codes, with labels, (\d+) bits \((.*?)\)", line).groups() for line in lines[1:]]
    protocols = ("query-gallery", "query-train", "query-train-learned")
    assert sizes == [(bits, protocol) for protocol in protocols for bits in ("16", "64")]
    assert "Random" not in text
    assert "—" in lines_of(text, "vectors, with labels")[0]


def test_only_what_is_between_the_markers_is_made(results, tmp_path):
    first = page(results, tmp_path / "page.md")
    assert first.startswith(f"Before.\n{BEGIN}\n")
    assert first.endswith(f"{END}\nAfter.\n")
    assert "\nold\n" not in first
    assert main(["--results", str(results), "--page", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == first
    assert re.search(r"\d+ runs, 0 of them without a result, made \d{4}-\d\d-\d\d", first)


def test_an_empty_folder_is_told_and_nothing_written(tmp_path, capsys):
    path = tmp_path / "page.md"
    path.write_text("as it was")
    assert main(["--results", str(tmp_path / "none"), "--page", str(path)]) == 1
    assert "holds no results" in capsys.readouterr().out
    assert path.read_text() == "as it was"


def test_a_page_without_a_place_for_it_is_left_alone(results, tmp_path, capsys):
    path = tmp_path / "page.md"
    path.write_text("as it was")
    assert main(["--results", str(results), "--page", str(path)]) == 1
    assert BEGIN in capsys.readouterr().out
    assert path.read_text() == "as it was"
