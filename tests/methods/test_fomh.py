"""FOMH: every update attains the minimum of its part of the Lagrangian, and chunks keep their codes."""

import numpy as np
import pytest
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench_methods.blocks.linear import signs
from cmrbench_methods.blocks.online import chunk_rows
from cmrbench_methods.supervised_hash.fomh import FOMH, GramSum, similar, weights_of

N, K, C = 20, 5, 4


def rows_of(items, rows):
    return {m: i.take(rows) for m, i in items.items()}


class Lagrangian:
    """The objective of the docstring and its augmented Lagrangian, spelt out with S (n, n)."""

    def __init__(self, rng, alpha=0.02, beta=0.3, gamma=0.1, rho=0.4):
        self.method = FOMH(alpha=alpha, beta=beta, gamma=gamma, rho=rho)
        self.L = (rng.random((N, C)) < 0.4).astype(float)
        self.S = 2 * self.L @ self.L.T - 1
        self.phi = [rng.standard_normal((N, m)) for m in (7, 9)]
        self.B, self.Z = (signs(rng.standard_normal((N, K))) for _ in range(2))
        self.D, self.T = (rng.standard_normal((N, K)) for _ in range(2))
        self.W = [0.15 * rng.standard_normal((phi.shape[1], K)) for phi in self.phi]
        self.mu = [0.3, 0.7]

    def objective(self, B, D, W, mu):
        m = self.method
        fit = sum(((B - phi @ w) ** 2).sum() / share for phi, w, share in zip(self.phi, W, mu, strict=True))
        similarity = ((B @ D.T - K * self.S) ** 2).sum()
        ridge = sum((w**2).sum() for w in W)
        return fit + m.alpha * similarity + m.beta * ((B - D) ** 2).sum() + m.gamma * ridge

    def split(self, B, Z):
        """The Lagrangian in B and its copy Z: the term of alpha that is quadratic in B becomes bilinear."""
        m = self.method
        pull = sum(phi @ w / share for phi, w, share in zip(self.phi, self.W, self.mu, strict=True))
        bilinear = m.alpha * np.trace(Z @ (self.D.T @ self.D) @ B.T)
        linear = -2 * (B * (pull + m.alpha * K * self.S @ self.D + m.beta * self.D)).sum()
        return bilinear + linear + (self.T * (B - Z)).sum() + m.rho / 2 * ((B - Z) ** 2).sum()

    def pull(self):
        return sum(phi @ w / share for phi, w, share in zip(self.phi, self.W, self.mu, strict=True))


@pytest.fixture
def case(rng):
    return Lagrangian(rng)


def test_the_split_is_the_objective_where_the_copy_agrees(case, rng):
    """Up to constants: for two B, the differences of objective and Lagrangian are the same at Z = B."""
    others = [signs(rng.standard_normal((N, K))) for _ in range(2)]
    objective = [case.objective(B, case.D, case.W, case.mu) for B in others]
    split = [case.split(B, B) for B in others]
    assert objective[0] - objective[1] == pytest.approx(split[0] - split[1])


def flips(codes):
    for entry in np.ndindex(codes.shape):
        other = codes.copy()
        other[entry] *= -1
        yield other


def test_codes_and_their_copy_are_the_best(case):
    best = case.method.codes(case.L, case.pull(), (case.D, case.Z, case.T))
    assert all(case.split(other, case.Z) >= case.split(best, case.Z) for other in flips(best))
    best = case.method.copy(case.B, case.D, case.T)
    assert all(case.split(case.B, other) >= case.split(case.B, best) for other in flips(best))


def test_the_substitute_is_the_best(case, rng):
    best = case.method.substitute(case.L, case.B)
    lowest = case.objective(case.B, best, case.W, case.mu)
    for _ in range(20):
        assert case.objective(case.B, best + 1e-3 * rng.standard_normal(best.shape), case.W, case.mu) > lowest


def test_the_weights_are_the_best(case, rng):
    best = [
        GramSum(phi.T @ phi, np.zeros((phi.shape[1], K))).add(phi, case.B).weights(case.method.gamma * share)
        for phi, share in zip(case.phi, case.mu, strict=True)
    ]
    lowest = case.objective(case.B, case.D, best, case.mu)
    for _ in range(20):
        other = [w + 1e-3 * rng.standard_normal(w.shape) for w in best]
        assert case.objective(case.B, case.D, other, case.mu) > lowest
    errors = {i: float(np.linalg.norm(case.B - phi @ w)) for i, (phi, w) in enumerate(zip(case.phi, best, strict=True))}
    mu = list(weights_of(errors).values())
    assert sum(mu) == pytest.approx(1)
    lowest = case.objective(case.B, case.D, best, mu)
    assert all(case.objective(case.B, case.D, best, [mu[0] + e, mu[1] - e]) > lowest for e in (-0.01, 0.01))


def test_a_modality_that_fits_exactly_keeps_a_weight():
    assert weights_of({"image": 0.0, "text": 0.0}) == {"image": 0.5, "text": 0.5}
    assert 0 < weights_of({"image": 0.0, "text": 3.0})["image"] < 1e-5


def test_the_similarity_needs_no_n_by_n(case):
    np.testing.assert_allclose(similar(case.L, case.D), case.S @ case.D, atol=1e-12)


def test_codes_follow_the_labels_and_hash_functions_follow_the_codes():
    data = make_synthetic(n_train=400, classes=6, noise=0.5, seed=3)
    train = data.part("train")
    image, text = train
    for chunk in (0, 150):
        method = FOMH(chunk=chunk, anchors=100).fit(train, None, Context(bits=32))
        codes = method.encode_train(image).astype(int)
        np.testing.assert_array_equal(codes, method.encode_train(text))
        labels = train[image].labels.argmax(axis=1)
        products, same = codes @ codes.T, labels[:, None] == labels
        assert products[same].mean() > products[~same].mean() + 8, chunk
        for m in train:
            assert (method.encode(m, train[m].features) == codes).mean() > 0.85


def test_a_kernel_as_narrow_as_the_distances_keeps_its_random_start():
    """What the width of the kernel decides: as many anchors as items reproduce whatever codes they are given."""
    data = make_synthetic(n_train=300, classes=6, noise=0.5, seed=3)
    train = data.part("train")
    labels = train["image"].labels.argmax(axis=1)
    gap = {}
    for spread in (0.3, 2.0):
        codes = FOMH(spread=spread).fit(train, None, Context(bits=32)).encode_train("image").astype(int)
        products, same = codes @ codes.T, labels[:, None] == labels
        gap[spread] = products[same].mean() - products[~same].mean()
    assert gap[0.3] < gap[2.0] / 2


def test_fit_gives_what_its_chunks_give_one_by_one():
    train, context = small_items(n=90), Context(bits=8, seed=4)
    fitted = FOMH(chunk=40).fit(train, None, context)
    rows = chunk_rows(90, 40, context.rng("order"))
    online = FOMH()
    for chunk in rows:
        online.partial_fit(rows_of(train, chunk), context)
    for m, items in train.items():
        np.testing.assert_array_equal(online.encode_train(m), fitted.encode_train(m)[np.concatenate(rows)])
        np.testing.assert_array_equal(online.encode(m, items.features), fitted.encode(m, items.features))


def test_hash_functions_are_the_ridge_regression_of_all_codes():
    train, context = small_items(n=90), Context(bits=8)
    method = FOMH()
    for start in (0, 50):
        method.partial_fit(rows_of(train, np.arange(start, min(start + 50, 90))), context)
    for m, items in train.items():
        phi, codes = method.functions_[m].map(items.features), method.encode_train(m).astype(float)
        penalty = method.gamma * method.state_.mu[m]
        expected = np.linalg.solve(phi.T @ phi + penalty * np.eye(phi.shape[1]), phi.T @ codes)
        np.testing.assert_allclose(method.functions_[m].weights, expected, rtol=1e-6, atol=1e-6)


def test_old_codes_stay_and_a_refused_chunk_changes_nothing():
    train, context = small_items(n=90), Context(bits=8)
    method = FOMH().partial_fit(rows_of(train, np.arange(50)), context)
    before = method.encode_train("image").copy()
    method.partial_fit(rows_of(train, np.arange(50, 90)), context)
    np.testing.assert_array_equal(method.encode_train("image")[:50], before)
    kept = {**vars(method)}
    refused = {
        "empty chunk": (rows_of(train, np.arange(0)), context),
        "columns": (small_items(dims=(5, 7)), context),
        "12 bits": (train, Context(bits=12)),
    }
    for words, (chunk, given) in refused.items():
        with pytest.raises(MethodError, match=f"fomh .*{words}"):
            method.partial_fit(chunk, given)
        assert vars(method) == kept, words


@pytest.mark.parametrize(("anchors", "expected"), [(15, 15), (1000, 40)])
def test_anchors_are_the_same_items_and_no_more_than_the_first_chunk(anchors, expected):
    train = small_items(n=90)
    method = FOMH(anchors=anchors, chunk=40).fit(train, None, Context(bits=8))
    rows = chunk_rows(90, 40, Context(bits=8).rng("order"))[0]
    found = {}
    for m, function in method.functions_.items():
        assert len(function.map.anchors) == expected
        distances = ((function.map.anchors[:, None] - train[m].features[rows]) ** 2).sum(axis=2)
        found[m] = distances.argmin(axis=1).tolist()
        np.testing.assert_allclose(distances.min(axis=1), 0, atol=1e-10)
    assert found["image"] == found["text"]


def test_one_code_for_everything_is_refused():
    train = small_items(n=60)
    with pytest.raises(MethodError, match="same code"):
        FOMH(spread=1e4).fit(train, None, Context(bits=8))
