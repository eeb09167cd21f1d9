"""Curves: every order of the ties, plain interpolation, Hamming radii, means over queries, and names."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from plain_metrics import arranged, by_rule, compositions, interpolated, orders, relevance_of

from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.metrics import TIES, Curve, evaluate, from_labels, given, hamming
from cmrbench.metrics import curves as module
from cmrbench.metrics.curve import CURVE_MEANS, CURVES
from cmrbench.metrics.engine import ranked_by
from cmrbench.metrics.ranking import Needs

pytestmark = pytest.mark.usefixtures("way")


@cache
def counted(rankings: tuple[tuple[int, ...], ...]) -> tuple[Fraction, ...]:
    """Expected relevant items within the first 1, 2, ... of equally likely rankings."""
    found = [sum(column) for column in zip(*rankings, strict=True)]
    return tuple(Fraction(x, len(rankings)) for x in itertools.accumulate(found))


@pytest.mark.parametrize("n", range(1, 8))
def test_every_order_of_up_to_seven_items(n):
    cases = compositions(n)
    rng = np.random.default_rng(n)
    scores, relevant = (np.stack(a) for a in zip(*(arranged(g, rng) for g in cases), strict=True))
    R = relevant.sum(axis=1)
    curves = [Curve("PR", 11, ties=ties) for ties in TIES]
    for ties in TIES:
        found = [
            counted(tuple(orders(cases[i])) if ties == "expected" else (by_rule(scores[i], relevant[i], ties),))
            for i in range(len(cases))
        ]
        (ranked,) = ranked_by(given(scores), relevance_of(relevant), Needs.of([], curves, n))
        groups = ranked.groups[ties]
        for levels in (2, 3, 8, 11) if n < 7 else (11,):
            expected = [interpolated(f, r, levels) for f, r in zip(found, R.tolist(), strict=True)]
            np.testing.assert_allclose(module.interpolated(groups, levels), expected, rtol=0, atol=1e-12)
        at = np.array(found, dtype=float)
        for k in range(1, n + 1):
            np.testing.assert_allclose(module.expected_found(groups, k), at[:, :k], rtol=0, atol=1e-12)


def of_queries(name: str, scores: np.ndarray, found: np.ndarray) -> np.ndarray:
    """A curve of every query (rows, points), where nothing is tied, or by counting what is within each k."""
    curve = Curve.parse(name)
    n = scores.shape[1]
    rows = []
    for s, relevant in zip(scores, found, strict=True):
        order = np.argsort(-s, kind="stable")
        at = np.cumsum(relevant[order]).tolist()
        if curve.kind == "PR":
            rows.append(interpolated(tuple(map(Fraction, at)), at[-1], curve.levels or 0))
        else:
            divisor = np.arange(1, n + 1) if curve.kind == "P" else max(at[-1], 1)
            rows.append((np.array(at) / divisor)[: curve.k])
    return np.array(rows)


@pytest.mark.parametrize("name", ["PR@11", "PR@101", "P@1..1", "P@1..20", "R@1..20", "P@1..400", "R@1..400"])
@pytest.mark.parametrize("mean", CURVE_MEANS)
def test_means_and_standard_errors_over_queries(name, mean):
    rng = np.random.default_rng(0)
    scores = rng.permuted(np.tile(np.arange(60.0), (30, 1)), axis=1)
    ql, gl = rng.integers(0, 5, 30), rng.integers(0, 4, 60)  # class 4 has no gallery item
    found = ql[:, None] == gl
    rows = of_queries(name, scores, found)
    if mean == "with_relevant":
        rows = rows[found.any(axis=1)]
    curve = Curve.parse(f"{name}[{mean}]")
    for block_bytes in (1, 20_000, 1 << 28):
        result = evaluate(given(scores), from_labels(ql, gl), (), block_bytes, curves=curve)
        points = result.curves[str(curve)]
        np.testing.assert_allclose(points.y, rows.mean(axis=0), rtol=0, atol=1e-12)
        np.testing.assert_allclose(points.stderr, rows.std(axis=0, ddof=1) / math.sqrt(len(rows)), rtol=0, atol=1e-7)
    steps = np.linspace(0, 1, curve.levels) if curve.levels else np.arange(1, min(curve.k or 0, 60) + 1)
    np.testing.assert_array_equal(points.x, steps)


def test_values_at_k_are_the_curve_at_k():
    rng = np.random.default_rng(1)
    scores, ql, gl = rng.integers(0, 12, (25, 40)).astype(float), rng.integers(0, 5, 25), rng.integers(0, 4, 40)
    for kind, mean, ties in itertools.product(("P", "R"), CURVE_MEANS, TIES):
        options = f"[{mean},{ties}]"
        names = [f"{kind}@{k}{options}" for k in range(1, 41)]
        result = evaluate(given(scores), from_labels(ql, gl), names, curves=f"{kind}@1..40{options}")
        (points,) = result.curves.values()
        np.testing.assert_allclose(points.y, list(result.values.values()), rtol=0, atol=1e-12)
        np.testing.assert_allclose(points.stderr, list(result.stderr.values()), rtol=0, atol=1e-7)


@pytest.mark.parametrize("bits", [1, 16, 64, 130])
@pytest.mark.parametrize("mean", CURVE_MEANS)
def test_by_hamming_radius(bits, mean):
    rng = np.random.default_rng(bits)
    q, g = (np.where(rng.random((n, bits)) < 0.4, -1, 1) for n in (12, 70))
    ql, gl = rng.random((12, 6)) < 0.3, rng.random((70, 6)) < 0.2
    ql[3] = 0
    found = (ql.astype(int) @ gl.T.astype(int)) > 0
    distance = (q[:, None] != g).sum(axis=2)
    precision, recall = np.zeros((12, bits + 1)), np.zeros((12, bits + 1))
    for i, radius in itertools.product(range(12), range(bits + 1)):
        within = distance[i] <= radius
        hits = (within & found[i]).sum()
        precision[i, radius], recall[i, radius] = hits / max(within.sum(), 1), hits / max(found[i].sum(), 1)
    rows = found.any(axis=1) if mean == "with_relevant" else np.ones(12, dtype=bool)
    curve = f"PR@H[{mean}]"
    names = [f"{kind}@H{radius}[{mean}]" for kind in "PR" for radius in (0, 1, bits)]
    for block_bytes in (1, 1 << 28):
        result = evaluate(hamming(q, g), from_labels(ql, gl), names, block_bytes, curves=curve)
        points = result.curves[str(Curve.parse(curve))]
        np.testing.assert_allclose(points.y, precision[rows].mean(axis=0), rtol=0, atol=1e-12)
        np.testing.assert_allclose(points.x, recall[rows].mean(axis=0), rtol=0, atol=1e-12)
        stderr = precision[rows].std(axis=0, ddof=1) / math.sqrt(rows.sum())
        np.testing.assert_allclose(points.stderr, stderr, rtol=0, atol=1e-7)
    for radius in (0, 1, bits):
        for kind, values in (("P", precision), ("R", recall)):
            lookups = result.per_query[f"{kind}@H{radius}" + ("[with_relevant]" if mean == "with_relevant" else "")]
            np.testing.assert_allclose(lookups, np.where(rows, values[:, radius], np.nan), rtol=0, atol=1e-12)


def test_no_query_and_one_query():
    curves = ["PR@3[with_relevant]", "P@1..2[with_relevant]", "R@1..2", "PR@H[with_relevant]"]
    codes = np.array([[1, 1], [1, -1], [-1, -1]])
    empty = evaluate(hamming(codes[:2], codes), from_labels([5, 6], [0, 1, 2]), (), curves=curves).curves
    for name in curves:
        points = empty[str(Curve.parse(name))]
        assert np.isnan(points.y).all() == ("with_relevant" in name), name
    assert np.isnan(empty["PR@H[with_relevant]"].x).all()
    one = evaluate(hamming(codes[:1], codes), from_labels([0], [0, 1, 0]), (), curves=curves).curves
    np.testing.assert_allclose(one["PR@3[with_relevant]"].y, [1, 1, 2 / 3])
    np.testing.assert_allclose(one["PR@H[with_relevant]"].x, [1 / 2, 1 / 2, 1])
    np.testing.assert_allclose(one["PR@H[with_relevant]"].y, [1, 1 / 2, 2 / 3])
    assert all(np.isnan(points.stderr).all() for points in one.values())


def test_interpolation_of_expected_precision_is_not_the_expectation_of_interpolations():
    """One relevant item of two that tie: expected precision is 1/2 at either rank; the mean of 1 and 1/2 is 3/4."""
    result = evaluate(given([[0.0, 0.0]]), from_labels([1], [1, 0]), (), curves=["PR@2", "PR@2[optimistic]"])
    np.testing.assert_allclose(result.curves["PR@2"].y, [0.5, 0.5])
    np.testing.assert_allclose(result.curves["PR@2[optimistic]"].y, [1, 1])


def test_names_are_parsed_and_printed_by_one_class():
    seen = set()
    for kind, levels, by_radius, k, mean, ties in itertools.product(
        CURVES, (None, 2, 11), (False, True), (None, 1, 1000), CURVE_MEANS, TIES
    ):
        try:
            curve = Curve(kind, levels, by_radius, k, mean, ties)
        except UsageError:
            continue
        assert Curve.parse(str(curve)) == curve
        seen.add(str(curve))
    assert len(seen) == 2 * 8 + 2 + 2 * 2 * 8  # levels, radii, and two kinds against k


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("pr@11", "PR@11"),
        ("PR@h", "PR@H"),
        (" p @ 1..1000 [ stable , with_relevant ] ", "P@1..1000[with_relevant,stable]"),
        ("R@1..5[all,expected]", "R@1..5"),
    ],
)
def test_defaults_are_not_printed(text, name):
    assert str(Curve.parse(text)) == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "''"),
        ("PR", "'PR'"),
        ("PR@", "'PR@'"),
        ("PR@1", "PR@1: .*2 levels"),
        ("PR@0", "PR@0: .*2 levels"),
        ("PR@all", "'PR@all'"),
        ("PR@H2", "'PR@H2'"),
        ("PR@1..5", "PR@11 .* PR@H"),
        ("PR@H[stable]", "PR@H .*stable"),
        ("P@11", "curve P .*P@1..1000"),
        ("P@H", "curve P .*P@1..1000"),
        ("R@1..0", "curve R .*R@1..1000"),
        ("R@2..9", "'R@2..9'"),
        ("R@1..5[", "R@1..5"),
        ("P@1..5[stable,stable]", "two options .*stable and stable"),
        ("PR@11[all,with_relevant]", "two options .*all and with_relevant"),
        ("P@-5", "'P@-5'"),
    ],
)
def test_malformed_names_are_refused(text, words):
    with pytest.raises(UsageError, match=words):
        Curve.parse(text)


def test_unknown_names_say_what_was_meant():
    for text, words in [
        ("ROC@11", "unknown curve 'ROC'"),
        ("PR@11[stabel]", "unknown curve option 'stabel'; did you mean .*stable"),
        ("P@1..5[with_hits]", "unknown curve option 'with_hits'"),
    ]:
        with pytest.raises(UnknownNameError, match=words):
            Curve.parse(text)
    with pytest.raises(UnknownNameError, match="mean over queries 'with_hits'"):
        Curve("PR", 11, mean="with_hits")
