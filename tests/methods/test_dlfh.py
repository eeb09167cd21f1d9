"""DLFH and KDLFH: the latent factor model, both kinds of hash function, and the reference numbers on wiki."""

import logging

import numpy as np
import pytest
from reference_rows import LENGTHS, RULES, TEST_VS_LEARNED, check_agreement
from small_items import small_items

from cmrbench.core.items import Items
from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench_methods.supervised_hash.dlfh import DLFH, LatentFactors, update_codes
from cmrbench_methods.supervised_hash.kdlfh import KDLFH


def random_signs(rng, *shape):
    return np.where(rng.random(shape) < 0.5, -1.0, 1.0)


def plain_update(U, V, S, lam):
    """The update as the paper writes it: everything anew for each bit. Sums that only rounding keeps from 0 are 0."""
    U = U.copy()
    m, K = V.shape
    for k in range(K):
        A = 1 / (1 + np.exp(-lam / K * U @ V.T))
        p = lam / K * ((S - A) * V[:, k]).sum(axis=1) + m * lam**2 / (4 * K**2) * U[:, k]
        U[:, k] = np.where(p < -1e-8, -1, 1)
    return U


def likelihood(U, V, S, lam):
    t = lam / U.shape[1] * U @ V.T
    return (S * t - np.logaddexp(0, t)).sum()


@pytest.mark.parametrize(("n", "m", "K"), [(1500, 16, 16), (70, 30, 5), (40, 40, 64), (20, 1, 3)])
def test_an_update_is_the_one_of_the_paper(rng, n, m, K):
    U, V, S = random_signs(rng, n, K), random_signs(rng, m, K), rng.random((n, m)) < 0.3
    np.testing.assert_array_equal(update_codes(U, V, S, 8.0), plain_update(U, V, S, 8.0))


@pytest.mark.parametrize("lam", [2.0, 8.0])
def test_the_likelihood_never_decreases_with_all_columns(rng, lam):
    n, K = 60, 12
    L = (rng.random((n, 5)) < 0.3).astype(float)
    S = L @ L.T > 0
    U, V = random_signs(rng, n, K), random_signs(rng, n, K)
    values = [likelihood(U, V, S, lam)]
    for _ in range(6):
        U = update_codes(U, V, S, lam)
        values.append(likelihood(U, V, S, lam))
        V = update_codes(V, U, S.T, lam)
        values.append(likelihood(U, V, S, lam))
    assert (np.diff(values) >= -1e-9).all()
    assert values[-1] > values[0] + 10


@pytest.mark.parametrize("single", [True, False])
def test_items_with_equal_labels_and_codes_are_learned_as_if_each_were_alone(rng, single):
    n, K = 300, 8
    L = np.eye(4)[rng.integers(0, 4, n)] if single else (rng.random((n, 4)) < 0.4).astype(float)
    context = Context(bits=K, seed=3)
    codes = LatentFactors(8.0, None, 12).learn(L, K, context)

    draws = context.rng("latent factors")
    U, V = (np.where(draws.standard_normal((n, K)) < 0, -1.0, 1.0) for _ in range(2))
    for _ in range(12):
        sampled = draws.choice(n, K, replace=False)
        S = L @ L[sampled].T > 0
        U = plain_update(U, V[sampled], S, 8.0)
        V = plain_update(V, U[sampled], S, 8.0)
    np.testing.assert_array_equal(codes[0], U)
    np.testing.assert_array_equal(codes[1], V)


@pytest.mark.parametrize("make", [DLFH, KDLFH])
def test_learned_codes_belong_to_their_modality_and_follow_the_labels(make):
    data = make_synthetic(n_train=300, classes=6, multilabel=True, noise=0.5, seed=3)
    train = data.part("train")
    method = make().fit(train, None, Context(bits=32))
    U, V = (method.encode_train(m).astype(int) for m in train)
    assert (U != V).any()
    labels = next(iter(train.values())).labels.astype(int)
    shared = labels @ labels.T > 0
    products = U @ V.T
    assert products[shared].mean() > products[~shared].mean() + 8
    for modality, codes in zip(train, (U, V), strict=True):
        assert (method.encode(modality, train[modality].features) == codes).mean() > 0.75


def test_hash_functions_are_ridge_regressions_of_each_modality_to_its_own_codes(rng):
    train = small_items()
    method = DLFH(gamma=0.5).fit(train, None, Context(bits=8))
    for modality, items in train.items():
        X, B = items.features.astype(float), method.encode_train(modality)
        W = method.functions_[modality].weights

        def loss(W, X=X, B=B):
            return ((X @ W - B) ** 2).sum() + 0.5 * (W**2).sum()

        assert all(loss(W + 1e-3 * rng.standard_normal(W.shape)) > loss(W) for _ in range(20))


def test_kernel_functions_solve_a_logistic_regression_for_each_bit_over_the_same_anchors():
    train = small_items(n=80)
    method = KDLFH(anchors=20).fit(train, None, Context(bits=8))
    chosen = []
    for modality, items in train.items():
        X, B, f = items.features.astype(float), method.encode_train(modality), method.functions_[modality]
        distances = ((X[:, None] - X) ** 2).sum(axis=2)
        assert f.map.gamma == pytest.approx(1 / distances.mean())
        to_anchors = ((X[:, None] - f.map.anchors) ** 2).sum(axis=2)
        chosen.append(to_anchors.argmin(axis=0))
        np.testing.assert_allclose(to_anchors.min(axis=0), 0, atol=1e-10)
        K, K0 = np.exp(-f.map.gamma * to_anchors), np.exp(-f.map.gamma * to_anchors[chosen[-1]])

        def loss(W, K=K, B=B, K0=K0):
            return np.logaddexp(0, -B * (K @ W)).sum(axis=0) + 0.01 * (W * (K0 @ W)).sum(axis=0)

        slope = [loss(f.weights + h) for h in (1e-4, -1e-4)]  # along the ones, bit by bit
        assert np.abs(slope[0] - slope[1]).max() / 2e-4 < 0.05
        start = [loss(np.zeros_like(f.weights) + h) for h in (1e-4, -1e-4)]
        assert np.abs(start[0] - start[1]).max() / 2e-4 > 1
    np.testing.assert_array_equal(*chosen)


def test_never_takes_more_anchors_or_columns_than_items():
    train = small_items(n=12)
    method = KDLFH(samples=50).fit(train, None, Context(bits=32))
    assert {len(f.map.anchors) for f in method.functions_.values()} == {12}


@pytest.mark.parametrize("make", [DLFH, KDLFH])
def test_says_when_all_items_have_the_same_labels(make, caplog):
    with caplog.at_level(logging.WARNING):
        method = make().fit(small_items(n_classes=1), None, Context(bits=8))
    assert "nothing to tell apart" in caplog.text
    assert method.encode_train("text").shape == (60, 8)


@pytest.mark.parametrize("make", [DLFH, KDLFH])
def test_takes_two_pairs_constant_columns_and_rows_without_labels(make, caplog):
    train = small_items(n=20)
    features = {m: items.features.copy() for m, items in train.items()}
    labels = train["image"].labels.copy()
    labels[:5] = 0
    features["text"][:, 2], features["text"][:, 3] = 0.0, 7.0
    altered = {m: Items(m, features[m], t.ids, t.instances, labels) for m, t in train.items()}
    with caplog.at_level(logging.WARNING):
        method = make().fit(altered, None, Context(bits=8))
    assert "5 of 20 training items have no label" in caplog.text
    assert set(np.unique(method.encode("text", features["text"]))) <= {-1, 1}
    two = make().fit(small_items(n=2), None, Context(bits=8))
    assert two.encode_train("image").shape == (2, 8)


PER_VIEW = RULES | {"learned": (TEST_VS_LEARNED, "learned per view")}


# At 32 bits the reference's three draws lie close together (.0016 where 20 of ours scatter by .007), so three standard
# errors say too little. A transcription of the paper's updates has our means: docs/methods/dlfh.md.
SCATTER = {("learned", "text->image", "mAP@all"), ("function", "image->text", "mAP@50")}


@pytest.mark.parametrize("bits", LENGTHS)
@pytest.mark.parametrize("preset", ["author", "toolbox"])
def test_agrees_with_the_reference_on_wiki(wiki, wiki_reference, bits, preset):
    scatter = SCATTER if bits == 32 else set()
    parameters = DLFH.PRESETS.get(preset, {})
    check_agreement(
        lambda: DLFH(**parameters),
        wiki,
        wiki_reference,
        f"DLFH_{preset}",
        bits,
        seeds=10,
        rules=PER_VIEW,
        ignore=scatter,
    )
