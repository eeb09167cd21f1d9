"""The tables of a dataset's card, for `cmrbench data info`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmrbench.cli.data.output import SPLITS, row, table

if TYPE_CHECKING:
    from rich.table import Table

    from cmrbench.data.card import Card, ClassFigures

MOST_CLASSES = 40
BAR = 30


def card_tables(card: Card) -> list[Table]:
    """Counts, values, classes, chance and what an audit found."""
    tables = [_items(card), _values(card), _chance(card)]
    if card.classes:
        tables.insert(2, _classes(card.classes))
    return tables


def _items(card: Card) -> Table:
    """A row a split and SHA-256: one for all modalities where they have the same ids."""
    made = table("split", "items", "SHA-256 of the ids in order")
    for split, sizes in card.sizes.items():
        hashes = card.hashes[split]
        if isinstance(hashes, str):
            counts = set(sizes.values())
            shown = f"{counts.pop():,}" if len(counts) == 1 else ", ".join(f"{m} {n:,}" for m, n in sizes.items())
            row(made, split, shown, hashes)
        else:
            for modality, digest in hashes.items():
                row(made, split, f"{sizes[modality]:,} {modality}", digest)
                split = ""
    return made


def _values(card: Card) -> Table:
    made = table("modality", "kind", "dims", "least norm", "median", "largest", "zeros", "raw data")
    for m in card.modalities:
        norms = [f"{n:.4g}" for n in m.norms] if m.norms else ["-"] * 3
        zeros = "-" if m.zeros is None else f"{100 * m.zeros:.1f} %"
        raw = ", ".join(what for what, here in (("texts", m.texts), ("pictures", m.pictures)) if here)
        row(made, m.modality, m.kind, " x ".join(map(str, m.shape)), *norms, zeros, raw or "-")
    return made


def _classes(classes: tuple[ClassFigures, ...]) -> Table:
    """A bar a class; of many classes the largest and the smallest."""
    splits = [s for s in SPLITS if s in classes[0].items]
    made = table("class", *splits, "all", "")
    ranked = sorted(classes, key=lambda c: -c.total)
    most = max(ranked[0].total, 1)
    half = MOST_CLASSES // 2
    left_out = len(ranked) - MOST_CLASSES
    for k, c in enumerate(ranked):
        if left_out > 0 and half <= k < len(ranked) - half:
            if k == half:
                row(made, f"({left_out} more)", *[""] * (len(splits) + 2))
            continue
        row(made, c.name, *(f"{c.items[s]:,}" for s in splits), f"{c.total:,}", "█" * round(BAR * c.total / most))
    return made


def _chance(card: Card) -> Table:
    """A row a protocol and figure: directions that are alike share it."""
    made = table("protocol", "queries", "gallery\nitems", "metric", "by chance", "directions")
    together: dict[tuple[str, ...], list[str]] = {}
    for c in card.chance:
        value = "-" if c.value is None else f"{c.value:.4f}"
        key = (c.protocol, f"{c.queries:,}", f"{c.gallery_items:,}", c.metric, value)
        together.setdefault(key, []).append(f"{c.query} -> {c.gallery}")
    for cells, directions in together.items():
        few = directions if len(directions) <= 4 else [*directions[:3], f"{len(directions) - 3} more"]
        row(made, *cells, "\n".join(few))
    return made
