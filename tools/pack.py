"""Writes a built dataset: pairs, features, thumbnails and card, in files that depend on the values alone."""

from __future__ import annotations

import io
import json
import platform
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools import features, text
from tools.pictures import resize
from tools.sources import sha256

LIBRARIES = ("numpy", "pillow", "pyarrow", "scikit-image", "scikit-learn", "torch", "transformers", "lxml")
"""Libraries whose version can change a built file; the card records them."""

PAIRS = "pairs.parquet"
FEATURES_NPZ = "features_int8.npz"
FEATURES_PARQUET = "features_int8.parquet"
THUMBS = "thumbs64_q50.webpcat"
OFFSETS = "thumbs64_q50.offsets.npy"
CARD = "card.json"


@dataclass(frozen=True)
class Built:
    """A dataset in memory, one row an item.

    Parameters
    ----------
    name, licence
        Of the dataset, for the card.
    ids, labels, splits, groups, titles, texts
        The columns that every dataset has; labels are class names, groups are numbers.
    extra
        Further columns of ``pairs.parquet``, in order.
    pictures
        uint8 (n, side, side, 3).
    embeddings
        Sentence embeddings of the texts, float32 (n, d).
    notices
        Name of each licence notice to ship, and the file it is copied from.
    """

    name: str
    licence: str
    ids: Sequence[str]
    labels: Sequence[str]
    splits: Sequence[str]
    groups: Sequence[int]
    titles: Sequence[str]
    texts: Sequence[str]
    extra: Mapping[str, Sequence[str]]
    pictures: NDArray[np.uint8]
    embeddings: NDArray[np.float32]
    notices: Mapping[str, Path]

    @property
    def class_names(self) -> list[str]:
        """The classes in alphabetical order; a label number is a position here."""
        return sorted(set(self.labels))

    @property
    def label_numbers(self) -> NDArray[np.int16]:
        """The class of each item as a number."""
        number = {name: k for k, name in enumerate(self.class_names)}
        return np.array([number[label] for label in self.labels], dtype=np.int16)


def quantize(values: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """int8 values and a float32 scale for each column, so that ``values`` is about ``int8 * scale``.

    The error is at most half a scale, and a scale is the column's largest absolute value / 127. A column of zeros
    stays zero, with scale 1.
    """
    scale = (np.abs(values).max(axis=0) / 127).astype(np.float32)
    scale[scale == 0] = 1
    return np.round(values / scale).astype(np.int8), scale


def concatenate(blobs: Sequence[bytes]) -> tuple[bytes, NDArray[np.uint32]]:
    """All blobs one after another, and n + 1 offsets: blob i is ``bytes[offsets[i] : offsets[i + 1]]``."""
    ends = np.cumsum([len(blob) for blob in blobs], dtype=np.int64)
    return b"".join(blobs), np.append(0, ends).astype(np.uint32)


def webp_thumbnails(pictures: NDArray[np.uint8], side: int = 64, quality: int = 50) -> list[bytes]:
    """Each picture as a lossy WebP file."""
    from PIL import Image

    files = []
    for picture in pictures:
        stream = io.BytesIO()
        Image.fromarray(resize(picture, side)).save(stream, "WEBP", quality=quality, method=6)
        files.append(stream.getvalue())
    return files


def write(built: Built, folder: Path, inputs: Sequence[str]) -> None:
    """Write all files of a dataset into ``folder``.

    Parameters
    ----------
    built
        The dataset.
    folder
        Made where it does not exist; files of the same names are overwritten.
    inputs
        Sentences on inputs that are not the recorded ones; they go into the card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_pairs(built, folder)
    _write_features(built, folder)
    blob, offsets = concatenate(webp_thumbnails(built.pictures))
    (folder / THUMBS).write_bytes(blob)
    np.save(folder / OFFSETS, offsets)
    for name, source in built.notices.items():
        shutil.copyfile(source, folder / name)
    files = [PAIRS, FEATURES_NPZ, FEATURES_PARQUET, THUMBS, OFFSETS, *built.notices]
    card = make_card(built, {name: folder / name for name in sorted(files)}, inputs)
    (folder / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_pairs(built: Built, folder: Path) -> None:
    import pyarrow as pa

    columns = {
        "id": list(built.ids),
        "label": built.label_numbers,
        "split": list(built.splits),
        "group": np.array(built.groups, dtype=np.int32),
        "title": list(built.titles),
        "text": list(built.texts),
    } | {name: list(values) for name, values in built.extra.items()}
    _write_parquet(pa.table(columns), folder / PAIRS)


def _write_features(built: Built, folder: Path) -> None:
    import pyarrow as pa

    image, image_scale = quantize(features.picture_features(built.pictures))
    sentence, sentence_scale = quantize(built.embeddings)
    splits = np.array(built.splits)
    bag = text.bag_of_words(built.texts, splits == "train")
    np.savez_compressed(
        folder / FEATURES_NPZ,
        image=image,
        image_scale=image_scale,
        text=sentence,
        text_scale=sentence_scale,
        bow_indptr=bag.indptr,
        bow_indices=bag.indices,
        bow_vocab=bag.vocabulary,
        class_names=np.array(built.class_names),
        label=built.label_numbers,
        split=splits,
    )
    columns = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
        for name, values in (("image", image), ("text", sentence))
    }
    _write_parquet(pa.table(columns), folder / FEATURES_PARQUET)


def _write_parquet(table: Any, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd", compression_level=19)


def make_card(built: Built, files: Mapping[str, Path], inputs: Sequence[str]) -> dict[str, Any]:
    """What the dataset is, the SHA-256 of its files, and what it was built with."""
    return {
        "name": built.name,
        "licence": built.licence,
        "n": len(built.ids),
        "classes": dict(sorted(Counter(built.labels).items())),
        "split": dict(Counter(built.splits)),
        "groups": len(set(built.groups)),
        "image_feature": features.DESCRIPTION,
        "text_feature": text.DESCRIPTION,
        "files": {name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for name, path in files.items()},
        "built_with": {"python": platform.python_version(), **_versions()},
        "other_inputs_than_recorded": list(inputs),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
