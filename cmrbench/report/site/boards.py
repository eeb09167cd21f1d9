"""Leaderboards as the page shows them: an address each, the columns for scripts, the values that sorting needs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from cmrbench.core.hashing import digest
from cmrbench.core.names import with_features
from cmrbench.report.model import NO_SPAN, Cell, Leaderboard, Note, Row, header, superscript
from cmrbench.report.spans import smaller_is_better
from cmrbench.report.wording import plain

SPAN_FACT = "span of ties"


@dataclass(frozen=True)
class BoardView:
    """One leaderboard on the page.

    Attributes
    ----------
    board : Leaderboard
    id : str
        Stands in links; depends on what the table is about and not on its numbers.
    headline : bool
        Whether it shows the first metric of its protocol, which charts are drawn of.
    pages : collection of str
        Run keys that have a page.
    """

    board: Leaderboard
    id: str
    headline: bool
    pages: Collection[str]

    @property
    def place(self) -> str:
        """Dataset and feature set."""
        return plain(with_features(self.board.key.dataset, self.board.key.feature_set))

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What stands above the table; spans are drawn and not printed."""
        return [(name, value) for name, value in self.board.facts if name != SPAN_FACT]

    @property
    def notes(self) -> list[tuple[str, str]]:
        """Marks and what they mean."""
        return [(superscript(plain(n.mark)), plain(n.text)) for n in self.board.notes if shown(n)]

    @property
    def smaller(self) -> bool:
        """Whether the smallest value is best."""
        return smaller_is_better(self.board.key.metric)

    @property
    def head(self) -> list[list[tuple[str, int]]]:
        """Header lines, the outermost first: text and width of every cell."""
        return header(self.board.columns)

    @property
    def columns(self) -> str:
        """Task, directions and bits of every column, as JSON for scripts."""
        return json.dumps([[c.heads[0] if c.heads else "", list(c.directions), c.bits] for c in self.board.columns])

    def page(self, row: Row) -> str:
        """Address of the page of one of the row's runs, or empty."""
        return next((f"runs/{key}.html" for key in row.run_keys if key in self.pages), "")


def shown(note: Note) -> bool:
    """Whether a note is about something that the page prints."""
    return note.mark != NO_SPAN


def views(
    boards: Sequence[Leaderboard], firsts: Collection[tuple[str, ...]], pages: Collection[str]
) -> list[BoardView]:
    """Leaderboards with their addresses.

    Parameters
    ----------
    boards : sequence of Leaderboard
    firsts : collection of (str, ...)
        `protocol_of` of a table's key and the metric, for the first metric of every protocol.
    pages : collection of str
        Run keys that have a page.
    """
    return [
        BoardView(board, f"t{digest(list(vars(board.key).values()), 8)}", identity(board) in firsts, pages)
        for board in boards
    ]


def identity(board: Leaderboard) -> tuple[str, ...]:
    """All that tells leaderboards apart."""
    return tuple(vars(board.key).values())


def exact(value: float | None) -> str:
    """A number for sorting and drawing, where the printed one is rounded too much."""
    return "" if value is None else f"{value:.4g}"


def ends(cell: Cell) -> str:
    """Both ends of the span of ties for drawing, or empty."""
    return "" if cell.span is None else f"{cell.span.pessimistic:.4f} {cell.span.optimistic:.4f}"


def best_rows(boards: Sequence[BoardView]) -> list[dict[str, Any]]:
    """The highest row of every category and headline table, by the mean over directions at one code length: the longest
    of those with the most numbers.

    Returns
    -------
    list of dict
        ``view``, ``where`` (``"at 128 bits"`` or empty) and ``best``: category, title and printed mean.
    """
    found = []
    for view in boards:
        if not view.headline:
            continue
        bits = _fullest(view.board)
        chosen = [i for i, c in enumerate(view.board.columns) if c.bits == bits and c.directions]
        single = [i for i in chosen if len(view.board.columns[i].directions) == 1] or chosen[-1:]
        best = []
        for group in view.board.groups:
            scored = [
                (sum(values) / len(values), row)
                for row in group.rows
                if row.ranked
                and (values := [v for i in single if (v := row.cells[i].mean) is not None])
                and len(values) == len(single)
            ]
            if scored:
                value, row = (min if view.smaller else max)(scored, key=lambda pair: pair[0])
                best.append((group.title, row, f"{value:.3f}"))
        if best:
            found.append({"view": view, "where": f"at {bits} bits" if bits else "", "best": best})
    return found


def _fullest(board: Leaderboard) -> int | None:
    """The code length with the most numbers, the longest of those; None in tables of real-valued methods."""
    counts: Counter[int] = Counter()
    for row in board.rows:
        counts.update(
            c.bits
            for c, cell in zip(board.columns, row.cells, strict=True)
            if c.bits is not None and cell.mean is not None
        )
    return max(counts, key=lambda bits: (counts[bits], bits), default=None)
