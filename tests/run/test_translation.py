"""Runs of methods whose modalities have codes of unequal lengths: queries are translated before they are compared."""

from pathlib import Path

import numpy as np
import pytest

import cmrbench
from cmrbench.core.protocol import Protocol
from cmrbench.data import load_dataset
from cmrbench.method import Context
from cmrbench.registry import methods_in_file
from cmrbench.run.execute import EvaluationPlan, execute

PLUGIN = Path(__file__).parent / "bridging.py"
SMALL = {"synthetic": {"n_train": 60, "n_val": 20, "n_query": 20, "n_gallery": 30, "classes": 4}}
RULES = {
    "function": Protocol("test-vs-train", ("query",), ("train", "val"), metrics=("mAP@all",)),
    "learned": Protocol("test-vs-learned", ("query",), ("train", "val"), metrics=("mAP@all",), gallery_codes="learned"),
}


def run(method, results):
    return cmrbench.run([method], ["synthetic"], settings=SMALL, bits=[8, 12], plugins=[PLUGIN], results=results)


def test_both_directions_are_measured_above_chance(cache_dir, tmp_path):
    rows = [r for r in run("bridging", tmp_path).to_pylist() if r["metric"] == "mAP@all"]
    assert {(r["status"], r["bits"], r["direction"]) for r in rows} == {
        ("done", bits, direction) for bits in (8, 12) for direction in ("image->text", "text->image")
    }
    assert all(r["value"] > r["chance"] + 0.2 for r in rows), [(r["direction"], r["value"]) for r in rows]


def average_precision(query, gallery, relevant):
    """Of one query, with its ties in the worst order and in the best."""
    distance = (query[None] != gallery).sum(axis=1)
    ends = []
    for tie in (0.5, -0.5):  # relevant items after the others that are equally far, then before them
        hits = relevant[np.argsort(distance + tie * relevant, kind="stable")]
        ends.append((np.cumsum(hits) / np.arange(1, len(hits) + 1) * hits).sum() / hits.sum())
    return ends


@pytest.mark.parametrize("rule", RULES)
def test_translated_queries_meet_the_gallery_in_its_own_codes(cache_dir, rule):
    dataset = load_dataset("synthetic", **SMALL["synthetic"])
    (cls,) = (c for c in methods_in_file(PLUGIN) if c.info.name == "bridging")
    method = cls()
    records = execute(method, dataset, Context(bits=8, n_classes=4), EvaluationPlan((RULES[rule],))).records
    assert len(records) == 2
    query = dataset.part("query")
    train = {m: np.concatenate([dataset.part(s)[m].labels for s in ("train", "val")]) for m in query}
    features = {m: np.concatenate([dataset.part(s)[m].features for s in ("train", "val")]) for m in query}
    for record in records:
        a, b = record.query_modality, record.gallery_modality
        asked = method.translate(method.encode(a, query[a].features), a, b)
        gallery = method.encode(b, features[b]) if rule == "function" else method.encode_train(b)
        relevant = query[a].labels.astype(int) @ train[b].T > 0
        ends = np.mean([average_precision(q, gallery, r) for q, r in zip(asked, relevant, strict=True)], axis=0)
        assert ends[0] - 1e-9 <= record.value <= ends[1] + 1e-9


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("untranslated", "equally many columns, got 8 and 13"),
        ("mistranslated", "translate('text') returned shape (20, 12), expected (20, 13)"),
        ("one_length", "encode('text') returned shape (30, 8), expected (30, 13)"),
    ],
)
def test_what_does_not_fit_costs_its_own_run_and_says_why(cache_dir, tmp_path, method, words):
    table = cmrbench.run([method], ["synthetic"], settings=SMALL, bits=[8], plugins=[PLUGIN], results=tmp_path)
    assert set(table.column("status").to_pylist()) == {"failed"}
    assert all(words in cause for cause in table.column("cause").to_pylist()), table.column("cause").to_pylist()
