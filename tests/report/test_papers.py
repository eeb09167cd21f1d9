"""The papers' tables: order and content against the published data, parts, rows, footnotes, sub-columns."""

import csv
from collections import Counter
from importlib import resources
from itertools import permutations

import pytest
from report_tables import IT, TI, record, run
from report_tables import table as results

from cmrbench.core.errors import UnknownNameError
from cmrbench.report import Wish, named_tables
from cmrbench.report.model import DIFFERENCE, INSIDE, OURS, PUBLISHED
from cmrbench.report.papers import table_names
from cmrbench.report.papers.spec import read_table
from cmrbench.store.schema import concat

REGISTERED = ("cca", "kcca", "lcm", "drcl", "dscmr", "clip4cmr", "cvh", "batch", "scm", "raw_2sknn")
METRICS = {"map@all": "mAP@all", "map@50": "mAP@50", "map@500": "mAP@500"}
METRICS |= {f"recall@{k}": f"hit@{k}" for k in (1, 5, 10)}
MEDIA = ("image", "text", "audio", "3d", "video")


def lines(name):
    text = (resources.files("cmrbench.published") / "data" / name).read_text(encoding="utf-8")
    return sorted(csv.DictReader(text.splitlines()), key=lambda line: int(line["source_line"]))


def printed(name):
    spec = read_table(name)
    return [x for x in lines("published_results.csv") if (x["paper"], x["table"]) == (spec.paper, spec.table)]


def directions(task):
    if task == "avg(all20)":
        return {f"{a}->{b}" for a, b in permutations(MEDIA, 2)}
    return {IT, TI} if task == "avg(image<->text)" else {task}


def one(table, name, **wish):
    (board,) = named_tables(table, name, Wish(published=True, registered=REGISTERED, **wish))[name]
    return board


def numbers(board, kind):
    """What every cell of a kind is about, with its mean and the cell itself."""
    found = []
    for group in board.groups:
        for row in group.rows:
            for column, cell in zip(board.columns, row.cells, strict=True):
                if column.kind == kind:
                    key = board.key_of(group, column)
                    which = frozenset(column.directions or group.directions)
                    found.append(((row.method, which, key.dataset, key.metric, column.bits), cell.mean, cell))
    return found


def cell(board, kind, method, direction, dataset="wiki", bits=None):
    (found,) = [
        c
        for (m, which, d, _, b), _, c in numbers(board, kind)
        if (m, which, d, b) == (method, {direction}, dataset, bits)
    ]
    return found


def told(board, at):
    return {note.mark: note.text for note in board.notes}.get(str(at.note), "")


def real(method, value, seeds=3, step=0.01, **changes):
    """Runs of a real-valued method; its mean is `value`."""
    shifts = [step * (seed - (seeds - 1) / 2) for seed in range(seeds)]
    return results(
        *(run(method, {IT: value + s, TI: value + s}, seed=i, **changes) for i, s in enumerate(shifts)),
    )


def changed(made, column, value):
    at = made.schema.get_field_index(column)
    return made.set_column(at, made.schema.field(at), [[value] * made.num_rows])


WIKI = {"spec": {"dataset": "wiki"}}


# Against the published data


@pytest.mark.parametrize("name", [n for n in table_names() if n != "IX"])
def test_every_published_number_stands_once_in_its_row_and_column(name):
    expected = Counter(
        (
            x["method_slug"],
            frozenset(directions(x["task"])),
            x["dataset_resolved"],
            METRICS[x["metric"]],
            int(x["bits"]) if x["bits"] else None,
            float(x["value"]),
        )
        for x in printed(name)
    )
    board = one(concat([]), name)
    found = Counter((*about, mean) for about, mean, _ in numbers(board, PUBLISHED) if mean is not None)
    assert found == expected
    assert sum(expected.values()) > 50


def test_every_published_time_stands_once():
    expected = Counter(
        (x["method_slug"], frozenset({stage}), x["dataset"], float(x[f"{stage}_s"]))
        for x in lines("timings.csv")
        for stage in ("train", "test")
    )
    board = one(concat([]), "IX")
    assert {column.bits for column in board.columns} == {128}
    found = Counter((m, d, data, mean) for (m, d, data, _, _), mean, _ in numbers(board, PUBLISHED) if mean is not None)
    assert found == expected


@pytest.mark.parametrize("name", [n for n in table_names() if n != "IX"])
def test_rows_and_columns_are_in_the_paper_s_order(name):
    spec = read_table(name)
    dashes = [x for x in lines("missing.csv") if (x["paper"], x["table"]) == (spec.paper, spec.table)]
    everything = sorted([*printed(name), *dashes], key=lambda x: int(x["source_line"]))
    board = one(concat([]), name)
    blocks = {"task": ("image->text", "text->image"), "dataset": ("xmedia", "xmedianet"), "": (None,)}[spec.blocks]
    of_block = {"task": lambda x: x["task"], "dataset": lambda x: x["dataset_resolved"], "": lambda x: None}
    for block in blocks:
        here = [x for x in everything if of_block[spec.blocks](x) == block]
        rows = [
            row.method
            for group in board.groups
            for row in group.rows
            if {"task": (block,), "dataset": block, "": None}[spec.blocks]
            == {"task": group.directions, "dataset": group.key.dataset, "": None}[spec.blocks]
        ]
        assert rows == [method for method, _ in dict.fromkeys((x["method_slug"], x["variant"]) for x in here)]
    if spec.blocks != "dataset":
        shown = dict.fromkeys(board.key_of(board.groups[0], column).dataset for column in board.columns)
        assert list(shown) == list(dict.fromkeys(x["dataset_resolved"] for x in everything))


def test_the_paper_s_columns_of_method_category_and_source_are_kept():
    board = one(concat([]), "VIII")
    first = {x["method_slug"]: (x["method_printed"], x["category"], x["venue_year"]) for x in printed("VIII")}
    assert {row.method: (row.title, row.group, row.source) for row in board.rows} == first


def test_blocks_are_directions_then_baselines_paper_and_others():
    board = one(results(real("drcl", 0.5, **WIKI), real("random", 0.1, **WIKI)), "VI")
    assert [group.title.split(": ")[0] for group in board.groups] == ["image → text"] * 3 + ["text → image"] * 3
    assert [row.method for row in board.groups[0].rows] == ["", "random"]
    assert [row.title for row in board.groups[2].rows] == ["DRCL"]


def test_headers_name_dataset_code_length_and_kind():
    board = one(
        run("cvh", {IT: 0.5}, metric="mAP@50", retrieval="hamming", spec={"bits": 16, "dataset": "nuswide"}), "VII"
    )
    heads = [column.heads for column in board.columns]
    assert heads[0] == ("MIR Flickr", "16 bits", "published")
    assert ("NUS-WIDE", "16 bits", "difference") in heads
    plain = named_tables(concat([]), "V", Wish(published=True))["V"][0].columns[0].heads
    assert plain == ("Flickr-30K", "R@1", "published")


# Parts, feature sets, datasets of our own


def test_protocols_never_share_a_column_and_datasets_stand_side_by_side():
    def coded(dataset, protocol, rule="function", **changes):
        records = [
            record(IT, 0.5, protocol=p, protocol_fingerprint=p * 4, gallery_codes=r, metric="mAP@500")
            for p, r in zip(protocol, rule.split(), strict=True)
        ]
        info = {"title": "BATCH", "category": "supervised_hash", "output": "hash"}
        return run("batch", records, spec={"bits": 16, "dataset": dataset}, info=info, **changes)

    table = results(coded("nuswide", "abl", "function function learned"), coded("emoji", "cl", "function learned"))
    boards = named_tables(table, "VIII", Wish())["VIII"]
    parts = [
        {(k.dataset, k.protocol, k.gallery_codes) for c in b.columns if (k := b.key_of(b.groups[0], c)).protocol}
        for b in boards
    ]
    assert parts == [
        {("nuswide", "a", "function"), ("emoji", "c", "function")},
        {("nuswide", "b", "function")},
        {("nuswide", "l", "learned"), ("emoji", "l", "learned")},
    ]
    assert [f"part {i} of 3" in board.title for i, board in enumerate(boards, 1)] == [True] * 3
    assert len({board.title for board in boards}) == 3
    assert any("protocol a" in value for _, value in boards[0].facts)
    (only,) = named_tables(table, "VIII", Wish(protocol="b"))["VIII"]
    assert {only.key_of(only.groups[0], c).protocol for c in only.columns} == {"", "b"}
    with pytest.raises(UnknownNameError, match="protocol"):
        named_tables(table, "VIII", Wish(protocol="z"))


def test_feature_sets_and_versions_of_data_are_columns_of_their_own():
    runs = (
        run("dscmr", {IT: 0.5}, spec={"dataset": "wiki", "feature_set": "sift-lda"}),
        run("dscmr", {IT: 0.6}, spec={"dataset": "wiki:lcm", "feature_set": "clip"}),
        run("dscmr", {IT: 0.7}, spec={"dataset": "wiki", "feature_set": "sift-lda", "dataset_fingerprint": "e" * 64}),
    )
    board = one(results(*runs), "VI")
    # Results are read from the oldest on; the order of columns must not depend on which run came first.
    later = [changed(made, "created", f"2026-01-0{9 - i}") for i, made in enumerate(runs)]
    assert one(results(*later), "VI").columns == board.columns
    shown = [c for c in board.columns if c.kind == OURS and c.heads[0].startswith("Wikipedia")]
    assert len({column.heads for column in shown}) == len({column.key for column in shown}) == 3
    assert "Wikipedia (lcm, clip)" in {column.heads[0] for column in shown}
    found = [c.mean for (m, d, _, _, _), _, c in numbers(board, OURS) if m == "dscmr" and d == {IT} and c.mean]
    assert sorted(found) == [0.5, 0.6, 0.7]


def test_datasets_that_the_paper_lacks_come_last_and_are_marked():
    table = results(
        run("dscmr", {IT: 0.5}),
        run("dscmr", {IT: 0.6}, **WIKI),
        run("dscmr", {IT: 0.4}, spec={"dataset": "wiki+noise=0.4"}),
    )
    board = one(table, "VI")
    shown = list(dict.fromkeys(column.heads[0] for column in board.columns))
    assert shown == ["Wikipedia", "Pascal-Sentence", "NUS-WIDE", "Xmedia", "emoji ○", "wiki+noise=0.4 ○"]
    assert {column.kind for column in board.columns if "○" in column.heads[0]} == {OURS}
    assert "○" in {note.mark for note in board.notes}


def test_other_modalities_are_left_out_and_said_to_be():
    table = results(run("drcl", {IT: 0.5, TI: 0.4}), run("drcl", {"image->text_de": 0.5}, spec={"dataset": "poly"}))
    board = one(table, "drcl3")
    assert not any("poly" in column.heads[0] for column in board.columns)
    assert dict(board.facts)["left out"].startswith("poly")
    (five,) = named_tables(table, "drcl2", Wish(published=True))["drcl2"]
    assert "emoji" not in {group.key.dataset for group in five.groups}, "two of twenty directions are no row"


def test_five_modalities_are_twenty_directions_and_their_average():
    values = {f"{a}->{b}": 0.5 + i / 1000 for i, (a, b) in enumerate(permutations(MEDIA, 2))}
    board = one(run("drcl", values, spec={"dataset": "xmedia", "feature_set": "vgg-bow"}), "drcl2")
    assert sum(column.kind == OURS for column in board.columns) == 21
    (mean,) = [m for (slug, d, data, _, _), m, _ in numbers(board, OURS) if slug == "drcl" and len(d) == 20 and m]
    assert mean == pytest.approx(sum(values.values()) / 20)
    assert [group.key.dataset for group in board.groups if group.title.endswith("Table II")] == ["xmedia", "xmedianet"]


def test_some_datasets_only():
    board = one(run("dscmr", {IT: 0.5}), "VI", datasets=["pascal", "emoji"])
    assert list(dict.fromkeys(column.heads[0] for column in board.columns)) == ["Pascal-Sentence", "emoji ○"]
    with pytest.raises(UnknownNameError, match="pascal"):
        one(run("dscmr", {IT: 0.5}), "VI", datasets=["pascall"])


# Rows


def test_the_two_stage_search_is_the_paper_s_2s_row():
    both = [record(IT, 0.3), record(IT, 0.6, retrieval="2sknn", flags=("label-reading",))]
    table = results(run("lcm", both, **WIKI), run("dscmr", both, **WIKI))
    board = one(table, "lcm5")
    titles = [(row.title, row.method) for row in board.rows if any(c.mean == 0.6 and c.seeds for c in row.cells)]
    assert titles == [("2S-DSCMR", "dscmr"), ("2S-Our", "lcm")]
    naive = [row.title for row in board.rows if any(c.mean == 0.3 and c.seeds for c in row.cells)]
    assert naive == ["DSCMR", "Naive-Our"]
    two = one(table, "lcm2")
    (lcm,) = [row for row in two.rows if row.title == "LCM" and row.marks]
    assert {c.mean for c in lcm.cells if c.seeds} == {0.6}
    assert not any(c.rank for c in lcm.cells), "a ranking that reads labels is not ranked"
    assert "LCM" in [row.title for group in two.groups if "not in" in group.title.lower() for row in group.rows]


def test_a_baseline_of_ours_that_the_paper_prints_is_its_row():
    info = {"title": "2Sknn on raw features", "category": "baseline", "output": "real"}
    table = run("raw_2sknn", {IT: 0.6}, retrieval="2sknn", info=info, **WIKI)
    (row,) = [row for row in one(table, "lcm5").rows if row.method == "raw_2sknn"]
    assert (row.title, row.group) == ("2S-CLIP (2Sknn on raw features)", "pretrained")


def test_the_usual_setting_is_the_paper_s_row_and_others_follow_it():
    table = results(
        run("dscmr", {IT: 0.1}, spec={"dataset": "wiki", "preset": "quick"}),
        run("dscmr", {IT: 0.2}, spec={"dataset": "wiki", "params": (("k", 2),)}),
        run("dscmr", {IT: 0.3}, **WIKI),
    )
    board = one(table, "VI")
    ours = [row for row in board.groups[0].rows + board.groups[1].rows if row.method == "dscmr"]
    rows = [(row.title, max(c.mean or 0 for c in row.cells if c.seeds)) for row in ours]
    assert rows == [("DSCMR", 0.3), ("DSCMR k=2", 0.2), ("DSCMR (quick)", 0.1)]
    printed_beside = [c.mean for (m, d, _, _, _), _, c in numbers(board, PUBLISHED) if m == "dscmr" and d == {IT}]
    assert printed_beside.count(0.521) == 1, "a published number stands beside one row only"
    assert {n.mark: n.text for n in board.notes}["(quick)"].startswith("reduced preset")


def test_a_reduced_preset_alone_stands_in_the_paper_s_row():
    board = one(run("dscmr", {IT: 0.1}, spec={"dataset": "wiki", "preset": "quick"}), "VI")
    (row, *_) = [row for row in board.rows if row.method == "dscmr"]
    assert (row.title, row.group) == ("DSCMR (quick)", "CNN-RNN")


def test_presets_named_after_datasets_share_a_row():
    table = results(
        run("drcl", {IT: 0.5}, spec={"dataset": "wiki", "preset": "wiki"}),
        run("drcl", {IT: 0.6}, spec={"dataset": "nuswide10k", "preset": "nuswide10k"}),
    )
    (row,) = [row for row in one(table, "drcl3").rows if row.method == "drcl"]
    assert row.title == "DRCL (published setting)"
    assert {c.mean for c in row.cells if c.seeds} == {0.5, 0.6}
    marks = {note.mark for note in one(table, "drcl3").notes}
    assert "(published setting)" in marks
    assert not marks & {"(wiki)", "(nuswide10k)"}, "no row has these names"


def test_what_is_not_registered_is_kept_under_its_own_name():
    table = run("mine", {IT: 0.5}, info={"output": "real"}, spec={"dataset": "my-data"})
    board = one(table, "VI")
    (row, *_) = [row for row in board.rows if row.method == "mine"]
    assert row.title == "mine"
    assert board.columns[-1].heads[0] == "my-data ○"


def test_a_method_of_another_category_is_in_the_table_only_if_the_paper_has_it():
    table = results(run("cca", {IT: 0.5}, **WIKI), run("scm", {IT: 0.5}, **WIKI, info={"category": "supervised_real"}))
    assert "cca" not in {row.method for row in one(table, "VI").rows}
    assert "cca" in {row.method for row in one(table, "lcm2").rows}


# Footnotes


def test_every_dash_says_why():
    table = results(
        run("drcl", {IT: 0.5}, **WIKI),
        run("dscmr", status="failed", cause="diverged", **WIKI),
        run("dscmr", {IT: 0.5, TI: 0.5}, spec={"dataset": "pascal"}),
        run("clip4cmr", status="declined", cause="needs pairs", **WIKI),
    )
    board = one(table, "VI")
    assert cell(board, OURS, "dscmr", IT).word == "failed"
    assert told(board, cell(board, OURS, "dscmr", IT)) == "failed: diverged"
    assert told(board, cell(board, OURS, "clip4cmr", IT)) == "declined: needs pairs"
    assert told(board, cell(board, OURS, "clip4cmr", IT, "pascal")) == "not run on these data"
    assert told(board, cell(board, OURS, "drcl", TI)) == "this direction or metric was not measured"
    assert told(board, cell(board, OURS, "dscmr", IT, "nuswide10k")) == "no results on this dataset"
    assert told(board, cell(board, OURS, "jrl", IT)) == "no such method in cmrbench yet"
    (unsupervised,) = [
        c for (m, d, x, _, _), _, c in numbers(one(table, "lcm2"), OURS) if (m, d, x) == ("lcm", {IT}, "wiki")
    ][:1]
    assert "unsupervised variant" in told(one(table, "lcm2"), unsupervised)
    for _, _, at in numbers(board, OURS):
        assert at.mean is not None or at.note, "no dash without a reason"


def test_one_protocol_alone_does_not_hide_that_others_were_measured():
    under = {name: {"protocol": name, "protocol_fingerprint": name * 16} for name in "ab"}
    table = results(
        run("dscmr", {IT: 0.5}, **WIKI, **under["a"]),
        run("clip4cmr", {IT: 0.6}, **WIKI, **under["b"]),
        run("dscmr", {IT: 0.5}, spec={"dataset": "nuswide10k"}, **under["a"]),
        run("dscmr", {IT: 0.5}, spec={"dataset": "pascal"}, **under["b"]),
    )
    board = one(table, "lcm2", protocol="b")
    assert cell(board, OURS, "clip4cmr", IT).mean == 0.6, "the second protocol of one dataset, the first of another"
    assert cell(board, OURS, "dscmr", IT, "pascal").mean == 0.5
    assert told(board, cell(board, OURS, "dscmr", IT)) == "not measured under this protocol"
    assert told(board, cell(board, OURS, "dscmr", IT, "nuswide10k")) == "not measured under this protocol"
    assert told(board, cell(board, OURS, "clip4cmr", IT, "nuswide10k")) == "not run on these data"
    assert told(board, cell(board, OURS, "cca", IT, "nuswide10k")) == "not run"
    assert told(board, cell(board, OURS, "dscmr", IT, "xmedianet")) == "no results on this dataset"


def test_data_that_are_left_out_have_results():
    table = run("drcl", {IT: 0.5, TI: 0.4}, spec={"dataset": "xmedia"})
    board = one(table, "drcl2")
    reasons = {told(board, c) for (m, _, d, _, _), _, c in numbers(board, OURS) if (m, d) == ("drcl", "xmedia")}
    assert reasons == {"measured in other directions than the table's"}


def test_a_registered_method_without_runs_was_not_run():
    board = one(run("drcl", {IT: 0.5}, **WIKI), "VI")
    assert told(board, cell(board, OURS, "dscmr", IT)) == "not run"


def test_code_lengths_and_protocols_that_are_missing_are_named():
    info = {"title": "BATCH", "category": "supervised_hash", "output": "hash"}
    learned = record(IT, 0.6, metric="mAP@500", gallery_codes="learned")
    table = results(
        run("batch", [record(IT, 0.5, metric="mAP@500")], spec={"bits": 16, "dataset": "nuswide"}, info=info),
        run("scm", [learned], spec={"bits": 16, "dataset": "nuswide"}, info=info | {"title": "SCM"}),
    )
    first, second = named_tables(table, "VIII", Wish(published=True, registered=REGISTERED))["VIII"]
    assert told(first, cell(first, OURS, "batch", IT, "nuswide", 32)) == "not run at 32 bits"
    assert told(second, cell(second, OURS, "batch", IT, "nuswide", 16)) == "not measured under this protocol"


def test_dashes_of_the_paper_are_dashes_with_the_caption_s_reason():
    eight = one(concat([]), "VIII")
    dash = cell(eight, PUBLISHED, "gch", IT, "mirflickr", 128)
    assert (dash.mean, dash.word) == (None, "—")
    assert told(eight, dash).startswith("the paper prints a dash")
    board = one(concat([]), "IX")
    dash = cell(board, PUBLISHED, "gch", "train", "mirflickr", 128)
    assert told(board, dash).startswith("the paper prints a dash; ")
    assert "abnormal" in told(board, dash)


def test_contradicted_and_suspect_numbers_are_told():
    board = one(concat([]), "lcm3")
    (average,) = [
        c for (m, d, x, _, _), _, c in numbers(board, PUBLISHED) if (m, x) == ("cfa", "mscoco") and len(d) == 2
    ]
    assert "P1" in told(board, average)
    (sound,) = [c for (m, d, x, _, _), _, c in numbers(board, PUBLISHED) if (m, x, d) == ("cca", "mscoco", {IT})]
    assert told(board, sound) == ""
    eight = one(concat([]), "VIII")
    assert "P2" in told(eight, cell(eight, PUBLISHED, "dchuc", TI, "nuswide", 16))


# Published numbers beside ours


def test_differences_and_whether_the_published_number_is_in_the_interval_of_ours():
    # t(0.975, 2) = 4.303: the interval of 0.510 ± 0.010 over three seeds is 0.510 ± 0.0248.
    table = results(
        real("dscmr", 0.510, **WIKI),  # published 0.521
        real("clip4cmr", 0.510, **WIKI),  # published 0.592
        real("jrl", 0.479, seeds=1, **WIKI),  # published 0.479
    )
    board = one(table, "VI")
    inside, outside, single = (cell(board, DIFFERENCE, m, IT) for m in ("dscmr", "clip4cmr", "jrl"))
    assert (inside.mean, inside.number) == (pytest.approx(-0.011), "-0.011")
    assert (inside.inside, outside.inside, single.inside) == (True, False, None)
    assert (INSIDE in inside.aside, INSIDE in outside.aside) == (True, False)
    assert "t-interval" in {note.mark: note.text for note in board.notes}[INSIDE]
    assert cell(board, OURS, "dscmr", IT).mean == pytest.approx(0.510)


@pytest.mark.parametrize(("published_at", "expected"), [(0.521 - 0.0243, True), (0.521 - 0.0258, False)])
def test_the_interval_has_its_width(published_at, expected):
    board = one(real("dscmr", published_at, **WIKI), "VI")
    assert cell(board, DIFFERENCE, "dscmr", IT).inside is expected


def test_published_numbers_keep_their_digits_and_have_no_rank():
    board = one(real("dscmr", 0.5, **WIKI), "lcm2")
    shown = {c.number for _, mean, c in numbers(board, PUBLISHED) if mean == 0.6}
    assert shown == {"0.60"}
    assert not any(c.rank for _, _, c in numbers(board, PUBLISHED))
    assert "best" in {c.rank for _, _, c in numbers(board, OURS)}
    assert cell(board, OURS, "dscmr", IT).number == "0.500"


def test_other_features_and_splits_are_marked_on_the_published_column():
    def heads(feature_set, n):
        table = run(
            "drcl", {IT: 0.5, TI: 0.5}, n_query=n, n_gallery=n, spec={"dataset": "wiki", "feature_set": feature_set}
        )
        board = one(table, "drcl3")
        return {c.heads[-1] for c in board.columns if c.kind == PUBLISHED and c.heads[0].startswith("Wiki")}, board

    assert heads("vgg-doc2vec", 462)[0] == {"published"}
    assert heads("vgg-doc2vec", 693)[0] == {"published ▽"}
    assert heads("sift-lda", 462)[0] == {"published △"}
    survey = one(run("dscmr", {IT: 0.5}, **WIKI), "VI")
    assert {c.heads[-1] for c in survey.columns if c.kind == PUBLISHED} == {"published"}, "it states neither"
    both, board = heads("sift-lda", 693)
    assert both == {"published △▽"}
    assert {"△", "▽"} <= {note.mark for note in board.notes}


def test_each_of_several_datasets_under_each_other_has_its_own_marks():
    ways = [f"{a}->{b}" for a, b in permutations(MEDIA, 2)]
    sizes = {"image": 4000, "text": 4000, "audio": 1000, "3d": 200, "video": 1000}
    other = run(
        "drcl",
        [record(way, 0.5, n_query=sizes[way.split("->")[0]]) for way in ways],
        spec={"dataset": "xmedianet", "feature_set": "clip"},
    )
    fewer = run("drcl", dict.fromkeys(ways, 0.5), spec={"dataset": "xmedia", "feature_set": "vgg-bow"})
    for table, marks in ((other, {"△"}), (results(fewer, other), {"△", "▽"})):
        board = one(table, "drcl2")
        heads = {group.title.partition(":")[0] for group in board.groups}
        assert "XMediaNet (clip) △" in heads
        assert ("XMedia (vgg-bow) ▽" in heads) == ("▽" in marks)
        assert marks == {note.mark for note in board.notes} & {"△", "▽"}
        assert not any(mark in column.name for column in board.columns for mark in "△▽")


def test_average_of_ours_is_taken_for_each_seed_from_unrounded_parts():
    table = results(run("dscmr", {IT: 0.1234, TI: 0.2}, **WIKI), run("dscmr", {IT: 0.5, TI: 0.7}, seed=1, **WIKI))
    board = one(table, "drcl3")
    (average,) = [c for (m, d, x, _, _), _, c in numbers(board, OURS) if (m, x) == ("dscmr", "wiki") and len(d) == 2]
    assert average.mean == pytest.approx((0.1617 + 0.6) / 2)
    assert any("half up" in value for _, value in board.facts)


def test_times_have_no_difference_and_name_the_machine():
    info = {"title": "BATCH", "category": "supervised_hash", "output": "hash"}
    board = one(run("batch", {IT: 0.5}, info=info, spec={"bits": 128, "dataset": "nuswide"}), "IX")
    assert {column.kind for column in board.columns} == {PUBLISHED, OURS}
    (train,) = [c for (m, d, x, _, _), _, c in numbers(board, OURS) if (m, d, x) == ("batch", {"train"}, "nuswide")]
    assert train.number == "1.50"
    assert {
        c.number for (m, d, x, _, _), _, c in numbers(board, PUBLISHED) if (m, x, d) == ("cirh", "mirflickr", {"train"})
    } == {"107.597"}


def test_without_results_there_is_nothing_but_the_published_numbers():
    assert named_tables(concat([]), "VI", Wish()) == {}
    board = one(concat([]), "VI")
    assert {c.mean for _, _, c in numbers(board, OURS)} == {None}
    assert "Chance" not in {row.title for row in board.rows}
