"""A comparison of methods, printed for people: text and Markdown."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING

from cmrbench.cli.compare_data import Labels, as_csv, as_json
from cmrbench.report.comparison import Comparison, Duel, Splits, Standing
from cmrbench.report.critical import Diagram
from cmrbench.report.markdown import escape
from cmrbench.report.ranking import counted

if TYPE_CHECKING:
    from rich.console import Console

    from cmrbench.statistics.paired import Inference
    from cmrbench.statistics.variance import VarianceSplit

WIDTH = 110
"""Columns of a text document."""

_TESTS = (
    "Differences are first minus second, with 95 % intervals. The p over queries asks whether other queries could turn "
    "the difference around, for these trained models (paired randomisation test); the p over seeds, whether other "
    "queries and other seeds could (queries and seeds crossed, Satterthwaite). Both are two-sided and adjusted by Holm "
    "over what is compared here ({n}); intervals are not adjusted. One dataset says nothing of others."
)


@dataclass(frozen=True)
class Section:
    """A title, facts under it, a table, and lines below."""

    title: str
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    lines: tuple[str, ...] = ()
    verbatim: str = ""


def document(comparison: Comparison, form: str, labels: Labels) -> str:
    """The comparison in a format (``text``, ``md``, ``csv``, ``json``), ended by a newline."""
    if form == "csv":
        return as_csv(comparison)
    if form == "json":
        return as_json(comparison, labels)
    if form == "md":
        return "\n\n".join(_markdown(section) for section in sections(comparison, labels)) + "\n"
    from rich.console import Console

    out = io.StringIO()
    print_comparison(
        Console(file=out, width=WIDTH, force_terminal=False, color_system=None, legacy_windows=False),
        comparison,
        labels,
    )
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def print_comparison(console: Console, comparison: Comparison, labels: Labels) -> None:
    """Print a comparison on a terminal."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    for section in sections(comparison, labels):
        console.print(Text(section.title, style="bold"))
        if section.rows:
            table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False, show_edge=False)
            for i, head in enumerate(section.heads):
                # Heads fold to the width of their column: Rich would cut the numbers instead.
                least = max(9, *(cell_len(row[i]) for row in section.rows))
                folded = "\n".join(wrap(head, least, break_on_hyphens=False))
                table.add_column(Text(folded), justify="left" if i == 0 else "right", no_wrap=True, overflow="fold")
            for row in section.rows:
                table.add_row(*map(Text, row))
            console.print()
            console.print(table)
        if section.verbatim:
            console.print()
            console.print(Text(section.verbatim), soft_wrap=True)
        for line in section.lines:
            console.print(Text(line, style="dim"))
        console.print()


def sections(comparison: Comparison, labels: Labels) -> Iterator[Section]:
    """What is printed, in order."""
    if len(comparison.contenders) == 2:
        for title, duels in groupby(comparison.duels, key=lambda d: d.board):
            yield from _duels(title, list(duels), labels)
    else:
        for title, standings in groupby(comparison.standings, key=lambda s: s.board):
            yield from _standings(title, list(standings))
        for diagram in comparison.diagrams:
            yield _diagram(diagram)
    if comparison.splits:
        yield _splits(comparison.splits)
    told = [_TESTS.format(n=counted(len(comparison.duels)))]
    if comparison.standings:
        told.append("Groups go by the p over seeds where it is known, else by the p over queries.")
    told += list(dict.fromkeys(d.test.why for d in comparison.duels if d.test.why))
    yield Section("How to read this", lines=(*told, *comparison.notes))


def _duels(title: str, duels: Sequence[Duel], labels: Labels) -> Iterator[Section]:
    first, second = str(duels[0].first), str(duels[0].second)
    heads = ("", first, second, "first - second", "over queries", "p", "over seeds", "p", "won/ lost/ tied %")
    rows = tuple(
        (
            d.column.name,
            f"{d.means[0]:.3f}",
            f"{d.means[1]:.3f}",
            f"{d.test.effect:+.3f}",
            _interval(d.test.over_queries),
            _p(d.p_queries),
            _interval(d.test.over_seeds),
            _p(d.p_seeds),
            f"{_share(d.test.won)}/{_share(d.test.lost)}/{_share(d.test.tied)}",
        )
        for d in duels
    )
    seeds = sorted({d.seeds for d in duels})
    lines = [f"queries: {_counts(d.test.queries for d in duels)}; seeds: {', '.join(f'{a} and {b}' for a, b in seeds)}"]
    if any(d.test.dropped for d in duels):
        lines.append(f"queries left out for want of a value: {_counts(d.test.dropped for d in duels)}")
    yield Section(f"{first} against {second}: {title}", heads, rows, tuple(lines))
    yield Section(
        "Where the variance of the means comes from",
        ("", "", "standard error", "seeds", "queries", "residual"),
        tuple(
            (d.column.name, str(who), *_parts(split))
            for d in duels
            for who, split in zip((d.first, d.second), d.splits, strict=True)
        ),
    )
    changed = [(d, query) for d in duels for query in d.changed]
    if changed:
        yield Section(
            "Queries that changed most",
            ("", "query", first, second, "first - second"),
            tuple(
                (d.column.name, labels(d.key, q), f"{q.first:.3f}", f"{q.second:.3f}", f"{q.first - q.second:+.3f}")
                for d, q in changed
            ),
        )


def _splits(splits: Sequence[Splits]) -> Section:
    return Section(
        "Where the variance comes from, over splits of one dataset",
        ("", "", "splits", "mean", "standard error", "splits", "seeds", "queries", "residual"),
        tuple(
            (s.what, str(s.contender), ", ".join(s.names), f"{s.mean:.3f}", *_parts(s.variance, over_splits=True))
            for s in splits
        ),
    )


def _standings(title: str, standings: Sequence[Standing]) -> Iterator[Section]:
    for s in standings:
        yield Section(
            f"{title}: {s.column.name}",
            ("", "mean", "group", *(f"p against {i + 1}" for i in range(len(s.contenders) - 1))),
            tuple(
                (
                    f"{i + 1} {who}",
                    f"{s.means[i]:.3f}",
                    s.letters[i],
                    *(_p(s.p[i][j]) if j < i else "" for j in range(len(s.contenders) - 1)),
                )
                for i, who in enumerate(s.contenders)
            ),
            ("Methods that share a letter cannot be told apart at 5 %.",),
        )


def _diagram(diagram: Diagram) -> Section:
    longest = max(map(len, diagram.names))
    width = 40
    last = len(diagram.names)
    scale = width / max(last - 1, 1)

    def at(rank: float) -> int:
        return round((rank - 1) * scale)

    lines = [f"{'':{longest}}  {'rank':>5}  1{'':{width - len(str(last))}}{last}"]
    for name, rank in zip(diagram.names, diagram.average_ranks, strict=True):
        lines.append(f"{name:{longest}}  {rank:5.2f}  {'·' * at(rank)}●")
    bar = max(round(min(diagram.critical_difference, last - 1) * scale), 1)
    lines.append(f"{'critical difference':{longest}}  {diagram.critical_difference:5.2f}  {'━' * bar}")
    told = [
        f"blocks: {', '.join(diagram.datasets)} (each the mean over its directions, protocols and feature sets)",
        *(f"cannot be told apart: {', '.join(clique)}" for clique in diagram.cliques),
        *(f"left out: {name}, which has no number on {', '.join(where)}" for name, where in diagram.left_out),
    ]
    if not math.isnan(diagram.friedman_p):
        told.append(f"Friedman p = {_p(diagram.friedman_p)}, Iman and Davenport p = {_p(diagram.iman_davenport_p)}")
    if len(diagram.datasets) < 5:
        told.append(f"{len(diagram.datasets)} datasets are few: only the largest differences of ranks can show")
    return Section(
        f"Average ranks over datasets (Nemenyi, 5 %): {diagram.title}", lines=tuple(told), verbatim="\n".join(lines)
    )


def _markdown(section: Section) -> str:
    parts = [f"### {escape(section.title)}"]
    if section.rows:
        rule = [":--", *["--:"] * (len(section.heads) - 1)]
        body = [[escape(text) for text in row] for row in (section.heads, *section.rows)]
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in (body[0], rule, *body[1:])))
    if section.verbatim:
        parts.append("\n".join(f"    {line}" for line in section.verbatim.splitlines()))
    if section.lines:
        parts.append("\n".join(f"- {escape(line)}" for line in section.lines))
    return "\n\n".join(parts)


def _interval(found: Inference | None) -> str:
    return "—" if found is None else f"{found.low:+.3f}..{found.high:+.3f}"


def _p(p: float | None) -> str:
    if p is None:
        return "—"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _share(share: float) -> str:
    return "—" if math.isnan(share) else f"{100 * share:.0f}"


def _parts(split: VarianceSplit, over_splits: bool = False) -> tuple[str, ...]:
    def part(value: float) -> str:
        if math.isnan(value):
            return "unknown"
        return f"{100 * value / split.total:.0f} %" if split.total > 0 else "—"

    first = (part(split.splits),) if over_splits else ()
    return f"{math.sqrt(split.total):.4f}", *first, part(split.seeds), part(split.queries), part(split.residual)


def _counts(numbers: Iterator[int]) -> str:
    return ", ".join(map(str, sorted(set(numbers))))
