"""Tables by name: which methods and metric the survey's VII and VIII hold, times of IX, diagnostics of codes."""

import math
from dataclasses import replace

import pyarrow as pa
import pytest
from report_tables import IT, TI, record, run
from report_tables import table as results

from cmrbench.core.errors import UnknownNameError
from cmrbench.core.runs import CodeDiagnostics
from cmrbench.report import FORMATS, Wish, named_table, named_tables, render, tables

LOOKS = CodeDiagnostics(balance=0.9, correlation=0.1, dead_bits=2, distinct_codes=55, ties_at_50=0.75)
FOUND = {"cvh": "unsupervised_hash", "batch": "supervised_hash", "random_hash": "baseline"}


def made(method, bits, seed=0, scale=1.0, **changes):
    info = {"title": method.upper(), "category": FOUND[method], "output": "hash"}
    records = [
        record(direction, value, metric=metric, retrieval="hamming", codes=LOOKS if metric == "mAP@all" else None)
        for metric, value in (("mAP@all", 0.5), ("mAP@50", 0.25), ("mAP@500", 0.125))
        for direction in (IT, TI)
    ]
    rows = run(method, records, seed=seed, info=info, spec={"bits": bits}, fit_s=bits * scale, **changes)
    for name, seconds in (("encode_s", 3.0), ("evaluate_s", 4.0)):
        column = pa.array([seconds] * rows.num_rows)
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), column)
    return rows


@pytest.fixture
def table():
    return results(*(made(m, bits) for m in FOUND for bits in (16, 32)), made("batch", 32, seed=1, scale=2.0))


def rows(board):
    return {row.method: row for row in board.rows}


def cells(board, method, task=None):
    """The cells of a method's row at emoji, by code length or stage."""
    at = [i for i, column in enumerate(board.columns) if board.key_of(board.groups[0], column).dataset == "emoji"]
    (row,) = [r for g in board.groups if task in (None, g.directions) for r in g.rows if r.method == method]
    return [row.cells[i] for i in at]


@pytest.mark.parametrize(
    ("name", "method", "other", "value"), [("VII", "cvh", "batch", 0.25), ("VIII", "batch", "cvh", 0.125)]
)
def test_seven_and_eight_hold_their_category_metric_and_baselines(table, name, method, other, value):
    (board,) = named_table(table, name)
    for direction in (IT, TI):
        assert [cell.mean for cell in cells(board, method, (direction,))][:2] == [value, value]
        assert [cell.mean for cell in cells(board, "random_hash", (direction,))][:2] == [value, value]
    assert {"", "random_hash", method} <= set(rows(board))  # the empty name is chance
    assert other not in rows(board)


def test_nine_shows_seconds_at_128_bits_and_the_smallest_as_best():
    table = results(*(made(m, bits) for m in FOUND for bits in (32, 128)), made("batch", 128, seed=1, scale=2.0))
    (board,) = named_table(table, "IX")
    assert [cell.mean for cell in cells(board, "batch")] == [192.0, 7.0]
    assert [cell.mean for cell in cells(board, "cvh")] == [128.0, 7.0]
    assert cells(board, "cvh")[0].rank == "best"
    assert "" not in rows(board), "chance takes no time"


def test_times_bear_no_flags_of_codes_or_spans():
    records = [
        record(IT, 0.5, gallery_codes="learned", flags=("learned-codes", "transductive")),
        record(IT, 0.9, metric="mAP@all[optimistic]", flags=("span",)),
    ]
    flagged = run("batch", records, spec={"bits": 128}, info={"category": "supervised_hash", "output": "hash"})
    (board,) = named_table(flagged, "IX")
    assert rows(board)["batch"].marks == ("¶",)


def test_a_run_that_failed_is_a_row_of_the_times():
    failed = run(
        "cvh",
        status="oom",
        info={"title": "CVH", "category": "unsupervised_hash", "output": "hash"},
        spec={"bits": 128},
        seed=5,
    )
    (board,) = named_table(results(failed, made("batch", 128)), "IX")
    assert {cell.word for cell in cells(board, "cvh")} == {"oom"}


def test_codes_are_described_for_every_length(table):
    boards = named_table(table, "codes")
    assert [board.columns[0].bits for board in boards] == [16, 32]
    cells = [cell.mean for cell in rows(boards[0])["cvh"].cells]
    assert cells == [0.9, 0.9, 0.1, 0.1, 2, 2, 55, 55, 0.75, 0.75]
    assert not any(cell.rank for board in boards for row in board.rows for cell in row.cells)


@pytest.mark.parametrize(
    "other",
    [
        {"spec": {"bits": 8, "dataset_fingerprint": "e" * 64}},
        {"spec": {"bits": 8, "feature_set": "clip"}},
        {"protocol": "fixed"},
        {"protocol_fingerprint": "q" * 16},
        {"gallery_codes": "learned"},
    ],
)
def test_codes_of_other_data_or_protocols_are_other_tables(other):
    info = {"title": "B", "category": "supervised_hash", "output": "hash"}

    def described(balance, seed, spec=None, **changes):
        made = record(IT, 0.5, codes=replace(LOOKS, balance=balance), **changes)
        return run("batch", [made], spec=spec or {"bits": 8}, info=info, seed=seed)

    boards = named_table(results(described(0.9, 0), described(0.1, 1, **other)), "codes")
    assert sorted(rows(board)["batch"].cells[0].mean for board in boards) == [0.1, 0.9]
    assert len({board.title for board in boards}) == 2, "titles tell the tables apart"
    assert {board.key.dataset for board in boards} == {"emoji"}


def test_codes_of_one_protocol_only(table):
    other = run("batch", [record(IT, 0.5, codes=LOOKS, protocol="fixed")], spec={"bits": 8}, info={"output": "hash"})
    both = results(table, other)
    boards = named_tables(both, "codes", Wish(protocol="fixed"))["codes"]
    assert [(board.key.protocol, board.columns[0].bits) for board in boards] == [("fixed", 8)]
    with pytest.raises(UnknownNameError, match="fixed"):
        named_tables(both, "codes", Wish(protocol="fixd"))


def test_what_is_undefined_is_not_a_number():
    looks = replace(LOOKS, ties_at_50=math.nan)
    (board,) = named_table(
        results(
            run(
                "batch",
                [record(IT, 0.5, codes=looks)],
                spec={"bits": 8},
                info={"title": "B", "category": "supervised_hash", "output": "hash"},
            )
        ),
        "codes",
    )
    assert rows(board)["batch"].cells[-1].word == "NaN"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", ["VII", "codes"])
def test_every_format_prints_them_without_costs(table, name, format):
    text = render(named_table(table, name), format)
    assert "CVH" in text
    assert "Peak (MiB)" not in text


def test_unknown_names_are_told(table):
    with pytest.raises(UnknownNameError, match=r"VIII"):
        named_table(table, "VIIII")
    for name in (*tables(), "all"):
        with pytest.raises(UnknownNameError, match="dataset"):
            named_table(table, name, ["nowhere"])


def test_all_is_every_table_that_has_something_to_show(table):
    assert list(named_tables(table, "all")) == ["VII", "VIII", "codes"]
    assert list(named_tables(table, "all", Wish(published=True))) == list(tables())
    assert list(named_tables(table, "all", Wish(published=True, datasets=["flickr30k"]))) == ["V"]


def test_a_reconstruction_is_marked_and_explained():
    info = {"title": "PDH", "category": "unsupervised_hash", "output": "hash", "reconstruction": "yes"}
    rebuilt = run("pdh", {IT: 0.3}, metric="mAP@50", retrieval="hamming", info=info, spec={"bits": 16})
    (board,) = named_table(results(made("cvh", 16), rebuilt), "VII")
    assert rows(board)["pdh"].marks == ("◊",)
    assert rows(board)["cvh"].marks == ()
    assert "rebuilt from descriptions; neither the paper's text nor its authors' code could be had" in [
        note.text for note in board.notes
    ]
    assert r"PDH $\diamond$" in render([board], "tex")
