"""Methods against each other: names, what is compared, what is said where it cannot be, and the command."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from report_tables import IT, TI, record, run, table
from test_ranking import EASE, QUERIES, Runs, noisy, scored
from typer.testing import CliRunner

from cmrbench.cli import app
from cmrbench.core.errors import CmrbenchError, UnknownNameError, UsageError
from cmrbench.report import leaderboards
from cmrbench.report.comparing import Comparison, Scope, compare, critical_differences
from cmrbench.report.contenders import Contender, chosen
from cmrbench.statistics.multiple import holm
from cmrbench.statistics.paired import paired_test
from cmrbench.store.store import Store

LCM = Contender("lcm")
KNOWN = [
    LCM,
    Contender("lcm", retrieval="2sknn"),
    Contender("seph"),
    Contender("seph", params="anchors=random"),
    Contender("drcl", preset="quick"),
    Contender("kcca", preset="quick", params="k=5,64-d", retrieval="euclidean"),
    Contender("kcca", preset="paper"),
]


def compared(store: Runs, *names: str, **scope: Any) -> Comparison:
    return compare(store.table(), store, names, Scope(**scope))


def on(dataset: str, method: str, values: np.ndarray, **spec: Any) -> pa.Table:
    listed = record(IT, float(values.mean()), per_query=tuple(values.tolist()))
    return run(method, [listed], spec={"dataset": dataset} | spec)


# Names


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("lcm", 0),
        ("LCM+2sknn", 1),
        ("lcm + 2sknn", 1),
        ("seph", 2),
        ("seph[anchors=random]", 3),
        ("drcl", 4),
        ("drcl(quick)", 4),
        ("kcca(quick)", 5),
        ("kcca+euclidean", 5),
        ("kcca[k=5,64-d]", 5),
    ],
)
def test_a_name_stands_for_itself_or_for_the_only_thing_that_it_fits(text: str, index: int) -> None:
    assert chosen([text, "lcm" if index else "seph"], KNOWN)[0] == KNOWN[index]


def test_every_full_name_is_understood() -> None:
    assert chosen([str(c) for c in KNOWN], KNOWN) == KNOWN


def test_a_name_that_fits_several_is_refused_with_all_of_them() -> None:
    with pytest.raises(UsageError, match=r"'kcca' could be kcca\(paper\) or kcca\(quick\)\[k=5,64-d\]\+euclidean"):
        chosen(["kcca", "lcm"], KNOWN)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["lmc", "seph"], "did you mean lcm"),
        (["drcl(paper)", "lcm"], r"hold no drcl\(paper\); of drcl they hold drcl\(quick\)"),
        (["drcl", "drcl(quick)"], "a second time"),
        (["lcm(", "seph"], "no name of a method"),
    ],
)
def test_wrong_names_are_explained(names: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        chosen(names, KNOWN)


def test_names_of_rows_tell_preset_parameters_dimension_and_strategy() -> None:
    asked = {"preset": "quick", "params": (("k", 5),), "dim": 64}
    store = Runs(
        run("lcm", [record(IT, 0.5, retrieval="2sknn")], spec=asked),
        run("lcm", [record(IT, 0.5)], spec={"preset": "emoji"}),
        run("cca", {IT: 0.5}),
    )
    with pytest.raises(
        UsageError, match=r"'lcm\[k=6\]|hold no lcm\[k=6\]; of lcm they hold lcm, lcm\(quick\)\[k=5,64-d\]\+2sknn"
    ):
        compared(store, "lcm[k=6]", "cca")


# What is compared


def test_effect_interval_tests_and_queries_are_those_of_the_paired_test() -> None:
    a = [noisy(0.05, s) for s in range(3)]
    b = [noisy(0.0, s + 10) for s in range(4)]
    b[0][5] -= 3.0
    store = Runs(*(scored("lcm", v, s) for s, v in enumerate(a)), *(scored("cca", v, s) for s, v in enumerate(b)))
    found = compared(store, "lcm", "cca", changed=2)
    (duel,) = found.duels
    assert duel.test == paired_test(np.stack(a), np.stack(b))
    assert duel.means == pytest.approx((np.mean(a), np.mean(b)))
    assert duel.seeds == (3, 4)
    assert (duel.p_queries, duel.p_seeds) == (duel.test.over_queries.p, duel.test.over_seeds.p)  # type: ignore[union-attr]
    difference = np.mean(a, 0) - np.mean(b, 0)
    assert [q.position for q in duel.changed] == np.argsort(-np.abs(difference))[:2].tolist()
    assert duel.changed[0].position == 5
    assert duel.changed[0].first - duel.changed[0].second == pytest.approx(difference[5])
    assert duel.changed[0].modality == "image"
    assert found.standings == found.diagrams == found.notes == ()


def test_directions_code_lengths_and_protocols_can_be_chosen() -> None:
    runs = []
    for method in ("scm", "batch"):
        for bits in (16, 32):
            listed = []
            for protocol in ("one", "two"):
                for direction in (IT, TI):
                    v = noisy(0.1, bits + len(listed))
                    changes = {"protocol": protocol, "protocol_fingerprint": protocol * 5, "retrieval": "hamming"}
                    listed.append(record(direction, float(v.mean()), per_query=tuple(v.tolist()), **changes))
            runs.append(run(method, listed, spec={"bits": bits}))
    store = Runs(*runs)
    assert len(compared(store, "scm", "batch").duels) == 8
    (duel,) = compared(store, "scm", "batch", bits=(32,), protocol="two", direction="image->text").duels
    assert (duel.key.protocol, duel.column.bits, duel.column.directions) == ("two", 32, (IT,))
    for wrong in ({"bits": (64,)}, {"protocol": "three"}, {"direction": "image->audio"}, {"datasets": ("wiki",)}):
        with pytest.raises(UnknownNameError):
            compared(store, "scm", "batch", **wrong)


def test_three_methods_get_letters_that_agree_with_the_pairwise_tests() -> None:
    store = Runs(
        *(
            scored(m, noisy(x, i))
            for i, (m, x) in enumerate((("lcm", 0.1), ("drcl", 0.099), ("cca", 0.0), ("kcca", 0.003)))
        )
    )
    found = compared(store, "cca", "kcca", "lcm", "drcl")
    (standing,) = found.standings
    assert [str(c) for c in standing.contenders] == ["lcm", "drcl", "kcca", "cca"]
    assert standing.letters == ("a", "a", "b", "b")
    assert len(found.duels) == 6
    for i, j in np.ndindex(4, 4):
        assert bool(set(standing.letters[i]) & set(standing.letters[j])) == (standing.p[i][j] > 0.05)


def test_groups_go_by_one_correction_over_both_kinds_of_tests() -> None:
    several = [
        scored(m, noisy(x, 10 * i + s), s) for i, (m, x) in enumerate((("lcm", 0.01), ("cca", 0.0))) for s in range(3)
    ]
    store = Runs(*several, scored("kcca", noisy(0.005, 50)))
    found = compared(store, "lcm", "cca", "kcca")
    raw = [(d.test.over_seeds or d.test.over_queries).p for d in found.duels]  # type: ignore[union-attr]
    assert [d.test.over_seeds is None for d in found.duels] == [False, True, True]
    assert [d.p for d in found.duels] == pytest.approx(holm(raw))
    assert [d.p_seeds for d in found.duels] == [raw[0], None, None]


def test_average_ranks_take_one_block_for_a_dataset() -> None:
    """Two feature sets of one dataset are one block; a method that misses one of them is left out and named."""
    runs = []
    for i, (method, shift) in enumerate((("lcm", 0.1), ("cca", 0.0), ("kcca", 0.05))):
        runs += [on("emoji", method, noisy(shift, i)), on("wiki", method, noisy(shift, i + 5))]
        if method != "kcca":
            runs.append(on("wiki", method, noisy(shift, i + 9), feature_set="clip"))
    (diagram,) = compared(Runs(*runs), "lcm", "cca", "kcca").diagrams
    assert diagram.datasets == ("emoji", "wiki")
    assert (diagram.names, diagram.average_ranks) == (("lcm", "cca"), (1.0, 2.0))
    assert diagram.left_out == (("kcca", ("wiki",)),)
    assert diagram.cliques == (("lcm", "cca"),), "two datasets cannot tell two methods apart"


def test_diagrams_of_tables_leave_out_what_is_not_ranked() -> None:
    runs = [on(d, m, noisy(s, 3)) for d in ("emoji", "wiki") for m, s in (("random", 0.3), ("lcm", 0.1), ("cca", 0.0))]
    boards = leaderboards(table(*runs))
    assert critical_differences(boards)[0].names == ("LCM", "CCA")
    assert critical_differences(boards, every_row=True)[0].names == ("Random", "LCM", "CCA")
    assert critical_differences(boards[:1]) == []


def test_variance_over_splits_of_one_dataset() -> None:
    runs = []
    for i, name in enumerate(("wiki", "wiki:drcl", "wiki+noise=0.4", "synthetic[n=9]")):
        runs += [on(name, "lcm", noisy(0.1 * i, i)), on(name, "cca", noisy(0.05 * i, i + 5))]
    found = compared(Runs(*runs), "lcm", "cca").splits
    assert [(s.names, str(s.contender)) for s in found] == [
        (("wiki", "wiki:drcl"), "lcm"),
        (("wiki", "wiki:drcl"), "cca"),
    ]
    means = [EASE.mean(), EASE.mean() + 0.1]
    assert found[0].mean == pytest.approx(np.mean(means))
    within = np.mean([np.var(noisy(0.1 * i, i), ddof=1) / QUERIES for i in range(2)]) / 2
    assert found[0].variance.splits == pytest.approx(np.var(means, ddof=1) / 2 - within)


# What cannot be compared


def test_nothing_in_common_is_said_with_where_each_is() -> None:
    store = Runs(on("emoji", "lcm", noisy(0.1, 1)), on("wiki", "cca", noisy(0.1, 2)))
    with pytest.raises(CmrbenchError, match=r"lcm is in emoji.*cca is in wiki"):
        compared(store, "lcm", "cca")


def test_missing_values_of_queries_are_said_once() -> None:
    store = Runs(run("lcm", {IT: 0.5, TI: 0.4}), run("cca", {IT: 0.5, TI: 0.4}))
    with pytest.raises(CmrbenchError, match="no values of single queries for mAP@all of lcm, cca") as error:
        compared(store, "lcm", "cca")
    assert str(error.value).count("lcm") == 1


def test_what_is_missing_in_some_columns_is_a_note() -> None:
    store = Runs(
        scored("lcm", noisy(0.1, 1)), scored("cca", noisy(0.0, 2)), scored("kcca", EASE[:50]), run("drcl", status="oom")
    )
    found = compared(store, "lcm", "cca", "kcca", "drcl")
    assert len(found.duels) == 1
    assert any("lcm has values for 120 queries, kcca for 50" in note for note in found.notes)
    assert any("drcl has no number (oom)" in note for note in found.notes)


# The command


@pytest.mark.parametrize("shown", [[1.0], [1.0, np.nan, np.nan]])
def test_fewer_than_two_queries_are_told_and_not_compared(shown: list[float]) -> None:
    def made(method: str, value: float) -> pa.Table:
        return run(method, [record(IT, value, per_query=tuple(value * x for x in shown))])

    with pytest.raises(CmrbenchError, match="fewer than two of the same queries"):
        compared(Runs(made("lcm", 0.5), made("cca", 0.4)), "lcm", "cca")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = Store(tmp_path / "results")
    hostile = "<script>alert(1)</script>\u202e|\x1b[31m"
    for made in (
        *(scored("lcm", noisy(0.1, s), s) for s in range(2)),
        *(scored("cca", noisy(0.0, s + 5), s) for s in range(2)),
        scored(hostile, noisy(0.05, 9)),
    ):
        store.write_table(made.column("run_key")[0].as_py(), made)
    return tmp_path / "results"


def called(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["compare", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("form", ["text", "md"])
def test_the_command_prints_what_a_reader_needs(folder: Path, form: str) -> None:
    said = called("lcm", "cca", "--results", str(folder), "--format", form)
    for part in ("lcm against cca", "Queries that changed most", "image query", "0.001", "Holm", f"queries: {QUERIES}"):
        assert part in said, part


def test_csv_and_json_are_complete_and_not_rounded(folder: Path) -> None:
    (line,) = csv.DictReader(io.StringIO(called("lcm,cca", "--results", str(folder), "--format", "csv")))
    assert float(line["effect"]) == pytest.approx(0.1, abs=1e-9)
    read = json.loads(called("lcm", "cca", "--results", str(folder), "--json", "--queries", "3"))
    (duel,) = read["comparisons"]
    assert duel["p_seeds"] == pytest.approx(float(line["p_seeds"]))
    assert len(duel["changed"]) == 3
    assert read["methods"] == ["lcm", "cca"]


@pytest.mark.parametrize("form", ["text", "md", "json", "csv"])
def test_hostile_names_are_harmless(folder: Path, form: str) -> None:
    said = called("lcm", "cca", "<script>alert(1)</script>\u202e|\x1b[31m", "--results", str(folder), "--format", form)
    assert "\u202e" not in said
    assert "\x1b" not in said
    if form == "md":
        assert "<script>" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lcm"], "two methods or more"),
        (["lcm", "nope"], "unknown method 'nope'"),
        (["lcm", "cca", "--format", "tex"], "unknown format"),
        (["lcm", "cca", "--bits", "x"], "whole numbers"),
        (["lcm,,cca"], "empty name"),
        (["lcm", "cca", "--json", "--format", "md"], "exclude each other"),
    ],
)
def test_wrong_requests_are_refused(folder: Path, arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["compare", *arguments, "--results", str(folder)])
    assert isinstance(done.exception, CmrbenchError)
    assert said in str(done.exception)


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["compare", "lcm", "cca", "--results", str(tmp_path)])
    assert "no results yet" in str(done.exception)
