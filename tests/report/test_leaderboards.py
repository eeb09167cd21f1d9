"""Leaderboards by hand: which tables there are, their columns, rows, means, ranks and notes."""

from __future__ import annotations

import math
import random

import numpy as np
import pyarrow as pa
import pytest
from report_tables import IT, TI, footnote, hash_run, record, row, run, table

from cmrbench.core.errors import UnknownNameError
from cmrbench.report import COLUMNS, leaderboards
from cmrbench.report.model import Leaderboard
from cmrbench.store.schema import concat


def only(results: pa.Table, **options: object) -> Leaderboard:
    (board,) = leaderboards(results, **options)  # type: ignore[arg-type]
    return board


def ranks(board: Leaderboard, column: int = 0) -> dict[str, str]:
    return {r.title: r.cells[column].rank for r in board.rows if r.cells[column].rank}


# Which tables there are


def test_no_results_no_tables() -> None:
    assert leaderboards(concat([])) == []


@pytest.mark.parametrize(
    "other",
    [
        run("kcca", {IT: 0.9}, spec={"dataset": "wiki"}),
        run("kcca", {IT: 0.9}, spec={"dataset_fingerprint": "e" * 64}),
        run("kcca", {IT: 0.9}, spec={"feature_set": "clip"}),
        run("kcca", {IT: 0.9}, protocol="fixed", protocol_fingerprint="q" * 16),
        run("kcca", {IT: 0.9}, protocol_fingerprint="q" * 16),
        run("kcca", {IT: 0.9}, gallery_codes="learned"),
        hash_run("scm", 16, {IT: 0.9}),
    ],
)
def test_what_was_not_measured_alike_is_not_in_one_table(other: pa.Table) -> None:
    boards = leaderboards(table(run("cca", {IT: 0.5}), other))
    assert len(boards) == 2
    assert len({board.title for board in boards}) == 2, "titles tell the tables apart"
    for board in boards:
        assert [c.rank for r in board.rows if r.ranked for c in r.cells] == ["best"]


def test_learned_and_function_codes_of_one_run_are_two_tables() -> None:
    records = [record(IT, 0.5, retrieval="hamming")]
    records += [record(IT, 0.9, retrieval="hamming", gallery_codes="learned", flags=("learned-codes",))]
    function, learned = leaderboards(run("batch", records, spec={"bits": 16}))
    assert (function.key.gallery_codes, learned.key.gallery_codes) == ("function", "learned")
    assert row(function, "BATCH").cells[0].number == "0.500"
    assert row(learned, "BATCH").cells[0].number == "0.900"
    assert row(learned, "BATCH").marks == ("‡",)
    assert "learned" in learned.title
    assert "learned" in footnote(learned, "‡")
    assert not function.notes


def test_headline_metric_one_metric_and_all_metrics() -> None:
    results = run("cca", [record(IT, 0.2, metric="mAP@50"), record(IT, 0.5), record(IT, 0.3, metric="P@1")])
    assert [b.key.metric for b in leaderboards(results)] == ["mAP@all"]
    assert [b.key.metric for b in leaderboards(results, metric="mAP@50")] == ["mAP@50"]
    assert [b.key.metric for b in leaderboards(results, all_metrics=True)] == ["mAP@all", "P@1", "mAP@50"]
    assert only(results, metric="mAP@50").groups[-1].rows[0].cells[0].mean == 0.2
    with pytest.raises(UnknownNameError, match="mAP@50"):
        leaderboards(results, metric="mAP@5")


def test_headline_of_a_protocol_without_map_all_is_its_first_metric() -> None:
    results = run("cca", [record(IT, 0.2, metric="mAP@50"), record(IT, 0.5, metric="P@1")])
    assert only(results).key.metric == "mAP@50"


def test_chosen_datasets() -> None:
    results = table(run("cca", {IT: 0.5}), run("cca", {IT: 0.5}, spec={"dataset": "wiki"}))
    assert only(results, datasets=["wiki"]).key.dataset == "wiki"
    with pytest.raises(UnknownNameError, match="wiki"):
        leaderboards(results, datasets=["wikki"])


def test_only_the_listed_columns_are_needed() -> None:
    results = run("cca", {IT: 0.5, TI: 0.4})
    assert leaderboards(results.select(list(COLUMNS))) == leaderboards(results)
    assert "per_query" not in COLUMNS


# Columns


def test_two_modalities_are_two_directions_and_their_average() -> None:
    board = only(run("cca", {IT: 0.5, TI: 0.25}))
    assert [c.name for c in board.columns] == ["image → text", "text → image", "average"]
    assert [c.mean for c in row(board, "CCA").cells] == [0.5, 0.25, 0.375]


def test_hash_tables_are_direction_by_bits_without_average() -> None:
    lengths = (128, 16, 64, 32)
    board = only(table(*(hash_run("scm", b, {IT: b / 1000, TI: b / 500}) for b in lengths)))
    assert [(c.heads, c.bits) for c in board.columns] == [
        ((task, f"{bits} bits"), bits) for task in ("image → text", "text → image") for bits in (16, 32, 64, 128)
    ]
    expected = [b / 1000 for b in sorted(lengths)] + [b / 500 for b in sorted(lengths)]
    assert [c.mean for c in row(board, "SCM").cells] == expected


def test_five_modalities_are_averages_by_query_modality() -> None:
    names = ["image", "text", "audio", "video", "3d"]
    rng = np.random.default_rng(3)
    values = {f"{a}->{b}": float(rng.random()) for a in names for b in names if a != b}
    board = only(run("drcl", values))
    assert [c.name for c in board.columns] == [*(f"{n} → all" for n in names), "average"]
    means = [np.mean([v for d, v in values.items() if d.startswith(f"{n}->")]) for n in names]
    cells = row(board, "DRCL").cells
    np.testing.assert_allclose([c.mean for c in cells], [*means, np.mean(list(values.values()))])
    assert "20 directions" in dict(board.facts)["columns"]
    assert [len(c.directions) for c in board.columns] == [4, 4, 4, 4, 4, 20]


def test_a_method_without_all_directions_has_no_average() -> None:
    board = only(table(run("cca", {IT: 0.5, TI: 0.4}), run("kcca", {IT: 0.9})))
    assert [c.number for c in row(board, "KCCA").cells] == ["0.900", "—", "—"]


# Means over seeds


def test_mean_and_sample_deviation_over_seeds() -> None:
    rng = np.random.default_rng(1)
    values = rng.random((5, 2))
    board = only(table(*(run("lcm", {IT: a, TI: b}, seed=s) for s, (a, b) in enumerate(values.tolist()))))
    cells = row(board, "LCM").cells
    for cell, column in zip(cells, [values[:, 0], values[:, 1], values.mean(1)], strict=True):
        assert cell.mean == pytest.approx(column.mean(), abs=1e-15)
        assert cell.std == pytest.approx(column.std(ddof=1), abs=1e-15)
        assert cell.seeds == 5
    assert dict(board.facts)["seeds a row"] == "5"


def test_one_seed_has_no_deviation() -> None:
    cell = row(only(run("lcm", {IT: 0.5})), "LCM").cells[0]
    assert (cell.std, cell.spread, cell.seeds) == (None, "", 1)


def test_two_seeds_by_hand() -> None:
    cell = row(only(table(run("lcm", {IT: 0.5}), run("lcm", {IT: 0.6}, seed=1))), "LCM").cells[0]
    assert (cell.number, cell.spread) == ("0.550", "±0.071")  # 0.1 / sqrt(2)


def test_partial_seeds_are_told() -> None:
    lost = run("lcm", seed=2, status="timeout", cause="stopped after 60 s")
    board = only(table(run("lcm", {IT: 0.5}), run("lcm", {IT: 0.6}, seed=1), lost))
    cell = row(board, "LCM").cells[0]
    assert cell.mean == pytest.approx(0.55)
    assert footnote(board, cell.note) == "2 of 3 seeds; seed 2 timeout: stopped after 60 s"


def test_a_seed_that_lacks_a_direction_is_told_in_the_average() -> None:
    board = only(table(run("lcm", {IT: 0.5, TI: 0.3}), run("lcm", {IT: 0.7}, seed=1)))
    first, second, average = row(board, "LCM").cells
    assert (first.seeds, first.note) == (2, 0)
    assert average.mean == pytest.approx(0.4)
    assert "1 of 2 seeds" in footnote(board, average.note)
    assert second.note == average.note


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1.7e308])
def test_numbers_that_no_run_has_are_shown_as_nan_and_never_best(value: float) -> None:
    forged = run("lcm", {IT: value, TI: -value}, chance=value, fit_s=value)
    more = run("lcm", {IT: value, TI: value}, seed=1, chance=value, fit_s=value)
    board = only(table(forged, more, run("cca", {IT: 0.1, TI: 0.1})))
    assert {cell.word for cell in row(board, "LCM").cells} == {"NaN"}
    assert row(board, "LCM").fit_seconds is None
    assert ranks(board) == {"CCA": "best"}


def test_nan_is_shown_and_never_best() -> None:
    board = only(table(run("lcm", {IT: math.nan}), run("lcm", {IT: 0.9}, seed=1), run("cca", {IT: 0.1})))
    cell = row(board, "LCM").cells[0]
    assert cell.number == "NaN"
    assert "seed 0" in footnote(board, cell.note)
    assert ranks(board) == {"CCA": "best"}


# Ranks


def test_best_and_second() -> None:
    board = only(table(run("cca", {IT: 0.3, TI: 0.6}), run("kcca", {IT: 0.5, TI: 0.4}), run("lcm", {IT: 0.4, TI: 0.5})))
    assert ranks(board, 0) == {"KCCA": "best", "LCM": "second"}
    assert ranks(board, 1) == {"CCA": "best", "LCM": "second"}


def test_equal_printed_digits_share_a_rank() -> None:
    values = {"cca": 0.50012, "kcca": 0.49988, "lcm": 0.4996, "drcl": 0.49904, "other": 0.2}
    board = only(table(*(run(name, {IT: v}) for name, v in values.items())))
    assert {r.cells[0].number for r in board.rows if r.cells[0].rank == "best"} == {"0.500"}
    assert ranks(board) == {"CCA": "best", "KCCA": "best", "LCM": "best", "DRCL": "second"}


def test_label_reading_and_baselines_are_never_ranked() -> None:
    board = only(
        table(
            run("random", {IT: 0.95}),
            run("lcm", {IT: 0.5}),
            run("lcm", {IT: 0.99}, retrieval="2sknn", flags=("label-reading",), key="k"),
            run("cca", {IT: 0.2}),
        )
    )
    assert ranks(board) == {"LCM": "best", "CCA": "second"}
    assert row(board, "LCM + 2sknn").marks == ("†",)
    assert "labels" in footnote(board, "†")


def test_ranks_hold_for_random_tables() -> None:
    rng = random.Random(2)
    for _ in range(100):
        runs, comparable = [], []
        for i in range(rng.randint(1, 8)):
            value, kind = rng.randint(0, 20) / 20, rng.choice(["plain", "plain", "baseline", "labels"])
            info = {"title": f"M{i}", "category": "baseline" if kind == "baseline" else "supervised_real"}
            runs.append(run(f"m{i}", {IT: value}, info=info, flags=("label-reading",) if kind == "labels" else ()))
            if kind == "plain":
                comparable.append(value)
        board = only(table(*runs))
        shown = [(r.cells[0].mean, r.cells[0].rank) for r in board.rows]
        for rank, value in zip(("best", "second"), sorted(set(comparable), reverse=True), strict=False):
            assert [v for v, given in shown if given == rank] == [value] * comparable.count(value)
        assert sum(1 for _, given in shown if given) == sum(
            comparable.count(v) for v in sorted(set(comparable), reverse=True)[:2]
        )


# Rows


def test_categories_in_the_order_of_the_survey_and_rows_by_year() -> None:
    board = only(table(*(run(m, {IT: 0.5}) for m in ("lcm", "drcl", "kcca", "random", "cca"))))
    assert [g.title for g in board.groups] == ["Baselines", "Unsupervised real-valued", "Supervised real-valued"]
    assert [r.title for r in board.rows] == ["Chance", "Random", "KCCA", "CCA", "DRCL", "LCM"]


def test_chance_is_always_there_and_never_ranked() -> None:
    board = only(run("cca", [record(IT, 0.05, chance=0.2), record(TI, 0.05, chance=0.3)]))
    chance = row(board, "Chance")
    assert [c.number for c in chance.cells] == ["0.200", "0.300", "0.250"]
    assert all(not c.rank for c in chance.cells)


def test_records_that_disagree_on_chance_are_told() -> None:
    board = only(table(run("cca", {IT: 0.5}), run("kcca", {IT: 0.5}, chance=0.2)))
    assert "0.100000 to 0.200000" in footnote(board, row(board, "Chance").cells[0].note)


def test_settings_are_rows_of_their_own_and_written_out() -> None:
    board = only(
        table(
            run("lcm", {IT: 0.5}),
            run("lcm", {IT: 0.6}, spec={"params": (("alpha", 0.5), ("k", 100))}),
            run("lcm", {IT: 0.7}, spec={"preset": "quick"}),
            run("lcm", {IT: 0.8}, spec={"dim": 64}),
            run("lcm", {IT: 0.4}, retrieval="euclidean", key="e"),
        )
    )
    titles = {r.title: r.cells[0].mean for r in board.rows if r.method}
    assert titles == {
        "LCM": 0.5,
        "LCM alpha=0.5 k=100": 0.6,
        "LCM (quick)": 0.7,
        "LCM 64-d": 0.8,
        "LCM, euclidean": 0.4,
    }
    assert "not the setting" in footnote(board, "(quick)")


def test_two_methods_with_one_title_are_told_apart() -> None:
    board = only(table(run("lcm", {IT: 0.5}), run("mine", {IT: 0.6}, info={"title": "LCM"})))
    assert {r.title for r in board.rows if r.method} == {"LCM [lcm]", "LCM [mine]"}


def test_fit_seconds_and_memory_are_those_of_the_longest_code() -> None:
    runs = [hash_run("scm", b, {IT: 0.5}, seed=s, fit_s=b + s) for b in (16, 128) for s in (0, 1)]
    found = row(only(table(*runs)), "SCM")
    assert found.fit_seconds == 128.5
    assert found.peak == "200"


# Failures


@pytest.mark.parametrize("status", ["failed", "timeout", "oom", "killed", "declined"])
def test_every_run_that_did_not_finish_is_a_row_with_its_cause(status: str) -> None:
    board = only(table(run("cca", {IT: 0.5, TI: 0.4}), run("lcm", status=status, cause="because")))
    cells = row(board, "LCM").cells
    assert {c.number for c in cells} == {status}
    assert {footnote(board, c.note) for c in cells} == {f"{status}: because"}


def test_a_failure_is_a_row_of_every_table_it_would_have_been_in() -> None:
    boards = leaderboards(
        table(
            run("cca", [record(IT, 0.5), record(IT, 0.5, protocol="fixed", protocol_fingerprint="q")]),
            run("cca", {IT: 0.5}, spec={"dataset": "wiki"}),
            hash_run("scm", 16, {IT: 0.5}),
            run("lcm", status="failed", cause="x"),
        )
    )
    having = {(b.key.dataset, b.key.protocol, b.key.output) for b in boards if any(r.title == "LCM" for r in b.rows)}
    assert having == {("emoji", "all-test", "real"), ("emoji", "fixed", "real")}


def test_a_failure_at_one_code_length_is_one_cell() -> None:
    broken = run("scm", spec={"bits": 32}, status="oom", cause="over 8 GiB")
    board = only(table(hash_run("scm", 16, {IT: 0.5, TI: 0.4}), broken))
    assert [c.number for c in row(board, "SCM").cells] == ["0.500", "oom", "0.400", "oom"]


def test_a_failure_is_missing_from_each_retrieval_strategy_of_its_method() -> None:
    both = [record(IT, 0.5), record(IT, 0.8, retrieval="2sknn", flags=("label-reading",))]
    board = only(table(run("lcm", both), run("lcm", both, seed=1), run("lcm", seed=2, status="killed", cause="9")))
    assert [footnote(board, row(board, t).cells[0].note)[:12] for t in ("LCM", "LCM + 2sknn")] == ["2 of 3 seeds"] * 2


def test_only_failures_make_a_table_too() -> None:
    results = table(run("lcm", status="failed", cause="x"), run("scm", spec={"bits": 16}, status="failed", cause="y"))
    real, hashing = leaderboards(results)
    assert row(real, "LCM").cells[0].number == "failed"
    assert row(hashing, "SCM").cells[0].number == "failed"
    assert row(real, "Chance").cells[0].number == "—"


def test_seeds_with_different_causes() -> None:
    runs = [run("lcm", seed=s, status="failed", cause="x") for s in (0, 1)]
    board = only(table(*runs, run("lcm", seed=2, status="timeout", cause="y"), run("cca", {IT: 0.5})))
    cell = row(board, "LCM").cells[0]
    assert cell.number == "failed"
    assert footnote(board, cell.note) == "failed: x (seeds 0, 1); timeout: y (seed 2)"


def test_a_finished_run_without_numbers_is_no_gap() -> None:
    board = only(table(run("cca", {IT: 0.5}), run("lcm", {})))
    assert row(board, "LCM").cells[0].number == "failed"
    assert "without a number" in footnote(board, row(board, "LCM").cells[0].note)


# Which results stand


def test_the_newest_run_of_a_question_wins() -> None:
    old = run("cca", {IT: 0.9}, key="old")
    new = run("cca", {IT: 0.1}, key="new", created="2026-02-01T00:00:00+00:00")
    for results in (table(old, new), table(new, old)):
        assert [c.mean for c in row(only(results), "CCA").cells] == [0.1]


def test_a_newer_run_of_another_strategy_adds_a_row() -> None:
    old = run("lcm", {IT: 0.5}, key="old")
    new = run("lcm", {IT: 0.8}, key="new", created="2026-02-01T00:00:00+00:00", retrieval="2sknn")
    assert {r.title for r in only(table(old, new)).rows if r.method} == {"LCM", "LCM + 2sknn"}


def test_a_newer_failure_replaces_an_older_result_and_the_reverse() -> None:
    done = run("cca", {IT: 0.9}, key="a")
    broken = run("cca", status="failed", cause="x", key="b", created="2026-02-01T00:00:00+00:00")
    mended = run("cca", {IT: 0.7}, key="c", created="2026-03-01T00:00:00+00:00")
    assert row(only(table(done, broken)), "CCA").cells[0].number == "failed"
    assert row(only(table(done, broken, mended)), "CCA").cells[0].number == "0.700"


def test_the_order_of_the_files_changes_nothing() -> None:
    rng = random.Random(0)
    runs = [run(m, {IT: rng.random(), TI: rng.random()}, seed=s) for m in ("cca", "lcm", "drcl") for s in range(3)]
    runs += [hash_run("scm", b, {IT: 0.5, TI: 0.4}) for b in (16, 32)] + [run("kcca", status="failed", cause="x")]
    expected = leaderboards(table(*runs))
    for _ in range(10):
        rng.shuffle(runs)
        assert leaderboards(table(*runs)) == expected
