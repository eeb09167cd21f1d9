"""A stand-in for the NUS-WIDE archives: the official layout and size, made-up content."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cmrbench.data.builders._nuswide_files import N_TAGS
from cmrbench.data.builders.nuswide import CONCEPTS_81, PICTURES

BLOCK = 4096
WORDS = 500
TAGS_A_PICTURE = 1_559_464 / PICTURES  # of AllTags1k.txt
UNTAGGED = 5_413 / 195_834

CATALOGUE = """
datasets:
  standin:
    title: Stand-in for NUS-WIDE
    summary: Made-up content in the official layout.
    licence: none
    citation: none
    folder: ./sources
    builder: nuswide
    options: {concepts: 81, untagged: mark}
    labels: {classes: 81, multilabel: true}
    sources: [{file: Groundtruth.zip}, {file: NUS_WID_Tags.zip}, {file: ImageList.zip}, {file: BoW_int.dat}]
    feature_sets:
      bovw-tags:
        default: true
        modalities:
          image: {dims: 500, extractor: counts of visual words}
          text: {dims: 1001, extractor: tags}
    splits:
      drawn: {scheme: {kind: draw, query: 2100, train: 10500, gallery: rest}}
    protocols:
      - {name: query-gallery, query: [query], gallery: [gallery]}
"""


def write(folder: Path, n: int = PICTURES, seed: int = 0) -> int:
    """Write catalogue.yaml and the sources of n pictures; every one has a concept, so that every one is an item.

    Returns
    -------
    int
        Bytes of the files that a build reads, unpacked.
    """
    rng = np.random.default_rng(seed)
    sources = folder / "sources"
    sources.mkdir(parents=True)
    (folder / "catalogue.yaml").write_text(CATALOGUE, encoding="utf-8")
    total = 0
    with zipfile.ZipFile(sources / "Groundtruth.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        labels = rng.random((n, len(CONCEPTS_81)), dtype=np.float32) < 0.02
        labels[np.arange(n), rng.integers(0, len(CONCEPTS_81), n)] = True
        for concept, column in zip(CONCEPTS_81, labels.T, strict=True):
            lines = np.full((n, 2), ord("\n"), np.uint8)
            lines[:, 0] = column + ord("0")
            total += _add(archive, f"AllLabels/Labels_{concept}.txt", iter([lines.tobytes()]))
    with zipfile.ZipFile(sources / "NUS_WID_Tags.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        total += _add(archive, "AllTags1k.txt", _tags(rng, n))
        total += _add(archive, "TagList1k.txt", iter(["".join(f"tag{k}\r\n" for k in range(N_TAGS)).encode()]))
    with zipfile.ZipFile(sources / "ImageList.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        photos = rng.permutation(3 * 10**6)[:n].tolist()
        lines = "".join(f"folder{i % 704}\\{i // 704:04d}_{photo}.jpg\r\n" for i, photo in enumerate(photos))
        total += _add(archive, "ImageList/Imagelist.txt", iter([lines.encode()]))
    with open(sources / "BoW_int.dat", "wb") as file:
        for block in _words(rng, n):
            total += file.write(block)
    return total


def _add(archive: zipfile.ZipFile, name: str, blocks: Iterator[bytes]) -> int:
    with archive.open(name, "w", force_zip64=True) as member:
        return sum(member.write(block) for block in blocks)


def _tags(rng: np.random.Generator, n: int) -> Iterator[bytes]:
    for start in range(0, n, BLOCK):
        rows = min(BLOCK, n - start)
        lines = np.tile(np.frombuffer(b"0\t" * N_TAGS + b"\r\n", np.uint8), (rows, 1))
        counts = rng.poisson(TAGS_A_PICTURE, rows) + 1
        counts[rng.random(rows) < UNTAGGED] = 0
        lines[np.repeat(np.arange(rows), counts), 2 * rng.integers(0, N_TAGS, counts.sum())] = ord("1")
        yield lines.tobytes()


def _words(rng: np.random.Generator, n: int) -> Iterator[bytes]:
    """Counts up to three digits; one blank behind each, also the last."""
    texts = np.array([list(f"{k} ".ljust(4, "\0").encode()) for k in range(1000)], np.uint8)
    for start in range(0, n, BLOCK):
        rows = min(BLOCK, n - start)
        counts = np.minimum(rng.standard_exponential((rows, WORDS), np.float32) ** 3, 999).astype(np.int64)
        counts[:, 0] += counts.sum(1) == 0
        lines = np.zeros((rows, 4 * WORDS + 1), np.uint8)
        lines[:, :-1] = texts[counts].reshape(rows, -1)
        lines[:, -1] = ord("\n")
        yield lines[lines != 0].tobytes()
