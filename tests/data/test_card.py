"""The card: figures of the data itself, and `cmrbench data info` that shows them."""

from __future__ import annotations

import json
from pathlib import Path

import made_data
import numpy as np
import pytest
from audit_data import CLASSES, SIZES, made
from commands import invoked

from cmrbench.cli import app
from cmrbench.cli.data.card import MOST_CLASSES, _classes
from cmrbench.core.dataset import Dataset
from cmrbench.core.names import DatasetName
from cmrbench.core.protocol import Protocol
from cmrbench.data import load_catalogue
from cmrbench.data.audit import audit_dataset
from cmrbench.data.audit.stored import save_audit
from cmrbench.data.card import ClassFigures, dataset_here, make_card
from cmrbench.metrics import evaluate_arrays


def output(*arguments: object) -> str:
    return invoked(app, *arguments).stdout


def test_figures_are_those_of_the_data() -> None:
    data = made()
    data.parts["train"]["image"]["features"][:, :10] = 0
    card = make_card(data.dataset())
    assert {s: part["text"] for s, part in card.sizes.items()} == SIZES
    image = np.concatenate([part["image"]["features"] for part in data.parts.values()])
    figures = {m.modality: m for m in card.modalities}
    norms = np.linalg.norm(image, axis=1)
    assert figures["image"].norms == pytest.approx((norms.min(), np.median(norms), norms.max()))
    assert figures["image"].zeros == pytest.approx(240 * 10 / image.size)
    assert figures["image"].shape == (40,)
    assert (figures["text"].texts, figures["image"].texts) == (True, False)
    assert [c.name for c in card.classes] == list(CLASSES)
    assert {c.total for c in card.classes} == {sum(SIZES.values()) // len(CLASSES)}
    assert card.cardinality == 1.0
    labels = {s: part["image"]["labels"] for s, part in data.parts.items()}
    engine = evaluate_arrays(np.ones((90, 1)), np.ones((150, 1)), labels["query"], labels["gallery"])
    first = card.chance[0]
    assert (first.protocol, first.queries, first.gallery_items) == ("query-gallery", 90, 150)
    assert first.value == pytest.approx(engine.values["mAP@all"])
    assert json.loads(json.dumps(card.as_json()))["audit"] is None


def test_data_without_labels_or_lengths_has_a_card() -> None:
    data = made()
    data.kinds = {"image": "raw", "text": "tokens"}
    data.protocols = (Protocol("matching", ("query",), ("query",), metrics=("R@1",), relevance="instance", folds=5),)
    for part in data.parts.values():
        part["image"]["features"] = np.empty((len(part["image"]["ids"]), 0), np.float32)
        part["text"]["features"] = np.ones((len(part["text"]["ids"]), 7), np.int32)
        for arrays in part.values():
            arrays["labels"] = None
    card = make_card(data.dataset())
    assert [m.norms for m in card.modalities] == [None, None]
    assert (card.classes, card.cardinality) == ((), None)
    assert card.chance[0].value == pytest.approx(1 / 18)  # 90 items in five folds


def test_hashes_are_those_that_are_registered(emoji: Dataset) -> None:
    records = load_catalogue().entry("emoji").splits["standard"].records
    assert records is not None
    assert make_card(emoji).hashes == {s: r.sha256 for s, r in records.items()}


def test_info_shows_the_card_and_the_stored_audit(own_cache: Path) -> None:
    dataset = dataset_here(DatasetName.parse("emoji/classic-bow"), load_catalogue())
    assert dataset is not None
    card = make_card(dataset)
    shown = " ".join(output("data", "info", "emoji/classic-bow").split())
    assert "feature set classic-bow" in shown
    assert "smiley" in shown
    assert "█" in shown
    assert f"{card.chance[0].value:.4f}" in shown
    assert "no audit is stored; make one: cmrbench data audit emoji/classic-bow" in shown
    audit = audit_dataset(dataset)
    save_audit(audit)
    found = json.loads(output("data", "info", "emoji/classic-bow", "--json"))
    assert found["name"] == "emoji"
    assert found["card"]["fingerprint"] == dataset.fingerprint
    assert found["card"]["audit"] == json.loads(json.dumps(audit.as_json()))
    assert "problem: indistinct_rows, text: 63.2 %" in output("data", "info", "emoji/classic-bow")


def test_info_without_data_says_so() -> None:
    found = json.loads(output("data", "info", "nuswide10k", "--json"))
    assert found["card"] is None
    assert "is not on this machine" in found["card_problem"]
    assert found["bibtex"].startswith("@inproceedings{")
    assert "no figures: " in output("data", "info", "nuswide10k")


def test_info_prepares_no_large_data_and_shows_damage(tmp_path: Path, own_cache: Path) -> None:
    made_data.save(tmp_path / "mine", made_data.arrays())
    catalogue = made_data.write_catalogue(tmp_path / "datasets.yaml", {"mine": made_data.entry(folder="./mine")})
    call = ("data", "info", "mine", "--datasets-file", catalogue, "--json")
    assert json.loads(output(*call))["card"] is None
    assert not (own_cache / "prepared").exists()
    output("data", "audit", "mine", "--datasets-file", catalogue)
    assert json.loads(output(*call))["card"]["sizes"]["train"] == {"image": 24, "text": 24}
    (labels,) = own_cache.glob("prepared/mine/*/query.image.labels.npy")
    labels.write_bytes(b"")
    found = json.loads(output(*call))
    assert found["card"] is None
    assert "is damaged" in found["card_problem"]
    assert found["title"] == "Mine"


def test_many_classes_are_shown_from_both_ends() -> None:
    classes = tuple(ClassFigures(f"c{k}", {"train": k, "query": 1}) for k in range(100))
    table = _classes(classes)
    assert table.row_count == MOST_CLASSES + 1
    names = list(table.columns[0].cells)
    assert (names[0], names[-1]) == ("c99", "c0")
    assert "(60 more)" in names
