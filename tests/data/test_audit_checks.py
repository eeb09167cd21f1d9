"""Every check finds the fault that was planted for it, and nothing in data without faults."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from audit_data import CLASSES, Made, made

from cmrbench.core.protocol import Protocol
from cmrbench.data.audit.checks import CHECKS

FIGURES = {
    "one_modality_accuracy",
    "own_pair_in_gallery",
    "label_density",
    "class_imbalance",
    "stable_order_gain",
    "chance_level",
    "row_norms",
    "sparsity",
}
"""Checks that always have something to say."""


def test_nothing_is_found_in_sound_data() -> None:
    audit = made().audit()
    assert {f.check for f in audit.findings} == FIGURES
    assert {f.severity for f in audit.findings} == {"note"}
    assert audit.unchecked == ()
    assert audit.checks == tuple(c.__name__ for c in CHECKS)


def copy_rows(data: Made, a: str, b: str, count: int, modalities: tuple[str, ...] = ("image",), by: float = 0) -> None:
    rng = np.random.default_rng(5)
    for m in modalities:
        rows = data.parts[b][m]["features"][:count].copy()
        data.parts[a][m]["features"][:count] = rows + by * rng.standard_normal(rows.shape)


def copy_texts(data: Made, a: str, b: str, count: int) -> None:
    data.texts[a][:count] = [f"  {t.upper()}. " for t in data.texts[b][:count]]


def share_instances(data: Made, a: str, b: str, count: int) -> None:
    for m in ("image", "text"):
        data.parts[a][m]["instances"][:count] = data.parts[b][m]["instances"][:count]


def same_ids(data: Made, a: str, b: str) -> None:
    data.parts[a]["text"]["ids"][0] = data.parts[b]["text"]["ids"][-1]


def name_classes(data: Made, share: float, shown: bool = True) -> None:
    for split, texts in data.texts.items():
        labels = data.parts[split]["text"]["labels"].argmax(1)
        plural = {"city": "Cities"}
        for k in range(int(share * len(texts))):
            name = CLASSES[labels[k] if shown else (labels[k] + 1) % len(CLASSES)]
            texts[k] += f", {plural.get(name, name)}!"


def empty(data: Made, count: int) -> None:
    data.texts["gallery"][:count] = [" - "] * count


def sort_classes(data: Made) -> None:
    for part in data.parts.values():
        order = np.argsort(part["image"]["labels"].argmax(1), kind="stable")
        for arrays in part.values():
            for key in arrays:
                arrays[key] = arrays[key][order]


def contradict(data: Made) -> None:
    train = data.parts["train"]["image"]
    other = np.flatnonzero(train["labels"].argmax(1) != train["labels"][0].argmax())[0]
    train["features"][other] = train["features"][0]


def same_row(data: Made, count: int) -> None:
    data.parts["train"]["image"]["features"][:count] = data.parts["train"]["image"]["features"][0]


def say_it_all(data: Made) -> None:
    for part in data.parts.values():
        part["text"]["features"][:, : len(CLASSES)] += 50 * part["text"]["labels"]


def seen_gallery(data: Made) -> None:
    data.protocols = (Protocol("seen", ("query",), ("gallery", "train")),)


def nothing_relevant(data: Made) -> None:
    for m in ("image", "text"):
        labels = data.parts["gallery"][m]["labels"]
        labels[labels[:, 0] == 1] = np.eye(len(CLASSES), dtype=np.uint8)[1]
    data.protocols = data.protocols[:1]


def lose_class(data: Made, split: str) -> None:
    for m in ("image", "text"):
        labels = data.parts[split][m]["labels"]
        labels[labels[:, 3] == 1] = np.eye(len(CLASSES), dtype=np.uint8)[4]


def unlabel(data: Made) -> None:
    for m in ("image", "text"):
        data.parts["gallery"][m]["labels"][7] = 0


def disagree(data: Made) -> None:
    data.parts["val"]["text"]["labels"][3] = np.roll(data.parts["val"]["text"]["labels"][3], 1)


def spoil(data: Made, value: float) -> None:
    data.parts["query"]["image"]["features"][4] = value


def constant(data: Made, splits: tuple[str, ...]) -> None:
    for split in splits:
        data.parts[split]["image"]["features"][:, 2] = 3


def lengthen(data: Made) -> None:
    data.parts["gallery"]["text"]["features"] *= 2


def unpair(data: Made) -> None:
    data.parts["train"]["text"]["instances"][:5] = [f"other-{k}" for k in range(5)]


def captions(data: Made) -> None:
    """Five texts a picture."""
    for split, part in data.parts.items():
        part["text"] = {k: np.repeat(v, 5, axis=0) for k, v in part["text"].items()}
        part["text"]["ids"] = np.array([f"{i}-{k}" for k, i in enumerate(part["text"]["ids"])])
        rng = np.random.default_rng(1)
        part["text"]["features"] += rng.standard_normal(part["text"]["features"].shape).astype(np.float32)
        data.texts[split] = [f"{t} {n}" for n, t in enumerate(np.repeat(data.texts[split], 5))]


CASES: list[tuple[str, str, str, Callable[[Made], None]]] = [
    ("equal_rows", "leak", "image: query in train", lambda d: copy_rows(d, "query", "train", 6)),
    ("equal_rows", "problem", "image: query in train", lambda d: copy_rows(d, "query", "train", 1)),
    ("equal_rows", "problem", "image: query in gallery", lambda d: copy_rows(d, "query", "gallery", 6)),
    ("equal_rows", "problem", "image: val in train", lambda d: copy_rows(d, "val", "train", 6)),
    ("equal_rows", "note", "image: within train", lambda d: same_row(d, 2)),
    ("equal_texts", "leak", "text: query in train", lambda d: copy_texts(d, "query", "train", 6)),
    ("equal_texts", "problem", "text: gallery in train", lambda d: copy_texts(d, "gallery", "train", 6)),
    ("near_rows", "leak", "image: query in train", lambda d: copy_rows(d, "query", "train", 6, by=0.05)),
    ("near_rows", "problem", "image: query in val", lambda d: copy_rows(d, "query", "val", 6, by=0.05)),
    ("copied_instances", "leak", "query in train", lambda d: copy_rows(d, "query", "train", 1, ("image", "text"))),
    (
        "copied_instances",
        "leak",
        "query in train",
        lambda d: copy_rows(d, "query", "train", 1, ("image", "text"), 0.05),
    ),
    ("instances_in_two_splits", "leak", "query and train", lambda d: share_instances(d, "query", "train", 1)),
    ("instances_in_two_splits", "leak", "gallery and train", lambda d: share_instances(d, "gallery", "train", 2)),
    ("instances_in_two_splits", "problem", "val and train", lambda d: share_instances(d, "val", "train", 2)),
    ("instances_in_two_splits", "problem", "gallery and query", lambda d: share_instances(d, "gallery", "query", 2)),
    ("items_twice", "leak", "text", lambda d: same_ids(d, "query", "train")),
    ("items_twice", "problem", "text", lambda d: same_ids(d, "gallery", "query")),
    ("items_twice", "problem", "text", lambda d: same_ids(d, "train", "train")),
    ("contradicting_copies", "problem", "image", contradict),
    ("indistinct_rows", "problem", "image", lambda d: same_row(d, 100)),
    ("class_names_in_texts", "leak", "text", lambda d: name_classes(d, 1.0)),
    ("class_names_in_texts", "problem", "text", lambda d: name_classes(d, 0.3)),
    ("class_names_in_texts", "note", "text", lambda d: name_classes(d, 0.03)),
    ("empty_texts", "problem", "text", lambda d: empty(d, 20)),
    ("empty_texts", "note", "text", lambda d: empty(d, 1)),
    ("one_modality_accuracy", "problem", "text", say_it_all),
    ("training_items_in_gallery", "note", "seen", seen_gallery),
    ("queries_without_relevant", "problem", "query-gallery: image -> text", nothing_relevant),
    ("missing_classes", "problem", "train: image", lambda d: lose_class(d, "train")),
    ("missing_classes", "note", "query: text", lambda d: lose_class(d, "query")),
    ("unlabelled_items", "problem", "gallery: image", unlabel),
    ("labels_disagree", "problem", "val", disagree),
    ("class_runs", "problem", "gallery: image", sort_classes),
    ("stable_order_gain", "problem", "query-gallery: image -> text", sort_classes),
    ("uneven_directions", "problem", "query-gallery: image and text", captions),
    ("broken_rows", "problem", "query: image", lambda d: spoil(d, 0.0)),
    ("broken_rows", "problem", "query: image", lambda d: spoil(d, np.nan)),
    ("constant_columns", "note", "image", lambda d: constant(d, ("train", "val", "query", "gallery"))),
    ("constant_columns", "problem", "image", lambda d: constant(d, ("train",))),
    ("lengths_differ", "problem", "gallery: text", lengthen),
    ("unpaired_items", "note", "train: image", unpair),
]


@pytest.mark.parametrize(("check", "severity", "subject", "plant"), CASES)
def test_a_planted_fault_is_found(check: str, severity: str, subject: str, plant: Callable[[Made], None]) -> None:
    data = made()
    plant(data)
    found = {f.subject: f.severity for f in data.audit().get(check)}
    assert found.get(subject) == severity, found


def test_every_check_has_a_planted_fault_or_a_figure() -> None:
    assert {case[0] for case in CASES} | FIGURES == {c.__name__ for c in CHECKS}


def test_a_broken_training_row_hides_nothing_else() -> None:
    data = made()
    copy_rows(data, "query", "train", 8, by=0.05)
    data.parts["train"]["image"]["features"][100, 3] = np.nan
    data.parts["train"]["image"]["features"][101, 3] = np.inf
    audit = data.audit()
    assert "8 of 90" in audit.get("near_rows")[0].detail
    assert (audit.get("one_modality_accuracy")[0].value or 0) > 0.7
    for part in data.parts.values():
        part["image"]["features"][:] = np.nan
    reasons = {(u.check, u.subject) for u in data.audit().unchecked}
    assert {("near_rows", "image"), ("one_modality_accuracy", "image")} <= reasons


def test_equal_rows_with_a_common_label_do_not_contradict() -> None:
    data = made()
    train = data.parts["train"]["image"]
    same = np.flatnonzero(train["labels"].argmax(1) == 2)[:2]
    train["features"][same[1]] = train["features"][same[0]]
    train["labels"][same[1]] |= 1
    assert data.audit().get("contradicting_copies") == ()


def test_mostly_constant_columns_are_a_problem() -> None:
    data = made()
    for part in data.parts.values():
        part["image"]["features"][:, :25] = 1
    assert [f.severity for f in data.audit().get("constant_columns")] == ["problem"]


def test_wrong_names_are_no_labels() -> None:
    data = made()
    name_classes(data, 1.0, shown=False)
    assert data.audit().get("class_names_in_texts") == ()


def test_figures_of_copies_count_items_and_give_ids() -> None:
    data = made()
    copy_rows(data, "query", "train", 9)
    (found,) = (f for f in data.audit().get("equal_rows") if f.severity == "leak")
    assert found.value == 9 / 90
    assert found.shown == "10.0 %"
    assert found.examples[0] == "query-0 = train-0"


def test_captions_of_one_picture_are_no_copies_of_each_other() -> None:
    data = made()
    captions(data)
    for part in data.parts.values():
        part["text"]["features"] = np.repeat(part["text"]["features"][::5], 5, axis=0)
    audit = data.audit()
    assert audit.get("equal_rows") == audit.get("near_rows") == audit.get("copied_instances") == ()


def test_near_captions_of_one_picture_are_no_copies_of_each_other() -> None:
    data = made()
    captions(data)
    rng = np.random.default_rng(0)
    for part in data.parts.values():
        features = np.repeat(part["text"]["features"][::5], 5, axis=0)
        part["text"]["features"] = features + 0.05 * rng.standard_normal(features.shape).astype(np.float32)
    audit = data.audit()
    assert audit.get("near_rows") == audit.unchecked == ()


def test_examples_of_near_rows_are_not_those_of_equal_ones() -> None:
    data = made()
    copy_rows(data, "query", "train", 8, by=0.05)
    copy_rows(data, "query", "train", 4)
    (found,) = (f for f in data.audit().get("near_rows") if f.subject == "image: query in train")
    assert "8 of 90" in found.detail
    assert "4 of them an equal one" in found.detail
    assert [e.split(" (")[0] for e in found.examples] == [f"query-{k} ~ train-{k}" for k in (4, 5, 6)]


def test_rows_of_few_values_are_not_called_copies() -> None:
    data = made()
    for split, factor in (("query", 1.0), ("train", 1.0), ("gallery", 1.01)):
        features = data.parts[split]["image"]["features"]
        features[:10] = 0
        features[np.arange(10), np.arange(10)] = 9 * factor
    audit = data.audit()
    assert audit.get("equal_rows") == audit.get("near_rows") == ()
    for split in ("query", "train"):
        data.parts[split]["image"]["features"][:10, 20:30] = np.arange(1, 11)  # now they say enough
    assert {f.subject for f in data.audit().get("equal_rows")} == {"image: query in train"}


def test_a_row_that_many_items_share_is_not_called_a_copy() -> None:
    data = made()
    blank = np.random.default_rng(1).standard_normal(40)
    for split, count in (("query", 10), ("train", 11)):
        data.parts[split]["image"]["features"][:count] = blank
    assert data.audit().get("equal_rows") == ()
    data.parts["train"]["image"]["features"][0] += 1  # twenty are left
    assert {f.severity for f in data.audit().get("equal_rows")} == {"leak", "note"}


def test_rows_that_say_too_little_are_not_called_copies() -> None:
    data = made()
    data.with_texts = False
    rng = np.random.default_rng(0)
    for part in data.parts.values():
        bag = np.zeros_like(part["text"]["features"])
        bag[np.arange(len(bag)), rng.integers(0, 5, len(bag))] = 1
        part["text"]["features"] = bag
    audit = data.audit()
    assert audit.get("equal_rows") == audit.get("near_rows") == ()
    assert audit.get("indistinct_rows")[0].value == 1.0


def test_short_texts_are_not_called_copies() -> None:
    data = made()
    for split in data.texts:
        data.texts[split] = ["nice day"] * len(data.texts[split])
    assert data.audit().get("equal_texts") == ()


def test_vectors_of_few_topics_are_not_searched_for_near_copies() -> None:
    data = made()
    rng = np.random.default_rng(0)
    for part in data.parts.values():
        part["text"]["features"] = rng.dirichlet(np.full(10, 0.1), len(part["text"]["features"])).astype(np.float32)
    audit = data.audit()
    assert [u.subject for u in audit.unchecked if u.check == "near_rows"] == ["text"]
    assert "do not tell copies from likeness" in audit.unchecked[0].reason


def test_likeness_below_a_copy_is_no_leak() -> None:
    data = made()
    copy_rows(data, "query", "train", 8, ("image", "text"), by=0.05)
    for check in ("near_rows", "copied_instances"):
        assert {f.severity for f in data.audit(threshold=0.98).get(check)} == {"leak"}
        assert {f.severity for f in data.audit(threshold=0.9).get(check)} == {"problem"}


def test_a_sample_is_stated() -> None:
    data = made()
    copy_rows(data, "query", "train", 90, by=0.05)
    whole = {f.subject: f for f in data.audit().get("near_rows")}["image: query in train"]
    assert whole.value == 1.0
    assert "sample" not in whole.detail
    part = {f.subject: f for f in data.audit(sample=80).get("near_rows")}["image: query in train"]
    assert "in a sample of 80 (seed 0)" in part.detail
    assert 0 < (part.value or 0) < 1


def test_kinds_without_angles_are_left_unchecked_and_sets_are_compared_by_their_mean() -> None:
    data = made()
    rng = np.random.default_rng(2)
    for part in data.parts.values():
        n = len(part["image"]["ids"])
        part["image"]["features"] = rng.standard_normal((n, 3, 40)).astype(np.float16)
        part["text"]["features"] = rng.integers(1, 1000, (n, 12)).astype(np.int32)
    data.kinds = {"image": "set", "text": "tokens"}
    data.parts["query"]["image"]["features"][:9] = data.parts["train"]["image"]["features"][:9, [1, 2, 0]]
    data.parts["query"]["text"]["features"][:9] = data.parts["train"]["text"]["features"][:9]
    audit = data.audit()
    assert {f.subject for f in audit.get("near_rows")} == {"image: query in train"}
    assert {f.subject for f in audit.get("equal_rows")} == {"text: query in train"}
    assert {f.subject for f in audit.get("copied_instances")} == {"query in train"}
    assert {u.subject for u in audit.unchecked} == {"text"}


def test_data_without_labels_or_features() -> None:
    data = made()
    data.protocols = (Protocol("matching", ("query",), ("query",), relevance="instance"),)
    data.kinds = {"image": "raw"}
    for part in data.parts.values():
        part["image"]["features"] = np.empty((len(part["image"]["ids"]), 0), np.float32)
        for arrays in part.values():
            arrays["labels"] = None
    audit = data.audit()
    chance = audit.get("chance_level")[0]
    n = 90
    assert chance.value == pytest.approx(sum(1 / k for k in range(1, n + 1)) / n)
    assert {f.severity for f in audit.findings} == {"note"}
    assert audit.get("own_pair_in_gallery") == ()  # it is the answer
