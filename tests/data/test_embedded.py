"""The embedded datasets: files are the recorded ones, and what is loaded is what the files say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import cmrbench
from cmrbench.core.dataset import Dataset
from cmrbench.data import load_catalogue, load_dataset

EMBEDDED = Path(cmrbench.__file__).parent / "data" / "embedded"
ALL = ["emoji", "emoji/classic-bow", "emoji/multilingual", "openclipart", "openclipart/classic-bow", "openclipart_tags"]
SPLITS = ("train", "val", "query", "gallery")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["emoji", "openclipart"])
def test_every_embedded_file_is_the_recorded_one(name: str) -> None:
    recorded = {s.file: s.sha256 for s in load_catalogue().entry(name).sources}
    assert recorded == {p.name: sha256(p) for p in (EMBEDDED / name).iterdir()}
    card = json.loads((EMBEDDED / name / "card.json").read_text(encoding="utf-8"))["files"]
    # The card also names features_int8.parquet: the same values as the .npz, left out of the package.
    for file in card.keys() - {"features_int8.parquet"}:
        assert card[file] == {"bytes": (EMBEDDED / name / file).stat().st_size, "sha256": recorded[file]}


@pytest.mark.parametrize("name", ["emoji", "openclipart"])
def test_the_parquet_that_was_left_out_has_the_same_values(name: str, test_data: Path) -> None:
    table = pq.read_table(test_data / name / "features_int8.parquet")
    with np.load(EMBEDDED / name / "features_int8.npz", allow_pickle=False) as stored:
        for modality in ("image", "text"):
            values = table[modality].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
            assert np.array_equal(values, stored[modality])


@pytest.mark.parametrize("name", ALL)
def test_loaded_splits(name: str) -> None:
    dataset = load_dataset(name)
    assert tuple(dataset.sizes) == SPLITS
    instances: set[str] = set()
    for split in SPLITS:
        part = dataset.part(split)
        assert tuple(part) == dataset.modalities
        first = part[dataset.modalities[0]]
        for modality, items in part.items():
            assert items.features.dtype == np.float32
            assert items.features.shape == (dataset.sizes[split][modality], dataset.dims[modality])
            assert np.isfinite(items.features).all()
            assert items.features.any(1).all()
            assert (items.instances == first.instances).all()
            assert np.array_equal(items.labels, first.labels)
            assert items.labels.sum(1).min() >= 1
            with pytest.raises(ValueError, match="read-only"):
                items.features[0] = 0
        assert not instances & set(first.instances.tolist())
        instances |= set(first.instances.tolist())


def test_values_of_emoji(emoji: Dataset) -> None:
    folder = EMBEDDED / "emoji"
    pairs = pq.read_table(folder / "pairs.parquet").to_pydict()
    with np.load(folder / "features_int8.npz", allow_pickle=False) as stored:
        for split in SPLITS:
            rows = [i for i, s in enumerate(pairs["split"]) if s == split]
            for modality, items in emoji.part(split).items():
                assert items.ids.tolist() == [pairs["id"][i] for i in rows]
                assert items.labels.argmax(1).tolist() == [pairs["label"][i] for i in rows]
                expected = stored[modality][rows].astype(np.float64) * stored[f"{modality}_scale"]
                np.testing.assert_allclose(items.features, expected, rtol=1e-6)
        assert list(emoji.classes) == stored["class_names"].tolist()
    assert emoji.sizes["query"]["image"] + emoji.sizes["gallery"]["image"] == 467
    assert len(emoji.classes) == 19


def test_near_duplicates_never_cross_splits() -> None:
    for name in ("emoji", "openclipart"):
        pairs = pq.read_table(EMBEDDED / name / "pairs.parquet").to_pydict()
        home: dict[int, str] = {}
        for group, split in zip(pairs["group"], pairs["split"], strict=True):
            assert home.setdefault(group, split) == split


def test_tags_of_openclipart() -> None:
    dataset = load_dataset("openclipart_tags")
    assert len(dataset.classes) == 29
    assert sum(s["image"] for s in dataset.sizes.values()) == 2055
    assert dataset.multilabel
    pairs = pq.read_table(EMBEDDED / "openclipart" / "pairs.parquet").to_pydict()
    tags = dict(zip(pairs["id"], pairs["tags"], strict=True))
    left_out = {"aiga-symbols", "australia", "europe", "symbol"}
    for items in dataset.part(*SPLITS).values():
        for item, row in zip(items.ids.tolist(), items.labels, strict=True):
            assert {dataset.classes[k] for k in np.flatnonzero(row)} == set(tags[item].split("|")) - left_out


def test_bag_of_words() -> None:
    dataset = load_dataset("emoji/classic-bow")
    pairs = pq.read_table(EMBEDDED / "emoji" / "pairs.parquet", columns=["id", "text"]).to_pydict()
    words = {i: set(text.split()) for i, text in zip(pairs["id"], pairs["text"], strict=True)}
    with np.load(EMBEDDED / "emoji" / "features_int8.npz", allow_pickle=False) as stored:
        vocabulary = stored["bow_vocab"].tolist()
    without = 0
    for items in (dataset.part(split)["text"] for split in SPLITS):
        for item, row in zip(items.ids.tolist(), items.features, strict=True):
            present = {vocabulary[k] for k in np.flatnonzero(row[:-1])}
            assert present <= words[item]
            assert row[-1] == (not present)
            without += not present
    assert without == 477


def test_languages_are_modalities_of_their_own() -> None:
    dataset = load_dataset("emoji", "multilingual")
    assert dataset.modalities == ("image", "text_en", "text_de", "text_es", "text_ru", "text_ja")
    train = dataset.part("train")
    for modality in dataset.modalities[1:]:
        np.testing.assert_allclose(np.linalg.norm(train[modality].features, axis=1), 1, rtol=1e-5)
    assert not np.array_equal(train["text_en"].features, train["text_de"].features)
    assert sum(s["image"] for s in dataset.sizes.values()) == 1567 - 21


@pytest.mark.parametrize("name", ["emoji", "openclipart"])
def test_pictures_can_be_cut_out(name: str) -> None:
    offsets = np.load(EMBEDDED / name / "thumbs64_q50.offsets.npy", allow_pickle=False)
    pictures = (EMBEDDED / name / "thumbs64_q50.webpcat").read_bytes()
    assert offsets[0] == 0
    assert offsets[-1] == len(pictures)
    for start in offsets[:-1]:
        assert pictures[start : start + 4] == b"RIFF"
        assert pictures[start + 8 : start + 12] == b"WEBP"


def test_protocols(emoji: Dataset) -> None:
    real, hashing = emoji.protocol("all-test"), emoji.protocol("query-gallery")
    assert real.query == real.gallery == ("query", "gallery")
    assert real.outputs == ("real",)
    assert (hashing.query, hashing.gallery, hashing.outputs) == (("query",), ("gallery",), ("hash",))
