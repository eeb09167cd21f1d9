"""Runs on transformed datasets: the name in the results, what is measured, and who is declined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cmrbench.core.errors import DeclinedError, UnknownNameError
from cmrbench.core.protocol import Protocol
from cmrbench.data import load_dataset
from cmrbench.method import Context
from cmrbench.registry import load_methods
from cmrbench.run.execute import EvaluationPlan, execute
from cmrbench.run.plan import RunRequest, plan_runs
from cmrbench.run.worker import carry_out

SMALL = {"n_train": 90, "n_val": 20, "n_query": 20, "n_gallery": 30, "classes": 4}
AGAINST_TRAIN = Protocol("test-vs-train", ("query",), ("train", "val"), metrics=("mAP@all",))


def ran(method, transforms, protocol=AGAINST_TRAIN):
    dataset = load_dataset(f"synthetic{transforms}", **SMALL)
    cls = load_methods().get(method)
    return execute(cls(), dataset, Context(n_classes=4), EvaluationPlan((protocol,)))


def test_a_run_carries_the_transforms_in_its_dataset_name():
    request = RunRequest(("cca",), ("synthetic+noise=.4+train=0.5",), settings={"synthetic": SMALL})
    (planned,) = plan_runs(request, load_methods())
    assert planned.spec.dataset.endswith("+noise=0.4+train=0.5")
    plain = plan_runs(replace(request, datasets=("synthetic",)), load_methods())[0]
    assert plain.run_key != planned.run_key
    result = carry_out(planned)
    assert result.status == "done", result.cause
    assert result.n_train == 55
    assert result.spec == planned.spec


def test_training_items_that_are_the_gallery_are_measured_as_they_are():
    whole, third = ran("cca", ""), ran("cca", "+train=0.3+noise=0.5")
    assert (whole.n_train, third.n_train) == (110, 33)
    assert {r.n_gallery for r in third.records} == {110}
    assert {r.chance for r in third.records} == {r.chance for r in whole.records}


def test_methods_that_learn_from_pairs_get_the_complete_ones():
    assert ran("cca", "+missing=0.2").n_train == 88
    shuffled = ran("cca", "+unpaired=1")
    assert shuffled.n_train == 110
    # Items of other classes stand beside each other: less can be learnt than from the true pairs.
    means = [np.mean([r.value for r in e.records]) for e in (shuffled, ran("cca", ""))]
    assert means[0] < means[1] - 0.1


def test_methods_that_learn_from_pairs_are_declined_where_there_is_none():
    dataset = load_dataset("synthetic", **SMALL)
    parts = {s: dict(dataset.part(s)) for s in dataset.sizes}
    for part in parts.values():
        part["text"] = replace(part["text"], instances=np.char.add("other-", part["text"].instances))
    apart = replace(dataset, opener=parts.__getitem__)
    plan = EvaluationPlan(dataset.protocols)
    with pytest.raises(DeclinedError, match="cca learns from pairs, but no training instance of synthetic"):
        execute(load_methods().get("cca")(), apart, Context(n_classes=4), plan)


def test_an_unknown_transform_is_said_before_anything_runs():
    with pytest.raises(UnknownNameError, match="unknown transform 'nois'; did you mean noise"):
        plan_runs(RunRequest(("cca",), ("synthetic+nois=0.4",)), load_methods())
