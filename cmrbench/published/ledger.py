"""The ledger: every published number with its place, its source and what else is known about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from cmrbench.core.errors import UnknownNameError
from cmrbench.published.contradictions import contradicting, elsewhere
from cmrbench.published.findings import Finding, findings_of
from cmrbench.published.load import cells, methods, missing, query_times, splits, timings
from cmrbench.published.model import Place, PublishedCell, PublishedTime, QueryTime
from cmrbench.published.words import FlagWords, flag_words, papers, registered, table_name, tables

DASH = "—"
_NO_FLAGS = FlagWords("origin", "not stated")


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Attributes
    ----------
    place : Place
    value : float or None
        None for a cell that is printed as a dash.
    printed : str
    origin : FlagWords
        Where the number comes from.
    notes : tuple of str
        What else its flags say.
    findings : tuple of Finding
    elsewhere, contradicted : tuple of PublishedCell
        Cells of other tables that claim to be the same quantity, and those of them that are from the same source and
        print another value.
    split : str
        Items for training/validation/retrieval set/query as the paper states them, or ``"not stated"``.
    """

    place: Place
    value: float | None
    printed: str
    origin: FlagWords
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    elsewhere: tuple[PublishedCell, ...]
    contradicted: tuple[PublishedCell, ...]
    split: str

    @property
    def table(self) -> str:
        """``"Survey Table VII"``."""
        return table_name(self.place.paper, self.place.table)


@cache
def ledger() -> tuple[Entry, ...]:
    """All lines: printed numbers, dashes, times."""
    found = [_entry(c, c.value, c.printed, c) for c in cells()]
    found += [_entry(c, None, DASH, c) for c in missing()]
    for time in timings():
        found.append(_entry(_timed(time, "train seconds"), time.train, time.train_printed, time))
        found.append(_entry(_timed(time, "test seconds"), time.test, time.test_printed, time))
    found += [_entry(_asked(time), time.seconds, time.printed, time) for time in query_times()]
    order = {(paper, table): i for i, (paper, table) in enumerate((p, t) for p in papers() for t in tables(p))}
    return tuple(sorted(found, key=lambda e: (order[e.place.paper, e.place.table], e.place.line)))


def narrowed(
    wanted_methods: Sequence[str] = (),
    wanted_datasets: Sequence[str] = (),
    wanted_papers: Sequence[str] = (),
    wanted_tables: Sequence[str] = (),
) -> tuple[Entry, ...]:
    """The lines of some methods, datasets, papers and tables; of all where none is named.

    Parameters
    ----------
    wanted_methods : sequence of str
        Registered names or printed ones, in any spelling. A name that only some rows have, such as 2S-DSCMR, means
        these rows.
    wanted_datasets : sequence of str
        Registered names.
    wanted_papers, wanted_tables : sequence of str
        ``"lcm"``; ``"2"`` or ``"VII"`` for every paper that has a table of that number, ``"lcm2"`` for one.

    Raises
    ------
    UnknownNameError
        If there is no such method, paper or table.
    """
    tests: list[list[Callable[[Place], bool]]] = [
        [_method_test(name) for name in wanted_methods],
        [_dataset_test(name) for name in wanted_datasets],
        [_paper_test(name) for name in wanted_papers],
        [_table_test(name) for name in wanted_tables],
    ]
    return tuple(e for e in ledger() if all(not some or any(test(e.place) for test in some) for some in tests))


def plain_name(name: str) -> str:
    """A name without case, blanks and signs: two spellings of one name are equal."""
    return re.sub(r"[\W_]", "", name.lower())


@cache
def printed_datasets() -> dict[str, str]:
    """Registered names by the headings of tables, as `plain_name` has them; headings of two datasets are left out."""
    found: dict[str, set[str]] = {}
    for entry in ledger():
        found.setdefault(plain_name(entry.place.dataset_printed), set()).add(entry.place.dataset)
    return {heading: next(iter(names)) for heading, names in found.items() if len(names) == 1}


def _method_test(name: str) -> Callable[[Place], bool]:
    if (alias := registered().get(name.lower())) is not None:
        return lambda place: (place.method, place.setting) == (alias.method, alias.setting)
    wanted = plain_name(name)
    own = {e.place.method for e in ledger() if wanted in map(plain_name, (e.place.method, e.place.method_name))}
    if own:
        return lambda place: place.method in own
    if any(wanted in map(plain_name, (m.method, *m.names_printed)) for m in methods().values()):
        return lambda place: plain_name(place.method_printed) == wanted
    known = {m.method for m in methods().values()} | set(registered())
    known |= {e.place.method_printed for e in ledger() if plain_name(e.place.method_printed) not in known}
    raise UnknownNameError("method", name, known, "`cmrbench published` lists those with a number")


def _dataset_test(name: str) -> Callable[[Place], bool]:
    return lambda place: place.dataset == name


def _paper_test(name: str) -> Callable[[Place], bool]:
    if name.lower() not in papers():
        raise UnknownNameError("paper", name, papers())
    return lambda place: place.paper == name.lower()


_ROMAN = {"1": "i", "2": "ii", "3": "iii", "4": "iv", "5": "v", "6": "vi", "7": "vii", "8": "viii", "9": "ix"}


def _table_test(name: str) -> Callable[[Place], bool]:
    wanted = plain_name(name)
    paper = next((p for p in papers() if wanted.startswith(p)), "")
    number = wanted.removeprefix(paper).removeprefix("table")
    known = [(p, t) for p in papers() for t in tables(p)]
    for numbered in (number, _ROMAN.get(number, f"text{number}")):  # as printed, else drcl2 for drclII
        meant = {(p, t) for p, t in known if p == (paper or p) and plain_name(t) == numbered}
        if meant:
            return lambda place: (place.paper, place.table) in meant
    raise UnknownNameError("table", name, [f"{p}{t}" if " " not in t else t for p, t in known])


def _entry(place: Place, value: float | None, printed: str, cell: Place | PublishedTime | QueryTime) -> Entry:
    said = [flag_words(flag) for flag in place.flags]
    numbered = cell if isinstance(cell, PublishedCell) else None
    return Entry(
        place=place,
        value=value,
        printed=printed,
        origin=next((one for one in said if one.kind == "origin"), _NO_FLAGS),
        notes=tuple(one.words for one in said if one.kind != "origin"),
        findings=findings_of(cell),
        elsewhere=elsewhere(numbered) if numbered else (),
        contradicted=contradicting(numbered) if numbered else (),
        split=_split(place.paper, place.dataset),
    )


@cache
def _split(paper: str, dataset: str) -> str:
    sizes = {s.modality: s.sizes for s in splits() if (s.paper, s.dataset) == (paper, dataset)}
    if len(set(sizes.values())) <= 1:
        return next(iter(sizes.values()), "not stated")
    return "; ".join(f"{modality} {size}" for modality, size in sizes.items())


def _timed(time: PublishedTime, metric: str) -> Place:
    return replace(
        _BARE,
        paper=time.paper,
        table=time.table,
        method=time.method,
        method_name=time.method_name,
        method_printed=time.method_name,
        dataset=time.dataset,
        dataset_printed=time.dataset_printed,
        category=time.category,
        metric=metric,
        metric_printed=metric,
        bits=time.bits,
        reference=time.reference,
        line=time.line,
    )


def _asked(time: QueryTime) -> Place:
    return replace(
        _BARE,
        paper=time.paper,
        table=time.where,
        method=time.method,
        method_name=methods()[time.method].name,
        method_printed=methods()[time.method].name,
        dataset=time.dataset,
        dataset_printed=next(e.dataset_printed for e in cells() if (e.paper, e.dataset) == (time.paper, time.dataset)),
        metric="seconds a query",
        metric_printed="seconds a query",
        variant=time.search,
        setting=time.search,
        line=time.line,
    )


_BARE = Place(
    **dict.fromkeys(("paper", "table", "method", "method_name", "method_printed", "dataset", "dataset_printed"), ""),
    **dict.fromkeys(("category", "venue", "task", "metric", "metric_printed", "variant", "reference"), ""),
    features="not stated",
    directions=(),
    bits=None,
    setting="plain",
    flags=(),
    line=0,
)
"""A time's place: no direction, no flags."""
