"""What stands above a paper's table: the data and protocol of every column, what the paper says, on what machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cmrbench.published import paper_title
from cmrbench.report.papers.lines import Spot
from cmrbench.report.papers.measured import Place
from cmrbench.report.papers.printed import stated
from cmrbench.report.papers.spec import PaperTable
from cmrbench.report.wording import plain, span

_MACHINE = ("processor", "cores", "threads", "device")


def facts_of(
    spec: PaperTable, spots: Sequence[Spot], published: bool, left_out: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Facts of one part of a table, as pairs of a name and a plain line."""
    facts = [("paper", f"{paper_title(spec.paper)}, Table {spec.table}")]
    for spot in spots:
        if spot.place is not None:
            facts.append((spot.head, _place(spot.place)))
        if published and spot.dataset and (told := stated(spec, spot.dataset)):
            facts.append((f"{spot.head}, published", told))
    if published and not any(stated(spec, dataset) for dataset in spec.layout.datasets):
        facts.append(("published", "the paper states neither features nor splits of its results"))
    facts += [("note", note) for note in spec.notes]
    if spec.seconds:
        facts += [("machine", machine) for machine in _machines(spots)]
    if left_out:
        facts.append(("left out", f"{', '.join(left_out)}: other directions than the table's"))
    return tuple((plain(name), plain(text)) for name, text in _numbered(facts))


def _place(place: Place) -> str:
    told = [
        f"{place.key.dataset} ({place.key.dataset_fingerprint[:8]})",
        f"features {place.key.feature_set or 'default'}",
    ]
    if place.key.protocol:
        rows = [row for rows in place.rows.values() for row in rows]
        told += [
            f"protocol {place.key.protocol} ({place.key.protocol_fingerprint[:8]})",
            f"gallery codes {place.key.gallery_codes}",
            f"queries × gallery {span(r['n_query'] for r in rows)} × {span(r['n_gallery'] for r in rows)}",
        ]
    return ", ".join(told)


def _machines(spots: Sequence[Spot]) -> list[str]:
    """The machines that the runs were carried out on, sorted."""
    rows = [row for spot in spots if spot.place for rows in spot.place.rows.values() for row in rows]
    return sorted({told for row in rows if (told := _machine(dict(row["environment"] or [])))})


def _machine(environment: Mapping[str, str]) -> str:
    told = []
    for name in _MACHINE:
        if name in environment:
            counted = name in ("cores", "threads")
            told.append(f"{name} {environment[name]}" if counted else environment[name])
    return ", ".join(told)


def _numbered(facts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Facts whose names differ, so that JSON keeps them all."""
    seen: dict[str, int] = {}
    named = []
    for name, text in facts:
        seen[name] = seen.get(name, 0) + 1
        named.append((name if seen[name] == 1 else f"{name} {seen[name]}", text))
    return named
