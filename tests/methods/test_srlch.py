"""SRLCH: its steps, bad input, and the reference numbers on wiki."""

import numpy as np
import pytest
from reference_rows import LENGTHS, check_agreement
from small_items import small_items, spoiled

from cmrbench.core.errors import MethodError
from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench_methods.supervised_hash.srlch import SRLCH


def training(n=150):
    return make_synthetic(n_train=n, classes=6, multilabel=True, noise=0.5, seed=3).part("train")


def parts(method, train):
    """(design, weight, ridge) of the three regressions, labels first."""
    maps = [method.functions_[m].map(items.features) for m, items in train.items()]
    Y = next(iter(train.values())).labels.astype(float)
    return [(Y, 1.0, method.lam), (maps[0], method.mu_v, method.alp), (maps[1], method.mu_t, method.bet)]


def objective(method, train, B, weights):
    return sum(
        share * (((B - A @ W) ** 2).sum() + penalty * (W**2).sum())
        for (A, share, penalty), W in zip(parts(method, train), weights, strict=True)
    )


def regressions(method, train, B):
    """Least squares with the ridge as further rows."""
    found = []
    for A, _, penalty in parts(method, train):
        rows = np.sqrt(penalty) * np.eye(A.shape[1])
        target = np.vstack([B, np.zeros((len(rows), B.shape[1]))])
        found.append(np.linalg.lstsq(np.vstack([A, rows]), target, rcond=None)[0])
    return found


@pytest.mark.parametrize("settings", [{}, {"mu_v": 1.0, "mu_t": 0.7, "sigma": 1.0}])
def test_no_step_increases_the_objective(settings):
    train, values, earlier = training(), [], None
    for iterations in range(1, 8):
        method = SRLCH(anchors=40, iterations=iterations, **settings).fit(train, None, Context(bits=16))
        B = method.codes_["image"].astype(float)
        if earlier is not None:
            values.append(objective(method, train, B, earlier))  # the B-step, with the regressions before it
        earlier = regressions(method, train, B)
        values.append(objective(method, train, B, earlier))
    assert (np.diff(values) <= 1e-9 * values[0]).all(), values
    assert values[-1] < values[0]


def test_the_codes_are_the_best_for_their_regressions():
    """At the fixed point no flip of a bit of any item lowers the objective."""
    train = training(60)
    method = SRLCH(anchors=20, iterations=100, mu_v=1.0, mu_t=1.0, sigma=1.0).fit(train, None, Context(bits=6))
    B = method.codes_["image"].astype(float)
    weights = regressions(method, train, B)
    least = objective(method, train, B, weights)
    for i, k in np.ndindex(B.shape):
        flipped = B.copy()
        flipped[i, k] *= -1
        assert objective(method, train, flipped, weights) >= least - 1e-9


def test_the_hash_functions_are_ridge_regressions_on_the_codes():
    train = training()
    method = SRLCH(anchors=40).fit(train, None, Context(bits=16))
    _, *expected = regressions(method, train, method.codes_["image"].astype(float))
    for m, W in zip(train, expected, strict=True):
        np.testing.assert_allclose(method.functions_[m].weights, W, atol=1e-7 * np.abs(W).max())


def test_learned_codes_follow_the_labels_and_hash_functions_the_codes():
    train = make_synthetic(n_train=300, classes=6, noise=0.5, seed=3).part("train")
    method = SRLCH().fit(train, None, Context(bits=32))
    codes = method.encode_train("image").astype(int)
    np.testing.assert_array_equal(codes, method.encode_train("text"))
    labels = train["image"].labels.astype(int)
    shared, products = labels @ labels.T > 0, codes @ codes.T
    assert products[shared].mean() > products[~shared].mean() + 8
    assert (method.encode("image", train["image"].features) == codes).mean() > 0.9


def test_the_kernel_is_over_normalised_features_with_a_constant():
    train = small_items()
    method = SRLCH(anchors=10).fit(train, None, Context(bits=8))
    kernel = method.functions_["image"].map
    assert kernel.gamma == pytest.approx(1 / (2 * 0.6**2))
    np.testing.assert_allclose(np.linalg.norm(kernel.anchors, axis=1), 1)
    np.testing.assert_array_equal(kernel(train["image"].features)[:, 10], 1)


def test_one_class_is_refused():
    """Labels alone decide here; images may still tell items of one class apart where they have a say."""
    with pytest.raises(MethodError, match="one and the same code"):
        SRLCH(mu_v=0, mu_t=0).fit(small_items(n_classes=1), None, Context(bits=8))


def test_few_items_constant_columns_and_unlabelled_rows(caplog):
    method = SRLCH().fit(small_items(n=2, n_classes=2), None, Context(bits=4))
    assert method.encode_train("image").shape == (2, 4)
    train = spoiled(small_items())
    method = SRLCH().fit(train, None, Context(bits=16))
    assert "5 of 60 training items have no label" in caplog.text
    assert set(np.unique(method.encode("text", train["text"].features))) == {-1, 1}


@pytest.mark.parametrize("bits", LENGTHS)
def test_agrees_with_the_reference_on_wiki(wiki, wiki_reference, bits):
    """The reference is a single run, so that only our seeds tell the scatter: more of them where it matters."""
    check_agreement(SRLCH, wiki, wiki_reference, "SRLCH", bits, seeds=20 if bits > 32 else 3)
