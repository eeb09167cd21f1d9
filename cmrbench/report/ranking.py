"""What is bold in a table: the best of each column, and every row that a test cannot tell from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from cmrbench.report.model import OURS, Cell, Leaderboard, Row, TableKey
from cmrbench.report.queries import Place, Queries, RunTables, Values, same_queries
from cmrbench.report.spans import parsed, smaller_is_better

if TYPE_CHECKING:
    from cmrbench.statistics.sample import Sample

ALPHA = 0.05
AT_ONCE = 2000
"""Runs that are read at a time."""

RULE = "bold"
"""Name of the fact that says by which rule a table's ranks are given."""

BY_DIGITS = "the best by its printed digits, as the results hold no values of single queries to compare"

At = tuple[int, int]
"""Index of a row in its table, and of a column."""

Scope = tuple[TableKey, tuple[str, ...], int]
"""What is ranked together: what numbers share, their directions, the index of the column."""


def tested(boards: Sequence[Leaderboard], store: RunTables) -> list[Leaderboard]:
    """Leaderboards whose ranks go by tests on the values of single queries, where the store has them.

    In every column each ranked row is compared with the best one, over queries and seeds where both have several
    seeds or are deterministic, else over queries; two-sided, adjusted by Holm over all comparisons of the table. The
    variances of seeds are estimated from all rows and columns that were measured alike (`statistics.moderation`).
    Rows that do not differ significantly from the best share its rank, as do those with the same printed digits. The
    highest of the rest is second.

    Parameters
    ----------
    boards : sequence of Leaderboard
        Ranked by their printed digits, which stands where tests cannot be made.
    store : RunTables
        Where the runs of the rows are.
    """
    tables = [_Table(board) for board in boards]
    readers: dict[tuple[str, ...], list[tuple[_Table, At, Place]]] = defaultdict(list)
    for table in tables:
        for at, place in table.places():
            readers[table.rows[at[0]].run_keys].append((table, at, place))
    for some in _batches(list(readers)):
        metrics = {place.metric for run_keys in some for _, _, place in readers[run_keys]}
        queries = Queries(store, [key for run_keys in some for key in run_keys], metrics)
        for run_keys in some:
            for table, at, place in readers[run_keys]:
                table.offer(at, queries.get(run_keys, place))
    return [table.ranked() for table in tables]


def _batches(rows: Sequence[tuple[str, ...]]) -> Iterator[list[tuple[str, ...]]]:
    """Rows with some thousand runs at a time: values of queries take more room than anything that is kept of them."""
    held: list[tuple[str, ...]] = []
    for row in rows:
        held.append(row)
        if sum(map(len, held)) >= AT_ONCE:
            yield held
            held = []
    if held:
        yield held


@dataclass
class _Table:
    """A leaderboard on its way to be ranked by tests, and what its cells' queries got."""

    board: Leaderboard
    samples: dict[At, Sample] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.groups = [group for group in self.board.groups for _ in group.rows]
        self.rows: list[Row] = list(self.board.rows)

    @cached_property
    def scopes(self) -> dict[Scope, list[At]]:
        """Ranked cells with a number, by what is ranked together."""
        found: dict[Scope, list[At]] = defaultdict(list)
        for i, (group, row) in enumerate(zip(self.groups, self.rows, strict=True)):
            for j, column in enumerate(self.board.columns):
                key = self.board.key_of(group, column)
                if column.kind != OURS or not row.ranked or row.cells[j].mean is None or parsed(key.metric) is None:
                    continue
                found[key, column.directions or group.directions, j].append((i, j))
        return found

    def places(self) -> Iterator[tuple[At, Place]]:
        for (key, directions, j), cells in self.scopes.items():
            # A column with one ranked number needs no test.
            if len(cells) > 1:
                for i, _ in cells:
                    yield (i, j), Place.of(key, self.rows[i].retrieval, self.board.columns[j].bits, directions)

    def offer(self, at: At, values: Values | None) -> None:
        """Take the values of a cell's queries, if their mean is the number that is printed."""
        import numpy as np

        if values is None:
            return
        sample = values.sample()
        mean = self.rows[at[0]].cells[at[1]].mean
        if mean is not None and abs(float(np.nanmean(sample.means)) - mean) < 1e-6:
            self.samples[at] = sample

    def ranked(self) -> Leaderboard:
        """The leaderboard with its ranks by test, and a fact that says so."""
        scopes = [cells for cells in self.scopes.values() if len(cells) > 1]
        if not scopes:
            return self.board
        comparisons = self._compared(scopes)
        if not comparisons.pairs:
            return self._with_fact(BY_DIGITS)
        for cells in scopes:
            self._rank(cells, comparisons)
        return self._with_fact(comparisons.told())

    def _compared(self, scopes: Sequence[list[At]]) -> _Comparisons:
        from cmrbench.statistics.multiple import holm
        from cmrbench.statistics.paired import p_values

        self._moderate()
        found = _Comparisons()
        p: list[float] = []
        for cells in scopes:
            best = self._best(cells)
            known = same_queries({i: self.samples[i, j] for i, j in cells if (i, j) in self.samples}, best[0])
            if best[0] not in known or len(known[best[0]].means) < 2:
                found.by_digits += len(cells) - 1
                continue
            others = [at for at in cells if at != best and at[0] in known]
            found.by_digits += len(cells) - 1 - len(others)
            values, seeds = p_values([(known[i], known[best[0]]) for i, _ in others])
            p += values.tolist()
            found.pairs += others
            found.over_seeds += int(seeds.sum())
        found.adjusted = dict(zip(found.pairs, holm(p).tolist(), strict=True))
        return found

    def _moderate(self) -> None:
        """Draw the variances of seeds towards each other, among numbers that were measured alike."""
        from cmrbench.statistics.moderation import FEWEST, moderated

        alike: dict[TableKey, list[At]] = defaultdict(list)
        for (key, _, _), cells in self.scopes.items():
            alike[key] += [at for at in cells if at in self.samples]
        for cells in alike.values():
            # Columns of one method are no methods of their own.
            if len({i for i, j in cells if self.samples[i, j].seeds > 1}) < FEWEST:
                continue
            self.samples |= zip(cells, moderated([self.samples[at] for at in cells]), strict=True)

    def _best(self, cells: Sequence[At]) -> At:
        key = self.board.key_of(self.groups[cells[0][0]], self.board.columns[cells[0][1]])
        sign = -1 if smaller_is_better(key.metric) else 1
        return max(cells, key=lambda at: sign * self._mean(at))

    def _mean(self, at: At) -> float:
        mean = self._cell(at).mean
        assert mean is not None
        return mean

    def _cell(self, at: At) -> Cell:
        return self.rows[at[0]].cells[at[1]]

    def _rank(self, cells: Sequence[At], comparisons: _Comparisons) -> None:
        best = self._best(cells)
        top = self._cell(best).number
        tied = {at for at in cells if comparisons.adjusted.get(at, 0.0) > ALPHA}
        first = {at for at in cells if at == best or at in tied or self._cell(at).number == top}
        rest = [at for at in cells if at not in first]
        second = self._cell(self._best(rest)).number if rest else None
        for at in cells:
            cell = self._cell(at)
            rank = "best" if at in first else "second" if cell.number == second else ""
            self._set(at, replace(cell, rank=rank, tied=at in tied, p_best=comparisons.adjusted.get(at)))

    def _set(self, at: At, cell: Cell) -> None:
        i, j = at
        cells = (*self.rows[i].cells[:j], cell, *self.rows[i].cells[j + 1 :])
        self.rows[i] = replace(self.rows[i], cells=cells)

    def _with_fact(self, told: str) -> Leaderboard:
        rows = iter(self.rows)
        groups = tuple(replace(group, rows=tuple(next(rows) for _ in group.rows)) for group in self.board.groups)
        return replace(self.board, groups=groups, facts=(*self.board.facts, (RULE, told)))


@dataclass
class _Comparisons:
    """The tests of one table: which cells were compared with their column's best, and their adjusted p-values."""

    pairs: list[At] = field(default_factory=list)
    adjusted: dict[At, float] = field(default_factory=dict)
    over_seeds: int = 0
    by_digits: int = 0

    def told(self) -> str:
        """Which rule was used, in words."""
        n = len(self.pairs)
        over = "queries and seeds" if self.over_seeds == n else "queries"
        if 0 < self.over_seeds < n:
            over = f"queries and seeds, {n - self.over_seeds} over queries alone for want of seeds"
        text = f"the best and what a paired test cannot tell from it (Holm over {counted(n)}, 5 %; over {over})"
        if self.by_digits:
            text += f"; {self.by_digits} by printed digits for want of values of the same queries"
        return text


def counted(n: int) -> str:
    """``"1 comparison"``, ``"12 comparisons"``."""
    return f"{n} comparison{'s' if n != 1 else ''}"
