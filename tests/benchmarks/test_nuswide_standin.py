"""The stand-in that the data benchmark builds has the official layout: every picture of it becomes an item."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import nuswide_standin
from cmrbench.data.archives import SourceTree
from cmrbench.data.builders import build
from cmrbench.data.builders.base import BuildRequest
from cmrbench.data.catalogue import load_catalogue


def test_every_picture_of_the_stand_in_is_an_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nuswide_standin, "BLOCK", 128)
    size = nuswide_standin.write(tmp_path / "standin", n=300)
    entry = load_catalogue([tmp_path / "standin" / "catalogue.yaml"]).entry("standin")
    (tmp_path / "scratch").mkdir()
    with SourceTree(tmp_path / "standin" / "sources") as tree:
        read = sum(tree.size(name) for name in tree.names())
        content = build(BuildRequest("standin", entry, entry.feature_sets["bovw-tags"], tree, tmp_path / "scratch"))
    assert read == size
    image, text = content.items["image"], content.items["text"]
    assert image.features.shape == (300, 500)
    assert text.features.shape == (300, 1001)
    assert image.features.any(1).all()
    assert 0 < text.features[:, 1000].sum() < 60
    assert 3 < text.features[:, :1000].sum(1).mean() < 9
    assert len(np.unique(image.ids)) == 300
