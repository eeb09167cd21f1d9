"""How a paper's table is laid out: its rows and columns in printed order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from cmrbench.core.errors import UnknownNameError
from cmrbench.published.load import cells, missing, timings
from cmrbench.published.model import Place, PublishedTime
from cmrbench.published.words import papers, tables

T = TypeVar("T")


@dataclass(frozen=True)
class LayoutRow:
    """A row of a table: a method, in one variant.

    The same row may be printed once for each direction (survey V to VIII); here it stands once.
    """

    method: str
    printed: str
    category: str
    venue: str
    variant: str
    setting: str
    reference: str


@dataclass(frozen=True)
class TableLayout:
    """A table's rows and columns, each in the order in which they are printed first.

    Attributes
    ----------
    paper, table, title : str
    rows : tuple of LayoutRow
    datasets, datasets_printed : tuple of str
        Registered names, and the headings in the same order.
    tasks : tuple of str
        Directions and averages, as in `PublishedCell.task`; empty for times.
    metrics : tuple of str
        In cmrbench's names.
    bits : tuple of int
        Code lengths; empty for real-valued methods.
    """

    paper: str
    table: str
    title: str
    rows: tuple[LayoutRow, ...]
    datasets: tuple[str, ...]
    datasets_printed: tuple[str, ...]
    tasks: tuple[str, ...]
    metrics: tuple[str, ...]
    bits: tuple[int, ...]


@cache
def layout(paper: str, table: str) -> TableLayout:
    """Rows and columns of a table, those included that hold nothing but dashes.

    Raises
    ------
    UnknownNameError
        If there is no such paper or table of numbers.
    """
    if paper not in papers():
        raise UnknownNameError("paper", paper, papers())
    places: Sequence[Place] = [c for c in (*cells(), *missing()) if (c.paper, c.table) == (paper, table)]
    times = [t for t in timings() if (t.paper, t.table) == (paper, table)]
    if not places:
        raise UnknownNameError(f"table of {papers()[paper]}", table, [t for t in tables(paper) if t != "text 5.3"])
    places = sorted(places, key=lambda c: c.line)  # stable: cells of a line keep the order of their columns
    heads = {t.dataset: t.dataset_printed for t in times} or {c.dataset: c.dataset_printed for c in places}
    return TableLayout(
        paper=paper,
        table=table,
        title=tables(paper)[table],
        rows=_rows_of_times(times, places) if times else _once(places, _row),
        datasets=tuple(heads),
        datasets_printed=tuple(heads.values()),
        tasks=() if times else _once(places, lambda c: c.task),
        metrics=_once(places, lambda c: c.metric),
        bits=tuple(sorted({c.bits for c in places if c.bits is not None})),
    )


def _row(cell: Place) -> LayoutRow:
    return LayoutRow(
        method=cell.method,
        printed=cell.method_printed,
        category=cell.category,
        venue=cell.venue,
        variant=cell.variant,
        setting=cell.setting,
        reference=cell.reference,
    )


def _once(cells: Iterable[Place], what: Callable[[Place], T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(map(what, cells)))


def _rows_of_times(times: Iterable[PublishedTime], dashes: Iterable[Place]) -> tuple[LayoutRow, ...]:
    found = [(t.line, LayoutRow(t.method, t.method_name, t.category, "", "", "plain", t.reference)) for t in times]
    found += [(c.line, LayoutRow(c.method, c.method_printed, c.category, "", "", "plain", c.reference)) for c in dashes]
    return tuple(dict.fromkeys(row for _, row in sorted(found, key=lambda x: x[0])))
