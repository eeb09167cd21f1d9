"""Tables by name: the papers' own, and what the codes look like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cmrbench.core.errors import UnknownNameError
from cmrbench.report.codes import CODES_COLUMNS, codes_tables
from cmrbench.report.model import Leaderboard
from cmrbench.report.papers import PAPER_COLUMNS, Wish, paper_tables, table_names
from cmrbench.report.selection import check_protocol

if TYPE_CHECKING:
    import pyarrow as pa

CODES = "codes"
ALL = "all"

TABLE_COLUMNS = tuple(dict.fromkeys((*PAPER_COLUMNS, *CODES_COLUMNS)))
"""The columns of `cmrbench.store.schema` that these tables need."""


def tables() -> tuple[str, ...]:
    """What `named_tables` can make."""
    return (*table_names(), CODES)


def named_tables(table: pa.Table, name: str, wish: Wish | None = None) -> dict[str, list[Leaderboard]]:
    """The leaderboards of a table by its name, or of every table for ``"all"``; tables without content are left out.

    Parameters
    ----------
    table : pyarrow.Table
        Results with at least `TABLE_COLUMNS`.
    name : str
        One of `tables()`: ``"V"`` to ``"IX"`` of the survey, ``"lcm2"``, ``"lcm3"``, ``"lcm5"``, ``"drcl2"``,
        ``"drcl3"``, or ``"codes"``; or ``"all"``.
    wish : Wish, optional
        What is wanted of the papers' tables.

    Raises
    ------
    UnknownNameError
        If there is no such table, or neither it nor the results have such a dataset or protocol.
    """
    wish = wish or Wish()
    if name not in (*tables(), ALL):
        raise UnknownNameError("table", name, (*tables(), ALL))
    made = {one: _made(table, one, wish, name == ALL) for one in (tables() if name == ALL else (name,))}
    return {one: boards for one, boards in made.items() if boards}


def _made(table: pa.Table, name: str, wish: Wish, with_others: bool) -> list[Leaderboard]:
    if name != CODES:
        return paper_tables(table, name, wish)
    # Beside other tables, a dataset may be one of the papers' that was not run.
    held = set(table.column("dataset").unique().to_pylist())
    datasets = [one for one in wish.datasets if one in held] if with_others else list(wish.datasets)
    boards = codes_tables(table, datasets) if datasets or not wish.datasets else []
    if wish.protocol is None:
        return boards
    check_protocol(table, wish.protocol)
    return [board for board in boards if board.key.protocol == wish.protocol]


def named_table(table: pa.Table, name: str, datasets: Sequence[str] = ()) -> list[Leaderboard]:
    """One table, with our numbers only; see `named_tables`."""
    return named_tables(table, name, Wish(datasets=datasets)).get(name, [])
