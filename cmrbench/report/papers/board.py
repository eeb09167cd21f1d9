"""A paper's table put together: parts by protocol, blocks of rows, columns with the published numbers in them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING

from cmrbench.core.errors import UnknownNameError
from cmrbench.core.names import registered_part
from cmrbench.report.build import COLUMNS
from cmrbench.report.model import DIFFERENCE, OURS, PUBLISHED, Cell, Column, Group, Leaderboard, Row, TableKey, size_of
from cmrbench.report.papers.facts import facts_of
from cmrbench.report.papers.lines import Line, Lines, Slot, Spot
from cmrbench.report.papers.measured import Place, fits, parts_of, places_of, result_rows
from cmrbench.report.papers.printed import (
    BLANK,
    NOT_PRINTED,
    Printed,
    data_marks,
    difference_cell,
    printed_in,
    published_cell,
)
from cmrbench.report.papers.spec import PaperTable, directions_of, read_table, table_names
from cmrbench.report.rows import Notes, with_ranks
from cmrbench.report.selection import check_protocol
from cmrbench.report.spans import SECONDS, smaller_is_better
from cmrbench.report.wording import plain

if TYPE_CHECKING:
    import pyarrow as pa

PAPER_COLUMNS = (*COLUMNS, "encode_s", "evaluate_s", "environment")
"""The columns of `cmrbench.store.schema` that these tables need."""


@dataclass(frozen=True)
class Wish:
    """What is wanted of a table.

    Attributes
    ----------
    published : bool
        The published numbers stand beside ours.
    protocol : str or None
        Only results under this protocol.
    datasets : sequence of str
        Only these, in cmrbench's names; empty for all.
    registered : collection of str or None
        Names of registered methods: a row of the paper is said to be missing from cmrbench if it is none of them.
    """

    published: bool = False
    protocol: str | None = None
    datasets: Sequence[str] = ()
    registered: Collection[str] | None = None


def paper_tables(table: pa.Table, name: str, wish: Wish | None = None) -> list[Leaderboard]:
    """A paper's table with our results in it.

    Parameters
    ----------
    table : pyarrow.Table
        Results with at least `PAPER_COLUMNS`.
    name : str
        One of `table_names()`.
    wish : Wish, optional

    Returns
    -------
    list of Leaderboard
        More than one where results under several protocols or rules for gallery codes would share columns. Empty if
        there are no results of the table's kind and no published numbers are wanted.

    Raises
    ------
    UnknownNameError
        If there is no such table, or neither it nor the results have such a dataset or protocol.
    """
    wish = wish or Wish()
    spec = read_table(name)
    _check(table, wish)
    columns = PAPER_COLUMNS if spec.seconds else COLUMNS
    places = _of_datasets(places_of(result_rows(table, spec, columns), spec), wish)
    left_out = sorted({place.key.dataset for place in places if not fits(place, spec)})
    parts = parts_of(_under_protocol([place for place in places if fits(place, spec)], spec, wish)) or (
        [[]] if wish.published else []
    )
    boards = []
    for i, part in enumerate(parts):
        spots = list(_spots(part, spec, wish, first=i == 0))
        if spots:
            built = _Part(spec, wish, spots, Lines(spec, spots, places, wish.registered))
            boards.append(built.board((i + 1, len(parts)), left_out))
    return boards


def _check(table: pa.Table, wish: Wish) -> None:
    """Refuse a dataset or protocol that neither the results nor the papers have."""
    held = {name for name in table.column("dataset").unique().to_pylist()}
    printed = {name for one in table_names() for name in read_table(one).layout.datasets}
    known = held | {registered_part(name) for name in held} | printed
    for name in wish.datasets:
        if name not in known:
            raise UnknownNameError("dataset", name, known, "(looked in the results and in the papers' tables)")
    if wish.protocol is not None:
        check_protocol(table, wish.protocol)


def _of_datasets(places: Sequence[Place], wish: Wish) -> list[Place]:
    names = set(wish.datasets)
    return [place for place in places if not names or {place.key.dataset, place.dataset} & names]


def _under_protocol(places: Sequence[Place], spec: PaperTable, wish: Wish) -> list[Place]:
    if wish.protocol is None or spec.seconds:
        return list(places)
    # Where no run finished there is no protocol: every one of the data is missing.
    return [place for place in places if place.key.protocol in ("", wish.protocol)]


def _spots(part: Sequence[Place], spec: PaperTable, wish: Wish, first: bool) -> Iterator[Spot]:
    """The paper's datasets in its order, then ours; a dataset that was not run stands in the first part only."""
    layout = spec.layout
    part = sorted(part, key=lambda place: place.data)
    for dataset, head in zip(layout.datasets, layout.datasets_printed, strict=True):
        here = [place for place in part if place.dataset == dataset]
        if not here and first and (not wish.datasets or dataset in wish.datasets):
            yield Spot(plain(head), dataset)
        yield from (Spot(_head(head, place, part), dataset, place) for place in here)
    for place in part:
        if place.dataset not in layout.datasets:
            yield Spot(f"{_head(place.dataset, place, part)} {NOT_PRINTED}", "", place)


def _head(printed: str, place: Place, part: Sequence[Place]) -> str:
    """The dataset's heading, with what tells its data from others in the table."""
    told = [place.key.dataset.removeprefix(place.dataset).lstrip(":")]
    told += [place.key.feature_set if place.key.feature_set not in ("", "default") else ""]
    twins = [p for p in part if (p.key.dataset, p.key.feature_set) == (place.key.dataset, place.key.feature_set)]
    told += [f"data {place.key.dataset_fingerprint[:8]}" if len(twins) > 1 else ""]
    what = ", ".join(filter(None, told))
    return plain(f"{printed} ({what})" if what else printed)


@dataclass(frozen=True)
class _Block:
    """Rows that are repeated for each direction, or each dataset; or all rows."""

    title: str
    slots: tuple[Slot, ...]
    directions: tuple[str, ...] = ()
    key: TableKey = field(default_factory=TableKey)


@dataclass(frozen=True)
class _Part:
    spec: PaperTable
    wish: Wish
    spots: Sequence[Spot]
    lines: Lines

    def board(self, which: tuple[int, int], left_out: Sequence[str]) -> Leaderboard:
        """The part as a leaderboard; `which` is its number, and of how many."""
        notes = Notes()
        if any(not spot.dataset for spot in self.spots):
            notes.marks[NOT_PRINTED] = "this dataset is not in the paper's table"
        blocks = self.blocks(notes)
        columns = self.columns(blocks, notes)
        groups = tuple(group for block in blocks for group in self.groups(block, notes))
        metrics = [SECONDS] if self.spec.seconds else list(self.spec.metrics)
        title = f"{self.spec.title}: {self.spec.layout.title}, {', '.join(metrics)}"
        title += f", part {which[0]} of {which[1]}" if which[1] > 1 else ""
        protocols = list(dict.fromkeys(s.place.key.protocol for s in self.spots if s.place and s.place.key.protocol))
        title += f", protocol {', '.join(protocols)}" if protocols else ""
        key = TableKey(output=self.spec.output, metric=metrics[0] if len(metrics) == 1 else "")
        facts = facts_of(self.spec, self.spots, self.wish.published, left_out)
        return Leaderboard(key, plain(title), facts, columns, groups, notes.listed, costs=False)

    def blocks(self, notes: Notes) -> list[_Block]:
        """The blocks, each with what its columns are about; all have the same columns."""
        tasks = self.spec.tasks
        if self.spec.blocks == "task":
            return [
                _Block(self.spec.task_head(task), self.slots(self.spots, [task]), directions_of(task, tasks))
                for task in tasks
            ]
        if self.spec.blocks == "dataset":
            return [
                _Block(
                    f"{spot.head} {self._marks(spot, notes)}".strip(),
                    self.slots([spot], tasks),
                    key=spot.place.key if spot.place else _unrun(spot),
                )
                for spot in self.spots
            ]
        return [_Block("", self.slots(self.spots, tasks))]

    def slots(self, spots: Sequence[Spot], tasks: Sequence[str]) -> tuple[Slot, ...]:
        return tuple(
            Slot(spot, task, directions_of(task, self.spec.tasks), metric, bits)
            for spot in spots
            for task in tasks
            for metric in self.spec.metrics
            for bits in self.spec.layout.bits or (None,)
        )

    def columns(self, blocks: Sequence[_Block], notes: Notes) -> tuple[Column, ...]:
        """The columns, named by what the blocks do not tell."""
        columns = []
        for slot in blocks[0].slots if blocks else ():
            for kind in self.kinds(slot):
                # Of rows that are repeated for each dataset, the heads of the rows bear the marks.
                marks = self._marks(slot.spot, notes) if kind == PUBLISHED and self.spec.blocks != "dataset" else ""
                heads = self._heads(slot)
                if self.wish.published:
                    heads = (*heads, f"{kind} {marks}".strip())
                columns.append(Column(heads, *self._meaning(slot), kind))
        return tuple(columns)

    def _marks(self, spot: Spot, notes: Notes) -> str:
        """What tells the data of our numbers from the paper's, beside published numbers."""
        if not self.wish.published or not spot.dataset or spot.place is None:
            return ""
        return data_marks(self.spec, spot.place, spot.dataset, notes)

    def _heads(self, slot: Slot) -> tuple[str, ...]:
        """Dataset, task, metric, code length: those that differ from column to column."""
        heads: tuple[str, ...] = () if self.spec.blocks == "dataset" else (slot.spot.head,)
        if self.spec.blocks == "dataset" and "->" in slot.task:
            query, _, target = slot.task.partition("->")
            heads += (query, f"→ {target}")
        elif self.spec.blocks == "dataset":
            heads += (self.spec.task_head(slot.task), "")
        elif self.spec.blocks != "task":
            heads += (self.spec.task_head(slot.task),)
        if len(self.spec.metrics) > 1:
            heads += (self.spec.heads.get(slot.metric, slot.metric),)
        return heads if self.spec.seconds else heads + size_of(slot.bits)

    def _meaning(self, slot: Slot) -> tuple[tuple[str, ...], int | None, TableKey]:
        directions = () if self.spec.blocks == "task" else slot.directions
        key = TableKey(metric=slot.metric)
        if self.spec.blocks != "dataset":
            key = key.within(slot.spot.place.key if slot.spot.place else _unrun(slot.spot))
        return directions, slot.bits, key

    def kinds(self, slot: Slot) -> tuple[str, ...]:
        """The sub-columns: only ours for a dataset that the paper does not have; no differences where we have no
        results, and none of seconds.
        """
        if not self.wish.published or (not slot.spot.dataset and self.spec.blocks != "dataset"):
            return (OURS,)
        compared = slot.spot.place is not None or self.spec.blocks == "dataset"
        return (PUBLISHED, OURS, DIFFERENCE) if compared and not self.spec.seconds else (PUBLISHED, OURS)

    def groups(self, block: _Block, notes: Notes) -> list[Group]:
        """Chance and baselines, the paper's rows, our other rows; ranks are taken over all of them."""
        named = [("chance and baselines", self.lines.top(block.slots, notes))]
        named += self._halves(self.lines.paper(block.slots, notes))
        named.append((f"not in {self.spec.title}", self.lines.rest(block.slots, notes)))
        ranked = iter(with_ranks([line.row for _, lines in named for line in lines], self._smaller()))
        return [
            Group(
                f"{block.title}: {title}" if block.title else title[0].upper() + title[1:],
                tuple(self._beside(replace(line, row=next(ranked)), block.slots, notes) for line in lines),
                block.directions,
                block.key,
            )
            for title, lines in named
            if lines
        ]

    def _halves(self, lines: Sequence[Line]) -> list[tuple[str, list[Line]]]:
        title = f"methods of {self.spec.title}"
        if not self.spec.halves:
            return [(title, list(lines))]
        halves = groupby(lines, key=lambda line: line.printed.category if line.printed else line.row.group)
        return [(f"{title}, {half}", list(same)) for half, same in halves]

    def _smaller(self) -> bool:
        return all(smaller_is_better(metric) for metric in self.spec.metrics)

    def _beside(self, line: Line, slots: Sequence[Slot], notes: Notes) -> Row:
        """The row with the published numbers and the differences between its own."""
        cells: list[Cell] = []
        for slot, ours in zip(slots, line.row.cells, strict=True):
            printed = self._printed(line, slot)
            for kind in self.kinds(slot):
                if kind == PUBLISHED:
                    cells.append(published_cell(printed, notes) if printed else BLANK)
                else:
                    cells.append(ours if kind == OURS else difference_cell(ours, printed, notes))
        return replace(line.row, cells=tuple(cells))

    def _printed(self, line: Line, slot: Slot) -> Printed | None:
        if line.printed is None:
            return None
        what = (line.printed.method, line.printed.setting, slot.spot.dataset, slot.task, slot.metric, slot.bits)
        return printed_in(self.spec.paper, self.spec.table).get(what)


def _unrun(spot: Spot) -> TableKey:
    return TableKey(dataset=spot.dataset)
