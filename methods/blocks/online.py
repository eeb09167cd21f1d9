"""What online hashing methods share: chunks of training pairs, and what is refused in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.errors import MethodError
from cmrbench.method import Method

if TYPE_CHECKING:
    from cmrbench.core.items import Items


def chunk_rows(n: int, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Row numbers of chunks of n training items in random order, `size` each; all at once, in order, for size 0.

    There are ``n // size`` chunks, at least one, and the last one takes what is left over. The order is random because
    datasets may be sorted by class, and a chunk of one class says nothing about which items differ.
    """
    if size < 0 or size == 1:
        raise MethodError(f"a chunk is 0 (all training items at once) or at least 2 items, not {size}")
    count = max(1, n // size) if size else 1
    if count == 1:
        return [np.arange(n)]
    order = rng.permutation(n)
    return np.split(order, np.arange(1, count) * size)


def check_chunk(method: Method, train: Mapping[str, Items], dims: Mapping[str, int] | None) -> None:
    """Raise an error that names the method if a chunk is empty, or of other modalities or widths than the first one.

    Parameters
    ----------
    method : Method
    train : mapping of modality to Items
    dims : mapping of modality to width, or None
        What the chunks before had; None for the first chunk.
    """
    name = method.info.name
    empty = [m for m, items in train.items() if not len(items)]
    if empty or not train:
        raise MethodError(f"{name} was given an empty chunk: no {' and no '.join(empty) or 'training'} items")
    found = {m: items.dim for m, items in train.items()}
    if dims is not None and found != dict(dims):
        raise MethodError(f"{name} learned from chunks with columns {dict(dims)}, and was given one with {found}")
