"""RFDH: every step of both stages against its objective, balance of the bits, and the reference numbers on wiki."""

import numpy as np
import pytest
from reference_rows import LENGTHS, check_agreement
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.method import Context
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.maps import Scaled
from cmrbench_methods.unsupervised_hash.rfdh import EPS, RFDH, Factor, balanced_bits, square_lengths

BITS = 6
GAMMA, R_EXPONENT = 0.5, 3.0


def fitted(rounds, variant="paper", n=41, **parameters):
    train = small_items(n=n, dims=(9, 6), noise=1.0)
    method = RFDH(variant=variant, gamma=GAMMA, r=R_EXPONENT, iterations=rounds, **parameters)
    return method.fit(train, None, Context(bits=BITS)), train


def residual_lengths(x, B, F):
    return np.sqrt(((x.astype(np.float64) - B @ F) ** 2).sum(axis=1) + EPS)


def objective(train, B, F, w):
    """The first objective of the class's docstring, for B (n, bits) in {0, 1}."""
    fit = sum(w[m] ** R_EXPONENT * residual_lengths(items.features, B, F[m]).sum() for m, items in train.items())
    return fit + GAMMA / 2 * sum((F[m] ** 2).sum() for m in train)


def state(method, train):
    B = (method.encode_train(next(iter(train))) + 1) / 2
    return B, method.bases_, method.weights_


def test_the_objective_does_not_increase_from_round_to_round():
    values = [objective(train, *state(method, train)) for method, train in (fitted(rounds) for rounds in range(1, 15))]
    assert (np.diff(values) <= 1e-9 * values[0]).all()
    assert values[3] < 0.99 * values[0]


def test_weights_minimise_over_the_simplex():
    h = np.array([7.0, 2.0])
    w = RFDH(r=R_EXPONENT)._weights(h)
    assert w.sum() == pytest.approx(1)
    for first in np.linspace(0, 1, 201):
        assert (w**R_EXPONENT) @ h <= np.array([first, 1 - first]) ** R_EXPONENT @ h + 1e-12


def test_the_released_code_gives_more_weight_to_what_fits_worse():
    np.testing.assert_allclose(RFDH("released", r=3.0)._weights(np.array([4.0, 1.0])), [2 / 3, 1 / 3])
    np.testing.assert_allclose(RFDH("paper", r=3.0)._weights(np.array([4.0, 1.0])), [1 / 3, 2 / 3])


def random_factors(rng, n=31):
    B = (rng.random((BITS, n)) > 0.5).astype(float)
    data = [rng.standard_normal((n, d)) for d in (5, 8)]
    factors = [Factor(X, square_lengths(X)) for X in (Design(x, Scaled.fit(x, centre=False)) for x in data)]
    weights = [rng.random(n) + 0.1 for _ in data]
    for factor, weight in zip(factors, weights, strict=True):
        factor.refit(B, 0.3, weight)
    return B, data, factors, weights


def weighted_error(B, data, factors, weights):
    return sum(
        (weight * ((x - B.T @ factor.F) ** 2).sum(axis=1)).sum()
        for x, factor, weight in zip(data, factors, weights, strict=True)
    )


def test_bases_minimise_the_weighted_squares(rng):
    B, data, factors, weights = random_factors(rng)
    for x, factor, weight in zip(data, factors, weights, strict=True):

        def loss(F, x=x, weight=weight):
            return (weight * ((x - B.T @ F) ** 2).sum(axis=1)).sum() + 0.3 * (F**2).sum()

        best = loss(factor.F)
        assert all(loss(factor.F + 1e-3 * rng.standard_normal(factor.F.shape)) > best for _ in range(20))
        np.testing.assert_allclose(factor.lengths, residual_lengths(x, B.T, factor.F), atol=1e-9)


def test_a_sweep_finds_the_best_balanced_row_of_every_bit(rng):
    """No exchange of a one and a zero of a bit lowers the error once a pass over the bits changes nothing."""
    for _ in range(5):
        B, data, factors, weights = random_factors(rng)
        before = weighted_error(B, data, factors, weights)
        for _ in range(6):
            balanced_bits(B, factors, weights)
        best = weighted_error(B, data, factors, weights)
        assert (B.sum(axis=1) == 16).all()
        assert best < before
        for k in range(BITS):
            for one in np.flatnonzero(B[k] == 1):
                for zero in np.flatnonzero(B[k] == 0):
                    B[k, one], B[k, zero] = 0, 1
                    assert weighted_error(B, data, factors, weights) >= best - 1e-9
                    B[k, one], B[k, zero] = 1, 0


def test_updated_products_are_those_of_the_residuals(rng):
    B, data, factors, weights = random_factors(rng)
    balanced_bits(B, factors, weights)
    for x, factor in zip(data, factors, strict=True):
        np.testing.assert_allclose(factor.C, factor.F @ (x - B.T @ factor.F).T, atol=1e-10)


@pytest.mark.parametrize("n", [2, 41, 60])
@pytest.mark.parametrize("variant", ["paper", "released"])
def test_bits_are_balanced_and_shared_by_a_pair(n, variant):
    method, train = fitted(5, variant, n=n)
    image, text = train
    codes = method.encode_train(image)
    np.testing.assert_array_equal(codes, method.encode_train(text))
    np.testing.assert_array_equal((codes == 1).sum(axis=0), (n + 1) // 2)


def test_hash_functions_follow_the_codes_of_separated_classes():
    train = small_items(n=120, n_classes=6, noise=0.1)
    method = RFDH().fit(train, None, Context(bits=8))
    for m, items in train.items():
        assert (method.encode(m, items.features) == method.encode_train(m)).mean() > 0.85, m


def test_hash_functions_minimise_their_objective(rng, monkeypatch):
    """At the end of many rounds no small move of R, P_m or u_m lowers it, for the T that is best for them."""
    monkeypatch.setattr("cmrbench_methods.unsupervised_hash.rfdh.ROUNDS", 3000)
    seen = {}
    keep = RFDH._hash_functions

    def hash_functions(self, designs, B, context):
        seen.update(B=B, X={m: X.array() for m, X in designs.items()})
        return keep(self, designs, B, context)

    monkeypatch.setattr(RFDH, "_hash_functions", hash_functions)
    eta = 2.0
    method, _ = fitted(3, eta=eta)
    B, X = seen["B"], seen["X"]

    def value(R, P, u):
        Z = {m: X[m] @ P[m] - u[m] for m in X}
        T = np.linalg.solve(eta * R.T @ R + len(X) * np.eye(BITS), (sum(Z.values()) + eta * B @ R).T).T
        fit = sum(((Z[m] - T) ** 2).sum() + GAMMA * (P[m] ** 2).sum() for m in X)
        return fit + eta * (((B - T @ R.T) ** 2).sum() + GAMMA * (R**2).sum())

    R, P, u = method.rotation_, method.projections_, method.offsets_
    best = value(R, P, u)
    for _ in range(20):
        assert value(R + 1e-4 * rng.standard_normal(R.shape), P, u) >= best - 1e-9
        assert value(R, {m: p + 1e-4 * rng.standard_normal(p.shape) for m, p in P.items()}, u) >= best - 1e-9
        assert value(R, P, {m: t + 1e-4 * rng.standard_normal(t.shape) for m, t in u.items()}) >= best - 1e-9
    for m, function in method.functions_.items():
        np.testing.assert_allclose(function.values(X[m]), (X[m] @ P[m] - u[m]) @ R.T, atol=1e-9)


def test_refuses_what_it_cannot_work_with():
    train = small_items(n=20)
    for bad in ({"variant": "code"}, {"r": 1.0}, {"gamma": 0.0}, {"eta": 0.0}):
        with pytest.raises(MethodError, match="rfdh"):
            RFDH(**bad).fit(train, None, Context(bits=4))
    flat = {m: type(i)(m, np.full_like(i.features, 0.1), i.ids, i.instances, i.labels) for m, i in train.items()}
    with pytest.raises(MethodError, match="image features of the training items are the same"):
        RFDH().fit(train | {"image": flat["image"]}, None, Context(bits=4))


@pytest.mark.parametrize("bits", LENGTHS)
def test_the_released_variant_agrees_with_the_reference_on_wiki(wiki, wiki_reference, bits):
    check_agreement(lambda: RFDH(variant="released"), wiki, wiki_reference, "RFDH", bits)
