"""Annotation files that would end the process, fill its memory or raise what is no sentence."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from cmrbench.core.errors import DataError
from cmrbench.data.archives import SourceTree
from cmrbench.data.builders._caption_files import json_objects, text_in
from cmrbench.data.builders._json_records import records
from cmrbench.data.builders._npy_stream import read_header


def ids(folder: Path, content: bytes) -> list[str]:
    (folder / "a.json").write_bytes(content)
    with SourceTree(folder, ["a.json"]) as tree:
        return [text_in(found, "id", where) for where, found in json_objects(tree, "a.json", "images")]


def fields(content: bytes) -> list[object]:
    return [record for _, record in records(io.BytesIO(content), "a.json", {"images": ("id",)})]


def test_plain_ones_are_read(tmp_path: Path) -> None:
    content = b'{"images": [{"id": 12, "box": [1.5, [2]]}, {"id": "b"}]}'
    assert ids(tmp_path, content) == ["12", "b"]
    assert fields(content) == [{"id": 12}, {"id": "b"}]


def test_a_whole_number_of_thousands_of_digits(tmp_path: Path) -> None:
    content = b'{"images": [{"id": ' + b"9" * 5000 + b"}]}"
    with pytest.raises(DataError, match="a.json is not JSON, or cut short, after 0 objects: .*overflow"):
        ids(tmp_path, content)
    with pytest.raises(DataError, match="a.json is no complete JSON file .*overflow"):
        fields(content)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"":', b"}"), (b'{"deeper":', b"}")])
def test_nesting_without_end(opening: bytes, closing: bytes, tmp_path: Path) -> None:
    content = b'{"images": [{"id": ' + 20_000 * opening + b"1" + 20_000 * closing + b"}]}"
    with pytest.raises(DataError, match="a.json nests too deep below 'images.item.id"):
        ids(tmp_path, content)
    with pytest.raises(DataError, match="a.json nests too deep below 'images.item.id"):
        fields(content)


def test_nesting_that_is_let_through_is_shown_cut(tmp_path: Path) -> None:
    content = b'{"images": [{"id": ' + 75 * b"[" + 75 * b"]" + b"}]}"
    with pytest.raises(DataError, match=r"images 1: 'id' is \[{75}\]{5}, expected a text$"):
        ids(tmp_path, content)


def npy(header: str) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (12, 4), }", ""),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (12, 4", "r.npy is no .npy of numbers or text"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (12, \"\"\"", "r.npy is no .npy of numbers or text"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (12, 2305843009213693952), }", "r.npy claims float32"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (12, 1180591620717411303424), }", "r.npy claims float32"),
    ],
)
def test_headers_of_regions(header: str, said: str) -> None:
    if not said:
        assert read_header(io.BytesIO(npy(header)), "r.npy") == ((12, 4), np.dtype("<f4"))
        return
    with pytest.raises(DataError, match=said):
        read_header(io.BytesIO(npy(header)), "r.npy")
