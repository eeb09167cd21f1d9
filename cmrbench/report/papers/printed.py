"""The numbers that a table prints, found by what they are about, and how they compare with ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from cmrbench.published import (
    MissingCell,
    PublishedCell,
    PublishedSplit,
    PublishedTime,
    cells,
    findings_of,
    missing,
    select,
    splits,
    timings,
    words_of,
)
from cmrbench.report.model import INSIDE, Cell
from cmrbench.report.papers.measured import Place
from cmrbench.report.papers.spec import STAGES, PaperTable, same_features
from cmrbench.report.rows import Notes
from cmrbench.report.spans import SECONDS

CONFIDENCE = 0.95
OTHER_FEATURES, OTHER_SPLIT, NOT_PRINTED = "△", "▽", "○"
MARKS = {
    OTHER_FEATURES: "our numbers beside these rest on other features than the paper's",
    OTHER_SPLIT: "our numbers beside these rest on another split than the paper's: numbers of items differ",
}
INSIDE_NOTE = (
    "the published number, as exactly as it is printed, lies in the 95 % t-interval of our mean over seeds; not "
    "decided for fewer than two seeds"
)
BLANK = Cell(word="")
"""Where a paper has no row or no column."""

Key = tuple[str, str, str, str, str, int | None]


@dataclass(frozen=True)
class Printed:
    """A number as a paper prints it, or its dash: `text` is None then. `about` is a value of `cmrbench.published`."""

    text: str | None
    about: PublishedCell | MissingCell | PublishedTime

    @property
    def value(self) -> float | None:
        """The number."""
        return None if self.text is None else float(self.text)

    @property
    def digits(self) -> int:
        """Digits after the point."""
        return len((self.text or "").partition(".")[2])


@cache
def printed_in(paper: str, table: str) -> Mapping[Key, Printed]:
    """What a table prints, by method, setting, dataset, task, metric and code length."""
    found: dict[Key, Printed] = {}
    for number in select(cells(), paper=paper, table=table):
        found[_key(number, number.task, number.metric)] = Printed(number.printed, number)
    for dash in select(missing(), paper=paper, table=table):
        task = next((stage for stage in STAGES if dash.metric == f"{stage} seconds"), "")
        found[_key(dash, task or dash.task, SECONDS if task else dash.metric)] = Printed(None, dash)
    for time in select(timings(), paper=paper, table=table):
        for stage, text in (("train", time.train_printed), ("test", time.test_printed)):
            found[time.method, "plain", time.dataset, stage, SECONDS, time.bits] = Printed(text, time)
    return found


def _key(cell: PublishedCell | MissingCell, task: str, metric: str) -> Key:
    return cell.method, cell.setting, cell.dataset, task, metric, cell.bits


def published_cell(printed: Printed, notes: Notes) -> Cell:
    """The number as a cell of a leaderboard, with a footnote on what is wrong with it."""
    told = [f"{one.id}: {one.title}" for one in findings_of(printed.about) if one.kind != "splits"]
    flags = () if isinstance(printed.about, PublishedTime) else printed.about.flags
    told += words_of(flags, "suspect") if not told else ()
    if printed.text is None:
        told = ["the paper prints a dash", *words_of(flags, "note")]
    note = notes.number("; ".join(told)) if told else 0
    return Cell(printed.value, note=note, digits=printed.digits)


def difference_cell(ours: Cell, printed: Printed | None, notes: Notes) -> Cell:
    """Ours less the published number, and whether that lies in the interval of ours."""
    if printed is None or printed.value is None or ours.mean is None:
        return BLANK
    inside = _inside(ours, printed)
    if inside:
        notes.marks[INSIDE] = INSIDE_NOTE
    return Cell(ours.mean - printed.value, digits=ours.digits, signed=True, inside=inside)


def _inside(ours: Cell, printed: Printed) -> bool | None:
    if ours.mean is None or ours.std is None or ours.seeds < 2 or printed.value is None:
        return None
    from scipy.stats import t

    half = t.ppf((1 + CONFIDENCE) / 2, ours.seeds - 1) * ours.std / math.sqrt(ours.seeds)
    # What is printed stands for all numbers that are rounded to it.
    return bool(abs(ours.mean - printed.value) <= half + 0.5 * 10.0**-printed.digits + 1e-12)


def data_marks(spec: PaperTable, place: Place, dataset: str, notes: Notes) -> str:
    """The marks of a paper's dataset beside our numbers: other features, another split."""
    found = []
    if spec.paper != "survey" and not same_features(spec.paper, dataset, place.key.feature_set):
        found.append(OTHER_FEATURES)
    if _other_split(_splits(spec, dataset), place):
        found.append(OTHER_SPLIT)
    notes.marks.update({mark: MARKS[mark] for mark in found})
    return "".join(found)


def _splits(spec: PaperTable, dataset: str) -> tuple[PublishedSplit, ...]:
    return select(splits(), paper=spec.paper, dataset=dataset)


def _other_split(stated: Sequence[PublishedSplit], place: Place) -> bool:
    queries = {one.modality: one.query for one in stated}
    galleries = {one.modality: one.retrieval for one in stated if one.retrieval is not None}
    return any(
        queries.get(row["query_modality"], row["n_query"]) != row["n_query"]
        or galleries.get(row["gallery_modality"], row["n_gallery"]) != row["n_gallery"]
        for rows in place.rows.values()
        for row in rows
    )


def stated(spec: PaperTable, dataset: str) -> str:
    """What the paper says of its data: features, and train/validation/retrieval/query; empty if nothing."""
    numbers = [number.about for number in printed_in(spec.paper, spec.table).values()]
    found = [one for one in numbers if isinstance(one, PublishedCell) and one.dataset == dataset]
    # The features of an average over all directions are all that there are.
    features = dict.fromkeys(one.features for one in [c for c in found if c.task == "all"] or found)
    sizes: dict[str, list[str]] = {}
    for one in _splits(spec, dataset):
        sizes.setdefault(one.sizes, []).append(one.modality)
    if not sizes:
        return ""
    told = [what if len(sizes) == 1 else f"{', '.join(modalities)} {what}" for what, modalities in sizes.items()]
    return f"features {'; '.join(features)}; train/val/retrieval/query {'; '.join(told)}"
