"""The one table layout: a row is a record with its run's columns; a run without numbers is one row with nulls.

The writer, the reader, the reports, the gate and the documentation all take their columns from here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import pyarrow as pa

from cmrbench.core.runs import (
    RECORDING,
    CodeDiagnostics,
    Curves,
    FirstResults,
    Record,
    RunResult,
    RunSpec,
)

SCHEMA_VERSION = RECORDING

_TEXTS = pa.map_(pa.string(), pa.string())
_CODES = pa.struct(
    [
        ("balance", pa.float64()),
        ("correlation", pa.float64()),
        ("dead_bits", pa.int32()),
        ("distinct_codes", pa.int64()),
        ("ties_at_50", pa.float64()),
    ]
)
_NUMBERS = pa.list_(pa.float64())
_CURVES = pa.struct([("precision", _NUMBERS), ("interpolated", _NUMBERS)])
_TOP = pa.list_(pa.struct([("query", pa.int32()), ("results", pa.list_(pa.int32())), ("hits", pa.list_(pa.bool_()))]))

RUN_FIELDS: list[tuple[str, pa.DataType, str]] = [
    ("spec_key", pa.string(), "hash of what was asked; the key of the gate and of comparisons over time"),
    ("run_key", pa.string(), "spec key plus method source, versions and evaluation plan; the key of resuming"),
    ("method", pa.string(), "registered name"),
    ("params", pa.string(), "parameters that were asked for, as JSON"),
    ("preset", pa.string(), "method preset that was applied, or empty"),
    ("resolved", pa.string(), "all parameters with their values, as JSON"),
    ("dataset", pa.string(), "registered name"),
    ("dataset_fingerprint", pa.string(), "SHA-256 over features, labels, ids and splits"),
    ("feature_set", pa.string(), "which description of the items"),
    ("bits", pa.int32(), "hash code length; null for real-valued methods"),
    ("dim", pa.int32(), "asked-for dimension of the common space; null: the method's choice"),
    ("seed", pa.int64(), "seed"),
    ("info", _TEXTS, "what the method declares: title, category, group, venue, output, supervision, deterministic ..."),
    ("status", pa.string(), "done, failed, timeout, oom, killed, declined"),
    ("cause", pa.string(), "why the status is not done"),
    ("trace", pa.string(), "traceback or the tail of the output of a failed run"),
    ("created", pa.string(), "ISO 8601, UTC"),
    ("load_s", pa.float64(), "wall seconds of opening the data"),
    ("fit_s", pa.float64(), "wall seconds of fit"),
    ("encode_s", pa.float64(), "wall seconds of encoding all queries and gallery items"),
    ("evaluate_s", pa.float64(), "wall seconds of ranking and measuring"),
    ("total_s", pa.float64(), "wall seconds of the run's process"),
    ("peak_rss", pa.int64(), "peak resident memory of the run's process, bytes"),
    ("model_bytes", pa.int64(), "size of the fitted method's arrays, bytes"),
    ("output_dim", pa.int32(), "columns of the representations"),
    ("n_train", pa.int64(), "training items of the first modality"),
    ("environment", _TEXTS, "versions, engine, processor, threads, device"),
    ("warnings", pa.list_(pa.string()), "warnings raised in the run"),
]

RECORD_FIELDS: list[tuple[str, pa.DataType, str]] = [
    ("direction", pa.string(), "query modality -> gallery modality"),
    ("query_modality", pa.string(), "modality of the queries"),
    ("gallery_modality", pa.string(), "modality of the gallery"),
    ("protocol", pa.string(), "protocol name within the dataset"),
    ("protocol_fingerprint", pa.string(), "hash of the protocol's fields"),
    ("gallery_codes", pa.string(), "function or learned"),
    ("retrieval", pa.string(), "cosine, euclidean, inner, hamming, 2sknn, score"),
    ("metric", pa.string(), "metric with cut-off, normalisation, mean and tie rule where not default"),
    ("value", pa.float64(), "mean over queries"),
    ("stderr", pa.float64(), "standard error of the mean over queries"),
    ("chance", pa.float64(), "the same metric under a random ranking"),
    ("n_query", pa.int64(), "queries"),
    ("n_gallery", pa.int64(), "gallery items"),
    ("flags", pa.list_(pa.string()), "label-reading, learned-codes, test-selected, span"),
    ("per_query", _NUMBERS, "value of every query (the protocol's first metric and every mAP; not of a span)"),
    ("codes", _CODES, "what the gallery's hash codes look like (first metric only)"),
    ("curves", _CURVES, "precision at ranks 1 to 1000 and at levels of recall (first metric only; not for folds)"),
    ("per_class", pa.map_(pa.string(), pa.float64()), "mean over the queries of each class (first metric only)"),
    ("top", _TOP, "what 40 queries found first, and which of it is relevant (first metric only; not for folds)"),
]

HEAVY = ("trace", "warnings", "resolved", "per_query", "curves", "per_class", "top")
"""Columns that take most of the room, and that tables of numbers do not need."""

SCHEMA = pa.schema(
    [pa.field(n, t, metadata={"doc": d}) for n, t, d in RUN_FIELDS + RECORD_FIELDS],
    metadata={"cmrbench_schema": SCHEMA_VERSION},
)

SINCE = {"curves": "3", "per_class": "3", "top": "3"}
"""Columns that files of earlier versions lack."""

_KNOWN = (SCHEMA, pa.schema([field for field in SCHEMA if field.name not in SINCE]))

_OF_RUNS = (
    *("spec_key", "run_key", "method", "params", "preset", "dataset", "dataset_fingerprint", "feature_set", "seed"),
    *("info", "status", "created"),
)
_OF_RECORDS = (
    *("direction", "query_modality", "gallery_modality", "protocol", "protocol_fingerprint", "gallery_codes"),
    *("retrieval", "n_query", "n_gallery", "flags"),
)
"""Columns without which nothing can be said of a run, or of a row with a metric."""

_STAGES = ("load", "fit", "encode", "evaluate", "total")


def to_table(result: RunResult) -> pa.Table:
    """The rows of one run; a run without records is one row whose record columns are null."""
    spec = result.spec
    run: dict[str, Any] = {
        "spec_key": spec.spec_key,
        "run_key": result.run_key,
        "method": spec.method,
        "params": json.dumps(dict(spec.params), sort_keys=True),
        "preset": spec.preset,
        "resolved": json.dumps(dict(result.resolved), sort_keys=True, default=str),
        "dataset": spec.dataset,
        "dataset_fingerprint": spec.dataset_fingerprint,
        "feature_set": spec.feature_set,
        "bits": spec.bits,
        "dim": spec.dim,
        "seed": spec.seed,
        "info": list(result.info.items()),
        "status": result.status,
        "cause": result.cause,
        "trace": result.trace,
        "created": result.created,
        "peak_rss": result.peak_rss,
        "model_bytes": result.model_bytes,
        "output_dim": result.output_dim,
        "n_train": result.n_train,
        "environment": list(result.environment.items()),
        "warnings": list(result.warnings),
    }
    run |= {f"{stage}_s": result.seconds.get(stage) for stage in _STAGES}
    empty = dict.fromkeys(name for name, _, _ in RECORD_FIELDS)
    rows = [run | _record_row(r) for r in result.records] or [run | empty]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _record_row(record: Record) -> dict[str, Any]:
    row = {f.name: getattr(record, f.name) for f in fields(Record)}
    return row | {
        "direction": record.direction,
        "flags": list(record.flags),
        "per_query": list(record.per_query),
        "codes": None if record.codes is None else asdict(record.codes),
        "curves": None if record.curves is None else asdict(record.curves),
        "per_class": None if record.per_class is None else list(record.per_class.items()),
        "top": [asdict(one) for one in record.top] or None,
    }


def from_table(table: pa.Table) -> RunResult:
    """The inverse of `to_table`."""
    rows = table.to_pylist()
    first = rows[0]
    spec = RunSpec(
        method=first["method"],
        dataset=first["dataset"],
        dataset_fingerprint=first["dataset_fingerprint"],
        feature_set=first["feature_set"],
        bits=first["bits"],
        dim=first["dim"],
        seed=first["seed"],
        preset=first["preset"],
        params=tuple(sorted(json.loads(first["params"]).items())),
    )
    return RunResult(
        spec=spec,
        run_key=first["run_key"],
        status=first["status"],
        info=dict(first["info"]),
        resolved=json.loads(first["resolved"]),
        created=first["created"],
        cause=first["cause"],
        trace=first["trace"],
        seconds={s: first[f"{s}_s"] for s in _STAGES if first[f"{s}_s"] is not None},
        peak_rss=first["peak_rss"],
        model_bytes=first["model_bytes"],
        output_dim=first["output_dim"],
        n_train=first["n_train"],
        environment=dict(first["environment"]),
        warnings=tuple(first["warnings"]),
        records=tuple(_record(row) for row in rows if row["metric"] is not None),
    )


def _record(row: Mapping[str, Any]) -> Record:
    values = {f.name: row[f.name] for f in fields(Record)}
    values |= {"flags": tuple(row["flags"] or ()), "per_query": tuple(row["per_query"] or ())}
    values["codes"] = None if row["codes"] is None else CodeDiagnostics(**row["codes"])
    values["curves"] = None if row["curves"] is None else Curves(**{k: tuple(v) for k, v in row["curves"].items()})
    values["per_class"] = None if row["per_class"] is None else dict(row["per_class"])
    values["top"] = tuple(
        FirstResults(one["query"], tuple(one["results"]), tuple(one["hits"])) for one in row["top"] or ()
    )
    return Record(**values)


def is_known(schema: pa.Schema) -> bool:
    """Whether a file with these columns holds a result, of this version or of one that is still read."""
    return any(schema.equals(known) for known in _KNOWN)


def fault_in(table: pa.Table) -> str:
    """What of some columns of result rows nobody can have measured, as a clause; empty if nothing.

    Whatever has the schema passes for a result, by whomever it was written. What it may leave empty is checked here,
    so that readers need not.
    """
    import pyarrow.compute as pc

    held = set(table.column_names)
    named = [name for name in _OF_RUNS if name in held and table.column(name).null_count]
    if "metric" in held:
        measured = pc.is_valid(table.column("metric"))
        empty = [name for name in _OF_RECORDS if name in held and table.column(name).null_count]
        named += [name for name in empty if pc.any(pc.and_(pc.is_null(table.column(name)), measured)).as_py()]
    if named:
        return f"{', '.join(named)} {'is' if len(named) == 1 else 'are'} empty in some rows"
    if "flags" in held and pc.list_flatten(table.column("flags")).null_count:
        return "flags holds empty entries"
    if "params" in held and not all(map(_is_object, table.column("params").unique().to_pylist())):
        return "params holds other things than JSON objects"
    return ""


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def completed(table: pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a file with all `columns` of `SCHEMA`, in the order given, those that it lacks as nulls."""
    wanted = pa.schema([SCHEMA.field(name) for name in (SCHEMA.names if columns is None else columns)])
    arrays = [
        table.column(field.name) if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in wanted
    ]
    return pa.table(arrays, schema=wanted.with_metadata(SCHEMA.metadata))


def concat(tables: Iterable[pa.Table]) -> pa.Table:
    """Tables one after another; an empty table with the schema where there is none."""
    listed = list(tables)
    return pa.concat_tables(listed) if listed else SCHEMA.empty_table()
