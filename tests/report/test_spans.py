"""The span of ties on a leaderboard: shown on request, from the same run, and never in the way."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pyarrow as pa
import pytest
from report_tables import IT, TI, hash_run, record, row, run, table

from cmrbench.core.runs import SPAN
from cmrbench.report import FORMATS, leaderboards, render
from cmrbench.report.model import NO_SPAN, Leaderboard, Span

LOW, HIGH = "mAP@all[pessimistic]", "mAP@all[optimistic]"


def spanned(value: float, low: float, high: float, *directions: str, **changes: Any) -> list[Any]:
    made = []
    for direction in directions or (IT,):
        for metric, number, flags in (("mAP@all", value, ()), (LOW, low, (SPAN,)), (HIGH, high, (SPAN,))):
            made.append(record(direction, number, metric=metric, flags=flags, retrieval="hamming", **changes))
    return made


def scm(records: list[Any], seed: int = 0, **changes: Any) -> pa.Table:
    return run("scm", records, seed=seed, spec={"bits": 16}, **changes)


def only(results: pa.Table, **options: Any) -> Leaderboard:
    (board,) = leaderboards(results, **options)
    return board


def test_the_span_is_shown_on_request_only() -> None:
    results = scm(spanned(0.512, 0.498, 0.527))
    asked = row(only(results, spans=True), "SCM").cells[0]
    assert asked.span == Span(0.498, 0.527)
    assert f"{asked.number} {asked.ends}" == "0.512 (0.498..0.527)"
    silent = row(only(results), "SCM").cells[0]
    assert silent.span is None
    assert silent.ends == ""
    for format in FORMATS:
        assert "0.498" in render(leaderboards(results, spans=True), format)
        assert "0.498" not in render(leaderboards(results), format)


def test_all_metrics_are_those_of_the_protocol() -> None:
    results = scm([*spanned(0.5, 0.4, 0.6), record(IT, 0.7, metric="mAP@50", retrieval="hamming")])
    assert [b.key.metric for b in leaderboards(results, all_metrics=True)] == ["mAP@all", "mAP@50"]
    named = only(results, metric=HIGH)
    assert row(named, "SCM").cells[0].mean == 0.6
    assert row(named, "SCM").flags == ()
    assert not named.notes, "no footnote about a flag that only says where the record came from"


def test_the_span_is_averaged_over_seeds_like_the_number() -> None:
    results = table(scm(spanned(0.5, 0.4, 0.6)), scm(spanned(0.7, 0.5, 0.9), seed=1))
    cell = row(only(results, spans=True), "SCM").cells[0]
    assert cell.span is not None
    assert (cell.span.pessimistic, cell.span.optimistic) == pytest.approx((0.45, 0.75))
    assert cell.aside.startswith("±")


def test_the_span_is_averaged_over_directions_like_the_number() -> None:
    directions = [f"{a}->{b}" for a in "xyz" for b in "xyz" if a != b]
    records = [r for i, d in enumerate(directions) for r in spanned(0.5, i / 100, 0.9, d)]
    cell = row(only(scm(records), spans=True), "SCM").cells[-1]
    assert cell.span is not None
    assert cell.span.pessimistic == pytest.approx(0.025)


def test_a_number_without_its_span_says_so() -> None:
    results = table(scm(spanned(0.5, 0.4, 0.6)), hash_run("batch", 16, {IT: 0.6}))
    board = only(results, spans=True)
    assert row(board, "SCM").cells[0].ends == "(0.400..0.600)"
    assert row(board, "BATCH").cells[0].ends == NO_SPAN
    assert any(note.mark == NO_SPAN for note in board.notes)
    lines = list(csv.DictReader(io.StringIO(render([board], "csv"))))
    assert "no span" in next(line for line in lines if line["method"] == "batch")["note"]
    assert not next(line for line in lines if line["method"] == "scm")["note"]
    assert not any(note.mark == NO_SPAN for note in only(results).notes)


def test_a_span_of_some_seeds_is_none_of_the_mean() -> None:
    results = table(scm(spanned(0.5, 0.4, 0.6)), scm([record(IT, 0.7, retrieval="hamming")], seed=1))
    assert row(only(results, spans=True), "SCM").cells[0].ends == NO_SPAN


def test_a_span_of_an_older_run_is_not_put_on_a_newer_number() -> None:
    old = scm(spanned(0.5, 0.4, 0.6), created="2026-01-01T00:00:00+00:00", key="-old")
    new = scm([record(IT, 0.7, retrieval="hamming")], created="2026-02-01T00:00:00+00:00", key="-new")
    cell = row(only(table(old, new), spans=True), "SCM").cells[0]
    assert (cell.mean, cell.ends) == (0.7, NO_SPAN)


def test_where_the_orders_are_no_bounds_the_leaderboard_says_so() -> None:
    cut = record(IT, 0.7, metric="mAP@50", retrieval="hamming")
    ends = [record(IT, 0.7, metric=f"mAP@50[{t}]", retrieval="hamming") for t in ("pessimistic", "optimistic")]
    board = only(scm([cut, *ends]), metric="mAP@50", spans=True)
    assert "no bounds" in dict(board.facts)["span of ties"]
    assert row(board, "SCM").cells[0].ends == ""


def test_real_valued_leaderboards_say_that_spans_are_of_codes() -> None:
    board = only(run("cca", {IT: 0.5, TI: 0.4}), spans=True)
    assert "hash codes only" in dict(board.facts)["span of ties"]
    assert all(not cell.ends for line in board.rows for cell in line.cells)


def test_json_names_both_ends() -> None:
    told = json.loads(render(leaderboards(scm(spanned(0.5, 0.4, 0.6)), spans=True), "json"))
    cells = told["leaderboards"][0]["cells"]
    assert [(c["pessimistic"], c["optimistic"]) for c in cells] == [(None, None), (0.4, 0.6)]


def test_chance_has_no_span() -> None:
    results = table(scm(spanned(0.5, 0.4, 0.6)), run("random", spanned(0.1, 0.0, 0.9), spec={"bits": 16}, info=CODES))
    assert row(only(results, spans=True), "Chance").cells[0].ends == ""


CODES = {"title": "Random", "category": "baseline", "output": "hash"}


# Ranks: smaller is better


@pytest.mark.parametrize("metric", ["MedR", "MeanR", "MedR[stable]"])
def test_the_smallest_rank_is_the_best(metric: str) -> None:
    results = table(*(run(m, {IT: v}, metric=metric) for m, v in (("cca", 12.0), ("kcca", 3.0), ("lcm", 150.0))))
    board = only(results)
    assert {r.title: r.cells[0].rank for r in board.rows if r.ranked} == {"KCCA": "best", "CCA": "second", "LCM": ""}
    assert "smaller is better" in dict(board.facts)["metric"]


def test_other_metrics_and_unknown_names_are_better_larger() -> None:
    for metric in ("R@10", "MedRank of another version"):
        board = only(table(run("cca", {IT: 12.0}, metric=metric), run("kcca", {IT: 3.0}, metric=metric)))
        assert row(board, "CCA").cells[0].rank == "best"
        assert "smaller" not in dict(board.facts)["metric"]
