"""The ledger of published numbers, printed: Rich tables, Markdown, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from cmrbench.published.blocks import Block, blocks
from cmrbench.published.ledger import Entry
from cmrbench.published.overview import Overview
from cmrbench.published.words import table_name
from cmrbench.report.markdown import escape
from cmrbench.report.model import superscript

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH = 110
"""Columns of a text document."""
FIELDS = (
    *("paper", "table", "dataset", "dataset_printed", "method", "method_printed", "variant", "setting", "category"),
    *("venue", "task", "metric", "metric_printed", "bits", "value", "printed", "split", "features", "origin", "notes"),
    *("findings", "contradicted", "elsewhere", "reference"),
)
"""The header of the CSV, and the keys of a JSON line. `value` is empty where the paper prints a dash."""
_Section = tuple[str, tuple[str, ...], Sequence[tuple[str, ...]]]
"""Title, heads and rows of a table."""
_HOW = "Numbers: cmrbench published --method NAME, --dataset NAME, --paper NAME, --table NAME or --all"
_PADDING = 3  # one on either side of a cell, one between columns
_ASIDES = {"origin": "Source", "features": "Features", "notes": "Notes"}
_ASIDE_WIDTHS = {"table": 16, "method": 26, "origin": 19, "features": 19, "notes": 11}
_LEGEND = "I image, T text, A audio, V video, 3D: query→gallery; ↔ is the printed average over both, all over all."


def document(entries: Sequence[Entry], form: str) -> str:
    """The entries in a format, ended by a newline."""
    if form == "csv":
        return _csv(entries)
    if form == "json":
        return json.dumps([_plain(e) for e in entries], indent=2, ensure_ascii=False) + "\n"
    if form == "md":
        return "\n\n".join(_markdown(block) for block in blocks(entries)) + f"\n\n{_LEGEND}\n"
    return _text(lambda console: print_entries(console, entries))


def overview_document(overview: Overview, form: str) -> str:
    """The overview in a format, ended by a newline."""
    if form == "json":
        return json.dumps(_plain_overview(overview), indent=2, ensure_ascii=False) + "\n"
    if form == "md":
        parts = [_lines_of(title, heads, rows) for title, heads, rows in _sections(overview)]
        return "\n\n".join([escape(_headline(overview)), *parts, _HOW]) + "\n"
    return _text(lambda console: print_overview(console, overview))


def print_entries(console: Console, entries: Sequence[Entry]) -> None:
    """Print blocks of numbers, cut into panels of columns where the screen is too narrow for all."""
    from rich.text import Text

    for block in blocks(entries):
        console.print(Text(block.title, style="bold"))
        for fact in block.facts:
            console.print(Text(fact, style="dim"))
        for panel in _panels(block, console.width):
            console.print()
            console.print(panel)
        if block.notes:
            console.print()
        for mark, text in block.notes:
            console.print(Text(f"{_mark(mark)} {text}", style="dim"))
        console.print()
    console.print(Text(_LEGEND, style="dim"))


def print_overview(console: Console, overview: Overview) -> None:
    """Print what there is, and how to ask for it."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console.print(Text(_headline(overview)))
    for title, heads, rows in _sections(overview):
        shown = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for head in heads:
            shown.add_column(Text(head), overflow="fold")
        for row in rows:
            shown.add_row(*map(Text, row))
        console.print(shown)
    console.print(Text(_HOW))


def _text(show: Callable[[Console], None]) -> str:
    from rich.console import Console

    out = io.StringIO()
    show(Console(file=out, width=WIDTH, force_terminal=False, color_system=None, legacy_windows=False))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _panels(block: Block, width: int) -> Iterator[Table]:
    """The columns in order, as many to a panel as fit beside the names; each panel repeats the names."""
    from rich.cells import cell_len

    texts = [[_cell(cell) for cell in row.cells] for row in block.rows]
    heads = [head.split("\n") for head in block.heads]
    wide = [max(map(cell_len, [*heads[i], *(line[i] for line in texts)])) + _PADDING for i in range(len(heads))]
    told = _told(block)
    names = ("table", "method", *told)
    longest = {name: max(cell_len(t) for t in [name, *(getattr(row, name) for row in block.rows)]) for name in names}
    room = max(width - sum(min(longest[name] + _PADDING, _ASIDE_WIDTHS[name]) for name in names), 1)
    tasks = [list(same) for _, same in groupby(range(len(heads)), key=lambda i: heads[i][0])]
    kept = tasks if all(sum(wide[i] for i in task) <= room for task in tasks) else [[i] for i in range(len(heads))]
    panels: list[list[int]] = [[]]
    for task in kept:  # columns of one direction stay together if they can
        if panels[-1] and sum(wide[i] for i in [*panels[-1], *task]) > room:
            panels.append([])
        panels[-1] += task
    for panel in panels:
        yield _panel(block, texts, panel, told)


def _panel(block: Block, texts: Sequence[Sequence[str]], panel: Sequence[int], told: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
    shown.add_column(Text("Table"), no_wrap=True)
    shown.add_column(Text("Method"), max_width=_ASIDE_WIDTHS["method"] - _PADDING, overflow="fold")
    for i in panel:
        shown.add_column(Text(block.heads[i]), justify="right", no_wrap=True)
    for name in told:
        shown.add_column(Text(_ASIDES[name]), max_width=_ASIDE_WIDTHS[name] - _PADDING, overflow="fold")
    for row, line in zip(block.rows, texts, strict=True):
        if any(line[i] for i in panel):
            ends = [getattr(row, name) for name in told]
            shown.add_row(*map(Text, [row.table, row.method, *(line[i] for i in panel), *ends]))
    return shown


def _told(block: Block) -> list[str]:
    """The columns at the right that say anything."""
    return [name for name in _ASIDES if any(getattr(row, name) not in ("", "not stated") for row in block.rows)]


def _cell(cell: tuple[str, tuple[int, ...]]) -> str:
    text, marks = cell
    return text + ",".join(map(superscript, marks))


def _mark(mark: str) -> str:
    return superscript(mark) if mark.isdecimal() else f"{mark}:"


def _markdown(block: Block) -> str:
    told = _told(block)
    heads = ["Table", "Method", *(" ".join(h.split("\n")) for h in block.heads), *(_ASIDES[name] for name in told)]
    rule = [":--"] * 2 + ["--:"] * len(block.heads) + [":--"] * len(told)
    lines = [f"### {escape(block.title)}", "", *(f"{escape(fact)}  " for fact in block.facts), ""]
    lines += [_line(map(escape, heads)), _line(rule)]
    for row in block.rows:
        ends = [getattr(row, name) for name in told]
        lines.append(_line(map(escape, [row.table, row.method, *map(_cell, row.cells), *ends])))
    lines += ["", *(f"- {escape(_mark(mark))} {escape(text)}" for mark, text in block.notes)]
    return "\n".join(lines).rstrip()


def _lines_of(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"### {escape(title)}", "", _line(map(escape, heads)), _line([":--"] * len(heads))]
    return "\n".join(lines + [_line(map(escape, row)) for row in rows])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _csv(entries: Sequence[Entry]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    for entry in entries:
        line = _plain(entry)
        writer.writerow({k: "; ".join(v) if isinstance(v, list) else v for k, v in line.items()})
    return out.getvalue()


def _plain(entry: Entry) -> dict[str, Any]:
    place = asdict(entry.place)
    line = {name: place.get(name) for name in FIELDS}
    return line | {
        "value": entry.value,
        "printed": entry.printed,
        "split": entry.split,
        "origin": entry.origin.words,
        "notes": list(entry.notes),
        "findings": [f.id for f in entry.findings],
        "contradicted": [f"{c.printed} in {table_name(c.paper, c.table)}" for c in entry.contradicted],
        "elsewhere": [f"{c.printed} in {table_name(c.paper, c.table)}" for c in entry.elsewhere],
    }


def _headline(overview: Overview) -> str:
    held = f"{overview.numbers:,} numbers of {len(overview.methods)} methods on {len(overview.datasets)} datasets"
    two = f"{overview.contradicted} quantities have two values from one source"
    return f"{held}, printed in {len(overview.papers)} papers. {two}, {overview.differing} more differ between sources."


def _sections(overview: Overview) -> list[_Section]:
    tables: list[tuple[str, ...]] = []
    for t in overview.tables:
        counts = (f"{t.numbers}", f"{t.dashes or ''}", f"{t.methods}")
        tables.append((table_name(t.paper, t.table), t.title, *counts, ", ".join(t.datasets)))
    methods = ", ".join(f"{name} {count}" for name, count in overview.methods.items())
    datasets = ", ".join(f"{name} {count}" for name, count in overview.datasets.items())
    return [
        ("Papers", ("key", "title"), list(overview.papers.items())),
        ("Tables", ("table", "what", "numbers", "dashes", "methods", "datasets"), tables),
        ("Numbers by", ("", ""), [("method", methods), ("dataset", datasets)]),
        (
            "Findings",
            ("id", "kind", "what", "cells"),
            [(f.id, f.kind, f.title, str(n or "")) for f, n in overview.findings],
        ),
    ]


def _plain_overview(overview: Overview) -> dict[str, Any]:
    return {
        "numbers": overview.numbers,
        "papers": overview.papers,
        "tables": [asdict(t) for t in overview.tables],
        "methods": overview.methods,
        "datasets": overview.datasets,
        "findings": [
            {"id": f.id, "kind": f.kind, "title": f.title, "text": f.text, "cells": n} for f, n in overview.findings
        ],
        "contradicted": overview.contradicted,
        "differing": overview.differing,
    }
