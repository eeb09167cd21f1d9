"""Sets, tokens and raw items go through validation, the prepared form and memory maps like vectors."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import made_data
import numpy as np
import pytest

from cmrbench.core.dataset import Dataset
from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data import builders, load_catalogue, load_dataset
from cmrbench.data.arrays import BLOCK_BYTES, Rows, row_blocks, scratch_array
from cmrbench.data.builders.base import BuilderOptions, BuildRequest
from cmrbench.data.content import Content, Cut, fingerprint
from cmrbench.data.validate import validate_items

N, CAPTIONS = 24, 2
Load = Callable[[str, str], Dataset]
SPLITS = np.repeat(["train", "query"], [16, 8])


def content(request: BuildRequest) -> Content:
    """24 pictures of three regions, two captions each; what is asked for raw has no columns."""
    kinds = {m: spec.kind for m, spec in request.feature_set.modalities.items()}
    rng = np.random.default_rng(0)
    names = np.array([f"p{i}" for i in range(N)])
    captions = np.array([f"p{i}#{k}" for i in range(N) for k in range(CAPTIONS)])
    regions = scratch_array(request.scratch, "image", (N, 3, 5), np.float16)
    regions[:] = rng.standard_normal((N, 3, 5))
    tokens = rng.integers(1, 50, (N * CAPTIONS, 6)).astype(np.int32)
    tokens[:, 4:] = 0
    made = {"image": regions, "text": tokens}
    made = {m: np.empty((len(a), 0), np.float32) if kinds[m] == "raw" else a for m, a in made.items()}
    items = {
        "image": Items("image", made["image"], names, names),
        "text": Items("text", made["text"], captions, np.repeat(names, CAPTIONS)),
    }
    return Content(
        "made",
        items,
        {"image": SPLITS, "text": np.repeat(SPLITS, CAPTIONS)},
        (),
        ("made for a test",),
        texts={"text": [f"caption ☃ {c}" for c in captions]},
        pictures={"image": [f"pictures.zip/{n}.jpg" for n in names]},
    )


def is_mapped(array: Any) -> bool:
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array is not None


@pytest.fixture
def load(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    module = ModuleType("made")
    module.VERSION, module.Options, module.build = 1, type("Options", (BuilderOptions,), {}), content  # type: ignore[attr-defined]
    monkeypatch.setattr(builders, "builder", lambda name: module)
    (tmp_path / "data.npz").write_bytes(b"x")

    def make(image: str, text: str) -> Dataset:
        modalities = {"image": {"kind": image, "extractor": "x"}, "text": {"kind": text, "extractor": "y"}}
        entry = made_data.entry(
            feature_sets={"plain": {"default": True, "modalities": modalities}},
            protocols=[{"name": "pairs", "query": ["query"], "gallery": ["query"], "relevance": "instance"}],
        )
        del entry["labels"]
        path = made_data.write_catalogue(tmp_path / "mine.yaml", {"mine": entry})
        return load_dataset("mine", catalogue=load_catalogue([path]))

    return make


def test_sets_and_tokens(load: Load, own_cache: Path) -> None:
    dataset = load("set", "tokens")
    assert dataset.kinds == {"image": "set", "text": "tokens"}
    assert dataset.dims == {"image": 5, "text": 6}
    train = dataset.part("train")
    assert train["image"].features.shape == (16, 3, 5)
    assert train["image"].features.dtype == np.float16
    assert is_mapped(train["image"].features)
    assert train["text"].features.shape == (32, 6)
    assert train["text"].features.dtype == np.int32
    assert dataset.texts("query", "text")[:2] == ["caption ☃ p16#0", "caption ☃ p16#1"]
    assert dataset.pictures("train", "image")[-1] == "pictures.zip/p15.jpg"
    assert dataset.texts("query", "image") is None
    assert dataset.notes == ("made for a test",)
    assert not list(own_cache.glob(".tmp-*")), "scratch arrays are gone"


def test_raw_items_have_no_columns(load: Load) -> None:
    dataset = load("raw", "raw")
    assert dataset.dims == {"image": 0, "text": 0}
    assert dataset.part("query")["text"].features.shape == (16, 0)


@pytest.mark.parametrize(
    ("image", "text", "expected"),
    [
        ("vector", "tokens", r"image: expected float32 of 2 dimensions, got float16 of shape \(24, 3, 5\)"),
        ("set", "vector", r"text: expected float32 of 2 dimensions, got int32"),
        ("tokens", "tokens", r"image: expected int32 of 2 dimensions"),
    ],
)
def test_other_kinds_than_registered_are_refused(image: str, text: str, expected: str, load: Load) -> None:
    with pytest.raises(DataError, match=expected):
        load(image, text)


def test_features_that_should_be_raw_are_refused() -> None:
    names = np.array(["a", "b"])
    made = Content("made", {"image": Items("image", np.ones((2, 1), np.float32), names, names)}, None, ())
    with pytest.raises(DataError, match="raw items have no columns, got 1"):
        validate_items(made, {"image": "raw"}, multilabel=False)
    with pytest.raises(DataError, match=r"image: 2 items but 1 texts"):
        validate_items(replace(made, texts={"image": ["one"]}), {"image": "vector"}, multilabel=False)


def test_blocks_give_the_rows_in_order_and_fingerprints_of_the_whole(tmp_path: Path) -> None:
    width = 64
    n = 3 * BLOCK_BYTES // (4 * width) + 7  # three full blocks and a short one
    array = scratch_array(tmp_path, "x", (n, width), np.float32)
    array[:] = np.random.default_rng(0).random((n, width), np.float32)
    assert [len(b) for b in row_blocks(array)][-1] == 7
    assert np.array_equal(np.concatenate(list(row_blocks(array))), array)
    rows = np.arange(0, n, 3)
    assert np.array_equal(np.concatenate(list(Rows(array, rows).blocks())), array[rows])
    ids = np.arange(n).astype(str)
    made = Content("made", {"image": Items("image", array, ids, ids)}, None, ())
    cut = Cut.by(made, {"image": np.where(np.arange(n) % 3 == 0, "train", "query")})
    parts = {s: {m: made.items[m].take(r) for m, r in part.items()} for s, part in cut.rows.items()}
    assert cut.fingerprint() == fingerprint(parts)


def test_zero_rows_are_found_in_any_block() -> None:
    n = BLOCK_BYTES // 4096 + 50
    array = np.ones((n, 1024), np.float32)
    array[[n - 2, n - 1]] = 0
    ids = np.arange(n).astype(str)
    made = Content("made", {"image": Items("image", array, ids, ids)}, None, ())
    with pytest.raises(DataError, match=rf"row {n - 2} \(item {n - 2}\) is all zero, and so are 1 more"):
        validate_items(made, {"image": "vector"}, multilabel=False)
