"""The heavy columns of records, read for few runs at a time: curves and class values, and what queries found first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cmrbench.report.site.boards import BoardView
from cmrbench.report.wording import plain

if TYPE_CHECKING:
    from cmrbench.store.store import Store

RowDict = dict[str, Any]
Found = Mapping[tuple[str, str, str, str], Sequence[RowDict]]
"""Records with details by run key, protocol fingerprint, rule for gallery codes and retrieval strategy."""

_RECORD = ("run_key", "direction", "protocol", "protocol_fingerprint", "gallery_codes", "retrieval", "metric")


def records_of(view: BoardView, index: int, found: Found) -> list[RowDict]:
    """The records with details behind one row of a leaderboard, oldest key first."""
    key, row = view.board.key, list(view.board.rows)[index]
    keys = ((run, key.protocol_fingerprint, key.gallery_codes, row.retrieval) for run in row.run_keys)
    return [record for which in keys for record in found.get(which, [])]


class Details:
    """Reads details of a store's runs.

    Parameters
    ----------
    store : Store
    runs : mapping of str to dict
        Runs by run key, as `collect.runs_of` gives them.
    """

    def __init__(self, store: Store, runs: Mapping[str, RowDict]) -> None:
        self._store = store
        self._runs = runs

    def together(self, boards: Sequence[BoardView]) -> Iterator[list[BoardView]]:
        """Headline tables of the same runs, so that these are read once."""
        alike: dict[tuple[str, ...], list[BoardView]] = defaultdict(list)
        for view in boards:
            if view.headline and view.board.key.protocol:
                key = view.board.key
                alike[key.dataset, key.dataset_fingerprint, key.feature_set, key.output].append(view)
        yield from alike.values()

    def curves(self, boards: Sequence[BoardView]) -> Found:
        """Records of some tables with ``curves`` and ``per_class``."""
        keys = {run for view in boards for row in view.board.rows for run in row.run_keys}
        return self._read(keys, ("curves", "per_class"))

    def first_results(self, view: BoardView) -> tuple[int | None, Found]:
        """Records of one table with ``top``: at the longest code that has one, of each row's first seed."""
        done = {
            i: [run for key in row.run_keys if (run := self._runs.get(key)) and run["status"] == "done"]
            for i, row in enumerate(view.board.rows)
        }
        longest = max((run["bits"] or 0 for runs in done.values() for run in runs), default=0)
        keys = set()
        for runs in done.values():
            seeds = [(run["seed"] or 0, run["run_key"]) for run in runs if (run["bits"] or 0) == longest]
            keys |= {min(seeds)[1]} if seeds else set()
        return longest or None, self._read(keys, ("top",))

    def _read(self, keys: Iterable[str], columns: Sequence[str]) -> Found:
        import pyarrow.compute as pc

        found: dict[tuple[str, str, str, str], list[RowDict]] = defaultdict(list)
        listed = sorted(keys)
        table = self._store.table([*_RECORD, "bits", "seed", *columns], listed) if listed else None
        if table is None or not table.num_rows:
            return found
        kept = pc.is_valid(table.column(columns[0]))
        for column in columns[1:]:
            kept = pc.or_(kept, pc.is_valid(table.column(column)))
        for row in table.filter(kept).to_pylist():
            where = (row["run_key"], row["protocol_fingerprint"], row["gallery_codes"], plain(row["retrieval"]))
            found[where].append(row)
        return found
