"""SCRATCH: its steps, bad input, and the reference numbers on wiki."""

import numpy as np
import pytest
from reference_rows import LENGTHS, check_agreement
from small_items import small_items, spoiled

from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench_methods.blocks.discrete import procrustes
from cmrbench_methods.supervised_hash.scratch import SCRATCH


def training(n=80):
    return make_synthetic(n_train=n, classes=5, multilabel=True, noise=0.5, seed=3).part("train")


def features(method, train):
    return [method.functions_[m].map(items.features) for m, items in train.items()]


class Factors:
    """The factors in the objective, which is written out as in the docstring."""

    def __init__(self, method, train, bits, seed):
        self.X, self.Y = features(method, train)
        self.L = next(iter(train.values())).labels.astype(float)
        self.L = self.L[:, self.L.any(axis=0)]
        self.method = method
        rng = Context(seed=seed).rng("scratch")
        self.V, self.R = rng.standard_normal((len(self.L), bits)), procrustes(rng.standard_normal((bits, bits)))

    def value(self):
        p, s = self.method, self.method.lambda_first
        X, Y, V, B = self.X, self.Y, self.V, self.B
        fit = s * square(X - V @ self.Ux) + (1 - s) * square(Y - V @ self.Uy) + p.alpha * square(self.L - V @ self.G)
        link = square(B - V @ self.R.T) + p.mu * (square(V - X @ self.Wx) + square(V - Y @ self.Wy))
        return fit + link + p.gamma * sum(square(M) for M in (self.Ux, self.Uy, self.G, self.Wx, self.Wy, V))

    def rounds(self, count):
        """Every step by solving normal equations for that factor alone; yields its name after each."""
        p, eye = self.method, np.eye(self.V.shape[1])
        shares = {"Ux": (p.lambda_first, self.X), "Uy": (1 - p.lambda_first, self.Y), "G": (p.alpha, self.L)}
        for _ in range(count):
            self.B = np.where(self.V @ self.R.T >= 0, 1.0, -1.0)
            yield "B"
            for name, (share, target) in shares.items():
                V = self.V
                setattr(self, name, np.linalg.inv(share * V.T @ V + p.gamma * eye) @ (share * V.T @ target))
                yield name
            for name, phi in (("Wx", self.X), ("Wy", self.Y)):
                A = p.mu * phi.T @ phi + p.gamma * np.eye(phi.shape[1])
                setattr(self, name, np.linalg.inv(A) @ (p.mu * phi.T @ self.V))
                yield name
            A, C = (2 * p.mu + p.gamma) * eye + self.R.T @ self.R, self.B @ self.R
            for name, (share, target) in shares.items():
                U = getattr(self, name)
                A, C = A + share * U @ U.T, C + share * target @ U.T
            self.V = (C + p.mu * (self.X @ self.Wx + self.Y @ self.Wy)) @ np.linalg.inv(A)
            yield "V"
            U, _, Vt = np.linalg.svd(self.B.T @ self.V)
            self.R = U @ Vt
            yield "R"


def square(M):
    return (M**2).sum()


SETTINGS = [{}, {"alpha": 10, "mu": 2, "gamma": 0.5, "lambda_first": 0.3}]


@pytest.mark.parametrize("settings", SETTINGS)
def test_no_step_increases_the_objective_and_each_is_optimal(settings, rng):
    train = training()
    method = SCRATCH(anchors=15, iterations=1, **settings).fit(train, None, Context(bits=8, seed=2))
    state, values = Factors(method, train, 8, 2), []
    for name in state.rounds(6):
        if not hasattr(state, "Wy"):
            continue
        values.append(state.value())
        if name in ("Ux", "Uy", "G", "Wx", "Wy", "V"):
            best = getattr(state, name)
            for _ in range(5):
                setattr(state, name, best + 1e-3 * rng.standard_normal(best.shape))
                assert state.value() > values[-1], name
            setattr(state, name, best)
    assert (np.diff(values) <= 1e-9 * values[0]).all(), values
    assert values[-1] < values[0]


@pytest.mark.parametrize("settings", SETTINGS)
def test_fit_takes_these_steps(settings):
    train = training()
    method = SCRATCH(anchors=15, iterations=6, **settings).fit(train, None, Context(bits=8, seed=2))
    state = Factors(method, train, 8, 2)
    for _ in state.rounds(6):
        pass
    np.testing.assert_array_equal(method.encode_train("image"), state.B)
    np.testing.assert_array_equal(method.encode_train("text"), state.B)
    for m, W in zip(train, (state.Wx, state.Wy), strict=True):
        np.testing.assert_allclose(method.functions_[m].weights, W @ state.R.T, atol=1e-8 * np.abs(W).max())


def test_kernel_features_are_centred():
    train = training()
    method = SCRATCH(anchors=15).fit(train, None, Context(bits=8))
    for phi in features(method, train):
        assert phi.shape == (80, 15)
        np.testing.assert_allclose(phi.mean(axis=0), 0, atol=1e-12)


def test_learned_codes_follow_the_labels_and_hash_functions_the_codes():
    train = make_synthetic(n_train=300, classes=6, noise=0.5, seed=3).part("train")
    method = SCRATCH().fit(train, None, Context(bits=32))
    codes = method.encode_train("image").astype(int)
    labels = train["image"].labels.astype(int)
    shared, products = labels @ labels.T > 0, codes @ codes.T
    assert products[shared].mean() > products[~shared].mean() + 8
    assert (method.encode("image", train["image"].features) == codes).mean() > 0.9


def test_bad_input_has_a_defined_result(caplog):
    method = SCRATCH().fit(small_items(n=2, n_classes=2), None, Context(bits=4))
    assert method.encode_train("image").shape == (2, 4)
    one = SCRATCH().fit(small_items(n_classes=1), None, Context(bits=8))
    assert "the same labels" in caplog.text
    assert len(np.unique(one.encode_train("image"), axis=0)) > 1
    train = spoiled(small_items())
    method = SCRATCH().fit(train, None, Context(bits=100))
    assert "5 of 60 training items have no label" in caplog.text
    assert "100 bits were asked of 60 training items" in caplog.text
    assert set(np.unique(method.encode("text", train["text"].features))) == {-1, 1}


@pytest.mark.parametrize("bits", LENGTHS)
def test_agrees_with_the_reference_on_wiki(wiki, wiki_reference, bits):
    check_agreement(SCRATCH, wiki, wiki_reference, "SCRATCH", bits)
