"""Write results/README.md: which method to use on what, and how sure that is, from the runs of suite `leaderboards`.

    cmrbench run --suite leaderboards --results build/leaderboards
    python -m tools.make_results_page --results build/leaderboards

Everything between the two markers of the page is made anew; the rest is kept.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmrbench.core.names import with_features
from cmrbench.report.build import COLUMNS, HEADLINE, completed
from cmrbench.report.current import current_rows
from cmrbench.report.markdown import escape
from cmrbench.report.model import AVERAGE, Column, Leaderboard, Row, TableKey
from cmrbench.report.queries import Place, Queries
from cmrbench.report.ranking import tested
from cmrbench.report.rows import Notes, build_groups
from cmrbench.statistics.paired import Inference, PairedTest, paired_test
from cmrbench.store.store import Store

PAGE = Path(__file__).resolve().parents[1] / "results" / "README.md"
BEGIN, END = "<!-- made by tools/make_results_page.py -->", "<!-- end -->"
KINDS = {
    "unsupervised_real": "vectors, without labels",
    "supervised_real": "vectors, with labels",
    "unsupervised_hash": "codes, without labels",
    "supervised_hash": "codes, with labels",
}
"""What a user may look for, by category of method, in the order of the page."""

HEADS = ("what", "best", f"{HEADLINE}, both directions", "not told apart from it", "fastest", "lead over the next")
DIGEST_BITS = 64
"""Code length of the first table."""

RowDict = dict[str, Any]


@dataclass(frozen=True)
class Pick:
    """The best method for one purpose, and how sure that is.

    Attributes
    ----------
    best : Row
    mean : Inference
        Of its mAP.
    tied : list of Row
        Those that the test cannot tell from it, best first.
    cheapest : Row
        The one of both that fits fastest.
    next : Row or None
        The best of the others.
    lead : PairedTest or None
        Of the best over it.
    """

    best: Row
    mean: Inference
    tied: list[Row]
    cheapest: Row
    next: Row | None
    lead: PairedTest | None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("build/leaderboards"))
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args(arguments)
    store = Store(given.results)
    table = store.table(columns=[*COLUMNS, "environment"])
    if not table.num_rows:
        print(f"{given.results} holds no results: cmrbench run --suite leaderboards --results {given.results}")
        return 1
    rows = [completed(row) for row in current_rows(table, (*COLUMNS, "environment"))]
    text = given.page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        print(f"{given.page} does not say where the summary goes: put the lines {BEGIN} and {END} into it")
        return 1
    made = "\n".join([BEGIN, *_provenance(rows), *_sections(rows, store), END])
    given.page.write_text(before + made + after, encoding="utf-8")
    return 0


def _provenance(rows: Sequence[RowDict]) -> Iterator[str]:
    runs = {row["run_key"]: row for row in rows}.values()
    machines = sorted({_machine(dict(run["environment"] or [])) for run in runs})
    days = sorted({(run["created"] or "")[:10] for run in runs})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    unfinished = sum(run["metric"] is None for run in runs)
    seeds = len({run["seed"] for run in runs})
    yield f"{len(runs)} runs, {unfinished} of them without a result, made {when}."
    yield f"{seeds} seeds of every method that does not declare itself deterministic."
    yield f"Machine: {'; '.join(machines)}."
    yield ""


def _machine(environment: Mapping[str, str]) -> str:
    known = [environment.get(name, "") for name in ("processor", "system")]
    sizes = f"{environment.get('cores', '?')} cores, {environment.get('threads', '?')} thread a run"
    versions = ", ".join(f"{n} {environment[n]}" for n in ("cmrbench", "engine", "torch", "numpy") if n in environment)
    return escape(", ".join([*filter(None, known), sizes, versions]))


def _sections(rows: Sequence[RowDict], store: Store) -> Iterator[str]:
    boards = tested(list(_boards(rows)), store)
    places: dict[str, list[Leaderboard]] = defaultdict(list)
    for board in boards:
        places[with_features(board.key.dataset, board.key.feature_set)].append(board)
    picks = {id(board): [_pick(board, j, store) for j in range(len(board.columns))] for board in boards}
    yield from _digest(places, picks)
    for name, of_place in places.items():
        yield f"### {escape(name)}"
        yield ""
        yield f"| {' | '.join(HEADS)} |"
        yield f"|{' :-- |' * len(HEADS)}"
        for board in of_place:
            for j, pick in enumerate(picks[id(board)]):
                if pick is not None:
                    yield _line(board, j, pick)
        yield ""


def _digest(places: Mapping[str, Sequence[Leaderboard]], picks: Mapping[int, Sequence[Pick | None]]) -> Iterator[str]:
    """One line for each purpose, one column for each dataset: the best and what cannot be told apart from it."""
    yield f"| what | {' | '.join(map(escape, places))} |"
    yield f"| :-- |{' :-- |' * len(places)}"
    for category, what in KINDS.items():
        cells = []
        for boards in places.values():
            # Of several protocols the one with codes by hash functions and the whole of the training items to search.
            fitting = [b for b in boards if b.title == category and b.key.gallery_codes == "function"]
            board = max(fitting, key=lambda b: "train" in b.key.protocol, default=None)
            j = _usual(board) if board else None
            pick = picks[id(board)][j] if j is not None else None
            cells.append(_short(pick, j) if pick is not None and j is not None else "—")
        size = f", {DIGEST_BITS} bits" if category.endswith("hash") else ""
        yield f"| {what}{size} | {' | '.join(cells)} |"
    yield ""


def _usual(board: Leaderboard) -> int | None:
    return next((j for j, c in enumerate(board.columns) if c.bits in (None, DIGEST_BITS)), None)


def _short(pick: Pick, j: int) -> str:
    tied = f"; not told apart: {', '.join(escape(row.title) for row in pick.tied)}" if pick.tied else ""
    return f"**{escape(pick.best.title)}** {pick.best.cells[j].number}{tied}"


def _boards(rows: Sequence[RowDict]) -> Iterator[Leaderboard]:
    """One for each dataset, category of method and protocol: a column for each code length, directions averaged."""
    tables: dict[tuple[Any, ...], list[RowDict]] = defaultdict(list)
    for row in rows:
        category = row["info"].get("category", "")
        if row["metric"] == HEADLINE and category in KINDS and "span" not in row["flags"]:
            where = tuple(row[name] for name in ("dataset", "feature_set", "protocol", "gallery_codes"))
            tables[(*where, category)].append(row)
    order = list(KINDS)
    for dataset, features, protocol, rule, category in sorted(
        tables, key=lambda t: (t[0], t[1], order.index(t[4]), t[3] != "function", t[2])
    ):
        listed = tables[dataset, features, protocol, rule, category]
        first = listed[0]
        key = TableKey(
            dataset, first["dataset_fingerprint"], features, first["info"]["output"], protocol,
            first["protocol_fingerprint"], rule, HEADLINE,
        )  # fmt: skip
        directions = tuple(dict.fromkeys(row["direction"] for row in listed))
        sizes = sorted({row["bits"] for row in listed if row["bits"] is not None}) or [None]
        columns = tuple(Column((AVERAGE,), directions, bits) for bits in sizes)
        groups = tuple(build_groups(key, listed, columns, Notes()))
        yield Leaderboard(key, category, (), columns, groups, ())


def _pick(board: Leaderboard, j: int, store: Store) -> Pick | None:
    rows = sorted(
        (row for row in board.rows if row.ranked and row.cells[j].mean is not None),
        key=lambda row: -float(row.cells[j].mean or 0),
    )
    if not rows:
        return None
    best = rows[0]
    tied = [row for row in rows[1:] if row.cells[j].tied]
    rest = [row for row in rows[1:] if row not in tied]
    mean = _values(best, board, j, store)
    against = paired_test(mean, np.zeros(mean.shape[1]), second_deterministic=True)
    found = against.over_seeds or against.over_queries
    assert found is not None
    lead = paired_test(mean, _values(rest[0], board, j, store)) if rest else None
    cheapest = min([best, *tied], key=lambda row: row.fit_seconds if row.fit_seconds is not None else float("inf"))
    return Pick(best, found, tied, cheapest, rest[0] if rest else None, lead)


def _values(row: Row, board: Leaderboard, j: int, store: Store) -> np.ndarray:
    column = board.columns[j]
    place = Place.of(board.key, row.retrieval, column.bits, column.directions)
    values = Queries(store, row.run_keys, {board.key.metric}).get(row.run_keys, place)
    if values is None:
        raise SystemExit(f"{row.title} on {board.key.dataset} has no values of single queries: run the suite again")
    # One seed of a deterministic method is as good as many: two equal rows say so.
    return np.repeat(values.values, 2, axis=0) if values.deterministic and len(values.values) == 1 else values.values


def _line(board: Leaderboard, j: int, pick: Pick) -> str:
    column = board.columns[j]
    what = KINDS[board.title]
    if column.bits is not None:
        what += f", {column.bits} bits"
    what += f" ({board.key.protocol})"
    mean = f"{pick.best.cells[j].number} [{pick.mean.low:.3f}, {pick.mean.high:.3f}]"
    tied = ", ".join(escape(row.title) for row in pick.tied) or "none"
    fast = f"{escape(pick.cheapest.title)}, {pick.cheapest.fit} s"
    lead = "—"
    if pick.next is not None and pick.lead is not None:
        found = pick.lead.over_seeds or pick.lead.over_queries
        assert found is not None
        lead = f"{pick.lead.effect:.3f} [{found.low:.3f}, {found.high:.3f}] over {escape(pick.next.title)}"
    return f"| {what} | **{escape(pick.best.title)}** | {mean} | {tied} | {fast} | {lead} |"


if __name__ == "__main__":
    sys.exit(main())
