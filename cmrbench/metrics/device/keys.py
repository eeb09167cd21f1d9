"""Rankings by real-valued scores in torch: scores become whole-number keys, which are sorted or partly sorted.

Signed numbers of the scores' width order as the scores do and are equal where those are, -0 and +0 included, and torch
sorts them faster than floats. torch moves the indices along in any case, so relevance follows by index; a key holds
nothing but the score, and every finite score has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from cmrbench.metrics.device.tensors import BYTES_PER_FLAG, DeviceRelevance, full_precision, groups_of_flags, on_device
from cmrbench.metrics.ranking import BYTES_PER_RULE, Needs, Ranked, ranked_blocks
from cmrbench.metrics.relevance import Relevance
from cmrbench.metrics.scores import Products, Scores
from cmrbench.metrics.ties import Groups, harmonics

_FEW = 8  # part of a ranking, one in so many, up to which its top is found faster than all of it is sorted
_BYTES_PER_RANK = 100  # keys and indices in order, flags, numbers of groups, and groups where every item is one


def keyed_blocks(scores: Scores, relevance: Relevance, needs: Needs, block_bytes: int, device: str) -> Iterator[Ranked]:
    """Rankings by scores of any kind, block by block; parameters as in `torch_blocks`.

    Scores of a kind that torch does not have (long doubles) are ranked by numpy.
    """
    n_query, n = scores.shape
    products = operands(scores)
    compute = None if products is None else DeviceProducts(products, device)
    relevant = DeviceRelevance(relevance, device)
    plan = _Plan(needs, n, device)
    itemsize = 8 if scores.dtype is None else scores.dtype.itemsize
    step = max(1, block_bytes // plan.bytes_per_query(itemsize))
    for start in range(0, n_query, step):
        rows = slice(start, min(start + step, n_query))
        keys = _given_keys(scores, rows, device) if compute is None else _ordered(compute(rows))
        if keys is None:
            yield from ranked_blocks(scores, relevance, needs, block_bytes, rows.start, rows.stop)
        else:
            yield plan.rank(rows, keys, relevant.block(rows, slice(0, n)))


def operands(scores: Scores) -> Products | None:
    """What a matrix product of scores is made of: its attributes `query`, `gallery`, `item`, `offset` and `norms`.

    The scores of query q and item i, with j = ``item[i]`` (or i), are to be
    ``(query[q] @ gallery[j] - offset[j]) / norms[1][j] * (1 / norms[0][q])``, in these steps, so that the
    same scores come out equal as in numpy. No two rows of `gallery` are equal.
    """
    return scores if isinstance(scores, Products) else None


class DeviceProducts:
    """Scores by a matrix product on a device, where the gallery stays."""

    def __init__(self, products: Products, device: str) -> None:
        self.products, self.device = products, device
        parts = (products.item, products.offset, *(products.norms or (None, None)))
        self.gallery = on_device(products.gallery, device)
        self.item, self.offset, *self.norms = (None if a is None else on_device(a, device) for a in parts)

    def __call__(self, rows: slice) -> torch.Tensor:
        """Scores of some queries and all items, in new memory."""
        query = on_device(self.products.query[rows], self.device)
        with full_precision(self.device):
            scores = query @ self.gallery.T
        if self.offset is not None:
            scores -= self.offset
        q_norms, g_norms = self.norms
        if q_norms is not None and g_norms is not None:
            scores /= g_norms
            scores *= 1 / q_norms[rows, None]
        return scores if self.item is None else scores.index_select(1, self.item)


def _given_keys(scores: Scores, rows: slice, device: str) -> torch.Tensor | None:
    """Keys of scores that numpy computes; None if torch has no numbers of their kind."""
    block = scores.block(rows.start, rows.stop)
    if block.dtype.kind != "f":
        return on_device(block, device, np.int64)
    if block.dtype.itemsize > 8:
        return None
    return _ordered(on_device(block, device, np.float64 if block.dtype.itemsize == 8 else np.float32))


def _ordered(scores: torch.Tensor) -> torch.Tensor:
    """Signed whole numbers that order as finite scores do and are equal where those are."""
    whole, bits = (torch.int32, 31) if scores.dtype == torch.float32 else (torch.int64, 63)
    keys = (scores + 0.0).view(whole)  # -0 turns into +0; a float's other bits order as magnitudes do
    keys ^= (keys >> bits) & ((1 << bits) - 1)
    return keys


class _Plan:
    """How far down rankings are looked at, and so whether they are sorted as a whole."""

    def __init__(self, needs: Needs, n: int, device: str) -> None:
        self.n, self.whole = n, bool(needs.ap)
        self.cuts = {rule: cut for rule, cut in needs.cuts.items() if rule != "stable"}
        self.stable = needs.cuts.get("stable", 0)
        self.tied = max(self.cuts.values(), default=0)
        self.sorts = self.whole or bool(self.stable) or _FEW * self.tied > n
        self.H = on_device(harmonics(n), device)

    def bytes_per_query(self, itemsize: int) -> int:
        """Memory to allow for a ranking, given the size of a score."""
        on_device = (4 * itemsize + BYTES_PER_FLAG) * self.n + _BYTES_PER_RANK * (self.n if self.sorts else self.tied)
        return on_device + BYTES_PER_RULE * sum((*self.cuts.values(), self.stable))

    def rank(self, rows: slice, keys: torch.Tensor, relevant: torch.Tensor) -> Ranked:
        """Rankings of some queries, given keys and relevance of all items."""
        R = relevant.sum(dim=1)
        found_in_all = R.cpu().numpy()
        ap, by_rule, tied = None, {}, None
        if self.sorts:
            ranked, order = keys.sort(dim=1, descending=True, stable=bool(self.stable))
            found = relevant.gather(1, order)
            del order
            if self.stable:
                by_rule["stable"] = groups_of_flags(found[:, : self.stable], found_in_all)
            if self.whole or self.tied:
                tied = _Tied.of(ranked, found)
            if self.whole and tied is not None:
                ap = (tied.sums_of_precisions(self.H, found.shape) / R.clamp(min=1)).cpu().numpy()
        else:
            tied = _top(keys, relevant, self.tied)
        if tied is not None and self.tied:
            groups = tied.groups(self.tied, found_in_all)
            by_rule |= {rule: groups.under(rule) for rule in self.cuts}
        return Ranked(rows, found_in_all, by_rule, {} if ap is None else {"expected": ap})


@dataclass(frozen=True, eq=False)
class _Tied:
    """Tie groups with relevant items, on a device: as `Groups`, without R."""

    row: torch.Tensor
    T: torch.Tensor
    P: torch.Tensor
    t: torch.Tensor
    r: torch.Tensor

    @classmethod
    def of(cls, ranked: torch.Tensor, found: torch.Tensor) -> _Tied:
        """Groups of keys (rows, n) in order, given what is relevant by rank."""
        rows, n = ranked.shape
        first = torch.ones_like(found)
        torch.ne(ranked[:, 1:], ranked[:, :-1], out=first[:, 1:])
        group = first.flatten().cumsum(0, dtype=torch.int32 if first.numel() < 1 << 31 else torch.int64).sub_(1)
        starts = first.flatten().nonzero()[:, 0]
        some, r = torch.unique_consecutive(group[found.flatten()], return_counts=True)
        begin, end = starts[some], torch.cat([starts, starts.new_tensor([rows * n])])[some + 1]
        row = begin.div(n, rounding_mode="floor")
        R = found.sum(dim=1)
        P = r.cumsum(0) - r - (R.cumsum(0) - R)[row]
        return cls(row, begin - row * n, P, end - begin, r)

    def sums_of_precisions(self, H: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """S of `cmrbench.metrics.ties` over all groups of whole rankings: float64 (rows,)."""
        S = (self.P + 1).double() / (self.T + 1)  # of groups of one item, which most are
        tied = (self.t > 1).nonzero()[:, 0]
        first, size = self.T[tied], self.t[tied]
        h = H[first + size] - H[first]
        T, P, t, r = (a.double() for a in (first, self.P[tied], size, self.r[tied]))  # integers divide in float32
        S[tied] = r / t * ((P + 1) * h + (r - 1) / (t - 1) * (t - (T + 1) * h))
        # A sum along a row adds up in one order always; adding by index does not on a GPU.
        placed = torch.zeros(shape, dtype=torch.float64, device=S.device)
        placed[self.row, self.T] = S
        return placed.sum(dim=1)

    def groups(self, cut: int, R: np.ndarray) -> Groups:
        """The groups that begin within the first `cut` ranks."""
        kept = (cut > self.T).nonzero()[:, 0]
        row, T, P, t, r = (a[kept].cpu().numpy() for a in (self.row, self.T, self.P, self.t, self.r))
        return Groups(row, T, P, t, r, R)


def _top(keys: torch.Tensor, relevant: torch.Tensor, k: int) -> _Tied:
    """Tie groups of the first k ranks: those above the k-th item's score, and the whole group with that score."""
    ranked, order = keys.topk(k, dim=1)
    last = ranked[:, -1:]
    above = ranked > last
    found = relevant.gather(1, order) & above  # which items of the last group are among the k is left open
    level = keys == last
    T, P, t = above.sum(dim=1), found.sum(dim=1), level.sum(dim=1)
    r = (level & relevant).sum(dim=1)
    some = r.nonzero()[:, 0]
    upper, end = _Tied.of(ranked, found), _Tied(some, T[some], P[some], t[some], r[some])
    row, order = torch.cat([upper.row, end.row]).sort(stable=True)
    both = ((upper.T, end.T), (upper.P, end.P), (upper.t, end.t), (upper.r, end.r))
    return _Tied(row, *(torch.cat(pair)[order] for pair in both))
