"""What a run measures beside its protocols' metrics, and that the engine gets the run's threads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cmrbench.core.runs import SPAN
from cmrbench.data import load_dataset
from cmrbench.method import Context
from cmrbench.metrics import Metric
from cmrbench.metrics.span import span_of, why_no_span
from cmrbench.registry import load_methods
from cmrbench.run import execute as room
from cmrbench.run import tasks
from cmrbench.run.execute import EvaluationPlan, execute
from cmrbench.run.plan import RunRequest, plan_runs
from cmrbench.run.worker import carry_out

SMALL = {"n_train": 60, "n_val": 20, "n_query": 20, "n_gallery": 30, "classes": 4}


def measured(method, metrics, threads=1):
    dataset = load_dataset("synthetic", "", **SMALL)
    cls = load_methods().get(method)
    protocol = replace(dataset.protocols[0], metrics=metrics, outputs=("real", "hash"))
    context = Context(bits=8 if cls.info.output == "hash" else None, n_classes=4)
    return execute(cls(), dataset, context, EvaluationPlan((protocol,), threads=threads, spans=True)).records


def test_codes_are_measured_under_both_extreme_orders():
    records = measured("batch", ("mAP@all", "mAP@50", "P@5"))
    assert [r.metric for r in records if r.direction == records[0].direction] == [
        *("mAP@all", "mAP@50", "P@5", "mAP@all[pessimistic]", "mAP@all[optimistic]"),
        *("P@5[pessimistic]", "P@5[optimistic]"),
    ]
    value = {(r.direction, r.metric): r.value for r in records}
    for (direction, metric), number in value.items():
        if (direction, f"{metric}[optimistic]") in value:
            low, high = (value[direction, f"{metric}[{ties}]"] for ties in ("pessimistic", "optimistic"))
            assert low < number < high, "eight bits tie most of thirty items"
    for r in records:
        assert (SPAN in r.flags) == ("istic]" in r.metric)
        assert bool(r.per_query) == (r.metric in ("mAP@all", "mAP@50"))
    assert len({r.protocol_fingerprint for r in records}) == 1


def test_real_valued_outputs_are_not():
    assert {r.metric for r in measured("cca", ("mAP@all", "mAP@50"))} == {"mAP@all", "mAP@50"}


def test_what_the_protocol_itself_asks_for_is_not_marked():
    records = measured("batch", ("mAP@all", "mAP@all[optimistic]"))
    assert {r.metric: r.flags for r in records} == {
        "mAP@all": (),
        "mAP@all[optimistic]": (),
        "mAP@all[pessimistic]": (SPAN,),
    }


@pytest.mark.parametrize("name", ["mAP@50", "mAP@all[with_hits]", "P@H2", "mAP@all[optimistic]"])
def test_metrics_that_two_orders_do_not_bound_have_no_span(name):
    assert span_of(Metric.parse(name)) is None
    assert why_no_span(Metric.parse(name))


def test_the_engine_gets_the_threads_of_the_run(monkeypatch):
    given = []

    def spy(*args, **options):
        given.append(options["threads"])
        return original(*args, **options)

    original = tasks.evaluate
    monkeypatch.setattr(tasks, "evaluate", spy)
    one, three = (measured("batch", ("mAP@all",), threads) for threads in (1, 3))
    assert given == [1, 1, 3, 3]
    assert [r.value for r in one] == [r.value for r in three]


def test_a_run_asks_for_spans_and_its_threads(cache_dir, monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # the worker sets them: put back at the end
    asked = []
    original = room.execute
    monkeypatch.setattr(room, "execute", lambda *a: asked.append(a[3]) or original(*a))
    request = RunRequest(("batch",), ("synthetic",), bits=(8,), settings={"synthetic": SMALL}, device="cpu", threads=3)
    (planned,) = plan_runs(request, load_methods())
    result = carry_out(planned)
    assert (asked[0].threads, asked[0].spans) == (3, True)
    assert any(SPAN in r.flags for r in result.records)
