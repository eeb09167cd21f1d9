"""Which cells a sentence in a data file is about: conditions on their fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Selector:
    """Values that fields may have; a cell fits if every named field has one of its values.

    A cell without such a field (times have no task) does not fit.
    """

    conditions: tuple[tuple[str, tuple[object, ...]], ...]

    @classmethod
    def of(cls, where: Mapping[str, Any]) -> Selector:
        """From ``{"paper": "lcm", "table": ["2", "3"]}``: one value or a list of values each."""
        return cls(tuple((k, tuple(v) if isinstance(v, list) else (v,)) for k, v in where.items()))

    def fits(self, cell: object) -> bool:
        """Whether the cell is one of those that are meant."""
        return all(getattr(cell, name, _NOTHING) in values for name, values in self.conditions)


_NOTHING = object()


def select(cells: Iterable[T], **where: Any) -> tuple[T, ...]:
    """Those cells whose fields have the given values: ``select(cells(), paper="lcm", table=["2", "3"])``."""
    wanted = Selector.of(where)
    return tuple(cell for cell in cells if wanted.fits(cell))
