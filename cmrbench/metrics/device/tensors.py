"""What the torch path shares: arrays and labels on a device, products at full precision, groups from flags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from cmrbench.metrics.relevance import Relevance
from cmrbench.metrics.ties import Groups

BYTES_PER_FLAG = 10  # relevance of a pair, and the labels that two items share


def on_device(array: np.ndarray, device: str, dtype: np.dtype | type | None = None) -> torch.Tensor:
    """An array as a tensor, not to be written to: on the CPU it can be the array's own memory."""
    return torch.from_numpy(np.require(array, dtype, ["C", "A", "W"])).to(device)


class DeviceRelevance:
    """Relevance of queries and gallery items, on a device: computed there if it comes from labels."""

    def __init__(self, relevance: Relevance, device: str) -> None:
        self.relevance, self.device = relevance, device
        self.words = words = relevance.words
        if words is not None:
            # torch does little with uint64; what is equal and what shares a bit is the same for int64
            self.query, self.gallery = (on_device(a.view(np.int64), device) for a in (words.query, words.gallery))
        self.held = slice(0, 0), torch.empty(0)

    def block(self, rows: slice, items: slice) -> torch.Tensor:
        """Relevance of some items to some queries: bool (rows, items), not to be written to."""
        if self.words is None:
            if self.held[0] != rows:
                self.held = rows, on_device(self.relevance.block(rows.start, rows.stop), self.device)
            return self.held[1][:, items]
        query, gallery = self.query[:, rows, None], self.gallery[:, None, items]
        if not self.words.shared:
            return query[0] == gallery[0]
        found = (query[0] & gallery[0]) != 0
        for q, g in zip(query[1:], gallery[1:], strict=True):
            found |= (q & g) != 0
        return found


@contextmanager
def full_precision(device: str) -> Iterator[None]:
    """Matrix products of float32 in float32, whatever the caller lets torch do elsewhere (TF32, bfloat16, autocast)."""
    backends: tuple[Any, ...] = (torch.backends.cuda, torch.backends.mkldnn) if _EACH_BACKEND else ()
    matmuls = [backend.matmul for backend in backends]
    before = [m.fp32_precision for m in matmuls] if matmuls else [torch.get_float32_matmul_precision()]
    with torch.autocast(torch.device(device).type, enabled=False):
        try:
            for m in matmuls:
                m.fp32_precision = "ieee"
            if not matmuls:
                torch.set_float32_matmul_precision("highest")
            yield
        finally:
            for m, precision in zip(matmuls, before, strict=False):
                m.fp32_precision = precision
            if not matmuls:
                torch.set_float32_matmul_precision(before[0])


# From torch 2.9 on each backend has a setting of its own, and the older, common one must not be read beside them.
_EACH_BACKEND = hasattr(torch.backends.cuda.matmul, "fp32_precision")


def groups_of_flags(found: torch.Tensor, R: np.ndarray) -> Groups:
    """Every relevant item as a group of its own, given what is relevant by rank: bool (rows, k)."""
    row, T = (index.cpu().numpy() for index in found.nonzero(as_tuple=True))
    return replace(Groups.alone(len(R), row, T), R=R)
