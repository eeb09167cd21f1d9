"""Leaderboards on a terminal (Rich): cut into panels of columns where the screen is too narrow for all."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import chain, groupby
from typing import TYPE_CHECKING

from cmrbench.report.build import leaderboards
from cmrbench.report.model import LEGEND, Cell, Leaderboard, superscript
from cmrbench.report.survey import named_table

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDTH = 100
"""Columns of a text document."""

_NAME_WIDTH = 30
_PADDING = 3  # one on either side of a cell, one between columns


def print_leaderboards(console: Console, table: pa.Table, name: str = "") -> None:
    """Print the headline leaderboards of a results table (schema of `cmrbench.store.schema`), or the named table."""
    print_boards(console, named_table(table, name) if name else leaderboards(table))


def document(leaderboards: Sequence[Leaderboard]) -> str:
    """Plain text, 100 columns wide: ``*best*``, ``_second_``."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=WIDTH, force_terminal=False, color_system=None, legacy_windows=False)
    print_boards(console, leaderboards)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def print_boards(console: Console, boards: Sequence[Leaderboard]) -> None:
    """Print leaderboards; bold and underlined on a terminal, ``*best*`` and ``_second_`` elsewhere."""
    from rich.text import Text

    styled = console.is_terminal
    for board in boards:
        console.print(Text(board.title, style="bold"))
        console.print(Text(" · ".join(f"{name}: {value}" for name, value in board.facts), style="dim"))
        for panel in _panels(board, console.width, styled):
            console.print()
            console.print(panel)
        for note in board.notes:
            console.print(Text(f"{superscript(note.mark)} {note.text}", style="dim"))
        console.print()
    if boards:
        ranks = "Best bold, second underlined." if styled else "*Best*, _second_."
        console.print(Text(f"{LEGEND} {ranks}", style="dim"))


def _panels(board: Leaderboard, width: int, styled: bool) -> list[Table]:
    """The columns in order, as many to a panel as fit; the code lengths of a task stay together if they can."""
    from rich.cells import cell_len

    columns = _Columns(board, styled)
    names = [" ".join([row.title, *row.marks]) for row in board.rows] + [group.title for group in board.groups]
    room = max(width - min(_NAME_WIDTH, max(map(cell_len, names))) - _PADDING, 1)
    numbers = len(board.columns)
    costs = [numbers, numbers + 1] if board.costs else []
    tasks = [list(same) for _, same in groupby(range(numbers), key=lambda i: board.columns[i].task)]
    blocks = [[i] for i in range(numbers)] if any(columns.room(task) > room for task in tasks) else tasks
    panels: list[list[list[int]]] = [[]]
    for block in [*blocks, *([costs] if costs else [])]:
        if panels[-1] and columns.room([*chain(*panels[-1]), *block]) > room:
            # The costs do not stand alone if the last numbers can go with them.
            last = panels[-1][-1]
            joins = block is costs and len(panels[-1]) > 1 and columns.room([*last, *costs]) <= room
            panels.append([panels[-1].pop()] if joins else [])
        panels[-1].append(block)
    return [columns.table(list(chain(*panel))) for panel in panels]


class _Columns:
    """What a leaderboard prints to the right of the methods: its cells, fit seconds and peak memory."""

    def __init__(self, board: Leaderboard, styled: bool) -> None:
        self.board = board
        self.heads = [f"{c.task}\n{c.size}".strip() for c in board.columns] + ["Fit\n(s)", "Peak\n(MiB)"]
        self.cells: list[list[Text]] = [[_cell(cell, styled) for cell in row.cells] for row in board.rows]
        for line, row in zip(self.cells, board.rows, strict=True):
            line += [_dim(row.fit), _dim(row.peak)]

    def room(self, panel: Sequence[int]) -> int:
        """Screen columns that these columns take."""
        from rich.cells import cell_len

        widths = [
            max([cell_len(part) for part in self.heads[i].split("\n")] + [line[i].cell_len for line in self.cells])
            for i in panel
        ]
        return sum(widths) + _PADDING * len(widths)

    def table(self, panel: Sequence[int]) -> Table:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
        table.add_column(Text("Method"), max_width=_NAME_WIDTH, overflow="fold")
        for i in panel:
            table.add_column(Text(self.heads[i]), justify="right", no_wrap=True)
        lines = iter(self.cells)
        for group in self.board.groups:
            table.add_row(Text(group.title, style="italic dim"))
            for row in group.rows:
                line = next(lines)
                table.add_row(Text(" ".join([row.title, *row.marks])), *(line[i] for i in panel))
            table.add_section()
        return table


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
