"""GSPH against its definition with the n x n residual, its objective, and its unified codes."""

import numpy as np
import pytest
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench_methods.blocks.labels import similar
from cmrbench_methods.blocks.linear import signs, unit_rows
from cmrbench_methods.blocks.logistic import sigmoid
from cmrbench_methods.supervised_hash.gsph import GSPH, residual, unified_codes, update_columns

N, K = 40, 7


@pytest.fixture
def labels(rng):
    L = (rng.random((N, 5)) < 0.3).astype(float)
    L[3] = 0  # an item without labels
    return unit_rows(L)


def starts(rng):
    return [np.asfortranarray(signs(rng.standard_normal((N, K)))) for _ in range(2)]


def by_definition(A, B, S):
    """One pass over the columns of A that holds the whole residual."""
    A = A.copy()
    for k in range(K):
        others = np.delete(np.arange(K), k)
        missing = K * S - A[:, others] @ B[:, others].T
        A[:, k] = np.clip(missing @ B[:, k] / (B[:, k] @ B[:, k]), -1, 1)
    return A


def test_columns_are_those_of_the_definition(rng, labels):
    A, B = starts(rng)
    S = labels @ labels.T
    for _ in range(3):
        expected = by_definition(A, B, S)
        update_columns(A, B, K * similar(labels, B))
        np.testing.assert_allclose(A, expected, atol=1e-10)
        A, B = B, A


def test_no_update_increases_the_objective_and_each_is_the_best(rng, labels):
    A, B = starts(rng)
    S = labels @ labels.T
    values = [np.linalg.norm(K * S - A @ B.T)]
    for _ in range(6):
        update_columns(A, B, K * similar(labels, B))
        values.append(np.linalg.norm(K * S - A @ B.T))
        assert residual(labels, A, B) == pytest.approx(values[-1])
        # The last column has seen all others as they are now.
        for _ in range(20):
            other = A.copy()
            other[:, -1] = np.clip(other[:, -1] + 0.01 * rng.standard_normal(N), -1, 1)
            assert np.linalg.norm(K * S - other @ B.T) >= values[-1] - 1e-9
        A, B = B, A
    assert (np.diff(values) <= 1e-9).all()
    assert values[-1] < 0.8 * values[0]
    assert max(np.abs(A).max(), np.abs(B).max()) <= 1


def test_a_column_without_effect_stays(rng, labels):
    A, B = starts(rng)
    B[:, 2] = 0
    before = A[:, 2].copy()
    update_columns(A, B, K * similar(labels, B))
    np.testing.assert_array_equal(A[:, 2], before)
    assert np.isfinite(A).all()


def test_unified_codes_follow_the_mean_of_both_probabilities(rng):
    first, second = rng.standard_normal((2, N, K)) * 3
    expected = np.where(0.5 * (2 * sigmoid(first) - 1) + 0.5 * (2 * sigmoid(second) - 1) >= 0, 1, -1)
    np.testing.assert_array_equal(unified_codes(first, second), expected)


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("anchors", ["random", "kmeans"])
def test_codes_follow_the_labels_and_hash_functions_the_codes(multilabel, anchors):
    data = make_synthetic(n_train=300, classes=6, multilabel=multilabel, noise=0.5, seed=3)
    train = data.part("train")
    image, text = train
    method = GSPH(anchors, n_anchors=60).fit(train, None, Context(bits=32))
    codes = method.encode_train(image).astype(int)
    np.testing.assert_array_equal(codes, method.encode_train(text))
    labels = train[image].labels.astype(int)
    shared = labels @ labels.T > 0
    products = method.encode(image, train[image].features).astype(int) @ method.encode(text, train[text].features).T
    assert products[shared].mean() > products[~shared].mean() + 8
    for m in train:
        assert (method.encode(m, train[m].features) == codes).mean() > 0.85


def test_random_anchors_are_the_same_items_in_both_modalities():
    train = small_items(n=60)
    method = GSPH(n_anchors=20).fit(train, None, Context(bits=8))
    picked = []
    for m, function in method.functions_.items():
        rows = function.map.before(train[m].features)
        distances = ((function.map.anchors[:, None] - rows) ** 2).sum(axis=2)
        np.testing.assert_allclose(distances.min(axis=1), 0, atol=1e-10)
        picked.append(distances.argmin(axis=1).tolist())
    assert picked[0] == picked[1]
    fewer = GSPH(n_anchors=500).fit(train, None, Context(bits=8))
    assert {len(f.map.anchors) for f in fewer.functions_.values()} == {60}


def test_stopping_before_convergence_is_a_warning(caplog):
    GSPH(rounds=1).fit(small_items(), None, Context(bits=8))
    assert "gsph: column updates stopped after 1 rounds" in caplog.text


def test_bad_input_is_refused():
    train = small_items()
    with pytest.raises(MethodError, match="neither random nor kmeans"):
        GSPH("nearest").fit(train, None, Context(bits=8))
    with pytest.raises(MethodError, match="gsph learned one and the same code"):
        GSPH().fit(small_items(n_classes=1), None, Context(bits=8))
    two = {m: items.take(np.array([0, 1])) for m, items in train.items()}
    assert GSPH().fit(two, None, Context(bits=8)).encode_train("image").shape == (2, 8)
