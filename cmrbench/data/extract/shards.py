"""Features that are made piece by piece: a shard is there whole or not at all, and is not made twice.

A shard's name says which rows it holds and which contents they were made of: a picture that has been replaced since
takes only its own shard with it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError, UsageError
from cmrbench.data.cache import explained
from cmrbench.data.extract.inputs import Inputs, add_contents

STALE_SECONDS = 30 * 24 * 3600
Describe = Callable[[Sequence[Any]], np.ndarray]


@dataclass(eq=False)
class Shards:
    """The shards of one array.

    Attributes
    ----------
    folder : Path
        Where they lie; made when the first one is written.
    inputs : Inputs
        What the array describes, row by row.
    size : int
        Rows of a shard.
    paths : list of Path
        Those that `fill` has made or found, in order.
    """

    folder: Path
    inputs: Inputs
    size: int
    paths: list[Path] = field(default_factory=list)

    def fill(self, describe: Describe, batch: int, advance: Callable[[int], None]) -> int:
        """Make the shards that are missing.

        Parameters
        ----------
        describe : callable
            Features (n, d) of a list of inputs.
        batch : int
            Inputs a call of `describe`.
        advance : callable
            Told how many rows are done.

        Returns
        -------
        int
            Rows that were there already.

        Raises
        ------
        DataError
            With the item, if its input cannot be described.
        """
        there = 0
        self.paths = []
        for start in range(0, len(self.inputs), self.size):
            stop = min(start + self.size, len(self.inputs))
            path = self._found(start, stop, batch)
            if path is not None:
                there += stop - start
                advance(stop - start)
            else:
                path = self._make(start, stop, describe, batch, advance)
            self.paths.append(path)
        return there

    def _found(self, start: int, stop: int, batch: int) -> Path | None:
        stored = [p for p in self.folder.glob(f"{start:09d}-*.npy") if _sound(p, stop - start)]
        if not stored:
            return None
        wanted = self._path(start, self.inputs.digest(start, stop, batch))
        return wanted if wanted in stored else None

    def _path(self, start: int, contents: str) -> Path:
        return self.folder / f"{start:09d}-{contents}.npy"

    def _make(self, start: int, stop: int, describe: Describe, batch: int, advance: Callable[[int], None]) -> Path:
        h, rows = hashlib.sha256(), []
        for first in range(start, stop, batch):
            chosen = self.inputs.read(first, min(first + batch, stop))
            add_contents(h, chosen)
            rows.append(self._described(describe, first, chosen))
            advance(len(chosen))
        path = self._path(start, h.hexdigest()[:16])
        with explained(self.folder, "write features"):
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = self.folder / f".{path.stem}-{os.getpid()}.npy"
            try:
                np.save(partial, np.concatenate(rows), allow_pickle=False)
                os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)
        return path

    def _described(self, describe: Describe, first: int, chosen: Sequence[Any]) -> np.ndarray:
        try:
            return _checked(describe(chosen), len(chosen))
        except DataError:
            for row, one in enumerate(chosen, first):  # one of them is at fault: which?
                try:
                    _checked(describe([one]), 1)
                except DataError as error:
                    raise DataError(f"{self.inputs.named(row)}: {error}") from None
            raise
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":
                raise
            raise UsageError(
                f"the device's memory does not hold a batch of {len(chosen)}; the same command with a smaller --batch "
                "goes on from here"
            ) from None

    def assemble(self, target: Path) -> int:
        """Write all shards as one array (n, d) float32; the number of its columns."""
        widths = {np.load(path, mmap_mode="r", allow_pickle=False).shape[1] for path in self.paths}
        if len(widths) != 1:
            raise DataError(f"{self.folder} holds shards of different widths; delete the folder and extract again")
        width = int(widths.pop())
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(self.inputs), width)}
        with target.open("xb") as file:  # not memory-mapped: a full disk would kill the process
            np.lib.format.write_array_header_1_0(file, header)
            for path in self.paths:
                np.load(path, allow_pickle=False).tofile(file)
        return width


def _sound(path: Path, rows: int) -> bool:
    """Whether a shard is whole; what a full disk or a crash left is made again."""
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return bool(stored.ndim == 2 and len(stored) == rows and stored.dtype == np.float32)


def _checked(made: Any, n: int) -> np.ndarray:
    features = np.asarray(made, np.float32)
    if features.ndim != 2 or len(features) != n:
        raise DataError(f"the extractor gave the shape {features.shape} for {n} inputs")
    if not np.isfinite(features).all():
        raise DataError("the extractor gave values that are not finite")
    if not features.any(axis=1).all():
        raise DataError("the extractor gave nothing but zeros, a vector without a direction; choose another extractor")
    return features


def remove_stale(folder: Path) -> None:
    """Delete work that nobody has gone on with for a month."""
    for left in folder.iterdir():
        if left.is_dir() and not left.is_symlink():
            times = [p.stat().st_mtime for p in (left, *left.rglob("*")) if p.exists()]
            if time.time() - max(times, default=0) > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
