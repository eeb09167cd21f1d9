"""PDH (a reconstruction): its support vector machines, its uncorrelated codes, and what the turns are worth."""

import numpy as np
import pytest
from reference_rows import TEST_VS_TRAIN, measure
from scipy.optimize import minimize
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.maps import Scaled
from cmrbench_methods.blocks.svm import SquaredHinge
from cmrbench_methods.unsupervised_hash.pdh import PDH, uncorrelated


@pytest.fixture
def problem(rng):
    x = rng.standard_normal((150, 6)).astype(np.float32)
    scores = x @ rng.standard_normal((6, 3)) + rng.standard_normal((150, 3)) * [0.1, 1.0, 5.0]
    return Design(x, Scaled.fit(x)), np.where(scores >= 0, 1.0, -1.0)


def loss(phi, codes, W, C):
    """Written out bit by bit, item by item."""
    rows = phi.array()
    out = []
    for b, w in zip(codes.T, W.T, strict=True):
        out.append(C * sum(max(0.0, 1 - bi * (r @ w)) ** 2 for bi, r in zip(b, rows, strict=True)) + w @ w / 2)
    return np.array(out)


@pytest.mark.parametrize("C", [0.01, 1.0, 30.0])
def test_machines_are_those_of_another_solver(problem, C):
    phi, codes = problem
    W, values = SquaredHinge(C, steps=3000, progress=0.0).fit(phi, codes)
    np.testing.assert_allclose(values, phi.array() @ W, atol=1e-10)
    for k, b in enumerate(codes.T):
        other = minimize(
            lambda w, b=b: C * (np.maximum(0, 1 - b * (phi.array() @ w)) ** 2).sum() + w @ w / 2, np.zeros(6), tol=1e-12
        )
        assert loss(phi, codes[:, [k]], W[:, [k]], C)[0] == pytest.approx(other.fun, rel=1e-5)


def test_the_objective_is_what_it_says(problem, rng):
    phi, codes = problem
    W = rng.standard_normal((6, 3))
    np.testing.assert_allclose(SquaredHinge(0.7).objective(phi.dot(W), codes, W), loss(phi, codes, W, 0.7))


@pytest.mark.parametrize("C", [0.01, 1.0, 30.0])
def test_no_step_increases_the_objective_of_any_bit(problem, C):
    phi, codes = problem
    values = np.array([loss(phi, codes, SquaredHinge(C, steps, 0.0).fit(phi, codes)[0], C) for steps in range(40)])
    assert (np.diff(values, axis=0) <= 1e-9 * values[:-1]).all()
    assert (values[-1] < values[0]).all()


def test_a_start_is_used(problem):
    phi, codes = problem
    start = SquaredHinge(1.0, 500, 0.0).fit(phi, codes)
    kept = [part.copy() for part in start]
    np.testing.assert_allclose(SquaredHinge(1.0, 1, 0.0).fit(phi, codes, start)[0], start[0], atol=1e-6)
    SquaredHinge(1.0, 5, 0.0).fit(phi, -codes, start)
    for part, before in zip(start, kept, strict=True):
        np.testing.assert_array_equal(part, before)


def correlation(B):
    products = np.abs(B.T @ B) / len(B)
    return products[~np.eye(len(products), dtype=bool)]


def test_codes_become_uncorrelated(rng):
    scores = rng.standard_normal((2000, 6)) + 1.5 * rng.standard_normal((2000, 1))
    assert correlation(np.sign(scores)).mean() > 0.4
    assert correlation(uncorrelated(scores)).mean() < 0.05


def test_uncorrelated_scores_are_the_nearest_orthonormal_ones(rng):
    """The polar factor from a decomposition of another kind; scale has no effect; no bits stay none."""
    scores = rng.standard_normal((60, 5)) + rng.standard_normal((60, 1))
    P, _, Qt = np.linalg.svd(scores / np.linalg.norm(scores, axis=0), full_matrices=False)
    np.testing.assert_array_equal(uncorrelated(scores), np.sign(P @ Qt))
    np.testing.assert_array_equal(uncorrelated(scores * [1e-3, 1, 7, 1e3, 2]), uncorrelated(scores))
    dependent = np.hstack((scores, scores[:, :2], np.zeros((60, 1))))
    codes = uncorrelated(dependent)
    np.testing.assert_array_equal(codes[:, :2], codes[:, 5:7])
    assert set(np.unique(codes)) == {-1.0, 1.0}
    assert uncorrelated(scores[:, :0]).shape == (60, 0)


def test_turns_make_the_views_agree():
    data = make_synthetic(n_train=400, classes=8, noise=2.0, seed=4)
    train = data.part("train")

    def agreement(rounds):
        method = PDH(rounds=rounds).fit(train, None, Context(bits=7))
        image, text = (method.encode(m, i.features) for m, i in train.items())
        return (image == text).mean()

    assert agreement(10) > agreement(1) + 0.005


def test_different_bits_as_many_as_directions(caplog):
    part = small_items(n=80, dims=(12, 4), noise=1.0)
    codes = PDH().fit(part, None, Context(bits=10)).encode("text", part["text"].features)
    np.testing.assert_array_equal(codes[:, 4:8], codes[:, :4])
    assert caplog.text.count("the data have 4 directions") == 1
    shorter = PDH().fit(part, None, Context(bits=4)).encode("text", part["text"].features)
    np.testing.assert_array_equal(shorter, codes[:, :4])


def test_the_scale_of_the_features_has_no_effect():
    part = small_items(n=80, noise=1.0)
    larger = {m: type(i)(m, i.features * np.float32(8), i.ids, i.instances, i.labels) for m, i in part.items()}
    plain, scaled = (PDH().fit(items, None, Context(bits=6)) for items in (part, larger))
    for m in part:
        same = plain.encode(m, part[m].features) == scaled.encode(m, larger[m].features)
        assert same.mean() > 0.99


def test_bad_input_is_refused_or_survived():
    part = small_items(n=12)
    for wrong in ({"C": 0.0}, {"rounds": 0}):
        with pytest.raises(MethodError, match="positive"):
            PDH(**wrong).fit(part, None, Context(bits=4))
    constant = {m: type(i)(m, np.ones_like(i.features), i.ids, i.instances, i.labels) for m, i in part.items()}
    with pytest.raises(MethodError, match="no direction"):
        PDH().fit(part | {"image": constant["image"]}, None, Context(bits=4))
    two = {m: i.take(np.arange(2)) for m, i in part.items()}
    assert PDH().fit(two, None, Context(bits=4)).encode("image", two["image"].features).shape == (2, 4)


def test_is_far_above_chance_on_wiki(wiki):
    """Chance is 0.111."""
    ours = measure(PDH(), wiki, Context(bits=32), TEST_VS_TRAIN)
    assert min(value for key, value in ours.items() if key[1] == "mAP@all") > 0.18
