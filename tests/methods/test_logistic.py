"""Batched kernel logistic regression against Newton's method for each bit, and the bound that it preconditions by."""

from dataclasses import replace

import numpy as np
import pytest
from small_items import small_items

from cmrbench.method import Context
from cmrbench_methods.blocks.hashing import training_pairs
from cmrbench_methods.blocks.kernels import rbf
from cmrbench_methods.blocks.logistic import (
    LogisticDesign,
    LogisticRule,
    logistic_weights,
    preconditioner,
    shared_logistic_designs,
    sigmoid,
)
from cmrbench_methods.supervised_hash.seph import SePH

C = LogisticRule().penalty


def problem(rng, n=150, anchors=40, bits=6, width=0.2):
    x = rng.standard_normal((n, 5))
    directions = rng.standard_normal((5, bits))
    codes = np.where(x @ directions + rng.standard_normal((n, bits)) >= 0, 1.0, -1.0)
    picked = x[:anchors]
    return rbf(x, picked, width), rbf(picked, picked, width), codes


def loss(K, K0, codes, W):
    return np.logaddexp(0, -codes * (K @ W)).sum(axis=0) + C * (W * (K0 @ W)).sum(axis=0)


def by_newton(K, K0, b):
    """One bit with full Newton steps from zero, damped until the loss falls."""
    w = np.zeros(K.shape[1])
    for _ in range(100):
        p = sigmoid(-b * (K @ w))
        gradient = -K.T @ (b * p) + 2 * C * K0 @ w
        hessian = (K * (p * (1 - p))[:, None]).T @ K + 2 * C * K0
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        size, before = 1.0, loss(K, K0, b, w)
        while loss(K, K0, b, w - size * step) > before and size > 1e-6:
            size /= 2
        w = w - size * step
    return w


@pytest.mark.parametrize("width", [0.05, 0.5], ids=["wide kernel", "narrow kernel"])
def test_finds_the_minimum_of_every_bit(rng, caplog, width):
    K, K0, codes = problem(rng, width=width)
    W = logistic_weights(K, K0, codes, Context())
    best = np.array([loss(K, K0, b, by_newton(K, K0, b)) for b in codes.T])
    np.testing.assert_allclose(loss(K, K0, codes, W), best, rtol=1e-6)
    assert not caplog.records


def test_anchors_that_coincide_change_nothing(rng):
    K, K0, codes = problem(rng)
    twice = np.r_[np.arange(40), np.arange(10)]
    once, again = (logistic_weights(k, k0, codes, Context()) for k, k0 in ((K, K0), (K[:, twice], K0[twice][:, twice])))
    assert np.isfinite(again).all()
    np.testing.assert_allclose(K[:, twice] @ again, K @ once, atol=0.02)


def test_the_coordinates_bound_the_curvature_by_one(rng):
    K, K0, _ = problem(rng)
    T, c = preconditioner(K, K0, C)
    features = K @ T
    np.testing.assert_allclose(features.T @ features / 4 + np.diag(2 * c[:, 0]), np.eye(T.shape[1]), atol=1e-8)
    np.testing.assert_allclose(C * T.T @ K0 @ T, np.diag(c[:, 0]), atol=1e-8)


def test_stopping_early_is_a_warning(rng, caplog):
    logistic_weights(*problem(rng), Context(), LogisticRule(iterations=2))
    assert "stopped after 2 steps before it converged" in caplog.text


def test_the_sigmoid_does_not_overflow():
    np.testing.assert_array_equal(sigmoid(np.array([-1000.0, 0.0, 1000.0])), [0, 0.5, 1])


def test_a_hash_function_has_the_weights_over_its_anchors(rng):
    x = rng.standard_normal((80, 4)).astype(np.float32) + 3
    codes = np.where(x[:, :3] > 3, 1.0, -1.0)
    design = LogisticDesign.fit(x, np.random.default_rng(1), 20)
    z = x - x.mean(axis=0, dtype=np.float64)
    gamma = 1 / ((z[:, None] - z[None]) ** 2).sum(axis=-1).mean()
    anchors = z[np.sort(np.random.default_rng(1).choice(80, 20, replace=False))]
    K, K0 = rbf(z, anchors, gamma), rbf(anchors, anchors, gamma)
    np.testing.assert_allclose(design.phi.array(), K, atol=1e-12)
    np.testing.assert_allclose(design.K0, K0, atol=1e-12)
    values = design.hash_function(codes, 0.1, Context(bits=3)).values(x)
    W = logistic_weights(K, K0, codes, Context(bits=3), LogisticRule(0.1))
    np.testing.assert_allclose(values, K @ W, atol=1e-3)


def test_random_anchors_are_the_same_items_in_both_modalities():
    train, context = small_items(n=60, dims=(5, 5)), Context(bits=4)
    train["text"] = replace(train["text"], features=train["image"].features)
    pairs = training_pairs(SePH(), train, context)
    for choose, same in (("random", True), ("kmeans", False)):
        designs = shared_logistic_designs(pairs, Context(bits=4), 10, choose)
        first, second = (d.phi.map.anchors for d in designs.values())
        assert np.array_equal(first, second) == same
    plain = shared_logistic_designs(pairs, Context(bits=4), 10, centre=False)["image"].phi.map
    assert np.isin(plain.anchors.astype(np.float32), pairs.X).all()
