"""Methods against each other, wherever results hold them side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import CmrbenchError, UnknownNameError, UsageError
from cmrbench.core.names import DatasetName
from cmrbench.report.build import leaderboards
from cmrbench.report.comparison import Comparison, Duel, Query, Scope, Splits, Standing
from cmrbench.report.contenders import Contender, Settings, chosen, contender
from cmrbench.report.critical import Diagram, critical_differences
from cmrbench.report.current import current_rows
from cmrbench.report.model import Column, Leaderboard, Row, TableKey
from cmrbench.report.queries import Place, Queries, RunTables, Values
from cmrbench.report.spans import smaller_is_better

if TYPE_CHECKING:
    import pyarrow as pa

    from cmrbench.statistics.sample import Sample

__all__ = ["Comparison", "Diagram", "Duel", "Query", "Scope", "Splits", "Standing", "compare", "critical_differences"]

ALPHA = 0.05

MOST_TOLD = 5
"""Missing numbers that are told one by one."""


def compare(table: pa.Table, store: RunTables, names: Sequence[str], scope: Scope | None = None) -> Comparison:
    """Compare methods wherever results hold them side by side.

    Parameters
    ----------
    table : pyarrow.Table
        Results with at least `cmrbench.report.COLUMNS`.
    store : RunTables
        Where the values of single queries are.
    names : sequence of str
        Two or more; see `cmrbench.report.contenders`.
    scope : Scope, optional

    Raises
    ------
    UnknownNameError, UsageError
        For a name that fits nothing or several things, or a dataset, metric, protocol, direction or code length that
        the results do not hold.
    CmrbenchError
        If nothing can be compared.
    """
    scope = scope or Scope()
    boards = _boards(leaderboards(table, scope.datasets or None, scope.metric), scope)
    settings = _settings(table)
    rows = [{c: r for r in board.rows if (c := contender(r, board.key.output, settings))} for board in boards]
    who = chosen(names, (c for named in rows for c in named))
    duels: list[Duel] = []
    missing = _Missing()
    for board, named in zip(boards, rows, strict=True):
        present = {c: named[c] for c in who if c in named}
        if len(present) > 1:
            duels += _of_board(board, present, scope, store, missing)
    if not duels:
        raise CmrbenchError("; ".join(missing.told()) or _nothing_in_common(boards, rows, who))
    duels = _adjusted(duels)
    several = len(who) > 2
    return Comparison(
        contenders=tuple(who),
        duels=tuple(duels),
        standings=tuple(_standings(duels)) if several else (),
        diagrams=tuple(critical_differences([_only(b, n, who) for b, n in zip(boards, rows, strict=True)], True))
        if several
        else (),
        splits=tuple(_over_splits(duels)),
        notes=missing.told(),
    )


def _settings(table: pa.Table) -> Settings:
    columns = ("method", "preset", "params", "dim", "dataset")
    return {row["run_key"]: tuple(row[c] for c in columns) for row in current_rows(table, columns)}


def _boards(boards: Sequence[Leaderboard], scope: Scope) -> list[Leaderboard]:
    """The leaderboards and columns that were asked for."""
    protocols = {board.key.protocol for board in boards if board.key.protocol}
    if scope.protocol is not None and scope.protocol not in protocols:
        raise UnknownNameError("protocol", scope.protocol, protocols, "(looked in the results)")
    kept = [b for b in boards if b.key.protocol and scope.protocol in (None, b.key.protocol)]
    columns = [column for board in kept for column in board.columns]
    tasks = {column.heads[0] for column in columns}
    direction = None if scope.direction is None else scope.direction.replace("->", " → ").replace("  ", " ")
    if direction is not None and direction not in tasks:
        raise UnknownNameError("direction", direction, tasks, "(looked in the results)")
    lengths = {column.bits for column in columns}
    for bits in scope.bits:
        if bits not in lengths:
            known = {str(b) for b in lengths if b is not None}
            raise UnknownNameError("code length", str(bits), known, "(looked in the results)")
    return [
        _narrowed(b, lambda c: direction in (None, c.heads[0]) and (not scope.bits or c.bits in scope.bits))
        for b in kept
    ]


def _narrowed(board: Leaderboard, wanted: Callable[[Column], bool]) -> Leaderboard:
    kept = [i for i, column in enumerate(board.columns) if wanted(column)]
    groups = tuple(
        replace(g, rows=tuple(replace(r, cells=tuple(r.cells[i] for i in kept)) for r in g.rows)) for g in board.groups
    )
    return replace(board, columns=tuple(board.columns[i] for i in kept), groups=groups)


def _only(board: Leaderboard, named: dict[Contender, Row], who: Sequence[Contender]) -> Leaderboard:
    """The leaderboard with the rows of some contenders, under their names."""
    names = {id(row): str(c) for c, row in named.items() if c in who}
    groups = tuple(
        replace(g, rows=tuple(replace(r, title=names[id(r)]) for r in g.rows if id(r) in names)) for g in board.groups
    )
    return replace(board, groups=groups)


def _nothing_in_common(
    boards: Sequence[Leaderboard], rows: Sequence[dict[Contender, Row]], who: Sequence[Contender]
) -> str:
    where = []
    for one in who:
        titles = [board.title for board, named in zip(boards, rows, strict=True) if one in named]
        shown = "; ".join(titles[:4]) + (f" and {len(titles) - 4} more" if len(titles) > 4 else "")
        where.append(f"{one} is in {shown or 'none of them'}")
    return f"no table holds numbers of two of these methods: {'. '.join(where)}"


@dataclass
class _Missing:
    """What could not be compared: methods without values of single queries by metric, and what else there is."""

    values: dict[str, list[str]] = field(default_factory=dict)
    other: list[str] = field(default_factory=list)

    def told(self) -> tuple[str, ...]:
        said = [
            f"the results hold no values of single queries for {metric} of {', '.join(dict.fromkeys(who))} in some or "
            "all tables; the same `cmrbench run` adds them where this version measures them"
            for metric, who in self.values.items()
        ]
        more = [f"and {len(self.other) - MOST_TOLD} more of that kind"] if len(self.other) > MOST_TOLD else []
        return (*said, *self.other[:MOST_TOLD], *more)


def _of_board(
    board: Leaderboard, present: dict[Contender, Row], scope: Scope, store: RunTables, missing: _Missing
) -> list[Duel]:
    """All duels of a leaderboard."""
    queries = Queries(store, [key for row in present.values() for key in row.run_keys], {board.key.metric})
    duels: list[Duel] = []
    for j, column in enumerate(board.columns):
        held: dict[Contender, Values] = {}
        for one, row in present.items():
            if row.cells[j].mean is None:
                missing.other.append(f"{board.title}, {column.name}: {one} has no number ({row.cells[j].word})")
                continue
            values = queries.get(row.run_keys, Place.of(board.key, row.retrieval, column.bits, column.directions))
            if values is None:
                missing.values.setdefault(board.key.metric, []).append(str(one))
                continue
            held[one] = values
        for first, second in combinations(held, 2):
            counts = [len(held[one].queries) for one in (first, second)]
            if counts[0] == counts[1] and _with_values(held[first], held[second]) < 2:
                told = f"{first} and {second} have values for fewer than two of the same queries"
                missing.other.append(f"{board.title}, {column.name}: {told}")
            elif counts[0] == counts[1]:
                duels.append(_duel(board, column, (first, second), (held[first], held[second]), scope.changed))
            else:
                told = f"{first} has values for {counts[0]} queries, {second} for {counts[1]}"
                missing.other.append(f"{board.title}, {column.name}: {told}")
    return duels


def _with_values(first: Values, second: Values) -> int:
    """How many queries both have a value for."""
    import numpy as np

    return int(np.isfinite(first.sample().means + second.sample().means).sum())


def _duel(
    board: Leaderboard, column: Column, who: tuple[Contender, Contender], values: tuple[Values, Values], changed: int
) -> Duel:
    import numpy as np

    from cmrbench.statistics.paired import paired_test
    from cmrbench.statistics.variance import variance_split

    a, b = values
    samples = (a.sample(), b.sample())
    test = paired_test(a.values, b.values, first_deterministic=a.deterministic, second_deterministic=b.deterministic)
    return Duel(
        board=board.title,
        key=board.key,
        column=column,
        first=who[0],
        second=who[1],
        means=(float(np.nanmean(samples[0].means)), float(np.nanmean(samples[1].means))),
        seeds=(len(a.seeds), len(b.seeds)),
        test=test,
        splits=(variance_split([samples[0]]), variance_split([samples[1]])),
        samples=samples,
        changed=tuple(_changed(a, samples[0].means, samples[1].means, changed)),
    )


def _changed(values: Values, first: Any, second: Any, most: int) -> Iterator[Query]:
    import numpy as np

    size = np.nan_to_num(np.abs(first - second), nan=0.0)
    for i in np.argsort(-size, kind="stable")[:most].tolist():
        if size[i] > 1e-12:
            modality, position = values.queries[i]
            yield Query(modality, position, float(first[i]), float(second[i]))


def _adjusted(duels: Sequence[Duel]) -> list[Duel]:
    queries = [d.test.over_queries.p if d.test.over_queries else None for d in duels]
    seeds = [d.test.over_seeds.p if d.test.over_seeds else None for d in duels]
    either = [q if s is None else s for q, s in zip(queries, seeds, strict=True)]
    adjusted = zip(*map(_holm, (queries, seeds, either)), strict=True)
    return [replace(d, p_queries=q, p_seeds=s, p=e) for d, (q, s, e) in zip(duels, adjusted, strict=True)]


def _holm(p: Sequence[float | None]) -> list[float | None]:
    from cmrbench.statistics.multiple import holm

    adjusted = holm([float("nan") if value is None else value for value in p]).tolist()
    return [None if before is None else after for before, after in zip(p, adjusted, strict=True)]


def _over_splits(duels: Sequence[Duel]) -> Iterator[Splits]:
    """The variance over splits of one dataset that share everything else but the protocols, which name splits."""
    from statistics import fmean

    from cmrbench.statistics.variance import variance_split

    held: dict[tuple[Any, ...], dict[str, tuple[Sample, float]]] = {}
    for duel in duels:
        try:
            name = DatasetName.parse(duel.key.dataset)
        except UsageError:  # generated datasets carry parameters in their names, and have no splits
            continue
        shared = (name.dataset, name.transforms, duel.key.feature_set, duel.key.gallery_codes, duel.key.metric)
        for i, who in enumerate((duel.first, duel.second)):
            found = held.setdefault((*shared, duel.column.name, duel.key.output, who), {})
            found.setdefault(duel.key.dataset, (duel.samples[i], duel.means[i]))
    for (*_, metric, column, _output, who), by_split in held.items():
        if len(by_split) > 1:
            samples, means = zip(*by_split.values(), strict=True)
            yield Splits(tuple(by_split), f"{metric}, {column}", who, fmean(means), variance_split(samples))


def _standings(duels: Sequence[Duel]) -> Iterator[Standing]:
    from cmrbench.statistics.groups import letters

    columns: dict[tuple[TableKey, Column], list[Duel]] = {}
    for duel in duels:
        columns.setdefault((duel.key, duel.column), []).append(duel)
    for (key, column), listed in columns.items():
        means: dict[Contender, float] = {}
        p: dict[frozenset[Contender], float] = {}
        for duel in listed:
            means[duel.first], means[duel.second] = duel.means
            p[frozenset((duel.first, duel.second))] = 1.0 if duel.p is None else duel.p
        order = sorted(means, key=lambda c: means[c], reverse=not smaller_is_better(key.metric))
        matrix = [[1.0 if a == b else p.get(frozenset((a, b)), 1.0) for b in order] for a in order]
        yield Standing(
            board=listed[0].board,
            key=key,
            column=column,
            contenders=tuple(order),
            means=tuple(means[c] for c in order),
            letters=tuple(letters([[value <= ALPHA for value in line] for line in matrix])),
            p=tuple(map(tuple, matrix)),
        )
