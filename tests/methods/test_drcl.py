"""DRCL against hand-written losses, its algebra, and the reference numbers on wiki."""

import numpy as np
import pytest
import torch
from small_items import small_items
from wiki_split import Wiki, measured, over_seeds, reference_values

from cmrbench.core.errors import MethodError
from cmrbench.method import Context
from cmrbench_methods.supervised_real.drcl import DRCL, discrimination, orthogonal_start, reverse

SMALL = {"hidden": 16, "dim": 8, "epochs": 8, "batch": 25, "lr": 1e-3, "q_step": 0.2}


def tensor(x):
    return torch.from_numpy(np.asarray(x, dtype=np.float64))


def fitted(train, val=None, **params):
    return DRCL(**{**SMALL, **params}).fit(train, val, Context())


def cosines(A, B):
    return np.array([[a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for b in B] for a in A])


def test_reverse_is_the_inverse_on_labels():
    W = tensor(np.random.default_rng(0).standard_normal((9, 4)))
    L = reverse(W)
    assert L.shape == (4, 9)
    np.testing.assert_allclose(L @ W, np.eye(4), atol=1e-10)
    np.testing.assert_allclose(W @ L, (W @ L).T, atol=1e-10)


def test_orthogonal_start():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        W, wide = orthogonal_start(9, 4), orthogonal_start(3, 5)
    np.testing.assert_allclose(W.T @ W, np.eye(4), atol=1e-6)
    np.testing.assert_allclose(wide @ wide.T, np.eye(3), atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 6), (6, 6), (7, 3)])
def test_discrimination_is_eq_6_with_twice_the_cosine(shape):
    R, F = np.random.default_rng(0).standard_normal((2, *shape))
    intra = np.mean((2 * cosines(R, R) - 2 * cosines(F, F)) ** 2)
    between = 2 * cosines(R, F)
    expected = intra + np.mean((between - between.T) ** 2)
    assert float(discrimination(tensor(R), tensor(F))) == pytest.approx(expected)
    assert float(discrimination(tensor(F), tensor(F))) == pytest.approx(0, abs=1e-12)


def test_consistency_is_the_weighted_sum_of_its_three_losses():
    rng = np.random.default_rng(0)
    W, Y, F = rng.standard_normal((6, 3)), np.eye(3)[[0, 1, 2, 0]], rng.standard_normal((4, 6))
    L, q = np.linalg.pinv(W), 0.3
    logits = F @ W
    P = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    label = np.mean((1 - (Y * P).sum(1) ** q) / q)
    recast = np.mean((Y @ L - F) ** 2)
    apart = float(discrimination(tensor(Y @ L), tensor(F)))
    method = DRCL(alpha=0.5, beta=0.25, eta=2.0)
    value = method._consistency(tensor(F), tensor(Y), tensor(W), tensor(L), q)
    assert float(value) == pytest.approx(0.5 * apart + 0.25 * recast + 2 * label)


def test_first_epoch_of_the_prior_changes_nothing():
    """q = 0: after one epoch W is still the orthogonal start, the same for every modality."""
    method = fitted(small_items(), selection="last", epochs=1)
    np.testing.assert_allclose(method.W_.T @ method.W_, np.eye(3), atol=1e-6)
    trained = fitted(small_items(), selection="last", epochs=2)
    assert np.abs(trained.W_.T @ trained.W_ - np.eye(3)).max() > 1e-5


@pytest.mark.parametrize("noisy", ["image", "text"])
def test_prior_is_of_the_modality_that_predicts_its_labels_best(noisy):
    train = small_items(n=90)
    train[noisy] = small_items(n=90, noise=50)[noisy]
    method = fitted(train, selection="last", epochs=40, lr_prior=5e-3, standardize=True)
    clear = "text" if noisy == "image" else "image"
    assert method.prior_modality_ == clear
    assert method.quality_[clear] > method.quality_[noisy] > 0


def test_released_prior_is_of_the_last_epoch_even_where_another_scored_higher():
    train = small_items(n=90, noise=3)
    params = {"selection": "last", "epochs": 40, "lr_prior": 0.3}
    last, best = fitted(train, **params), fitted(train, **params, prior="best")
    assert last.quality_ == best.quality_
    assert not np.array_equal(last.W_, best.W_)


def test_a_modality_does_not_depend_on_the_other_ones_but_for_the_prior():
    """Modalities meet only through W: unpaired, of different numbers, in any number."""
    three = small_items(n=90, dims=(12, 7, 5), modalities=("image", "text", "audio"))
    three["text"] = three["text"].take(np.arange(40)[::-1])
    three["audio"] = three["audio"].take(np.arange(10))  # fewer than a batch
    all_three = fitted(three, selection="last")
    two = {m: three[m] for m in ("image", all_three.prior_modality_, "text")}
    fewer = fitted(two, selection="last")
    assert fewer.prior_modality_ == all_three.prior_modality_
    for m in two:
        assert np.array_equal(fewer.encode(m, three[m].features), all_three.encode(m, three[m].features))


def test_representations_are_unit_vectors():
    train = small_items()
    z = fitted(train, selection="last").encode("image", train["image"].features)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, atol=1e-6)


def test_one_learning_rate_or_one_for_every_modality():
    train = small_items()
    one, each = (fitted(train, selection="last", lr=lr) for lr in (1e-3, {"text": 1e-3, "image": 1e-3}))
    assert np.array_equal(one.encode("text", train["text"].features), each.encode("text", train["text"].features))
    with pytest.raises(MethodError, match=r"rates for image but none for text"):
        fitted(train, selection="last", lr={"image": 1e-3})


def test_unknown_prior_is_refused():
    with pytest.raises(MethodError, match="prior is 'first'"):
        fitted(small_items(), selection="last", prior="first")


@pytest.mark.slow
def test_agrees_with_the_authors_code_on_wiki(wiki_source, wiki_reference):
    """Hidden 512, d 256, z-scored; validation on the first 231 test items. The reference is one seed, and so is this.

    Our own seeds 1 to 3 have a standard deviation of 0.01 (I->T) and 0.007 (T->I); see docs/methods/drcl.md.
    """
    data = Wiki(wiki_source)
    reference = reference_values(wiki_reference, "DRCL", "val231_test462", "input=z-scored")
    method = DRCL(hidden=512, dim=256, lr=1e-4, standardize=True)
    method.fit(data.items(data.train), data.items(data.test[:231]), Context(seed=2))
    ours = over_seeds([measured(method, data.items(data.test[231:]))])
    assert method.prior_modality_ == "image"
    assert method.quality_ == pytest.approx({"image": 0.854, "text": 0.606}, abs=0.01)
    assert min(method.epochs_.values()) >= 100  # after q has reached 1, as the notes on the authors' code saw
    for key, values in reference.items():
        assert ours[key] == pytest.approx(values, abs=0.025), key
