"""The ledger: all lines, names that people type, blocks with their footnotes."""

import pytest

from cmrbench.core.errors import UnknownNameError
from cmrbench.published import cells, missing, query_times, timings
from cmrbench.published.blocks import blocks, direction_sign
from cmrbench.published.ledger import ledger, narrowed, printed_datasets
from cmrbench.published.overview import overview


def test_every_number_and_dash_is_a_line():
    assert len(ledger()) == len(cells()) + len(missing()) + 2 * len(timings()) + len(query_times())
    assert sum(e.value is None for e in ledger()) == len(missing())
    assert all(float(e.printed) == e.value for e in ledger() if e.value is not None)


@pytest.mark.parametrize("name", ["dscmr", "DSCMR", "Dscmr"])
def test_a_method_is_found_in_any_case(name):
    found = narrowed([name])
    assert {e.place.method for e in found} == {"dscmr"}
    assert {e.place.method_printed for e in found} == {"DSCMR", "2S-DSCMR"}


@pytest.mark.parametrize(
    ("name", "methods", "printed"),
    [
        ("2S-DSCMR", {"dscmr"}, {"2S-DSCMR"}),
        ("cm-gans", {"cm_gans"}, {"CM-GANS"}),
        ("mcms", {"mcsm"}, {"MCMS"}),
        ("dcdh", {"dcdh_collab"}, {"DCDH"}),
        ("mcca", {"mcca_multiset"}, {"MCCA"}),
        ("raw_2sknn", {"clip"}, {"2S-CLIP"}),
        ("corr ae", {"corr_ae"}, {"Corr-AE"}),
    ],
)
def test_printed_names_lead_to_their_rows(name, methods, printed):
    found = narrowed([name])
    assert {e.place.method for e in found} == methods
    assert {e.place.method_printed for e in found} == printed


def test_a_known_method_without_numbers_has_no_lines():
    assert narrowed(["dch"]) == ()


@pytest.mark.parametrize(
    ("typed", "tables"),
    [
        ("2", {("lcm", "2")}),
        ("II", {("drcl", "II")}),
        ("vi", {("survey", "VI"), ("drcl", "VI")}),
        ("drcl2", {("drcl", "II")}),
        ("drclII", {("drcl", "II")}),
        ("Table 9", {("survey", "IX")}),
        ("lcm5", {("lcm", "5")}),
        ("survey VI", {("survey", "VI")}),
        ("text 5.3", {("lcm", "text 5.3")}),
        ("5.1", {("lcm", "text 5.1")}),
    ],
)
def test_tables_can_be_named_in_several_ways(typed, tables):
    assert {(e.place.paper, e.place.table) for e in narrowed(wanted_tables=[typed])} == tables


def test_conditions_hold_together_and_names_add_up():
    found = narrowed(["cca", "dscmr"], ["wiki"], ["LCM"], ["2"])
    assert {e.place.method for e in found} == {"cca", "dscmr"}
    assert {(e.place.dataset, e.place.paper, e.place.table) for e in found} == {("wiki", "lcm", "2")}
    assert len(found) == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((["dscmrr"],), "dscmr"),
        (([], [], ["lcmm"]), "lcm"),
        (([], [], [], ["lcm9"]), "lcm5"),
        (([], [], [], ["lcm"]), "lcm3"),
        (([], [], [], ["text"]), "text 5.1"),
    ],
)
def test_unknown_names_get_the_nearest(arguments, said):
    with pytest.raises(UnknownNameError, match=f"did you mean .*{said}|known: .*{said}"):
        narrowed(*arguments)


def test_headings_of_two_datasets_name_none():
    assert printed_datasets()["iaprtc12"] == "iaprtc12"
    assert printed_datasets()["mscoco5k"] == "coco5k"
    assert not {"nuswide", "xmedia"} & printed_datasets().keys()


def test_blocks_hold_every_printed_number_once():
    texts = [text for block in blocks(ledger()) for row in block.rows for text, _ in row.cells if text]
    assert sorted(texts) == sorted(e.printed for e in ledger())


def test_a_row_that_is_printed_for_each_direction_stands_once():
    (block,) = blocks(narrowed(["cvh"], ["mirflickr"], [], ["VII"]))
    (row,) = block.rows
    assert block.heads[0] == "I→T\n16"
    assert block.heads[-1] == "T→I\n128"
    assert [text for text, _ in row.cells][:4] == ["0.606", "0.599", "0.596", "0.589"]


def test_numbers_of_different_kinds_make_different_blocks():
    titles = [block.title for block in blocks(narrowed([], ["mscoco"]))]
    assert titles == [
        "mscoco: mAP@50",
        "mscoco: mAP@500",
        "mscoco: seconds at 128 bits",
        "mscoco: mAP@all",
    ]
    assert [b.title for b in blocks(narrowed([], ["coco5k"]))] == ["coco5k: recall"]


def test_a_contradiction_is_a_footnote_of_its_cell():
    (block,) = blocks(narrowed(["lcm"], ["wiki"], [], ["2"]))
    notes = dict(block.notes)
    row = block.rows[-1]
    (text, marks) = row.cells[0]
    assert text == "0.65"
    assert [notes[str(m)] for m in marks if "0.64 in LCM Table 5" in notes[str(m)]]
    average, marks = row.cells[2]
    assert (average, marks) == ("0.75", ())


def test_other_values_are_told_where_they_are_not_shown():
    (alone,) = blocks(narrowed(["dscmr"], ["pascal"], [], ["lcm5"]))
    assert any("0.674 in Survey Table VI" in text and "other features" in text for _, text in alone.notes)
    (together,) = blocks(narrowed(["dscmr"], ["pascal"]))
    assert not any("other features" in text for _, text in together.notes)


def test_a_finding_about_a_whole_row_is_named_once():
    (block,) = blocks(narrowed(["clip4cmr"], ["pascal"], [], ["lcm2"]))
    assert block.rows[0].notes == "P4"
    assert [mark for mark, _ in block.notes].count("P4") == 1


def test_dashes_say_why():
    block = blocks(narrowed(["gch"], ["mirflickr"], [], ["IX"]))[0]
    assert [text for text, _ in block.rows[0].cells] == ["—", "—"]
    assert any("abnormal" in text for _, text in block.notes)


def test_splits_and_features_stand_above():
    (block,) = blocks(narrowed(["drcl"], ["xmedia"], [], ["drcl2"]))
    assert "audio 800/100/-/100" in block.facts[0]
    assert "3d LightField 4700d" in block.facts[0]
    (wiki,) = blocks(narrowed(["dscmr"], ["wiki"]))
    assert wiki.facts[:3] == [
        "Survey (Wikipedia): split not stated",
        "LCM (Wikipedia): 1942/215/462/462 items",
        "DRCL (Wikipedia): 2173/231/-/462 items",
    ]


@pytest.mark.parametrize(
    ("task", "sign"), [("image->text", "I→T"), ("audio->3d", "A→3D"), ("image<->text", "I↔T"), ("all", "all")]
)
def test_directions_are_short(task, sign):
    assert direction_sign(task) == sign


def test_the_overview_counts_what_the_ledger_holds():
    found = overview()
    assert found.numbers == len(ledger()) - len(missing()) == sum(found.datasets.values())
    assert sum(found.methods.values()) == found.numbers
    assert len(found.methods) == 65
    assert (found.contradicted, found.differing) == (22, 13)
    assert dict((f.id, n) for f, n in found.findings)["P2"] == 32
