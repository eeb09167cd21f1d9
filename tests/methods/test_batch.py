"""BATCH: the balanced orthogonal factor, the parts of the algorithm, and the reference numbers on wiki."""

import numpy as np
import pytest
from reference_rows import LENGTHS, check_agreement

from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench_methods.blocks.balanced import balanced_orthogonal_factor
from cmrbench_methods.blocks.kernels import squared_distances
from cmrbench_methods.blocks.linear import ridge
from cmrbench_methods.blocks.maps import AnchorRule, Scaled
from cmrbench_methods.supervised_hash.batch import BATCH


def factor_inputs(rng):
    yield "full rank", rng.standard_normal((50, 8))
    yield "rank 3", rng.standard_normal((50, 3)) @ rng.standard_normal((3, 8))
    yield "zero", np.zeros((50, 8))
    yield "constant columns", np.ones((50, 8)) * np.arange(8)
    yield "wide spread", rng.standard_normal((300, 16)) * np.logspace(0, 7, 16)


def test_the_factor_is_balanced_and_orthogonal(rng):
    for name, Z in factor_inputs(rng):
        V = balanced_orthogonal_factor(Z, rng)
        n, K = Z.shape
        np.testing.assert_allclose(V.T @ V, n * np.eye(K), atol=1e-8 * n, err_msg=name)
        np.testing.assert_allclose(V.sum(axis=0), 0, atol=1e-8 * n, err_msg=name)


def test_the_factor_is_the_best_of_its_kind(rng):
    """tr(V'Z) is at most sqrt(n) times the nuclear norm of the centred Z, and the factor attains it."""
    for name, Z in factor_inputs(rng):
        centred = Z - Z.mean(axis=0)
        best = np.sqrt(len(Z)) * np.linalg.svd(centred, compute_uv=False).sum()
        assert np.trace(balanced_orthogonal_factor(Z, rng).T @ Z) == pytest.approx(best, rel=1e-6, abs=1e-6), name
        other = balanced_orthogonal_factor(rng.standard_normal(Z.shape), rng)
        assert np.trace(other.T @ Z) <= best + 1e-6


def test_fewer_items_than_bits_leave_what_can_be_balanced(rng):
    V = balanced_orthogonal_factor(rng.standard_normal((5, 12)), rng)
    np.testing.assert_allclose(V.sum(axis=0), 0, atol=1e-10)
    assert np.linalg.matrix_rank(V) == 4
    np.testing.assert_allclose(V @ V.T, 5 * (np.eye(5) - 1 / 5), atol=1e-10)


def test_the_kernel_width_is_the_mean_squared_distance(rng):
    x = rng.standard_normal((80, 6)).astype(np.float32) + 3
    kernel = AnchorRule(20).fit(x, Scaled.fit(x, centre=False), rng)
    pairs = squared_distances(x.astype(np.float64), kernel.anchors)
    assert kernel.gamma == pytest.approx(1 / (2 * pairs.mean()))
    np.testing.assert_allclose(kernel(x).mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(kernel(x) + kernel.mean, np.exp(-pairs / (2 * pairs.mean())), atol=1e-12)
    assert len(np.unique(kernel.anchors, axis=0)) == 20


def test_ridge_minimises_its_objective(rng):
    A, B = rng.standard_normal((30, 6)), rng.standard_normal((30, 2))

    def loss(W):
        return ((A @ W - B) ** 2).sum() + 0.3 * (W**2).sum()

    W = ridge(A, B, 0.3)
    assert all(loss(W + 1e-3 * rng.standard_normal(W.shape)) > loss(W) for _ in range(20))


@pytest.mark.parametrize("multilabel", [False, True])
def test_learned_codes_are_shared_by_a_pair_and_follow_the_labels(multilabel):
    data = make_synthetic(n_train=300, classes=6, multilabel=multilabel, noise=0.5, seed=3)
    train = data.part("train")
    image, text = train
    method = BATCH().fit(train, None, Context(bits=32))
    codes = method.encode_train(image).astype(int)
    np.testing.assert_array_equal(codes, method.encode_train(text))
    labels = train[image].labels.astype(int)
    shared = labels @ labels.T > 0
    products = codes @ codes.T
    assert products[shared].mean() > products[~shared].mean() + 8
    agreement = (method.encode(image, train[image].features) == codes).mean()
    assert agreement > 0.9


def test_takes_as_many_anchors_as_there_are_items():
    data = make_synthetic(n_train=40, classes=4, seed=3)
    train = data.part("train")
    method = BATCH().fit(train, None, Context(bits=8))
    assert {len(f.map.anchors) for f in method.functions_.values()} == {40}


@pytest.mark.parametrize("bits", LENGTHS)
def test_agrees_with_the_reference_on_wiki(wiki, wiki_reference, bits):
    check_agreement(BATCH, wiki, wiki_reference, "BATCH", bits)
