"""Pictures as gradients and colours: no weights, nothing fitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cmrbench.core.errors import UsageError
from cmrbench.data.extract.extractor import Extractor, needs
from cmrbench.data.extract.images import open_picture


class Hog(Extractor):
    """Histograms of oriented gradients (Dalal, Triggs, CVPR 2005), by scikit-image.

    A picture without any edge has no gradients: one more column is 1 for it, so that it is no zero vector.

    Parameters
    ----------
    pixels : int
        The picture is scaled to a square of this side.
    cell : int
        Pixels a cell; blocks are of 2 x 2 cells, with 9 orientations.
    """

    takes = ("picture",)
    extra = "extract"
    libraries = ("scikit-image", "pillow")
    makes = "36 a block + 1"
    extractor = "HOG of the grey picture, 9 orientations, 2x2 blocks"
    normalisation = "L2-Hys a block"

    def __init__(self, pixels: int = 64, cell: int = 16) -> None:
        self.pixels = pixels
        self.cell = cell

    def open(self, device: str, takes: str) -> str:
        """Check the sizes."""
        if not 1 <= self.cell <= self.pixels // 2 <= 512:
            raise UsageError(f"hog: pixels must hold 2 or more cells, got pixels={self.pixels}, cell={self.cell}")
        needs(self.extra, "skimage.feature")
        return ""

    def __call__(self, inputs: Sequence[Any]) -> np.ndarray:
        """Block histograms and the mark of plain pictures."""
        hog = needs(self.extra, "skimage.feature").hog
        rows = []
        for content in inputs:
            grey = open_picture(content).resize((self.pixels, self.pixels)).convert("L")
            row = hog(np.asarray(grey, np.float64) / 255, 9, (self.cell, self.cell), (2, 2), "L2-Hys")
            rows.append([*row, not row.any()])
        return np.array(rows, np.float32)


class Colour(Extractor):
    """A joint histogram of hue, saturation and value over all pixels; rows sum to 1.

    Parameters
    ----------
    hues, saturations, values : int
        Bins of each.
    """

    takes = ("picture",)
    extra = "extract"
    libraries = ("pillow",)
    makes = "hues x saturations x values"
    extractor = "HSV histogram of all pixels"
    normalisation = "rows sum to 1"

    def __init__(self, hues: int = 8, saturations: int = 3, values: int = 3) -> None:
        self.hues = hues
        self.saturations = saturations
        self.values = values

    def open(self, device: str, takes: str) -> str:
        """Check the numbers of bins."""
        needs(self.extra, "PIL.Image")
        bins = (self.hues, self.saturations, self.values)
        if max(bins) > 256 or self.hues * self.saturations * self.values > 1 << 16:
            raise UsageError(f"colour: at most 256 bins each and 65,536 in all, got {' x '.join(map(str, bins))}")
        return ""

    def __call__(self, inputs: Sequence[Any]) -> np.ndarray:
        """Shares of pixels (n, hues * saturations * values)."""
        bins = (self.hues, self.saturations, self.values)
        rows = []
        for content in inputs:
            pixels = np.asarray(open_picture(content).convert("HSV")).reshape(-1, 3).astype(np.int64)
            place = np.ravel_multi_index(tuple(pixels[:, k] * bins[k] // 256 for k in range(3)), bins)
            rows.append(np.bincount(place, minlength=bins[0] * bins[1] * bins[2]) / len(pixels))
        return np.array(rows, np.float32)
