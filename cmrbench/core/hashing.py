"""Fingerprints: SHA-256 over canonical forms, so that equal content has equal keys on every machine."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, tuples as lists, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def plain_numbers(value: Any) -> Any:
    """Numpy's numbers as Python's, also inside lists; other values as they are."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(plain_numbers, value)) if type(value) in (list, tuple) else value
    return value.item() if hasattr(value, "dtype") and getattr(value, "shape", None) == () else value


def describe_values(value: Any) -> Any:
    """A JSON value that is equal in every process for equal values, whatever they are.

    Functions and classes are named; other objects are described by their text without its memory address.
    """
    value = plain_numbers(value)
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(k): describe_values(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe_values(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted((describe_values(v) for v in value), key=canonical_json)
    if hasattr(value, "__qualname__"):
        return str(value.__qualname__)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(value))


def digest(value: Any, length: int = 16) -> str:
    """First `length` hexadecimal digits of the SHA-256 of a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def digest_lines(lines: Iterable[str]) -> str:
    """SHA-256 of lines in the given order, each ended by a newline (split lists)."""
    h = hashlib.sha256()
    for line in lines:
        h.update(line.encode())
        h.update(b"\n")
    return h.hexdigest()


def digest_arrays(arrays: Iterable[tuple[str, Any]]) -> str:
    """SHA-256 over named arrays: names, dtypes, shapes and bytes (C order, little-endian).

    An array that has `shape`, `dtype` and ``blocks()`` (rows in order, cut anywhere) is read block by block; the
    result is that of the whole.
    """
    import numpy as np

    h = hashlib.sha256()
    for name, array in arrays:
        dtype = array.dtype.newbyteorder("<") if array.dtype.byteorder == ">" else array.dtype
        h.update(f"{name}|{dtype.str}|{array.shape}\n".encode())
        for block in array.blocks() if hasattr(array, "blocks") else [array]:
            h.update(np.ascontiguousarray(block, dtype=dtype).tobytes())
    return h.hexdigest()


def digest_file(path: Path, algorithm: str = "sha256") -> str:
    """SHA-256 (or another hash) of a file's bytes."""
    h = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as handle:
        while chunk := handle.read(1 << 20):
            h.update(chunk)
    return h.hexdigest()


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from named parts, so that two uses of one run's seed are independent streams."""
    text = "\x1f".join(str(p) for p in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
