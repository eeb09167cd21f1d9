"""From a store to the pages of a site, within the room that one page may take."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import chain
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import CmrbenchError
from cmrbench.report import faults
from cmrbench.report.build import HEADLINE, leaderboards
from cmrbench.report.model import LEGEND, Leaderboard
from cmrbench.report.ranking import tested
from cmrbench.report.site import collect, page
from cmrbench.report.site.boards import BoardView, best_rows, identity, views
from cmrbench.report.site.charts import chart_data
from cmrbench.report.site.critical import drawings
from cmrbench.report.site.details import Details
from cmrbench.report.site.gallery import Gallery, fill
from cmrbench.report.site.items import Resolver
from cmrbench.report.site.runs import pages as run_pages
from cmrbench.report.site.summary import summary
from cmrbench.report.wording import FLAG_MARKS, PRESET_NOTES, RECONSTRUCTION, RECONSTRUCTION_NOTE, plain

if TYPE_CHECKING:
    import pyarrow as pa

    from cmrbench.store.store import Store

RowDict = dict[str, Any]

_SAFE_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True)
class SiteOptions:
    """What a site is made of.

    Attributes
    ----------
    datasets : sequence of str
        Only these; empty for all.
    name : str
        What the results are called on the page.
    citation : str
        BibTeX of what was used, or empty.
    resolver : Resolver or None
        Opens the items of the gallery; None for a site without one.
    most_run_pages : int
        Runs that get a page of their own, newest first.
    queries : int
        Most queries of one direction in the gallery.
    page_bytes : int
        Room of the index page. Tables are kept before charts, charts before pictures.
    """

    datasets: Sequence[str] = ()
    name: str = "results"
    citation: str = ""
    resolver: Resolver | None = None
    most_run_pages: int = 2000
    queries: int = 12
    page_bytes: int = 8_000_000


@dataclass(frozen=True)
class Site:
    """The index page, and the pages of runs, which are made while they are written.

    Attributes
    ----------
    index : str
    runs : iterator of (str, str)
        Paths inside the folder, and texts.
    notes : tuple of str
        What was left out, as the page says, too.
    """

    index: str
    runs: Iterator[tuple[str, str]]
    notes: tuple[str, ...] = ()

    @property
    def pages(self) -> Iterator[tuple[str, str]]:
        """All pages, the index first."""
        return chain([("index.html", self.index)], self.runs)


def build_site(store: Store, options: SiteOptions) -> Site:
    """Make a site of everything in a store.

    Parameters
    ----------
    store : Store
    options : SiteOptions

    Raises
    ------
    CmrbenchError
        If the store holds no results.
    UnknownNameError
        If it does not hold one of the datasets.
    """
    table = collect.light(store)
    if not table.num_rows:
        raise CmrbenchError(
            f"{store.folder} holds no results yet: make some with `cmrbench run --results {store.folder}`"
        )
    table, doubts = faults.examined(store, table)
    boards = tested(leaderboards(table, options.datasets or None, all_metrics=True, spans=True), store)
    runs = [run for run in collect.runs_of(table) if not options.datasets or run["dataset"] in set(options.datasets)]
    chosen = _with_pages(runs, boards, options.most_run_pages)
    keys = {run["run_key"] for run in chosen}
    shown = views(boards, _headlines(boards, table), keys)
    del table
    work = _Page(options, notes=[])
    if len(chosen) < len(runs):
        work.notes.append(f"{len(chosen):,} of {len(runs):,} runs have a page of their own, those in the tables first")
    tables = work.tables(shown)
    kept = [view for view, _ in tables]
    details = Details(store, {run["run_key"]: run for run in runs})
    charts = work.charts(kept, details)
    pictures = work.gallery(kept, details)
    index = page.environment().get_template("index.html.j2")
    context = {
        "name": plain(options.name),
        "made": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "summary": summary(runs, keys),
        "doubts": doubts,
        "tables": tables,
        "best": best_rows(kept),
        "critical": drawings([view.board for view in kept if view.headline]),
        "legend": LEGEND,
        "marks": _marks(),
        "citation": options.citation,
        "missing": _missing(kept, charts),
        "gallery": pictures,
        "credits": list(dict.fromkeys((p["title"].split(",")[0], p["credit"]) for p in pictures.places)),
        "charts_packed": page.packed_json(charts),
        "gallery_packed": page.packed_json(pictures.content()),
        "guards": page.guards(),
        "library_packed": page.packed_library(),
    }
    return Site(_rendered(index, context, work), run_pages(store, chosen), tuple(work.notes))


def _rendered(template: Any, context: dict[str, Any], work: _Page) -> str:
    style, script = page.asset("site.css"), page.own_script()
    policy = page.policy([style], [script, page.chart_library()], charts=True)
    made: str = template.render(style=style, script=script, policy=policy, notes=work.notes, **context)
    return made


def _with_pages(runs: Sequence[RowDict], boards: Sequence[Leaderboard], most: int) -> list[RowDict]:
    """The runs that get a page: those behind a table's row first, newest first."""
    used = {key for board in boards for row in board.rows for key in row.run_keys}
    sound = [run for run in runs if _SAFE_KEY.fullmatch(run["run_key"] or "")]
    return sorted(sound, key=lambda run: run["run_key"] not in used)[:most]


def _headlines(boards: Sequence[Leaderboard], table: pa.Table) -> Collection[tuple[str, ...]]:
    """The tables of the metric that is shown by default: mAP@all, or else the first that runs stored."""
    columns = ["dataset_fingerprint", "protocol_fingerprint", "metric"]
    first: dict[tuple[str, str], dict[str, int]] = {}
    for row in table.select(columns).group_by(columns, use_threads=False).aggregate([]).to_pylist():
        order = first.setdefault((row["dataset_fingerprint"], row["protocol_fingerprint"]), {})
        order.setdefault(row["metric"], len(order))
    best: dict[tuple[str, ...], Leaderboard] = {}
    for board in boards:
        key = board.key
        order = first.get((key.dataset_fingerprint, key.protocol_fingerprint), {})
        before = best.setdefault(identity(board)[:-1], board)
        if key.metric == HEADLINE or (
            before.key.metric != HEADLINE
            and order.get(key.metric, len(order)) < order.get(before.key.metric, len(order))
        ):
            best[identity(board)[:-1]] = board
    return {identity(board) for board in best.values()}


def _missing(boards: Sequence[BoardView], charts: dict[str, Any]) -> list[str]:
    """Headline tables of which no curves, class values and first results are stored."""
    return [plain(v.board.title) for v in boards if v.headline and v.board.key.metric and v.id not in charts]


def _marks() -> list[tuple[str, str]]:
    marks = [*FLAG_MARKS.values(), (RECONSTRUCTION, RECONSTRUCTION_NOTE)]
    return [*marks, *((f"({name})", text) for name, text in PRESET_NOTES.items())]


@dataclass
class _Page:
    """The room of the index page, and what did not fit."""

    options: SiteOptions
    notes: list[str]
    used: int = field(default=0)

    def __post_init__(self) -> None:
        # Library, style, script and the page around the tables; the rest is measured as it is made.
        self.used = len(page.packed_library()) + len(page.own_script()) + 250_000

    @property
    def room(self) -> int:
        return self.options.page_bytes - self.used

    def tables(self, boards: Sequence[BoardView]) -> list[tuple[BoardView, str]]:
        """Leaderboards with their HTML, in their order; those of further metrics go first where there is no room."""
        template = page.environment().get_template("board.html.j2")
        budget = int(self.room * 0.7)
        made: dict[str, str] = {}
        left_out = []
        for view in sorted(boards, key=lambda v: not v.headline):
            text = template.render(view=view)
            length = len(text.encode())
            if length > budget:
                left_out.append(view)
                continue
            budget -= length
            self.used += length
            made[view.id] = text
        if left_out:
            self.notes.append(
                f"{len(left_out)} of {len(boards)} tables are left out, the page has no room for them "
                f"({sum(not v.headline for v in left_out)} of them of further metrics); "
                "`cmrbench report --all-metrics` prints all, and --dataset makes a smaller page"
            )
        return [(view, made[view.id]) for view in boards if view.id in made]

    def charts(self, boards: Sequence[BoardView], details: Details) -> dict[str, Any]:
        """Curves and class values by table, as many as there is room for."""
        budget = int(self.room * 0.6)
        made: dict[str, Any] = {}
        left_out = 0
        for together in details.together(boards):
            found = details.curves(together)
            for view in together:
                data = chart_data(view, found)
                if data is None:
                    continue
                length = len(page.packed_json(data))
                if length > budget:
                    left_out += 1
                    continue
                budget -= length
                self.used += length
                made[view.id] = data
        if left_out:
            self.notes.append(f"the curves of {left_out} tables are left out, the page has no room for them")
        return made

    def gallery(self, boards: Sequence[BoardView], details: Details) -> Gallery:
        """Queries and their first results."""
        gallery = Gallery(room=max(0, self.room - 300_000), queries=self.options.queries)
        fill(gallery, boards, details, self.options.resolver)
        self.used += gallery.used
        return gallery
