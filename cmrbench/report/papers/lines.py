"""The rows of a paper's table: chance and baselines, the paper's rows, then our other methods."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from cmrbench.method import CATEGORIES
from cmrbench.published import LayoutRow, published_as, registered_as, setting_words
from cmrbench.report.model import DASH, Cell, Column, Row
from cmrbench.report.papers.measured import PUBLISHED_PRESET, Identity, Place, fits
from cmrbench.report.papers.spec import PaperTable
from cmrbench.report.rows import BASELINE, Entry, Notes, cell_of, chance_row, declared, row_of
from cmrbench.report.wording import USUAL_RETRIEVAL, plain, row_title, setting, year

REDUCED = "reduced preset"
_REDUCED_PRESETS = {"quick"}


@dataclass(frozen=True)
class Spot:
    """One dataset in a table: a place with results, or one of the paper's datasets that was not run.

    Attributes
    ----------
    head : str
        As the table heads it.
    dataset : str
        The paper's dataset in cmrbench's name; empty where it is ours alone.
    place : Place or None
    """

    head: str
    dataset: str
    place: Place | None = None


@dataclass(frozen=True)
class Slot:
    """What a cell of a row is about."""

    spot: Spot
    task: str
    directions: tuple[str, ...]
    metric: str
    bits: int | None

    @property
    def column(self) -> Column:
        """The slot as a column of a leaderboard of one dataset."""
        return Column((), self.directions, self.bits)


@dataclass(frozen=True)
class Line:
    """A row with our numbers, and the row of the paper that it belongs to, if any."""

    row: Row
    printed: LayoutRow | None = None


class Lines:
    """All rows of one part of a table.

    Parameters
    ----------
    spec : PaperTable
    spots : sequence of Spot
    everywhere : sequence of Place
        All places, also those that the table does not show: what was run, if not here.
    registered : collection of str or None
        Names of the registered methods; None if they are not known.
    """

    def __init__(
        self, spec: PaperTable, spots: Sequence[Spot], everywhere: Sequence[Place], registered: Collection[str] | None
    ) -> None:
        self.spec = spec
        self.spots = spots
        self.everywhere = everywhere
        self.registered = registered

    @cached_property
    def examples(self) -> Mapping[Identity, list[tuple[Place, Entry]]]:
        """Every row of ours with its runs by place; a row without a strategy only where no run of it finished."""
        found: dict[Identity, list[tuple[Place, Entry]]] = {}
        for place in (spot.place for spot in self.spots if spot.place):
            for metric in self.spec.metrics:
                for identity, entry in place.entries(metric).items():
                    found.setdefault(identity, []).append((place, entry))
        ranked = {replace(identity, retrieval=None) for identity in found if identity.retrieval is not None}
        return {i: runs for i, runs in found.items() if i.retrieval is not None or i not in ranked}

    @cached_property
    def assigned(self) -> Mapping[LayoutRow, list[Identity]]:
        """Our rows by the paper's row, those nearest to the method as published first."""
        left = dict.fromkeys(self.examples)
        found: dict[LayoutRow, list[Identity]] = {}
        for row in self.spec.layout.rows:
            found[row] = sorted((i for i in left if _is(i, row)), key=self._oddity)
            for identity in found[row]:
                del left[identity]
        return found

    @cached_property
    def others(self) -> list[Identity]:
        """Our rows that are none of the paper's."""
        taken = {identity for listed in self.assigned.values() for identity in listed}
        return sorted((i for i in self.examples if i not in taken), key=self._order)

    def top(self, slots: Sequence[Slot], notes: Notes) -> list[Line]:
        """Chance and baselines."""
        lines = [Line(self._chance(slots, notes))] if not self.spec.seconds and self.examples else []
        return lines + [self._line(i, slots, notes) for i in self.others if self._category(i) == BASELINE]

    def paper(self, slots: Sequence[Slot], notes: Notes) -> list[Line]:
        """The paper's rows in its order, each followed by further settings of the method."""
        lines = []
        for printed, (*ours,) in self.assigned.items():
            if not ours:
                lines.append(self._empty(printed, slots, notes))
                continue
            lines.append(self._line(ours[0], slots, notes, printed))
            # The published numbers stand beside the first of them only.
            lines += [Line(self._line(identity, slots, notes, printed).row) for identity in ours[1:]]
        return lines

    def rest(self, slots: Sequence[Slot], notes: Notes) -> list[Line]:
        """Our methods that the paper's table does not have."""
        return [self._line(i, slots, notes) for i in self.others if self._category(i) != BASELINE]

    def _category(self, identity: Identity) -> str:
        return declared(self.examples[identity][0][1], "category")

    def _oddity(self, identity: Identity) -> tuple[object, ...]:
        usual = USUAL_RETRIEVAL[self.spec.output]
        return (
            identity.preset in _REDUCED_PRESETS,
            identity.params != "{}",
            identity.preset not in ("", PUBLISHED_PRESET),
            identity.dim is not None,
            identity.retrieval != usual,
            (identity.preset, identity.params, identity.dim or 0, identity.retrieval or ""),
        )

    def _order(self, identity: Identity) -> tuple[object, ...]:
        categories = list(CATEGORIES)
        entry = self.examples[identity][0][1]
        category = self._category(identity)
        place = categories.index(category) if category in categories else len(categories)
        return place, year(declared(entry, "venue")), identity.method, self._oddity(identity)

    def _chance(self, slots: Sequence[Slot], notes: Notes) -> Row:
        cells: list[Cell] = []
        for (spot, metric), same in groupby(slots, key=lambda slot: (slot.spot, slot.metric)):
            columns = [slot.column for slot in same]
            if spot.place is None:
                cells += [_dash(notes, self._why_not_here(spot) or _OTHER_PROTOCOL) for _ in columns]
                continue
            found = chance_row(spot.place.rows[metric], columns, notes).cells
            cells += [cell if cell.mean is not None else _dash(notes, _NOT_MEASURED) for cell in found]
        return Row("Chance", cells=self._with_digits(cells), ranked=False)

    def _line(self, identity: Identity, slots: Sequence[Slot], notes: Notes, printed: LayoutRow | None = None) -> Line:
        runs = self.examples[identity]
        title = self._title(identity, runs[0][1], printed)
        rows = [row_of(entry, title, place.key.dataset, (), notes) for place, entry in runs]
        marks = dict.fromkeys(mark for row in rows for mark in row.marks)
        if identity.preset == PUBLISHED_PRESET:
            for _, entry in runs:
                notes.marks.pop(plain(f"({entry.example['preset']})"), None)
            notes.marks[f"({PUBLISHED_PRESET})"] = "the preset of the method for this dataset"
        if identity.preset in _REDUCED_PRESETS:
            notes.marks[f"({identity.preset})"] = f"{REDUCED}: {notes.marks[f'({identity.preset})']}"
        row = replace(
            rows[0],
            cells=self._with_digits([self._cell(identity, slot, notes) for slot in slots]),
            flags=tuple(sorted({flag for row in rows for flag in row.flags})),
            marks=tuple(marks),
            ranked=all(row.ranked for row in rows),
            run_keys=tuple(sorted({key for row in rows for key in row.run_keys})),
            fit_seconds=None,
            peak_bytes=None,
        )
        if printed is not None:
            row = replace(row, group=plain(printed.category), source=plain(printed.venue))
        return Line(row, printed)

    def _title(self, identity: Identity, entry: Entry, printed: LayoutRow | None) -> str:
        what = setting(identity.params, identity.preset, identity.dim)
        if printed is None:
            return row_title(declared(entry, "title") or identity.method, what, identity.retrieval, self.spec.output)
        retrieval = None if printed.setting == "2sknn" else identity.retrieval
        title = _printed_title(printed)
        if identity.method != printed.method:
            title = f"{title} ({declared(entry, 'title') or identity.method})"
        return row_title(title, what, retrieval, self.spec.output)

    def _cell(self, identity: Identity, slot: Slot, notes: Notes) -> Cell:
        place = slot.spot.place
        entry = place.entry(slot.metric, identity) if place is not None else None
        if entry is None:
            elsewhere = any(other.entry(slot.metric, identity) for other in self._same_data(slot.spot))
            why = _OTHER_PROTOCOL if elsewhere else "not run on these data"
            return _dash(notes, self._why_not_here(slot.spot) or why)
        found = cell_of(entry, slot.column, notes)
        if found.mean is not None or found.note:
            return found
        if slot.bits is not None and slot.bits not in entry.values:
            return _dash(notes, f"not run at {slot.bits} bits")
        return _dash(notes, _NOT_MEASURED)

    def _empty(self, printed: LayoutRow, slots: Sequence[Slot], notes: Notes) -> Line:
        row = Row(
            _printed_title(printed),
            method=printed.method,
            group=plain(printed.category),
            source=plain(printed.venue),
            cells=tuple(_dash(notes, self._why_empty(printed, slot.spot)) for slot in slots),
        )
        return Line(row, printed)

    def _why_empty(self, printed: LayoutRow, spot: Spot) -> str:
        if printed.setting not in ("plain", "2sknn"):
            return f"cmrbench has no {setting_words(printed.setting)} of this method"
        names = {printed.method, registered_as(printed.method, printed.setting)}
        if self.registered is not None and not names & set(self.registered):
            return "no such method in cmrbench yet"
        same = self._same_data(spot)
        run = any(_is(i, printed) for other in same for metric in self.spec.metrics for i in other.entries(metric))
        return self._why_not_here(spot) or (_OTHER_PROTOCOL if run else "not run")

    def _same_data(self, spot: Spot) -> list[Place]:
        """The places of the spot's data, or of its dataset where it has none."""
        if spot.place is not None:
            return [place for place in self.everywhere if place.data == spot.place.data]
        return [place for place in self.everywhere if place.dataset == spot.dataset]

    def _why_not_here(self, spot: Spot) -> str:
        """Why there is no number of any method; empty if there might be."""
        if spot.place is not None:
            return ""
        same = self._same_data(spot)
        if same and not any(fits(place, self.spec) for place in same):
            return _OTHER_DIRECTIONS
        return "" if same else _NO_DATA

    def _with_digits(self, cells: Iterable[Cell]) -> tuple[Cell, ...]:
        return tuple(replace(cell, digits=self.spec.digits) for cell in cells)


_NO_DATA = "no results on this dataset"
_NOT_MEASURED = "this direction or metric was not measured"
_OTHER_PROTOCOL = "not measured under this protocol"
_OTHER_DIRECTIONS = "measured in other directions than the table's"


def _dash(notes: Notes, why: str) -> Cell:
    return Cell(word=DASH, note=notes.number(why))


def _printed_title(row: LayoutRow) -> str:
    words = "" if row.setting in ("plain", "2sknn") else f" ({setting_words(row.setting)})"
    return plain(row.printed + words)


def _is(identity: Identity, row: LayoutRow) -> bool:
    """Whether a row of ours is that row of the paper: the method and, of two rows of one method, the search."""
    method, fixed = published_as(identity.method)
    if method != row.method:
        return False
    if not fixed and identity.retrieval is None:
        return row.setting in ("plain", "2sknn")
    return row.setting == (fixed or ("2sknn" if identity.retrieval == "2sknn" else "plain"))
