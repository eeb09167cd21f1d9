"""Cells of different tables that claim to be the same quantity, and differ: computed from the numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import combinations

from cmrbench.published.load import cells
from cmrbench.published.model import PublishedCell
from cmrbench.published.words import flag_words, table_name

Key = tuple[str, str, str, str, int | None, str]


@dataclass(frozen=True)
class Contradiction:
    """Printed values of one method, dataset, direction, metric, code length and setting that differ beyond rounding.

    Attributes
    ----------
    cells : tuple of PublishedCell
        Every table's, those included that agree with one of the others.
    same_source : bool
        Whether two of those that differ quote the same paper, or are runs of the same authors on the same features:
        then one of them is wrong. Otherwise other features or splits may be the reason.
    """

    cells: tuple[PublishedCell, ...]
    same_source: bool

    @property
    def text(self) -> str:
        """``"0.65 in LCM Table 2, 0.64 in LCM Table 5"``."""
        return ", ".join(f"{c.printed} in {table_name(c.paper, c.table)}" for c in self.cells)


def key_of(cell: PublishedCell) -> Key:
    """What a cell claims to measure."""
    return cell.method, cell.dataset, cell.task, cell.metric, cell.bits, cell.setting


def agree(a: PublishedCell, b: PublishedCell) -> bool:
    """Whether two printed numbers may be the same one, rounded to the digits of each."""
    places = [Decimal(c.printed).as_tuple().exponent for c in (a, b)]
    slack = sum(Decimal(1).scaleb(int(p)) / 2 for p in places) if places[0] != places[1] else Decimal(0)
    return abs(Decimal(a.printed) - Decimal(b.printed)) <= slack


def same_source(a: PublishedCell, b: PublishedCell) -> bool:
    """Whether both quote one paper, or both are runs of one paper's authors on the same features."""
    first, second = _quoted(a), _quoted(b)
    if first or second:
        return first == second
    return (a.paper, a.features) == (b.paper, b.features)


@cache
def repeated() -> Mapping[Key, tuple[PublishedCell, ...]]:
    """Every quantity that more than one table prints, with its cells in printed order."""
    found: dict[Key, list[PublishedCell]] = defaultdict(list)
    for cell in cells():
        found[key_of(cell)].append(cell)
    return {key: tuple(same) for key, same in found.items() if len(same) > 1}


@cache
def contradictions() -> tuple[Contradiction, ...]:
    """All quantities that are printed more than once with different values; those of one source first."""
    found = []
    for same in repeated().values():
        pairs = [(a, b) for a, b in combinations(same, 2) if not agree(a, b)]
        if pairs:
            found.append(Contradiction(same, any(same_source(a, b) for a, b in pairs)))
    return tuple(sorted(found, key=lambda one: not one.same_source))


def contradicting(cell: PublishedCell) -> tuple[PublishedCell, ...]:
    """Cells of the same source that print another value than this one."""
    return tuple(other for other in elsewhere(cell) if not agree(cell, other) and same_source(cell, other))


def elsewhere(cell: PublishedCell) -> tuple[PublishedCell, ...]:
    """The other cells that claim to be the same quantity."""
    return tuple(other for other in repeated().get(key_of(cell), ()) if other is not cell)


def _quoted(cell: PublishedCell) -> str:
    return next((source for flag in cell.flags if (source := flag_words(flag).source)), "")
