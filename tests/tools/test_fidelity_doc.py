"""The page on agreement with authors' code: its rule, what it collects, and that it is made of its data."""

import csv

import pandas as pd
import pytest

import cmrbench
from cmrbench.registry import load_methods
from tools import make_fidelity_doc as doc
from tools.agreement import agree, allowed


def test_means_agree_within_a_hundredth_or_three_standard_errors():
    assert agree([0.300], [0.3099])
    assert not agree([0.300], [0.3101])
    assert allowed([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]) == pytest.approx(3 * (0.01 / 3 * 2) ** 0.5)
    assert allowed([0.1, 0.2, 0.3], [0.2]) == pytest.approx(3 * (0.01 / 3 + 0.01) ** 0.5), "one value scatters likewise"
    assert allowed([0.2], [0.3]) == 0.01


def test_every_reference_names_a_method_and_what_it_takes():
    table = load_methods()
    for ref in doc.REFERENCES:
        method = table.get(ref.method)
        assert set(ref.params) <= set(method.parameters()), ref.name
        assert not ref.preset or ref.preset in method.PRESETS, ref.name


def row(side, value, seed=0, rule="function", direction="image->text", metric="mAP@all", name="SCM_seq_IT"):
    return dict(zip(doc.COLUMNS, [name, side, rule, 32, seed, direction, metric, value], strict=True))


def test_the_page_counts_and_marks_cells():
    data = pd.DataFrame(
        [
            *(row("here", v, seed) for seed, v in enumerate((0.300, 0.302))),
            row("reference", 0.305),
            row("here", 0.4, direction="text->image"),
            row("reference", 0.5, direction="text->image"),
            row("reference", 0.9, rule="learned"),  # nothing of ours beside it
        ]
    )
    text = doc.render(data)
    assert "1 of 2 cells" in text
    assert "| `scm` |  | SCM_seq_IT | 32 | 1 of 2 | -0.100 | where the method stops" in text
    assert "all other rows 0 of 0 agree." in text, "the only row carries a note"
    assert "| function | 32 | 0.301 ±0.001 | 0.305 | 0.400 ✗ | 0.500 |" in text
    assert "0.900" not in text


def test_runs_and_references_are_collected(wiki, tmp_path):
    cmrbench.run(["scm"], ["wiki"], bits=[16], results=tmp_path / "r")
    cmrbench.run(["scm"], ["wiki"], bits=[16], settings={"scm": {"ridge": 1.0}}, results=tmp_path / "r")
    fields = ["method", "protocol", "gallery_codes", "ranking", "direction", "bits_or_dim", "seed", "metric", "value"]
    with (tmp_path / "rows.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(fields)
        for protocol in (doc.PROTOCOL, "another"):
            writer.writerow(["SCM_seq_IT", protocol, "hash function", "hamming", "I->T", "16.0", "", "mAP@all", "0.25"])
    found = doc.collected(tmp_path / "r", tmp_path / "rows.csv")
    theirs = found[found.side == "reference"]
    assert theirs[doc.COLUMNS[2:]].to_numpy().tolist() == [["function", 16, 0, "image->text", "mAP@all", 0.25]]
    ours = found[found.side == "here"]
    assert len(ours) == 4, "both directions and metrics of the plain run, none of the one with another ridge"
    assert set(ours.bits) == {16}


def test_the_page_is_what_its_data_say():
    assert doc.PAGE.read_text(encoding="utf-8") == doc.render(pd.read_parquet(doc.DATA))
