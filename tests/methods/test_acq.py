"""ACQ (a reconstruction): each of its steps is the best one, and what the other modality is worth."""

import itertools

import numpy as np
import pytest
from reference_rows import TEST_VS_LEARNED, TEST_VS_TRAIN, measure
from scipy.stats import ortho_group
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench_methods.blocks.itq import random_rotation
from cmrbench_methods.unsupervised_hash.acq import ACQ, CoQuantization


def started(rng, mu=0.4, n=200, k=5):
    shared = rng.standard_normal((n, k))
    turns = CoQuantization(*(shared + 0.7 * rng.standard_normal((n, k)) for _ in range(2)), mu)
    turns.start(random_rotation(k, rng))
    return turns


@pytest.mark.parametrize("mu", [0.0, 0.4, 1.0, 3.0])
def test_no_turn_increases_the_objective(rng, mu):
    turns = started(rng, mu)
    values = [turns.objective()]
    while turns.step() and len(values) < 100:
        values.append(turns.objective())
    assert len(values) > 3
    assert (np.diff(values) <= 1e-9).all()
    assert values[-1] < values[0]
    settled = turns.objective()
    turns.step()
    assert turns.objective() == pytest.approx(settled, abs=1e-9)


@pytest.mark.parametrize("mu", [0.0, 0.4, 3.0])
def test_codes_are_the_best_for_the_rotations(rng, mu):
    turns = started(rng, mu, n=3, k=2)
    best = turns.objective()
    for bits in itertools.product((-1.0, 1.0), repeat=12):
        turns.Bx, turns.By = np.array(bits).reshape(2, 3, 2)
        assert turns.objective() >= best - 1e-12


@pytest.mark.parametrize("mu", [0.0, 0.4, 3.0])
def test_rotations_are_the_best_for_the_codes(rng, mu):
    turns = started(rng, mu)
    codes = turns.Bx, turns.By
    turns.step()
    turns.Bx, turns.By = codes
    best, Rx, Ry = turns.objective(), turns.Rx, turns.Ry
    for R in (Rx, Ry):
        np.testing.assert_allclose(R.T @ R, np.eye(5), atol=1e-12)
    for i in range(30):
        turn = np.linalg.qr(np.eye(5) + 1e-3 * rng.standard_normal((5, 5)))
        near = turn[0] * np.sign(np.diag(turn[1]))
        for other in (near, ortho_group.rvs(5, random_state=i)):
            for turns.Rx, turns.Ry in ((Rx @ other, Ry), (Rx, Ry @ other)):
                assert turns.objective() > best


def test_equal_weights_give_a_pair_one_code():
    part = small_items(n=120, dims=(12, 9), noise=1.0)
    together = ACQ().fit(part, None, Context(bits=7))
    np.testing.assert_array_equal(together.encode_train("image"), together.encode_train("text"))
    alone = ACQ(mu=0.0).fit(part, None, Context(bits=7))
    for m, items in part.items():
        np.testing.assert_array_equal(alone.encode_train(m), alone.encode(m, items.features))
    assert (alone.encode_train("image") != alone.encode_train("text")).any()


def test_the_other_modality_is_worth_something():
    """Rotations found apart (mu = 0) from one start quantize better, but agree less between the modalities."""
    data = make_synthetic(n_train=300, classes=8, noise=1.5, seed=4)
    train = data.part("train")

    def agreement(mu):
        method = ACQ(mu).fit(train, None, Context(bits=12))
        image, text = (method.encode(m, i.features) for m, i in train.items())
        return (image == text).mean()

    assert agreement(1.0) > agreement(0.0) + 0.01


def test_bits_beyond_the_directions_come_with_a_warning(caplog):
    part = small_items(n=60, dims=(12, 4))
    assert ACQ().fit(part, None, Context(bits=16)).encode("text", part["text"].features).shape == (60, 16)
    assert caplog.text.count("the data have 4 directions") == 1


def test_bad_input_is_refused_or_survived():
    part = small_items(n=12)
    with pytest.raises(MethodError, match="negative"):
        ACQ(mu=-1.0).fit(part, None, Context(bits=4))
    constant = {m: type(i)(m, np.ones_like(i.features), i.ids, i.instances, i.labels) for m, i in part.items()}
    with pytest.raises(MethodError, match="no direction"):
        ACQ().fit(part | {"image": constant["image"]}, None, Context(bits=4))
    two = {m: i.take(np.arange(2)) for m, i in part.items()}
    assert ACQ().fit(two, None, Context(bits=4)).encode("image", two["image"].features).shape == (2, 4)


def test_is_far_above_chance_on_wiki(wiki):
    """Chance is 0.111; learned codes hold the text of the gallery items, so T->I gains and is compared apart."""
    by_function = measure(ACQ(), wiki, Context(bits=32), TEST_VS_TRAIN)
    learned = measure(ACQ(), wiki, Context(bits=32), TEST_VS_LEARNED)
    assert min(by_function["image->text", "mAP@all"], by_function["text->image", "mAP@all"]) > 0.2
    assert learned["text->image", "mAP@all"] > by_function["text->image", "mAP@all"] + 0.1
