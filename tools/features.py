"""The classic picture features of the embedded datasets: shape, colour, layout and texture without any network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tools.pictures import Picture, ink, resize

DESCRIPTION = (
    "HOG 324 (64 px, 9 orientations, 16 px cells, 2x2 blocks) + HSV histogram 72 on ink pixels"
    " + 6x6 RGB layout 108 + LBP 10 + ink share 1 = 515, int8 with per-column scale"
)
INK = 245
"""A pixel with a channel below this is drawn on; the rest is paper and stays out of colour and texture."""


def picture_features(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features (n, 515) float32 of pictures (n, side, side, 3): HOG 324, colour 72, layout 108, texture 11."""
    return np.stack([_features(picture) for picture in pictures]).astype(np.float32)


def _features(picture: Picture) -> NDArray[np.float64]:
    from skimage.color import rgb2gray

    small = resize(picture, 64)
    drawn = ink(small, INK)
    grey = rgb2gray(small)
    return np.concatenate([_shape(grey), _colour(small, drawn), _layout(picture), _texture(grey, drawn)])


def _shape(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """Histogram of oriented gradients (Dalal and Triggs 2005): 3 x 3 blocks of 2 x 2 cells of 9 directions."""
    from skimage.feature import hog

    blocks = hog(grey, orientations=9, pixels_per_cell=(16, 16), cells_per_block=(2, 2), block_norm="L2-Hys")
    return np.asarray(blocks)


def _colour(small: Picture, drawn: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Square root of the HSV histogram (8 x 3 x 3 bins) of the drawn pixels, of all pixels where none is drawn."""
    from skimage.color import rgb2hsv

    hsv = rgb2hsv(small)
    counts = np.histogramdd(hsv[drawn] if drawn.any() else hsv.reshape(-1, 3), bins=(8, 3, 3), range=((0, 1),) * 3)[0]
    return np.asarray(np.sqrt(counts.ravel() / counts.sum()))


def _layout(picture: Picture) -> NDArray[np.float64]:
    """The picture at 6 x 6 pixels, RGB in [0, 1]."""
    return resize(picture, 6).ravel() / 255.0


def _texture(grey: NDArray[np.float64], drawn: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Square root of the histogram of uniform local binary patterns (Ojala et al. 2002), and the share of ink."""
    from skimage.feature import local_binary_pattern

    patterns = local_binary_pattern((grey * 255).astype(np.uint8), P=8, R=1, method="uniform")
    counts = np.histogram(patterns[drawn] if drawn.any() else patterns, bins=10, range=(0, 10))[0]
    return np.append(np.sqrt(counts / max(1, counts.sum())), drawn.mean())
