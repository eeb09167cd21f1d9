from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tools import pack
from tools.sources import sha256


@given(arrays(np.float32, (7, 3), elements=st.floats(-1e3, 1e3, width=32)))
def test_int8_error_is_at_most_half_a_step(values: np.ndarray) -> None:
    quantized, scale = pack.quantize(values)
    assert (quantized.dtype, scale.dtype) == (np.int8, np.float32)
    assert (np.abs(quantized * scale - values) <= scale * 0.5001).all()


def test_zero_column_stays_zero() -> None:
    quantized, scale = pack.quantize(np.array([[0, 2], [0, -4]], np.float32))
    assert quantized.tolist() == [[0, 64], [0, -127]]
    assert scale[0] == 1


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=10))
def test_blobs_are_found_by_their_offsets(blobs: list[bytes]) -> None:
    joined, offsets = pack.concatenate(blobs)
    assert offsets.dtype == np.uint32
    assert [joined[offsets[i] : offsets[i + 1]] for i in range(len(blobs))] == blobs
    assert offsets[-1] == len(joined)


@pytest.fixture
def built(tmp_path: Path) -> pack.Built:
    rng = np.random.default_rng(0)
    notice = tmp_path / "copyright"
    notice.write_text("free for all")
    return pack.Built(
        name="tiny",
        licence="none",
        ids=["a", "b", "c", "d"],
        labels=["dog", "cat", "dog", "cat"],
        splits=["train", "train", "query", "gallery"],
        groups=[0, 1, 2, 2],
        titles=["A", "B", "C", "D"],
        texts=["red fish", "red bowl", "blue fish", "red"],
        extra={"author": ["x", "y", "", "z"]},
        pictures=rng.integers(0, 256, (4, 96, 96, 3), dtype=np.uint8),
        embeddings=rng.normal(size=(4, 6)).astype(np.float32),
        notices={"NOTICE.txt": notice},
    )


def test_labels_are_positions_among_sorted_classes(built: pack.Built) -> None:
    assert built.class_names == ["cat", "dog"]
    assert built.label_numbers.tolist() == [1, 0, 1, 0]
    assert built.label_numbers.dtype == np.int16


def test_written_dataset_holds_what_was_built_and_its_card_is_true(built: pack.Built, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="thumbnails are written by Pillow (extra 'rebuild')")
    pytest.importorskip("skimage", reason="HOG and LBP are scikit-image's (extra 'rebuild')")
    import io

    import pyarrow.parquet as pq

    folder = tmp_path / "out"
    pack.write(built, folder, ["another font"])
    pairs = pq.read_table(folder / pack.PAIRS).to_pydict()
    assert pairs["id"] == built.ids
    assert pairs["label"] == [1, 0, 1, 0]
    assert pairs["group"] == built.groups
    assert list(pairs)[-1] == "author"
    with np.load(folder / pack.FEATURES_NPZ, allow_pickle=False) as arrays_:
        assert arrays_["bow_vocab"].tolist() == ["red"]
        assert np.abs(arrays_["text"] * arrays_["text_scale"] - built.embeddings).max() < 0.02
        both = pq.read_table(folder / pack.FEATURES_PARQUET)
        assert np.array_equal(np.array(both["image"].to_pylist(), np.int8), arrays_["image"])
    blob, offsets = (folder / pack.THUMBS).read_bytes(), np.load(folder / pack.OFFSETS)
    third = image.open(io.BytesIO(blob[offsets[2] : offsets[3]]))
    assert (third.format, third.size) == ("WEBP", (64, 64))
    card = json.loads((folder / pack.CARD).read_text())
    assert {name: entry["sha256"] for name, entry in card["files"].items()} == {
        path.name: sha256(path) for path in folder.iterdir() if path.name != pack.CARD
    }
    assert card["classes"] == {"cat": 2, "dog": 2}
    assert card["groups"] == 3
    assert card["other_inputs_than_recorded"] == ["another font"]


def test_same_values_give_the_same_bytes(built: pack.Built, tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="thumbnails are written by Pillow (extra 'rebuild')")
    pytest.importorskip("skimage", reason="HOG and LBP are scikit-image's (extra 'rebuild')")
    for name in ("one", "two"):
        pack.write(built, tmp_path / name, [])
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
