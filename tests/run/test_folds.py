"""Folds against plain loops, and what a method is handed where a picture has several captions."""

from __future__ import annotations

import math
import re
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cmrbench.core.dataset import Dataset
from cmrbench.core.errors import DataError, DeclinedError, MethodError
from cmrbench.core.items import Items
from cmrbench.core.protocol import Protocol
from cmrbench.core.training import paired, training_items
from cmrbench.method import Context, Method, MethodInfo, paired_rows
from cmrbench.run import environment
from cmrbench.run.execute import EvaluationPlan, execute, why_not
from cmrbench.run.folds import cut

METRICS = ("hit@2", "mAP@all", "MedR", "R@3")


class AsTheyAre(Method):
    """Encodes features as they are; keeps what `fit` was handed."""

    info = MethodInfo(name="as_they_are", title="x", category="unsupervised_real", deterministic=True)

    def fit(self, train, val, context):
        paired_rows(train, "as_they_are")
        self.train_ = train
        return self

    def encode(self, modality, features):
        return features


class OwnScore(AsTheyAre):
    """The same by a similarity of its own, which counts what it is asked."""

    info = replace(AsTheyAre.info, retrieval=("score",))
    asked = 0

    def score(self, query, gallery, query_modality, gallery_modality):
        self.asked += len(query) * len(gallery)
        return query @ gallery.T


def items_of(modality, counts, rng, name, shuffled=False):
    """`counts[i]` items of instance i."""
    instances = np.repeat([f"{name}{i}" for i in range(len(counts))], counts)
    if shuffled:
        instances = rng.permutation(instances)
    features = rng.standard_normal((len(instances), 6)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    ids = np.array([f"{modality}-{name}-{k}" for k in range(len(instances))])
    return Items(modality, features, ids, instances)


def made(folds, n=23, shuffled=False, relevance="instance", **more):
    rng = np.random.default_rng(5)
    captions = rng.integers(1, 6, n)
    parts = {
        "train": {"image": items_of("image", [1] * 9, rng, "t"), "text": items_of("text", [5] * 9, rng, "t")},
        "query": {
            "image": items_of("image", [1] * n, rng, "q"),
            "text": items_of("text", captions, rng, "q", shuffled),
        },
    }
    protocol = Protocol("folded", ("query",), ("query",), ("real",), METRICS, relevance, folds=folds)
    sizes = {split: {m: len(i) for m, i in part.items()} for split, part in parts.items()}
    dataset = Dataset(
        *("made", "plain", ("image", "text"), {"image": 6, "text": 6}, (), False, sizes, (protocol,), "f"),
        parts.__getitem__,
        **more,
    )
    return dataset, parts["query"], protocol


def run(dataset, protocol, method=None):
    execution = execute(method or AsTheyAre(), dataset, Context(), EvaluationPlan((protocol,)))
    return {(r.query_modality, r.metric): r for r in execution.records}


def ranks_of(query, gallery, relevant):
    """Ranks from 1 of the relevant ones, in a list sorted by falling similarity (no ties in random data)."""
    order = sorted(range(len(gallery)), key=lambda j: -float(query @ gallery[j]))
    return [rank for rank, j in enumerate(order, start=1) if relevant[j]]


def by_loops(query, gallery, folds):
    """Value, standard error and values by query of each metric, one fold after another."""
    instances = list(dict.fromkeys(query["image"].instances.tolist()))
    size, left = divmod(len(instances), folds)
    bounds = [0]
    for k in range(folds):
        bounds.append(bounds[-1] + size + (k < left))
    found = {}
    for a, b in (("image", "text"), ("text", "image")):
        values, per_query = {m: [] for m in METRICS}, {m: {} for m in METRICS}
        for k in range(folds):
            chosen = set(instances[bounds[k] : bounds[k + 1]])
            left_rows = [i for i, name in enumerate(query[a].instances.tolist()) if name in chosen]
            right_rows = [j for j, name in enumerate(gallery[b].instances.tolist()) if name in chosen]
            for i in left_rows:
                relevant = [gallery[b].instances[j] == query[a].instances[i] for j in right_rows]
                ranks = ranks_of(query[a].features[i], gallery[b].features[right_rows], relevant)
                per_query["hit@2"][i] = float(ranks[0] <= 2)
                per_query["mAP@all"][i] = sum((n + 1) / r for n, r in enumerate(ranks)) / len(ranks)
                per_query["MedR"][i] = float(ranks[0])
                per_query["R@3"][i] = sum(r <= 3 for r in ranks) / len(ranks)
            for metric in METRICS:
                values[metric].append([per_query[metric][i] for i in left_rows])
        for metric, by_fold in values.items():
            middle = statistics.median if metric == "MedR" else statistics.fmean
            error = math.sqrt(sum(statistics.variance(v) / len(v) for v in by_fold)) / folds
            found[a, metric] = (
                statistics.fmean(map(middle, by_fold)),
                math.nan if metric == "MedR" else error,
                [per_query[metric][i] for i in range(len(query[a]))],
            )
    return found


@pytest.mark.parametrize("folds", [2, 4, 5])
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("method", [AsTheyAre, OwnScore])
def test_folds_are_measured_one_by_one_and_averaged(folds, shuffled, method):
    dataset, query, protocol = made(folds, shuffled=shuffled)
    found, expected = run(dataset, protocol, method()), by_loops(query, query, folds)
    assert found.keys() == expected.keys()
    for key, (value, error, per_query) in expected.items():
        assert found[key].value == pytest.approx(value, abs=1e-6), key
        assert found[key].stderr == pytest.approx(error, abs=1e-6, nan_ok=True), key
        if key[1] == METRICS[0]:
            assert found[key].per_query == pytest.approx(per_query, abs=1e-6)
        assert found[key].n_query == len(query[key[0]])
    assert found["text", "hit@2"].n_gallery == math.ceil(23 / folds)


def test_chance_is_that_of_the_smaller_galleries():
    dataset, _, protocol = made(4)
    sizes = [6, 6, 6, 5]
    found = run(dataset, protocol)["text", "hit@2"]
    assert found.chance == pytest.approx(statistics.fmean(2 / n for n in sizes))
    whole = run(dataset, replace(protocol, folds=1))["text", "hit@2"]
    assert (whole.chance, whole.n_gallery) == (pytest.approx(2 / 23), 23)
    assert whole.value < found.value


def test_only_pairs_within_a_fold_are_scored():
    dataset, query, protocol = made(23)
    method = OwnScore()
    run(dataset, replace(protocol, metrics=("hit@1",)), method)
    assert method.asked == 2 * len(query["text"])


def test_gallery_items_without_a_query_follow_the_queries():
    _, query, protocol = made(2, n=6)
    gallery = {m: items_of(m, [1] * 8, np.random.default_rng(0), "q") for m in query}  # two more than there are queries
    assert [f.gallery["image"].tolist() for f in cut(protocol, query, gallery)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [f.query["image"].tolist() for f in cut(protocol, query, gallery)] == [[0, 1, 2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("folds", "changes", "said"),
    [
        (24, {}, "protocol folded is measured in 24 folds, but query and gallery hold 23 instances"),
        (2, {"relevance": "label"}, "its relevance is by label; use relevance: instance"),
    ],
)
def test_what_cannot_be_cut_is_refused(folds, changes, said):
    dataset, _, protocol = made(folds)
    with pytest.raises(DataError, match=said):
        run(dataset, replace(protocol, **changes))


def test_a_fold_without_queries_is_refused():
    _, query, protocol = made(3, n=6)
    few = {"image": query["image"], "text": query["text"].take(np.flatnonzero(query["text"].instances < "q4"))}
    with pytest.raises(DataError, match="fold 3 has no text query item"):
        cut(protocol, few, query)


def test_pictures_are_repeated_for_their_captions_where_a_method_learns_from_pairs():
    dataset, _, protocol = made(1)
    method = AsTheyAre()
    run(dataset, protocol, method)
    image, text = method.train_["image"], method.train_["text"]
    assert len(image) == len(text) == 45
    assert image.instances.tolist() == text.instances.tolist() == [f"t{i}" for i in range(9) for _ in range(5)]
    assert text.ids.tolist() == [f"text-t-{k}" for k in range(45)]
    assert (image.features == np.repeat(dataset.part("train")["image"].features, 5, axis=0)).all()


def test_methods_that_learn_without_pairs_get_every_item_once():
    class Apart(AsTheyAre):
        info = replace(AsTheyAre.info, pairs=False)

        def fit(self, train, val, context):
            assert [len(items) for items in train.values()] == [9, 45]
            return self

    dataset, _, protocol = made(1)
    run(dataset, protocol, Apart())


def test_pairing_takes_items_in_turn_and_leaves_out_what_has_no_counterpart():
    rng = np.random.default_rng(1)
    left, right = items_of("a", [2, 1, 1, 3], rng, "i"), items_of("b", [3, 1, 0, 2], rng, "i")
    rows = {
        m: [i.rsplit("-", 1)[1] for i in items.ids.tolist()] for m, items in paired({"a": left, "b": right}).items()
    }
    assert rows == {"a": list("0102456"), "b": list("0123454")}


@pytest.mark.parametrize("selects", [False, True])
def test_the_rule_for_training_items_pairs_what_is_held_out_too(selects):
    rng = np.random.default_rng(1)
    train, val = ({m: items_of(m, [k] * 4, rng, name) for m, k in (("a", 1), ("b", 3))} for name in ("t", "v"))
    fitted, held_out = training_items(train, val, supervised=True, selects=selects, pairs=True)
    for part in filter(None, (fitted, held_out)):
        paired_rows(part, "m")
    assert len(fitted["a"]) == (12 if selects else 24)
    assert (held_out is not None) == selects


def test_items_that_correspond_already_or_never_stay_as_they_are():
    rng = np.random.default_rng(1)
    left = items_of("a", [1, 1], rng, "i")
    for right in (items_of("b", [1, 1], rng, "i"), items_of("b", [1, 1, 1], rng, "j")):
        both = {"a": left, "b": right}
        assert paired(both) is both
    with pytest.raises(MethodError, match="learns from pairs"):
        paired_rows(both, "m")


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (
            {"image": "set", "text": "tokens"},
            r"as_they_are takes features of kind vector, made/plain has image \(set\), text \(tokens\)",
        ),
        (
            {"image": "raw", "text": "vector"},
            "made/plain has no image features yet: make some with `cmrbench extract made` "
            "or bring them with `cmrbench data import`",
        ),
    ],
)
def test_features_of_another_kind_are_declined(kinds, said):
    dataset, _, protocol = made(1, kinds=kinds)
    with pytest.raises(DeclinedError, match=said):
        run(dataset, protocol)


def test_a_method_can_take_other_kinds():
    info = replace(AsTheyAre.info, kinds=("set", "tokens"))
    assert why_not(info, made(1, kinds={"image": "set", "text": "tokens"})[0]) is None
    assert "image (vector)" in why_not(info, made(1)[0])
    with pytest.raises(MethodError, match="kind 'raw' is none of vector, set, tokens"):
        replace(info, kinds=("raw",))


def test_all_that_measures_is_part_of_the_engines_digest():
    root = Path(environment.__file__).parent
    used, seen = {"execute"}, set()
    while used - seen:
        name = (used - seen).pop()
        seen.add(name)
        used |= set(re.findall(r"^from cmrbench\.run\.(\w+) import", (root / f"{name}.py").read_text(), re.MULTILINE))
    assert {f"run/{name}.py" for name in seen} == {part for part in environment._ENGINE if part.startswith("run/")}
