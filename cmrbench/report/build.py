"""From the results table to leaderboards: which tables there are, what they share, their columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cmrbench.core.names import with_features
from cmrbench.report import selection
from cmrbench.report.current import NEEDED, rows_of, standing
from cmrbench.report.model import AVERAGE, Column, Leaderboard, TableKey, size_of
from cmrbench.report.rows import Notes, build_groups
from cmrbench.report.spans import fact, smaller_is_better, with_spans, without_ends
from cmrbench.report.wording import plain, span

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = (
    *NEEDED,
    *("method", "params", "preset", "dataset", "dataset_fingerprint", "feature_set", "bits", "dim", "seed", "info"),
    *("cause", "fit_s", "peak_rss", "output_dim", "query_modality", "gallery_modality", "protocol_fingerprint"),
    *("value", "chance", "n_query", "n_gallery", "flags"),
)
"""The columns of `cmrbench.store.schema` that a leaderboard needs."""

HEADLINE = "mAP@all"

_NUMBERS = ("value", "chance", "fit_s", "encode_s", "evaluate_s")
_UNHEARD_OF = 1e30
"""Above every rank, count and number of seconds."""

RowDict = dict[str, Any]


def leaderboards(
    table: pa.Table,
    datasets: Sequence[str] | None = None,
    metric: str | None = None,
    all_metrics: bool = False,
    *,
    spans: bool = False,
) -> list[Leaderboard]:
    """One leaderboard for each dataset, feature set, protocol, gallery-code rule, kind of output and metric.

    Parameters
    ----------
    table : pyarrow.Table
        Results with the schema of `cmrbench.store.schema` (at least `COLUMNS`).
    datasets : sequence of str, optional
        Only these.
    metric : str, optional
        Only this one; the default is the headline: ``mAP@all``, or else the protocol's first.
    all_metrics : bool
        A leaderboard for every metric of the protocols.
    spans : bool
        Numbers of hash codes come with what they would have been under the worst and the best order of tied items.

    Returns
    -------
    list of Leaderboard
        By dataset, feature set, real-valued before hashing, protocol, metric. Runs that did not finish are rows of
        every leaderboard that they would have had a number in.

    Raises
    ------
    UnknownNameError
        If the results hold no such dataset or metric.
    """
    asked = selection.of_datasets(table, datasets).select(list(dict.fromkeys(COLUMNS)))
    found = standing(asked)
    if metric is not None or not all_metrics:
        found = selection.of_metric(found, metric, HEADLINE, spans=spans)
    rows = [completed(row) for row in rows_of(found)]
    shown = without_ends(rows, metric)
    tables = _tables(with_spans(shown, rows) if spans else shown, metric, all_metrics)
    return [_leaderboard(key, tables[key], tables, spans) for key in sorted(tables, key=_order)]


def completed(row: RowDict) -> RowDict:
    """A result row with its declarations as a dictionary, its flags as a tuple, and NaN for a missing value.

    Numbers that are infinite, or so large that no run has them, are as good as missing.
    """
    info = dict(row["info"] or [])
    info.setdefault("output", "real" if row["bits"] is None else "hash")
    numbers = {name: _number(row[name]) for name in _NUMBERS if name in row}
    value = numbers["value"] if numbers["value"] is not None else float("nan")
    return row | numbers | {"value": value, "info": info, "flags": tuple(row["flags"] or ())}


def _number(value: float | None) -> float | None:
    # A foreign file may hold anything, and adding such numbers up ends in an error.
    return value if value is not None and abs(value) < _UNHEARD_OF else None


def _tables(rows: list[RowDict], metric: str | None, all_metrics: bool) -> dict[TableKey, list[RowDict]]:
    """Rows by table; unfinished runs go into every table of their dataset, feature set and kind of output."""
    protocols: dict[TableKey, dict[str, list[RowDict]]] = defaultdict(lambda: defaultdict(list))
    unfinished: dict[TableKey, list[RowDict]] = defaultdict(list)
    for row in rows:
        if row["metric"] is None:
            unfinished[_key(row, measured=False)].append(row)
        else:
            protocols[_key(row)][row["metric"]].append(row)
    tables: dict[TableKey, list[RowDict]] = {}
    for key, by_metric in protocols.items():
        for name in _chosen(by_metric, metric, all_metrics):
            tables[_with_metric(key, name)] = by_metric[name]
    for key, failed in unfinished.items():
        homes = [t for t in tables if _asked(t) == _asked(key)]
        for home in homes:
            tables[home] = tables[home] + failed
        if not homes:
            tables[key] = failed
    return tables


def _key(row: RowDict, measured: bool = True) -> TableKey:
    return TableKey(
        dataset=row["dataset"],
        dataset_fingerprint=row["dataset_fingerprint"],
        feature_set=row["feature_set"],
        output=row["info"]["output"],
        protocol=row["protocol"] if measured else "",
        protocol_fingerprint=row["protocol_fingerprint"] if measured else "",
        gallery_codes=row["gallery_codes"] if measured else "",
        metric="",
    )


def _with_metric(key: TableKey, metric: str) -> TableKey:
    return TableKey(**(vars(key) | {"metric": metric}))


def _asked(key: TableKey) -> tuple[str, ...]:
    return key.dataset, key.dataset_fingerprint, key.feature_set, key.output


def _chosen(by_metric: Mapping[str, list[RowDict]], metric: str | None, all_metrics: bool) -> list[str]:
    if metric is not None:
        return [metric] if metric in by_metric else []
    if all_metrics:
        return list(by_metric)
    return [HEADLINE if HEADLINE in by_metric else next(iter(by_metric))]


def _order(key: TableKey) -> tuple[Any, ...]:
    return (
        *(key.dataset, key.feature_set, key.dataset_fingerprint, key.output != "real", key.protocol),
        *(key.protocol_fingerprint, key.gallery_codes != "function", key.metric != HEADLINE, key.metric),
    )


def _leaderboard(key: TableKey, rows: list[RowDict], keys: Iterable[TableKey], spans: bool) -> Leaderboard:
    records = [row for row in rows if row["metric"] is not None]
    columns, averaged = _columns(records, rows, key.output)
    notes = Notes()
    groups = build_groups(key, rows, columns, notes, spans)
    facts = _facts(key, rows, records, averaged)
    if spans and records:
        facts += (("span of ties", plain(fact(key.output, key.metric))),)
    return Leaderboard(key, _title(key, keys), facts, tuple(columns), tuple(groups), notes.listed)


def _title(key: TableKey, keys: Iterable[TableKey]) -> str:
    """Dataset, kind of output, protocol, metric; with fingerprints where one name stands for two things."""
    same_data = [k for k in keys if (k.dataset, k.feature_set) == (key.dataset, key.feature_set)]
    same_protocol = [k for k in same_data if k.protocol == key.protocol and _asked(k) == _asked(key)]
    what = [with_features(key.dataset, key.feature_set)]
    if len({k.dataset_fingerprint for k in same_data}) > 1:
        what.append(f"data {key.dataset_fingerprint[:8]}")
    what.append("real-valued" if key.output == "real" else "hashing")
    if not key.protocol:
        return plain(", ".join([*what, "no results"]))
    what.append(f"protocol {key.protocol}")
    if len({k.protocol_fingerprint for k in same_protocol}) > 1:
        what.append(f"version {key.protocol_fingerprint[:8]}")
    if key.gallery_codes == "learned":
        what.append("learned gallery codes")
    return plain(", ".join([*what, key.metric]))


def _columns(records: list[RowDict], rows: list[RowDict], output: str) -> tuple[list[Column], str]:
    """The columns, and a sentence on what is averaged in them (empty for two modalities)."""
    directions: dict[str, list[str]] = defaultdict(list)
    for row in records:
        if row["direction"] not in directions[row["query_modality"]]:
            directions[row["query_modality"]].append(row["direction"])
    everything = tuple(d for listed in directions.values() for d in listed)
    sentence = ""
    tasks: list[tuple[str, tuple[str, ...]]]
    if len(everything) <= 2:
        tasks = [(d.replace("->", " → "), (d,)) for d in everything] or [("result", ())]
    else:
        tasks = [(f"{query} → all", tuple(listed)) for query, listed in directions.items()]
        sentence = (
            f"{len(everything)} directions: a column is the mean over all galleries for one query modality, "
            f"the last one the mean over all {len(everything)} directions"
        )
    # Tables VII and VIII of the survey have no average; it is left out where the two directions suffice.
    if sentence or (output == "real" and len(everything) == 2):
        tasks.append((AVERAGE, everything))
    sizes = sorted({row["bits"] for row in rows if row["bits"] is not None}) if output == "hash" else [None]
    columns = [Column((plain(t), *size_of(bits)), which, bits) for t, which in tasks for bits in sizes or [None]]
    return columns, sentence


def _facts(key: TableKey, rows: list[RowDict], records: list[RowDict], averaged: str) -> tuple[tuple[str, str], ...]:
    facts = [
        ("dataset", f"{key.dataset} ({key.dataset_fingerprint[:8]})"),
        ("features", key.feature_set or "default"),
    ]
    if records:
        facts += [
            ("protocol", f"{key.protocol} ({key.protocol_fingerprint[:8]})"),
            ("gallery codes", key.gallery_codes),
            ("queries × gallery", f"{span(r['n_query'] for r in records)} × {span(r['n_gallery'] for r in records)}"),
            ("metric", key.metric + (", smaller is better" if smaller_is_better(key.metric) else "")),
        ]
    seeds: dict[tuple[Any, ...], set[int]] = defaultdict(set)
    for row in rows:
        seeds[row["method"], row["params"], row["preset"], row["dim"], row["bits"]].add(row["seed"])
    facts.append(("seeds a row", span(len(which) for which in seeds.values())))
    if averaged:
        facts.append(("columns", averaged))
    return tuple((name, plain(value)) for name, value in facts)
