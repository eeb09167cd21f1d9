"""Leaderboards on a terminal (Rich): cut into panels of columns where the screen is too narrow for all."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from typing import TYPE_CHECKING

from cmrbench.report.build import leaderboards
from cmrbench.report.model import LEGEND, Cell, Leaderboard, Row, superscript
from cmrbench.report.named import named_table
from cmrbench.report.queries import RunTables
from cmrbench.report.ranking import tested

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console, Group
    from rich.text import Text

WIDTH = 100
"""Columns of a text document."""

_NAME_WIDTH = 30
_GAP = 3
_COSTS = (("Fit", "(s)"), ("Peak", "(MiB)"))


def print_leaderboards(console: Console, table: pa.Table, name: str = "", store: RunTables | None = None) -> None:
    """Print the headline leaderboards of a results table (schema of `cmrbench.store.schema`), or the named table.

    Of a paper's table, only the datasets that the results hold are shown. `store` is where the table comes from: its
    values of single queries tell what is bold; without it the printed digits do.
    """
    held = table.column("dataset").unique().to_pylist()
    boards = named_table(table, name, held) if name else leaderboards(table)
    print_boards(console, boards if store is None else tested(boards, store))


def document(leaderboards: Sequence[Leaderboard]) -> str:
    """Plain text, 100 columns wide: ``*best*``, ``_second_``."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=WIDTH, force_terminal=False, color_system=None, legacy_windows=False)
    print_boards(console, leaderboards)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def print_boards(console: Console, boards: Sequence[Leaderboard]) -> None:
    """Print leaderboards; bold and underlined on a terminal, ``*best*`` and ``_second_`` elsewhere."""
    for part in renderables(boards, console.width, console.is_terminal):
        console.print(part)


def renderables(boards: Sequence[Leaderboard], width: int, styled: bool) -> Iterator[Text | Group]:
    """Leaderboards as parts of a screen, to be printed one under the other."""
    from rich.text import Text

    for board in boards:
        yield Text(board.title, style="bold")
        yield Text(" · ".join(f"{name}: {value}" for name, value in board.facts), style="dim")
        for panel in _panels(board, width, styled):
            yield Text()
            yield panel
        for note in board.notes:
            yield Text(f"{superscript(note.mark)} {note.text}", style="dim")
        yield Text()
    if boards:
        ranks = "Best bold, second underlined." if styled else "*Best*, _second_."
        yield Text(f"{LEGEND} {ranks}", style="dim")


def _panels(board: Leaderboard, width: int, styled: bool) -> list[Group]:
    """The columns in order, as many to a panel as fit; columns under one head stay together if they can."""
    columns = _Columns(board, styled)
    room = max(width - columns.names, 1)
    numbers = len(board.columns)
    costs = [numbers, numbers + 1] if board.costs else []
    panels: list[list[list[int]]] = [[]]
    for block in [*_blocks(columns, room), *([costs] if costs else [])]:
        if panels[-1] and columns.room([*chain(*panels[-1]), *block]) > room:
            # The costs do not stand alone if the last numbers can go with them.
            last = panels[-1][-1]
            joins = block is costs and len(panels[-1]) > 1 and columns.room([*last, *costs]) <= room
            panels.append([panels[-1].pop()] if joins else [])
        panels[-1].append(block)
    return [columns.panel(list(chain(*panel))) for panel in panels]


def _blocks(columns: _Columns, room: int) -> list[list[int]]:
    """The numbers' columns under the outermost heads whose columns fit into a panel."""
    listed = columns.board.columns
    for depth in range(1, max((len(column.heads) for column in listed), default=0)):
        blocks = [list(same) for _, same in groupby(range(len(listed)), key=lambda i: listed[i].heads[:depth])]
        if all(columns.room(block) <= room for block in blocks):
            return blocks
    return [[i] for i in range(len(listed))]


class _Columns:
    """What a leaderboard prints to the right of the methods: its cells, fit seconds and peak memory."""

    def __init__(self, board: Leaderboard, styled: bool) -> None:
        from rich.cells import cell_len

        self.board = board
        costs = _COSTS if board.costs else ()
        self.depth = max([1, *(len(heads) for heads in (*(column.heads for column in board.columns), *costs))])
        self.heads = [("",) * (self.depth - len(column.heads)) + column.heads for column in board.columns]
        self.heads += [("",) * (self.depth - len(heads)) + heads for heads in costs]
        self.cells: list[list[Text]] = [[_cell(cell, styled) for cell in row.cells] for row in board.rows]
        for line, row in zip(self.cells, board.rows, strict=True):
            line += [_dim(row.fit), _dim(row.peak)]
        self.names = min(_NAME_WIDTH, max([len("Method"), *(cell_len(_name(row)) for row in board.rows)]))

    def room(self, panel: Sequence[int]) -> int:
        """Screen columns that these columns take."""
        widths = self._widths(panel)
        return sum(widths) + _GAP * len(widths)

    def _widths(self, panel: Sequence[int]) -> list[int]:
        """Widths of columns, wide enough for the heads that they share."""
        from rich.cells import cell_len

        widths = [max([cell_len(self.heads[i][-1])] + [line[i].cell_len for line in self.cells]) for i in panel]
        for depth in range(self.depth - 1, 0, -1):
            for run in self._runs(panel, depth):
                lacking = cell_len(self.heads[panel[run[0]]][depth - 1]) - _width([widths[k] for k in run])
                for k in range(max(lacking, 0)):
                    widths[run[-1 - k % len(run)]] += 1
        return widths

    def _runs(self, panel: Sequence[int], depth: int) -> list[list[int]]:
        """Places in the panel under one head of a line (lines count from 1, the outermost)."""
        if depth == self.depth:
            return [[k] for k in range(len(panel))]
        runs = groupby(range(len(panel)), key=lambda k: (self.heads[panel[k]][:depth], panel[k] >= self._numbers))
        return [list(same) for _, same in runs]

    @property
    def _numbers(self) -> int:
        return len(self.board.columns)

    def panel(self, panel: Sequence[int]) -> Group:
        """The header lines, then every group of rows under its title."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        widths = self._widths(panel)
        parts: list[Text | Table] = []
        for depth in range(1, self.depth + 1):
            head_line = Text(("Method" if depth == self.depth else "").ljust(self.names))
            for run in self._runs(panel, depth):
                room = _width([widths[k] for k in run])
                head = self.heads[panel[run[0]]][depth - 1]
                placed = _centred(head, room) if len(run) > 1 else _right(head, room)
                head_line.append(" " * _GAP).append(placed, style="bold")
            parts.append(head_line)
        parts.append(Text("─" * (self.names + _width(widths) + _GAP)))
        lines = iter(self.cells)
        for group in self.board.groups:
            table = Table(box=None, show_header=False, padding=(0, 0, 0, _GAP), pad_edge=False)
            table.add_column(width=self.names, overflow="fold")
            for width in widths:
                table.add_column(width=width, justify="right", no_wrap=True)
            for row in group.rows:
                line = next(lines)
                table.add_row(Text(_name(row)), *(line[i] for i in panel))
            parts += [Text(group.title, style="italic dim"), table, Text("")]
        return Group(*parts[:-1])


def _width(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _right(text: str, room: int) -> str:
    from rich.cells import cell_len

    return " " * max(room - cell_len(text), 0) + text


def _centred(text: str, room: int) -> str:
    from rich.cells import cell_len

    before = max(room - cell_len(text), 0) // 2
    return " " * before + text + " " * max(room - cell_len(text) - before, 0)


def _name(row: Row) -> str:
    return " ".join([row.title, *row.marks])


def _dim(text: str) -> Text:
    from rich.text import Text

    return Text(text, style="dim")


_EMPHASIS = {"best": "bold", "second": "underline", "": ""}


def _cell(cell: Cell, styled: bool) -> Text:
    from rich.text import Text

    number = cell.number
    if not styled and cell.rank:
        number = f"*{number}*" if cell.rank == "best" else f"_{number}_"
    text = Text()  # without a style of its own: the padding to the left of a number is not underlined
    text.append(number, style=_EMPHASIS[cell.rank] if styled else "")
    if cell.aside:
        text.append(f" {cell.aside}", style="dim")
    return text.append(superscript(cell.note))
