"""The CSV files of the package as typed values; read once."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from functools import cache
from importlib import resources
from itertools import permutations
from types import SimpleNamespace
from typing import Any

from cmrbench.published.model import (
    MissingCell,
    PublishedCell,
    PublishedDataset,
    PublishedMethod,
    PublishedSplit,
    PublishedTime,
    QueryTime,
)
from cmrbench.published.words import read_words, setting_of

_TIMES_TABLE = ("survey", "IX")


@cache
def cells() -> tuple[PublishedCell, ...]:
    """Every printed number but times, in the order of the papers' tables."""
    rows = _rows("published_results.csv")
    return tuple(PublishedCell(**_place(r), value=float(r["value"]), printed=r["value"]) for r in rows)


@cache
def missing() -> tuple[MissingCell, ...]:
    """Every cell that is printed as a dash, those of times included."""
    return tuple(MissingCell(**_place(r)) for r in _rows("missing.csv"))


@cache
def timings() -> tuple[PublishedTime, ...]:
    """Training and test seconds of hashing methods (the survey's Table IX)."""
    paper, table = _TIMES_TABLE
    return tuple(
        PublishedTime(
            paper=paper,
            table=table,
            method=r["method_slug"],
            method_name=r["method"],
            category=r["category"],
            dataset=r["dataset"],
            dataset_printed=r["dataset_printed"],
            bits=int(r["bits"]),
            train=float(r["train_s"]),
            train_printed=r["train_s"],
            test=float(r["test_s"]),
            test_printed=r["test_s"],
            reference=r["survey_ref"],
            line=int(r["source_line"]),
        )
        for r in _rows("timings.csv")
    )


@cache
def query_times() -> tuple[QueryTime, ...]:
    """Seconds a query of two search strategies (LCM's text 5.3)."""
    return tuple(
        QueryTime(
            paper=r["paper"],
            where=r["location"],
            method=r["method_slug"],
            search=r["search"],
            dataset=r["dataset"],
            seconds=float(r["seconds_per_query"]),
            printed=r["seconds_per_query"],
            line=int(r["source_line"]),
        )
        for r in _rows("timings_query.csv")
    )


@cache
def methods() -> Mapping[str, PublishedMethod]:
    """Every method that the papers name, by its name across papers; most have no printed number."""
    found = (
        PublishedMethod(
            method=r["slug"],
            name=r["method"],
            names_printed=tuple(r["names_printed"].split("; ")),
            category=r["category"],
            group=r["group"],
            subcategory=r["subcategory"],
            venue=r["venue_year_reference"],
            venues=tuple(filter(None, r["venue_year_table"].split("; "))),
            supervised=r["supervised"],
            supervised_basis=r["supervised_basis"],
            output=r["output"],
            output_basis=r["output_basis"],
            reference=r["survey_ref"],
            notes=r["notes"],
        )
        for r in _rows("methods.csv")
    )
    return {one.method: one for one in found}


@cache
def datasets() -> Mapping[str, PublishedDataset]:
    """Every dataset that the papers name."""
    found = (
        PublishedDataset(
            dataset=r["dataset"],
            names=tuple(r["names_used"].split("; ")),
            instances=r["instances"],
            classes=r["categories"],
            modalities=r["modalities"],
            labels=r["label_type"],
            source=r["instances_source"],
            notes=r["notes"],
        )
        for r in _rows("datasets.csv")
    )
    return {one.dataset: one for one in found}


@cache
def splits() -> tuple[PublishedSplit, ...]:
    """The splits and features that LCM and DRCL state, a modality each; the survey states none for its results."""
    return tuple(
        PublishedSplit(
            paper=r["paper"],
            dataset=r["dataset"],
            dataset_printed=r["dataset_printed"],
            classes=int(r["categories"]),
            modality=r["modality"],
            train=int(r["train"]),
            val=int(r["val"]),
            retrieval=int(r["retrieval"]) if r["retrieval"] else None,
            query=int(r["query_test"]),
            features=r["feature"],
            dims=r["feature_dim"],
            note=r["note"],
        )
        for r in _rows("dataset_splits.csv")
    )


def _rows(name: str) -> list[dict[str, str]]:
    text = (resources.files("cmrbench.published") / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def _place(row: dict[str, str]) -> dict[str, Any]:
    place = {
        "paper": row["paper"],
        "table": row["table"],
        "method": row["method_slug"],
        "method_name": row["method"],
        "method_printed": row["method_printed"],
        "dataset": row["dataset_resolved"],
        "dataset_printed": row["dataset_printed"],
        "category": row["category"],
        "venue": row["venue_year"],
        "features": row["features_note"],
        "task": read_words()["averages"].get(row["task"], row["task"]),
        "metric": read_words()["metrics"][row["metric"]],
        "metric_printed": row["metric"],
        "bits": int(row["bits"]) if row["bits"] else None,
        "variant": row["variant"],
        "flags": tuple(filter(None, row["flags"].split(";"))),
        "reference": row["survey_ref"],
        "line": int(row["source_line"]),
    }
    place["directions"] = _directions(place["task"])
    place["setting"] = setting_of(SimpleNamespace(**place), place["variant"])
    return place


def _directions(task: str) -> tuple[str, ...]:
    if task == "all":
        return tuple(f"{a}->{b}" for a, b in permutations(read_words()["modalities"], 2))
    first, both, second = task.partition("<->")
    if both:
        return f"{first}->{second}", f"{second}->{first}"
    return (task,) if task else ()
