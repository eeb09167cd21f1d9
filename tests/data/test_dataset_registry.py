"""The registry: every name of the papers resolves, every entry can be built and cited, and no address is a mirror."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from cmrbench.core.citation import Citation, bibliography
from cmrbench.core.items import Items
from cmrbench.data import builders, load_catalogue
from cmrbench.data.catalogue import Entry
from cmrbench.data.sources import find_variant
from cmrbench.data.splits.schemes import assign
from cmrbench.metrics import Metric

CATALOGUE = load_catalogue()
NAMES = CATALOGUE.names()

REQUIRED = [
    "wiki",
    "pascal",
    "nuswide",
    "nuswide-tc10",
    "nuswide-81",
    "nuswide10k",
    "mirflickr",
    "mirflickr-24581",
    "mscoco",
    "iaprtc12",
    "xmedia",
    "xmedianet",
    "inria_websearch",
    "flickr30k",
    "coco5k",
    "flickr8k",
    "labelme",
    "caltech256",
    "cub",
    "recipe1m",
    "vatex",
    "msrvtt",
    "clotho",
    "audiocaps",
    "emoji",
    "openclipart",
    "openclipart_tags",
    "synthetic",
]

IN_PAPERS = {
    "wiki": ["Wikipedia"],
    "pascal": ["Pascal-Sentence", "Pascal Sentence"],
    "inria_websearch": ["INRIA-Websearch", "Websearch"],
    "mirflickr": ["MIR Flickr", "MIRFlickr"],
    "flickr8k": ["Flickr-8K"],
    "flickr30k": ["Flickr-30K"],
    "mscoco": ["MS COCO", "MS-COCO", "MSCOCO"],
    "coco5k": ["MS COCO-5K"],
    "nuswide": ["NUS-WIDE"],
    "nuswide10k": ["NUS-WIDE-10K", "NUS-WIDE"],
    "iaprtc12": ["IAPR TC-12"],
    "xmedia": ["Xmedia", "XMedia"],
    "xmedianet": ["XmediaNet", "XMediaNet", "Xmedia"],
    "recipe1m": ["Recipe1M"],
    "cub": ["CUB 200-2011"],
    "caltech256": ["Caltech-256"],
    "labelme": ["LabelMe"],
    "msrvtt": ["MSR-VTT"],
    "vatex": ["Vatex"],
    "clotho": ["Clotho"],
    "audiocaps": ["AudioCaps"],
}
"""Names in the tables of the survey, of LCM and of DRCL, and what they mean there."""

TYPED = {
    "nus": "nuswide10k",
    "coco": "mscoco",
    "iapr": "iaprtc12",
    "mir": "mirflickr",
    "wikipedia": "wiki",
    "nus-wide": "nuswide",
    "NUS-WIDE": "nuswide",
    "nuswide21": "nuswide",
    "coco1k": "coco5k",
    "iapr-tc12": "iaprtc12",
    "ms-coco": "mscoco",
    "Emoji": "emoji",
}

HOMES = (
    "cocodataset.org", "cs.stanford.edu", "data.caltech.edu", "eric-xw.github.io", "lms.comp.nus.edu.sg",
    "press.liacs.nl", "www-i6.informatik.rwth-aachen.de", "www.svcl.ucsd.edu",
    "zenodo.org", "github.com/ArrowLuo/CLIP4Clip/releases", "raw.githubusercontent.com/cdjkim/audiocaps",
    "www.robots.ox.ac.uk/~maxbain",
)  # fmt: skip
"""Who gives the files: makers, their archives, and the makers of packages that the field uses."""


def entries() -> list[Entry]:
    return [CATALOGUE.entry(name) for name in NAMES]


def test_everything_that_the_tables_use_is_registered() -> None:
    assert set(REQUIRED) <= set(NAMES)
    for name, printed in IN_PAPERS.items():
        assert set(printed) <= set(CATALOGUE.entry(name).names), name


def test_what_people_type_resolves() -> None:
    assert {typed: CATALOGUE.resolve(typed) for typed in TYPED} == TYPED
    for name in NAMES:
        for printed in CATALOGUE.entry(name).names:
            typed = printed.lower()
            if " " not in typed and typed not in ("nus-wide", "xmedia"):
                assert CATALOGUE.resolve(typed) == name, printed


def test_names_that_mean_two_things_are_explained() -> None:
    assert "10-class" in CATALOGUE.note("nus")
    assert "nuswide10k" in CATALOGUE.note("nus-wide")
    assert not CATALOGUE.note("wikipedia")
    for name in ("xmedia", "xmedianet"):
        assert "Table VI" in " ".join(CATALOGUE.entry(name).problems)


def test_names_and_aliases_are_unique() -> None:
    counted = Counter([*NAMES, *(alias for entry in entries() for alias in entry.aliases)])
    assert [name for name, count in counted.items() if count > 1] == []


@pytest.mark.parametrize("name", NAMES)
def test_entries_are_complete(name: str) -> None:
    entry = CATALOGUE.entry(name)
    assert isinstance(entry.citation, Citation)
    assert entry.citation.doi or entry.citation.url or entry.citation.key == "cmrbench"
    assert entry.citation.bibtex().startswith(f"@{entry.citation.kind}{{{entry.citation.key},")
    assert entry.names
    assert min(len(entry.licence), len(entry.cited), len(entry.summary)) > 15
    assert entry.homepage.startswith("http") or name == "synthetic"
    assert all(len(text) > 15 and text.endswith((".", ")")) for text in entry.problems)
    for split in entry.splits.values():
        assert split.summary or name == "synthetic"
    for fields in entry.protocols:
        protocol = fields.protocol()
        assert [str(Metric.parse(m)) for m in protocol.metrics] == list(protocol.metrics)


def test_all_datasets_can_be_cited_at_once() -> None:
    text = bibliography(entry.citation for entry in entries() if isinstance(entry.citation, Citation))
    assert text.count("@") == len({entry.citation.key for entry in entries()})


@pytest.mark.parametrize("name", NAMES)
def test_builders_take_the_options(name: str) -> None:
    entry = CATALOGUE.entry(name)
    for feature_set in entry.feature_sets.values():
        used = feature_set.builder or entry.builder
        if used == "synthetic":
            continue
        of_entry = {} if feature_set.builder else entry.options
        builders.builder(used).Options.model_validate({**of_entry, **(feature_set.options or {})})
        assert entry.variants(feature_set), "the feature set names variants that no source has"
    if not entry.feature_sets:
        assert "import" in entry.obtain


@pytest.mark.parametrize("name", NAMES)
def test_every_split_has_a_protocol_for_every_kind_of_output(name: str) -> None:
    entry = CATALOGUE.entry(name)
    for split in entry.splits:
        fitting = [p for p in entry.protocols if not p.splits or split in p.splits]
        assert fitting, split
        outputs = {output for p in fitting for output in p.outputs}
        assert outputs == {"real", "hash"} or entry.labels is None, split
        scheme = entry.splits[split].scheme
        if scheme.kind in ("draw", "order"):  # what they make is known from here
            made = {"query", "train", *(["val"] if scheme.val else []), *(["gallery"] if scheme.gallery else [])}
            assert all({*p.query, *p.gallery} <= made for p in fitting), split


@pytest.mark.parametrize("name", NAMES)
def test_sources_come_from_their_homes_or_from_a_person(name: str) -> None:
    entry = CATALOGUE.entry(name)
    for source in entry.sources:
        for url in source.url:
            parts = urlsplit(url)
            assert parts.scheme in ("http", "https")
            assert any(f"{parts.netloc}{parts.path}".removeprefix("images.").startswith(home) for home in HOMES), url
            assert parts.path.endswith(source.file)
        assert not source.url or source.origin, f"{source.file}: who says so?"
        assert source.bytes is None or source.url
    by_hand = [s for s in entry.sources if not (s.url or s.attachment)]
    assert not by_hand or entry.obtain or entry.folder, "nothing says how to get what no program can fetch"


def test_classes_are_as_many_as_their_names() -> None:
    for entry in entries():
        if entry.labels and entry.labels.names:
            assert len(entry.labels.names) == entry.labels.classes
            assert len(set(entry.labels.names)) == entry.labels.classes


def stand_in(
    n: int, classes: int, prefix: str = "x", modalities: tuple[str, ...] = ("image", "text")
) -> dict[str, Items]:
    """Items of a dataset's size; the classes are unequal and overlap where `classes` does not divide n."""
    rng = np.random.default_rng(0)
    labels = np.zeros((n, classes), np.uint8)
    labels[np.arange(n), np.arange(n) % classes] = 1
    if n % classes:
        labels |= rng.random((n, classes)) < np.linspace(0.4, 0.02, classes)
    ids = np.array([f"{prefix}{k}" for k in range(n)])
    return {m: Items(m, np.empty((n, 0), np.float32), ids, ids, labels) for m in modalities}


PROMISED = {
    "pascal:lcm": (1000, 20, 200, 720, 80, 0),
    "nuswide10k:drcl": (10_000, 10, 1000, 8000, 1000, 0),
    "nuswide10k:lcm": (10_000, 10, 2000, 7200, 800, 0),
    "mirflickr:dcmh": (20_015, 24, 2000, 9500, 500, 8015),
    "mirflickr:djsrh": (20_015, 24, 2000, 4750, 250, 13_015),
    "mirflickr:bmc-sdnu": (20_015, 24, 2243, 4750, 250, 12_772),
    "mirflickr:batch": (20_015, 24, 2000, 17_515, 500, 0),
    "mirflickr:ucch": (20_015, 24, 2000, 17_515, 500, 0),
    "mirflickr:lcm": (20_015, 24, 2000, 16_656, 1359, 0),
    "mirflickr-24581:dchmt": (24_581, 24, 5000, 9500, 500, 9581),
    "nuswide:dcmh": (195_834, 21, 2100, 10_000, 500, 183_234),
    "nuswide:bmc-sdnu": (195_834, 21, 2085, 20_500, 500, 172_749),
    "nuswide-tc10:djsrh": (186_577, 10, 2000, 4500, 500, 179_577),
    "nuswide-tc10:batch": (186_577, 10, 2000, 9500, 500, 174_577),
    "mscoco:ssah": (122_218, 80, 5000, 9500, 500, 107_218),
    "mscoco:lcm": (122_218, 80, 2000, 118_718, 1500, 0),
    "iaprtc12:dcmh": (19_999, 255, 2000, 9500, 500, 7999),
    "wiki:lcm": (2866, 10, 462, 1942, 215, 0),
    "xmedianet:lcm": (40_000, 200, 4000, 28_800, 3200, 0),
}
"""Items, classes, and the queries, training, validation and gallery items that the split's summary promises."""


@pytest.mark.parametrize("name", PROMISED)
def test_draws_give_the_promised_sizes(name: str) -> None:
    dataset, _, split = name.partition(":")
    n, classes, *sizes = PROMISED[name]
    items = stand_in(n, classes)
    if dataset == "xmedianet":  # media without partners are drawn by the same shares
        items |= stand_in(10_000, classes, "a", ("audio",))
    made = assign(CATALOGUE.entry(dataset).splits[split].scheme, items)
    assert [int((made["image"] == part).sum()) for part in ("query", "train", "val", "gallery")] == sizes
    if dataset == "xmedianet":
        assert (made["audio"] == "query").sum() == 1000


def test_class_names_are_those_of_the_builders() -> None:
    from cmrbench.data.builders import nuswide, pascal_sentence

    known = {
        "nuswide": nuswide.CONCEPTS_21,
        "nuswide-tc10": nuswide.CONCEPTS_10,
        "nuswide10k": nuswide.CONCEPTS_10K,
        "pascal": pascal_sentence.CLASSES,
    }
    for name, classes in known.items():
        labels = CATALOGUE.entry(name).labels
        assert labels is not None
        assert tuple(labels.names or ()) == tuple(classes)


def test_a_feature_set_is_here_only_with_its_own_files(tmp_path: Path) -> None:
    entry = CATALOGUE.entry("mirflickr")
    for name in ("mirflickr25k.zip", "mirflickr25k_annotations_v080.zip"):
        (tmp_path / name).touch()
    here = [name for name, fs in entry.feature_sets.items() if find_variant(entry, tmp_path, fs) is not None]
    assert here == ["raw-tags", "raw"]
    (tmp_path / "features_edgehistogram.zip").touch()
    assert find_variant(entry, tmp_path, entry.feature_sets["edge-tags"]) == "with-edges"
