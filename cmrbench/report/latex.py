"""Leaderboards as LaTeX tables in the manner of booktabs."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from cmrbench.report.model import LEGEND, ROW_HEADS, Cell, Column, Leaderboard, Note, Row, header

_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "[": "{[}",  # a row end takes a bracket or a star that follows it for its own argument
        "*": "{*}",
        "→": r"$\rightarrow$",
        "×": r"$\times$",
        "±": r"$\pm$",
        "≈": r"$\approx$",
        "—": "---",
        "–": "--",
        "·": r"$\cdot$",
        "…": r"\ldots{}",
        "†": r"\dag{}",
        "‡": r"\ddag{}",
        "§": r"\S{}",
        "¶": r"\P{}",
        "‼": "!!",
        "◁": r"$\triangleleft$",
        "◊": r"$\diamond$",
        "△": r"$\triangle$",
        "▽": r"$\bigtriangledown$",
        "○": r"$\circ$",
        "Δ": r"$\Delta$",
        "’": "'",
        "‘": "`",
        "“": "``",
        "”": "''",
    }
    | {character: f"\\{character}" for character in "&%$#_{}"}
    | {digit: f"\\textsuperscript{{{i}}}" for i, digit in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
)


def document(leaderboards: Sequence[Leaderboard]) -> str:
    """One ``table`` environment for each leaderboard; needs the packages booktabs, graphicx, and T1 fonts."""
    head = "% \\usepackage{booktabs,graphicx}\n% \\usepackage[T1]{fontenc}\n"
    return head + "\n".join(_table(board) for board in leaderboards)


def escape(text: str) -> str:
    """Text without any command: special characters by their names.

    Letters that pdfTeX's usual fonts lack lose their accents, or become question marks.
    """
    return "".join(_SPECIAL.get(ord(character)) or _plain(character) for character in text)


def _plain(character: str) -> str:
    if ord(character) < 256:
        return character
    return "".join(c for c in unicodedata.normalize("NFKD", character) if ord(c) < 128).translate(_SPECIAL) or "?"


def _table(board: Leaderboard) -> str:
    costs = _COSTS if board.costs else ()
    first = len(ROW_HEADS)
    facts = "; ".join(f"{name}: {value.rstrip('.')}" for name, value in board.facts)
    lines = [
        r"\begin{table*}[t]",
        r"\centering\small",
        f"\\caption{{{escape(board.title)}. {escape(facts)}.}}",
        r"\sbox0{\ignorespaces",
        f"\\begin{{tabular}}{{{'l' * first}{'r' * (len(board.columns) + len(costs))}}}",
        r"\toprule",
        *_head(board.columns, costs),
        r"\midrule",
    ]
    for i, group in enumerate(board.groups):
        if i:
            lines.append(r"\midrule")
        width = min(first + len(board.columns) + len(costs), _WIDEST)
        lines.append(f"\\multicolumn{{{width}}}{{l}}{{\\textit{{{escape(group.title)}}}}} \\\\")
        lines += [_row(row, bool(costs)) for row in group.rows]
    lines += [r"\bottomrule", r"\end{tabular}}", _FITTED, "", r"\smallskip\raggedright\footnotesize"]
    lines.append(escape(LEGEND) + r" Best \textbf{bold}, second \underline{underlined}.")
    lines += [_note(note) for note in board.notes]
    return "\n".join([*lines, r"\end{table*}", ""])


# A table that is wider than the page is made smaller; no other one is touched.
_FITTED = r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi"


_WIDEST = 255
"""Columns that one cell of TeX can span."""


def _head(columns: Sequence[Column], costs: Sequence[str]) -> list[str]:
    *outer, names = header(columns) or [[]]
    lines = []
    for line in outer:
        cells, rules, start = [""] * len(ROW_HEADS), [], len(ROW_HEADS) + 1
        for text, width in line:
            cells.append(f"\\multicolumn{{{width}}}{{c}}{{{escape(text)}}}")
            if text:
                rules.append(f"\\cmidrule(lr){{{start}-{start + width - 1}}}")
            start += width
        lines += [" & ".join([*cells, *("" for _ in costs)]) + r" \\", " ".join(rules)]
    return [*lines, " & ".join([*ROW_HEADS, *(escape(text) for text, _ in names), *costs]) + r" \\"]


_COSTS = ("Fit (s)", "Peak (MiB)")


def _note(note: Note) -> str:
    mark = f"\\textsuperscript{{{note.mark}}}" if note.mark.isdigit() else escape(note.mark)
    return f"\\\\ {mark} {escape(note.text)}"


def _row(row: Row, costs: bool) -> str:
    texts = (" ".join([row.title, *row.marks]), row.group, row.source)
    ends = (row.fit, row.peak) if costs else ()
    return " & ".join([*map(escape, texts), *map(_cell, row.cells), *map(escape, ends)]) + r" \\"


def _cell(cell: Cell) -> str:
    number = escape(cell.number)
    if cell.rank == "best":
        number = f"\\textbf{{{number}}}"
    elif cell.rank == "second":
        number = f"\\underline{{{number}}}"
    aside = f" {{\\scriptsize {escape(cell.aside)}}}" if cell.aside else ""
    return number + aside + (f"\\textsuperscript{{{cell.note}}}" if cell.note else "")
