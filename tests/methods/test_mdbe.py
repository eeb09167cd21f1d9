"""MDBE: each step against what it minimises, the code's rounds written out, and the reference numbers on wiki."""

import numpy as np
import pytest
from minima import is_minimum
from reference_rows import LENGTHS, check_agreement
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench_methods.supervised_hash.mdbe import MDBE, Embedding, View


@pytest.fixture
def problem(rng):
    """Centred features, overlapping labels, and an embedding two rounds in."""
    X = [rng.standard_normal((50, d)) for d in (8, 5)]
    X = [x - x.mean(axis=0) for x in X]
    L = (rng.random((50, 4)) < 0.4).astype(float)
    embedding = Embedding(
        MDBE(lam=0.3, beta=2.0, gamma=0.5), [View(x.T @ x, x.T @ L, np.eye(x.shape[1])) for x in X], L.T @ L
    )
    embedding.start(6, rng)
    for _ in range(2):
        embedding.update_D()
        embedding.update_W()
        embedding.update_P()
    return X, L, embedding


def test_every_step_finds_its_minimum(problem, rng):
    X, L, e = problem

    def apart(D):
        return sum(w * ((x @ P - L @ D) ** 2).sum() for w, x, P in zip((0.3, 0.7), X, e.P, strict=True))

    e.update_D()
    assert is_minimum(apart, e.D, rng)
    e.update_W()
    for x, P, W in zip(X, e.P, e.W, strict=True):
        assert is_minimum(lambda w, x=x, P=P: ((L - x @ P @ w) ** 2).sum() + 0.5 * (w**2).sum(), W, rng)
    e.update_P()
    for x, P, W in zip(X, e.P, e.W, strict=True):

        def told(p, x=x, W=W):
            ridge = 0.5 * (((p @ W) ** 2).sum() + 2.0 * (p**2).sum())
            return ((L - x @ p @ W) ** 2).sum() + 2.0 * ((x @ p - L @ e.D) ** 2).sum() + ridge

        assert is_minimum(told, P, rng)


def test_the_sum_of_norms_is_the_one_written_out(problem):
    X, L, e = problem
    expected = 0.0
    for weight, x, P, W in zip((0.3, 0.7), X, e.P, e.W, strict=True):
        norms = np.linalg.norm(L - x @ P @ W) + 2.0 * np.linalg.norm(L @ e.D - x @ P) + 0.5 * np.linalg.norm(W)
        expected += weight * norms
    assert e.norms() == pytest.approx(expected, rel=1e-9)


def released_code(X, L, K, rng, rounds, lam=0.5, beta=100.0, gamma=0.001):
    """The code's rounds, items in columns as there."""
    x, L = [z.T for z in X], L.T
    P = [rng.random((len(z), K)).T for z in x]
    for _ in range(rounds):
        D = (lam * P[0] @ x[0] @ L.T + (1 - lam) * P[1] @ x[1] @ L.T) @ np.linalg.inv(L @ L.T)
        W = [L @ z.T @ p.T @ np.linalg.inv(p @ z @ z.T @ p.T + gamma * np.eye(K)) for z, p in zip(x, P, strict=True)]
        P = [
            np.linalg.solve(w.T @ w + beta * np.eye(K), w.T @ L @ z.T + beta * D @ L @ z.T)
            @ np.linalg.inv(z @ z.T + gamma * np.eye(len(z)))
            for z, w in zip(x, W, strict=True)
        ]
    return D, P


def test_makes_the_rounds_of_the_released_code():
    train = small_items(n=60, dims=(12, 7), noise=1.0)
    X = [items.features - items.features.astype(np.float64).mean(axis=0) for items in train.values()]
    L = train["image"].labels.astype(float)
    method = MDBE(tolerance=-1e9, iterations=5).fit(train, None, Context(bits=6))
    D, P = released_code(X, L, 6, Context(bits=6).rng("mdbe"), rounds=5)
    for function, expected in zip(method.functions_.values(), P, strict=True):
        np.testing.assert_allclose(function.weights, expected.T, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(method.encode_train("text"), np.where(L @ D.T >= 0, 1, -1))


def test_images_are_reduced_to_their_principal_components():
    train = small_items(n=80, dims=(12, 7), noise=1.0)
    x = train["image"].features.astype(np.float64)
    _, _, directions = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    outside = {}
    for components in (4, 0):
        method = MDBE(components=components).fit(train, None, Context(bits=6))
        outside[components] = np.abs(directions[4:] @ method.functions_["image"].weights).max()
    assert outside[4] < 1e-12 < 1e-4 < outside[0]


def test_items_with_the_same_labels_share_a_learned_code():
    data = make_synthetic(n_train=200, classes=5, multilabel=True, noise=0.5, seed=3)
    train = data.part("train")
    method = MDBE().fit(train, None, Context(bits=16))
    codes, labels = method.encode_train("image"), train["image"].labels
    for code, label in zip(codes[:20], labels[:20], strict=True):
        same = (labels == label).all(axis=1)
        assert (codes[same] == code).all()


def test_labels_that_depend_on_each_other_and_rows_without(rng):
    train = small_items(n=40)
    twice = {
        m: type(i)(m, i.features, i.ids, i.instances, np.hstack([i.labels, i.labels[:, :1]])) for m, i in train.items()
    }
    for items in twice.values():
        labels = items.labels.copy()
        labels[:5] = 0
        object.__setattr__(items, "labels", labels)
    method = MDBE().fit(twice, None, Context(bits=8))
    assert np.isfinite(method.functions_["image"].weights).all()
    assert (method.encode_train("image")[:5] == 1).all()


def test_a_single_class_is_refused():
    with pytest.raises(MethodError, match="one and the same code"):
        MDBE().fit(small_items(n=20, n_classes=1), None, Context(bits=4))


def test_bad_input(caplog):
    with pytest.raises(MethodError, match="at least 2"):
        MDBE().fit(small_items(n=1), None, Context(bits=4))
    MDBE(iterations=2).fit(small_items(), None, Context(bits=4))
    assert "round 2, the last" in caplog.text
    train = small_items(n=2)
    assert MDBE().fit(train, None, Context(bits=6)).encode("image", train["image"].features).shape == (2, 6)


@pytest.mark.parametrize("bits", LENGTHS)
def test_agrees_with_the_reference_on_wiki(wiki, wiki_reference, bits):
    check_agreement(MDBE, wiki, wiki_reference, "MDBE", bits)
