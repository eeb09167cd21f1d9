"""What runs keep beside numbers: curves, classes and first results, each against plain loops on small data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cmrbench.core.dataset import Dataset
from cmrbench.core.items import Items
from cmrbench.core.protocol import Protocol
from cmrbench.core.runs import CUTOFFS, ENGINE, RECALL_LEVELS, SPAN
from cmrbench.data import load_dataset
from cmrbench.method import Context, Method, MethodInfo
from cmrbench.metrics import Metric
from cmrbench.registry import load_methods, methods_in_file
from cmrbench.retrieval import Encoded, rank
from cmrbench.run import plan as planning
from cmrbench.run.execute import EvaluationPlan, execute
from cmrbench.run.plan import RunRequest, plan_runs
from cmrbench.run.recording import by_class
from cmrbench.run.worker import carry_out
from cmrbench.store.schema import from_table, to_table

SMALL = {"n_train": 60, "n_val": 20, "n_query": 20, "n_gallery": 30, "classes": 4}
WHOLE = Protocol("test-vs-gallery", ("query",), ("gallery",), metrics=("mAP@all", "P@5", "mAP@50"))


class Given(Method):
    """Features as they are, or their signs."""

    info = MethodInfo(name="given", title="x", category="baseline", retrieval=("cosine",), deterministic=True)

    def fit(self, train, val, context):
        return self

    def encode(self, modality, features):
        return features


class Signs(Given):
    info = replace(Given.info, output="hash", retrieval=("hamming",))

    def encode(self, modality, features):
        return np.where(features >= 0, 1, -1).astype(np.int8)


def made(n_query=53, n_gallery=130, classes=("sky", "", "sea", "sea"), width=6, labelled=True):
    """Items of several classes; one class that no query has, and queries of no class."""
    rng = np.random.default_rng(3)
    parts = {}
    for split, n in (("train", 10), ("query", n_query), ("gallery", n_gallery)):
        labels = (rng.random((n, len(classes))) < 0.3).astype(np.uint8)
        if split == "query":
            labels[:, 0], labels[7] = 0, 0
        parts[split] = {
            m: Items(
                m,
                rng.standard_normal((n, width)).astype(np.float32),
                np.array([f"{split}{i}" for i in range(n)]),
                np.array([f"{split}{i}" for i in range(n)]),
                labels if labelled else None,
            )
            for m in ("image", "text")
        }
    sizes = {split: {m: len(i) for m, i in part.items()} for split, part in parts.items()}
    dims = {"image": width, "text": width}
    made_of = parts.__getitem__
    return Dataset("made", "plain", ("image", "text"), dims, classes, True, sizes, (WHOLE,), "f", made_of)


def recorded(method, protocol=WHOLE, dataset=None, bits=None, retrievals=()):
    context = Context(bits=bits, n_classes=4)
    plan = EvaluationPlan((protocol,), retrievals, spans=True)
    return execute(method, dataset or made(), context, plan).records


def first_of(records, direction="image->text"):
    return next(r for r in records if r.direction == direction and r.curves is not None)


def expected_curves(scores, relevant):
    """Both curves from the probability of every item to be among the first k, over all orders of ties."""
    n = scores.shape[1]
    precision, interpolated = np.zeros(n), np.zeros(RECALL_LEVELS)
    for row, wanted in zip(scores, relevant, strict=True):
        nearer = (row[None] > row[:, None]).sum(axis=1)
        tied = (row[None] == row[:, None]).sum(axis=1)
        within = np.clip((np.arange(1, n + 1) - nearer[:, None]) / tied[:, None], 0, 1)  # (item, k)
        found = (within * wanted[:, None]).sum(axis=0)
        at = found / np.arange(1, n + 1)
        precision += at
        for i in range(RECALL_LEVELS if wanted.any() else 0):
            reached = found * (RECALL_LEVELS - 1) >= i * wanted.sum() - 1e-9
            interpolated[i] += at[reached].max()
    return precision / len(scores), interpolated / len(scores)


@pytest.mark.parametrize("method", [Given, Signs])
def test_curves_are_those_of_every_order_of_ties(method):
    dataset = made()
    query, gallery = dataset.part("query"), dataset.part("gallery")
    record = first_of(recorded(method(), dataset=dataset, bits=6 if method is Signs else None))
    asked, found = (method().encode("", side[m].features) for side, m in ((query, "image"), (gallery, "text")))
    scores = asked.astype(np.float64) @ found.T.astype(np.float64)
    if method is Given:
        scores /= np.linalg.norm(found.astype(np.float64), axis=1)
    relevant = query["image"].labels.astype(int) @ gallery["text"].labels.T > 0
    precision, interpolated = expected_curves(scores, relevant)
    assert record.curves.precision == pytest.approx([precision[k - 1] for k in CUTOFFS if k <= 130], abs=1e-9)
    assert record.curves.interpolated == pytest.approx(interpolated, abs=1e-9)


def test_curves_follow_the_first_metric():
    dataset = made()
    with_match, everyone, stable = (
        first_of(recorded(Signs(), replace(WHOLE, metrics=(name,)), dataset, bits=6)).curves
        for name in ("mAP@all[with_relevant]", "mAP@all", "mAP@all[stable]")
    )
    query, gallery = dataset.part("query")["image"], dataset.part("gallery")["text"]
    share = (query.labels.astype(int) @ gallery.labels.T > 0).any(axis=1).mean()
    assert 0.5 < share < 0.9
    assert with_match.precision == pytest.approx([p / share for p in everyone.precision])
    assert with_match.interpolated == pytest.approx([p / share for p in everyone.interpolated])
    assert stable.precision != everyone.precision


def test_every_map_keeps_the_values_of_queries_and_spans_do_not():
    records = recorded(Signs(), replace(WHOLE, metrics=("P@5", "mAP@all", "mAP@50", "R@5")), bits=6)
    kept = {r.metric for r in records if r.per_query}
    assert kept == {"P@5", "mAP@all", "mAP@50"}, "the first one and every mAP"
    for r in records:
        if r.per_query:
            assert (len(r.per_query), np.mean(r.per_query)) == (53, pytest.approx(r.value))
        if r.metric != "P@5":
            assert (r.codes, r.curves, r.per_class, r.top) == (None, None, None, ())
    assert any(SPAN in r.flags for r in records)


def test_values_by_class_are_means_over_the_queries_that_have_it():
    dataset = made()
    record = first_of(recorded(Given(), dataset=dataset))
    labels = dataset.part("query")["image"].labels
    values = np.array(record.per_query)
    # No query has the class sky; the second has no name, and two go by one name.
    assert list(record.per_class) == ["1", "2", "3"]
    for c in (1, 2, 3):
        assert record.per_class[str(c)] == pytest.approx(values[labels[:, c] > 0].mean())


def test_values_by_class_leave_out_what_is_undefined():
    values = np.array([0.5, np.nan, 1.0, np.nan])
    labels = np.array([[1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 1, 0]])
    assert by_class(values, labels, ("a", "b", "c")) == {"a": 0.75, "c": 0.5}
    assert by_class(values, labels, ()) == {"0": 0.75, "2": 0.5}


@pytest.mark.parametrize("method", [Given, Signs])
def test_first_results_are_the_nearest_with_ties_by_position(method):
    dataset = made()
    record = first_of(recorded(method(), dataset=dataset, bits=6 if method is Signs else None), "text->image")
    query, gallery = dataset.part("query")["text"], dataset.part("gallery")["image"]
    asked, found = (method().encode("", side.features).astype(np.float64) for side in (query, gallery))
    scores = asked @ found.T / np.linalg.norm(found, axis=1)
    assert len(record.top) == 40
    assert (record.top[0].query, record.top[-1].query) == (0, 52)
    assert len({one.query for one in record.top}) == 40
    for one in record.top:
        nearest = sorted(range(130), key=lambda j: (-round(scores[one.query, j], 9), j))[:10]
        assert list(one.results) == nearest
        assert one.hits == tuple((query.labels[one.query] & gallery.labels[nearest]).any(axis=1).tolist())


def test_first_results_of_few_queries_and_items_are_all_there_are():
    record = first_of(recorded(Given(), dataset=made(n_query=12, n_gallery=4)))
    assert [one.query for one in record.top] == list(range(12))
    assert {tuple(sorted(one.results)) for one in record.top} == {(0, 1, 2, 3)}
    assert len(record.curves.precision) == 2, "at ranks 1 and 2"


def test_positions_count_through_the_splits_of_a_protocol():
    dataset = made()
    joined = replace(WHOLE, query=("train", "query"), gallery=("gallery", "query"))
    record = first_of(recorded(Given(), joined, dataset))
    gallery = np.concatenate([dataset.part(split)["text"].features for split in joined.gallery])
    one = next(one for one in record.top if one.query >= 10)
    query = dataset.part("query")["image"].features[one.query - 10]
    assert one.results[0] == np.argmax(gallery @ query / np.linalg.norm(gallery, axis=1))


def test_first_results_of_the_two_stage_search_are_its_own(cache_dir):
    dataset = load_dataset("synthetic", "", **SMALL)
    method = load_methods().get("cca")()
    protocol = replace(dataset.protocols[0], metrics=("mAP@all",))
    record = first_of(recorded(method, protocol, dataset, retrievals=("2sknn",)))
    train = {m: [dataset.part(s)[m] for s in ("train", "val")] for m in dataset.modalities}
    gallery = [dataset.part(s)["text"] for s in protocol.gallery]
    sides = [
        Encoded(m, method.encode(m, np.concatenate([i.features for i in i_s])), np.concatenate([i.labels for i in i_s]))
        for m, i_s in (
            ("image", [dataset.part(s)["image"] for s in protocol.query]),
            ("text", gallery),
            ("image", train["image"]),
        )
    ]
    levels = rank("2sknn", *sides, method, **method.retrieval_options("2sknn")).block(0, len(sides[0]))
    for one in record.top:
        row = levels[one.query]
        assert list(one.results) == sorted(range(len(row)), key=lambda j: (-row[j], j))[:10]
    assert record.per_class
    assert record.curves


def test_learned_codes_are_counted_by_their_gallery(cache_dir):
    dataset = load_dataset("synthetic", "", **SMALL)
    (cls,) = (c for c in methods_in_file(Path(__file__).parent / "bridging.py") if c.info.name == "bridging")
    method = cls()
    learned = Protocol("learned", ("query",), ("val", "train"), metrics=("mAP@all",), gallery_codes="learned")
    record = first_of(recorded(method, learned, dataset, bits=8))
    codes, train = method.encode_train("text"), [dataset.part(s)["text"] for s in ("train", "val")]
    row_of = {item: row for row, item in enumerate(np.concatenate([i.ids for i in train]).tolist())}
    ids = np.concatenate([dataset.part(s)["text"].ids for s in learned.gallery]).tolist()
    gallery = codes[[row_of[item] for item in ids]].astype(int)
    query = dataset.part("query")["image"]
    asked = method.translate(method.encode("image", query.features), "image", "text").astype(int)
    for one in record.top:
        far = (gallery != asked[one.query]).sum(axis=1)
        assert list(one.results) == sorted(range(len(far)), key=lambda j: (far[j], j))[:10]


def test_by_instance_there_are_no_classes_and_in_folds_no_whole_rankings():
    dataset = made(n_query=20, labelled=False)
    protocol = replace(WHOLE, gallery=("query",), relevance="instance", metrics=("hit@1", "mAP@all"))
    whole = next(r for r in recorded(Given(), protocol, dataset) if r.metric == "hit@1")
    assert (whole.per_class, len(whole.top)) == (None, 20)
    assert all(one.hits == tuple(j == one.query for j in one.results) for one in whole.top)
    for r in recorded(Given(), replace(protocol, folds=4), dataset):
        assert (r.curves, r.per_class, r.top, len(r.per_query)) == (None, None, (), 20)


def test_a_run_says_its_engine_and_comes_back_from_its_file(cache_dir, monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # the worker sets them: put back at the end
    (planned,) = plan_runs(request(), load_methods())
    result = carry_out(planned)
    assert result.environment["engine"] == ENGINE
    back = from_table(to_table(result))
    # By their texts: galleries of up to 50 items have no share of ties at rank 50, and NaN is not equal to itself.
    assert [repr(r) for r in back.records] == [repr(r) for r in result.records]
    assert any(r.top and r.curves and r.per_class for r in back.records)


def request():
    return RunRequest(("batch",), ("synthetic",), bits=(8,), settings={"synthetic": SMALL}, device="cpu")


def test_what_was_stored_with_less_is_carried_out_again(cache_dir, monkeypatch):
    (now,) = plan_runs(request(), load_methods())
    monkeypatch.setattr(planning, "RECORDING", "before")
    (before,) = plan_runs(request(), load_methods())
    assert now.run_key != before.run_key
    assert now.spec.spec_key == before.spec.spec_key


@pytest.mark.parametrize(
    "name", ["MedR", "R@1", "mAP@50[with_hits,min_kr]", "NDCG@5[exp_shared]", "mAP@all[optimistic]"]
)
def test_any_metric_can_be_the_first(name):
    record = first_of(recorded(Signs(), replace(WHOLE, metrics=(name,)), bits=6))
    assert (record.metric, len(record.top)) == (str(Metric.parse(name)), 40)
    assert all(0 <= value <= 1 for value in (*record.curves.precision, *record.curves.interpolated))
