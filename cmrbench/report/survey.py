"""Tables of hashing methods by name: the survey's VII, VIII and IX, and what the codes look like."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import UnknownNameError
from cmrbench.core.names import with_features
from cmrbench.report.build import COLUMNS, leaderboards, of_datasets
from cmrbench.report.current import current_rows
from cmrbench.report.model import Column, Group, Leaderboard, TableKey, size_of
from cmrbench.report.rows import Notes, build_groups
from cmrbench.report.spans import SECONDS
from cmrbench.report.wording import plain, span

if TYPE_CHECKING:
    import pyarrow as pa

TABLE_COLUMNS = (*COLUMNS, "encode_s", "evaluate_s", "codes")
"""The columns of `cmrbench.store.schema` that these tables need."""

STAGES = {"train": "fit_s", "encode": "encode_s", "measure": "evaluate_s"}
DIAGNOSTICS = {
    "bit balance": "balance",
    "bit correlation": "correlation",
    "dead bits": "dead_bits",
    "distinct codes": "distinct_codes",
    "ties at 50": "ties_at_50",
}

RowDict = dict[str, Any]
Maker = Callable[["pa.Table", "Sequence[str] | None"], list[Leaderboard]]


def named_table(table: pa.Table, name: str, datasets: Sequence[str] | None = None) -> list[Leaderboard]:
    """The leaderboards that make up a table.

    Parameters
    ----------
    table : pyarrow.Table
        Results with at least `TABLE_COLUMNS`.
    name : str
        A key of `TABLES`. ``"VII"``, ``"VIII"``: unsupervised and supervised hashing by mAP@50 and mAP@500, baselines
        on top. ``"IX"``: wall seconds by dataset, at the longest code of each. ``"codes"``: diagnostics of the
        gallery's codes, one table for each dataset, protocol and code length.
    datasets : sequence of str, optional
        Only these.

    Raises
    ------
    UnknownNameError
        If there is no such table, or the results hold no such dataset or metric.
    """
    if name not in TABLES:
        raise UnknownNameError("table", name, TABLES)
    return TABLES[name](table, datasets)


def _mean_average_precision(category: str, metric: str) -> Maker:
    def make(table: pa.Table, datasets: Sequence[str] | None) -> list[Leaderboard]:
        import pyarrow.compute as pc

        kept = [dict(info or [])["category"] in (category, "baseline") for info in table.column("info").to_pylist()]
        hashing = table.filter(pc.and_(pc.is_valid(table.column("bits")), kept))
        return leaderboards(hashing, datasets, metric)

    return make


def _seconds(table: pa.Table, datasets: Sequence[str] | None) -> list[Leaderboard]:
    runs = {row["run_key"]: row for row in _hashing(table, datasets)}.values()
    names = list(dict.fromkeys(_place(run) for run in runs))
    longest = {name: max(run["bits"] for run in runs if _place(run) == name) for name in names}
    shown = [run for run in runs if run["bits"] == longest[_place(run)]]
    columns = [
        Column((plain(name), *size_of(longest[name]), stage), (f"{name} {stage}",), longest[name])
        for name in names
        for stage in STAGES
    ]
    rows = []
    for run in shown:
        if run["metric"] is None:
            rows.append(run)
            continue
        rows += [_figure(run, f"{_place(run)} {stage}", run[field]) for stage, field in STAGES.items()]
    facts = (
        ("train", "fitting, work shared between code lengths included"),
        ("encode", "all queries and gallery items"),
        ("measure", "ranking and measuring both directions under all protocols"),
        ("seeds a row", span(_seeds_of(shown))),
    )
    key = TableKey(", ".join(names), "", "", "hash", "", "", "", SECONDS)
    return _boards(key, "Hashing, seconds of wall time", facts, columns, rows)


def _codes(table: pa.Table, datasets: Sequence[str] | None) -> list[Leaderboard]:
    rows = [row for row in _hashing(table, datasets) if row["codes"] is not None]
    boards: list[Leaderboard] = []
    places: dict[tuple[str, str, str, int], list[RowDict]] = defaultdict(list)
    for row in rows:
        places[_place(row), row["protocol"], row["gallery_codes"], row["bits"]].append(row)
    for place, protocol, rule, bits in sorted(places):
        of_place = places[place, protocol, rule, bits]
        directions = list(dict.fromkeys(r["direction"] for r in of_place))
        columns = [
            Column((what, plain(d.replace("->", " → "))), (f"{what} {d}",), bits)
            for what in DIAGNOSTICS
            for d in directions
        ]
        figures = [
            _figure(row, f"{what} {row['direction']}", row["codes"][field])
            for row in of_place
            for what, field in DIAGNOSTICS.items()
        ]
        facts = (
            ("bit balance", "mean of 1 - |mean of a bit|"),
            ("bit correlation", "mean absolute correlation of different bits"),
            ("distinct codes", f"of {span(r['n_gallery'] for r in of_place)} gallery items"),
            ("ties at 50", "share of queries whose items at ranks 50 and 51 are equally far"),
        )
        key = TableKey(place, "", "", "hash", protocol, "", rule, "codes")
        boards += _boards(
            key, f"{place}, codes of the gallery, protocol {protocol}, {bits} bits", facts, columns, figures
        )
    return [_unranked(board) for board in boards]


TABLES: dict[str, Maker] = {
    "VII": _mean_average_precision("unsupervised_hash", "mAP@50"),
    "VIII": _mean_average_precision("supervised_hash", "mAP@500"),
    "IX": _seconds,
    "codes": _codes,
}
"""What `named_table` can make."""


def _hashing(table: pa.Table, datasets: Sequence[str] | None) -> list[RowDict]:
    """Rows of hashing runs; one that did not finish has no metric."""
    rows = [row for row in current_rows(table, TABLE_COLUMNS) if row["bits"] is not None]
    return of_datasets([row | {"info": dict(row["info"] or []), "flags": ()} for row in rows], datasets)


def _place(row: RowDict) -> str:
    return with_features(row["dataset"], row["feature_set"])


def _figure(row: RowDict, name: str, value: float | None) -> RowDict:
    """The row as `build_groups` takes it, with a figure in place of a metric's value."""
    return row | {"metric": name, "direction": name, "chance": None, "value": float("nan") if value is None else value}


def _seeds_of(runs: Iterable[RowDict]) -> list[int]:
    seeds: dict[tuple[Any, ...], set[int]] = defaultdict(set)
    for run in runs:
        seeds[run["method"], run["params"], run["preset"], _place(run)].add(run["seed"])
    return [len(which) for which in seeds.values()]


def _boards(
    key: TableKey, title: str, facts: tuple[tuple[str, str], ...], columns: Sequence[Column], rows: Sequence[RowDict]
) -> list[Leaderboard]:
    if not rows:
        return []
    notes = Notes()
    groups = [
        Group(group.title, methods)
        for group in build_groups(key, rows, columns, notes)
        if (methods := tuple(row for row in group.rows if row.method))  # chance has no such figures
    ]
    told = tuple((name, plain(value)) for name, value in facts)
    return [Leaderboard(key, plain(title), told, tuple(columns), tuple(groups), notes.listed, costs=False)]


def _unranked(board: Leaderboard) -> Leaderboard:
    groups = tuple(
        Group(g.title, tuple(replace(r, cells=tuple(replace(c, rank="") for c in r.cells)) for r in g.rows))
        for g in board.groups
    )
    return replace(board, groups=groups)
