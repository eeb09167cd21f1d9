"""The ledger as tables to read: one block for each dataset and kind of number, with footnotes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, product

from cmrbench.published.contradictions import agree
from cmrbench.published.findings import Finding
from cmrbench.published.layout import layout
from cmrbench.published.ledger import Entry
from cmrbench.published.model import Place, PublishedCell
from cmrbench.published.words import papers, setting_words, table_name

_SIZES = "training/validation/retrieval set/query"


@dataclass
class Block:
    """Numbers of one dataset that share their columns.

    Attributes
    ----------
    title : str
    facts : list of str
        A line for each paper: how it splits the data.
    heads : list of str
        ``"I→T"``, or with a second line for code length or metric.
    rows : list of Row
    notes : list of (str, str)
        Marks and what they say: numbered footnotes of cells, then findings by their ids, then sources.
    """

    title: str
    heads: list[str]
    facts: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """A printed row: `cells` are value and footnote numbers, `notes` the findings about the whole row."""

    table: str
    method: str
    cells: tuple[tuple[str, tuple[int, ...]], ...]
    origin: str
    features: str
    notes: str


def blocks(entries: Sequence[Entry]) -> list[Block]:
    """Blocks by dataset (as they come first in the papers), and within it by metrics and code lengths."""
    datasets = list(dict.fromkeys(e.place.dataset for e in entries))
    kinds = list(dict.fromkeys(map(_kind, entries)))
    ordered = sorted(entries, key=lambda e: (datasets.index(e.place.dataset), kinds.index(_kind(e))))
    return [_block(list(same)) for _, same in groupby(ordered, key=lambda e: (e.place.dataset, _kind(e)))]


def direction_sign(task: str) -> str:
    """``"image->text"`` as ``"I→T"``; the average over both as ``"I↔T"``."""
    for written, sign in (("<->", "↔"), ("->", "→")):
        first, between, second = task.partition(written)
        if between:
            return f"{_letter(first)}{sign}{_letter(second)}"
    return task


def _letter(modality: str) -> str:
    return "3D" if modality == "3d" else modality[0].upper()


def _kind(entry: Entry) -> tuple[object, ...]:
    place = entry.place
    if place.metric == "seconds a query":
        return (place.metric,)
    found = layout(place.paper, place.table)
    return (*found.metrics, *found.bits)


def _block(entries: list[Entry]) -> Block:
    places = [e.place for e in entries]
    tasks = sorted(dict.fromkeys(p.task for p in places), key=lambda task: task == "all" or "<->" in task)
    metrics = list(dict.fromkeys(p.metric for p in places))
    lengths = sorted({p.bits or 0 for p in places})
    asked = {(p.task, p.bits or 0, p.metric) for p in places}
    columns = [c for c in product(tasks, lengths, metrics) if c in asked]
    several = len(lengths) > 1, len(metrics) > 1
    named = metrics[0] if not several[1] else "seconds" if "seconds" in metrics[0] else "recall"
    size = f" at {lengths[0]} bits" if lengths[0] and not several[0] else ""
    block = Block(
        f"{places[0].dataset}: {named}{size}", [_head(column, *several) for column in columns], _facts(entries)
    )
    footnotes = _Footnotes(frozenset(places))
    general: dict[str, str] = {}
    for row in _printed_rows(entries):
        shared = [f for f in row[0].findings if all(f in e.findings for e in row)]
        general |= {f.id: f.text for f in shared}
        at = {(e.place.task, e.place.bits or 0, e.place.metric): e for e in row}
        cells = tuple((at[c].printed, footnotes.of(at[c], shared)) if c in at else ("", ()) for c in columns)
        block.rows.append(_row(row, cells, [f.id for f in shared if f.kind != "splits"]))
    block.notes = [*footnotes.listed(), *general.items(), *_sources(entries)]
    return block


def _printed_rows(entries: Sequence[Entry]) -> Iterable[list[Entry]]:
    """Rows of the papers' tables; the survey prints a row once for each direction."""
    found: dict[tuple[str, ...], list[Entry]] = {}
    for e in entries:
        found.setdefault((e.place.paper, e.place.table, e.place.method, e.place.variant), []).append(e)
    return found.values()


def _head(column: tuple[str, int, str], sized: bool, several: bool) -> str:
    task, bits, metric = column
    below = str(bits) if sized else metric.replace(" seconds", "\ns") if several else ""
    return "\n".join(filter(None, (direction_sign(task), below))) or metric.replace(" ", "\n", 1)


def _row(row: Sequence[Entry], cells: tuple[tuple[str, tuple[int, ...]], ...], notes: Sequence[str]) -> Row:
    place = row[0].place
    features = {e.place.features for e in row}
    said = "" if place.variant.startswith("img=") else setting_words(place.setting)  # these are its features
    return Row(
        table=f"{papers()[place.paper]} {place.table}",
        method=", ".join(filter(None, (place.method_printed, said))),
        cells=cells,
        origin=row[0].origin.short or row[0].origin.words,
        features=features.pop().removesuffix(" (quoted)") if len(features) == 1 else "",
        notes=" ".join(notes),
    )


class _Footnotes:
    """Numbered texts about single cells; an equal text keeps its number."""

    def __init__(self, shown: frozenset[Place]) -> None:
        self._shown = shown
        self._numbers: dict[str, int] = {}

    def of(self, entry: Entry, known: Sequence[Finding]) -> tuple[int, ...]:
        """Numbers of what is to be said of this cell beyond the findings about its whole row."""
        said = [f"{f.id}: {f.text}" for f in entry.findings if f not in known]
        if entry.contradicted:
            said.append(f"{entry.printed} here, {_listed(entry.contradicted)}: one source, two values")
        place = entry.place
        if isinstance(place, PublishedCell):
            differ = [c for c in entry.elsewhere if c not in entry.contradicted and not agree(place, c)]
            if unseen := [c for c in differ if c not in self._shown]:
                said.append(f"{place.printed} here, {_listed(unseen)}: other features, splits or runs")
        if entry.value is None and not said:
            said += entry.notes
        return tuple(self._numbers.setdefault(text, len(self._numbers) + 1) for text in said)

    def listed(self) -> list[tuple[str, str]]:
        return [(str(number), text) for text, number in self._numbers.items()]


def _listed(cells: Sequence[PublishedCell]) -> str:
    return ", ".join(f"{c.printed} in {table_name(c.paper, c.table)}" for c in cells)


def _facts(entries: Sequence[Entry]) -> list[str]:
    """How each paper splits the dataset, and what it calls it."""
    facts = {}
    for e in entries:
        printed = {x.place.dataset_printed for x in entries if x.place.paper == e.place.paper}
        said = "split not stated" if e.split == "not stated" else f"{e.split} items"
        several = len(e.place.directions) > 2
        said += f"; {e.place.features.replace('=', ' ').replace(';', ',')}" if several else ""
        if several or e.place.paper not in facts:
            facts[e.place.paper] = f"{papers()[e.place.paper]} ({' and '.join(sorted(printed))}): {said}"
    sized = any(e.split != "not stated" for e in entries)
    return [*facts.values(), *([f"Items: {_SIZES}."] if sized else [])]


def _sources(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    return list({e.origin.short: e.origin.words for e in entries if e.origin.short}.items())
