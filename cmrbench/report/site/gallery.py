"""The gallery: queries of a dataset whose pictures may be shown, and what methods found first, side by side."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cmrbench.report.site.boards import BoardView
from cmrbench.report.site.details import Details, records_of
from cmrbench.report.site.items import Collection, Place, Resolver, ShownItem
from cmrbench.report.wording import plain

PICTURE_TYPES = ("image/webp", "image/png", "image/jpeg")
_TEXT = 140


@dataclass
class Gallery:
    """What the page's gallery holds, filled place by place until its room is used up.

    Attributes
    ----------
    room : int
        Characters that pictures and texts may take in the page.
    queries : int
        Most queries of one direction.
    """

    room: int
    queries: int
    items: list[dict[str, Any]] = field(default_factory=list)
    places: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    used: int = 0
    _known: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    _pictures: dict[bytes, int] = field(default_factory=dict)

    def number(self, place: Place, modality: str, item: ShownItem) -> int:
        """Position of an item in the shared list; equal pictures and texts are kept once."""
        key = (place.dataset_fingerprint, place.feature_set, modality, item.name)
        if key not in self._known:
            entry: dict[str, Any] = {"n": plain(item.name), "t": plain(item.text)[:_TEXT]}
            entry["l"] = [plain(label) for label in item.labels]
            if item.picture and item.mime in PICTURE_TYPES:
                entry["p"] = f"data:{item.mime};base64,{base64.b64encode(item.picture).decode()}"
            self._known[key] = len(self.items)
            self.items.append(entry)
            # Base64 of data that does not compress, and text that does.
            self.used += int(len(entry.get("p", "")) * 1.04) + len(entry["t"]) + 40
        return self._known[key]

    def content(self) -> dict[str, Any]:
        """As the page's script takes it."""
        return {"places": self.places, "items": self.items}


def fill(gallery: Gallery, boards: Sequence[BoardView], details: Details, resolver: Resolver | None) -> None:
    """Add what can be shown of every headline leaderboard; what cannot leaves a note."""
    for view in boards:
        if not view.headline or not view.board.key.protocol or resolver is None:
            continue
        key = view.board.key
        place = Place(key.dataset, key.dataset_fingerprint, key.feature_set, key.protocol, key.protocol_fingerprint)
        opened = resolver.open(place)
        if isinstance(opened, str):
            note = f"{view.place}: {plain(opened)}"
            if note not in gallery.notes:
                gallery.notes.append(note)
            continue
        if gallery.used >= gallery.room:
            gallery.notes.append(f"{plain(view.board.title)}: left out, the page has no room for more pictures")
            continue
        lists = _lists(view, details)
        if lists.directions:
            _add(gallery, view, place, lists, opened)


@dataclass
class _Lists:
    """First results by direction (with its modalities), query and row of the table."""

    bits: int | None
    directions: dict[str, dict[int, dict[int, tuple[list[int], list[bool]]]]]


def _lists(view: BoardView, details: Details) -> _Lists:
    bits, found = details.first_results(view)
    directions: dict[str, dict[int, dict[int, tuple[list[int], list[bool]]]]] = {}
    for index in range(len(list(view.board.rows))):
        for record in records_of(view, index, found):
            queries = directions.setdefault(record["direction"], {})
            for one in record["top"]:
                queries.setdefault(one["query"], {})[index] = (one["results"], one["hits"])
    return _Lists(bits, directions)


def _add(gallery: Gallery, view: BoardView, place: Place, lists: _Lists, collection: Collection) -> None:
    rows = list(view.board.rows)
    groups = [group.title for group in view.board.groups for _ in group.rows]
    shown: dict[int, None] = {}
    directions = []
    for direction in sorted(lists.directions):
        query_modality, _, gallery_modality = direction.partition("->")
        by_query = lists.directions[direction]
        picked = _spread(sorted(by_query), gallery.queries)
        queries = []
        for position in picked:
            if gallery.used >= gallery.room:
                break
            wanted = sorted({p for results, _ in by_query[position].values() for p in results})
            items = dict(zip(wanted, collection.items("gallery", gallery_modality, wanted), strict=True))
            query = collection.items("query", query_modality, [position])[0]
            shown.update(dict.fromkeys(by_query[position]))
            queries.append(
                {
                    "i": gallery.number(place, query_modality, query),
                    "r": {
                        str(index): [
                            [gallery.number(place, gallery_modality, items[p]) for p in results],
                            [int(hit) for hit in hits],
                        ]
                        for index, (results, hits) in by_query[position].items()
                    },
                }
            )
        if len(queries) < len(picked):
            left = len(picked) - len(queries)
            gallery.notes.append(
                f"{plain(view.board.title)}, {plain(direction)}: {left} queries left out, the page has no more room"
            )
        if queries:
            directions.append({"name": plain(direction.replace("->", " → ")), "queries": queries})
    if directions:
        gallery.places.append(
            {
                "id": view.id,
                "title": plain(f"{view.place}, protocol {place.protocol}")
                + (", learned gallery codes" if view.board.key.gallery_codes == "learned" else ""),
                "output": view.board.key.output,
                "bits": lists.bits,
                "credit": plain(collection.credit),
                "rows": {str(i): [rows[i].title, groups[i]] for i in sorted(shown)},
                "directions": directions,
            }
        )


def _spread(values: Sequence[int], most: int) -> list[int]:
    """Up to `most` values, evenly spaced."""
    if len(values) <= most:
        return list(values)
    return [values[i * (len(values) - 1) // (most - 1)] for i in range(most)] if most > 1 else list(values[:most])
