"""DSCMR against a hand-written loss and the reference numbers on wiki."""

import numpy as np
import pytest
import torch
from reference_rows import disagreements
from small_items import small_items
from wiki_split import Wiki, measured, over_seeds, reference_values

from cmrbench.core.errors import MethodError
from cmrbench.method import Context
from cmrbench_methods.supervised_real.dscmr import DSCMR

SMALL = {"hidden": 16, "dim": 8, "epochs": 4, "batch": 25, "selection": "last"}


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


@pytest.mark.parametrize("labels", ["one", "several"])
def test_loss_is_eq_7(labels):
    rng = np.random.default_rng(0)
    Fa, Fb, Za, Zb = (rng.standard_normal((4, d)) for d in (6, 6, 3, 3))
    Y = np.eye(3)[[0, 1, 1, 2]] if labels == "one" else np.array([[1, 1, 0], [1, 1, 1], [0, 0, 1], [0, 1, 0]]) * 1.0
    residual = sum(np.mean(np.sqrt(((Z - Y) ** 2).sum(1))) for Z in (Za, Zb))
    similar = 0.0
    for A, B in ((Fa, Fa), (Fa, Fb), (Fb, Fb)):
        terms = []
        for i in range(4):
            for j in range(4):
                theta = cosine(A[i], B[j]) / 2
                terms.append(np.log(1 + np.exp(theta)) - (Y[i] @ Y[j]) * theta)
        similar += np.mean(terms)
    pairs = np.mean([np.linalg.norm(a - b) for a, b in zip(Fa, Fb, strict=True)])
    value = DSCMR(alpha=0.7, beta=0.3)._loss(*(torch.from_numpy(x) for x in (Fa, Fb, Za, Zb, Y)))
    assert float(value) == pytest.approx(residual + 0.7 * similar + 0.3 * pairs)


def test_both_modalities_end_in_the_same_layer():
    train = small_items()
    method = DSCMR(**SMALL).fit(train, None, Context())
    assert method.nets_["image"][2] is method.nets_["text"][2]
    assert method.nets_["image"][0] is not method.nets_["text"][0]


def test_batches_follow_the_order_of_the_items():
    """No shuffling: items beyond the first batch cannot change a first step; their order changes the training."""
    train = small_items(n=60)
    order = np.concatenate([np.arange(25), np.arange(59, 24, -1)])
    same_first = {m: items.take(order) for m, items in train.items()}
    one, two = (DSCMR(**SMALL).fit(t, None, Context()) for t in (train, same_first))
    test = train["image"].features
    assert not np.array_equal(one.encode("image", test), two.encode("image", test))
    one, two = (DSCMR(**{**SMALL, "batch": 60}).fit(t, None, Context()) for t in (train, same_first))
    np.testing.assert_allclose(one.encode("image", test), two.encode("image", test), atol=1e-5)


def test_unpaired_items_are_refused():
    train = small_items()
    train["text"] = train["text"].take(np.arange(60)[::-1])
    with pytest.raises(MethodError, match="pairs"):
        DSCMR(**SMALL).fit(train, None, Context())


@pytest.mark.slow
def test_agrees_with_the_authors_code_on_wiki(wiki_source, wiki_reference):
    """25 epochs, z-scored, 693 x 693, last epoch. The reference is one seed."""
    data = Wiki(wiki_source)
    runs = []
    for seed in (1, 3):
        method = DSCMR(epochs=25, selection="last", standardize=True)
        method.fit(data.items(data.train), None, Context(seed=seed))
        runs.append(measured(method, data.items(data.test)))
    reference = reference_values(wiki_reference, "DSCMR", "test693_last_epoch")
    ours = {key: values for key, values in over_seeds(runs).items() if key[1] == "mAP@all"}
    assert not disagreements(ours, reference)
