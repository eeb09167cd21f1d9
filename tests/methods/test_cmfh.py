"""CMFH: each step against the objective as it is written, the two variants, and the reference numbers on wiki."""

import logging

import numpy as np
import pytest
from minima import is_minimum
from reference_rows import LENGTHS, check_agreement
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.method import Context
from cmrbench_methods.blocks.collective import CollectiveFactors, CollectiveWeights, JointGram
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.linear import solve_positive
from cmrbench_methods.blocks.maps import Scaled
from cmrbench_methods.unsupervised_hash.cmfh import CMFH

WEIGHTS = CollectiveWeights(fit=(0.3, 0.7), tie=(5.0, 2.0), gamma=0.2)


def written_out(X, weights, V, U, P):
    """The objective, term by term, of features X, factor V and both modalities' U and P."""
    total = weights.gamma * (V**2).sum()
    for x, a, b, u, p in zip(X, weights.fit, weights.tie, U, P, strict=True):
        total += a * ((x - V @ u) ** 2).sum() + b * ((V - x @ p) ** 2).sum()
        total += weights.gamma * ((u**2).sum() + (p**2).sum())
    return total


@pytest.fixture
def started(rng):
    """Centred features, and a factorisation two rounds in."""
    X = [rng.standard_normal((40, d)) * np.linspace(0.5, 2, d) + 1 for d in (9, 6)]
    designs = [Design(x, Scaled.fit(x)) for x in X]
    factors = CollectiveFactors(JointGram(*designs), WEIGHTS, 5, rng)
    for _ in range(2):
        factors.update_U()
        factors.update_V()
        factors.update_P()
    return [d.array() for d in designs], factors


def test_every_step_finds_the_minimum_of_the_objective(started, rng):
    X, factors = started
    factors.update_U()
    A = factors.combination()
    V = factors.factor(A)
    U, P = factors.dictionaries(), factors.predictors()
    assert is_minimum(lambda v: written_out(X, WEIGHTS, v, U, P), V, rng)
    factors.update_V()
    factors.update_P()
    P = factors.predictors()
    for m in (0, 1):
        assert is_minimum(
            lambda p, m=m, V=V: written_out(X, WEIGHTS, V, U, [p if k == m else P[k] for k in (0, 1)]), P[m], rng
        )
    factors.update_U()
    U = factors.dictionaries()
    for m in (0, 1):
        assert is_minimum(
            lambda u, m=m, V=V: written_out(X, WEIGHTS, V, [u if k == m else U[k] for k in (0, 1)], P), U[m], rng
        )


def test_the_objective_from_gram_matrices_is_the_one_written_out(started):
    X, factors = started
    A = factors.combination()
    factors.update_V()
    expected = written_out(X, WEIGHTS, factors.factor(A), factors.dictionaries(), factors.predictors())
    assert factors.objective() == pytest.approx(expected, rel=1e-10)


def test_the_objective_falls_with_every_step(started):
    _, factors = started
    last = factors.objective()
    for _ in range(30):
        for step in (factors.update_U, factors.update_V, factors.update_P):
            step()
            value = factors.objective()
            assert value <= last * (1 + 1e-12)
            last = value


def released_code(X, Y, K, rng, mu=100.0, gamma=0.01):
    """The released code's 25 rounds, a line each, on centred features."""
    V = rng.random((len(X), K))
    W = [rng.random((x.shape[1], K)) for x in (X, Y)]
    for _ in range(25):
        U = [np.linalg.solve(V.T @ V + gamma * np.eye(K), V.T @ x) for x in (X, Y)]
        left = 0.5 * sum(u @ u.T + (mu + gamma) * np.eye(K) for u in U)
        V = 0.5 * sum(x @ (u.T + mu * w) for x, u, w in zip((X, Y), U, W, strict=True)) @ np.linalg.inv(left)
        W = [np.linalg.solve(mu * (mu * x.T @ x + gamma * np.eye(x.shape[1])), x.T @ V) for x in (X, Y)]
    return V, W


def test_released_makes_the_rounds_of_the_released_code():
    train = small_items(n=80, dims=(12, 7), noise=1.0)
    method = CMFH("released").fit(train, None, Context(bits=6))
    X, Y = (items.features.astype(np.float64) for items in train.values())
    _, expected = released_code(X - X.mean(axis=0), Y - Y.mean(axis=0), 6, Context(bits=6).rng("cmfh"))
    for (m, function), W in zip(method.functions_.items(), expected, strict=True):
        np.testing.assert_allclose(function.weights, W, rtol=1e-6, atol=1e-12, err_msg=m)


def test_learned_codes_are_the_sign_of_the_best_factor(rng):
    train = small_items(n=50)
    method = CMFH(alpha=0.4, mu=10.0).fit(train, None, Context(bits=5))
    codes = method.encode_train("image")
    np.testing.assert_array_equal(codes, method.encode_train("text"))
    assert codes.dtype == np.int8
    own = method.encode("image", train["image"].features)
    assert (codes == own).mean() > 0.9


def test_the_predictors_predict_the_factor_in_paper_only():
    train = small_items(n=60)
    size = {}
    for variant in ("paper", "released"):
        method = CMFH(variant, iterations=25).fit(train, None, Context(bits=4))
        function = method.functions_["image"]
        size[variant] = np.abs(function.values(train["image"].features)).mean()
    assert size["released"] < 1e-3 * size["paper"]


def test_ending_before_convergence_is_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        CMFH(iterations=3).fit(small_items(), None, Context(bits=4))
    assert "round 3, the last" in caplog.text
    caplog.clear()
    CMFH(tolerance=1.0).fit(small_items(), None, Context(bits=4))
    assert not caplog.text


def test_bad_input():
    with pytest.raises(MethodError, match="neither paper nor released"):
        CMFH("other").fit(small_items(), None, Context(bits=4))
    with pytest.raises(MethodError, match="at least 2"):
        CMFH().fit(small_items(n=1), None, Context(bits=4))


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_two_pairs_give_codes_and_constant_features_are_refused(variant):
    train = small_items(n=2)
    codes = CMFH(variant).fit(train, None, Context(bits=6)).encode("image", train["image"].features)
    assert set(np.unique(codes)) <= {-1, 1}
    flat = {m: type(i)(m, np.ones_like(i.features), i.ids, i.instances) for m, i in small_items(n=9).items()}
    with pytest.raises(MethodError, match="same ones"):
        CMFH(variant).fit(flat, None, Context(bits=6))


def test_solving_with_a_singular_matrix_gives_the_least_norm(rng):
    half = rng.standard_normal((6, 3))
    A, right = half @ half.T, half @ rng.standard_normal((3, 2))
    np.testing.assert_allclose(solve_positive(A, right), np.linalg.pinv(A) @ right, atol=1e-8)
    np.testing.assert_allclose(solve_positive(A, right, 0.5), np.linalg.solve(A + 0.5 * np.eye(6), right), atol=1e-10)


@pytest.mark.parametrize("bits", LENGTHS)
def test_agrees_with_the_reference_on_wiki(wiki, wiki_reference, bits):
    check_agreement(lambda: CMFH("released"), wiki, wiki_reference, "CMFH", bits)
