"""What is bold: the best of a column and what a paired test cannot tell from it."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from report_tables import IT, TI, record, row, run, table

from cmrbench.core.hashing import digest
from cmrbench.report import leaderboards, named_tables, ranking, render
from cmrbench.report.model import Leaderboard
from cmrbench.report.queries import Place, Queries
from cmrbench.statistics.moderation import moderated
from cmrbench.statistics.multiple import holm
from cmrbench.statistics.paired import p_values, paired_test
from cmrbench.statistics.sample import Sample
from cmrbench.store.store import Store

EMOJI = (digest("emoji", 64), "default")
QUERIES = 120
RNG = np.random.default_rng(0)
EASE = RNG.beta(0.5, 1.0, QUERIES) * 0.8


class Runs:
    """A store that holds one table, and counts how often and for what it is asked."""

    def __init__(self, *runs: pa.Table) -> None:
        self.all = table(*runs)
        self.asked: list[list[str]] = []

    def table(
        self,
        columns: Sequence[str] | None = None,
        run_keys: Iterable[str] | None = None,
        where: pc.Expression | None = None,
    ) -> pa.Table:
        found = self.all
        if run_keys is not None:
            self.asked.append(list(run_keys))
            found = found.filter(pc.field("run_key").isin(self.asked[-1]))
        if where is not None:
            found = found.filter(where)
        return found.select(list(columns)) if columns else found


def scored(method: str, values: Any, seed: int = 0, direction: str = IT, **changes: Any) -> pa.Table:
    """A run with values of queries and the mean that belongs to them."""
    listed = np.asarray(values, dtype=float)
    made = record(direction, float(np.nanmean(listed)), per_query=tuple(listed.tolist()), **changes)
    return run(method, [made], seed=seed)


def noisy(shift: float, seed: int, spread: float = 0.05) -> np.ndarray:
    """Values around those of all methods, whose mean is `shift` above them."""
    noise = np.random.default_rng(seed).normal(0, spread, QUERIES)
    return EASE + shift + noise - noise.mean()


def ranked(store: Runs, **options: Any) -> Leaderboard:
    (board,) = ranking.tested(leaderboards(store.table(), **options), store)
    return board


def ranks(board: Leaderboard, column: int = 0) -> dict[str, str]:
    return {r.title: r.cells[column].rank for r in board.rows if r.cells[column].rank}


def rule(board: Leaderboard) -> str:
    return dict(board.facts)[ranking.RULE]


def test_a_row_that_the_test_cannot_tell_from_the_best_shares_its_rank() -> None:
    store = Runs(
        scored("lcm", noisy(0.1, 1)),
        scored("drcl", noisy(0.098, 2)),
        scored("cca", noisy(0.05, 3)),
        scored("kcca", noisy(0.0, 4)),
    )
    board = ranked(store)
    assert row(board, "LCM").cells[0].number != row(board, "DRCL").cells[0].number
    assert ranks(board) == {"LCM": "best", "DRCL": "best", "CCA": "second"}
    assert ranks(leaderboards(store.table())[0]) == {"LCM": "best", "DRCL": "second"}
    tied, apart = row(board, "DRCL").cells[0], row(board, "CCA").cells[0]
    assert tied.tied
    assert tied.p_best is not None
    assert tied.p_best > 0.05
    assert not apart.tied
    assert apart.p_best is not None
    assert apart.p_best < 0.05
    best = row(board, "LCM").cells[0]
    assert (best.tied, best.p_best) == (False, None)


def test_p_values_are_those_of_the_paired_test_adjusted_over_all_columns_of_the_table() -> None:
    values = {("lcm", IT): noisy(0.03, 1), ("drcl", IT): noisy(0.02, 2), ("cca", IT): noisy(0.015, 3)}
    values |= {("lcm", TI): noisy(0.02, 5), ("drcl", TI): noisy(0.028, 6), ("cca", TI): noisy(0.01, 7)}
    runs = []
    for method in ("lcm", "drcl", "cca"):
        listed = [(d, values[method, d]) for d in (IT, TI)]
        runs.append(run(method, [record(d, float(v.mean()), per_query=tuple(v.tolist())) for d, v in listed]))
    board = ranked(Runs(*runs))
    values |= {(m, "average"): (values[m, IT] + values[m, TI]) / 2 for m in ("lcm", "drcl", "cca")}
    compared = []
    for column in (IT, TI, "average"):
        best = max(("lcm", "drcl", "cca"), key=lambda m: values[m, column].mean())
        compared += [(m, column, best) for m in ("lcm", "drcl", "cca") if m != best]
    expected = holm([paired_test(values[m, c], values[b, c]).over_queries.p for m, c, b in compared])  # type: ignore[union-attr]
    at = {"image → text": IT, "text → image": TI, "average": "average"}
    found = {
        (r.method, at[column.heads[0]]): cell.p_best
        for r in board.rows
        for column, cell in zip(board.columns, r.cells, strict=True)
        if cell.p_best is not None
    }
    assert found == pytest.approx({(m, c): p for (m, c, _), p in zip(compared, expected, strict=True)})
    assert "6 comparisons" in rule(board)


def test_seeds_count_where_both_methods_have_them() -> None:
    """A difference that is sure for these models, and not for other seeds."""
    up, down = (0.10, -0.06, 0.08), (-0.08, 0.07, -0.04)
    store = Runs(
        *(scored("lcm", noisy(0.1 + up[s], s, 0.01), s) for s in range(3)),
        *(scored("drcl", noisy(0.08 + down[s], s + 9, 0.01), s) for s in range(3)),
    )
    board = ranked(store)
    assert ranks(board) == {"LCM": "best", "DRCL": "best"}
    assert "over queries and seeds" in rule(board)
    first = Runs(store.all.filter(pc.equal(store.all.column("seed"), 0)))
    assert ranks(ranked(first)) == {"LCM": "best", "DRCL": "second"}
    assert "over queries)" in rule(ranked(first))


@pytest.mark.parametrize("methods", [4, 5])
def test_variances_of_seeds_are_shared_by_five_methods_or_more(methods: int) -> None:
    """Two columns of four methods are eight numbers, and no eight methods."""
    runs, samples = [], []
    for i, name in enumerate(("lcm", "drcl", "dscmr", "clip4cmr", "kcca")[:methods]):
        values = [noisy(-0.02 * i + 0.004 * (i + 1) * moved, 10 * i + s) for s, moved in enumerate((-1.0, 0.3, 0.7))]
        runs += [
            run(name, [record(d, float(v.mean()), per_query=tuple(v.tolist())) for d in (IT, TI)], seed=s)
            for s, v in enumerate(values)
        ]
        samples.append(Sample.of(np.stack(values)))
    board = ranked(Runs(*runs))
    used = moderated(samples * 3)[:methods] if methods == 5 else samples
    expected = holm(p_values([(other, used[0]) for other in used[1:]] * 3)[0])
    found = [row(board, title).cells[0].p_best for title in ("DRCL", "dscmr", "clip4cmr", "KCCA")[: methods - 1]]
    assert found == pytest.approx(expected[: methods - 1].tolist())


def test_one_seed_of_a_deterministic_method_is_as_good_as_several() -> None:
    info = {"title": "CCA", "category": "unsupervised_real", "output": "real"}
    made = [scored("lcm", noisy(0.1, s), s) for s in range(3)]
    single = noisy(0.05, 7)
    listed = record(IT, float(single.mean()), per_query=tuple(single.tolist()))
    told = {}
    for declared in ({}, {"deterministic": "yes"}):
        board = ranked(Runs(*made, run("cca", [listed], info=info | declared)))
        told[bool(declared)] = rule(board)
    assert "over queries and seeds" in told[True]
    assert "over queries)" in told[False]


@pytest.mark.parametrize("lacking", ["lcm", "cca"])
def test_without_values_of_queries_the_printed_digits_decide(lacking: str) -> None:
    store = Runs(
        *(
            run(m, {IT: float(v.mean())}) if m == lacking else scored(m, v)
            for m, v in (("lcm", noisy(0.1, 1)), ("drcl", noisy(0.098, 2)), ("cca", noisy(0.05, 3)))
        )
    )
    board = ranked(store)
    if lacking == "lcm":
        assert ranks(board) == {"LCM": "best", "DRCL": "second"}
        assert "printed digits" in rule(board)
    else:
        assert ranks(board) == {"LCM": "best", "DRCL": "best", "CCA": "second"}
        assert "1 by printed digits" in rule(board)


def test_datasets_under_one_protocol_are_tested_each_by_its_own_values() -> None:
    def on(dataset: str, method: str, values: np.ndarray, feature_set: str = "default") -> pa.Table:
        made = record(IT, float(values.mean()), per_query=tuple(values.tolist()))
        return run(method, [made], spec={"dataset": dataset, "feature_set": feature_set})

    places = [("wiki", "default"), ("wiki", "clip"), ("pascal", "default")]
    runs = [
        on(d, m, noisy(0.1 * (m == "lcm") + 0.02 * i, 3 * i), f)
        for i, (d, f) in enumerate(places)
        for m in ("lcm", "drcl")
    ]
    store = Runs(*runs)
    (board,) = ranking.tested(named_tables(store.table(), "drcl3")["drcl3"], store)
    assert "Holm over 3 comparisons" in rule(board)
    assert "printed digits" not in rule(board)
    assert sum(cell.p_best is not None for r in board.rows for cell in r.cells) == 3


def test_values_of_other_queries_are_not_compared() -> None:
    short = noisy(0.1, 2)[:50]
    low = Runs(scored("lcm", noisy(0.1, 1)), scored("drcl", short - 0.2), scored("cca", noisy(0.05, 3)))
    board = ranked(low)
    assert row(board, "DRCL").cells[0].p_best is None
    assert row(board, "CCA").cells[0].p_best is not None
    assert "1 by printed digits" in rule(board)
    high = Runs(scored("lcm", noisy(0.1, 1)), scored("drcl", short + 0.5), scored("cca", noisy(0.1, 3)))
    assert "printed digits, as" in rule(ranked(high))


def test_values_that_do_not_make_the_printed_number_are_not_used() -> None:
    other = record(IT, 0.7, per_query=tuple(noisy(0.1, 2).tolist()))
    board = ranked(Runs(run("lcm", [other]), scored("drcl", noisy(0.1, 3)), scored("cca", noisy(0.1, 4))))
    assert "printed digits" in rule(board)
    assert row(board, "LCM").cells[0].rank == "best"


def test_queries_without_a_value_are_left_out_for_all() -> None:
    holed = noisy(0.1, 1)
    holed[:7] = math.nan
    store = Runs(scored("lcm", holed), scored("drcl", noisy(0.0, 2)))
    board = ranked(store)
    p = row(board, "DRCL").cells[0].p_best or row(board, "LCM").cells[0].p_best
    expected = paired_test(holed, noisy(0.0, 2)).over_queries
    assert expected is not None
    assert p == pytest.approx(expected.p)


def test_baselines_label_readers_and_failed_runs_are_not_compared() -> None:
    store = Runs(
        scored("random", noisy(0.3, 1)),
        scored("kcca", noisy(0.3, 2), flags=("label-reading",)),
        scored("lcm", noisy(0.1, 3)),
        scored("cca", noisy(0.0, 4)),
        run("drcl", status="timeout", cause="stopped"),
    )
    board = ranked(store)
    assert ranks(board) == {"LCM": "best", "CCA": "second"}
    assert "1 comparison," in rule(board)


@pytest.mark.parametrize("metric", ["MedR", "mAP@all"])
def test_the_smallest_rank_is_the_best(metric: str) -> None:
    store = Runs(
        *(scored(m, noisy(s, i), metric=metric) for i, (m, s) in enumerate((("lcm", 0.1), ("cca", 0.0), ("kcca", 0.2))))
    )
    best = "CCA" if metric == "MedR" else "KCCA"
    assert ranks(ranked(store))[best] == "best"
    assert list(ranks(ranked(store)).values()).count("best") == 1


def test_equal_printed_digits_never_get_two_ranks() -> None:
    """A difference that is certain and smaller than what is printed."""
    store = Runs(scored("lcm", EASE + 0.0001), scored("cca", EASE), scored("drcl", EASE - 0.2))
    board = ranked(store)
    assert row(board, "LCM").cells[0].number == row(board, "CCA").cells[0].number
    assert ranks(board) == {"LCM": "best", "CCA": "best", "DRCL": "second"}
    assert not row(board, "CCA").cells[0].tied


def test_directions_with_different_queries_stand_side_by_side() -> None:
    a = {IT: noisy(0.1, 1), TI: noisy(0.0, 2)[:40]}
    made = run("lcm", [record(d, float(v.mean()), per_query=tuple(v.tolist())) for d, v in a.items()])
    queries = Queries(Runs(made), made.column("run_key").to_pylist())
    place = Place(*EMOJI, "p" * 16, "function", "cosine", "mAP@all", None, (IT, TI))
    found = queries.get(made.column("run_key").to_pylist()[:1], place)
    assert found is not None
    assert found.values.shape == (1, QUERIES + 40)
    assert found.values.mean() == pytest.approx((a[IT].mean() + a[TI].mean()) / 2)
    assert found.queries[QUERIES] == ("text", 0)


def test_the_newest_run_of_a_seed_counts() -> None:
    made = []
    for day, shift in ((2, 0.2), (1, 0.0), (3, 0.1)):
        listed = [record(IT, shift, per_query=(shift, shift))]
        made.append(run("lcm", listed, created=f"2026-01-0{day}T00:00:00+00:00", key=str(day)))
    keys = [run_key for one in made for run_key in one.column("run_key").to_pylist()]
    place = Place(*EMOJI, "p" * 16, "function", "cosine", "mAP@all", None, (IT,))
    found = Queries(Runs(*made), keys).get(keys, place)
    assert found is not None
    assert found.values.tolist() == [[0.1, 0.1]]


def test_only_runs_that_are_ranked_are_read_a_few_hundred_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmrbench.report.ranking.AT_ONCE", 2)
    store = Runs(
        scored("random", noisy(0.3, 1)),
        *(scored(m, noisy(0.1, i)) for i, m in enumerate(("lcm", "cca", "kcca", "drcl"))),
    )
    boards = leaderboards(store.table())
    store.asked.clear()
    ranking.tested(boards, store)
    assert [len(keys) for keys in store.asked] == [2, 2]
    alone = Runs(scored("lcm", noisy(0.1, 1)))
    ranking.tested(leaderboards(alone.table()), alone)
    assert alone.asked == []


def test_seconds_and_other_figures_keep_their_ranks() -> None:
    store = Runs(
        scored("lcm", noisy(0.1, 1), metric="a metric of a plugin"),
        scored("cca", noisy(0.0, 2), metric="a metric of a plugin"),
    )
    boards = leaderboards(store.table(), metric="a metric of a plugin")
    assert ranking.tested(boards, store) == boards


def test_a_real_store_and_every_format_tell_the_rule(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for made in (scored("lcm", noisy(0.1, 1)), scored("drcl", noisy(0.1, 2)), scored("cca", noisy(0.0, 3))):
        store.write_table(made.column("run_key")[0].as_py(), made)
    boards = ranking.tested(leaderboards(store.table()), store)
    for form in ("md", "text", "html", "tex"):
        assert "Holm" in render(boards, form), form
    lines = list(csv.DictReader(io.StringIO(render(boards, "csv"))))
    assert [line["tied"] for line in lines if line["method"] == "cca"] == ["false"]
    assert sorted(line["tied"] for line in lines if line["method"] in ("lcm", "drcl")) == ["false", "true"]
    cells = json.loads(render(boards, "json"))["leaderboards"][0]["cells"]
    assert {c["method"]: c["p_best"] is not None for c in cells if c["method"] in ("lcm", "drcl", "cca")}["cca"]
    assert digest("emoji", 64) == boards[0].key.dataset_fingerprint
