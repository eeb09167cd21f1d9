"""Leaderboards as one flat record for each cell, for CSV and JSON."""

from __future__ import annotations

from collections.abc import Iterator

from cmrbench.report.model import NO_SPAN, Cell, Column, Group, Leaderboard, Row

FIELDS = (
    *("table", "dataset", "dataset_fingerprint", "feature_set", "output", "protocol", "protocol_fingerprint"),
    *("gallery_codes", "metric", "category", "method", "title", "group", "source", "column", "directions", "bits"),
    *("kind", "mean", "std", "seeds", "rank", "tied", "p_best", "inside", "status", "note", "flags", "marks"),
    *("fit_seconds", "peak_bytes", "pessimistic", "optimistic"),
)
"""Names of a record's fields. `table` is the leaderboard's title, `category` the title of the group of rows, `column`
all header lines; `status` is empty for a number; no number is rounded; `inside` tells of a difference whether the
published number lies in the interval of ours; `p_best` is the adjusted p-value of the difference from the best number
of the column, where it was tested, and `tied` whether it is too large to tell them apart; the ends of the span are None
unless it was asked for."""

Value = str | int | float | bool | None


def records(board: Leaderboard) -> Iterator[dict[str, Value]]:
    """One record for each cell that is not blank, by rows; keys are `FIELDS`."""
    notes = {note.mark: note.text for note in board.notes}
    for group in board.groups:
        for row in group.rows:
            for column, cell in zip(board.columns, row.cells, strict=True):
                if cell.number:
                    yield _record(board, group, row, column) | _number(cell, notes)


def _record(board: Leaderboard, group: Group, row: Row, column: Column) -> dict[str, Value]:
    return dict.fromkeys(FIELDS) | {
        "table": board.title,
        **vars(board.key_of(group, column)),
        "category": group.title,
        "method": row.method,
        "title": row.title,
        "group": row.group,
        "source": row.source,
        "column": column.name,
        "directions": " ".join(column.directions or group.directions),
        "bits": column.bits,
        "kind": column.kind,
        "flags": " ".join(row.flags),
        "marks": " ".join(row.marks),
        "fit_seconds": row.fit_seconds,
        "peak_bytes": row.peak_bytes,
    }


def _number(cell: Cell, notes: dict[str, str]) -> dict[str, Value]:
    told = [notes.get(str(cell.note), ""), notes[NO_SPAN] if cell.lacks_span else ""]
    return {
        "mean": cell.mean,
        "std": cell.std,
        "seeds": cell.seeds,
        "rank": cell.rank,
        "tied": cell.tied,
        "p_best": cell.p_best,
        "inside": cell.inside,
        "status": "" if cell.mean is not None else cell.word,
        "note": "; ".join(text for text in told if text),
        "pessimistic": cell.span.pessimistic if cell.span else None,
        "optimistic": cell.span.optimistic if cell.span else None,
    }
