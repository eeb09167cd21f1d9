"""When representations count as the same."""

import numpy as np
import pytest

from cmrbench.testing import CheckFailed
from cmrbench.testing.compare import need_close


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_one_bit_of_codes_may_differ(dtype):
    codes = np.ones((48, 16), dtype)
    flipped = codes.copy()
    flipped[3, 4] = 0
    need_close(codes, flipped, "no")
    flipped[9, 0] = 0
    with pytest.raises(CheckFailed, match="2 of 48 rows"):
        need_close(codes, flipped, "no")


def test_vectors_may_differ_by_rounding_of_their_largest_value():
    vectors = np.float32([[100.0, 0.0], [1.0, 2.0]])
    need_close(vectors, vectors + np.float32([0.0, 0.009]), "no")
    with pytest.raises(CheckFailed, match="by up to 0.011"):
        need_close(vectors, vectors + np.float32([0.0, 0.011]), "no")


@pytest.mark.parametrize("other", [np.ones((2, 3), np.float32), np.float32([[np.nan, 1], [1, 1]])])
def test_another_shape_or_nan_is_never_close(other):
    with pytest.raises(CheckFailed):
        need_close(np.ones((2, 2), np.float32), other, "no")
