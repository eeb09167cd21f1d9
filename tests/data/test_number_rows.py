"""Rows of numbers in text files: any blanks and line ends, any block size, and errors with their line."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest

from cmrbench.core.errors import DataError
from cmrbench.data.builders import _number_rows as number_rows
from cmrbench.data.builders._number_rows import real_number_rows, whole_number_rows

Reader = Callable[..., object]


def read(text: bytes, columns: int, reader: Reader = whole_number_rows) -> np.ndarray:
    return np.concatenate([*reader(io.BytesIO(text), "x.dat", columns), np.empty((0, columns))])  # type: ignore[misc]


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize(("blank", "end"), [(" ", "\n"), ("\t", "\t\r\n"), ("  ", " \n")])
def test_blocks_and_blanks_make_no_difference(
    block: int, blank: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(number_rows, "BLOCK_BYTES", block)
    values = np.random.default_rng(0).integers(0, 10, (40, 5)) ** np.array([1, 2, 3, 5, 7])
    text = "".join(blank.join(map(str, row)) + end for row in values.tolist()).encode()
    for tail in (b"", b"\n\r\n", b"\t\n"):
        np.testing.assert_array_equal(read(text + tail, 5), values)
    np.testing.assert_array_equal(read(text.rstrip(), 5), values)
    np.testing.assert_array_equal(read(text, 5, real_number_rows), values)


def test_real_numbers() -> None:
    np.testing.assert_array_equal(read(b"1.5 -2e-3\r\n.5 7\n", 2, real_number_rows), [[1.5, -0.002], [0.5, 7]])


def test_a_long_word_is_shortened() -> None:
    with pytest.raises(DataError) as caught:
        read(b"1 " + b"x" * 5000 + b"\n", 2)
    assert str(caught.value) == f"x.dat line 1: expected whole numbers, found {'x' * 20!r}"


@pytest.mark.parametrize("block", [3, 1 << 20])
@pytest.mark.parametrize(
    ("text", "reader", "expected"),
    [
        (b"1 2\n3\n", whole_number_rows, "line 2: expected 2 numbers, found 1; is the file complete"),
        (b"1 2\n3 4 5\n6\n", whole_number_rows, "line 2: expected 2 numbers, found 3"),
        (b"1 2\n\n3 4\n", whole_number_rows, "line 2: expected 2 numbers, found 0"),
        (b"\n\n1 2\n", whole_number_rows, "line 1: expected 2 numbers, found 0"),
        (b"1 2\n3 -4\n", whole_number_rows, "line 2: expected whole numbers, found '-4'"),
        (b"1 2\n3 4.5\n", whole_number_rows, r"line 2: expected whole numbers, found '4\.5'"),
        (b"1 2\n3 12345678\n", whole_number_rows, "line 2: 12345678 has more than 7 digits"),
        (b"1 2\n3 \x00\n", whole_number_rows, "line 2: expected whole numbers"),
        (b"1 2\n3 x\n", real_number_rows, "line 2: expected numbers"),
        (b"1 2\n3 nan\n", real_number_rows, "line 2: expected finite numbers"),
        (b"1 2\n3 1e999\n", real_number_rows, "line 2: expected finite numbers"),
        (b"1 2\n3\n", real_number_rows, "line 2: expected 2 numbers, found 1"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    text: bytes, reader: Reader, expected: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(number_rows, "BLOCK_BYTES", block)
    with pytest.raises(DataError, match=rf"x\.dat {expected}"):
        read(text, 2, reader)


@pytest.mark.parametrize("filling", [b"1", b"\n"])
def test_a_line_without_end_does_not_fill_memory(filling: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_rows, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(number_rows, "MAX_LINE_BYTES", 5000)
    with pytest.raises(DataError, match=r"x\.dat line 1 is longer than 5,000 bytes"):
        read(filling * 20_000, 2)
