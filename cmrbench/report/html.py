"""Leaderboards as one self-contained HTML page without scripts; every text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from cmrbench.report.model import LEGEND, ROW_HEADS, Cell, Leaderboard, Row, header, superscript

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1a1a1a; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap; }
thead { border-bottom: 1px solid; }
th[colspan] { text-align: center; }
th.text, td.text { text-align: left; }
td.text:first-child { white-space: normal; min-width: 12rem; }
tr.group th { text-align: left; font-style: italic; font-weight: normal; border-top: 1px solid #999; }
.spread { color: #666; font-size: .85em; }
.second { text-decoration: underline; }
.facts, .notes { color: #444; font-size: .9em; }
ul.notes { list-style: none; padding: 0; }
@media (prefers-color-scheme: dark) {
  body { background: #161616; color: #e6e6e6; }
  .facts, .notes, .spread { color: #aaa; }
}
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>cmrbench leaderboards</title>
<style>{style}</style>
</head>
<body>
<h1>Leaderboards</h1>
{sections}
</body>
</html>
"""


def document(leaderboards: Sequence[Leaderboard]) -> str:
    """The page."""
    return _PAGE.format(style=_STYLE, sections="\n".join(_section(board) for board in leaderboards))


def _section(board: Leaderboard) -> str:
    width = len(ROW_HEADS) + len(board.columns) + 2 * board.costs
    body = []
    for group in board.groups:
        body.append(f'<tr class="group"><th colspan="{width}">{escape(group.title)}</th></tr>')
        body += [_row(row, board.costs) for row in group.rows]
    facts = " · ".join(f"{escape(name)}: {escape(value)}" for name, value in board.facts)
    notes = "\n".join(f"<li>{escape(superscript(n.mark))} {escape(n.text)}</li>" for n in board.notes)
    return "\n".join(
        [
            f"<section>\n<h2>{escape(board.title)}</h2>",
            f'<p class="facts">{facts}</p>',
            f'<div class="wide"><table>\n<thead>\n{_head(board)}\n</thead>\n<tbody>',
            *body,
            "</tbody>\n</table></div>",
            f'<p class="notes">{escape(LEGEND)} Best <b>bold</b>, second <span class="second">underlined</span>.</p>',
            f'<ul class="notes">\n{notes}\n</ul>' if notes else "",
            "</section>",
        ]
    )


def _head(board: Leaderboard) -> str:
    lines = header(board.columns) or [[]]
    deep = f' rowspan="{len(lines)}"' if len(lines) > 1 else ""
    cells = [[_merged(text, width) for text, width in line] for line in lines]
    costs = [f"<th{deep}>Fit (s)</th>", f"<th{deep}>Peak (MiB)</th>"] if board.costs else []
    cells[0] = [*(f'<th class="text"{deep}>{name}</th>' for name in ROW_HEADS), *cells[0], *costs]
    return "\n".join(f"<tr>{''.join(line)}</tr>" for line in cells)


def _merged(text: str, width: int) -> str:
    return f'<th colspan="{width}">{escape(text)}</th>' if width > 1 else f"<th>{escape(text)}</th>"


def _row(row: Row, costs: bool) -> str:
    texts = (" ".join([row.title, *row.marks]), row.group, row.source)
    cells = [f'<td class="text">{escape(text)}</td>' for text in texts]
    cells += [f"<td>{_cell(cell)}</td>" for cell in row.cells]
    if costs:
        cells += [f"<td>{row.fit}</td>", f"<td>{row.peak}</td>"]
    return f"<tr>{''.join(cells)}</tr>"


def _cell(cell: Cell) -> str:
    number = escape(cell.number)
    if cell.rank == "best":
        number = f"<b>{number}</b>"
    elif cell.rank == "second":
        number = f'<span class="second">{number}</span>'
    spread = f' <span class="spread">{cell.aside}</span>' if cell.aside else ""
    return f"{number}{spread}{superscript(cell.note)}"
