"""SePH: the divergence and its gradient, the steps, the unified rule, and the reference numbers on wiki."""

import logging

import numpy as np
import pytest
from reference_rows import LENGTHS, check_agreement
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.core.items import Items
from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench_methods.blocks.linear import unit_rows
from cmrbench_methods.supervised_hash import seph
from cmrbench_methods.supervised_hash.seph import Affinity, SePH, unified_codes

SINGLE, MULTI, WITHOUT = "one label each", "several labels", "some without a label"


def label_rows(kind, n, rng):
    if kind == SINGLE:
        return np.eye(4)[rng.integers(0, 4, n)]
    L = (rng.random((n, 5)) < 0.3).astype(float)
    L[L.sum(axis=1) == 0, 0] = 1
    if kind == WITHOUT:
        L[::7] = 0
    return L


def distribution(L):
    """P, dense, as the paper defines it."""
    G = L / np.maximum(np.sqrt(L.sum(axis=1, keepdims=True)), 1)
    P = G @ G.T
    np.fill_diagonal(P, 0)
    return P / P.sum()


def students_t(H):
    """w_ij, dense."""
    w = 1 / (1 + 0.25 * ((H[:, None] - H) ** 2).sum(axis=2))
    np.fill_diagonal(w, 0)
    return w


def cross_entropy(P, H):
    w = students_t(H)
    q = w / w.sum()
    return -(P[P > 0] * np.log(q[P > 0])).sum()


def released_steps(P, H, alpha, steps):
    """The released code's descent on dense n x n matrices, written from its description."""
    change, gain = np.zeros_like(H), np.ones_like(H)
    kept, smallest = H, np.inf
    for _ in range(steps):
        w = students_t(H)
        q = w / w.sum()
        S = (P - q) * w
        gradient = S.sum(axis=1, keepdims=True) * H - S @ H + 2 * alpha * (np.abs(H) - 1) * np.sign(H)
        gain = np.where(np.sign(gradient) != np.sign(change), gain + 0.2, gain * 0.8)
        gain[gain < 0.01] = 0.01
        change = 0.5 * change - 500 * gain * gradient
        H = H + change
        H = H - H.mean(axis=0)
        cost = -(P[P > 0] * np.log(q[P > 0])).sum() + alpha * ((np.abs(H) - 1) ** 2).sum()
        if cost < smallest:
            kept, smallest = H, cost
    return kept


@pytest.mark.parametrize("kind", [SINGLE, MULTI, WITHOUT])
def test_tiles_give_the_dense_cross_entropy(kind, rng, monkeypatch):
    monkeypatch.setattr(seph, "TILE", 16)
    L = label_rows(kind, 70, rng)
    H = rng.standard_normal((70, 6))
    entropy, gradient = Affinity(unit_rows(L)).cross_entropy(H)
    assert entropy == pytest.approx(cross_entropy(distribution(L), H), rel=1e-5)
    for _ in range(10):
        direction = 1e-4 * rng.standard_normal(H.shape)
        both = [cross_entropy(distribution(L), H + sign * direction) for sign in (1, -1)]
        assert (gradient * direction).sum() == pytest.approx((both[0] - both[1]) / 2, rel=1e-2, abs=1e-8)


@pytest.mark.parametrize("kind", [SINGLE, MULTI])
def test_relaxed_codes_are_those_of_dense_steps(kind, rng):
    n, bits = 300, 12
    L, context = label_rows(kind, n, rng), Context(bits=bits, seed=2)
    start = 1e-4 * context.rng("seph").standard_normal((n, bits))
    for steps, close in ((3, 1e-7), (40, 1e-2)):
        ours = SePH(iterations=steps)._relaxed_codes(L, bits, context)
        theirs = released_steps(distribution(L), start, 0.01 / (bits * n), steps)
        np.testing.assert_allclose(ours, theirs, atol=close)
    assert (np.sign(ours) == np.sign(theirs)).mean() > 0.999


@pytest.mark.parametrize("rate", [500, 5000, 20000])
def test_relaxed_codes_are_balanced_and_the_best_of_all_steps(rate):
    train = small_items(n=90)["image"]
    L, context = train.labels.astype(float), Context(bits=8)
    P, weight = distribution(L), 0.01 / (8 * 90)

    def objective(steps):
        H = SePH(iterations=steps, rate=rate)._relaxed_codes(L, 8, context)
        np.testing.assert_allclose(H.mean(axis=0), 0, atol=1e-9 if rate == 500 and steps else 1e-3)
        return cross_entropy(P, H) + weight * ((np.abs(H) - 1) ** 2).sum()

    values = [objective(steps) for steps in (0, 1, 2, 4, 8, 16, 32)]
    assert (np.diff(values) <= 1e-6).all()
    assert values[-1] < values[0] - 0.1


def test_gives_up_a_descent_that_grows_without_bound(caplog):
    with caplog.at_level(logging.WARNING):
        method = SePH(rate=1e6).fit(small_items(n=90), None, Context(bits=8))
    assert "choose a smaller rate" in caplog.text
    assert set(np.unique(method.encode_train("text"))) <= {-1, 1}


def test_the_unified_code_joins_both_probabilities(rng):
    B = np.where(rng.random((50, 6)) < np.linspace(0.1, 0.9, 6), 1.0, -1.0)
    first, second = 2 * rng.standard_normal((50, 6)), 2 * rng.standard_normal((50, 6))
    zx, zy = 1 / (1 + np.exp(-first)), 1 / (1 + np.exp(-second))
    positive, negative = (B > 0).mean(axis=0), (B < 0).mean(axis=0)
    paper = np.sign(zx * zy / positive - (1 - zx) * (1 - zy) / negative)
    np.testing.assert_array_equal(unified_codes(first, second, B), paper)
    B[:, 0], B[:, 1] = 1, -1  # no share to divide by: the probabilities alone decide
    np.testing.assert_array_equal(unified_codes(first, second, B)[:, :2], np.sign(first + second)[:, :2])


@pytest.mark.parametrize("anchors", ["kmeans", "random"])
def test_learned_codes_are_shared_by_a_pair_and_follow_the_labels(anchors):
    data = make_synthetic(n_train=300, classes=6, multilabel=True, noise=0.5, seed=3)
    train = data.part("train")
    image, text = train
    method = SePH(anchors=anchors, n_anchors=100).fit(train, None, Context(bits=16))
    codes = method.encode_train(image).astype(int)
    np.testing.assert_array_equal(codes, method.encode_train(text))
    labels = train[image].labels.astype(int)
    shared = labels @ labels.T > 0
    products = codes @ codes.T
    assert products[shared].mean() > products[~shared].mean() + 4
    assert (method.encode(image, train[image].features) == codes).mean() > 0.8


def test_random_anchors_are_the_same_items_in_both_modalities():
    train = small_items(n=80)
    functions = SePH(anchors="random", n_anchors=20).fit(train, None, Context(bits=4)).functions_
    rows = []
    for modality, items in train.items():
        distances = (functions[modality].map.before(items.features)[:, None] - functions[modality].map.anchors) ** 2
        rows.append(distances.sum(axis=2).argmin(axis=0))
        np.testing.assert_allclose(distances.sum(axis=2).min(axis=0), 0, atol=1e-10)
    np.testing.assert_array_equal(*rows)


def test_never_takes_more_anchors_than_items():
    method = SePH().fit(small_items(n=12), None, Context(bits=4))
    assert {len(f.map.anchors) for f in method.functions_.values()} == {12}


def test_refuses_other_anchors():
    with pytest.raises(MethodError, match="neither kmeans nor random"):
        SePH(anchors="grid").fit(small_items(), None, Context(bits=4))


def test_takes_data_with_little_to_learn_from(caplog):
    with caplog.at_level(logging.WARNING):
        alone = SePH().fit(small_items(n=6, n_classes=6), None, Context(bits=4))
        one_class = SePH().fit(small_items(n=30, n_classes=1), None, Context(bits=4))
        two = SePH().fit(small_items(n=2), None, Context(bits=4))
    assert "no two training items share a label" in caplog.text
    assert "nothing to tell apart" in caplog.text
    for method in (alone, one_class, two):
        assert set(np.unique(method.encode_train("text"))) <= {-1, 1}


def test_items_without_labels_are_pushed_away_from_all():
    train = small_items(n=60)
    labels = train["image"].labels.copy()
    labels[:20] = 0
    altered = {m: Items(m, t.features, t.ids, t.instances, labels) for m, t in train.items()}
    method = SePH()
    H = method._relaxed_codes(labels[:, labels.any(axis=0)].astype(float), 16, Context(bits=16))
    distances = ((H[:, None] - H) ** 2).sum(axis=2)
    same = np.equal.outer(labels.argmax(axis=1), labels.argmax(axis=1))[20:, 20:]
    assert distances[:20, :20].sum() / (20 * 19) > 4 * distances[20:, 20:][same].mean()
    assert np.isfinite(method.fit(altered, None, Context(bits=16)).encode_train("image")).all()


@pytest.mark.parametrize("bits", LENGTHS[:2])
def test_agrees_with_the_reference_on_wiki(wiki, wiki_reference, bits):
    check_agreement(SePH, wiki, wiki_reference, "SePH_km", bits, seeds=3 if bits == 32 else 6)
