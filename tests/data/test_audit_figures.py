"""The figures of an audit against plain, slow ways to get them."""

from __future__ import annotations

from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pytest
from audit_data import Made, made

from cmrbench.core.items import Items
from cmrbench.core.protocol import Protocol
from cmrbench.data.audit.finding import AuditOptions
from cmrbench.data.audit.galleries import own_pair_gain
from cmrbench.data.audit.near import Directions, screen_of, search
from cmrbench.data.audit.order import run_bound
from cmrbench.data.audit.relations import Relation, at_least, equal_copies, examples_of
from cmrbench.data.audit.rows import Rows
from cmrbench.data.audit.subject import Subject
from cmrbench.data.audit.tasks import Task, chance, relevant_counts
from cmrbench.data.audit.texts import name_words, named_classes
from cmrbench.metrics import Metric, evaluate, from_labels, given


def rows_of(features: np.ndarray) -> Rows:
    ids = np.array([str(k) for k in range(len(features))])
    return Rows((("train", Items("image", features, ids, ids)),), "vector")


@pytest.mark.parametrize("width", [30, 600])
def test_near_pairs_are_those_of_all_pairs(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmrbench.data.audit.near.TILE", (64, 96))  # several tiles, cut unevenly
    monkeypatch.setattr("cmrbench.data.audit.near.BLOCK_BYTES", 4 * width * 50)
    rng = np.random.default_rng(0)
    # A shared offset makes all plain cosines high; the noise makes centred cosines on both sides of the threshold.
    base = rng.standard_normal((120, width))
    noise = rng.uniform(0.05, 0.3, (120, 1)) * rng.standard_normal((120, width))
    features = (20 + np.concatenate([base, base + noise, rng.standard_normal((7, width))])).astype(np.float32)
    everything = np.arange(len(features))
    unit = features - features.mean(0, dtype=np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosine = np.triu(unit @ unit.T, 1)
    want = set(zip(*np.nonzero(cosine >= 0.98), strict=True))
    assert 20 < len(want) < 120
    directions = Directions(rows_of(features), everything)
    pairs = list(search(directions, everything, 0.98, np.random.default_rng(1)))
    got = [(i, j) for p in pairs for i, j in zip(p.i, p.j, strict=True)]
    assert len(got) == len(set(got))
    assert set(got) == want
    for p in pairs:
        np.testing.assert_allclose(p.cosine, cosine[p.i, p.j], atol=1e-5)


def test_the_screen_lets_pairs_at_the_threshold_through() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((4000, 512))
    y = 0.9 * x + np.sqrt(1 - 0.9**2) * rng.standard_normal(x.shape)
    matrix = rng.standard_normal((512, 128))
    a, b = x @ matrix, y @ matrix
    projected = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    own = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    assert (projected >= screen_of(0.9))[own >= 0.9].all()
    assert screen_of(0.9) > 0.7  # and keeps far pairs out


def test_a_row_that_equals_the_mean_is_near_nothing() -> None:
    features = np.full((5, 40), 0.1, np.float32)
    directions = Directions(rows_of(features), np.arange(5))
    assert list(search(directions, np.arange(5), 0.9, np.random.default_rng(0))) == []


def test_captions_of_one_picture_are_no_examples_of_copies() -> None:
    features = np.array([[1, 2], [1, 2], [1, 2], [3, 4], [5, 6]], np.float32)
    ids = np.array(["p1#0", "p1#1", "p2#0", "p2#1", "p3#0"])
    items = Items("text", features, ids, np.array(["p1", "p1", "p2", "p2", "p3"]))
    rows = Rows((("train", items),), "vector")
    copies = equal_copies(rows, rows.equal, Relation("train", "train"), np.zeros(5, bool))
    assert copies.rows.tolist() == [0, 1, 2]
    shown = examples_of(rows, rows.equal, copies)
    assert shown
    assert all(a[:2] != b[:2] for a, b in (example.split(" = ") for example in shown))


def test_rows_are_compared_by_value() -> None:
    features = np.zeros((4, 3), np.float32)
    features[1, 0] = -0.0
    features[2, 2] = np.nextafter(np.float32(0), np.float32(1))
    group = rows_of(features).equal.group
    assert group[0] == group[1] == group[3] != group[2]


def test_memory_mapped_rows_are_measured_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmrbench.data.arrays.BLOCK_BYTES", 1000)
    rng = np.random.default_rng(0)
    features = rng.standard_normal((101, 17)).astype(np.float32)
    features[features < 0] = 0
    features[60, 3] = np.inf
    np.save(tmp_path / "x.npy", features)
    rows = rows_of(np.load(tmp_path / "x.npy", mmap_mode="r"))
    measured = rows.measured[0]
    np.testing.assert_array_equal(measured.filled, np.count_nonzero(features, axis=1))
    np.testing.assert_array_equal(measured.bad, [60])
    good = np.arange(101) != 60
    np.testing.assert_allclose(measured.norms[good], np.linalg.norm(features[good], axis=1), rtol=1e-6)
    np.testing.assert_array_equal(measured.most, features.max(0))
    np.testing.assert_array_equal(measured.least, features.min(0))


def random_labels(n: int, C: int, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((n, C)) < 0.15).astype(np.uint8)


def test_relevant_items_and_chance_are_the_engines() -> None:
    query, gallery = random_labels(70, 13, 0), random_labels(200, 13, 1)
    counts = relevant_counts(query, gallery)
    np.testing.assert_array_equal(counts, ((query.astype(int) @ gallery.T) > 0).sum(1))
    metrics = [Metric.parse(m) for m in ("mAP@all", "mAP@20[min_kr]", "P@5", "mAP@10[with_hits]", "MedR")]
    engine = evaluate(given(np.zeros((70, 200))), from_labels(query, gallery), metrics)
    assert chance(counts, 200, metrics) == pytest.approx(engine.chance)


def test_relevant_instances_are_counted() -> None:
    def items(instances: list[str]) -> Items:
        ids = np.array([str(k) for k in range(len(instances))])
        return Items("image", np.ones((len(ids), 1), np.float32), ids, np.array(instances))

    task = Task(
        Protocol("matching", ("query",), ("gallery",), relevance="instance"),
        "image",
        "text",
        (items(["b", "a"]), items(["zz", "b", "0"])),
        (items(["a", "b", "b"]), items(["b", "c"])),
    )
    np.testing.assert_array_equal(task.relevant, [3, 1, 0, 3, 0])


def test_the_own_pair_is_worth_what_the_engine_says() -> None:
    labels = random_labels(60, 5, 2)
    labels[:, 0] |= ~labels.any(1)
    ids = np.array([str(k) for k in range(60)])
    items = Items("image", np.ones((60, 1), np.float32), ids, ids, labels)
    task = Task(Protocol("all", ("query",), ("query",)), "image", "text", (items,), (items,))
    relevance = from_labels(labels, labels)
    first = evaluate(given(np.eye(60)), relevance, "mAP@all")
    assert own_pair_gain(task, np.ones(60, bool)) == pytest.approx(first.values["mAP@all"] - first.chance["mAP@all"])
    half = ids.astype(int) % 2 == 0
    per_query = (
        first.per_query["mAP@all"] - evaluate(given(np.zeros((60, 60))), relevance, "mAP@all").per_query["mAP@all"]
    )
    assert own_pair_gain(task, half) == pytest.approx(per_query[half].sum() / 60)


def test_the_bound_on_runs_holds_for_every_order() -> None:
    classes = [0, 0, 0, 0, 1, 1, 2]
    orders = list(permutations(classes))

    def longest(order: tuple[int, ...]) -> int:
        run = best = 1
        for a, b in pairwise(order):
            run = run + 1 if a == b else 1
            best = max(best, run)
        return best

    runs = np.array([longest(o) for o in orders])
    for run in (1, 2, 3, 4):
        assert run_bound(np.array([4, 2, 1]), run) >= (runs >= run).mean() - 1e-12
    assert run_bound(np.array([4, 2, 1]), 4) == pytest.approx((runs == 4).mean())  # such runs exclude each other
    assert run_bound(np.array([4, 2, 1]), 5) == 0


def test_stable_order_gain_is_that_of_all_queries() -> None:
    data = made()
    for split, part in data.parts.items():
        order = np.argsort(part["image"]["labels"].argmax(1) + (split == "query"), kind="stable")
        for arrays in part.values():
            for key in arrays:
                arrays[key] = arrays[key][order]
    query, gallery = (data.parts[s]["image"]["labels"] for s in ("query", "gallery"))
    query[:60] = query[0]  # classes of unequal size
    found = {f.subject: f.value for f in data.audit().get("stable_order_gain")}
    tied = evaluate(given(np.zeros((90, 150))), from_labels(query, gallery), ("mAP@all[stable]", "mAP@all"))
    want = tied.values["mAP@all[stable]"] - tied.values["mAP@all"]
    assert want > 0.1
    assert found["query-gallery: image -> text"] == pytest.approx(want)


def test_accuracy_of_one_modality_is_of_the_queries_and_beats_no_noise() -> None:
    data = made()
    rng = np.random.default_rng(0)
    for part in data.parts.values():
        part["text"]["features"] = rng.standard_normal(part["text"]["features"].shape).astype(np.float32)
        part["image"]["features"][:, 0] = 10  # a constant column does no harm
    accuracy = {f.subject: f.value for f in data.audit().get("one_modality_accuracy")}
    assert accuracy["text"] < 0.35  # one of six classes by chance
    assert accuracy["image"] > 0.8


def test_class_names_match_as_words() -> None:
    names = name_words(["sky_time", "Lady", "bus", "42", "glass", "Été"])
    assert names == ["sky time", "lady", "bus", "", "glass", "été"]
    texts = ["The sky-time!", "ladies first", "a business", "two buses, 42", "glasses", "ÉTÉ", "sky and time", "gla"]
    named = named_classes(texts, names)
    assert [np.flatnonzero(row).tolist() for row in named] == [[0], [1], [], [2], [4], [5], [], []]


def test_the_lower_limit_of_a_share() -> None:
    assert at_least(0, 10) == 0
    assert at_least(50, 100) == pytest.approx(0.4038, abs=1e-4)  # the usual worked example
    assert at_least(3, 155) < 0.01 < at_least(6, 90)


def test_an_audit_is_the_same_each_time_and_in_any_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    data: Made = made()
    data.parts["query"]["image"]["features"][:6] = data.parts["train"]["image"]["features"][:6]
    first = data.audit()
    monkeypatch.setattr("cmrbench.data.arrays.BLOCK_BYTES", 2000)
    monkeypatch.setattr("cmrbench.data.audit.near.BLOCK_BYTES", 3000)
    again = data.audit()
    assert again.findings == first.findings


def test_texts_of_a_modality_follow_its_rows() -> None:
    data = made()
    subject = Subject(data.dataset(), AuditOptions())
    texts = subject.texts("text")
    assert texts is not None
    assert texts[subject.rows("text").of("gallery")[0]] == data.texts["gallery"][0]
    assert subject.texts("image") is None
