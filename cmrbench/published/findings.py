"""What is wrong, doubtful or easily misread in the papers (data/findings.yaml), and which cells it concerns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from cmrbench.published.select import Selector
from cmrbench.published.words import read_yaml

KINDS = {
    "error": "cannot be right",
    "doubt": "may be wrong",
    "names": "a name that means something else",
    "splits": "data that differ from paper to paper",
    "claim": "a sentence against the tables",
}
"""Kinds of findings."""


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes
    ----------
    id : str
        ``"P6a"``; parts of one subject share the number.
    title, text : str
        A few words, and one to three sentences.
    kind : str
        A key of `KINDS`.
    cells : tuple of Selector
        What it concerns: cells, dashes or times that fit one of them. Empty for a claim.
    papers : tuple of str
        The papers that make a claim.
    """

    id: str
    title: str
    text: str
    kind: str
    cells: tuple[Selector, ...] = ()
    papers: tuple[str, ...] = ()

    def concerns(self, cell: object) -> bool:
        """Whether it is about this cell, dash or time."""
        return any(one.fits(cell) for one in self.cells)


@cache
def findings() -> tuple[Finding, ...]:
    """All findings, in the order of the file."""
    return tuple(
        Finding(
            id=one["id"],
            title=one["title"],
            text=one["text"],
            kind=one["kind"],
            cells=tuple(map(Selector.of, one.get("cells", ()))),
            papers=tuple(one.get("papers", ())),
        )
        for one in read_yaml("findings.yaml")
    )


def findings_of(cell: object) -> tuple[Finding, ...]:
    """The findings about a cell, a dash or a time of `cmrbench.published`."""
    return tuple(one for one in findings() if one.concerns(cell))
