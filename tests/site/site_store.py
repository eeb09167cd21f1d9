"""A small store with everything that the page shows, and a dataset of coloured squares for its gallery."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path

from cmrbench.core.hashing import digest
from cmrbench.core.runs import CodeDiagnostics, Curves, FirstResults, Record, RunResult, RunSpec
from cmrbench.report.site import Place, ShownItem
from cmrbench.store.store import Store

FINGERPRINT = digest("emoji", 64)
CLASSES = ("animal", "food")
DIRECTIONS = ("image->text", "text->image")
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
INFO = {
    "random_hash": ("Random codes", "baseline", "", "", "none"),
    "cvh": ("CVH", "unsupervised_hash", "Graph", "IJCAI11", "none"),
    "imh": ("IMH", "unsupervised_hash", "Graph", "SIGMOD13", "none"),
    "scm": ("SCM", "supervised_hash", "MF", "AAAI14", "labels"),
    "batch": ("BATCH", "supervised_hash", "MF", "TKDE21", "labels"),
    "cca": ("CCA", "unsupervised_real", "CCA", "MM10", "none"),
    "lcm": ("LCM", "supervised_real", "FM", "TIP24", "labels"),
}
LEVEL = {"random_hash": 0.1, "cvh": 0.2, "imh": 0.25, "scm": 0.4, "batch": 0.5, "cca": 0.2, "lcm": 0.6}


def info(method: str) -> dict[str, str]:
    title, category, group, venue, supervision = INFO[method]
    output = "hash" if method in ("random_hash", "cvh", "imh", "scm", "batch") else "real"
    named = {"title": title, "category": category, "group": group, "venue": venue}
    return named | {"supervision": supervision, "output": output}


def record(direction: str, metric: str, value: float, *, detailed: bool = False, **changes: object) -> Record:
    query, gallery = direction.split("->")
    fields: dict[str, object] = {
        "query_modality": query,
        "gallery_modality": gallery,
        "protocol": "query-gallery",
        "protocol_fingerprint": "p" * 16,
        "gallery_codes": "function",
        "retrieval": "hamming",
        "metric": metric,
        "value": value,
        "stderr": 0.01,
        "chance": 0.1,
        "n_query": 40,
        "n_gallery": 200,
    }
    if detailed:
        fields |= {
            "per_query": tuple(value + 0.001 * i for i in range(40)),
            "codes": CodeDiagnostics(0.9, 0.1, 0, 150, 0.5),
            "curves": Curves(tuple(value - 0.01 * i for i in range(8)), tuple(value - 0.01 * i for i in range(21))),
            "per_class": {name: value + 0.05 * i for i, name in enumerate(CLASSES)},
            "top": tuple(
                FirstResults(q, tuple(range(q, q + 10)), tuple(i % 2 == 0 for i in range(10))) for q in range(0, 40, 5)
            ),
        }
    return Record(**(fields | changes))  # type: ignore[arg-type]


def result(method: str, bits: int | None, seed: int = 0, **changes: object) -> RunResult:
    """A finished run; `changes` go into the result."""
    level = LEVEL[method] + (bits or 0) / 1000 + seed / 500
    retrieval = "hamming" if bits else "cosine"
    records = []
    for i, direction in enumerate(DIRECTIONS):
        value = level + 0.02 * i
        records.append(record(direction, "mAP@all", value, detailed=True, retrieval=retrieval))
        records.append(record(direction, "mAP@50", value + 0.1, retrieval=retrieval))
        if bits:
            for end, shift in (("pessimistic", -0.03), ("optimistic", 0.03)):
                metric = f"mAP@all[{end}]"
                records.append(record(direction, metric, value + shift, retrieval=retrieval, flags=("span",)))
    spec = RunSpec(method, "emoji", FINGERPRINT, "default", bits=bits, seed=seed)
    fields: dict[str, object] = {
        "spec": spec,
        "run_key": spec.spec_key,
        "status": "done",
        "info": info(method),
        "resolved": {"ridge": 0.1, "iterations": 10},
        "created": f"2026-01-0{seed + 1}T00:00:00+00:00",
        "seconds": {"load": 0.01, "fit": LEVEL[method] * 10, "encode": 0.1, "evaluate": 0.2, "total": 5.0},
        "peak_rss": 200 << 20,
        "model_bytes": 4096,
        "output_dim": bits or 10,
        "n_train": 100,
        "environment": {"cmrbench": "0.1.0", "engine": "1", "python": "3.11.7", "processor": "one", "cores": "2"},
        "records": tuple(records),
    }
    return RunResult(**(fields | changes))  # type: ignore[arg-type]


def results() -> Iterator[RunResult]:
    for method in INFO:
        for bits in (16, 32) if info(method)["output"] == "hash" else (None,):
            yield from (result(method, bits, seed) for seed in (0, 1))
    failed = result("cvh", 64)
    yield RunResult(
        spec=failed.spec,
        run_key=failed.run_key,
        status="failed",
        cause="the matrix is singular",
        trace="Traceback\n  line 1\nLinAlgError",
        info=failed.info,
        resolved={},
        created="2026-01-03T00:00:00+00:00",
        environment=failed.environment,
    )


def fill(folder: Path, listed: Sequence[RunResult] | None = None) -> Store:
    store = Store(folder)
    store.prepare()
    for one in results() if listed is None else listed:
        store.write(one)
    return store


class Squares:
    """Items with a picture where the modality is image, and a text where it is text."""

    credit = "Squares: CC0"

    def __init__(self, text: str = "text of") -> None:
        self.text = text

    def items(self, side: str, modality: str, positions: Sequence[int]) -> list[ShownItem]:
        made = []
        for p in positions:
            label = (CLASSES[p % 2],)
            if modality == "image":
                made.append(ShownItem(f"{side}-{p}", "", PIXEL, "image/png", label))
            else:
                made.append(ShownItem(f"{side}-{p}", f"{self.text} {side} {p}", labels=label))
        return made


class OneDataset:
    """Knows one state of one dataset."""

    def __init__(self, fingerprint: str = FINGERPRINT, text: str = "text of") -> None:
        self.fingerprint = fingerprint
        self.text = text

    def open(self, place: Place) -> Squares | str:
        if place.dataset_fingerprint != self.fingerprint:
            return "no gallery: the results are of other data"
        return Squares(self.text)
