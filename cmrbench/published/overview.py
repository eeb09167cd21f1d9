"""What the ledger holds, by paper, method, dataset and finding."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from cmrbench.published.contradictions import contradictions
from cmrbench.published.findings import Finding, findings
from cmrbench.published.ledger import Entry, ledger
from cmrbench.published.load import methods
from cmrbench.published.words import paper_title, papers, tables


@dataclass(frozen=True)
class TableCount:
    """A table of a paper: what it is about, how many numbers and dashes it prints, of how many methods and datasets."""

    paper: str
    table: str
    title: str
    numbers: int
    dashes: int
    methods: int
    datasets: tuple[str, ...]


@dataclass(frozen=True)
class Overview:
    """Counts of the ledger.

    `papers` maps a key to the full title; `methods` and `datasets` map names to how many numbers there are of them,
    most first; `findings` holds each with how many numbers and dashes it concerns; `contradicted` counts quantities
    that one source prints with two values, `differing` those of several sources.
    """

    papers: dict[str, str]
    tables: tuple[TableCount, ...]
    methods: dict[str, int]
    datasets: dict[str, int]
    findings: tuple[tuple[Finding, int], ...]
    contradicted: int
    differing: int

    @property
    def numbers(self) -> int:
        """How many numbers there are, times included."""
        return sum(one.numbers for one in self.tables)


def overview() -> Overview:
    """Counts of the whole ledger."""
    lines = ledger()
    printed = [e for e in lines if e.value is not None]
    found = contradictions()
    return Overview(
        papers={paper: paper_title(paper) for paper in papers()},
        tables=tuple(_counted(paper, table, lines) for paper in papers() for table in tables(paper)),
        methods=dict(Counter(methods()[e.place.method].name for e in printed).most_common()),
        datasets=dict(Counter(e.place.dataset for e in printed).most_common()),
        findings=tuple((one, sum(one in e.findings for e in lines)) for one in findings()),
        contradicted=sum(one.same_source for one in found),
        differing=sum(not one.same_source for one in found),
    )


def _counted(paper: str, table: str, lines: tuple[Entry, ...]) -> TableCount:
    own = [e for e in lines if (e.place.paper, e.place.table) == (paper, table)]
    return TableCount(
        paper=paper,
        table=table,
        title=tables(paper)[table],
        numbers=sum(e.value is not None for e in own),
        dashes=sum(e.value is None for e in own),
        methods=len({e.place.method for e in own}),
        datasets=tuple(dict.fromkeys(e.place.dataset for e in own)),
    )
