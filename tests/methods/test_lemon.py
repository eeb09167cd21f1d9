"""LEMON: every update attains the minimum of its objective, chunks keep their codes, and the reference numbers."""

import numpy as np
import pytest
from reference_rows import LENGTHS, check_agreement
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench_methods.blocks.balanced import balanced_orthogonal_factor
from cmrbench_methods.blocks.discrete import procrustes
from cmrbench_methods.blocks.linear import signs, unit_rows
from cmrbench_methods.supervised_hash import lemon
from cmrbench_methods.supervised_hash.lemon import LEMON, Chunk, Sums, similar_to

K, C = 6, 4


def rows_of(items, rows):
    return {m: i.take(rows) for m, i in items.items()}


class Both:
    """An old and a new chunk with everything spelt out: n x n similarities, no sums."""

    def __init__(self, rng, alpha=0.3, beta=30.0, gamma=0.2, old=30, new=25):
        self.alpha, self.beta, self.gamma, self.n = alpha, beta, gamma, new
        self.L = (rng.random((old + new, C)) < 0.4).astype(float)
        G = unit_rows(self.L)
        self.S = 2 * G @ G.T - 1
        self.Bo = signs(rng.standard_normal((old, K)))
        self.Vo = balanced_orthogonal_factor(rng.standard_normal((old, K)), rng)
        self.sums = Sums.zero(K, C).add(self.L[:old], G[:old], self.Bo, self.Vo)
        self.chunk = Chunk(self.L[old:], G[old:], self.sums)

    def loss(self, B, V, P, R):
        old = len(self.Bo)
        all_B, all_V = np.vstack([self.Bo, B]), np.vstack([self.Vo, V])
        error = (K * self.S - all_B @ all_V.T) ** 2
        similarity = error[old:].sum() + error[:old, old:].sum()
        embedding = ((self.L - all_V @ P) ** 2).sum() + self.gamma * (P**2).sum()
        return self.alpha * similarity + self.beta * embedding + ((all_B - all_V @ R) ** 2).sum()


def test_no_update_increases_the_objective(rng):
    """The method's own steps for P, V, R and B, on the objective with all n x n terms."""
    case = Both(rng)
    method = LEMON(case.alpha, case.beta, case.gamma)
    B = signs(rng.standard_normal((case.n, K)))
    V = balanced_orthogonal_factor(rng.standard_normal((case.n, K)), rng)
    R, P = procrustes(rng.standard_normal((K, K))), rng.standard_normal((K, C))
    old, values = case.sums, [case.loss(B, V, P, R)]
    for _ in range(4):
        P = method.embedding(case.chunk, V)
        values.append(case.loss(B, V, P, R))
        V = balanced_orthogonal_factor(method.pull(case.chunk, B, P, R), rng)
        values.append(case.loss(B, V, P, R))
        R = procrustes((old.BV + B.T @ V).T)
        values.append(case.loss(B, V, P, R))
        B = method.codes(case.chunk, V, R)
        values.append(case.loss(B, V, P, R))
    assert (np.diff(values) <= 1e-9 * values[0]).all(), values
    assert values[-1] < 0.9 * values[1]


def test_every_update_is_the_best(rng):
    case = Both(rng)
    method, old = LEMON(case.alpha, case.beta, case.gamma), case.sums
    B = signs(rng.standard_normal((case.n, K)))
    V = balanced_orthogonal_factor(rng.standard_normal((case.n, K)), rng)
    R, P = procrustes(rng.standard_normal((K, K))), rng.standard_normal((K, C))
    best = method.embedding(case.chunk, V)
    for _ in range(20):
        assert case.loss(B, V, best + 1e-3 * rng.standard_normal(P.shape), R) > case.loss(B, V, best, R)
    best = balanced_orthogonal_factor(method.pull(case.chunk, B, P, R), rng)
    np.testing.assert_allclose(best.T @ best, case.n * np.eye(K), atol=1e-8)
    np.testing.assert_allclose(best.sum(axis=0), 0, atol=1e-8)
    for _ in range(20):
        other = balanced_orthogonal_factor(best + 0.1 * rng.standard_normal(V.shape), rng)
        assert case.loss(B, other, P, R) > case.loss(B, best, P, R)
    best = procrustes((old.BV + B.T @ V).T)
    for _ in range(20):
        other = procrustes(best + 0.05 * rng.standard_normal(R.shape))
        assert case.loss(B, V, P, other) > case.loss(B, V, P, best)
    best = method.codes(case.chunk, V, R)
    for i, k in zip(rng.integers(case.n, size=40), rng.integers(K, size=40), strict=True):
        other = best.copy()
        other[i, k] *= -1
        assert case.loss(other, V, P, R) >= case.loss(best, V, P, R)


def test_the_similarity_needs_no_n_by_n(rng):
    case = Both(rng)
    everything = np.vstack([case.Bo, case.Bo[:25]])
    expected = (case.S @ everything)[30:]
    np.testing.assert_allclose(similar_to(case.chunk.G, case.Bo[:25], case.sums.GB, case.sums.B1), expected, atol=1e-10)


@pytest.mark.parametrize("multilabel", [False, True])
def test_learned_codes_follow_the_labels_in_every_chunk_and_across(multilabel):
    data = make_synthetic(n_train=400, classes=6, multilabel=multilabel, noise=0.5, seed=3)
    train = data.part("train")
    image, text = train
    for chunk in (0, 100):
        method = LEMON(chunk=chunk).fit(train, None, Context(bits=32))
        codes = method.encode_train(image).astype(int)
        np.testing.assert_array_equal(codes, method.encode_train(text))
        labels = train[image].labels.astype(int)
        shared = labels @ labels.T > 0
        products = codes @ codes.T
        assert products[shared].mean() > products[~shared].mean() + 8, chunk
        assert (method.encode(image, train[image].features) == codes).mean() > 0.85


def test_fit_gives_what_its_chunks_give_one_by_one():
    train, context = small_items(n=90), Context(bits=8, seed=4)
    fitted = LEMON(chunk=40).fit(train, None, context)
    rows = lemon.chunk_rows(90, 40, context.rng("order"))
    assert [len(r) for r in rows] == [40, 50]
    online = LEMON()
    for chunk in rows:
        online.partial_fit(rows_of(train, chunk), context)
    for m, items in train.items():
        np.testing.assert_array_equal(online.encode_train(m), fitted.encode_train(m)[np.concatenate(rows)])
        np.testing.assert_array_equal(online.encode(m, items.features), fitted.encode(m, items.features))
        np.testing.assert_allclose(online.functions_[m].weights, fitted.functions_[m].weights, atol=1e-8)


def test_hash_functions_are_the_ridge_regression_of_all_codes():
    train, context = small_items(n=90), Context(bits=8)
    method = LEMON(xi=0.5)
    for start in (0, 50):
        method.partial_fit(rows_of(train, np.arange(start, min(start + 50, 90))), context)
    for m, items in train.items():
        x, codes = items.features.astype(float), method.encode_train(m).astype(float)
        expected = np.linalg.solve(x.T @ x + 0.5 * np.eye(x.shape[1]), x.T @ codes)
        np.testing.assert_allclose(method.functions_[m].weights, expected, atol=1e-9)


def test_old_codes_stay_and_a_refused_chunk_changes_nothing():
    train, context = small_items(n=90), Context(bits=8)
    method = LEMON().partial_fit(rows_of(train, np.arange(50)), context)
    before = method.encode_train("image").copy()
    method.partial_fit(rows_of(train, np.arange(50, 90)), context)
    np.testing.assert_array_equal(method.encode_train("image")[:50], before)
    kept = {**vars(method)}
    narrow = {m: small_items(dims=(5, 7))[m] for m in train}
    more_classes = small_items(n_classes=5)
    refused = {
        "empty chunk": (rows_of(train, np.arange(0)), context),
        "columns": (narrow, context),
        "5 classes": (more_classes, context),
        "12 bits": (train, Context(bits=12)),
    }
    for words, (chunk, given) in refused.items():
        with pytest.raises(MethodError, match=f"lemon .*{words}"):
            method.partial_fit(chunk, given)
        assert vars(method) == kept, words


def test_bad_chunk_sizes_are_refused_and_large_ones_are_one_chunk():
    train = small_items(n=30)
    for size in (1, -3):
        with pytest.raises(MethodError, match="chunk is 0"):
            LEMON(chunk=size).fit(train, None, Context(bits=8))
    once, all_at_once = (LEMON(chunk=size).fit(train, None, Context(bits=8)) for size in (500, 0))
    np.testing.assert_array_equal(once.encode_train("text"), all_at_once.encode_train("text"))


def test_two_pairs_and_more_bits_than_items_are_a_warning(caplog):
    train = rows_of(small_items(), np.array([0, 1]))
    codes = LEMON().fit(train, None, Context(bits=16)).encode_train("image")
    assert codes.shape == (2, 16)
    assert "16 bits were asked of 2 training items" in caplog.text


@pytest.mark.parametrize("bits", LENGTHS)
@pytest.mark.parametrize(("name", "preset"), [("LEMON_author", {}), ("LEMON_toolbox", LEMON.PRESETS["toolbox"])])
def test_agrees_with_the_reference_on_wiki(wiki, wiki_reference, name, preset, bits):
    check_agreement(lambda: LEMON(**preset), wiki, wiki_reference, name, bits)
