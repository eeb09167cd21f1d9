"""A results folder as a laboratory has it after a year: generated, with the layout and the sizes of real runs."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

DONE = "complete.json"
METRICS = ("mAP@all", "mAP@50", "mAP@500")
SPANS = ("mAP@all[pessimistic]", "mAP@all[optimistic]")
DIRECTIONS = (("image", "text"), ("text", "image"))
CATEGORIES = ("supervised_hash", "unsupervised_hash")


@dataclass(frozen=True)
class Size:
    """What the folder holds: methods x datasets x bits x seeds runs of `METRICS` in two directions."""

    methods: int = 50
    datasets: int = 10
    bits: tuple[int, ...] = (16, 32, 64, 128)
    seeds: int = 10
    queries: int = 834

    @property
    def runs(self) -> int:
        """Run files."""
        return self.methods * self.datasets * len(self.bits) * self.seeds

    @property
    def values(self) -> int:
        """Values of queries in all of them."""
        return self.runs * len(DIRECTIONS) * len(METRICS) * self.queries


def results_folder(folder: Path, size: Size, processes: int) -> Path:
    """The folder with all runs, made unless it is there already."""
    made = folder / f"store-{size.runs}-{size.queries}"
    told = json.dumps(asdict(size))
    mark = made / DONE
    if mark.exists() and mark.read_text() == told:
        return made
    (made / "runs").mkdir(parents=True, exist_ok=True)
    places = [(m, d) for m in range(size.methods) for d in range(size.datasets)]
    with ProcessPoolExecutor(processes) as pool:
        for _ in pool.map(partial(_write_place, made / "runs", size), places, chunksize=4):
            pass
    mark.write_text(told)
    return made


def _write_place(runs: Path, size: Size, place: tuple[int, int]) -> None:
    """The runs of one method on one dataset, made as one table and cut."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from cmrbench.core.runs import ENGINE, RunSpec
    from cmrbench.store.files import run_layout
    from cmrbench.store.schema import SCHEMA

    method, dataset = place
    name = f"method{method:02}"
    rng = np.random.default_rng(place)
    quality = rng.beta(3, 4)
    # A query is easy or hard for every method; methods and seeds differ around that.
    ease = np.random.default_rng(dataset).normal(0, 0.8, (len(DIRECTIONS), 1, size.queries))
    rows: list[dict[str, Any]] = []
    texts = {
        "title": name.upper(),
        "category": CATEGORIES[method % 2],
        "group": "made",
        "venue": f"MM{method % 20 + 5}",
    }
    info = list((texts | {"output": "hash", "supervision": "labels"}).items())
    environment = [("cmrbench", "0"), ("engine", ENGINE), ("python", "3"), ("numpy", "2"), ("processor", "made")]
    for bits in size.bits:
        for seed in range(size.seeds):
            spec = RunSpec(name, f"dataset{dataset}", f"{dataset:064x}", "features", bits=bits, seed=seed)
            run = {
                "spec_key": spec.spec_key,
                "run_key": spec.spec_key + f"{seed:08x}",
                "method": name,
                "params": "{}",
                "preset": "",
                "resolved": '{"iterations": 50, "lambda": 0.1}',
                "dataset": spec.dataset,
                "dataset_fingerprint": spec.dataset_fingerprint,
                "feature_set": spec.feature_set,
                "bits": bits,
                "seed": seed,
                "info": info,
                "status": "done",
                "cause": "",
                "trace": "",
                "created": f"2026-01-{method % 28 + 1:02}T{dataset:02}:{seed:02}:{bits % 60:02}.000+00:00",
                "load_s": 0.1,
                "fit_s": float(rng.gamma(2, 5)),
                "encode_s": 0.1,
                "evaluate_s": 0.2,
                "total_s": 12.0,
                "peak_rss": int(rng.integers(2e8, 2e9)),
                "model_bytes": 100_000,
                "output_dim": bits,
                "n_train": 10_000,
                "environment": environment,
                "warnings": [],
            }
            logits = ease + rng.normal(0, 0.5, ease.shape) + 4 * (quality - 0.5) + rng.normal(0, 0.1)
            values = 1 / (1 + np.exp(-logits + np.arange(len(METRICS))[:, None] * 0.1))
            rows += [run | row for row in _records(size, values)]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    each = len(DIRECTIONS) * (len(METRICS) + len(SPANS))
    for start in range(0, table.num_rows, each):
        part = table.slice(start, each)
        # Not `write_run`, which waits for the disk after every file.
        pq.write_table(part, runs / f"{part.column('run_key')[0]}.parquet", **run_layout())


def _records(size: Size, values: np.ndarray) -> list[dict[str, Any]]:
    """Rows of one run from the values of its queries, float64 (directions, metrics, queries)."""
    rows = []
    for (query, gallery), by_metric in zip(DIRECTIONS, values, strict=True):
        where = {
            "direction": f"{query}->{gallery}",
            "query_modality": query,
            "gallery_modality": gallery,
            "protocol": "query-gallery",
            "protocol_fingerprint": "0123456789abcdef",
            "gallery_codes": "function",
            "retrieval": "hamming",
            "chance": 0.1,
            "n_query": size.queries,
            "n_gallery": 18_015,
        }
        for i, metric in enumerate((*METRICS, *SPANS)):
            per_query = by_metric[i] if i < len(METRICS) else by_metric[0] + (0.01 if "opt" in metric else -0.01)
            first = {"curves": {"precision": [0.5] * 10, "interpolated": [0.5] * 21}} if i == 0 else {}
            if i == 0:
                first["per_class"] = [(f"class {c}", 0.5) for c in range(24)]
                first["top"] = [{"query": q, "results": [*range(q, q + 10)], "hits": [True] * 10} for q in range(40)]
            rows.append(
                where
                | first
                | {
                    "metric": metric,
                    "value": float(per_query.mean()),
                    "stderr": float(per_query.std() / np.sqrt(size.queries)),
                    "flags": ["span"] if i >= len(METRICS) else [],
                    "per_query": per_query if i < len(METRICS) else [],
                }
            )
    return rows
