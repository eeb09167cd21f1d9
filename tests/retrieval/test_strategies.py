"""Every strategy gives scores by the same door; a method's own similarity is checked as it comes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from cmrbench.core.errors import DataError, MethodError, UnknownNameError, UsageError
from cmrbench.method import RETRIEVALS
from cmrbench.metrics import cosine, euclidean, evaluate, from_instances, hamming, inner
from cmrbench.retrieval import READS_LABELS, STRATEGIES, Encoded, rank


@pytest.fixture
def parts():
    rng = np.random.default_rng(0)
    return Encoded("image", rng.normal(size=(6, 4))), Encoded("text", rng.normal(size=(8, 4)))


class Negative:
    """A similarity that knows its roles: text queries are scored the other way round."""

    info = SimpleNamespace(name="negative")

    def __init__(self, spoil=lambda values: values):
        self.spoil, self.asked = spoil, []

    def score(self, query, gallery, query_modality, gallery_modality):
        self.asked.append((len(query), query_modality, gallery_modality))
        sign = 1 if query_modality == "image" else -1
        return self.spoil(sign * (query @ gallery.T))


def test_every_strategy_a_method_can_declare_exists():
    assert set(STRATEGIES) == set(RETRIEVALS)
    assert set(STRATEGIES) >= READS_LABELS


@pytest.mark.parametrize("function", [cosine, euclidean, inner])
def test_distances_are_those_of_the_metrics(parts, function):
    found = rank(function.__name__, *parts)
    expected = function(parts[0].representations, parts[1].representations)
    np.testing.assert_array_equal(found.block(1, 4), expected.block(1, 4))


def test_hamming(parts):
    q, g = (Encoded(p.modality, np.sign(p.representations).astype(np.int8)) for p in parts)
    np.testing.assert_array_equal(
        rank("hamming", q, g).block(0, 6), hamming(q.representations, g.representations).block(0, 6)
    )
    with pytest.raises(DataError, match=r"-1 and \+1"):
        rank("hamming", *parts)


def test_own_score_is_called_in_blocks_with_its_roles(parts):
    method = Negative()
    scores = rank("score", *parts, method=method)
    result = evaluate(scores, from_instances(np.arange(6), np.arange(8)), block_bytes=8 * 144 * 2)
    assert method.asked == [(2, "image", "text")] * 3
    expected = evaluate(rank("inner", *parts), from_instances(np.arange(6), np.arange(8)))
    assert result.values == pytest.approx(expected.values)
    turned = rank("score", parts[1], parts[0], method=method).block(0, 8)
    np.testing.assert_allclose(turned, -rank("inner", parts[1], parts[0]).block(0, 8))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda v: v.T, r"shape \(6, 8\), got \(8, 6\)"),
        (lambda v: np.where(np.arange(6)[:, None] == 4, np.nan, v), "NaN or infinity, first for query 4"),
        (lambda v: v.astype(str), "dtype"),
        (lambda v: None, "shape"),
    ],
)
def test_own_score_is_checked(parts, spoil, words):
    with pytest.raises(MethodError, match=f"negative.score .*{words}"):
        rank("score", *parts, method=Negative(spoil)).block(0, 6)


def test_bad_requests_are_refused(parts):
    with pytest.raises(UnknownNameError, match="did you mean cosine"):
        rank("cosin", *parts)
    with pytest.raises(UnknownNameError, match="option of retrieval cosine"):
        rank("cosine", *parts, k=5)
    with pytest.raises(UsageError, match="needs the method"):
        rank("score", *parts)
    with pytest.raises(UsageError, match="object has no similarity"):
        rank("score", *parts, method=object())
    with pytest.raises(DataError, match="4 and 3"):
        rank("cosine", parts[0], Encoded("text", parts[1].representations[:, :3]))
