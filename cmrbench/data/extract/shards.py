"""Features that are made piece by piece: a shard is there whole or not at all, and is not made twice."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.cache import explained

STALE_SECONDS = 30 * 24 * 3600


class Shards:
    """The shards of one array.

    Parameters
    ----------
    folder : Path
        Where they lie; made when the first one is written.
    n : int
        Rows of the whole array.
    size : int
        Rows of a shard.
    """

    def __init__(self, folder: Path, n: int, size: int) -> None:
        self.folder = folder
        self.n = n
        self.starts = range(0, n, size)
        self.size = size

    def path(self, start: int) -> Path:
        """The file of the shard that begins at this row."""
        return self.folder / f"{start:09d}.npy"

    def missing(self) -> list[int]:
        """Where the shards begin that are not there yet."""
        return [start for start in self.starts if not self._sound(start)]

    def _sound(self, start: int) -> bool:
        try:
            stored = np.load(self.path(start), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return False
        return bool(stored.ndim == 2 and len(stored) == min(self.size, self.n - start))

    def write(self, start: int, rows: np.ndarray) -> None:
        """Put a shard in its place in one step."""
        with explained(self.folder, "write features"):
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = self.folder / f".{start:09d}-{os.getpid()}.npy"
            try:
                np.save(partial, rows, allow_pickle=False)
                os.replace(partial, self.path(start))
            finally:
                partial.unlink(missing_ok=True)

    def assemble(self, target: Path) -> int:
        """Write all shards as one array; the number of its columns."""
        pieces = [np.load(self.path(start), mmap_mode="r", allow_pickle=False) for start in self.starts]
        widths = {piece.shape[1] for piece in pieces}
        if len(widths) > 1:
            raise DataError(f"{self.folder} holds shards of different widths; delete the folder and extract again")
        width = int(widths.pop())
        whole = np.lib.format.open_memmap(target, mode="w+", dtype=np.float32, shape=(self.n, width))
        for start, piece in zip(self.starts, pieces, strict=True):
            whole[start : start + len(piece)] = piece
        whole.flush()
        return width


def fill(
    shards: Shards,
    inputs: Callable[[int, int], Sequence[Any]],
    extract: Callable[[Sequence[Any]], np.ndarray],
    batch: int,
    advance: Callable[[int], None],
) -> int:
    """Make the shards that are missing.

    Parameters
    ----------
    shards : Shards
    inputs : callable
        ``inputs(start, stop)``: what is to be described, row by row.
    extract : callable
        Features (n, d) of a list of inputs.
    batch : int
        Inputs a call of `extract`.
    advance : callable
        Told how many rows are done.

    Returns
    -------
    int
        Rows that were there already.
    """
    missing = set(shards.missing())
    there = 0
    for start in shards.starts:
        stop = min(start + shards.size, shards.n)
        if start not in missing:
            there += stop - start
            advance(stop - start)
            continue
        rows = []
        for first in range(start, stop, batch):
            chosen = inputs(first, min(first + batch, stop))
            made = np.asarray(extract(chosen), np.float32)
            if made.shape[:1] != (len(chosen),) or made.ndim != 2 or not np.isfinite(made).all():
                raise DataError(
                    f"the extractor gave {made.shape} for {len(chosen)} inputs, or values that are not finite"
                )
            rows.append(made)
            advance(len(chosen))
        shards.write(start, np.concatenate(rows))
    return there


def remove_stale(folder: Path) -> None:
    """Delete work that nobody has gone on with for a month."""
    for left in folder.glob("*"):
        if time.time() - left.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
