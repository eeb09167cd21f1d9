"""OCMFH: the steps on a chunk against the objective over all chunks, the sums, the released rounds, and chunks."""

import logging

import numpy as np
import pytest
from minima import is_minimum
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.method import Context
from cmrbench_methods.unsupervised_hash.ocmfh import OCMFH

BITS = 4


def chunks(n=3, size=40):
    """Chunks of one stream, whose means differ."""
    found = []
    for k in range(n):
        part = small_items(n=size, dims=(9, 6), noise=1.0, seed=k)
        found.append({m: type(i)(m, i.features + 0.3 * k, i.ids, i.instances) for m, i in part.items()})
    return found


def two_chunks(**parameters):
    """A method that has learned from one chunk, its state then, and its state after the second."""
    first, second = chunks(2)
    method = OCMFH(lam=0.3, mu=5.0, gamma=0.2, **parameters).partial_fit(first, Context(bits=BITS))
    before = method.state_
    return before, method.partial_fit(second, Context(bits=BITS)).state_, method, [first, second]


def centred(part, means):
    return [items.features - mean for items, mean in zip(part.values(), means, strict=True)]


def objective(data, V, U, P, lam=0.3, mu=5.0, gamma=0.2):
    """The objective over chunks that are each centred as they were when they came."""
    total = 0.0
    for X, v in zip(data, V, strict=True):
        total += gamma * (v**2).sum()
        for x, a, u, p in zip(X, (lam, 1 - lam), U, P, strict=True):
            total += a * ((x - v @ u) ** 2).sum() + mu * ((v - x @ p) ** 2).sum()
    return total + gamma * sum((m**2).sum() for m in (*U, *P))


def test_predictors_are_the_best_over_all_chunks(rng):
    before, after, _, (first, second) = two_chunks()
    data = [centred(first, before.means), centred(second, after.means)]
    V = [before.V, after.V[len(before.V) :]]
    for m in (0, 1):

        def value(p, m=m):
            return objective(data, V, after.U, [p if k == m else after.P[k] for k in (0, 1)])

        assert is_minimum(value, after.P[m], rng)


def test_more_rounds_lower_the_objective_over_all_chunks():
    values = []
    for rounds in range(1, 12):
        before, after, _, (first, second) = two_chunks(iterations=rounds)
        data = [centred(first, before.means), centred(second, after.means)]
        values.append(objective(data, [before.V, after.V[len(before.V) :]], after.U, after.P))
    assert (np.diff(values) <= 1e-9 * values[0]).all()
    assert values[-1] < values[0]


def test_sums_are_those_of_all_chunks():
    before, after, _, (first, second) = two_chunks()
    data = [centred(first, before.means), centred(second, after.means)]
    V = [before.V, after.V[len(before.V) :]]
    np.testing.assert_allclose(after.VV, sum(v.T @ v for v in V), rtol=1e-9)
    for m, sums in enumerate(after.sums):
        np.testing.assert_allclose(sums.XX, sum(X[m].T @ X[m] for X in data), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(sums.XV, sum(X[m].T @ v for X, v in zip(data, V, strict=True)), rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(sums.VX, sums.XV.T)


def test_means_are_those_of_all_items():
    _, after, method, parts = two_chunks()
    for mean, m in zip(after.means, method.dims_, strict=True):
        np.testing.assert_allclose(mean, np.concatenate([p[m].features for p in parts]).mean(axis=0), atol=1e-5)


def test_the_old_factor_follows_the_dictionaries(rng):
    """V of old items is the one with which the new dictionaries reproduce best what the old ones did."""
    before, after, _, _ = two_chunks()
    old, new = (np.hstack([0.3 * U[0], 0.7 * U[1]]) for U in (before.U, after.U))
    target = before.V @ old

    def value(V):
        return ((V @ new - target) ** 2).sum() + 0.2 * (V**2).sum()

    assert is_minimum(value, after.V[: len(before.V)], rng)


def released_code(X, U, P, V, first, rounds, lam=0.3, mu=5.0, gamma=0.2):
    """The released code's rounds on a second chunk X, items in columns as there, after the first chunk `first`."""
    x, first, H = [z.T for z in X], [z.T for z in first], V.T
    U, P = [u.T for u in U], [p.T for p in P]
    W, F = [f @ H.T for f in first], [H @ f.T for f in first]
    HH, G = H @ H.T, [f @ f.T + gamma * np.eye(len(f)) for f in first]
    eye = np.eye(len(HH))

    def factor():
        left = lam * U[0].T @ U[0] + (1 - lam) * U[1].T @ U[1] + (2 * mu + gamma) * eye
        right = lam * U[0].T @ x[0] + (1 - lam) * U[1].T @ x[1] + mu * (P[0] @ x[0] + P[1] @ x[1])
        return np.linalg.solve(left, right)

    h = factor()
    for _ in range(rounds):
        HH = HH + h @ h.T
        W = [w + z @ h.T for w, z in zip(W, x, strict=True)]
        U = [w @ np.linalg.inv(HH) for w in W]
        h = factor()
        F = [f + h @ z.T for f, z in zip(F, x, strict=True)]
        G = [g + z @ z.T for g, z in zip(G, x, strict=True)]
        P = [f @ np.linalg.inv(g) for f, g in zip(F, G, strict=True)]
    return [u.T for u in U], [p.T for p in P], h.T


def test_released_makes_the_rounds_of_the_released_code():
    before, after, method, (first, second) = two_chunks(variant="released", iterations=3)
    U, P, V = released_code(
        centred(second, after.means), before.U, before.P, before.V, centred(first, before.means), rounds=3
    )
    for m in (0, 1):
        np.testing.assert_allclose(after.U[m], U[m], rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(after.P[m], P[m], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(after.V[len(before.V) :], V, rtol=1e-6, atol=1e-8)
    assert not method.functions_["image"].map.mean.any()


def test_fit_is_a_loop_over_chunks_and_keeps_the_order_of_the_items():
    train = small_items(n=90, dims=(9, 6))
    context = Context(bits=BITS)
    method = OCMFH(chunk=30).fit(train, None, context)
    order = context.rng("order").permutation(90)
    by_hand = OCMFH()
    for k in range(3):
        by_hand.partial_fit({m: i.take(order[30 * k : 30 * k + 30]) for m, i in train.items()}, context)
    np.testing.assert_array_equal(method.encode_train("image")[order], by_hand.encode_train("image"))
    for m, items in train.items():
        np.testing.assert_array_equal(method.encode(m, items.features), by_hand.encode(m, items.features))


def test_chunks_may_follow_a_fit():
    train = small_items(n=90, dims=(9, 6))
    method = OCMFH(chunk=30).fit(train, None, Context(bits=BITS))
    before = method.encode_train("text")
    method.partial_fit(small_items(n=20, dims=(9, 6), seed=5), Context(bits=BITS))
    assert method.encode_train("text").shape == (110, BITS)
    assert (method.encode_train("text")[:90] == before).mean() > 0.9


def test_learned_codes_agree_with_those_of_the_hash_function_for_old_chunks_too():
    train = small_items(n=120, dims=(9, 6), noise=0.3)
    method = OCMFH(chunk=30).fit(train, None, Context(bits=BITS))
    for m, items in train.items():
        assert (method.encode(m, items.features) == method.encode_train(m)).mean() > 0.85


def test_a_refused_chunk_leaves_the_state_as_it_was():
    first, second, _ = chunks()
    method = OCMFH().partial_fit(first, Context(bits=BITS))
    state = method.state_
    empty = {m: i.take(np.arange(0)) for m, i in second.items()}
    with pytest.raises(MethodError, match="empty chunk"):
        method.partial_fit(empty, Context(bits=BITS))
    with pytest.raises(MethodError, match="4 bits"):
        method.partial_fit(second, Context(bits=8))
    with pytest.raises(MethodError, match="columns"):
        method.partial_fit(small_items(n=20, dims=(9, 5)), Context(bits=BITS))
    assert method.state_ is state
    method.partial_fit({m: i.take(np.arange(1)) for m, i in second.items()}, Context(bits=BITS))
    assert method.state_.count == 41


def test_bad_input(caplog):
    with pytest.raises(MethodError, match="neither paper nor released"):
        OCMFH("other").fit(small_items(), None, Context(bits=BITS))
    with pytest.raises(MethodError, match="empty chunk"):
        OCMFH().partial_fit({}, Context(bits=BITS))
    with caplog.at_level(logging.WARNING):
        OCMFH(first_iterations=2).fit(small_items(), None, Context(bits=BITS))
    assert "round 2, the last on the first chunk" in caplog.text


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_more_bits_than_columns_and_chunks_of_two(variant):
    train = small_items(n=9, dims=(3, 2))
    method = OCMFH(variant, chunk=2).fit(train, None, Context(bits=16))
    for m, items in train.items():
        assert set(np.unique(method.encode(m, items.features))) <= {-1, 1}
        assert method.encode_train(m).shape == (9, 16)


def test_one_chunk_and_many_find_like_codes_on_wiki(wiki):
    """There are no reference numbers; learning in chunks must cost little against learning at once."""
    from reference_rows import TEST_VS_TRAIN, measure

    whole, parts = (measure(OCMFH(chunk=size), wiki, Context(bits=32), TEST_VS_TRAIN) for size in (0, 500))
    for key, value in whole.items():
        assert parts[key] > value - 0.03, key
        assert parts[key] > 0.2, key
