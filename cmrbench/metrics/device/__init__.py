"""Rankings by torch, on a CUDA device or the CPU. torch itself is imported only when a device is named."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cmrbench.core.errors import UsageError
from cmrbench.metrics.ranking import Needs, Ranked, ranked_blocks
from cmrbench.metrics.relevance import Relevance
from cmrbench.metrics.scores import Scores

_MOST_LEVELS = 1 << 20  # twice a distance, beside the number of a query in its block, fits in 32 bits


def check_device(device: str | None) -> None:
    """Refuse a device that torch does not have, and any but None where there is no torch.

    Parameters
    ----------
    device : str or None
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; None: torch is not used.

    Raises
    ------
    UsageError
    """
    if device is None:
        return
    if not isinstance(device, str) or not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", device):
        raise UsageError(f"device must be cpu, cuda or cuda:N, got {device!r}")
    try:
        import torch
    except ImportError as error:
        raise UsageError(f"the device {device} is used through torch, which cannot be imported: {error}") from None
    if device == "cpu":
        return
    if not torch.cuda.is_available():
        raise UsageError(f"the device {device} was asked for, but torch finds no CUDA device; use cpu, or none")
    count = torch.cuda.device_count()
    if ":" in device and int(device.partition(":")[2]) >= count:
        raise UsageError(f"the device {device} was asked for, but torch finds {count} CUDA device(s), numbered from 0")


def torch_blocks(scores: Scores, relevance: Relevance, needs: Needs, block_bytes: int, device: str) -> Iterator[Ranked]:
    """Rankings block by block as from `ranked_blocks`, by torch on a device that `check_device` takes.

    Operands of matrix products, codes and labels are held on the device as a whole, beside the `block_bytes` that
    one block takes there. Values agree with those of `ranked_blocks` for codes and for scores that are given; products
    are computed anew on the device, in the precision of the scores, and so can differ in their last bits.
    """
    needs = needs.stable_by_groups(scores.shape[1])
    if scores.levels is not None:
        if scores.codes is None or scores.levels > _MOST_LEVELS:
            return ranked_blocks(scores, relevance, needs, block_bytes)
        from cmrbench.metrics.device.counts import counted_blocks

        return counted_blocks(scores.codes, scores.levels, relevance, needs, block_bytes, device)
    from cmrbench.metrics.device.keys import keyed_blocks

    return keyed_blocks(scores, relevance, needs, block_bytes, device)
