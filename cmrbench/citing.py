"""What to cite for a set of results: the papers of their methods and datasets, and this project."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cmrbench.core.citation import Citation, bibliography
from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.core.names import DatasetName

if TYPE_CHECKING:
    from cmrbench.data.catalogue import Catalogue
    from cmrbench.registry import MethodTable

OWN = Citation(
    key="cmrbench",
    kind="misc",
    author="{The cmrbench developers}",
    title="cmrbench: A benchmark harness and leaderboard for cross-modal retrieval",
    venue="Version 0.1.0",
    year=2026,
)
"""This project, as CITATION.cff has it."""


@dataclass(frozen=True)
class Cited:
    """One thing that was used, and what to cite for it.

    Attributes
    ----------
    kind : str
        ``"method"``, ``"dataset"`` or ``"software"``.
    name : str
        As typed on the command line.
    citation : Citation, str or None
        A text for plugins that give one; None where there is nothing to cite (baselines), or nothing is known.
    note : str
        Why there is none.
    """

    kind: str
    name: str
    citation: Citation | str | None
    note: str = ""

    @property
    def line(self) -> str:
        """One line for people; empty if there is nothing to cite."""
        return self.citation.line() if isinstance(self.citation, Citation) else self.citation or ""


def used_in(results: str | Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Methods and datasets (without split and transforms) of a results folder, sorted.

    Raises
    ------
    UsageError
        If the folder does not exist or holds no results.
    """
    from cmrbench.store.query import results as read

    table = read(results, columns=["method", "dataset"])
    if not table.num_rows:
        raise UsageError(f"{results} holds no results; name methods and datasets instead (--methods, --datasets)")
    columns = (set(table.column(c).to_pylist()) for c in ("method", "dataset"))
    methods, datasets = (sorted(filter(None, column)) for column in columns)
    return tuple(methods), tuple(sorted({DatasetName.parse(d).dataset for d in datasets}))


def cite(
    methods: Iterable[str], datasets: Iterable[str], table: MethodTable, catalogue: Catalogue, *, strict: bool = True
) -> list[Cited]:
    """What to cite for methods and datasets, this project last; each once.

    Parameters
    ----------
    methods, datasets : iterable of str
        Registered names; of datasets also aliases, and names with feature set, split or transforms.
    table : MethodTable
    catalogue : Catalogue
    strict : bool
        Whether an unknown name is an error. Otherwise it is listed with a note: results outlive plugins.

    Raises
    ------
    UnknownNameError
        If `strict`, with the nearest names.
    """
    found: list[Cited] = []
    for name in dict.fromkeys(methods):
        try:
            info = table.get(name).info
        except UnknownNameError:
            if strict:
                raise
            found.append(Cited("method", name, None, "is not registered here; name its plugin with --plugin"))
            continue
        found.append(Cited("method", name, info.citation, "" if info.cited else f"{info.title} has no paper"))
    for name in dict.fromkeys(DatasetName.parse(d).dataset for d in datasets):
        try:
            registered = catalogue.resolve(name)
        except UnknownNameError:
            if strict:
                raise
            found.append(Cited("dataset", name, None, "is not registered here; name its file with --datasets-file"))
            continue
        if not any(c.kind == "dataset" and c.name == registered for c in found):
            found.append(Cited("dataset", registered, catalogue.entry(registered).citation))
    return [*found, Cited("software", "cmrbench", OWN)]


def to_bibtex(cited: Iterable[Cited]) -> str:
    """A .bib file's text. What has no BibTeX entry stands in comments before the entries."""
    cited = list(cited)
    lines = []
    for one in cited:
        what = f"{one.kind} {one.name}"
        if isinstance(one.citation, Citation):
            lines.append(f"% {what}: {one.citation.key}")
        else:
            # An @ would begin an entry: everything outside of entries is a comment to BibTeX.
            said = " ".join((one.citation or one.note or "nothing to cite").split()).replace("@", "(at)")
            lines.append(f"% {what}: {said}")
    entries = bibliography(one.citation for one in cited if isinstance(one.citation, Citation))
    return "\n".join([*lines, "", entries])


def to_text(cited: Iterable[Cited]) -> str:
    """A readable line each."""
    return "".join(f"{one.kind} {one.name}: {one.line or one.note or 'nothing to cite'}\n" for one in cited)
