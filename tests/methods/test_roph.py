"""RoPH: exact cuts, triplets, steps that do not raise the objective, and codes that keep the order of shared labels."""

import itertools

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cmrbench.core.errors import MethodError
from cmrbench.core.items import Items
from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench_methods.blocks import cuts
from cmrbench_methods.blocks.cuts import attractive_signs
from cmrbench_methods.blocks.linear import signs
from cmrbench_methods.supervised_hash.roph import RoPH, Triplets, code_step, copy_step


def network(rng, n, density=0.5, most=4):
    W = np.triu(rng.integers(1, most + 1, (n, n)) * (rng.random((n, n)) < density), 1)
    return (W + W.T).astype(float)


def value(W, field, h):
    return h @ W @ h / 2 + field @ h


def test_signs_are_the_best_of_all(rng, monkeypatch):
    """Against enumeration, with fields from nothing to more than all neighbours together."""
    cut, sizes = cuts._cut, []
    monkeypatch.setattr(cuts, "_cut", lambda W, f: (sizes.append(len(f)), cut(W, f))[1])
    every = np.array(list(itertools.product([-1.0, 1.0], repeat=9)))
    for trial in range(150):
        W = network(rng, 9, density=rng.uniform(0.1, 1))
        field = rng.integers(-trial // 10, trial // 10 + 1, 9).astype(float)
        best = max(value(W, field, h) for h in every)
        h = attractive_signs(csr_matrix(W), field, signs(rng.standard_normal(9)))
        assert set(h) <= {-1.0, 1.0}
        assert value(W, field, h) == best
    assert len(sizes) > 30, "too few networks needed a cut"
    assert max(sizes) == 9


def test_signs_without_field_and_neighbours_stay():
    start = np.array([1.0, -1.0, 1.0])
    np.testing.assert_array_equal(attractive_signs(csr_matrix((3, 3)), np.zeros(3), start), start)


def test_a_large_network_gets_no_better_by_turning_one_node_or_a_group(rng):
    W, field = network(rng, 150, density=0.05), rng.integers(-12, 13, 150).astype(float)
    h = attractive_signs(csr_matrix(W), field, np.ones(150))
    best = value(W, field, h)
    for size in (1, 2, 5, 40, 150):
        for _ in range(100):
            turned = h.copy()
            turned[rng.choice(150, size, replace=False)] *= -1
            assert value(W, field, turned) <= best


def multilabel(rng, n=80, classes=5):
    labels = (rng.random((n, classes)) < 0.4).astype(float)
    labels[:3] = 0
    return labels


def test_triplets_rank_an_item_that_shares_more_before_one_that_shares_less(rng):
    labels = multilabel(rng)
    t = Triplets.drawn(labels, 20, rng)
    shared = labels @ labels.T
    i = t.items[:, None]
    assert (shared[i, t.near] > shared[i, t.far]).all()
    np.testing.assert_array_equal(t.items, np.flatnonzero(labels.any(axis=1)))
    assert t.near.shape == t.far.shape == (len(t.items), 20)


def test_levels_are_drawn_in_proportion_to_the_labels_shared(rng):
    labels = np.repeat([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], 40, axis=0).astype(float)
    t = Triplets.drawn(labels, 1000, rng)
    shared = (labels @ labels.T)[0, t.near[0]]
    assert set(shared) == {1.0, 3.0}
    assert (shared == 3).mean() == pytest.approx(3 / 4, abs=0.05)


def test_partners_do_not_repeat_while_there_are_enough(rng):
    labels = np.eye(2)[np.arange(100) % 2]
    t = Triplets.drawn(labels, 50, rng)
    assert all(len(set(row)) == 50 for row in t.near.tolist())
    assert all(len(set(row)) == 50 for row in t.far.tolist())
    many = Triplets.drawn(labels, 70, rng)
    assert many.near.shape == (100, 70)


class Problem:
    """Random triplets and codes, and the objective at fixed margins."""

    def __init__(self, rng, n=80, bits=6):
        labels = multilabel(rng, n)
        self.t = Triplets.drawn(labels, 15, rng)
        self.B, self.H = (signs(rng.standard_normal((n, bits))) for _ in range(2))
        self.M = np.full(self.t.near.shape, 2.0 * bits, dtype=np.float32)
        self.F = 3 * rng.standard_normal((n, bits))

    def loss(self, B, H, weight=2.0, eta=0.5):
        total = weight * ((H - B) ** 2).sum() + eta * ((self.F - B) ** 2).sum()
        for i, near, far, margins in zip(self.t.items, self.t.near, self.t.far, self.M, strict=True):
            total += ((B[i] @ (H[near] - H[far]).T - margins) ** 2).sum()
        return total

    def pull(self, H, weight=2.0, eta=0.5):
        return weight * H + eta * self.F


def test_differences_are_inner_products(rng):
    p = Problem(rng)
    found = p.t.differences(p.B, p.H)
    for row, i in enumerate(p.t.items):
        np.testing.assert_array_equal(found[row], (p.H[p.t.near[row]] - p.H[p.t.far[row]]) @ p.B[i])


def test_code_steps_lower_the_objective_and_end_where_no_bit_is_better_turned(rng):
    p = Problem(rng)
    losses = [p.loss(p.B, p.H)]
    B = p.B
    for _ in range(6):
        B = code_step(B, p.t, p.H, p.M, p.pull(p.H))
        losses.append(p.loss(B, p.H))
    assert losses[1] < losses[0]
    assert all(b <= a + 1e-6 for a, b in itertools.pairwise(losses))
    for i, k in rng.integers(0, B.shape, (100, 2)):
        turned = B.copy()
        turned[i, k] *= -1
        assert p.loss(turned, p.H) >= losses[-1] - 1e-6


def test_codes_of_one_bit_are_the_best(rng):
    p = Problem(rng, n=12, bits=1)
    B = code_step(p.B, p.t, p.H, p.M, p.pull(p.H))
    for i in range(12):
        turned = B.copy()
        turned[i] *= -1
        assert p.loss(turned, p.H) >= p.loss(B, p.H) - 1e-6


def test_copy_steps_lower_the_objective(rng):
    p = Problem(rng)
    losses = [p.loss(p.B, p.H)]
    H = p.H
    for _ in range(4):
        H = copy_step(H, p.t, p.B, p.M, 2.0)
        losses.append(p.loss(p.B, H))
    assert losses[1] < losses[0]
    assert all(b <= a for a, b in itertools.pairwise(losses))


def test_a_bit_of_the_copy_is_the_best_of_all(rng):
    p = Problem(rng, n=10, bits=1)
    H = copy_step(p.H, p.t, p.B, p.M, 2.0)
    best = min(p.loss(p.B, np.array(h)[:, None]) for h in itertools.product([-1.0, 1.0], repeat=10))
    assert p.loss(p.B, H) == pytest.approx(best)


def test_codes_keep_the_order_of_shared_labels():
    data = make_synthetic(n_train=300, classes=6, multilabel=True, noise=0.5, seed=3)
    train = data.part("train")
    image, text = train
    method = RoPH().fit(train, None, Context(bits=32))
    codes = method.encode_train(image).astype(int)
    np.testing.assert_array_equal(codes, method.encode_train(text))
    labels = train[image].labels.astype(int)
    shared, products = labels @ labels.T, codes @ codes.T
    off = ~np.eye(len(codes), dtype=bool)
    by_level = [products[off & (shared == level)].mean() for level in (0, 1, 2)]
    assert by_level[0] + 6 < by_level[1] < by_level[2] - 2
    agreement = (method.encode(image, train[image].features) == codes).mean()
    assert agreement > 0.9


def test_the_kernel_width_is_the_mean_squared_distance_of_anchors(rng):
    x = rng.standard_normal((60, 4)).astype(np.float32) + 2
    for width in (1.0, 0.8):
        kernel = RoPH(anchors=20, width=width)._design(x, rng).map
        gaps = ((kernel.anchors[:, None] - kernel.anchors[None]) ** 2).sum(axis=2)
        assert kernel.gamma == pytest.approx(1 / (2 * width * gaps.mean()))
        np.testing.assert_allclose(kernel(x).mean(axis=0), 0, atol=1e-12)


def pairs_of(x, labels):
    n = len(x)
    instances = np.arange(n).astype(str)
    return {
        m: Items(m, x.astype(np.float32), np.char.add(m, instances), instances, labels.astype(np.uint8))
        for m in ("image", "text")
    }


def test_refuses_labels_that_rank_nothing_and_margins_that_are_no_whole_number(rng):
    x = rng.standard_normal((20, 4))
    with pytest.raises(MethodError, match="share equally many"):
        RoPH().fit(pairs_of(x, np.ones((20, 2))), None, Context(bits=8))
    with pytest.raises(MethodError, match="margin must be a whole number"):
        RoPH(margin=2.5).fit(pairs_of(x, np.eye(20)), None, Context(bits=8))


def test_rows_without_labels_two_pairs_and_constant_columns_are_enough(rng):
    x = np.column_stack([rng.standard_normal((20, 3)), np.ones(20)])
    labels = np.eye(2)[np.arange(20) % 2]
    labels[4:7] = 0
    for rows in (2, 20):
        method = RoPH().fit(pairs_of(x[:rows], labels[:rows]), None, Context(bits=8))
        assert method.encode("text", x[:rows].astype(np.float32)).shape == (rows, 8)
        assert method.encode_train("image").shape == (rows, 8)
