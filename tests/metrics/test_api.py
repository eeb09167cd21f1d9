"""`evaluate_arrays` on codes of every form, and what `cmrbench.metrics` offers."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from cmrbench import metrics
from cmrbench.core.errors import DataError, UsageError
from cmrbench.metrics import (
    DISTANCES,
    REPLAYS,
    asymmetric,
    evaluate,
    evaluate_arrays,
    evaluate_in_parts,
    from_labels,
    given,
    replay,
    replays,
    shards,
)
from cmrbench.retrieval import STRATEGIES

NAMES = ["mAP@all", "mAP@5[stable]", "P@3"]


def sides(bits, n_query=7, n=40, classes=4):
    """Real-valued queries and gallery, and labels of both."""
    rng = np.random.default_rng(bits)
    return (
        rng.normal(size=(n_query, bits)),
        rng.normal(size=(n, bits)),
        rng.integers(0, classes, n_query),
        rng.integers(0, classes, n),
    )


def signs(array):
    return np.where(array > 0, 1, -1).astype(np.int8)


# What is offered


def test_every_name_can_be_imported():
    for name in metrics.__all__:
        assert getattr(metrics, name) is not None
    assert metrics.REPLAYS is replays.REPLAYS
    assert metrics.replay is replays.replay
    for name in ("evaluate_in_parts", "Task", "Shard", "State", "partial", "merge", "result"):
        assert getattr(metrics, name) is getattr(shards, name)
        assert name in metrics.__all__
    with pytest.raises(AttributeError, match=r"'cmrbench\.metrics' has no attribute 'evaluate_in_part'"):
        metrics.evaluate_in_part  # noqa: B018


def test_importing_the_engine_imports_nothing_heavy():
    heavy = ("numba", "torch", "pandas", "scipy", "cmrbench.metrics.shards.merge")
    code = f"import sys, cmrbench.metrics; print(*[m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_replays_and_parts_come_from_one_place():
    q, g, ql, gl = sides(6)
    scores = q @ g.T
    assert replay("n_plus_10", given(scores), from_labels(ql, gl)).replay is REPLAYS["n_plus_10"]
    whole = evaluate(given(scores), from_labels(ql, gl)).values["mAP@all"]
    in_parts = evaluate_in_parts(None, scores, ql, gl, distance="given", part_items=7).values["mAP@all"]
    assert in_parts == pytest.approx(whole, abs=1e-12)


# Real-valued queries and gallery codes


def test_asymmetric_distance_is_that_of_queries_before_the_sign():
    q, g, ql, gl = sides(8)
    codes = signs(g)
    found = evaluate_arrays(q, codes, ql, gl, "asymmetric", NAMES).values
    assert found == evaluate(given(q @ codes.T.astype(float)), from_labels(ql, gl), NAMES).values
    assert found == evaluate(asymmetric(q, codes), from_labels(ql, gl), NAMES).values
    assert found != evaluate_arrays(signs(q), codes, ql, gl, "hamming", NAMES).values
    with pytest.raises(DataError, match="^gallery must be codes of -1 and .1, got .* in row 0$"):
        evaluate_arrays(q, g, ql, gl, "asymmetric")
    with pytest.raises(UsageError, match="^P@H2 .*needs the distance hamming"):
        evaluate_arrays(q, codes, ql, gl, "asymmetric", "P@H2")


@pytest.mark.parametrize("part_items", [1, 7, 40])
def test_asymmetric_distance_in_parts(part_items):
    q, g, ql, gl = sides(8)
    whole = evaluate_arrays(q, signs(g), ql, gl, "asymmetric", NAMES).values
    parts = evaluate_in_parts(
        q, signs(g), ql, gl, distance="asymmetric", metrics=NAMES, part_items=part_items, block_bytes=4000
    ).values
    assert parts == pytest.approx(whole, abs=1e-12)
    wrong = signs(g)
    wrong[29, 3] = 0
    with pytest.raises(DataError, match="^gallery must be codes .*got 0 in row 29"):
        evaluate_in_parts(q, wrong, ql, gl, distance="asymmetric", part_items=part_items)


def test_runs_rank_by_no_distance_that_was_added_for_arrays():
    assert set(STRATEGIES) == {"cosine", "euclidean", "inner", "hamming", "score", "2sknn"}
    assert set(DISTANCES) - set(STRATEGIES) == {"asymmetric"}


# Packed codes


@pytest.mark.parametrize("bitorder", ["big", "little"])
@pytest.mark.parametrize("bits", [1, 8, 12, 64, 65])
def test_packed_codes_are_the_same_codes(bits, bitorder):
    q, g, ql, gl = sides(bits)
    packed = [np.packbits(a > 0, axis=1, bitorder=bitorder) for a in (q, g)]
    names = [*NAMES, "P@H1"]
    found = evaluate_arrays(*packed, ql, gl, "hamming", names, bits=bits, curves="PR@H")
    expected = evaluate_arrays(signs(q), signs(g), ql, gl, "hamming", names, curves="PR@H")
    assert found.values == expected.values
    np.testing.assert_array_equal(found.curves["PR@H"].y, expected.curves["PR@H"].y)


@pytest.mark.parametrize("distance", sorted(set(DISTANCES) - {"hamming"}))
def test_bits_are_for_the_distance_hamming(distance):
    q, g, ql, gl = sides(8)
    with pytest.raises(UsageError, match=f"^bits is the length of packed codes .*hamming, not under {distance}$"):
        evaluate_arrays(signs(q), signs(g), ql, gl, distance, bits=8)


def test_packed_codes_without_their_length_are_told_from_codes():
    q, g, ql, gl = sides(16)
    packed = [np.packbits(a > 0, axis=1) for a in (q, g)]
    packed[0][:2] = 1
    packed[0][2:, 0] = 200
    with pytest.raises(
        DataError, match="^query must be .* got 200 in row 2; .* packed codes, give their length as bits"
    ):
        evaluate_arrays(*packed, ql, gl, "hamming")
    with pytest.raises(DataError, match="^gallery must be .* row 0; .* give their length as bits"):
        evaluate_arrays(np.ones((7, 2), np.uint8), np.full((40, 2), 7, np.uint8), ql, gl, "hamming")
    with pytest.raises(DataError, match="^query must be .* got 0 in row 0; write bits b as 2 b - 1"):
        evaluate_arrays((q > 9).astype(np.uint8), (g > 9).astype(np.uint8), ql, gl, "hamming")
    ones = [np.ones((n, 3), np.uint8) for n in (7, 40)]
    assert evaluate_arrays(*ones, ql, gl, "hamming").values == evaluate_arrays(*ones, ql, gl, "inner").values


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (24, "query must be packed codes of 24 bits, uint8 in 3 columns, got uint8 in 2"),
        (15, "query must be packed codes of 15 bits, the last 1 bits of a row clear"),
        (0, "bits must be a whole number from 1 up, got 0"),
        (8.0, "bits must be a whole number from 1 up, got 8.0"),
    ],
)
def test_packed_codes_of_another_length_are_refused(bits, words):
    _, _, ql, gl = sides(16)
    packed = [np.full((n, 2), 255, np.uint8) for n in (7, 40)]
    with pytest.raises(DataError, match=f"^{words}"):
        evaluate_arrays(*packed, ql, gl, "hamming", bits=bits)
