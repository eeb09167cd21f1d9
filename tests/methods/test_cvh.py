"""CVH against the eigenproblems that define it, and the reference numbers on wiki up to the rank of its features."""

import numpy as np
import pytest
from reference_rows import LENGTHS, TEST_VS_TRAIN, measure, reference
from scipy.linalg import eig, null_space
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.method import Context
from cmrbench_methods.blocks.correlation import Directions, supported
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.hashing import HashFunction
from cmrbench_methods.blocks.maps import Scaled
from cmrbench_methods.unsupervised_hash.cvh import CVH

RANK_ON_WIKI = 10


def by_definition(part, bits, variant):
    """Projections of the items: the eigenproblem as written in the paper, or with the inverse left out as released."""
    X, Y = (items.features.astype(np.float64) for items in part.values())
    if variant == "paper":
        X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    Sxx, Syy, Sxy = X.T @ X + 1e-4 * np.eye(X.shape[1]), Y.T @ Y + 1e-4 * np.eye(Y.shape[1]), X.T @ Y
    middle = np.linalg.inv(Syy) if variant == "paper" else Syy
    m, A = eig(Sxy @ middle @ Sxy.T, Sxx)
    A = A[:, np.argsort(-m.real)[:bits]].real
    return X @ A, Y @ np.linalg.solve(Syy, Sxy.T @ A)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_gives_the_codes_of_the_definition(variant):
    part = small_items(n=90, dims=(12, 9))
    method = CVH(variant=variant).fit(part, None, Context(bits=7))
    turned = []
    for (modality, items), values in zip(part.items(), by_definition(part, 7, variant), strict=True):
        agreement = (method.encode(modality, items.features) * np.where(values >= 0, 1, -1)).mean(axis=0)
        np.testing.assert_allclose(np.abs(agreement), 1, atol=0.02)
        turned.append(agreement > 0)
    np.testing.assert_array_equal(*turned)


def test_the_directions_are_the_best_of_unit_variance(rng):
    """sum_i ||A'x_i - B'y_i||^2 with A'Sxx A = B'Syy B = I is smallest at the solution."""
    part = small_items(n=90, dims=(12, 9))
    method = CVH().fit(part, None, Context(bits=5))
    X, Y = ((i.features - i.features.mean(axis=0, dtype=np.float64)) for i in part.values())
    Sxx, Syy = X.T @ X + 1e-4 * np.eye(12), Y.T @ Y + 1e-4 * np.eye(9)
    A, B = (f.weights for f in method.functions_.values())
    np.testing.assert_allclose(A.T @ Sxx @ A, np.eye(5), atol=1e-10)
    np.testing.assert_allclose(B.T @ Syy @ B, np.eye(5), atol=1e-10)

    def of_unit_variance(W, S):
        return np.linalg.solve(np.linalg.cholesky(W.T @ S @ W), W.T).T

    best = ((X @ A - Y @ B) ** 2).sum()
    for size in (1e-3, 1e-1):
        for _ in range(20):
            other_A = of_unit_variance(A + size * np.abs(A).mean() * rng.standard_normal(A.shape), Sxx)
            other_B = of_unit_variance(B + size * np.abs(B).mean() * rng.standard_normal(B.shape), Syy)
            assert ((X @ other_A - Y @ other_B) ** 2).sum() > best


def test_the_variants_differ_in_the_mean_too():
    part = small_items(n=60)
    shifted = {m: type(i)(m, i.features + np.float32(5), i.ids, i.instances, i.labels) for m, i in part.items()}
    codes = {}
    for variant in ("paper", "released"):
        for name, items in (("here", part), ("shifted", shifted)):
            method = CVH(variant=variant).fit(items, None, Context(bits=4))
            codes[variant, name] = method.encode("image", items["image"].features)
    assert (codes["paper", "here"] == codes["paper", "shifted"]).mean() > 0.99
    assert (codes["released", "here"] == codes["released", "shifted"]).mean() < 0.9


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_more_bits_than_directions_repeat_them_and_one_warning_says_so(variant, caplog):
    part = small_items(n=60, dims=(12, 5))
    method = CVH(variant=variant).fit(part, None, Context(bits=13))
    codes = method.encode("text", part["text"].features)
    np.testing.assert_array_equal(codes[:, 5:10], codes[:, :5])
    assert caplog.text.count("the data have 5 directions") == 1


def test_directions_in_which_only_the_ridge_has_variance_are_no_directions():
    """Rows that sum to one up to rounding have a direction without variance; it must not become a bit."""
    part = small_items(n=300, dims=(12, 6))
    rows = np.exp(part["text"].features)
    items = part["text"]
    part["text"] = type(items)("text", rows / rows.sum(axis=1, keepdims=True), items.ids, items.instances, items.labels)
    weights = CVH().fit(part, None, Context(bits=6)).functions_["text"].weights
    np.testing.assert_array_equal(weights[:, 5], weights[:, 0])
    found = Directions(np.array([[1.0, 0], [0, 1e2]]), np.eye(2), np.array([0.9, 0.1]))
    np.testing.assert_array_equal(supported(found, 1e-4).rho, [0.9])


def test_products_of_two_designs_do_not_depend_on_how_they_are_held(rng, monkeypatch):
    x, y = rng.standard_normal((9000, 3)).astype(np.float32), rng.standard_normal((9000, 2)).astype(np.float32)
    expected = (x - x.mean(axis=0, dtype=np.float64)).T @ y.astype(np.float64)
    for few in (2**30, 0):
        monkeypatch.setattr("cmrbench_methods.blocks.design.FEW", few)
        X, Y = Design(x, Scaled.fit(x)), Design(y, Scaled.fit(y, centre=False))
        np.testing.assert_allclose(X.between(Y), expected, atol=1e-8)


def test_bad_input_is_refused_or_survived():
    part = small_items(n=12)
    with pytest.raises(MethodError, match="neither paper nor released"):
        CVH(variant="fast").fit(part, None, Context(bits=4))
    constant = {m: type(i)(m, np.zeros_like(i.features), i.ids, i.instances, i.labels) for m, i in part.items()}
    for variant in ("paper", "released"):
        with pytest.raises(MethodError, match="no direction"):
            CVH(variant=variant).fit(part | {"image": constant["image"]}, None, Context(bits=4))
    two = {m: i.take(np.arange(2)) for m, i in part.items()}
    assert CVH().fit(two, None, Context(bits=4)).encode("image", two["image"].features).shape == (2, 4)


class WithNoise(CVH):
    """The released variant with what its code has beyond the rank: directions of no correlation, drawn at random."""

    def __init__(self, draw=0):
        super().__init__(variant="released")
        self.draw = draw

    def fit(self, train, val, context):
        super().fit(train, val, Context(bits=RANK_ON_WIKI))
        rng, more = np.random.default_rng(self.draw), context.bits - RANK_ON_WIKI
        X, Y = (items.features.astype(np.float64) for items in train.values())
        Sxx, Syy = X.T @ X + 1e-4 * np.eye(X.shape[1]), Y.T @ Y + 1e-4 * np.eye(Y.shape[1])
        uncorrelated = null_space((X.T @ Y).T)
        L = np.linalg.cholesky(uncorrelated.T @ Sxx @ uncorrelated)
        turned = np.linalg.qr(rng.standard_normal((len(L), len(L))))[0][:, :more]
        noise = uncorrelated @ np.linalg.solve(L.T, turned), np.linalg.solve(Syy, rng.standard_normal((len(Syy), more)))
        self.functions_ = {
            m: HashFunction(f.map, np.hstack((f.weights, w)))
            for (m, f), w in zip(self.functions_.items(), noise, strict=True)
        }
        return self


@pytest.mark.parametrize("bits", LENGTHS)
def test_agrees_with_the_reference_on_wiki_up_to_its_noise(wiki, wiki_reference, bits):
    """The reference has 10 bits that mean something; the others are rounding errors of an eigenproblem of rank 10.

    Here they are drawn at random. Ten draws spread by up to 0.01, and the code's own draw is one of its library's.
    """
    draws = [measure(WithNoise(d), wiki, Context(bits=bits), TEST_VS_TRAIN) for d in range(10)]
    for key, (theirs,) in reference(wiki_reference, "CVH", bits, TEST_VS_TRAIN, gallery_codes="hash function").items():
        ours = [draw[key] for draw in draws]
        assert abs(np.mean(ours) - theirs) < 0.01 + 3 * np.std(ours, ddof=1), (key, np.mean(ours), theirs)


@pytest.mark.parametrize("bits", LENGTHS)
def test_without_the_noise_both_variants_are_above_the_reference(wiki, wiki_reference, bits):
    theirs = reference(wiki_reference, "CVH", bits, TEST_VS_TRAIN, gallery_codes="hash function")
    for variant in ("paper", "released"):
        ours = measure(CVH(variant=variant), wiki, Context(bits=bits), TEST_VS_TRAIN)
        assert all(value > theirs[key][0] for key, value in ours.items())
