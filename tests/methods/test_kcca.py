"""KCCA: equal to ridge CCA with a linear kernel, Nystrom equal to exact, and better than CCA where it should be."""

import numpy as np
import pytest

from cmrbench.core.errors import MethodError
from cmrbench.core.items import Items
from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench.run.execute import EvaluationPlan, execute
from cmrbench_methods.baselines.random import Random
from cmrbench_methods.blocks.kernels import KERNELS, median_gamma, squared_distances
from cmrbench_methods.unsupervised_real.cca import CCA
from cmrbench_methods.unsupervised_real.kcca import KCCA


@pytest.fixture(scope="module")
def data():
    return make_synthetic(n_train=220, n_query=60, n_gallery=60, dims=(9, 6), classes=6, noise=0.7, seed=4)


def scores(method, data):
    """Inner products of encoded queries: invariant to the signs of directions."""
    query = data.part("query")
    a, b = (method.encode(m, query[m].features).astype(np.float64) for m in query)
    return a @ b.T


def fit(method, data, **context):
    return method.fit({m: i.without_labels() for m, i in data.part("train").items()}, None, Context(**context))


@pytest.mark.parametrize("reg", [0.1, 1.0])
def test_a_linear_kernel_gives_ridge_cca(data, reg):
    kernel = fit(KCCA(kernel="linear", reg=reg), data, dim=4)
    plain = fit(CCA(absolute_reg=reg), data, dim=4)
    np.testing.assert_allclose(kernel.rho_, plain.rho_, rtol=1e-6)
    np.testing.assert_allclose(scores(kernel, data), scores(plain, data), atol=1e-4)


@pytest.mark.parametrize("kernel", ["rbf", "poly2"])
def test_nystrom_with_every_item_a_landmark_is_exact(data, kernel):
    exact = fit(KCCA(kernel=kernel), data, dim=8)
    nystrom = fit(KCCA(kernel=kernel, exact_up_to=10, landmarks=10_000), data, dim=8)
    np.testing.assert_allclose(nystrom.rho_, exact.rho_, rtol=1e-3)
    np.testing.assert_allclose(
        scores(nystrom, data), scores(exact, data), atol=1e-3 * np.abs(scores(exact, data)).max()
    )


def test_nystrom_error_falls_with_landmarks(data):
    exact = scores(fit(KCCA(), data, dim=4), data)
    errors = [
        np.mean(
            [
                np.abs(scores(fit(KCCA(exact_up_to=10, landmarks=p), data, dim=4, seed=s), data) - exact).mean()
                for s in range(3)
            ]
        )
        for p in (10, 60, 200)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_solves_the_dual_problem(data):
    """a'(K^2 + r n K)a = 1, and both gradients vanish: Ka Kb b = rho (Ka^2 + r n Ka) a."""
    train = {m: i.without_labels() for m, i in data.part("train").items()}
    method = KCCA(reg=0.1).fit(train, None, Context(dim=3))
    n = len(train["image"])
    H = np.eye(n) - 1 / n
    K, alpha = {}, {}
    for m, items in train.items():
        x = items.features.astype(np.float64)
        K[m] = H @ np.exp(-method.gamma_[m] * squared_distances(x, x)) @ H
        alpha[m] = method.coefficients_[m] / np.sqrt(n)  # covariances are divided by n, the dual's are not
    Ka, Kb = K["image"], K["text"]
    penalised = Ka @ Ka + 0.1 * n * Ka
    np.testing.assert_allclose(alpha["image"].T @ penalised @ alpha["image"], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(Ka @ Kb @ alpha["text"], penalised @ alpha["image"] * method.rho_, atol=1e-6)


def test_encoding_training_items_reproduces_their_centred_variates(data):
    train = {m: i.without_labels() for m, i in data.part("train").items()}
    for method in (KCCA(), KCCA(exact_up_to=10, landmarks=30)):
        method.fit(train, None, Context(dim=5))
        np.testing.assert_allclose(method.encode("image", train["image"].features).mean(axis=0), 0, atol=1e-6)


def test_finds_a_relation_that_is_not_linear(rng):
    angle = rng.uniform(-np.pi, np.pi, (600, 1))
    x = np.hstack([angle, rng.standard_normal((600, 1))]).astype(np.float32)
    y = np.hstack([angle**2, rng.standard_normal((600, 1))]).astype(np.float32)
    ids = np.arange(600).astype(str)
    train = {"a": Items("a", x, ids, ids), "b": Items("b", y, ids, ids)}
    assert CCA().fit(train, None, Context()).rho_[0] < 0.2
    assert KCCA(reg=1e-3).fit(train, None, Context()).rho_[0] > 0.9


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_gives_a_positive_semidefinite_matrix(rng, kernel):
    x = rng.random((40, 5))
    K = KERNELS[kernel](x, x, median_gamma(kernel, x, rng))
    np.testing.assert_allclose(K, K.T, atol=1e-10)
    assert np.linalg.eigvalsh(K).min() > -1e-8
    one = np.concatenate([KERNELS[kernel](row[None], x, 1.0) for row in x])
    np.testing.assert_allclose(one, KERNELS[kernel](x, x, 1.0), atol=1e-12)


def test_squared_distances_against_differences(rng):
    x, z = rng.standard_normal((30, 4)), rng.standard_normal((20, 4))
    np.testing.assert_allclose(squared_distances(x, z), ((x[:, None] - z) ** 2).sum(axis=2), atol=1e-12)
    assert squared_distances(x, x).min() >= 0


def test_median_gamma(rng):
    x = rng.standard_normal((50, 3)).astype(np.float32)
    pairs = squared_distances(x.astype(float), x.astype(float))[np.triu_indices(50, 1)]
    assert median_gamma("rbf", x, rng) == pytest.approx(1 / np.median(pairs))
    assert median_gamma("rbf", np.ones((5, 2)), rng) == 1.0
    mostly_equal = np.zeros((10, 2))
    mostly_equal[0] = 3
    assert median_gamma("rbf", mostly_equal, rng) == pytest.approx(1 / (18 * 9 / 45))


def test_bad_kernels_are_refused(data, rng):
    with pytest.raises(MethodError, match="kernel 'rfb' is none of rbf"):
        fit(KCCA(kernel="rfb"), data)
    with pytest.raises(MethodError, match="not negative"):
        fit(KCCA(kernel="chi2"), data)


def test_orders_sensibly_on_emoji(emoji):
    """Chance, then linear, then kernel correlations, in both directions."""
    values = {}
    for method in (Random(), CCA(), KCCA()):
        records = execute(method, emoji, Context(), EvaluationPlan((emoji.protocol("all-test"),))).records
        values[method.info.name] = {r.direction: r.value for r in records if r.metric == "mAP@all"}
    for direction in ("image->text", "text->image"):
        assert values["random"][direction] + 0.1 < values["cca"][direction] < values["kcca"][direction]
