"""Plain definitions to test the engine against: one ranking at a time, position by position, no closed forms."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from functools import cache

import numpy as np

from cmrbench.metrics import Relevance, from_labels


@cache
def value(found: tuple[int, ...], kind: str, k: int | None, norm: str = "hits") -> float:
    """A metric of one ranking without ties; `found` holds 1 where the item at that rank is relevant."""
    R = sum(found)
    if kind in ("MedR", "MeanR"):
        return found.index(1) + 1 if R else 0
    if kind == "RPrec":
        return sum(found[:R]) / R if R else 0.0
    cut = len(found) if k is None else k
    kept = found[:cut]
    if not sum(kept):
        return 0.0
    if kind == "mAP":
        precisions = [sum(kept[: i + 1]) / (i + 1) for i, relevant in enumerate(kept) if relevant]
        return math.fsum(precisions) / {"hits": sum(kept), "min_kr": min(cut, R), "r": R}[norm]
    if kind == "P":
        return sum(kept) / cut
    if kind == "R":
        return sum(kept) / R
    if kind == "hit":
        return 1.0
    gain = [1 / math.log2(i + 2) for i in range(len(found))]
    return math.fsum(g for g, relevant in zip(gain, kept, strict=False) if relevant) / math.fsum(gain[: min(cut, R)])


@cache
def dcg(grades: tuple[int, ...], gain: str, k: int | None) -> float:
    """DCG within the first k of items with these grades in this order."""
    gains = [2**s - 1 if gain == "exp_shared" else s for s in grades[:k]]
    return math.fsum(g / math.log2(1 + rank) for rank, g in enumerate(gains, start=1))


def graded_ndcg(grades: tuple[int, ...], gain: str, k: int | None) -> float:
    """NDCG@k of items with these grades, in this order."""
    best = dcg(tuple(sorted(grades, reverse=True)), gain, k)
    return dcg(grades, gain, k) / best if best else 0.0


@cache
def interpolated(found: tuple[Fraction, ...], R: int, levels: int) -> list[float]:
    """Best precision at each level of recall or above; `found`: (expected) relevant items within 1, 2, ... items."""
    if not R:
        return [0.0] * levels
    points = [(f / R, f / k) for k, f in enumerate(found, start=1)]
    wanted = [Fraction(i, levels - 1) for i in range(levels)]
    return [float(max(precision for recall, precision in points if recall >= level)) for level in wanted]


def orders(groups: list[tuple[int, int]]) -> list[tuple[int, ...]]:
    """All equally likely rankings of tie groups (size, relevant items), from the top down."""
    inside = [
        [tuple(int(i in places) for i in range(t)) for places in itertools.combinations(range(t), r)] for t, r in groups
    ]
    return [tuple(itertools.chain(*parts)) for parts in itertools.product(*inside)]


def sorted_groups(scores: list[float], relevant: list[int]) -> list[tuple[int, int]]:
    """Tie groups (size, relevant items) of scored items, from the top down."""
    return [
        (sum(s == level for s in scores), sum(r for s, r in zip(scores, relevant, strict=True) if s == level))
        for level in sorted(set(scores), reverse=True)
    ]


def expected_ap(groups: list[tuple[int, int]], k: int, norm: str) -> float:
    """Expected AP@k by summing over positions, and over how many relevant items the cut group gives."""
    R = sum(r for _, r in groups)

    def precisions(before: int, found: int, size: int, relevant: int) -> float:
        ahead = (relevant - 1) / (size - 1) if size > 1 else 0.0
        return math.fsum(relevant / size * (found + 1 + j * ahead) / (before + j + 1) for j in range(size))

    total, before, found = 0.0, 0, 0
    for t, r in groups:
        if before + t > k:
            m, mean = k - before, 0.0
            for x in range(max(0, m - (t - r)), min(m, r) + 1):
                chance = math.comb(r, x) * math.comb(t - r, m - x) / math.comb(t, m)
                in_all = total + (precisions(before, found, m, x) if m else 0.0)
                divisor = {"hits": found + x, "min_kr": min(k, R), "r": R}[norm]
                mean += chance * in_all / divisor if divisor else 0.0
            return mean
        total += precisions(before, found, t, r)
        before, found = before + t, found + r
    divisor = {"hits": R, "min_kr": min(k, R), "r": R}[norm]
    return total / divisor if divisor else 0.0


def compositions(n: int) -> list[list[tuple[int, int]]]:
    """All ways to cut n items into tie groups (size, relevant items)."""
    if n == 0:
        return [[]]
    return [[(t, r), *rest] for t in range(1, n + 1) for r in range(t + 1) for rest in compositions(n - t)]


def arranged(groups: list[tuple[int, int]], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores and relevance of a gallery with these tie groups, in a random gallery order."""
    scores = np.repeat(-np.arange(len(groups), dtype=float), [t for t, _ in groups])
    found = np.concatenate([np.r_[np.ones(r), np.zeros(t - r)] for t, r in groups])
    order = rng.permutation(len(scores))
    return scores[order], found[order].astype(int)


def relevance_of(found: np.ndarray) -> Relevance:
    """Any relevance matrix through labels: every query has a label of its own."""
    return from_labels(np.eye(len(found), dtype=np.uint8), found.T.astype(np.uint8))


def by_rule(scores: np.ndarray, found: np.ndarray, rule: str) -> tuple[int, ...]:
    """The one order that a rule other than ``expected`` stands for."""
    last = {"stable": np.arange(len(scores)), "optimistic": -found, "pessimistic": found}[rule]
    return tuple(found[np.lexsort((last, -scores))].tolist())


def codes_of(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes of queries and gallery that rank the gallery as scores (n_query, n) out of 0, -1, ... 1 - n do.

    Every item has a block of 2 n bits, all 1 in its own code and half -1 in those of the others: to flip f bits in each
    half of it moves a query by 2 f from that item, and by nothing from the others.
    """
    n = scores.shape[1]
    flipped = np.arange(n) < -scores[:, :, None, None]
    query = np.where(np.broadcast_to(flipped, (len(scores), n, 2, n)), -1, 1)
    gallery = np.ones((n, n, 2, n), dtype=int)
    gallery[~np.eye(n, dtype=bool), 1] = -1
    return query.reshape(len(scores), -1), gallery.reshape(n, -1)
