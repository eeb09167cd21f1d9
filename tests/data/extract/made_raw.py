"""A small dataset of pictures with sentences and without features, to be described."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

LISTS = {"train": "Flickr_8k.trainImages.txt", "val": "Flickr_8k.devImages.txt", "query": "Flickr_8k.testImages.txt"}
WORDS = ["red", "green", "blue", "dog", "cat", "house", "tree", "river", "stone", "cloud"]
PICTURES = {"train": 12, "val": 3, "query": 5}
CAPTIONS = 5
TEXTS = {s: n * CAPTIONS for s, n in PICTURES.items()}


def encoded(picture: Any, form: str = "PNG", **options: Any) -> bytes:
    """A picture's file."""
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def photograph(seed: int, size: tuple[int, int] = (40, 30)) -> bytes:
    """Patches of colour."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    return encoded(Image.fromarray(small).resize(size, Image.Resampling.NEAREST))


def names(split: str) -> list[str]:
    """The pictures of a split; their numbers mix the splits."""
    first = sum(n for s, n in PICTURES.items() if list(PICTURES).index(s) < list(PICTURES).index(split))
    return [f"{(7 * k) % 20:02d}_{split}.jpg" for k in range(first, first + PICTURES[split])]


def sentence(name: str, k: int) -> str:
    """One of a picture's sentences."""
    rng = np.random.default_rng([int(name[:2]), k])
    return " ".join(rng.choice(WORDS, 6).tolist())


class Raw:
    """The files of the dataset ``shots``: five sentences a picture, relevance by instance.

    Parameters
    ----------
    folder : Path
    pack : str
        How the pictures come: ``zip`` or ``tgz``.
    """

    def __init__(self, folder: Path, pack: str = "zip") -> None:
        self.folder = folder
        self.pack = pack
        folder.mkdir(parents=True)
        self.pictures = {n: photograph(i) for i, n in enumerate(m for s in LISTS for m in names(s))}
        self.told = {(n, k): sentence(n, k) for n in self.pictures for k in range(CAPTIONS)}
        self.write()

    def write(self) -> None:
        """Put the files into the folder."""
        lines = [f"{n}#{k}\t{text}\n" for (n, k), text in self.told.items()]
        (self.folder / "Flickr8k.token.txt").write_text("".join(lines), encoding="utf-8")
        for split, file in LISTS.items():
            (self.folder / file).write_text("".join(f"{n}\n" for n in names(split)), encoding="utf-8")
        archive = self.folder / f"pictures.{self.pack}"
        if self.pack == "zip":
            with zipfile.ZipFile(archive, "w") as packing:
                for name, content in self.pictures.items():
                    packing.writestr(f"shots/{name}", content)
        else:
            with tarfile.open(archive, "w:gz") as packed:
                for name, content in self.pictures.items():
                    member = tarfile.TarInfo(f"shots/{name}")
                    member.size = len(content)
                    packed.addfile(member, io.BytesIO(content))

    def entry(self, **changes: Any) -> dict[str, Any]:
        """The dataset in a datasets.yaml."""
        raw = {"kind": "raw", "extractor": "none"}
        return {
            "title": "Shots",
            "summary": "Made for a test.",
            "licence": "none",
            "citation": "none",
            "builder": "captioned",
            "options": {"layout": "flickr"},
            "folder": ".",
            "sources": [
                {"file": "Flickr8k.token.txt"},
                *({"file": f} for f in LISTS.values()),
                {"file": f"pictures.{self.pack}", "attachment": True},
            ],
            "feature_sets": {"raw": {"default": True, "modalities": {"image": raw, "text": raw}}},
            "splits": {
                "official": {"default": True, "scheme": {"kind": "source"}},
                "other": {"scheme": {"kind": "draw", "query": 4, "train": 12, "gallery": "rest"}},
            },
            "protocols": [
                {"name": "matching", "query": ["query"], "gallery": ["query"], "relevance": "instance",
                 "splits": ["official"]},
                {"name": "drawn", "query": ["query"], "gallery": ["query"], "relevance": "instance",
                 "splits": ["other"]},
            ],
        } | changes  # fmt: skip

    def register(self, monkeypatch: Any, **changes: Any) -> None:
        """Make the dataset known to every command."""
        file = self.folder / "shots.yaml"
        file.write_text(yaml.safe_dump({"datasets": {"shots": self.entry(**changes)}}), encoding="utf-8")
        monkeypatch.setenv("CMRBENCH_DATASETS", str(file))
