"""Pictures as uint8 arrays: cutting to the drawn part, resizing, and finding look-alikes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 96
"""Side of the stored working pictures, in pixels; features and thumbnails are made from them."""

Picture = NDArray[np.uint8]


def resize(picture: Picture, side: int) -> Picture:
    """A square picture at another size (Lanczos filter), uint8 (side, side, 3)."""
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS))


def ink(picture: Picture, threshold: int) -> NDArray[np.bool_]:
    """Mask (h, w) of the pixels that are drawn on: any channel below ``threshold`` on white paper."""
    mask: NDArray[np.bool_] = picture.min(axis=2) < threshold
    return mask


def centre_on_square(picture: Picture, mask: NDArray[np.bool_]) -> Picture:
    """Cut a picture to the bounding box of ``mask`` and centre it on a white square with a margin of about 3 %."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    cut = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = cut.shape[:2]
    side = int(max(height, width) * 1.06) + 2
    top, left = (side - height) // 2, (side - width) // 2
    square = np.full((side, side, 3), 255, np.uint8)
    square[top : top + height, left : left + width] = cut
    return square


def similarity(pictures: NDArray[np.uint8], grey: bool = False) -> NDArray[np.float32]:
    """Cosine (n, n) between the pictures seen at 20 x 20 pixels, centred: 1 for equal pictures.

    In colour by default; ``grey`` also finds copies in other colours. Rows that show nothing get 0.
    """
    from PIL import Image

    small = []
    for picture in pictures:
        image = Image.fromarray(picture)
        image = image.convert("L") if grey else image
        small.append(255 - np.asarray(image.resize((20, 20), Image.Resampling.BOX)).astype(np.float32).ravel())
    # Row by row, as the data was made: a mean over an axis adds in another order and rounds differently.
    signatures = np.stack([row - row.mean() for row in small])
    signatures = np.stack([row / (np.linalg.norm(row) + 1e-6) for row in signatures])
    cosine: NDArray[np.float32] = signatures @ signatures.T
    return cosine


def neighbours(cosine: NDArray[np.float32], threshold: float) -> list[list[int]]:
    """For each row the positions with a similarity above ``threshold``, itself included."""
    return [np.flatnonzero(row > threshold).tolist() for row in cosine]


def pairs_above(alike: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """All (i, j) with i < j where ``alike`` holds, in row order."""
    return [(int(i), int(j)) for i, j in np.argwhere(np.triu(alike, 1))]
