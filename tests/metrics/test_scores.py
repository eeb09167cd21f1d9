"""Scores and relevance: right numbers, exact ties, and refusals that name the array and the row."""

from __future__ import annotations

import numpy as np
import pytest

from cmrbench.core.errors import DataError
from cmrbench.metrics import (
    asymmetric,
    compiled,
    cosine,
    euclidean,
    evaluate,
    evaluate_in_parts,
    from_instances,
    from_labels,
    given,
    hamming,
    inner,
    relevance,
)
from cmrbench.metrics import rows as module


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 5)).astype(np.float32), rng.normal(size=(9, 5)).astype(np.float32)


def test_similarities_are_what_they_say(arrays):
    q, g = arrays
    unit = [a / np.linalg.norm(a.astype(float), axis=1, keepdims=True) for a in arrays]
    np.testing.assert_allclose(cosine(q, g).block(0, 7), unit[0] @ unit[1].T, atol=1e-6)
    np.testing.assert_allclose(inner(q, g).block(2, 5), q[2:5] @ g.T, atol=1e-6)
    squared = ((q[:, None].astype(float) - g[None]) ** 2).sum(-1)
    score = euclidean(q, g).block(0, 7)
    np.testing.assert_allclose(np.diff(-score, axis=1), np.diff(squared, axis=1), atol=1e-12)
    assert cosine(q, g).shape == (7, 9)
    assert given(unit[0] @ unit[1].T).shape == (7, 9)


def test_digits_of_the_inputs_are_kept(arrays):
    q, g = arrays
    assert cosine(q, g).block(0, 1).dtype == np.float32
    assert cosine(q.astype(np.float64), g).block(0, 1).dtype == np.float64
    big = np.array([[2**31 - 1, 0]], dtype=np.int64)
    assert inner(big, big).block(0, 1)[0, 0] == float(2**31 - 1) ** 2


def test_euclidean_survives_a_common_offset(arrays):
    q, g = arrays
    far = np.float32(4096)
    q, g = np.round(q * 64) / 64, np.round(g * 64) / 64  # exact after the shift
    order = np.argsort(-euclidean(q, g).block(0, 7), axis=1)
    np.testing.assert_array_equal(np.argsort(-euclidean(q + far, g + far).block(0, 7), axis=1), order)


def test_codes_tie_under_every_distance():
    rng = np.random.default_rng(0)
    q, g = (np.where(rng.random((n, 23)) < 0.5, -1, 1).astype(np.float32) for n in (20, 70))
    levels = hamming(q, g).block(0, 20)
    for similarity in (cosine, inner, euclidean):
        block = similarity(q, g).block(0, 20)
        same, above = levels[:, :, None] == levels[:, None], levels[:, :, None] > levels[:, None]
        np.testing.assert_array_equal(block[:, :, None] == block[:, None], same)
        np.testing.assert_array_equal(block[:, :, None] > block[:, None], above)


@pytest.mark.parametrize("similarity", [cosine, inner, euclidean])
@pytest.mark.parametrize("d", [3, 128, 1000])
def test_equal_items_tie_exactly(similarity, d):
    rng = np.random.default_rng(d)
    distinct = rng.normal(size=(3, d)).astype(np.float32)
    item = rng.integers(0, 3, 101)
    block = similarity(rng.normal(size=(5, d)).astype(np.float32), distinct[item]).block(0, 5)
    for i in range(3):
        assert (block[:, item == i] == block[:, item == i][:, :1]).all()


def test_a_zero_row_is_orthogonal_to_everything(arrays):
    q, g = (a.copy() for a in arrays)
    q[3], g[4] = 0, -0.0
    block = cosine(q, g).block(0, 7)
    assert (block[3] == 0).all()
    assert (block[:, 4] == 0).all()


def test_cosine_of_very_long_and_very_short_rows(arrays):
    q, g = arrays
    expected = cosine(q, g).block(0, 7)
    np.testing.assert_allclose(cosine(q * np.float32(1e30), g * np.float32(1e-35)).block(0, 7), expected, atol=1e-5)


@pytest.mark.parametrize("bits", [1, 8, 63, 64, 65, 130])
@pytest.mark.parametrize("dtype", [np.int8, np.float32])
def test_hamming_counts_agreeing_bits(bits, dtype):
    rng = np.random.default_rng(bits)
    q, g = (np.where(rng.random((n, bits)) < 0.5, -1, 1).astype(dtype) for n in (6, 11))
    found = hamming(q, g)
    assert found.levels == bits + 1
    np.testing.assert_array_equal(found.block(1, 6), (q[1:6, None] == g[None]).sum(-1))


def test_popcount_without_numpy_2(monkeypatch):
    words = np.random.default_rng(0).integers(0, 2**63, (5, 7), dtype=np.uint64)
    expected = [[bin(int(w)).count("1") for w in row] for row in words]
    np.testing.assert_array_equal(relevance.popcount(words), expected)
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    np.testing.assert_array_equal(relevance.popcount(words), expected)


@pytest.mark.parametrize("similarity", [cosine, inner, euclidean, hamming])
def test_bad_arrays_are_named(similarity):
    good = np.ones((4, 3))
    for bad, words in [
        (np.ones(3), r"2-d.*\(3,\)"),
        (np.ones((0, 3)), "empty"),
        (np.ones((4, 0)), "empty"),
        (np.array([["a"] * 3]), "numbers, got dtype"),
        (np.array([[1, 1, 1], [1, np.nan, 1]]), "NaN or infinity, first in row 1"),
        (np.array([[1, 1, 1], [1, 1, 1], [1, -np.inf, 1]]), "NaN or infinity, first in row 2"),
    ]:
        with pytest.raises(DataError, match=f"^query .*{words}"):
            similarity(bad, good)
        with pytest.raises(DataError, match=f"^gallery .*{words}"):
            similarity(good, bad)
    with pytest.raises(DataError, match="3 and 2"):
        similarity(good, np.ones((4, 2)))


def test_codes_other_than_plus_and_minus_one_are_refused():
    codes = np.ones((3, 4), dtype=np.int8)
    zero = codes.copy()
    zero[2, 1] = 0
    with pytest.raises(DataError, match=r"^gallery .*got 0 in row 2; write bits"):
        hamming(codes, zero)
    with pytest.raises(DataError, match=r"^query .*got 0.5 in row 0$"):
        hamming(codes * 0.5, codes)


@pytest.mark.parametrize("similarity", [inner, euclidean])
def test_overflow_is_refused(similarity):
    huge = np.full((2, 3), 1e200)
    huge[0] = 0
    with pytest.raises(DataError, match="overflow"):
        similarity(huge, huge)


@pytest.mark.parametrize("C", [1, 7, 64, 65, 255])
def test_multi_hot_relevance_is_a_shared_label(C):
    rng = np.random.default_rng(C)
    q, g = (rng.random((n, C)) < 2 / C for n in (8, 13))
    expected = (q.astype(int) @ g.T.astype(int)) > 0
    for dtype in (bool, np.uint8, np.float64):
        np.testing.assert_array_equal(from_labels(q.astype(dtype), g.astype(dtype)).block(2, 8), expected[2:8])


def test_class_numbers_and_instances():
    relevance = from_labels([3.0, 0.0], np.array([0, 3, 3], dtype=np.uint8))
    np.testing.assert_array_equal(relevance.block(0, 2), [[False, True, True], [True, False, False]])
    assert relevance.shape == (2, 3)
    relevance = from_instances(np.array(["b", "longer"]), np.array(["longer", "b", "x"]))
    np.testing.assert_array_equal(relevance.block(0, 2), [[False, True, False], [True, False, False]])
    np.testing.assert_array_equal(from_instances([5, -6], [-6]).block(0, 2), [[False], [True]])


@pytest.mark.parametrize(
    ("query", "gallery", "words"),
    [
        ([0, 1], [[0, 1]], "both"),
        ([[0, 1]], [[0, 1, 1]], "2 and 3"),
        ([[0, 2]], [[0, 1]], r"^query labels .*got 2 in row 0; give class numbers"),
        ([0, 1], [1, -1], r"^gallery labels .*got -1 in row 1"),
        ([0, 0.5], [1, 1], r"^query labels .*0.5 in row 1"),
        ([0, np.nan], [1, 1], r"^query labels .*nan in row 1"),
        (["cat"], [1], r"^query labels .*dtype"),
        ([], [1], r"^query labels are empty"),
        (np.zeros((1, 1, 1)), [1], r"^query labels .*shape \(1, 1, 1\)"),
    ],
)
def test_bad_labels_are_named(query, gallery, words):
    with pytest.raises(DataError, match=words):
        from_labels(query, gallery)


@pytest.mark.parametrize(
    ("query", "gallery", "words"),
    [(["a"], [1], "one kind"), ([], [1], "query instances"), ([1], [1.5], "gallery instances")],
)
def test_bad_instances_are_named(query, gallery, words):
    with pytest.raises(DataError, match=words):
        from_instances(query, gallery)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 2, 7, 300])
def test_equal_rows_are_found(dtype, d):
    rng = np.random.default_rng(d)
    rows = rng.normal(size=(40, d)).astype(dtype)
    assert module.distinct(rows)[1] is None
    rows[7] = rows[31]
    rows[[3, 12], 0] = 0.0, -0.0
    rows[12, 1:] = rows[3, 1:]
    distinct, item = module.distinct(rows)
    assert len(distinct) == 38
    assert item[7] == item[31]
    assert item[3] == item[12]
    np.testing.assert_array_equal(distinct[item], rows)


def test_equal_hashes_of_different_rows_do_no_harm(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(9, 4))
    monkeypatch.setattr(module, "hashes", lambda rows: np.zeros(len(rows), dtype=np.uint64))
    assert module.distinct(rows) == (rows, None)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scaling_by_powers_of_two_is_exact(dtype):
    info = np.finfo(dtype)
    odd = [info.max, info.tiny, 0, -0.0, 1, -info.max, info.smallest_subnormal, -3 * info.smallest_subnormal]
    rows = [np.random.default_rng(0).normal(size=8) * 2.0**e for e in range(-30, 30)]
    rows += [odd, odd[6:] * 4, np.zeros(8), [info.tiny, info.tiny / 2, 0, 0, 0, 0, 0, info.smallest_subnormal]]
    array = np.array(rows, dtype=dtype)
    scaled = module.scaled(array)
    _, exponent = np.frexp(np.abs(array).max(axis=1, keepdims=True))
    np.testing.assert_array_equal(scaled, np.ldexp(array, -exponent))
    assert scaled.dtype == dtype


def test_asymmetric_is_the_product_of_reals_with_codes():
    rng = np.random.default_rng(0)
    q, g = rng.normal(size=(4, 9)).astype(np.float32), np.where(rng.random((6, 9)) < 0.5, -1, 1)
    np.testing.assert_allclose(asymmetric(q, g).block(0, 4), q @ g.T, rtol=1e-5)
    with pytest.raises(DataError, match="^gallery must be codes"):
        asymmetric(g, q)


@pytest.mark.parametrize("bits", [1, 7, 8, 12, 64, 70])
@pytest.mark.parametrize("bitorder", ["little", "big"])
def test_packed_codes_are_the_same_codes(bits, bitorder):
    rng = np.random.default_rng(bits)
    q, g = (np.where(rng.random((n, bits)) < 0.5, -1, 1) for n in (5, 8))
    packed = hamming(*(np.packbits(a > 0, axis=1, bitorder=bitorder) for a in (q, g)), bits=bits)
    assert packed.levels == bits + 1
    np.testing.assert_array_equal(packed.block(0, 5), hamming(q, g).block(0, 5))


@pytest.mark.parametrize(
    ("codes", "bits", "words"),
    [
        (np.zeros((2, 2), np.uint8), 17, r"^query .* 17 bits, uint8 in 3 columns, got uint8 in 2"),
        (np.zeros((2, 2), np.int64), 16, r"^query .*got int64"),
        (np.array([[1, 0], [1, 255]], np.uint8), 12, r"^query .*last 4 bits .*got 11111111 at the end of row 1"),
        (np.zeros((2, 2), np.uint8), 0, "^bits must be"),
    ],
)
def test_packed_codes_must_be_as_declared(codes, bits, words):
    with pytest.raises(DataError, match=words):
        hamming(codes, codes, bits=bits)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int16, np.uint64, np.int64])
def test_given_whole_numbers_keep_their_order(dtype):
    low, high = (0, 1) if dtype is bool else (np.iinfo(dtype).min + (dtype is np.int64), np.iinfo(dtype).max)
    high = min(high, 2**63 - 1)
    result = evaluate(given(np.array([[low, high, low]], dtype=dtype)), from_labels([1], [1, 0, 1]), "mAP@all")
    assert result.values["mAP@all"] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_given_numbers_beyond_64_bits_are_refused():
    for bad in (np.array([[0, 2**63]], dtype=np.uint64), np.array([[0, -(2**63)]])):
        with pytest.raises(DataError, match="^scores must lie within"):
            given(bad)


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i4", "<f8"])
def test_given_scores_of_either_byte_order(dtype, monkeypatch):
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(-50, 50, (4, 60)), rng.integers(0, 3, 60)
    expected = evaluate(given(scores), from_labels([0, 1, 2, 0], labels), ["mAP@all", "mAP@7"]).values
    for least in (0, 10**9):
        monkeypatch.setattr(compiled, "LEAST_PAIRS", least)
        found = evaluate(given(scores.astype(dtype)), from_labels([0, 1, 2, 0], labels), ["mAP@all", "mAP@7"])
        assert found.values == pytest.approx(expected, abs=1e-12)
    parts = evaluate_in_parts(
        None, scores.astype(dtype), [0, 1, 2, 0], labels, distance="given", metrics="mAP@all", part_items=13
    )
    assert parts.values["mAP@all"] == pytest.approx(expected["mAP@all"], abs=1e-12)
