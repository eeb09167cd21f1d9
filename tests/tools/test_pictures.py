from __future__ import annotations

import numpy as np
import pytest

from tools.pictures import centre_on_square, ink, neighbours, pairs_above, similarity


def test_drawing_is_cut_and_centred() -> None:
    paper = np.full((40, 60, 3), 255, np.uint8)
    paper[5:15, 30:50] = 10
    square = centre_on_square(paper, ink(paper, 250))
    assert square.shape == (23, 23, 3)  # int(20 * 1.06) + 2
    drawn = np.argwhere(ink(square, 250))
    assert len(drawn) == 10 * 20
    margins = [*drawn.min(axis=0), *(np.array(square.shape[:2]) - 1 - drawn.max(axis=0))]
    assert np.abs(np.array(margins[:2]) - margins[2:]).max() <= 1


def test_ink_is_any_dark_channel() -> None:
    pixels = np.array([[[255, 255, 255], [255, 255, 0], [251, 252, 250]]], np.uint8)
    assert ink(pixels, 250).tolist() == [[False, True, False]]


def test_pairs_are_listed_once_in_row_order() -> None:
    alike = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 1]], bool)
    assert pairs_above(alike) == [(0, 2), (1, 2)]


def test_neighbours_include_the_item_itself() -> None:
    cosine = np.array([[1, 0.9, 0.2], [0.9, 1, 0.5], [0.2, 0.5, 1]], np.float32)
    assert neighbours(cosine, 0.6) == [[0, 1], [0, 1], [2]]


def test_similarity_knows_copies_and_grey_knows_them_recoloured() -> None:
    pytest.importorskip("PIL", reason="pictures are resized by Pillow (extra 'rebuild')")
    red, turned = np.full((2, 96, 96, 3), 255, np.uint8)
    red[20:50, 20:80] = (200, 30, 30)
    turned[20:80, 20:50] = (200, 30, 30)
    blue = np.where(red == 255, red, np.array([30, 30, 250], np.uint8))
    near = red.copy()
    near[20:21] = np.minimum(near[20:21], 240)
    colour = similarity(np.stack([red, near, blue, turned]))
    grey = similarity(np.stack([red, near, blue, turned]), grey=True)
    assert colour[0, 0] == pytest.approx(1, abs=1e-5)
    assert colour[0, 1] > 0.98
    assert colour[0, 2] < 0.93 < 0.96 < grey[0, 2]
    assert grey[0, 3] < 0.93


def test_picture_features_describe_what_they_say() -> None:
    pytest.importorskip("PIL", reason="pictures are resized by Pillow (extra 'rebuild')")
    pytest.importorskip("skimage", reason="HOG and LBP are scikit-image's (extra 'rebuild')")
    from tools.features import picture_features

    white, green = np.full((2, 96, 96, 3), 255, np.uint8)
    green[:48] = (0, 255, 0)
    found = picture_features(np.stack([white, green]))
    assert found.shape == (2, 515)
    assert found.dtype == np.float32
    shape, colour, layout, texture = np.split(found, [324, 396, 504], axis=1)
    assert not shape[0].any()
    assert shape[1].any()
    np.testing.assert_allclose((colour**2).sum(axis=1), 1, atol=1e-5)  # roots of a histogram
    assert np.argmax(colour[1]) == np.ravel_multi_index((2, 2, 2), (8, 3, 3))  # hue 1/3, full saturation and value
    np.testing.assert_allclose(layout[1].reshape(6, 6, 3)[0, 0], [0, 1, 0], atol=0.02)
    assert texture[0, -1] == 0
    assert texture[1, -1] == pytest.approx(0.5, abs=0.02)
