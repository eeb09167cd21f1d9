"""What data costs: building NUS-WIDE from its archives, and loading large prepared data.

    python -m benchmarks.data_build [--pictures 269648] [--repeats 5] [--folder FOLDER]

(a) a stand-in in the official layout and size is written to a temporary folder and built by `load_dataset` in a
    process of its own: seconds, megabytes of source text a second, peak of resident memory (mapped pages included);
(b) prepared data of 195,834 x 4,096 float32 (a file with holes) is loaded by `load_dataset` in fresh processes, and
    its arrays are opened: seconds and resident memory before a row is touched.

Prints one table; exits 1 when a goal is missed. Linux only. Needs 4 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import nuswide_standin

GOALS = {"build GiB": 2.0, "load seconds": 0.5, "load MiB": 100.0}
LARGE = (195_834, 4_096)

CHILD = """
import json, sys, time
from pathlib import Path
def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))
start = time.perf_counter()
import cmrbench
from cmrbench.data.catalogue import load_catalogue
imported, before = time.perf_counter(), status("VmRSS")
dataset = cmrbench.load_dataset(sys.argv[1], catalogue=load_catalogue([sys.argv[2]]))
parts = {split: dataset.part(split) for split in dataset.sizes}
loaded = time.perf_counter()
print(json.dumps({
    "import_s": imported - start, "load_s": loaded - imported, "before_mib": before, "rss_mib": status("VmRSS"),
    "peak_mib": status("VmHWM"), "sizes": dataset.sizes, "dims": dataset.dims,
}))
"""

SMALL = """
datasets:
  large:
    title: Large
    summary: A small dataset whose gallery is grown.
    licence: none
    citation: none
    folder: .
    builder: npz
    labels: {classes: 21, multilabel: true}
    sources: [{file: data.npz}]
    feature_sets:
      deep: {default: true, modalities: {image: {extractor: x}, text: {extractor: y}}}
    protocols:
      - {name: query-gallery, query: [query], gallery: [gallery]}
"""


def load(dataset: str, catalogue: Path, cache: Path) -> dict[str, Any]:
    """Load a dataset in a process of its own."""
    environment = os.environ | {"CMRBENCH_DATA": str(cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CHILD, dataset, str(catalogue)]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{dataset} was not loaded:\n{done.stderr}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def grown(folder: Path) -> Path:
    """Prepared data whose gallery has `LARGE` image features; returns its catalogue file.

    A small dataset is prepared in the ordinary way; then the arrays of its gallery are replaced by large ones, which
    are holes in files but for ids, and the manifest is told.
    """
    rng = np.random.default_rng(0)
    folder.mkdir()
    split = np.repeat(["train", "query", "gallery"], [63, 21, 42])
    hot = np.eye(21, dtype=np.int64)[np.arange(len(split)) % 21]
    image, text = (rng.random((len(split), d), dtype=np.float32) for d in (LARGE[1], 1000))
    np.savez(folder / "data.npz", image=image, text=text, label=hot, split=split)
    catalogue = folder / "catalogue.yaml"
    catalogue.write_text(SMALL, encoding="utf-8")
    load("large", catalogue, folder / "cache")
    (manifest_path,) = (folder / "cache").glob("prepared/large/*/manifest.json")
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    ids = np.array([f"picture-{i:06d}" for i in range(LARGE[0])])
    for modality in manifest["modalities"]:
        manifest["sizes"]["gallery"][modality] = LARGE[0]
        for array in ("features", "labels", "ids", "instances"):
            path = manifest_path.parent / f"gallery.{modality}.{array}.npy"
            old = np.load(path)
            path.unlink()
            shape, dtype = (LARGE[0], *old.shape[1:]), ids.dtype if old.ndim == 1 else old.dtype
            new = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
            if old.ndim == 1:
                new[:] = ids
            new.flush()
            manifest["files"][path.name]["bytes"] = path.stat().st_size
    manifest_path.write_text(json.dumps(manifest), encoding="utf-8")
    return catalogue


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=nuswide_standin.PICTURES)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    options = parser.parse_args()
    rows: list[tuple[str, str, str, bool | None]] = []

    def add(what: str, value: float, unit: str, goal: float | None = None) -> None:
        reached = None if goal is None else value <= goal
        rows.append((what, f"{value:,.2f} {unit}", "" if goal is None else f"<= {goal:g} {unit}", reached))

    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        start = time.perf_counter()
        size = nuswide_standin.write(folder / "nuswide", options.pictures)
        add(f"writing a stand-in of {options.pictures:,} pictures", time.perf_counter() - start, "s")
        built = load("standin", folder / "nuswide" / "catalogue.yaml", folder / "cache")
        items = sum(n["image"] for n in built["sizes"].values())
        what = f"build, {items:,} x ({built['dims']['image']} + {built['dims']['text']})"
        add(what, built["load_s"], "s")
        add("  source text", size / 1e6 / built["load_s"], "MB/s")
        add("  peak resident memory", built["peak_mib"] / 1024, "GiB", GOALS["build GiB"])
        catalogue = grown(folder / "large")
        runs = [load("large", catalogue, folder / "large" / "cache") for _ in range(options.repeats)]
        assert runs[0]["sizes"]["gallery"]["image"] == LARGE[0]
        add(
            f"load {LARGE[0]:,} x {LARGE[1]:,}",
            statistics.median(r["load_s"] for r in runs),
            "s",
            GOALS["load seconds"],
        )
        add("  importing cmrbench before", statistics.median(r["import_s"] for r in runs), "s")
        add("  resident memory, all of the process", max(r["rss_mib"] for r in runs), "MiB", GOALS["load MiB"])
        add("  of which before", max(r["before_mib"] for r in runs), "MiB")
    table = Table("what", "measured", "goal", "", title=f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    for what, value, goal, reached in rows:
        table.add_row(what, value, goal, "" if reached is None else "met" if reached else "MISSED")
    Console().print(table)
    return 1 if any(reached is False for *_, reached in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
