"""Tables laid out as the papers print them."""

import pytest

from cmrbench.core.errors import UnknownNameError
from cmrbench.published import cells, layout, missing, papers, tables, timings

SHAPES = {
    ("survey", "V"): (11, 2, 2, 3, 0),
    ("survey", "VI"): (9, 4, 2, 1, 0),
    ("survey", "VII"): (10, 4, 2, 1, 4),
    ("survey", "VIII"): (9, 4, 2, 1, 4),
    ("survey", "IX"): (19, 4, 0, 2, 1),
    ("lcm", "2"): (15, 4, 3, 1, 0),
    ("lcm", "3"): (14, 2, 3, 1, 0),
    ("lcm", "4"): (16, 5, 2, 1, 0),
    ("lcm", "5"): (8, 6, 3, 1, 0),
    ("lcm", "text 5.1"): (1, 4, 2, 1, 0),
    ("drcl", "II"): (10, 2, 21, 1, 0),
    ("drcl", "III"): (16, 3, 3, 1, 0),
    ("drcl", "V"): (12, 1, 21, 1, 0),
    ("drcl", "VI"): (6, 2, 7, 1, 0),
}
"""Rows, datasets, tasks, metrics, code lengths."""


@pytest.mark.parametrize(("paper", "table"), SHAPES)
def test_shapes(paper, table):
    found = layout(paper, table)
    assert tuple(map(len, (found.rows, found.datasets, found.tasks, found.metrics, found.bits))) == SHAPES[paper, table]
    assert found.title


def test_every_table_of_numbers_has_a_layout():
    assert set(SHAPES) == {(p, t) for p in papers() for t in tables(p)} - {("lcm", "text 5.3")}


@pytest.mark.parametrize(("paper", "table"), [key for key in SHAPES if key != ("survey", "IX")])
def test_the_grid_is_filled_by_numbers_and_dashes(paper, table):
    found = layout(paper, table)
    grid = {(r.method, r.variant, d) for r in found.rows for d in found.datasets}
    held = {(c.method, c.variant, c.dataset) for c in (*cells(), *missing()) if (c.paper, c.table) == (paper, table)}
    assert held == grid


def test_the_table_of_times_holds_rows_of_dashes_too():
    found = layout("survey", "IX")
    grid = {(r.method, d) for r in found.rows for d in found.datasets}
    dashes = {(c.method, c.dataset) for c in missing() if c.table == "IX"}
    assert {(t.method, t.dataset) for t in timings()} == grid - dashes
    assert len(found.rows) * len(found.datasets) == len(timings()) + len(dashes)


LCM_5 = ("MS-COCO", "Pascal Sentence", "NUS-WIDE-10K", "Wikipedia", "XmediaNet", "MIRFlickr")


@pytest.mark.parametrize(
    ("paper", "table", "first", "last", "datasets"),
    [
        ("survey", "VII", "CVH", "UCMFH", ("MIR Flickr", "NUS-WIDE", "MS COCO", "IAPR TC-12")),
        ("survey", "VI", "JRL", "CLIP4CMR", ("Wikipedia", "Pascal-Sentence", "NUS-WIDE", "Xmedia")),
        ("lcm", "3", "CFA", "LCM", ("MS-COCO", "MIRFlickr")),
        ("lcm", "4", "LCM", "LCM", ("MS-COCO", "MIRFlickr", "Pascal Sentence", "Wikipedia", "XmediaNet")),
        ("lcm", "5", "DSCMR", "2S-Our", LCM_5),
        ("drcl", "III", "MCCA", "DRCL", ("Wikipedia", "INRIA-Websearch", "NUS-WIDE")),
        ("drcl", "VI", "SDML", "DRCL", ("Wikipedia", "XMedia")),
    ],
)
def test_the_printed_order(paper, table, first, last, datasets):
    found = layout(paper, table)
    assert (found.rows[0].printed, found.rows[-1].printed) == (first, last)
    assert found.datasets_printed == datasets


def test_columns_follow_the_headings():
    assert layout("drcl", "II").tasks[:5] == ("image->text", "image->audio", "image->3d", "image->video", "text->image")
    assert layout("drcl", "II").tasks[-2:] == ("video->3d", "all")
    assert layout("drcl", "VI").tasks == (
        *("image->text", "text->image", "image<->text"),
        *("audio->3d", "3d->audio", "audio<->3d", "all"),
    )
    assert layout("survey", "V").metrics == ("hit@1", "hit@5", "hit@10")
    assert layout("survey", "VIII").bits == (16, 32, 64, 128)


def test_rows_carry_what_the_table_says_of_a_method():
    row = next(r for r in layout("survey", "VII").rows if r.method == "cmfh")
    assert (row.category, row.venue, row.reference) == ("MF", "TIP16", "92")
    assert [r.setting for r in layout("lcm", "2").rows if r.method == "lcm"] == ["unsupervised", "2sknn"]


@pytest.mark.parametrize(("paper", "table"), [("dscmr", "2"), ("lcm", "7"), ("lcm", "text 5.3"), ("survey", "vii")])
def test_an_unknown_table_is_refused(paper, table):
    with pytest.raises(UnknownNameError):
        layout(paper, table)
