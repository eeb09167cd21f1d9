"""What shallow hashing methods share: designs, anchors, discrete steps, and the checks of their training pairs."""

import itertools
import logging
from dataclasses import replace

import numpy as np
import pytest
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.method import Context
from cmrbench_methods.blocks import design as design_module
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.discrete import coordinate_descent, procrustes
from cmrbench_methods.blocks.hashing import in_turn, shared_designs, training_pairs, uncentred_design
from cmrbench_methods.blocks.kernels import squared_distances
from cmrbench_methods.blocks.labels import shares_label, similar
from cmrbench_methods.blocks.maps import AnchorRule, Scaled, centres
from cmrbench_methods.supervised_hash.batch import BATCH


@pytest.fixture
def x(rng):
    return (rng.standard_normal((90, 7)) * np.arange(1, 8) + 3).astype(np.float32)


@pytest.fixture(params=["float64", "float32", "never held"])
def design(request, x, rng, monkeypatch):
    """A design as it is held for few items, for many, and for many that are only shifted."""
    if request.param != "float64":
        monkeypatch.setattr(design_module, "FEW", 0)
    before = Scaled.fit(x)
    return Design(x, before if request.param == "never held" else AnchorRule(20).fit(x, before, rng))


def test_products_of_a_design_are_those_of_its_rows(design, x, rng):
    phi = design.map(x)
    V, W = rng.standard_normal((90, 4)), rng.standard_normal((phi.shape[1], 4))
    close = {"rtol": 1e-4, "atol": 1e-5}  # float32 rows
    np.testing.assert_allclose(design.array(), phi, **close)
    np.testing.assert_allclose(design.dot(W), phi @ W, **close)
    np.testing.assert_allclose(design.cross(V), phi.T @ V, **close)
    np.testing.assert_allclose(design.gram, phi.T @ phi, **close)
    np.testing.assert_allclose(design.between(design), phi.T @ phi, **close)
    assert design.square_sum == pytest.approx((phi**2).sum(), rel=1e-4)
    assert len(design) == 90


def test_ridge_is_where_the_gradient_vanishes(design, rng):
    B, phi = rng.standard_normal((90, 3)), design.array()
    W = design.ridge(B, 0.7)
    np.testing.assert_allclose(phi.T @ (phi @ W - B) + 0.7 * W, 0, atol=1e-5)


def test_products_of_many_rows_are_taken_in_blocks(rng, monkeypatch):
    monkeypatch.setattr(design_module, "FEW", 0)
    x = rng.standard_normal((2 * design_module.ROWS + 7, 2)).astype(np.float32)
    design = Design.over_anchors(x, AnchorRule(5), Scaled.fit(x), rng)
    phi, V, W = design.map(x), rng.standard_normal((len(x), 3)), rng.standard_normal((5, 3))
    close = {"rtol": 1e-4, "atol": 1e-4}  # float32 rows
    np.testing.assert_allclose(design.dot(W), phi @ W, **close)
    np.testing.assert_allclose(design.cross(V), phi.T @ V, **close)
    np.testing.assert_allclose(design.gram, phi.T @ phi, **close)


@pytest.mark.parametrize("few", [0, 2**30])
def test_a_centred_kernel_in_one_pass_is_that_in_two(x, monkeypatch, few):
    monkeypatch.setattr(design_module, "FEW", few)
    rule, before = AnchorRule(15, constant=True), Scaled.fit(x)
    once = Design.over_anchors(x, rule, before, np.random.default_rng(1))
    twice = Design(x, rule.fit(x, before, np.random.default_rng(1)))
    np.testing.assert_allclose(once.array(), twice.array(), atol=1e-6)
    np.testing.assert_allclose(once.map(x), twice.map(x), atol=1e-6)


def test_widths_are_mean_squared_distances(x, rng):
    before = Scaled.fit(x)
    z = before(x)
    anchors = AnchorRule(20, width="anchors").fit(x, before, rng)
    assert anchors.gamma == pytest.approx(1 / (2 * squared_distances(z, anchors.anchors).mean()))
    assert AnchorRule(20, width="pairs").fit(x, before, rng).gamma == pytest.approx(1 / squared_distances(z, z).mean())
    assert AnchorRule(20, width=0.6).fit(x, before, rng).gamma == pytest.approx(1 / 0.72)


@pytest.mark.parametrize("choose", ["random", "kmeans"])
def test_more_anchors_than_items_are_all_items(x, rng, choose):
    kernel = AnchorRule(500, choose).fit(x, Scaled.fit(x), rng)
    assert len(np.unique(kernel.anchors, axis=0)) == len(kernel.anchors) == 90


def test_equal_items_have_a_kernel(rng):
    x = np.ones((30, 4), dtype=np.float32)
    for width in ("anchors", "pairs"):
        kernel = AnchorRule(5, width=width, centre=False).fit(x, Scaled.fit(x), rng)
        np.testing.assert_allclose(kernel(x), 1)


def test_centres_are_the_means_of_what_is_nearest(rng):
    rows = rng.standard_normal((200, 3)) + 8 * rng.integers(0, 3, (200, 1))
    found = centres(rows, 6, rng)
    nearest = squared_distances(rows, found).argmin(axis=1)
    for k in np.unique(nearest):
        np.testing.assert_allclose(found[k], rows[nearest == k].mean(axis=0))


def test_unknown_words_of_a_rule_are_refused(x, rng):
    for rule in (AnchorRule(5, "nearest"), AnchorRule(5, width="median")):
        with pytest.raises(MethodError, match=r"nearest|median"):
            rule.fit(x, Scaled.fit(x), rng)


def objective(B, Q, G):
    return np.trace(B @ G @ B.T) - 2 * np.trace(B @ Q.T)


def discrete_problem(rng, n=40, K=6):
    A = rng.standard_normal((K, K))
    return np.where(rng.random((n, K)) < 0.5, -1.0, 1.0), rng.standard_normal((n, K)), A @ A.T


def test_coordinate_descent_never_climbs_and_ends_where_no_single_bit_helps(rng):
    B, Q, G = discrete_problem(rng)
    values = [objective(coordinate_descent(B, Q, G, sweeps), Q, G) for sweeps in range(8)]
    assert all(b <= a + 1e-9 for a, b in itertools.pairwise(values))
    best = coordinate_descent(B, Q, G, 100)
    for i, k in itertools.product(range(len(B)), range(B.shape[1])):
        other = best.copy()
        other[i, k] *= -1
        assert objective(other, Q, G) >= objective(best, Q, G) - 1e-9


def test_coordinate_descent_solves_what_does_not_couple(rng):
    B, Q, _ = discrete_problem(rng)
    np.testing.assert_array_equal(coordinate_descent(B, Q, np.eye(6), 1), np.sign(Q))


def test_coordinate_descent_leaves_its_input_alone(rng):
    B, Q, G = discrete_problem(rng)
    before = B.copy()
    coordinate_descent(B, Q, G, 3)
    np.testing.assert_array_equal(B, before)


def test_procrustes_is_the_best_rotation(rng):
    M = rng.standard_normal((5, 5))
    R = procrustes(M)
    np.testing.assert_allclose(R.T @ R, np.eye(5), atol=1e-12)
    assert np.trace(R.T @ M) == pytest.approx(np.linalg.svd(M)[1].sum())


def test_label_products_need_no_square_matrix(rng):
    L = rng.integers(0, 2, (30, 5))
    B = rng.standard_normal((30, 4))
    np.testing.assert_allclose(similar(L, B), L @ L.T @ B)
    np.testing.assert_array_equal(shares_label(L, L), [[bool((a & b).any()) for b in L] for a in L])


def test_directions_are_used_again_in_turn(caplog):
    D = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(in_turn(D, 5, "m", Context()), D[:, [0, 1, 2, 0, 1]])
    assert "bits 4 to 5 repeat" in caplog.text
    caplog.clear()
    np.testing.assert_array_equal(in_turn(D, 2, "m", Context()), D[:, :2])
    assert not caplog.text
    with pytest.raises(MethodError, match="no direction"):
        in_turn(D[:, :0], 2, "m", Context())


def relabelled(train, labels):
    return {m: replace(items, labels=labels) for m, items in train.items()}


def test_what_limits_training_is_said(caplog):
    train = small_items(n=12)
    labels = train["image"].labels.copy()
    labels[:3] = 0
    training_pairs(BATCH(), relabelled(train, labels), Context(bits=12))
    assert "3 of 12 training items have no label" in caplog.text
    assert "12 bits were asked of 12 training items" in caplog.text
    one = np.zeros_like(labels)
    one[:, 1] = 1
    pairs = training_pairs(BATCH(), relabelled(train, one), Context(bits=4))
    assert "nothing to tell apart" in caplog.text
    assert pairs.L.shape == (12, 1), "labels that no item has are left out"


def test_an_ordinary_training_set_is_not_commented(caplog):
    with caplog.at_level(logging.WARNING):
        training_pairs(BATCH(), small_items(n=30), Context(bits=16))
    assert not caplog.records


def test_designs_are_made_once_for_all_code_lengths():
    memo, made, train = {}, [], small_items(n=30)

    def make(modality, features):
        made.append(modality)
        return uncentred_design(modality, features)

    first, again = (
        shared_designs(pairs, context, make)
        for context in (Context(bits=4, memo=memo), Context(bits=8, memo=memo))
        for pairs in [training_pairs(BATCH(), train, context)]
    )
    assert made == list(first) == ["image", "text"]
    for m, items in train.items():
        assert first[m] is again[m]
        np.testing.assert_array_equal(first[m].array(), items.features)


def test_designs_are_centred_unless_told_otherwise():
    context, train = Context(bits=4), small_items(n=30)
    for m, phi in shared_designs(training_pairs(BATCH(), train, context), context).items():
        centred = train[m].features.astype(np.float64) - train[m].features.mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(phi.array(), centred, atol=1e-12)


def test_what_cannot_be_learned_from_is_refused():
    train = small_items(n=12)
    swapped = train | {"text": train["text"].take(np.arange(12)[::-1])}
    cases = {
        "choose bits": (train, None),
        "same instances in the same order": (swapped, 8),
        "at least 2 training pairs": ({m: items.take(np.arange(1)) for m, items in train.items()}, 8),
        "none of the 12 training items has any": (relabelled(train, np.zeros((12, 3), dtype=np.uint8)), 8),
        "have none": ({m: items.without_labels() for m, items in train.items()}, 8),
    }
    for words, (items, bits) in cases.items():
        with pytest.raises(MethodError, match=words):
            training_pairs(BATCH(), items, Context(bits=bits))
