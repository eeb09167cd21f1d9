"""docs/data.md is true: its dataset can be registered, built and measured, its tables name every key."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from cmrbench.core.citation import KINDS, Citation
from cmrbench.core.errors import DataError
from cmrbench.data import load_catalogue, load_dataset
from cmrbench.data.builders.mapped import Options
from cmrbench.data.catalogue.schema import (
    Entry,
    FeatureSet,
    Labels,
    ModalityFeatures,
    NamedSplit,
    ProtocolFields,
    Source,
    SplitRecord,
)

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


@pytest.fixture
def registered(own_cache: Path, tmp_path: Path) -> Path:
    """The YAML file of the page, and beside it a file of the arrays that it names: 12 classes of 50 instances."""
    path = tmp_path / "mine.yaml"
    path.write_text(PAGE[PAGE.index("    datasets:\n") :].split("\n\n")[0], encoding="utf-8")
    rng, y = np.random.default_rng(0), np.repeat(np.arange(12), 50)
    arrays = {name: rng.normal(size=(600, 512)).astype(np.float32) for name in ("S", "P")}
    (tmp_path / "sketches").mkdir()
    np.savez(tmp_path / "sketches" / "clip.npz", y=y, **arrays)
    return path


def test_the_dataset_of_the_page_is_built(registered: Path) -> None:
    catalogue = load_catalogue([registered])
    assert "Jane Doe" in catalogue.entry("sketches").cited
    dataset = load_dataset("sketch", catalogue=catalogue)
    assert (dataset.name, dataset.feature_set) == ("sketches", "clip")
    sizes = {split: counts["photo"] for split, counts in dataset.sizes.items()}
    assert sizes == {"train": 324, "val": 36, "query": 60, "gallery": 180}  # val: a tenth of the 360 for training
    assert dataset.part("query")["sketch"].labels.sum(axis=0).tolist() == [5] * 12
    assert [p.name for p in dataset.protocols] == ["query-gallery"]


def test_a_key_that_the_page_does_not_have_is_refused(registered: Path) -> None:
    registered.write_text(f"{registered.read_text(encoding='utf-8')}\n        reader: npz", encoding="utf-8")
    with pytest.raises(DataError, match="unknown key 'reader'; allowed: title, "):
        load_catalogue([registered])


def table(heading: str) -> list[tuple[set[str], set[str]]]:
    """The code in the first and in the second cells of the table with that head."""
    rows = re.findall(r"^\| (.+?) \| (.*) \|$", PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0], re.MULTILINE)
    return [(set(re.findall(r"`([^`]+)`", a)), set(re.findall(r"`([^`]+)`", b))) for a, b in rows]


def keys(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize(
    ("heading", "wanted", "inner"),
    [
        ("key of a dataset", keys(Entry), keys(Labels) | keys(Options) | {f.name for f in fields(Citation)} | {*KINDS}),
        ("key of a source", keys(Source), set()),
        ("key of a feature set", keys(FeatureSet), keys(ModalityFeatures)),
        ("key of a split", keys(NamedSplit), keys(SplitRecord)),
        ("key of a protocol", keys(ProtocolFields), set()),
    ],
)
def test_every_key_is_explained(heading: str, wanted: set[str], inner: set[str]) -> None:
    first, second = (set().union(*cells) for cells in zip(*table(heading), strict=True))
    assert first == wanted
    assert inner <= {word.partition(":")[0] for word in second}


def test_the_python_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMRBENCH_DATA", str(tmp_path))
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    names: dict = {}
    exec(code, names)
    assert names["dataset"].name == "emoji+train=0.5"
    assert len(names["dataset"].texts("train", "text")) == len(names["dataset"].part("train")["text"].ids)
