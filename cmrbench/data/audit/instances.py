"""Checks of ids: the same instance or item in two splits, or twice in one, and instances that lack a modality."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from cmrbench.data.audit.finding import Finding, Found
from cmrbench.data.audit.relations import EXAMPLES
from cmrbench.data.audit.subject import Subject


def instances_in_two_splits(subject: Subject) -> Found:
    """An instance (a picture and its text) of which a part is in one split and a part, or all of it, in another.

    A method that was fitted on a query's own text has seen the answer. A protocol whose gallery are the training items
    names the split ``train`` and needs no item twice.
    """
    held = {s: np.unique(np.concatenate([i.instances for i in part.values()])) for s, part in subject.parts.items()}
    for a, b in combinations(reversed(subject.splits), 2):
        both = np.intersect1d(held[a], held[b])
        if len(both):
            yield Finding(
                "instances_in_two_splits",
                _severity(a, b),
                f"{a} and {b}",
                float(len(both)),
                f"{len(both):,} of {len(held[a]):,} instances of {a} are in {b}, too",
                "count",
                tuple(map(str, both[:EXAMPLES])),
            )


def _severity(a: str, b: str) -> str:
    """How bad one thing in two splits is. With val, it is the selection of epochs that has seen too much."""
    return "leak" if "train" in (a, b) and "val" not in (a, b) else "problem"


def items_twice(subject: Subject) -> Found:
    """One item id on two items of a modality: it is not known which of them a split list means."""
    for modality in subject.modalities:
        rows = subject.rows(modality)
        known, counts = np.unique(rows.ids, return_counts=True)
        twice = known[counts > 1]
        if not len(twice):
            continue
        inside = sum(len(np.unique(i.ids)) < len(i) for i in rows.items)
        ids = {split: items.ids for split, items in zip(rows.splits, rows.items, strict=True)}
        across = [(a, b) for a, b in combinations(ids, 2) if len(np.intersect1d(ids[a], ids[b]))]
        where = ", ".join([*(f"{a} and {b}" for a, b in across), *(["one split"] if inside else [])])
        yield Finding(
            "items_twice",
            "leak" if any(_severity(a, b) == "leak" for a, b in across) else "problem",
            modality,
            float(len(twice)),
            f"{len(twice):,} item ids are given to several items, in {where}",
            "count",
            tuple(map(str, twice[:EXAMPLES])),
        )


def unpaired_items(subject: Subject) -> Found:
    """Items whose instance has nothing in another modality: methods that learn from pairs do not see them whole."""
    for split, part in subject.parts.items():
        everywhere = None
        for items in part.values():
            here = np.unique(items.instances)
            everywhere = here if everywhere is None else np.intersect1d(everywhere, here)
        assert everywhere is not None
        for modality, items in part.items():
            alone = ~np.isin(items.instances, everywhere)
            if alone.any():
                yield Finding(
                    "unpaired_items",
                    "note",
                    f"{split}: {modality}",
                    float(alone.mean()),
                    f"{int(alone.sum()):,} of {len(items):,} items belong to instances that lack another modality",
                    examples=tuple(map(str, items.ids[alone][:EXAMPLES])),
                )
