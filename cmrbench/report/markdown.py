"""Leaderboards as Markdown (GitHub's tables): best bold, second underlined.

GitHub takes `<u>` out of what it shows; `<ins>` is its tag for underlined text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cmrbench.report.model import LEGEND, ROW_HEADS, Cell, Leaderboard, Row, superscript

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def document(leaderboards: Sequence[Leaderboard]) -> str:
    """All leaderboards, one section each, ended by a newline."""
    return "\n\n".join(_section(board) for board in leaderboards) + "\n"


def escape(text: str) -> str:
    """Text that Markdown prints as it is: no markup, no HTML, no cell border, no link, no mention of a user."""
    marked = re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", text).translate(_ENTITIES)
    unlinked = re.sub(r"(?i)(?<=\bwww)\.", "&#46;", marked.replace("://", "&#58;//"))
    # Mentions are looked for in what was rendered, where an entity alone is the character again.
    return re.sub(r"(?<!\w)@", "&#64;&#8203;", unlinked)


def _section(board: Leaderboard) -> str:
    head = list(ROW_HEADS)
    head += [escape(column.name) for column in board.columns]
    head += ["Fit (s)", "Peak (MiB)"] if board.costs else []
    rule = [":--"] * len(ROW_HEADS) + ["--:"] * (len(head) - len(ROW_HEADS))
    lines = [f"### {escape(board.title)}", "", " · ".join(f"{escape(k)}: {escape(v)}" for k, v in board.facts), ""]
    lines += [_line(head), _line(rule)]
    for group in board.groups:
        lines.append(_line([f"*{escape(group.title)}*"] + [""] * (len(head) - 1)))
        lines += [_line(_row(row, board.costs)) for row in group.rows]
    lines += ["", f"{LEGEND} Best **bold**, second <ins>underlined</ins>."]
    if board.notes:
        lines += ["", *(f"- {escape(superscript(note.mark))} {escape(note.text)}" for note in board.notes)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(row: Row, costs: bool) -> list[str]:
    name = " ".join([escape(row.title), *row.marks])
    ends = (row.fit, row.peak) if costs else ()
    return [name, escape(row.group), escape(row.source), *map(_cell, row.cells), *ends]


def _cell(cell: Cell) -> str:
    number = escape(cell.number)
    if cell.rank == "best":
        number = f"**{number}**"
    elif cell.rank == "second":
        number = f"<ins>{number}</ins>"
    return f"{number} {cell.aside}".strip() + superscript(cell.note)
