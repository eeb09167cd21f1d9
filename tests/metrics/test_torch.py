"""The torch path against the numpy path: on CPU tensors, and on a CUDA device where there is one."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from cmrbench.metrics import (
    Relevance,
    Scores,
    asymmetric,
    compiled,
    cosine,
    euclidean,
    evaluate,
    evaluate_arrays,
    from_instances,
    from_labels,
    given,
    hamming,
    inner,
)
from cmrbench.metrics.device import torch_blocks
from cmrbench.metrics.device.keys import DeviceProducts, operands
from cmrbench.metrics.device.tensors import full_precision
from cmrbench.metrics.ranking import Needs, ranked_blocks

NAMES = ["mAP@all", "mAP@7", "mAP@7[min_kr,with_hits]", "NDCG@all", "NDCG@5", "R@9", "hit@2", "mAP@all[with_hits]"]
RULES = ["mAP@all[stable]", "mAP@4[pessimistic]", "P@6[optimistic]", "NDCG@all[pessimistic]", "R@3[stable]", "MedR"]
TOP = ["mAP@3", "mAP@5[r]", "mAP@5[min_kr]", "hit@2[with_hits]", "P@4[pessimistic]", "R@5[optimistic]"]
CURVES = ["PR@11", "P@1..20", "R@1..20[stable]"]
RADII = ["P@H2", "R@H0"]


@pytest.fixture(
    params=[
        "cpu",
        pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
    ]
)
def device(request):
    return request.param


@pytest.fixture(autouse=True)
def _numpy_otherwise(monkeypatch):
    monkeypatch.setattr(compiled, "LEAST_PAIRS", sys.maxsize)


def agree(device, scores, relevance, metrics, curves=(), block_bytes=1 << 24, atol=1e-12):
    plain = evaluate(scores, relevance, metrics, curves=curves)
    result = evaluate(scores, relevance, metrics, block_bytes, curves=curves, device=device)
    for name in plain.values:
        np.testing.assert_allclose(result.per_query[name], plain.per_query[name], rtol=0, atol=atol, err_msg=name)
        assert result.counted[name] == pytest.approx(plain.counted[name], abs=max(atol, 1e-9))
        assert result.chance[name] == pytest.approx(plain.chance[name], abs=1e-12, nan_ok=True)
    for name, points in plain.curves.items():
        for field in ("x", "y", "stderr"):
            one, other = getattr(result.curves[name], field), getattr(points, field)
            np.testing.assert_allclose(one, other, rtol=0, atol=max(atol, 1e-7), err_msg=f"{name} {field}")


def multi_hot(rng, n_query, n, C):
    return from_labels(rng.random((n_query, C)) < 1.5 / C, rng.random((n, C)) < 1.5 / C)


def relevances(rng, n_query, n):
    """Labels of one and of several words, class numbers, instances, and relevance that no labels are known of."""
    yield from (multi_hot(rng, n_query, n, C) for C in (1, 64, 65, 255))
    yield from_labels(rng.integers(0, 4, n_query), rng.integers(0, 3, n))
    yield from_instances(rng.permutation(n_query), np.arange(n) % (n_query + 2))
    yield Shown(rng.random((n_query, n)) < 0.2)


class Shown(Relevance):
    def __init__(self, found):
        self.found = found

    @property
    def shape(self):
        return self.found.shape

    def block(self, start, stop):
        return self.found[start:stop]


class Own(Scores):
    """A method's own score blocks, of a dtype that is not told before."""

    def __init__(self, values, levels=None):
        self.values, self.levels = values, levels

    @property
    def shape(self):
        return self.values.shape

    def block(self, start, stop):
        return self.values[start:stop]


@pytest.mark.parametrize("n", [1, 300])
@pytest.mark.parametrize("bits", [1, 2, 16, 63, 64, 130, 512])
def test_codes(device, n, bits):
    rng = np.random.default_rng(bits)
    q = np.where(rng.random((6, bits)) < 0.5, -1, 1).astype(np.int8)
    g = np.where(rng.random((n, bits)) < 0.1, -1, 1).astype(np.int8) * q[rng.integers(0, 6, n)]
    names = [*NAMES, *RULES, *(RADII if bits > 1 else ["P@H1"])]
    for relevance in relevances(rng, 6, n):
        agree(device, hamming(q, g), relevance, names, [*CURVES, "PR@H"])
        agree(device, hamming(q, g), relevance, TOP)


@pytest.mark.parametrize("bits", [8, 13, 70])
@pytest.mark.parametrize("bitorder", ["big", "little"])
def test_packed_codes(device, bits, bitorder):
    rng = np.random.default_rng(0)
    q, g = (np.packbits(rng.random((m, bits)) < 0.5, axis=1, bitorder=bitorder) for m in (6, 90))
    agree(device, hamming(q, g, bits), multi_hot(rng, 6, 90, 20), NAMES + RULES, ["PR@H"])


def test_counts_are_exact(device):
    rng = np.random.default_rng(1)
    codes = [np.where(rng.random((m, 96)) < 0.5, -1, 1) for m in (300, 2500)]
    task = hamming(*codes), multi_hot(rng, 300, 2500, 30), Needs({}, counts=True)
    for block_bytes in (1, 3_000_000, 1 << 28):  # the gallery in chunks, queries in blocks, and both at once
        parts = list(torch_blocks(*task, block_bytes, device))
        assert [p.rows.start for p in parts[1:]] == [p.rows.stop for p in parts[:-1]]
        expected = np.concatenate([p.counts for p in ranked_blocks(*task, 1 << 28)])
        np.testing.assert_array_equal(np.concatenate([p.counts for p in parts]), expected)


def test_gallery_order_over_chunks_of_a_gallery(device):
    rng = np.random.default_rng(1)
    codes = [np.where(rng.random((m, 24)) < 0.5, -1, 1) for m in (5, 2500)]
    for metric in ("mAP@all[stable]", "P@40[stable]"):
        agree(device, hamming(*codes), multi_hot(rng, 5, 2500, 30), [metric], block_bytes=1)


@pytest.mark.parametrize("n", [1, 300])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int64])
@pytest.mark.parametrize("kinds", [1, 3, 50, 10**6])
def test_given_scores(device, n, dtype, kinds):
    rng = np.random.default_rng(n)
    values = rng.integers(0, kinds, (6, n)) - kinds // 2
    scores = (values if dtype == np.int64 else values % 100 - 50 if dtype == np.int8 else values / kinds).astype(dtype)
    for relevance in relevances(rng, 6, n):
        for task in (given(scores), Own(scores)):
            agree(device, task, relevance, NAMES + RULES, CURVES)
            agree(device, task, relevance, TOP)


@pytest.mark.parametrize("kinds", [1, 3, 30, 10**6])
@pytest.mark.parametrize("order", ["random", "rising", "falling"])
def test_only_the_top_of_a_ranking(device, kinds, order):
    """The cut-off is at, before, inside and after the edge of a tie group, with and without relevant items in it."""
    rng = np.random.default_rng(kinds)
    scores = rng.integers(0, kinds, (8, 500)).astype(np.float32)
    if order != "random":
        scores = np.sort(scores, axis=1)[:, :: 1 if order == "rising" else -1]
    for share in (0.002, 0.1, 0.9, 1.0):
        relevance = Shown(rng.random((8, 500)) < share)
        for k in (1, 2, 5, 17, 62, 63):  # 62 is the last that is not sorted out as a whole
            names = [f"mAP@{k}", f"mAP@{k}[r]", f"hit@{k}[with_hits]", f"NDCG@{k}[optimistic]", f"P@{k}[pessimistic]"]
            agree(device, given(scores), relevance, names)
        agree(device, given(scores), relevance, ["mAP@5[stable]"])
        agree(device, given(scores), relevance, ["mAP@all", "mAP@5"])


@pytest.mark.parametrize("cut", [3, 60, 500])
@pytest.mark.parametrize("rule", ["expected", "optimistic", "pessimistic", "stable"])
def test_groups_come_in_order(device, cut, rule):
    rng = np.random.default_rng(cut)
    task = given(rng.integers(0, 90, (8, 500))), Shown(rng.random((8, 500)) < 0.1)
    plain = next(ranked_blocks(*task, Needs({rule: cut}), 1 << 28)).groups
    found = next(torch_blocks(*task, Needs({rule: cut}), 1 << 28, device)).groups
    assert list(found) == [rule]
    np.testing.assert_array_equal(found[rule].R, plain[rule].R)
    for field in ("row", "T", "P", "t", "r"):
        one, other = ((getattr(g[rule], field)[cut > g[rule].T]) for g in (found, plain))
        np.testing.assert_array_equal(one, other, err_msg=field)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_of_every_kind(device, dtype):
    """Zeros of both signs, the smallest and the largest numbers, side by side and apart."""
    info = np.finfo(dtype)
    some = np.array([0.0, -0.0, info.tiny, -info.tiny, info.smallest_subnormal, -info.smallest_subnormal, 1, -1, 2])
    wide = np.r_[some, np.nextafter(dtype(1), dtype(2)), info.max, -info.max, info.max, 1e-30, -1e30, 3]
    rng = np.random.default_rng(0)
    scores = np.stack([rng.permutation(np.tile(wide, 12)) for _ in range(5)]).astype(dtype)
    for relevance in relevances(rng, 5, scores.shape[1]):
        agree(device, given(scores), relevance, NAMES + RULES, CURVES)
        agree(device, given(scores), relevance, TOP)


def test_whole_numbers_that_no_float_holds(device):
    rng = np.random.default_rng(0)
    values = 2**60 + rng.integers(0, 40, (5, 90)) * (2 ** rng.integers(0, 50, (5, 90)))
    agree(device, given(values), multi_hot(rng, 5, 90, 9), NAMES + RULES + TOP)
    agree(device, given(values), multi_hot(rng, 5, 90, 9), TOP)


def test_what_torch_has_no_numbers_for_is_ranked_by_numpy(device):
    rng = np.random.default_rng(0)
    relevance = multi_hot(rng, 5, 60, 9)
    agree(device, Own(1 + rng.integers(0, 9, (5, 60)) * np.finfo(np.longdouble).eps), relevance, NAMES + RULES, CURVES)
    agree(device, Own(rng.integers(0, 9, (5, 60)), levels=9), relevance, [*NAMES, *RULES, *RADII], ["PR@H"])


@pytest.mark.parametrize("similarity", [cosine, inner, euclidean, asymmetric])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (1, 80), (9, 1), (9, 300)])
def test_representations(device, similarity, dtype, shape):
    rng = np.random.default_rng(1)
    q, g = (rng.normal(size=(m, 20)).astype(dtype) for m in shape)
    if similarity is asymmetric:
        g = np.sign(g)
    else:
        q[0], g[-1] = 0, 0
        g[5:40] = g[:35][: len(g[5:40])]  # a chain of equal rows
    for relevance in relevances(rng, *shape):
        agree(device, similarity(q, g), relevance, NAMES + RULES, CURVES, atol=1e-6)
        agree(device, similarity(q, g), relevance, TOP, atol=1e-6)


@pytest.mark.parametrize("similarity", [cosine, inner, euclidean])
def test_whole_representations_tie_as_they_do_in_numpy(device, similarity):
    rng = np.random.default_rng(1)
    q, g = (rng.integers(-1, 2, (m, 4)).astype(np.float32) for m in (9, 200))
    agree(device, similarity(q, g), multi_hot(rng, 9, 200, 9), NAMES + RULES, CURVES)
    agree(device, similarity(q, g), multi_hot(rng, 9, 200, 9), TOP)


@pytest.mark.parametrize("similarity", [cosine, inner, euclidean])
@pytest.mark.parametrize("scale", [1e-30, 1e17])
def test_short_and_long_representations(device, similarity, scale):
    rng = np.random.default_rng(1)
    q, g = (rng.normal(size=(m, 6)) * scale for m in (7, 90))
    agree(device, similarity(q, g), multi_hot(rng, 7, 90, 9), NAMES + RULES, CURVES, atol=1e-6)


@pytest.mark.parametrize("similarity", [cosine, inner, euclidean])
def test_scores_of_whole_representations_are_the_same_numbers(device, similarity):
    rng = np.random.default_rng(1)
    scores = similarity(*(rng.integers(-4, 5, (m, 4)).astype(np.float32) for m in (9, 200)))
    computed = DeviceProducts(operands(scores), device)(slice(2, 7)).cpu().numpy()
    assert computed.dtype == scores.dtype
    np.testing.assert_array_equal(computed, scores.block(2, 7))


def test_equal_rows_tie_whatever_the_product_does(device):
    rng = np.random.default_rng(2)
    q, g = (rng.normal(size=(m, 33)).astype(np.float32) for m in (13, 1))
    names = ["mAP@all", "mAP@1", "P@5", "P@5[stable]"]
    agree(device, cosine(q, np.repeat(g, 1037, axis=0)), from_labels(np.zeros(13), np.arange(1037) % 3), names)


def test_operands_give_the_scores():
    rng = np.random.default_rng(3)
    q, g = rng.normal(size=(5, 8)), rng.normal(size=(9, 8))
    g[4] = g[0]
    for similarity in (cosine, inner, euclidean):
        scores = similarity(q, g)
        parts = operands(scores)
        assert len(np.unique(parts.gallery, axis=0)) == len(parts.gallery) == 8
        products = parts.query @ parts.gallery.T - (0 if parts.offset is None else parts.offset)
        if parts.norms is not None:
            products = products / parts.norms[1] / parts.norms[0][:, None]
        np.testing.assert_allclose(products[:, parts.item], scores.block(0, 5), rtol=1e-12)
    assert operands(given(q)) is None


@pytest.mark.parametrize("block_bytes", [1, 3000, 100_000])
def test_block_size_changes_nothing(device, block_bytes):
    rng = np.random.default_rng(2)
    codes = [np.where(rng.random((m, 20)) < 0.5, -1, 1) for m in (9, 60)]
    for relevance in relevances(rng, 9, 60):
        for task in (hamming(*codes), given(rng.integers(0, 30, (9, 60)).astype(np.float32)), inner(*codes)):
            for names, curves in ((NAMES + RULES, CURVES), (TOP, ()), (["mAP@all"], ())):
                agree(device, task, relevance, names, curves, block_bytes)


@pytest.mark.filterwarnings("error")
def test_arrays_stay_as_they_are(device):
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(4, 30)).astype(np.float32)
    scores[:, :4] = -0.0
    locked = scores.copy()
    locked.flags.writeable = False
    relevance = from_labels([0, 1, 2, 0], rng.integers(0, 3, 30))
    arrays = (scores, locked, np.asfortranarray(scores), np.repeat(scores, 2, axis=1)[:, ::2], scores[::-1])
    for array in (*arrays, scores.astype(">f4")):
        before = array.tobytes()
        agree(device, given(array), relevance, NAMES + RULES)
        agree(device, cosine(array, rng.normal(size=(30, 30))), relevance, NAMES, atol=1e-6)
        assert array.tobytes() == before


def test_products_are_at_full_precision_under_autocast(device):
    rng = np.random.default_rng(0)
    q, g = (rng.normal(size=(m, 256)).astype(np.float32) for m in (20, 3000))
    with torch.autocast(device, dtype=torch.bfloat16):
        agree(device, cosine(q, g), multi_hot(rng, 20, 3000, 9), ["mAP@all"], atol=1e-5)  # 1e-3 in bfloat16
        assert torch.is_autocast_enabled(device)


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_the_precision_of_products_is_set_and_put_back(device, precision):
    matmul, before = torch.backends.cuda.matmul, torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        with full_precision(device):
            if hasattr(matmul, "fp32_precision"):
                assert matmul.fp32_precision == torch.backends.mkldnn.matmul.fp32_precision == "ieee"
            else:
                assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == precision
        assert matmul.allow_tf32 == (precision != "highest")
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_default_dtype_changes_nothing(device):
    rng = np.random.default_rng(0)
    scores, relevance = given(rng.integers(0, 9, (4, 50)).astype(np.float32)), multi_hot(rng, 4, 50, 9)
    torch.set_default_dtype(torch.float16)
    try:
        agree(device, scores, relevance, NAMES + RULES)
    finally:
        torch.set_default_dtype(torch.float32)


def test_graded_metrics_are_measured_beside(device):
    rng = np.random.default_rng(0)
    relevance = multi_hot(rng, 4, 50, 9)
    agree(device, given(rng.integers(0, 9, (4, 50)).astype(np.float32)), relevance, ["mAP@all", "NDCG@5[shared]"])


def test_arrays_on_a_device(device):
    result = evaluate_arrays(np.eye(3), np.eye(3), [0, 1, 2], [0, 1, 2], device=device)
    assert result.values == {"mAP@all": 1.0}
