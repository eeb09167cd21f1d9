"""Hash functions: signs in float32 are those of float64, zero counts as +1, and packed codes are the same codes."""

import numpy as np
import pytest

from cmrbench_methods.blocks import encoding
from cmrbench_methods.blocks.encoding import LinearSigns
from cmrbench_methods.blocks.hashing import HashFunction
from cmrbench_methods.blocks.linear import project
from cmrbench_methods.blocks.maps import AnchorRule, Scaled


def problems(rng):
    """Features, and weights whose projections are more and less likely to lie near the threshold."""
    x = rng.standard_normal((300, 40)).astype(np.float32)
    W = rng.standard_normal((40, 24))
    yield "ordinary", x, W
    yield "far from the origin", (x + 1000).astype(np.float32), W
    yield "all on the threshold", x, np.zeros((40, 24))
    yield "one feature", x[:, :1].copy(), W[:1]
    yield "huge", (x * np.float32(1e30)).astype(np.float32), W
    yield "tiny", (x * np.float32(1e-30)).astype(np.float32), W
    yield "few values", np.round(x), np.round(W)


@pytest.mark.parametrize("order", ["C", "F"])
def test_signs_are_those_of_float64(rng, order, monkeypatch):
    monkeypatch.setattr(encoding, "ROWS", 128)
    for name, x, W in problems(rng):
        function = HashFunction(Scaled.fit(x), W, 0.25)
        expected = np.where(function.values(x) >= 0, 1, -1)
        np.testing.assert_array_equal(function(np.array(x, order=order)), expected, err_msg=name)


def test_most_rows_are_not_computed_twice(rng, monkeypatch):
    again = []
    exactly = LinearSigns.exactly
    monkeypatch.setattr(LinearSigns, "exactly", lambda self, rows: again.append(len(rows)) or exactly(self, rows))
    x, W = rng.standard_normal((2000, 100)).astype(np.float32), rng.standard_normal((100, 64))
    HashFunction(Scaled.fit(x), W)(x)
    assert 0 < sum(again) < 200


def test_rounding_that_turns_a_sign_is_caught(rng):
    """Two features that cancel but for one part in 10^12, which float32 cannot see."""
    x = np.ones((5, 2), dtype=np.float32)
    for tilt in (1e-12, -1e-12):
        function = HashFunction(Scaled(np.zeros(2)), np.array([[1.0], [-1.0 + tilt]]))
        assert (function(x) == np.sign(tilt)).all()


def test_zero_counts_as_plus_one():
    function = HashFunction(Scaled(np.zeros(3)), np.eye(3), np.array([0.0, 1.0, -1.0]))
    np.testing.assert_array_equal(function(np.zeros((2, 3), dtype=np.float32)), [[1, -1, 1]] * 2)


@pytest.mark.parametrize("bits", [5, 8, 24])
def test_packed_codes_are_the_codes(rng, bits):
    x = rng.standard_normal((30, 6)).astype(np.float32)
    maps = Scaled.fit(x), Scaled.fit(x, unit="last"), AnchorRule(9).fit(x, Scaled.fit(x), rng)
    for map in maps:
        function = HashFunction(map, rng.standard_normal((map.width, bits)))
        unpacked = np.unpackbits(function.packed(x), axis=1, count=bits)
        np.testing.assert_array_equal(2 * unpacked.astype(int) - 1, function(x))


def test_scaled_rows(rng):
    x = (rng.standard_normal((50, 4)) + 2).astype(np.float32)
    x[7] = 0
    np.testing.assert_allclose(Scaled.fit(x)(x), x - x.mean(axis=0, dtype=float), atol=1e-12)
    first, last = Scaled.fit(x, unit="first"), Scaled.fit(x, unit="last")
    unit = x / np.where(np.linalg.norm(x, axis=1) > 0, np.linalg.norm(x, axis=1), 1)[:, None]
    np.testing.assert_allclose(first(x), unit - unit.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(last(x), axis=1), 1)
    np.testing.assert_array_equal(project(x, Scaled.fit(x).mean, np.eye(4)), Scaled.fit(x)(x))
