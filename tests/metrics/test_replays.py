"""Replays against loops that add, divide and round in the order that the released code does, bit for bit."""

from __future__ import annotations

import dataclasses
import doctest
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.metrics import evaluate, from_labels, given, hamming
from cmrbench.metrics.replays import REPLAYS, replay

PAGE = Path(__file__).parents[2] / "docs" / "replays.md"

CUTS = {"fast_pr_map": (None, 1, 7, 40), "ucch": (None, 1, 7, 400), "torchcmh_map_k": (None, 1, 7, 400)}
CUTS["calculate_top_map"] = (None, 1, 7, 400)


def matlab_perf_metric(rankings: list[list[int]], counted: int) -> float:
    """`perf_metric4Label`: AP by one sum and one division; `counted` is where its counter of queries starts."""
    total = 0.0
    for found in rankings:
        ranks = [rank for rank, relevant in enumerate(found, 1) if relevant]
        if not ranks:
            continue
        counted += 1
        ap = 0.0
        for j, rank in enumerate(ranks, 1):
            ap += j / rank
        total += ap / len(ranks)
    return total / counted if counted else math.nan


def matlab_cut(rankings: list[list[int]], R: int) -> float:
    """`mAP.m` and `mAP_multi.m`: precision at every rank up to R, times whether it is a hit."""
    aps = []
    for found in rankings:
        hits, added = 0, 0.0
        for r in range(1, R + 1):
            hits += found[r - 1]
            added += (hits / r) * found[r - 1]
        aps.append(added / hits if hits else 0.0)
    total = 0.0
    for ap in aps:
        total += ap
    return total / len(aps)


def matlab_curve(rankings: list[list[int]], at: int) -> float:
    """`fast_PR_MAP`: a running sum of precisions over a running count, at every rank; here read at one."""
    curve, counted = [0.0] * len(rankings[0]), 0
    for found in rankings:
        if sum(found) == 0:
            continue
        counted += 1
        hits, added = 0, 0.0
        for j in range(1, len(found) + 1):
            if found[j - 1]:
                hits += 1
                added += hits / j
            if hits:
                curve[j - 1] += added / hits
    return curve[at - 1] / counted if counted else math.nan


def numpy_loop(rankings: list[list[int]], k: int | None) -> float:
    """`calc_map` and `calculate_top_map`: a row of precisions and its mean, over all queries."""
    total = 0.0
    for found in rankings:
        top = np.array(found, dtype=np.float32)[0:k]
        if top.sum() == 0:
            continue
        count = np.linspace(1, top.sum(), int(top.sum()))
        rank = np.asarray(np.where(top == 1)) + 1.0
        total = total + np.mean(count / rank)
    return float(total / len(rankings))


def ucch(rankings: list[list[int]], k: int | None) -> float:
    """Mean over queries with a hit; hits and precisions at all ranks in one inner product."""
    aps = []
    for found in rankings:
        top = np.array(found[:k]) > 0
        if top.sum() > 0:
            precision = top.cumsum() / np.arange(1.0, len(top) + 1)
            aps.append(np.dot(top, precision) / float(top.sum()))
    return float(np.mean(aps)) if aps else math.nan


def torchcmh(rankings: list[list[int]], k: int | None) -> float:
    """Tensors of float32 throughout; k limits how many relevant items are looked at, not how far down."""
    import torch

    total = 0
    for found in rankings:
        gnd = torch.tensor(found, dtype=torch.float32)
        if torch.sum(gnd) == 0:
            continue
        wanted = min(len(found) if k is None else k, int(torch.sum(gnd)))
        count = torch.arange(1, wanted + 1).type(torch.float32)
        rank = torch.nonzero(gnd)[:wanted].squeeze().type(torch.float32) + 1.0
        total = total + torch.mean(count / rank)
    return float(total / len(rankings))


def plain(name: str, rankings: list[list[int]], k: int | None) -> float:
    """What the released code behind a replay returns for given rankings."""
    if name in ("n_plus_10", "perf_metric4label"):
        return matlab_perf_metric(rankings, 10 if name == "n_plus_10" else 0)
    if name in ("lssh", "stmh", "fsh"):
        return matlab_cut(rankings, {"lssh": 50, "stmh": 100, "fsh": 100}[name])
    if name == "fast_pr_map":
        return matlab_curve(rankings, k or len(rankings[0]))
    if name == "ucch":
        return ucch(rankings, k)
    if name == "torchcmh_map_k":
        return torchcmh(rankings, k)
    fixed = {"calc_map": None, "survey_50": 50, "survey_500": 500, "calculate_top_map": k or 50}
    return numpy_loop(rankings, fixed[name])


def ranked(scores: np.ndarray, relevant: np.ndarray) -> list[list[int]]:
    """Relevance from the top down, ties in gallery order."""
    return [
        [int(row[i]) for i in sorted(range(len(row)), key=lambda i, s=score: -s[i])]
        for score, row in zip(scores.tolist(), relevant, strict=True)
    ]


def cases() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Scores, query labels and gallery labels; some queries have no relevant item, some every item."""
    rng = np.random.default_rng(0)
    for n_query, n, rate, tied in (
        (7, 150, 0.3, False),
        (23, 120, 0.05, True),
        (1, 100, 0.5, False),
        (40, 600, 0.4, True),
        (300, 110, 0.3, False),
    ):
        scores = (
            rng.integers(-3, 4, (n_query, n)) if tied else rng.permuted(np.tile(np.arange(n), (n_query, 1)), axis=1)
        )
        query, gallery = rng.random((n_query, 6)) < rate, rng.random((n, 6)) < rate
        query[: n_query // 5] = False
        yield scores / 7, query, gallery
    yield scores / 7, np.zeros_like(query), gallery  # nothing is relevant to anything
    yield scores / 7, np.ones_like(query), np.ones_like(gallery)  # everything is


CASES = list(cases())


@pytest.mark.parametrize("name", REPLAYS)
def test_every_bit_of_the_released_arithmetic(name):
    for scores, query, gallery in CASES:
        relevant = query.astype(int) @ gallery.T.astype(int) > 0
        rankings = ranked(scores, relevant)
        for k in CUTS.get(name, (None,)):
            result = replay(name, given(scores), from_labels(query, gallery), k)
            np.testing.assert_equal(result.value, plain(name, rankings, k))  # bit for bit; NaN where that is NaN
            if not REPLAYS[name].surplus:
                singly = [plain(name, [found], k) for found in rankings]
                np.testing.assert_array_equal(result.per_query, singly)


@pytest.mark.parametrize("name", [name for name, r in REPLAYS.items() if r.cut is None])
def test_long_rankings_take_another_path_through_every_summation(name):
    rng = np.random.default_rng(1)
    scores = rng.permuted(np.tile(np.arange(30_000.0), (3, 1)), axis=1)
    query, gallery = np.array([0, 1, 2]), rng.choice(3, 30_000, p=[0.7, 0.29, 0.01])
    result = replay(name, given(scores), from_labels(query, gallery))
    assert result.value == plain(name, ranked(scores, query[:, None] == gallery), None)
    assert result.undecided == 0


@pytest.mark.parametrize("name", REPLAYS)
def test_a_block_holds_any_number_of_queries(name):
    scores, query, gallery = CASES[3]
    args = name, given(scores), from_labels(query, gallery)
    whole, single = replay(*args), replay(*args, block_bytes=1)
    assert (whole.value, whole.divisor, whole.undecided) == (single.value, single.divisor, single.undecided)
    np.testing.assert_array_equal(whole.per_query, single.per_query)


@pytest.mark.parametrize("name", REPLAYS)
def test_the_twin_metric_agrees(name):
    tolerance = 1e-6 if REPLAYS[name].arithmetic == "torch" else 1e-12
    twins = 0
    for scores, query, gallery in CASES:
        for k in CUTS.get(name, (None,)):
            twin = REPLAYS[name].twin(k)
            if twin is not None:
                twins += 1
                similarity, relevance = given(scores), from_labels(query, gallery)
                result = replay(name, similarity, relevance, k)
                measured = evaluate(similarity, relevance, twin)
                assert result.value == pytest.approx(measured.values[twin], abs=tolerance, nan_ok=True)
                np.testing.assert_allclose(result.per_query, measured.per_query[twin], atol=tolerance)
    assert (twins == 0) == (name == "n_plus_10")


def test_twins_by_name():
    assert REPLAYS["lssh"].twin() == "mAP@50[stable]"
    assert REPLAYS["survey_500"].twin() == "mAP@500[stable]"
    assert REPLAYS["ucch"].twin() == "mAP@all[with_hits,stable]"
    assert REPLAYS["fast_pr_map"].twin(500) == "mAP@500[with_relevant,stable]"
    assert (REPLAYS["torchcmh_map_k"].twin(), REPLAYS["torchcmh_map_k"].twin(50)) == ("mAP@all[stable]", None)
    assert REPLAYS["n_plus_10"].twin() is None


def test_ten_queries_too_many():
    scores, query, gallery = CASES[3]
    task = given(scores), from_labels(query, gallery)
    low, right = replay("n_plus_10", *task), replay("perf_metric4label", *task)
    assert low.divisor == right.divisor + 10
    assert low.value == pytest.approx(right.value * right.divisor / (right.divisor + 10), rel=1e-14)
    nothing = replay("n_plus_10", given(scores), from_labels(np.zeros_like(query), gallery))
    assert (nothing.value, nothing.divisor) == (0.0, 10)


def test_calc_map_k_does_not_cut_the_ranking():
    """Relevant items at ranks 1, 4 and 8: AP@2 is 1; calc_map_k looks at two of them and takes (1/1 + 2/4) / 2."""
    scores = given(-np.arange(8.0)[None])
    relevance = from_labels([1], [1, 0, 0, 1, 0, 0, 0, 1])
    assert replay("torchcmh_map_k", scores, relevance, 2).value == 0.75
    assert replay("calculate_top_map", scores, relevance, 2).value == 1.0
    whole = replay("torchcmh_map_k", scores, relevance).value
    assert whole == replay("torchcmh_map_k", scores, relevance, 8).value
    assert whole == pytest.approx((1 + 2 / 4 + 3 / 8) / 3, abs=1e-7)


def test_leaving_queries_out_can_only_raise_the_mean():
    for scores, query, gallery in CASES[:5]:
        task = given(scores), from_labels(query, gallery)
        for k in (1, 7, 50):
            hits, relevant, every = (replay(name, *task, k) for name in ("ucch", "fast_pr_map", "calculate_top_map"))
            assert hits.divisor <= relevant.divisor <= every.divisor == len(query)
            assert relevant.value >= every.value - 1e-15
            assert hits.value >= relevant.value - 1e-15 or hits.divisor == 0
            np.testing.assert_array_equal(np.isnan(hits.per_query), every.per_query == 0)


def test_undecided_counts_the_queries_whose_ties_matter():
    scores = np.array([[3, 2, 2, 1, 1], [3, 2, 2, 1, 1], [5, 4, 3, 2, 1], [1, 1, 1, 1, 1.0]])
    relevance = from_labels(
        np.eye(4, dtype=int), [[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1], [0, 0, 0, 1], [1, 1, 0, 1]]
    )
    task = given(scores), relevance
    # Mixed ties: query 0 at ranks 4 and 5, query 1 at 2 and 3 and at 4 and 5; query 2 has none, query 3 only hits.
    assert [replay("ucch", *task, k).undecided for k in (1, 2, 3, 4, None)] == [0, 1, 1, 2, 2]
    assert replay("torchcmh_map_k", *task, 1).undecided == 1


def test_ties_keep_gallery_order():
    codes = np.ones((30, 16))
    relevance = from_labels([0], [0] * 5 + [1] * 25)
    result = replay("n_plus_10", hamming(codes[:1], codes), relevance)
    assert (result.value, result.undecided) == (1 / 11, 1)
    assert REPLAYS["n_plus_10"].stable
    assert not REPLAYS["ucch"].stable


@pytest.mark.parametrize(("name", "k"), [("lssh", None), ("stmh", None), ("fsh", None), ("fast_pr_map", 31)])
def test_matlab_reads_ranks_that_are_there(name, k):
    with pytest.raises(DataError, match=r"the gallery holds 30 items"):
        replay(name, given(np.eye(30)), from_labels(range(30), range(30)), k)


def test_names_and_cut_offs_are_checked():
    task = given(np.eye(3)), from_labels([0, 1, 2], [0, 1, 2])
    with pytest.raises(UnknownNameError, match=r"unknown replay 'torchcmh'; did you mean stmh or torchcmh_map_k\?"):
        replay("torchcmh", *task)
    for k in (0, -1, 2.0, True, "5"):
        with pytest.raises(UsageError, match=r"k must be a whole number from 1 up, got"):
            replay("ucch", *task, k)
    with pytest.raises(UsageError, match=r"replay survey_50 takes no k, got 20: its cut-off is 50"):
        replay("survey_50", *task, 20)
    with pytest.raises(UsageError, match=r"replay n_plus_10 takes no k, got 50: its cut-off is the whole ranking"):
        replay("n_plus_10", *task, 50)
    with pytest.raises(UsageError, match=r"block_bytes must be positive, got 0"):
        replay("ucch", *task, block_bytes=0)
    with pytest.raises(DataError, match=r"scores and relevance must be of the same queries and gallery items"):
        replay("ucch", given(np.eye(3)), from_labels([0, 1], [0, 1, 2]))


def test_replays_cannot_be_changed():
    with pytest.raises(TypeError):
        REPLAYS["ucch"] = REPLAYS["calc_map"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        REPLAYS["ucch"].cut = 5


def test_the_page_tells_of_every_replay_and_prints_what_it_says():
    text = PAGE.read_text()
    assert [name for name in REPLAYS if f"`{name}`" not in text] == []
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 5
    assert failed == 0
