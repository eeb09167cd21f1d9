"""Rankings by Hamming distance in torch: pairs are counted by distance and relevance, not sorted.

The distance of two codes comes from their product as vectors of -1 and +1: bits - q.g is twice the distance. Products
and sums of so few ones are exact in float32, and on a CPU this takes about half the time of XOR and a population
count by shifts, which is what torch offers for packed words.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from cmrbench.metrics.device.tensors import BYTES_PER_FLAG, DeviceRelevance, full_precision, groups_of_flags, on_device
from cmrbench.metrics.ranking import BYTES_PER_RULE, Needs, Ranked, groups_of_counts
from cmrbench.metrics.relevance import Relevance

_MOST_QUERIES = 512  # of a block: more make products little faster, and leave fewer items to a chunk
_LEAST_ITEMS = 1024  # of a chunk, however little memory there is
_BYTES_PER_COUNT = 128  # counters, their copies, a tie group and what measuring it takes
_BYTES_PER_PAIR = 16 + BYTES_PER_FLAG  # product, key, key by query
_BYTES_PER_BIT = 6  # a bit, a copy and its sign
_BYTES_PER_RANK = 40  # where items are sorted: keys, distances, ranked distances, order, flags
_BYTES_PER_GROUP = 96  # where every item is a group


def counted_blocks(
    codes: tuple[np.ndarray, np.ndarray],
    levels: int,
    relevance: Relevance,
    needs: Needs,
    block_bytes: int,
    device: str,
) -> Iterator[Ranked]:
    """Rankings by Hamming distance, block by block.

    Parameters
    ----------
    codes : pair of ndarray of uint64, shapes (words, n_query) and (words, n_gallery)
    levels : int
        Bits + 1.
    relevance, needs, block_bytes, device
        As in `torch_blocks`.
    """
    task = _Codes(codes, levels, relevance, device)
    n_query, n = (a.shape[1] for a in codes)
    stable = needs.cuts.get("stable", 0)
    rules = needs.rules - {"stable"}
    per_query = (_BYTES_PER_COUNT + BYTES_PER_RULE * len(rules)) * levels
    per_query += (_BYTES_PER_RANK * n if stable else 0) + _BYTES_PER_GROUP * stable
    per_query += n if relevance.words is None else 0
    step = min(max(1, block_bytes // 2 // per_query), _MOST_QUERIES, n_query)
    chunk = max(_LEAST_ITEMS, block_bytes // 2 // (_BYTES_PER_PAIR * step + _BYTES_PER_BIT * task.width))
    for start in range(0, n_query, step):
        rows = slice(start, min(start + step, n_query))
        counts, keys = task.count(rows, chunk, bool(stable))
        by_rule = {}
        if rules:
            tied = groups_of_counts(counts)
            by_rule = {rule: tied.under(rule) for rule in rules}
        R = counts[:, :, 1].sum(axis=1)
        if keys is not None:
            by_rule["stable"] = groups_of_flags(_in_gallery_order(keys, levels)[:, :stable], R)
        yield Ranked(rows, R, by_rule, counts=counts)


class _Codes:
    """Codes and labels on a device."""

    def __init__(self, codes: tuple[np.ndarray, np.ndarray], levels: int, relevance: Relevance, device: str) -> None:
        # In whole bytes: the unused bits of the last byte are clear in every code.
        octets = [np.ascontiguousarray(a.T).view(np.uint8)[:, : -(-(levels - 1) // 8)] for a in codes]
        self.query, self.gallery = (on_device(a, device) for a in octets)
        self.relevance, self.levels, self.device = DeviceRelevance(relevance, device), levels, device
        self.width = 8 * self.query.shape[1]

    def count(self, rows: slice, chunk: int, keep: bool) -> tuple[np.ndarray, torch.Tensor | None]:
        """Items by distance, not relevant and relevant, int64 (rows, levels, 2); and `_keys` of all items if kept."""
        count, n, bins = rows.stop - rows.start, len(self.gallery), 2 * self.levels
        query = self._signs(self.query[rows]).neg_()
        first = bins * torch.arange(count, dtype=torch.int32, device=self.device)[:, None]
        counts = torch.zeros(count * bins, dtype=torch.int64, device=self.device)
        kept = []
        for start in range(0, n, chunk):
            keys = self._keys(query, rows, slice(start, min(start + chunk, n)))
            if keep:
                kept.append(keys)
            counts += torch.bincount((keys + first).flatten(), minlength=len(counts))
        return counts.cpu().numpy().reshape(count, self.levels, 2), torch.cat(kept, dim=1) if keep else None

    def _keys(self, negative: torch.Tensor, rows: slice, items: slice) -> torch.Tensor:
        """Twice the distance, plus one where an item is relevant: int32 (rows, items)."""
        signs = self._signs(self.gallery[items])
        with full_precision(self.device):
            twice = (negative @ signs.T).add_(self.width)
        return twice.to(torch.int32).add_(self.relevance.block(rows, items))

    def _signs(self, octets: torch.Tensor) -> torch.Tensor:
        """Codes, uint8 (n, width / 8), as vectors of -1 and +1: float32 (n, width)."""
        bits = (octets[:, :, None] >> torch.arange(8, dtype=torch.uint8, device=self.device)) & 1
        return bits.view(len(octets), self.width).to(torch.float32).mul_(2).sub_(1)


def _in_gallery_order(keys: torch.Tensor, levels: int) -> torch.Tensor:
    """What is relevant by rank, ties in gallery order: bool (rows, n)."""
    distance = (keys >> 1).to(torch.int16 if levels <= 1 << 15 else torch.int32)
    return (keys & 1).bool().gather(1, distance.sort(dim=1, stable=True).indices)
