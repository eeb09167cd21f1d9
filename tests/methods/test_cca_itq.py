"""CCA-ITQ: the rotation, the scaled canonical directions, and what the rotation is worth."""

from dataclasses import replace

import numpy as np
import pytest
from reference_rows import TEST_VS_TRAIN, measure
from scipy.stats import ortho_group
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench_methods.baselines.cca_itq import CCAITQ
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.itq import quantising_rotation, random_rotation, weighted_directions
from cmrbench_methods.blocks.maps import Scaled
from cmrbench_methods.unsupervised_hash.cvh import CVH


def error(parts, R):
    return sum(((np.where(Z @ R >= 0, 1, -1) - Z @ R) ** 2).sum() for Z in parts)


@pytest.fixture
def parts(rng):
    shared = rng.standard_normal((200, 6)) * np.linspace(1, 0.3, 6)
    return [shared + 0.3 * rng.standard_normal(shared.shape) for _ in range(2)]


def test_no_turn_of_the_rotation_increases_the_objective(parts, rng):
    start = random_rotation(6, rng)
    errors = [error(parts, quantising_rotation(parts, start, turns)) for turns in range(15)]
    assert errors[0] == error(parts, start)
    assert (np.diff(errors) <= 1e-9).all()
    assert errors[-1] < 0.97 * errors[0]


def test_the_rotation_is_the_best_for_its_codes(parts, rng):
    """After one turn: of all orthogonal matrices, the one nearest to the codes before it."""
    start = random_rotation(6, rng)
    R = quantising_rotation(parts, start, 1)
    np.testing.assert_allclose(R.T @ R, np.eye(6), atol=1e-12)
    codes = [np.where(Z @ start >= 0, 1, -1) for Z in parts]

    def distance(Q):
        return sum(((B - Z @ Q) ** 2).sum() for B, Z in zip(codes, parts, strict=True))

    others = [ortho_group.rvs(6, random_state=i) for i in range(50)]
    near = [np.linalg.qr(R + 1e-3 * rng.standard_normal((6, 6))) for _ in range(50)]
    near = [Q * np.sign(np.diag(T)) for Q, T in near]
    assert min(distance(Q) for Q in others + near) > distance(R)


def test_it_stops_where_the_codes_stop(parts, rng):
    start = random_rotation(6, rng)
    settled = quantising_rotation(parts, start, 1000)
    np.testing.assert_array_equal(settled, quantising_rotation(parts, start, 2000))
    np.testing.assert_allclose(quantising_rotation(parts, settled, 1), settled, atol=1e-10)


def test_random_rotations_are_orthogonal_and_prefer_no_direction():
    drawn = np.array([random_rotation(3, np.random.default_rng(i)) for i in range(2000)])
    np.testing.assert_allclose(drawn @ drawn.transpose(0, 2, 1), np.broadcast_to(np.eye(3), drawn.shape), atol=1e-12)
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose((drawn**2).mean(axis=0), 1 / 3, atol=0.04)


def test_directions_have_their_correlation_as_length():
    """With hardly any ridge, Z'Z / n of either modality and Zx'Zy / n are diagonal: rho^2, and rho^3 between them."""
    items = small_items(n=400, dims=(8, 5))
    X, Y = (Design(i.features, Scaled.fit(i.features)) for i in items.values())
    found = weighted_directions(X, Y, 1e-12)
    Zx, Zy = X.array() @ found.A, Y.array() @ found.B
    assert (np.diff(found.rho) < 0).all()
    for product, power in ((Zx.T @ Zx, 2), (Zy.T @ Zy, 2), (Zx.T @ Zy, 3)):
        np.testing.assert_allclose(product / 400, np.diag(found.rho**power), atol=1e-8)


def test_one_rotation_serves_both_modalities():
    part = small_items(n=80, dims=(10, 7))
    method = CCAITQ().fit(part, None, Context(bits=5))
    X, Y = (Design(i.features, Scaled.fit(i.features)) for i in part.values())
    found = weighted_directions(X, Y, 1e-4)
    rotations = [
        np.linalg.lstsq(W[:, :5], f.weights, rcond=None)[0]
        for W, f in zip((found.A, found.B), method.functions_.values(), strict=True)
    ]
    np.testing.assert_allclose(rotations[0], rotations[1], atol=1e-8)
    np.testing.assert_allclose(rotations[0].T @ rotations[0], np.eye(5), atol=1e-8)


def test_beyond_the_directions_the_rotation_makes_more_bits_than_repetition(caplog):
    part = small_items(n=300, dims=(12, 4), n_classes=12, noise=1.0)
    codes = CCAITQ().fit(part, None, Context(bits=16)).encode("text", part["text"].features).astype(int)
    assert caplog.text.count("the data have 4 directions") == 1
    different = {tuple(bit * bit[0]) for bit in codes.T}
    assert len(different) > 8


def test_lengths_share_what_does_not_depend_on_them():
    part = small_items(n=60)
    memo = {}
    alone = CCAITQ().fit(part, None, Context(bits=6))
    CCAITQ().fit(part, None, Context(bits=4, memo=memo))
    keys = set(memo)
    after = CCAITQ().fit(part, None, Context(bits=6, memo=memo))
    assert keys == set(memo) == {("design", "image"), ("design", "text"), "directions"}
    for m, items in part.items():
        np.testing.assert_array_equal(alone.encode(m, items.features), after.encode(m, items.features))


def test_constant_features_are_refused():
    part = small_items(n=12)
    part["image"] = replace(part["image"], features=np.ones_like(part["image"].features))
    with pytest.raises(MethodError, match="no direction"):
        CCAITQ().fit(part, None, Context(bits=4))


def test_the_rotation_is_worth_something():
    data = make_synthetic(n_train=300, classes=8, noise=1.5, seed=4)
    train = data.part("train")

    def told_apart(method):
        codes = [method.fit(train, None, Context(bits=12)).encode(m, i.features).astype(int) for m, i in train.items()]
        labels = next(iter(train.values())).labels.astype(int)
        products, same = codes[0] @ codes[1].T, labels @ labels.T > 0
        return products[same].mean() - products[~same].mean()

    assert told_apart(CCAITQ()) > told_apart(CVH()) + 0.5


@pytest.mark.parametrize("bits", [32])
def test_is_above_cvh_on_wiki(wiki, bits):
    ours, plain = (measure(make(), wiki, Context(bits=bits), TEST_VS_TRAIN) for make in (CCAITQ, CVH))
    assert all(ours[key] > plain[key] + 0.01 for key in ours if key[1] == "mAP@all")
