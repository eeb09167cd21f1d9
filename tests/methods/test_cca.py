"""CCA against known correlations, its defining equations, and the reference numbers on wiki."""

import numpy as np
import pytest
from reference_rows import TEST, TEST_VS_TRAIN, measure, reference

from cmrbench.core.errors import MethodError
from cmrbench.core.items import Items
from cmrbench.method import Context
from cmrbench_methods.blocks.correlation import canonical_directions, whitener
from cmrbench_methods.blocks.linear import moments, product
from cmrbench_methods.unsupervised_real.cca import CCA


def paired(x, y):
    ids = np.arange(len(x)).astype(str)
    return {
        "image": Items("image", np.asarray(x, dtype=np.float32), ids, ids),
        "text": Items("text", np.asarray(y, dtype=np.float32), ids, ids),
    }


def correlated(rho, n, dims, rng):
    """Two views whose canonical correlations are `rho`, mixed and shifted by random maps."""
    k = len(rho)
    shared = rng.standard_normal((n, k))
    views = []
    for d in dims:
        own = rng.standard_normal((n, d))
        own[:, :k] = np.sqrt(rho) * shared + np.sqrt(1 - np.asarray(rho)) * own[:, :k]
        views.append(own @ rng.standard_normal((d, d)) + 5)
    return views


def test_recovers_known_correlations(rng):
    rho = [0.9, 0.7, 0.4]
    method = CCA(reg=0).fit(paired(*correlated(rho, 20_000, (12, 7), rng)), None, Context(dim=3))
    assert method.rho_ == pytest.approx(rho, abs=0.02)


def test_training_projections_are_white_and_correlated_by_rho(rng):
    train = paired(*correlated([0.8, 0.5], 500, (9, 6), rng))
    method = CCA(reg=0).fit(train, None, Context())
    a, b = (method.encode(m, train[m].features).astype(np.float64) for m in train)
    n = len(a)
    np.testing.assert_allclose(a.T @ a / n, np.eye(a.shape[1]), atol=1e-4)
    np.testing.assert_allclose(a.T @ b / n, np.diag(method.rho_), atol=1e-4)
    np.testing.assert_allclose(a.mean(axis=0), 0, atol=1e-5)


@pytest.mark.parametrize("dims", [(9, 6), (5, 11)])
def test_solves_the_eigenproblem(rng, dims):
    x, y = correlated([0.8, 0.5], 300, dims, rng)
    m = moments(x, y)
    found = canonical_directions(m.Cxx, m.Cyy, m.Cxy, 4)
    left = m.Cxy @ np.linalg.solve(m.Cyy, m.Cxy.T) @ found.A
    np.testing.assert_allclose(left, m.Cxx @ found.A * found.rho**2, atol=1e-8)
    assert (np.diff(found.rho) <= 0).all()
    assert (found.A[np.abs(found.A).argmax(axis=0), np.arange(4)] > 0).all()


def test_moments_do_not_lose_small_variances_under_large_means(rng):
    x = rng.standard_normal((9000, 3)) * 1e-3 + 1e4
    m = moments(x, x[:, :2])
    np.testing.assert_allclose(m.Cxx, np.cov(x.T, bias=True), rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(m.Cxy, m.Cxx[:, :2])


def test_without_ridge_dependent_and_constant_features_are_left_out(rng):
    x, y = correlated([0.9, 0.6], 2000, (6, 4), rng)
    wide = np.column_stack([x, x @ rng.standard_normal((6, 3)), np.full(len(x), 7.0)])
    assert whitener(np.cov(wide.T)).shape == (10, 6)
    plain = CCA(reg=0).fit(paired(x, y), None, Context(dim=2)).rho_
    assert CCA(reg=0).fit(paired(wide, y), None, Context(dim=2)).rho_ == pytest.approx(plain, abs=1e-3)


def test_standardising_makes_the_units_of_features_irrelevant(rng):
    x, y = correlated([0.9, 0.6], 400, (6, 4), rng)
    units = np.array([1e-3, 1, 1e3, 10, 0.1, 1])
    a = CCA(reg=0.1, standardize=True).fit(paired(x, y), None, Context())
    b = CCA(reg=0.1, standardize=True).fit(paired(x * units, y), None, Context())
    np.testing.assert_allclose(a.rho_, b.rho_, rtol=1e-4)
    c = CCA(reg=0.1).fit(paired(x * units, y), None, Context())
    assert not np.allclose(a.rho_, c.rho_, rtol=0.01)


def test_power_weights_coordinates_by_their_correlation(rng):
    train = paired(*correlated([0.8, 0.5], 300, (5, 4), rng))
    plain, weighted = (CCA(power=p).fit(train, None, Context()) for p in (0, 4))
    ratio = weighted.encode("text", train["text"].features) / plain.encode("text", train["text"].features)
    np.testing.assert_allclose(ratio, np.broadcast_to(plain.rho_**4, ratio.shape), rtol=1e-3)


def test_asking_for_more_dimensions_than_are_correlated_is_reported(rng, caplog):
    x, y = correlated([0.8], 200, (5, 3), rng)
    method = CCA().fit(paired(x, y), None, Context(dim=8))
    assert method.encode("image", np.float32(x)).shape == (200, 3)
    assert "8 dimensions were asked for, only 3" in caplog.text


def test_one_row_is_projected_like_many(rng):
    rows, weights = rng.standard_normal((200, 77)), rng.standard_normal((77, 10))
    one_by_one = np.concatenate([product(row[None], weights) for row in rows])
    np.testing.assert_array_equal(one_by_one.astype(np.float32), product(rows, weights).astype(np.float32))


def test_unpaired_and_constant_data_are_refused(rng):
    x, y = correlated([0.8], 30, (5, 3), rng)
    train = paired(x, y)
    with pytest.raises(MethodError, match="same instances"):
        CCA().fit({"image": train["image"], "text": train["text"].take(np.arange(29, -1, -1))}, None, Context())
    with pytest.raises(MethodError, match="no correlation"):
        CCA().fit(paired(np.ones((30, 5)), y), None, Context())


@pytest.mark.parametrize("dim", [5, 7, 9])
@pytest.mark.parametrize("protocol", [TEST, TEST_VS_TRAIN], ids=lambda p: p.name)
@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"absolute_reg": 1e-4}, "prep=centre (training mean); reg=0.0001 absolute added to both covariances (1/n)"),
        ({"reg": 0.01}, "prep=centre (training mean); reg=0.01 x mean eigenvalue added to both covariances (1/n)"),
        (
            {"reg": 0.01, "standardize": True},
            "prep=zscore (training mean/std); reg=0.01 x mean eigenvalue added to both covariances (1/n)",
        ),
    ],
)
def test_agrees_with_the_reference_on_wiki(wiki, wiki_reference, dim, protocol, params, words):
    measured = measure(CCA(**params), wiki, Context(dim=dim), protocol)
    expected = reference(wiki_reference, "CCA", dim, protocol, ranking="cosine", hyperparameters=words)
    for key, value in measured.items():
        assert value == pytest.approx(expected[key][0], abs=5e-4), key
