"""CCQ: codebooks, maps, words and bits, and the similarity that puts codes back together."""

import itertools

import numpy as np
import pytest

from cmrbench.core.errors import MethodError
from cmrbench.core.items import Items
from cmrbench.core.protocol import Protocol
from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench.run.execute import EvaluationPlan, execute
from cmrbench_methods.blocks.discrete import procrustes
from cmrbench_methods.unsupervised_hash.ccq import CCQ, Codebooks, Standardised


def some_books(rng, dim=5, bits=(3, 3, 2)):
    return Codebooks(tuple(rng.standard_normal((2**b, dim)) for b in bits), bits)


def test_bits_hold_the_numbers_of_the_words(rng):
    books = some_books(rng)
    every = np.array(list(itertools.product(range(8), range(8), range(4))))
    codes = books.to_bits(every)
    assert codes.dtype == np.int8
    assert codes.shape == (256, 8)
    assert len(np.unique(codes, axis=0)) == 256
    np.testing.assert_array_equal(books.from_bits(codes), every)
    np.testing.assert_array_equal(books.to_bits(np.array([[6, 1, 2]])), [[1, 1, -1, -1, -1, 1, 1, -1]])


@pytest.mark.parametrize(("bits", "sizes"), [(16, [256, 256]), (12, [256, 16]), (24, [256] * 3), (5, [32]), (8, [256])])
def test_a_last_codebook_takes_the_bits_that_are_left(rng, bits, sizes):
    books = Codebooks.drawn(rng.standard_normal((300, 4)), bits, rng)
    assert [len(words) for words in books.words] == sizes
    assert sum(books.bits) == bits


def test_no_more_words_than_items(rng):
    books = Codebooks.drawn(rng.standard_normal((30, 4)), 20, rng)
    assert [len(words) for words in books.words] == [30, 30, 16]
    assert books.bits == (8, 8, 4)
    assert books.to_bits(books.nearest(rng.standard_normal((3, 4)))).shape == (3, 20)


def test_words_are_nearest_to_what_those_before_leave_over(rng):
    books, Z = some_books(rng), rng.standard_normal((40, 5))
    chosen = books.nearest(Z)
    for z, numbers in zip(Z, chosen, strict=True):
        left = z
        for words, number in zip(books.words, numbers, strict=True):
            distance = ((words - left) ** 2).sum(axis=1)
            assert distance[number] == pytest.approx(distance.min())
            left = left - words[number]
        np.testing.assert_allclose(books.sums(numbers[None])[0], z - left)


def test_a_pair_chooses_the_words_that_are_nearest_to_both_sides(rng):
    """By their weighted mean: ||x - c||^2 + lambda ||y - c||^2 is least where the distance to the mean is."""
    x, y = rng.standard_normal((30, 5)), rng.standard_normal((30, 5))
    books = some_books(rng, bits=(4,))
    for weight in (0.3, 1.0, 4.0):
        both = ((books.words[0] - x[:, None]) ** 2 + weight * (books.words[0] - y[:, None]) ** 2).sum(axis=2)
        chosen = books.nearest((x + weight * y) / (1 + weight))
        np.testing.assert_array_equal(chosen[:, 0], both.argmin(axis=1))


@pytest.mark.parametrize("n", [60, 8])
def test_codebooks_minimise_their_objective(rng, n):
    """By random perturbation, with more items than words in use and with fewer."""
    books = some_books(rng, bits=(4, 4, 4))
    Z = [rng.standard_normal((n, 5)), rng.standard_normal((n, 5))]
    chosen = [books.nearest(rng.standard_normal((n, 5))) for _ in Z]
    chosen[0][chosen[0] == 3] = 2
    chosen[1][chosen[1] == 3] = 2  # words that nobody uses
    weights = np.array([0.7, 0.3])
    fitted = books.refitted(Z, chosen, weights, 0.01)

    def loss(words):
        sums = [Codebooks(words, books.bits).sums(c) for c in chosen]
        fit = sum(w * ((z - s) ** 2).sum() for w, z, s in zip(weights, Z, sums, strict=True))
        return fit + 0.01 * sum((w**2).sum() for w in words)

    best = loss(fitted.words)
    assert best < loss(books.words)
    for _ in range(50):
        moved = tuple(w + 1e-3 * rng.standard_normal(w.shape) for w in fitted.words)
        assert loss(moved) > best
    for words in fitted.words:
        np.testing.assert_array_equal(words[3], 0.0)


@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (5, 5)])
def test_maps_are_orthogonal_and_the_best(rng, shape):
    """With orthonormal columns, tr(R'M) cannot exceed the sum of the singular values of M, and R attains it."""
    M = rng.standard_normal(shape)
    R = procrustes(M)
    small = min(shape)
    np.testing.assert_allclose(R.T @ R if shape[0] >= shape[1] else R @ R.T, np.eye(small), atol=1e-12)
    assert (R * M).sum() == pytest.approx(np.linalg.svd(M, compute_uv=False).sum())


def test_features_are_standardised_by_the_training_items(rng):
    x = (3 + 2 * rng.standard_normal((50, 4))).astype(np.float32)
    x[:, 2] = 0.1
    z = Standardised.fit(x)(x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(z.std(axis=0, ddof=1), [1, 1, 0, 1], atol=1e-6)


def distances(method, features, a, b):
    """What `score` should say, item by item."""
    codes = [method.encode(m, features[m]) for m in (a, b)]
    sums = [method.books_.sums(method.books_.from_bits(c)) for c in codes]
    return codes, ((sums[0][:, None] - sums[1][None]) ** 2).sum(axis=2)


def test_the_score_is_minus_the_distance_of_sums_and_equal_codes_tie():
    data = make_synthetic(n_train=200, classes=4, seed=3)
    train = data.part("train")
    image, text = train
    method = CCQ().fit(train, None, Context(bits=12))
    features = {m: items.features[:60] for m, items in train.items()}
    features[text] = np.concatenate([features[text], features[text][::-1]])
    (asked, gallery), expected = distances(method, features, image, text)
    found = method.score(asked, gallery, image, text)
    np.testing.assert_allclose(found, -expected, atol=1e-8)
    np.testing.assert_array_equal(found[:, :60], found[:, 60:][:, ::-1])


def test_training_lowers_the_error_of_pairs():
    """What codes leave over of the standardised features falls from the first round to the last."""
    train = make_synthetic(n_train=400, classes=6, noise=0.5, seed=3).part("train")

    def left(rounds):
        method = CCQ(iterations=rounds).fit(train, None, Context(bits=16))
        sums = method.books_.sums(method.books_.from_bits(method.encode_train("image")))
        error = 0.0
        for items in train.values():
            z = Standardised.fit(items.features)(items.features)
            R = procrustes(z.T @ sums)
            error += ((z - sums @ R.T) ** 2).sum()
        return error

    errors = [left(rounds) for rounds in (1, 5, 40)]
    assert errors[0] > errors[1] > errors[2]


def test_maps_turn_both_modalities_towards_each_other(rng):
    """A text that is its picture, rotated: without the maps' rotation shared words leave a quarter of either over."""
    x = rng.standard_normal((400, 6))
    turn, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    method = CCQ().fit(pairs_of(x, x @ turn), None, Context(bits=16))
    sums = method.books_.sums(method.books_.from_bits(method.encode_train("image")))
    for features in (x, x @ turn):
        z = Standardised.fit(features)(features)
        left = z - sums @ procrustes(z.T @ sums).T
        assert (left**2).sum() < 0.1 * (z**2).sum()


def test_new_items_are_coded_as_learned_pairs_are_where_features_tell_all():
    """Two copies of the same features: the regression onto sums of words is good, and most words are found again."""
    data = make_synthetic(n_train=300, classes=5, noise=0.3, seed=3)
    items = data.part("train")
    image, text = items
    same = Items(text, items[image].features, items[text].ids, items[text].instances, None)
    method = CCQ().fit({image: items[image], text: same}, None, Context(bits=8))
    assert (method.encode(image, same.features) == method.encode_train(image)).all(axis=1).mean() > 0.5
    np.testing.assert_array_equal(method.encode(image, same.features), method.encode(text, same.features))


def test_beats_chance_by_its_own_score():
    data = make_synthetic(n_train=300, classes=6, noise=0.5, seed=3)
    protocol = Protocol("test", ("query",), ("gallery",))
    for record in execute(CCQ(), data, Context(bits=16), EvaluationPlan((protocol,))).records:
        assert record.value > 0.5, record


def pairs_of(image, text):
    n = len(image)
    instances = np.arange(n).astype(str)
    return {
        m: Items(m, z.astype(np.float32), np.char.add(m, instances), instances, None)
        for m, z in (("image", image), ("text", text))
    }


def test_two_pairs_and_constant_columns_are_enough(rng):
    x = np.column_stack([rng.standard_normal((20, 3)), np.ones(20)])
    for rows in (2, 20):
        method = CCQ().fit(pairs_of(x[:rows], x[:rows, 2:]), None, Context(bits=9))
        codes = {m: method.encode(m, z.astype(np.float32)) for m, z in (("image", x), ("text", x[:, 2:]))}
        assert np.isfinite(method.score(codes["image"], codes["text"], "image", "text")).all()


def test_rounds_that_end_before_the_objective_settles_are_a_recorded_warning(caplog):
    train = make_synthetic(n_train=400, classes=6, noise=0.5, seed=3).part("train")
    CCQ(iterations=400).fit(train, None, Context(bits=8))
    assert "still fell" not in caplog.text
    CCQ(iterations=3).fit(train, None, Context(bits=8))
    assert "still fell in the last of 3 rounds" in caplog.text


def test_refuses_what_makes_no_sense(rng):
    x = rng.standard_normal((20, 4))
    with pytest.raises(MethodError, match="must be positive"):
        CCQ(lambda_=0).fit(pairs_of(x, x), None, Context(bits=8))
    method = CCQ().fit(pairs_of(x, x), None, Context(bits=8))
    with pytest.raises(MethodError, match="a word that its codebook does not have"):
        method.score(np.ones((1, 8), dtype=np.int8), np.ones((1, 8), dtype=np.int8), "image", "text")
