"""`cmrbench list methods|datasets|transforms|extractors|suites|runs` and `cmrbench status`: what there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from cmrbench.cli.console import console, print_json
from cmrbench.core.errors import UsageError

app = typer.Typer(help="List methods, datasets, transforms, extractors, suites or runs.", no_args_is_help=True)
_JSON = typer.Option(False, "--json", help="Print JSON on standard output.")
_RESULTS = typer.Option(Path("results"), metavar="FOLDER", help="The results folder.")


@app.command("methods")
def methods_command(
    plugin: list[Path] = typer.Option([], metavar="FILE", help="A Python file with a method."),
    methods_dir: list[Path] = typer.Option(
        [], metavar="FOLDER", help="A folder of such files (also: CMRBENCH_METHODS)."
    ),
    as_json: bool = _JSON,
) -> None:
    """List the methods, and plugins that cannot be loaded."""
    from dataclasses import asdict

    from cmrbench.core.errors import PluginError
    from cmrbench.method import CATEGORIES
    from cmrbench.registry import load_methods

    table = load_methods(plugin, methods_dir)
    rows, broken = [], list(table.warnings)
    for name in table.names():
        try:
            info = table.get(name).info
        except PluginError as error:
            broken.append(str(error))
            continue
        rows.append(asdict(info) | {"origin": table.ref(name).origin})
    order = list(CATEGORIES)
    rows.sort(key=lambda r: (order.index(r["category"]), r["name"]))
    if as_json:
        print_json({"methods": rows, "broken": broken})
        return
    for warning in broken:
        typer.echo(f"warning: {warning}", err=True)
    columns = ("name", "title", "kind", "learns from", "modalities", "ranked by", "venue")
    _print_table(
        columns,
        [
            (
                r["name"],
                r["title"],
                CATEGORIES[r["category"]],
                "labels" if r["supervision"] == "labels" else "no labels",
                _modalities(r["modalities"]),
                ", ".join(r["retrieval"]),
                r["venue"],
            )
            for r in rows
        ],
    )


@app.command("datasets")
def datasets_command(
    datasets_file: list[Path] = typer.Option(
        [], metavar="FILE", help="A datasets.yaml of your own (also: CMRBENCH_DATASETS)."
    ),
    as_json: bool = _JSON,
) -> None:
    """List the registered datasets, as `cmrbench data list` does."""
    from cmrbench.cli.data.list import list_datasets

    list_datasets([str(f) for f in datasets_file], as_json)


@app.command("transforms")
def transforms_command(as_json: bool = _JSON) -> None:
    """List what a dataset's name can ask for: wiki+noise=0.4."""
    from cmrbench.data.transforms import TRANSFORMS

    rows = [{"name": t.name, "what": t.summary, "form": t.form(), "example": t.example} for t in TRANSFORMS.values()]
    if as_json:
        print_json(rows)
        return
    _print_table(("transform", "what", "example"), [(r["name"], r["what"], f"wiki+{r['example']}") for r in rows])


@app.command("extractors")
def extractors_command(as_json: bool = _JSON) -> None:
    """List what `cmrbench extract` can make features with."""
    from cmrbench.data.extract import extractor_class, extractor_names

    rows: list[dict[str, Any]] = []
    for name in extractor_names():
        cls = extractor_class(name)
        rows.append(
            {
                "name": name,
                "what": cls.extractor,
                "takes": list(cls.takes),
                "dims": cls.makes,
                "normalisation": cls.normalisation,
                "fitted": cls.fits,
                "parameters": cls().parameters(),
                "needs": list(cls.libraries),
            }
        )
    if as_json:
        print_json(rows)
        return
    _print_table(
        ("extractor", "takes", "dims", "parameters", "needs"),
        [
            (
                r["name"],
                " or ".join(r["takes"]),
                r["dims"],
                ", ".join(f"{k}={v}" for k, v in r["parameters"].items()),
                ", ".join(n for n in r["needs"] if n not in ("torch", "scikit-learn")),
            )
            for r in rows
        ],
    )
    typer.echo("install what they need with: pip install 'cmrbench[extract]'")


@app.command("suites")
def suites_command(as_json: bool = _JSON) -> None:
    """List the named lists of runs."""
    from cmrbench.run.suites import suites

    known = suites()
    if as_json:
        print_json({name: suite.model_dump() for name, suite in known.items()})
        return
    rows = []
    for name, suite in known.items():
        methods = dict.fromkeys(m for e in suite.entries for m in e.methods)
        datasets = dict.fromkeys(d for e in suite.entries for d in e.datasets)
        rows.append((name, suite.title, ", ".join(methods), ", ".join(datasets)))
    _print_table(("suite", "what", "methods", "datasets"), rows)


@app.command("runs")
def runs_command(results: Path = _RESULTS, as_json: bool = _JSON) -> None:
    """List the runs in a results folder."""
    rows = _runs(results)
    if as_json:
        print_json(rows)
        return
    from cmrbench.report.wording import setting

    columns = ("method", "setting", "dataset", "features", "bits", "seed", "status", "seconds", "cause")
    _print_table(
        columns,
        [
            (
                r["method"],
                setting(r["params"], r["preset"], r["dim"]),
                r["dataset"],
                r["feature_set"],
                str(r["bits"] or ""),
                str(r["seed"]),
                r["status"],
                "" if r["total_s"] is None else f"{r['total_s']:.1f}",
                r["cause"],
            )
            for r in rows
        ],
    )


def status_command(results: Path = _RESULTS, as_json: bool = _JSON) -> None:
    """Count the runs of a results folder by how they ended, and name those without a result."""
    from cmrbench.core.runs import is_settled

    rows = _runs(results)
    counts = Counter(r["status"] for r in rows)
    troubled = [r for r in rows if not is_settled(r["status"])]
    if as_json:
        print_json({"runs": len(rows), "by_status": dict(counts), "without_result": troubled})
        return
    typer.echo(f"{results}: {len(rows)} runs" + "".join(f", {n} {s}" for s, n in sorted(counts.items())))
    for r in troubled:
        size = f" {r['bits']} bits" if r["bits"] else ""
        typer.echo(f"  {r['status']}: {r['method']}{size} on {r['dataset']}, seed {r['seed']}: {r['cause']}")


def _runs(results: Path) -> list[dict[str, Any]]:
    from cmrbench.store.store import Store

    if not results.is_dir():
        raise UsageError(f"the results folder {results} does not exist; `cmrbench run` makes it")
    columns = ["run_key", "spec_key", "method", "preset", "params", "dataset", "feature_set", "dim", "bits", "seed"]
    table = Store(results).table([*columns, "status", "cause", "created", "total_s"])
    by_key = {row["run_key"]: row for row in table.to_pylist()}
    return sorted(
        by_key.values(), key=lambda r: (r["dataset"], r["feature_set"], r["method"], r["bits"] or 0, r["seed"])
    )


def _modalities(limits: Sequence[int | None]) -> str:
    fewest, most = limits
    return f"{fewest}" if fewest == most else f"{fewest}+" if most is None else f"{fewest}-{most}"


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    shown = Table(*columns)
    for column in shown.columns:
        column.overflow = "fold"  # a name that is cut off cannot be typed
    shown.columns[0].no_wrap = True
    for row in rows:
        shown.add_row(*(escape(str(x)) for x in row))
    console().print(shown)
