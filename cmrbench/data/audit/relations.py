"""Pairs of splits that share what they should not: how bad that is, which items it concerns, and in what words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np

from cmrbench.data.audit.rows import Equal, Rows

LEAK_SHARE = 0.01
"""Copies of queries among the training items are a leak where this share of the queries is surely exceeded; else a
problem."""

SURE = 1.96
"""Surely: the lower limit of Wilson's 95 % interval (E. B. Wilson, JASA 22, 1927). Two of a hundred are not."""

EXAMPLES = 3

WORST = {
    ("query", "train"): "leak",
    ("query", "val"): "problem",
    ("query", "gallery"): "problem",
    ("gallery", "train"): "problem",
    ("gallery", "val"): "note",
    ("val", "train"): "problem",
}
"""How bad copies are that the first split's items have in the second. A method has seen the labels of training items:
a query among them asks for what was learned by heart. Validation copies make selection look better than it is, and
copies of queries in the gallery make easy hits. Within a split, copies are a figure of the data."""


@dataclass(frozen=True)
class Relation:
    """Items of a split that have something in another one (or another item of the same split).

    Attributes
    ----------
    a, b : str
        Splits.
    """

    a: str
    b: str

    @property
    def name(self) -> str:
        """Such as ``query in train``."""
        return f"within {self.a}" if self.a == self.b else f"{self.a} in {self.b}"

    @property
    def worst(self) -> str:
        """How bad a copy can be."""
        return WORST.get((self.a, self.b), "note")

    def severity(self, copies: int, total: int) -> str:
        """How bad it is that so many of the items of `a` have a copy in `b`."""
        if self.worst == "leak":
            return "leak" if at_least(copies, total) >= LEAK_SHARE else "problem"
        return self.worst if copies >= LEAK_SHARE * total else "note"


def relations(splits: tuple[str, ...]) -> Iterator[Relation]:
    """All pairs of splits, tests first, and every split with itself."""
    for pair in WORST:
        if pair[0] in splits and pair[1] in splits:
            yield Relation(*pair)
    for split in splits:
        yield Relation(split, split)


def at_least(count: int, total: int) -> float:
    """Lower limit of Wilson's interval for a share."""
    if not count:
        return 0.0
    p, z = count / total, SURE
    spread = z * sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return (p + z * z / (2 * total) - spread) / (1 + z * z / total)


@dataclass(frozen=True, eq=False)
class Copies:
    """Which rows of a split have a copy in another.

    Attributes
    ----------
    relation : Relation
    rows : ndarray of int
        Rows of `a` that have a copy in `b`.
    total : int
        Rows of `a`.
    """

    relation: Relation
    rows: np.ndarray
    total: int

    @property
    def severity(self) -> str:
        """How bad they are."""
        return self.relation.severity(len(self.rows), self.total)

    @property
    def share(self) -> float:
        """Share of the rows of `a`."""
        return len(self.rows) / self.total if self.total else 0.0


def equal_copies(rows: Rows, equal: Equal, relation: Relation, left_out: np.ndarray) -> Copies:
    """Rows of one split that equal a row of the other; within a split, a row of another instance.

    Parameters
    ----------
    rows : Rows
    equal : Equal
        Over all rows, by whatever makes two of them equal.
    relation : Relation
    left_out : ndarray of bool, shape (n,)
        Rows that do not count.
    """
    a, b = rows.of(relation.a), rows.of(relation.b)
    counted = a[~left_out[a]]
    if relation.a != relation.b:
        return Copies(relation, counted[np.isin(equal.group[counted], equal.group[b])], len(a))
    # Several captions of one picture are one instance: its equal rows are no copies of each other.
    pairs = np.unique(np.stack([equal.group[a], rows.instance[a]], axis=1), axis=0)
    groups, instances = np.unique(pairs[:, 0], return_counts=True)
    return Copies(relation, counted[np.isin(equal.group[counted], groups[instances > 1])], len(a))


def examples_of(rows: Rows, equal: Equal, copies: Copies) -> tuple[str, ...]:
    """A few copies as ``id = id``."""
    b = rows.of(copies.relation.b)
    inside = copies.relation.a == copies.relation.b
    shown = []
    for row in copies.rows:
        same = b[equal.group[b] == equal.group[row]]
        if inside:
            same = same[rows.instance[same] != rows.instance[row]]
        if f"{rows.ids[same[0]]} = {rows.ids[row]}" not in shown:
            shown.append(f"{rows.ids[row]} = {rows.ids[same[0]]}")
        if len(shown) == EXAMPLES:
            break
    return tuple(shown)
