"""Leaderboards as CSV: one line for each cell, so that tables with different columns fit into one file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from cmrbench.report.model import NO_SPAN, Cell, Column, Leaderboard, Row
from cmrbench.report.wording import plain

FIELDS = (
    *("dataset", "dataset_fingerprint", "feature_set", "output", "protocol", "protocol_fingerprint"),
    *("gallery_codes", "metric", "category", "method", "title", "group", "source", "task", "bits"),
    *("mean", "std", "seeds", "rank", "status", "note", "flags", "fit_seconds", "peak_bytes"),
    *("pessimistic", "optimistic"),
)
"""The header. `status` is empty for a number; `mean` and `std` are not rounded; the ends of the span are empty unless
it was asked for."""


def document(leaderboards: Sequence[Leaderboard]) -> str:
    """All leaderboards under one header, lines ended by a newline."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for board in leaderboards:
        notes = {note.mark: note.text for note in board.notes}
        for group in board.groups:
            for row in group.rows:
                for column, cell in zip(board.columns, row.cells, strict=True):
                    writer.writerow(_line(board, group.title, row, column, cell, notes))
    return out.getvalue()


def _line(
    board: Leaderboard, category: str, row: Row, column: Column, cell: Cell, notes: dict[str, str]
) -> list[object]:
    texts = [*vars(board.key).values(), category, row.method, row.title, row.group, row.source, column.task]
    status = "" if cell.mean is not None else cell.word
    told = [notes.get(str(cell.note), ""), notes[NO_SPAN] if cell.lacks_span else ""]
    ends = (cell.span.pessimistic, cell.span.optimistic) if cell.span else (None, None)
    return [
        *(_text(t) for t in texts),
        column.bits,
        *(cell.mean, cell.std, cell.seeds, cell.rank, _text(status)),
        _text("; ".join(text for text in told if text)),
        _text(" ".join(row.flags)),
        *(row.fit_seconds, row.peak_bytes),
        *ends,
    ]


def _text(text: str) -> str:
    """One line of text that a spreadsheet does not take for a formula."""
    line = plain(text)
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line
