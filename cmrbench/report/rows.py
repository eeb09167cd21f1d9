"""Rows of one leaderboard: one for each method, setting and retrieval strategy, with cells, marks and ranks."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cmrbench.method import CATEGORIES
from cmrbench.report.model import NO_SPAN, Cell, Column, Group, Note, Row, Span, TableKey, superscript
from cmrbench.report.spans import MISSING_NOTE, smaller_is_better, why_none
from cmrbench.report.wording import (
    FLAG_MARKS,
    RECONSTRUCTION,
    RECONSTRUCTION_NOTE,
    failures,
    outcome,
    plain,
    preset_note,
    row_title,
    seed_list,
    setting,
    year,
)

NOT_RANKED = frozenset({"label-reading"})
"""Flags that keep a row from being best or second."""

BASELINE = "baseline"
_CATEGORY_ORDER = (BASELINE, *(c for c in CATEGORIES if c != BASELINE))

RowDict = dict[str, Any]


@dataclass
class Notes:
    """What stands underneath a leaderboard: explained marks, then numbered footnotes in order of first use."""

    marks: dict[str, str] = field(default_factory=dict)
    numbered: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        """The footnote number of a text; equal texts share one."""
        return self.numbered.setdefault(text, len(self.numbered) + 1)

    @property
    def listed(self) -> tuple[Note, ...]:
        """All notes, in the order in which they are printed."""
        marks = [Note(mark, text) for mark, text in self.marks.items()]
        return tuple(marks + [Note(str(number), text) for text, number in self.numbered.items()])


@dataclass
class Entry:
    """The runs behind one row: values by code length, seed and direction, and failures by code length and seed.

    `example` is one of its result rows; it tells the setting.
    """

    example: RowDict
    values: dict[int | None, dict[int, dict[str, float]]] = field(default_factory=lambda: defaultdict(dict))
    spans: dict[int | None, dict[int, dict[str, tuple[float, float]]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    failed: dict[int | None, dict[int, tuple[str, str]]] = field(default_factory=lambda: defaultdict(dict))
    runs: dict[tuple[int | None, int], RowDict] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    run_keys: set[str] = field(default_factory=set)

    def add(self, row: RowDict) -> None:
        """Take in a result row; one without a metric is a run that did not finish."""
        bits, seed = row["bits"], row["seed"]
        self.run_keys.add(row["run_key"] or "")
        if row["metric"] is None:
            self.failed[bits][seed] = (row["status"], outcome(row["status"], row["cause"]))
            return
        self.values[bits].setdefault(seed, {})[row["direction"]] = row["value"]
        if row.get("span") is not None:
            self.spans[bits].setdefault(seed, {})[row["direction"]] = row["span"]
        self.runs[bits, seed] = row
        self.flags.update(row["flags"])


def build_groups(
    key: TableKey, rows: Sequence[RowDict], columns: Sequence[Column], notes: Notes, spans: bool = False
) -> list[Group]:
    """The rows of one leaderboard by category: baselines first, with chance on top, then as in the survey.

    Parameters
    ----------
    key : TableKey
    rows : sequence of dict
        Records of this leaderboard, and unfinished runs that belong to it (``metric`` None).
    columns : sequence of Column
    notes : Notes
        Filled with what the rows' marks mean.
    spans : bool
        Whether rows carry ``span`` (`cmrbench.report.spans.with_spans`); a number without one is marked.
    """
    entries = entries_of(rows)
    titles = titles_of(entries, key.output)
    by_category: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_category[entry.example["info"].get("category", "")].append(entry)
    unknown = sorted(set(by_category) - set(_CATEGORY_ORDER))
    built: list[tuple[str, list[Row]]] = []
    for category in (*_CATEGORY_ORDER, *unknown):
        ordered = sorted(
            by_category[category], key=lambda e: (year(declared(e, "venue")), titles[id(e)], _setting_key(e))
        )
        made = [row_of(entry, titles[id(entry)], key.dataset, columns, notes) for entry in ordered]
        if spans and not why_none(key.output, key.metric):
            made = _lacking_marked(made, notes)
        if category == BASELINE:
            made.insert(0, chance_row(rows, columns, notes))
        if made:
            built.append((plain(CATEGORIES.get(category, category or "Uncategorised")), made))
    ranked = iter(with_ranks([row for _, made in built for row in made], smaller_is_better(key.metric)))
    return [Group(title, tuple(next(ranked) for _ in made)) for title, made in built]


def _setting_key(entry: Entry) -> tuple[Any, ...]:
    row = entry.example
    return row["method"], row["preset"] or "", row["params"] or "", row["dim"] or 0, row["retrieval"] or ""


def declared(entry: Entry, name: str) -> str:
    """What the method declares under that name, such as its title; empty if nothing."""
    return str(entry.example["info"].get(name, ""))


def entries_of(rows: Sequence[RowDict]) -> list[Entry]:
    """The runs by what makes a row: method, preset, parameters, dimension, strategy; unfinished runs (``metric`` None)
    belong to every row of their setting.
    """
    entries: dict[tuple[Any, ...], Entry] = {}
    by_setting: dict[tuple[Any, ...], list[Entry]] = defaultdict(list)
    for row in rows:
        if row["metric"] is None:
            continue
        what = (row["method"], row["preset"], row["params"], row["dim"])
        identity = (*what, row["retrieval"])
        if identity not in entries:
            entries[identity] = Entry(row)
            by_setting[what].append(entries[identity])
        entries[identity].add(row)
    for row in rows:
        if row["metric"] is not None:
            continue
        what = (row["method"], row["preset"], row["params"], row["dim"])
        # A run that did not finish has no strategy: it is missing from each row of its setting.
        if not by_setting[what]:
            by_setting[what].append(Entry(row))
        for entry in by_setting[what]:
            entry.add(row)
    return [entry for listed in by_setting.values() for entry in listed]


def titles_of(entries: Sequence[Entry], output: str) -> dict[int, str]:
    """Row titles by entry; where two methods have the same one, the registered name tells them apart."""
    titles: dict[int, str] = {}
    methods: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        row = entry.example
        what = setting(row["params"], row["preset"], row["dim"])
        titles[id(entry)] = row_title(declared(entry, "title") or row["method"], what, row["retrieval"], output)
        methods[titles[id(entry)]].add(row["method"])
    for entry in entries:
        title = titles[id(entry)]
        if len(methods[title]) > 1:
            titles[id(entry)] = plain(f"{title} [{entry.example['method']}]")
    return titles


def row_of(entry: Entry, title: str, dataset: str, columns: Sequence[Column], notes: Notes) -> Row:
    """The row of an entry: its cells, what marks it, what it costs; the notes are told what the marks mean."""
    marks = []
    known = [flag for flag in FLAG_MARKS if flag in entry.flags]
    for symbol, text in (FLAG_MARKS[flag] for flag in known):
        marks.append(symbol)
        notes.marks[symbol] = text
    marks += [superscript(notes.number(plain(flag))) for flag in sorted(entry.flags.difference(known))]
    if declared(entry, "reconstruction"):
        marks.append(RECONSTRUCTION)
        notes.marks[RECONSTRUCTION] = RECONSTRUCTION_NOTE
    asked, found = entry.example["dim"], entry.example["output_dim"]
    if asked and found and found != asked:
        marks.append(superscript(notes.number(f"{asked} dimensions were asked for, {found} were found")))
    preset = entry.example["preset"]
    if preset:
        notes.marks[plain(f"({preset})")] = preset_note(preset, dataset)
    longest = max((bits or 0 for bits, _ in entry.runs), default=0)
    at_longest = [run for (bits, _), run in entry.runs.items() if (bits or 0) == longest]
    fits = [run["fit_s"] for run in at_longest if run["fit_s"] is not None]
    peaks = [run["peak_rss"] for run in at_longest if run["peak_rss"]]
    return Row(
        title=title,
        method=entry.example["method"],
        group=plain(declared(entry, "group")),
        source=plain(declared(entry, "venue")),
        cells=tuple(cell_of(entry, column, notes) for column in columns),
        flags=tuple(sorted(entry.flags)),
        marks=tuple(marks),
        fit_seconds=statistics.fmean(fits) if fits else None,
        peak_bytes=max(peaks) if peaks else None,
        ranked=declared(entry, "category") != BASELINE and not entry.flags & NOT_RANKED,
        run_keys=tuple(sorted(entry.run_keys)),
        retrieval=plain(entry.example["retrieval"] or ""),
        info=entry.example["info"],
    )


def cell_of(entry: Entry, column: Column, notes: Notes) -> Cell:
    """Mean and standard deviation over the seeds that have every direction of the column."""
    values = entry.values.get(column.bits, {})
    failed = entry.failed.get(column.bits, {})
    means = {
        seed: statistics.fmean(by_direction[d] for d in column.directions)
        for seed, by_direction in values.items()
        if column.directions and all(d in by_direction for d in column.directions)
    }
    if any(math.isnan(mean) for mean in means.values()):
        undefined = seed_list(seed for seed, mean in means.items() if math.isnan(mean))
        return Cell(word="NaN", note=notes.number(f"the metric is undefined (NaN) for {undefined}"))
    if not means:
        if not failed:
            return Cell()
        statuses = {status for status, _ in failed.values()}
        word = statuses.pop() if len(statuses) == 1 else "failed"
        return Cell(
            word="failed" if word == "done" else plain(word),
            note=notes.number(failures({seed: text for seed, (_, text) in failed.items()})),
        )
    missing = {seed: text for seed, (_, text) in failed.items()}
    missing |= {seed: "not every direction was measured" for seed in values if seed not in means}
    note = 0
    if missing:
        told = "; ".join(f"seed {seed} {text}" for seed, text in sorted(missing.items()))
        note = notes.number(f"{len(means)} of {len(means) + len(missing)} seeds; {told}")
    listed = list(means.values())
    return Cell(*_spread(listed), len(listed), note=note, span=_span(entry, column, list(means)))


def _spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; `statistics.stdev` counts in fractions, which takes twenty times as long."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _span(entry: Entry, column: Column, seeds: Sequence[int]) -> Span | None:
    """Both ends of a number's span, averaged like the number itself; None unless all of its seeds have them."""
    by_seed = entry.spans.get(column.bits, {})
    if any(direction not in by_seed.get(seed, {}) for seed in seeds for direction in column.directions):
        return None
    ends = [[statistics.fmean(by_seed[s][d][end] for d in column.directions) for s in seeds] for end in (0, 1)]
    return Span(*map(statistics.fmean, ends))


def _lacking_marked(rows: Sequence[Row], notes: Notes) -> list[Row]:
    """Say of every number without the span that was asked for that it has none."""
    marked = []
    for row in rows:
        cells = tuple(replace(cell, lacks_span=cell.mean is not None and cell.span is None) for cell in row.cells)
        if any(cell.lacks_span for cell in cells):
            notes.marks[NO_SPAN] = MISSING_NOTE
        marked.append(replace(row, cells=cells))
    return marked


def chance_row(rows: Sequence[RowDict], columns: Sequence[Column], notes: Notes) -> Row:
    """The metric's expectation under a random ranking; it belongs to the data, so all records must agree on it."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["metric"] is not None and row["chance"] is not None and not math.isnan(row["chance"]):
            found[row["direction"]].append(row["chance"])
    cells = []
    for column in columns:
        if not column.directions or any(d not in found for d in column.directions):
            cells.append(Cell())
            continue
        low = statistics.fmean(min(found[d]) for d in column.directions)
        high = statistics.fmean(max(found[d]) for d in column.directions)
        note = notes.number(f"records disagree: {low:.6f} to {high:.6f}") if high - low > 1e-6 else 0
        cells.append(Cell(statistics.fmean(statistics.median(found[d]) for d in column.directions), note=note))
    return Row("Chance", cells=tuple(cells), ranked=False)


def with_ranks(rows: Sequence[Row], smaller: bool) -> list[Row]:
    """Mark the best (`smaller`: smallest) and the second value of every column; equal printed digits share a rank."""
    ranked = list(rows)
    for column in range(len(rows[0].cells)):
        shown = {
            i: float(row.cells[column].number)
            for i, row in enumerate(rows)
            if row.ranked and row.cells[column].mean is not None
        }
        for rank, value in zip(("best", "second"), sorted(set(shown.values()), reverse=not smaller), strict=False):
            for i in (i for i, other in shown.items() if other == value):
                cells = list(ranked[i].cells)
                cells[column] = replace(cells[column], rank=rank)
                ranked[i] = replace(ranked[i], cells=tuple(cells))
    return ranked
