"""What is typed at a cache of its own, and the sound files that a test breaks one way at a time.

Bad input goes in from end to end: what is typed, one clear sentence, exit code 2, and nothing that is taken for a
dataset. One test a thing that can be wrong. The rooms' own tests go further into each; these go through the command
line, and look at what is left in the cache.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import made_data
import numpy as np
import pytest

from cmrbench import cli
from cmrbench.core.errors import DatasetMissingError, UnknownNameError
from cmrbench.data import load_dataset

SOUND = made_data.arrays()
TRAIN = made_data.SIZES["train"]
N = len(SOUND["ids"])
SPLIT = {"kind": "draw", "query": 12, "train": "rest", "val": 6}
OWN = {
    "title": "Own",
    "summary": "Takes features.",
    "licence": "none",
    "citation": "none",
    "labels": {"multilabel": True},
    "protocols": [{"name": "test", "query": ["query"], "gallery": ["query"]}],
    "splits": {"drawn": {"default": True, "scheme": SPLIT}},
}
SHOTS = {
    "title": "Shots",
    "summary": "Pictures with sentences.",
    "licence": "none",
    "citation": "none",
    "builder": "captioned",
    "options": {"layout": "flickr"},
    "sources": [{"file": "shots.zip"}],
    "feature_sets": {
        "raw": {"default": True, "modalities": {m: {"kind": "raw", "extractor": "none"} for m in ("image", "text")}}
    },
    "protocols": [{"name": "matching", "query": ["query"], "gallery": ["query"], "relevance": "instance"}],
}
FETCH = ("data", "fetch", "mine", "--accept-licence")


class Shell:
    """Types commands at a cache of its own, where ``mine`` is fetched or imported, ``own`` takes features of users."""

    def __init__(self, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = cache.parent
        self.cache = cache
        self.capsys = capsys
        self.monkeypatch = monkeypatch
        monkeypatch.setenv("CMRBENCH_DATASETS", str(self.folder / "datasets.yaml"))
        self.register()

    def register(self, **source: Any) -> None:
        """Write the catalogue; `source` are keys of the file of ``mine``."""
        mine = made_data.entry(folder=None, sources=[{"file": "data.npz"} | source])
        datasets = {"mine": mine, "own": OWN, "shots": SHOTS}
        made_data.write_catalogue(self.folder / "datasets.yaml", datasets)

    def __call__(self, *arguments: Any) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self.capsys.readouterr()
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["cmrbench", *map(str, arguments)])
            code = 0
            try:
                cli.main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        return code, *self.capsys.readouterr()

    def refuses(self, *arguments: Any) -> str:
        """The one sentence that is all that a refused command says on standard error but for notes."""
        code, _, said = self(*arguments)
        lines = said.splitlines()
        assert code == 2, said
        assert [line.startswith("error: ") for line in lines] == [False] * (len(lines) - 1) + [True], said
        assert all(line.startswith(("note: ", "warning: ")) for line in lines[:-1])
        assert lines[-1].isprintable()
        return lines[-1]

    def accepts(self, *arguments: Any) -> str:
        code, out, said = self(*arguments)
        assert code == 0, said
        return out

    def has_nothing_of(self, name: str) -> None:
        """Fail if anything takes what lies in the cache for the dataset, or for a part of it."""
        listed = json.loads(self.accepts("data", "list", "--json"))
        assert next(d for d in listed if d["name"] == name)["state"] == "missing"
        with pytest.raises(DatasetMissingError):
            load_dataset(name)
        for feature_set in ("imported", "plain"):
            with pytest.raises((UnknownNameError, DatasetMissingError)):
                load_dataset(name, feature_set)
        left = [p for kind in ("features", "prepared", "splits") for p in self.cache.glob(f"{kind}/{name}/[!.]*")]
        assert left == []
        assert not (self.cache / "sources" / name / "import.json").exists()


def sound(folder: Path) -> Path:
    """A folder with a sound data.npz."""
    return made_data.save(folder, SOUND)


def content() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **SOUND)
    return stream.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def shots(folder: Path) -> Path:
    """A folder with shots.zip, of eight pictures with a sentence each."""
    from PIL import Image

    names = [f"{k}.jpg" for k in range(8)]
    lists = {"train": names[:4], "dev": names[4:5], "test": names[5:]}
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "shots.zip", "w", zipfile.ZIP_DEFLATED) as packing:
        packing.writestr("Flickr8k.token.txt", "".join(f"{n}#0\tpicture of a {n[0]} and more\n" for n in names))
        for part, listed in lists.items():
            packing.writestr(f"Flickr_8k.{part}Images.txt", "".join(f"{n}\n" for n in listed))
        for k, name in enumerate(names):
            stream = io.BytesIO()
            Image.fromarray(np.random.default_rng(k).integers(0, 256, (8, 8, 3), np.uint8)).save(stream, "JPEG")
            packing.writestr(f"pictures/{name}", stream.getvalue())
    return folder
