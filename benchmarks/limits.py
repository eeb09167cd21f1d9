"""What no peer tells: distance to the machine's limits, memory, threads, start-up, and a GPU where there is one."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np

from benchmarks import workloads
from benchmarks.measuring import Measured, alternate, measured, numerical_threads, summary
from benchmarks.workloads import Shape, Workload
from cmrbench.metrics import BLOCK_BYTES, Evaluation, compiled, cosine, evaluate, from_labels, hamming
from cmrbench.metrics.shards import evaluate_in_parts

SIZES = (10_000, 100_000, 1_000_000)
BUDGETS = (64 << 20, 256 << 20)
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Row:
    """One line of the table; `met` is None where there is no goal or nothing was measured."""

    workload: str
    implementation: str
    seconds: float | None = None
    ratio: float | None = None
    peak_mb: float | None = None
    value: str = ""
    goal: str = ""
    met: bool | None = None
    note: str = ""


@dataclass(frozen=True)
class Settings:
    repeats: int = 5
    queries: int | None = None


def engine(w: Workload, metrics: Sequence[str] | None = None, **options: Any) -> Evaluation:
    """The engine from arrays to values, on one thread unless told otherwise."""
    compare = cosine if w.kind == "cosine" else hamming
    scores = compare(w.query, w.gallery)
    return evaluate(scores, from_labels(w.query_labels, w.gallery_labels), metrics or w.metrics, **options)


def warm_up(w: Workload, metrics: Sequence[str] | None = None, **options: Any) -> None:
    """A call that is large enough to load or compile whatever the timed calls use."""
    engine(w.first(2_000_000 // w.n_gallery + 1), metrics, **options)


def limits(settings: Settings) -> Iterator[Row]:
    """W5 against its matrix product and 6 ns a pair; Hamming time a pair as the gallery grows."""
    w = workloads.make("W5", settings.queries)
    warm_up(w)
    ours, product = alternate(
        lambda: measured(lambda: engine(w)), lambda: measured(lambda: matrix_product(w)), settings.repeats
    )
    limit = 1.3 * product.seconds + 6e-9 * w.pairs
    yield Row("W5", "matrix product alone", product.seconds, value=f"{_gigaflops(w, product):.0f} GF/s")
    yield Row(
        "W5",
        "engine / (1.3 product + 6 ns a pair)",
        ours.seconds,
        ours.seconds / limit,
        ours.peak_mb,
        f"{(ours.seconds - product.seconds) / w.pairs * 1e9:.2f} ns a pair beyond the product",
        "<= 1",
        ours.seconds <= limit,
    )
    for n, goal in ((18_015, 0.8), (60_000, 0.8), (200_000, 0.8), (1_000_000, 1.0)):
        w = workloads.generate(f"Hamming {n:,}", replace(workloads.SHAPES["W4"], n_gallery=n, metrics=("mAP@all",)), 6)
        w = w.first(settings.queries or w.n_query)
        warm_up(w)
        ours = repeated(w, settings)
        each = ours.seconds / w.pairs * 1e9
        yield Row(
            w.name,
            "engine, 64 bits",
            ours.seconds,
            None,
            ours.peak_mb,
            f"{each:.2f} ns a pair",
            f"<= {goal} ns a pair",
            each <= goal,
        )


def repeated(w: Workload, settings: Settings) -> Measured:
    """The engine alone, as often as `settings` say."""
    return summary([measured(lambda: engine(w)) for _ in range(settings.repeats)])


def matrix_product(w: Workload) -> None:
    """The scores of every block of queries and nothing else; a block is what the byte budget holds in float32."""
    rows = max(1, BLOCK_BYTES // (4 * w.n_gallery))
    rows = min(rows // 16 * 16 or rows, w.n_query)
    block = np.empty((rows, w.n_gallery), dtype=np.float32)
    for start in range(0, w.n_query, rows):
        query = w.query[start : start + rows]
        np.matmul(query, w.gallery.T, out=block[: len(query)])


def _gigaflops(w: Workload, product: Measured) -> float:
    return 2e-9 * w.pairs * w.query.shape[1] / product.seconds


def memory(settings: Settings) -> Iterator[Row]:
    """Peak beyond the inputs, each size in a process of its own: <= budget + 40 B x n x threads + 48 MB."""
    for kind in ("hamming", "cosine"):
        for n in SIZES:
            for budget in BUDGETS:
                queries = settings.queries or (2000 if kind == "hamming" else 600)
                task = {"kind": kind, "n": n, "queries": queries, "budget": budget}
                found = json.loads(_python("-m", "benchmarks.limits", json.dumps(task)))
                limit = (budget + 40 * n) / 2**20 + 48
                peak = found["peak_mb"]
                yield Row(
                    f"memory, {kind}, n = {n:,}",
                    f"engine, budget {budget >> 20} MB",
                    found["seconds"],
                    None,
                    peak,
                    f"{queries} queries, {found['inputs_mb']:.0f} MB of inputs",
                    f"<= {limit:.0f} MB",
                    None if peak is None else peak <= limit,
                    f"{NOT_MEASURED}: Linux only" if peak is None else "",
                )


def _memory_child(kind: str, n: int, queries: int, budget: int) -> dict[str, float | None]:
    d = 64 if kind == "hamming" else 256
    shape = Shape(kind, queries, n, d, 21, metrics=("mAP@all", "mAP@50"))
    with numerical_threads(1):
        engine(
            workloads.generate("warm-up", replace(shape, n_query=300, n_gallery=5000), 1)
        )  # load what is loaded once
        w = workloads.generate("memory", shape, 2)
        found = measured(lambda: engine(w, block_bytes=budget))
    return {"seconds": found.seconds, "peak_mb": found.peak_mb, "inputs_mb": w.inputs_mb}


def threads(settings: Settings) -> Iterator[Row]:
    """Wall time on two threads against one."""
    for name in ("W4", "W5"):
        row = Row(name, "engine, 2 threads against 1", goal=">= 1.6x")
        if (os.cpu_count() or 1) < 2:
            yield replace(row, value=NOT_MEASURED, note="one core")
            continue
        w = workloads.make(name, settings.queries)
        warm_up(w, threads=2)

        def on(count: int, w: Workload = w) -> Measured:
            with numerical_threads(count):
                return measured(lambda: engine(w, threads=count), time.perf_counter)

        one, two = alternate(lambda: on(1), lambda: on(2), settings.repeats)
        ratio = one.seconds / two.seconds
        load = f"wall time; load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "wall time"
        yield replace(row, seconds=two.seconds, ratio=ratio, peak_mb=two.peak_mb, met=ratio >= 1.6, note=load)


FIRST_CALL = """
import sys, time
if sys.argv[1] == "numpy":
    sys.modules["numba"] = None  # as if it were not installed
import numpy as np
start = time.perf_counter()
from cmrbench.metrics import cosine, evaluate, from_labels, hamming
rng = np.random.default_rng(0)
q, g = (rng.standard_normal((n, 64), dtype=np.float32) for n in (400, 5000))
ql, gl = ((rng.random((n, 20)) < 0.2).astype(np.uint8) for n in (400, 5000))
for scores in (cosine(q, g), hamming(np.sign(q).astype(np.int8), np.sign(g).astype(np.int8))):
    evaluate(scores, from_labels(ql, gl), ["mAP@all", "mAP@50"])
print(time.perf_counter() - start)
"""


def start(settings: Settings) -> Iterator[Row]:
    """First call of a fresh process, import included, with compiled kernels on disk, against the numpy path."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {"NUMBA_CACHE_DIR": folder}

        def first_call(path: str) -> float:
            return float(_python("-c", FIRST_CALL, path, environment=environment).splitlines()[-1])

        compiling = first_call("default")
        kernels = any(files for _, _, files in os.walk(folder))
        rounds = [(first_call("default"), first_call("numpy")) for _ in range(settings.repeats)]
    ours, plain = (median(seconds) for seconds in zip(*rounds, strict=True))
    note = "wall time" if kernels else "wall time; nothing was compiled, both are the numpy path"
    yield Row("start", "engine, kernels to be compiled", compiling, note=note)
    yield Row("start", "engine, numpy path", plain, note=note)
    late = ours - plain
    yield Row("start", "engine, kernels on disk", ours, None, None, f"{late:+.2f} s", "<= +1 s", late <= 1, note)


def cuda(settings: Settings) -> Iterator[Row]:
    """W4, W5 and ten million items on a GPU."""
    import torch

    ten = {kind: Shape(kind, 128, 10_000_000, 64, 21) for kind in ("hamming", "cosine")}
    names = {"W4": None, "W5": None, "10M, hamming": ten["hamming"], "10M, cosine": ten["cosine"]}
    for name, shape in names.items():
        row = Row(name, "engine, CUDA", value=NOT_MEASURED)
        if not torch.cuda.is_available():
            yield replace(row, note="no CUDA device")
        else:
            w = workloads.make(name) if shape is None else workloads.generate(name, shape, 7)
            w = w.first(settings.queries or w.n_query)
            warm_up(w, device="cuda")
            runs = [measured(lambda w=w: engine(w, device="cuda"), time.perf_counter) for _ in range(settings.repeats)]
            found = summary(runs)
            value = ", ".join(f"{v:.5f}" for v in found.value.values.values())
            device = f"wall time; {torch.cuda.get_device_name()}"
            yield replace(row, seconds=found.seconds, peak_mb=found.peak_mb, value=value, note=device)


def _python(*arguments: str, environment: dict[str, str] | None = None) -> str:
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **one, **(environment or {})})
    if done.returncode:
        sys.exit(f"{' '.join(arguments[:2])} ended with exit code {done.returncode}:\n{done.stderr}")
    return done.stdout


def also(settings: Settings) -> Iterator[Row]:
    """What has no peer and no goal: other metrics, other ways of ranking, and galleries in parts; ns a pair."""
    for name, metrics, options in (
        ("W4", ("mAP@all[stable]",), {}),
        ("W4", ("NDCG@100[shared]",), {}),
        ("W4", ("mAP@all",), {"device": "cpu"}),
        ("W5", ("mAP@all[stable]",), {}),
        ("W5", ("P@50", "NDCG@50", "MedR", "RPrec"), {}),
        ("W5", ("NDCG@100[shared]",), {}),
        ("W5", ("mAP@all",), {"device": "cpu"}),
    ):
        w = workloads.make(name, min(settings.queries or 330, 330))
        warm_up(w, metrics, **options)
        found = summary(
            [measured(lambda w=w, m=metrics, o=options: engine(w, m, **o)) for _ in range(settings.repeats)]
        )
        how = f"engine, {', '.join(metrics)}" + ("; torch on the CPU" if options else "")
        yield _each(name, how, w, found)
    for name in ("W4", "W5"):
        w = workloads.make(name, min(settings.queries or 330, 330))
        part = -(-w.n_gallery // 4)

        def in_parts(w: Workload = w, part: int = part) -> Evaluation:
            arrays = w.query, w.gallery, w.query_labels, w.gallery_labels
            return evaluate_in_parts(*arrays, distance=w.kind, metrics=["mAP@all"], part_items=part)

        in_parts(w.first(2_000_000 // w.n_gallery + 1))
        found = summary([measured(in_parts) for _ in range(settings.repeats)])
        yield _each(name, "engine, mAP@all; gallery in 4 parts", w, found)
    with _numpy_alone():
        for name in ("W4", "W5"):
            w = workloads.make(name, min(settings.queries or 100, 100))
            found = summary([measured(lambda w=w: engine(w, ["mAP@all"])) for _ in range(settings.repeats)])
            yield _each(name, "engine, mAP@all; without numba", w, found)


def _each(name: str, how: str, w: Workload, found: Measured) -> Row:
    value = f"{found.seconds / w.pairs * 1e9:.2f} ns a pair"
    return Row(name, how, found.seconds, None, found.peak_mb, value, note=f"{w.n_query} queries")


@contextlib.contextmanager
def _numpy_alone() -> Iterator[None]:
    kernels, compiled.kernels = compiled.kernels, lambda: None
    try:
        yield
    finally:
        compiled.kernels = kernels


GROUPS = {"limits": limits, "memory": memory, "threads": threads, "start": start, "also": also, "cuda": cuda}


if __name__ == "__main__":
    print(json.dumps(_memory_child(**json.loads(sys.argv[1]))))
