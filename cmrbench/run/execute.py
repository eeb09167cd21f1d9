"""One run without a process around it: fit, encode, rank, measure."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any

import numpy as np

from cmrbench.core.dataset import Dataset
from cmrbench.core.errors import DeclinedError, MethodError
from cmrbench.core.items import Items, concatenate
from cmrbench.core.outputs import output_problem
from cmrbench.core.protocol import Protocol
from cmrbench.core.runs import SPAN, Curves, FirstResults, Record
from cmrbench.core.training import paired, training_items
from cmrbench.method import Context, Method, MethodInfo
from cmrbench.metrics import Evaluation, Metric
from cmrbench.metrics.diagnostics import diagnose
from cmrbench.metrics.span import span_of
from cmrbench.retrieval import READS_LABELS, Encoded
from cmrbench.run.folds import Fold, cut
from cmrbench.run.recording import by_class, curves_of, first_results, points_of
from cmrbench.run.tasks import Side, Task, compared, labels_of, measure, measure_whole

STRATEGIES = {
    "real": ("cosine", "euclidean", "inner", "2sknn", "score"),
    "hash": ("hamming", "2sknn", "score"),
}
"""Retrieval strategies that make sense for each kind of output."""


@dataclass(frozen=True)
class EvaluationPlan:
    """What to measure after fitting.

    Attributes
    ----------
    protocols : tuple of Protocol
        Those that do not apply to the method's output are left out.
    retrievals : tuple of str
        Retrieval strategies; empty: the method's own.
    threads : int
        Threads of the evaluation; no value depends on their number.
    spans : bool
        Whether codes are measured under both extreme orders of ties, too; see `cmrbench.core.runs.SPAN`.
    """

    protocols: tuple[Protocol, ...]
    retrievals: tuple[str, ...] = ()
    threads: int = 1
    spans: bool = False


@dataclass(frozen=True, eq=False)
class Execution:
    """What one run gave: records, wall seconds by stage, those of them that another run spent, and sizes."""

    records: tuple[Record, ...]
    seconds: Mapping[str, float]
    borrowed: float
    output_dim: int
    n_train: int
    model_bytes: int


def execute(
    method: Method,
    dataset: Dataset,
    context: Context,
    plan: EvaluationPlan,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Execution:
    """Fit a method on a dataset's training items and measure it under every protocol that applies.

    Query and gallery are opened only after `fit` has returned.

    Raises
    ------
    DeclinedError
        If the method cannot be run on the dataset.
    MethodError
        If the method breaks its contract.
    """
    return _Runner(method, dataset, context, plan, on_stage).run()


def why_not(info: MethodInfo, dataset: Dataset) -> str | None:
    """A reason, from the declarations alone, why a method cannot be run on a dataset; None if it can."""
    where = f"{dataset.name}/{dataset.feature_set}"
    kinds = {modality: dataset.kind(modality) for modality in dataset.modalities}
    raw = [modality for modality, kind in kinds.items() if kind == "raw"]
    if raw:
        name = re.split(r"[:+]", dataset.name)[0]
        return (
            f"{where} has no {' and '.join(raw)} features yet: make some with `cmrbench extract {name}` "
            "or bring them with `cmrbench data import`"
        )
    other = [f"{modality} ({kind})" for modality, kind in kinds.items() if kind not in info.kinds]
    if other:
        return f"{info.name} takes features of kind {' or '.join(info.kinds)}, {where} has {', '.join(other)}"
    fewest, most = info.modalities
    n = len(dataset.modalities)
    if n < fewest or (most is not None and n > most):
        takes = f"{fewest}" if most == fewest else f"{fewest} to {most}" if most else f"at least {fewest}"
        return f"{info.name} takes {takes} modalities, {where} has {n}"
    if dataset.multilabel and not info.multilabel:
        return f"{info.name} learns from items with one label each, {dataset.name} has several"
    if info.supervision == "labels" and not dataset.classes:
        return f"{info.name} learns from labels, {dataset.name} has none"
    if not any(info.output in p.outputs for p in dataset.protocols):
        return f"{dataset.name} has no protocol for {info.output} outputs"
    return None


@dataclass
class _Runner:
    method: Method
    dataset: Dataset
    context: Context
    plan: EvaluationPlan
    on_stage: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("load", "fit", "encode", "evaluate"), 0.0))
    encoded: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    opened: dict[str, dict[str, Items]] = field(default_factory=dict)
    known: Mapping[str, Items] = field(default_factory=dict)
    """The labelled training items, each once, for strategies that look queries up among them."""

    def run(self) -> Execution:
        info = self.method.info
        reason = why_not(info, self.dataset) or self.method.declines(replace(self.dataset, opener=_closed))
        if reason:
            raise DeclinedError(reason)
        train = self._fit()
        records: list[Record] = []
        for protocol in self.plan.protocols:
            if info.output in protocol.outputs:
                records += self._measure(protocol, train)
        if not records:
            raise DeclinedError(f"no protocol of {self.dataset.name} applies to {info.name}")
        output_dim = next(iter(self.encoded.values())).shape[1]
        n_train = len(next(iter(train.values())))
        borrowed = self.context.borrowed_seconds
        return Execution(tuple(records), self.seconds, borrowed, output_dim, n_train, model_bytes(self.method))

    def _fit(self) -> Mapping[str, Items]:
        info = self.method.info
        self.on_stage("load")
        with _clock(self.seconds, "load"):
            full = self.dataset.part("train")
            val = self.dataset.part("val") if "val" in self.dataset.sizes else None
            self.known, val = training_items(full, val, supervised=True, selects=info.selects)
            labelled = paired(self.known) if info.pairs else self.known
            train, held_out = training_items(
                labelled, val, supervised=info.supervision == "labels", selects=info.selects, pairs=info.pairs
            )
        if info.pairs and not (_corresponding(train) and (held_out is None or _corresponding(held_out))):
            raise DeclinedError(
                f"{info.name} learns from pairs, but no training instance of {self.dataset.name} is in all modalities"
            )
        self.on_stage("fit")
        with _clock(self.seconds, "fit"):
            fitted = self.method.fit(train, held_out, self.context)
        self.seconds["fit"] += self.context.borrowed_seconds
        if fitted is not self.method:
            raise MethodError(f"{info.name}.fit must return self, it returned {type(fitted).__name__}")
        return labelled

    def _open(self, splits: Sequence[str]) -> dict[str, Items]:
        with _clock(self.seconds, "load"):
            for split in splits:
                if split not in self.opened:
                    self.opened[split] = self.dataset.measured(split)
            return {m: concatenate([self.opened[s][m] for s in splits]) for m in self.dataset.modalities}

    def _encode(self, splits: Sequence[str], modality: str) -> np.ndarray:
        """Representations of the items of `splits`, one split after another; each split is encoded once."""
        for split in splits:
            if (split, modality) not in self.encoded:
                items = self._open([split])[modality]
                self.encoded[split, modality] = self._represent(modality, items)
        return np.concatenate([self.encoded[s, modality] for s in splits])

    def _represent(self, modality: str, items: Items) -> np.ndarray:
        self.on_stage("encode")
        with _clock(self.seconds, "encode"):
            if self.method.info.reads_labels:
                array = self.method.encode_labels(modality, labels_of(items))
            else:
                array = self.method.encode(modality, items.features)
        return self._check(modality, array, len(items))

    def _check(self, modality: str, array: object, n: int, door: str = "encode") -> np.ndarray:
        info, bits = self.method.info, self.context.bits
        problem = output_problem(array, info.output, n, bits and self.method.code_length(modality, bits))
        if problem is not None or not isinstance(array, np.ndarray):
            raise MethodError(f"{info.name}.{door}({modality!r}) returned {problem}")
        if n > 1 and (array == array[0]).all():
            raise MethodError(f"{info.name}.{door}({modality!r}) returned one and the same vector for all {n} items")
        return array

    def _gallery(self, protocol: Protocol, modality: str, train: Mapping[str, Items]) -> np.ndarray | None:
        if protocol.gallery_codes == "function":
            return self._encode(protocol.gallery, modality)
        learned = self.method.encode_train(modality)
        if learned is None:
            return None
        items = train[modality]
        self._check(modality, learned, len(items), "encode_train")
        row_of = {item: row for row, item in enumerate(items.ids.tolist())}
        rows = [row_of.get(item) for item in self._open(protocol.gallery)[modality].ids.tolist()]
        if None in rows:
            return None
        return learned[np.asarray(rows, dtype=np.intp)]

    def _measure(self, protocol: Protocol, train: Mapping[str, Items]) -> list[Record]:
        queries, gallery = self._open(protocol.query), self._open(protocol.gallery)
        codes = {m: self._gallery(protocol, m, train) for m in self.dataset.modalities}
        targets = {m: Encoded(m, c, gallery[m].labels) for m, c in codes.items() if c is not None}
        if not targets:
            return []
        asked = {m: Encoded(m, self._encode(protocol.query, m), items.labels) for m, items in queries.items()}
        folds = cut(protocol, queries, gallery) if protocol.folds > 1 else []
        records = []
        for strategy in self.plan.retrievals or self.method.info.retrieval:
            for a, b in permutations(self.dataset.modalities, 2):
                if b in targets:
                    seen = self._training_codes(a) if strategy in READS_LABELS else None
                    # A strategy that looks queries up among training items of their own modality needs no translation.
                    query = asked[a] if seen else self._translated(asked[a], b)
                    sides = Side(query, queries[a].instances), Side(targets[b], gallery[b].instances)
                    records += self._record(Task(protocol, strategy, *sides, seen), folds)
        return records

    def _translated(self, query: Encoded, target: str) -> Encoded:
        with _clock(self.seconds, "encode"):
            codes = self.method.translate(query.representations, query.modality, target)
        if codes is query.representations:
            return query
        self._check(target, codes, len(query), "translate")
        return replace(query, representations=codes)

    def _training_codes(self, modality: str) -> Encoded:
        key = ("(training)", modality)
        if key not in self.encoded:
            self.encoded[key] = self._represent(modality, self.known[modality])
        return Encoded(modality, self.encoded[key], self.known[modality].labels)

    def _record(self, task: Task, folds: Sequence[Fold]) -> list[Record]:
        self.on_stage("evaluate")
        protocol, strategy, query, target = task.protocol, task.strategy, task.query.encoded, task.gallery.encoded
        metrics = [Metric.parse(m) for m in protocol.metrics]
        first, beside = str(metrics[0]), self._ends(metrics)
        with _clock(self.seconds, "evaluate"):
            result, curves, top = self._evaluate(task, [*metrics, *beside], folds)
            per_class = None
            if protocol.relevance == "label":
                per_class = by_class(result.per_query[first], labels_of(query), self.dataset.classes)
            hamming = strategy == "hamming"
            codes = diagnose(query.representations, target.representations) if hamming else None
        flags = [
            flag
            for flag, holds in (
                ("label-reading", strategy in READS_LABELS or self.method.info.reads_labels),
                ("learned-codes", protocol.gallery_codes == "learned"),
                ("test-selected", protocol.selection == "test_best"),
            )
            if holds
        ]
        kept = {metrics[0], *(metric for metric in metrics if metric.kind == "mAP")}
        with_first: dict[str, Any] = {"codes": codes, "curves": curves, "per_class": per_class, "top": top}
        return [
            Record(
                query_modality=query.modality,
                gallery_modality=target.modality,
                protocol=protocol.name,
                protocol_fingerprint=protocol.fingerprint,
                gallery_codes=protocol.gallery_codes,
                retrieval=strategy,
                metric=str(metric),
                value=float(result.values[str(metric)]),
                stderr=float(result.stderr[str(metric)]),
                chance=float(result.chance[str(metric)]),
                n_query=result.n_query,
                n_gallery=result.n_gallery,
                flags=(*flags, *more),
                per_query=tuple(result.per_query[str(metric)].tolist()) if metric in kept else (),
                **(with_first if metric == metrics[0] else {}),
            )
            for named, more in ((metrics, ()), (beside, (SPAN,)))
            for metric in named
        ]

    def _evaluate(
        self, task: Task, metrics: Sequence[Metric], folds: Sequence[Fold]
    ) -> tuple[Evaluation, Curves | None, tuple[FirstResults, ...]]:
        """The metrics of a task; curves, and what some queries found first, of rankings of the whole gallery."""
        if folds:
            return measure(task, metrics, self.method, folds, self.plan.threads), None, ()
        scores, relevance = compared(task, self.method)
        drawn = curves_of(metrics[0], scores.shape[1])
        result = measure_whole(scores, relevance, metrics, self.plan.threads, drawn)
        return result, points_of(result, drawn), first_results(scores, relevance)

    def _ends(self, metrics: Sequence[Metric]) -> list[Metric]:
        """What is measured beside a protocol's metrics: the ends of their spans, where codes tie most of a ranking."""
        if not self.plan.spans or self.method.info.output != "hash":
            return []
        ends = dict.fromkeys(end for metric in metrics for end in span_of(metric) or ())
        return [end for end in ends if end not in metrics]


def _closed(split: str) -> Mapping[str, Items]:
    raise MethodError(f"declines may look at what a dataset declares, not open its {split} items")


def _corresponding(items: Mapping[str, Items]) -> bool:
    """Whether row i of every modality is of the same instance."""
    first, *others = items.values()
    return all(np.array_equal(first.instances, other.instances) for other in others)


def model_bytes(value: object, depth: int = 0) -> int:
    """Bytes of the arrays and tensors that a fitted method holds in its attributes; 0 where they refuse to tell."""
    try:
        return _bytes_of(value, depth)
    except Exception:  # an object's own attribute or state_dict: no reason to lose a finished run
        return 0


def _bytes_of(value: object, depth: int) -> int:
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    if hasattr(value, "element_size") and hasattr(value, "nelement"):
        return int(value.element_size() * value.nelement())
    if hasattr(value, "state_dict"):
        return _bytes_of(dict(value.state_dict()), depth + 1)
    if depth > 6:
        return 0
    if isinstance(value, Mapping):
        return sum(_bytes_of(v, depth + 1) for v in value.values())
    if isinstance(value, (list, tuple)):
        return sum(_bytes_of(v, depth + 1) for v in value)
    if hasattr(value, "__dict__") and not isinstance(value, type):
        return sum(_bytes_of(v, depth + 1) for v in vars(value).values())
    return 0


class _clock:  # noqa: N801
    """Adds the wall seconds of a block to one stage."""

    def __init__(self, seconds: dict[str, float], stage: str) -> None:
        self.seconds = seconds
        self.stage = stage

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.seconds[self.stage] += time.perf_counter() - self.start
