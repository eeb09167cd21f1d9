"""What a person reads of a gate's report: a line a value, but one line for all values of a run that came or went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cmrbench.gate.changes import Change
from cmrbench.gate.wording import measured, number, p_value, run_title, sentence, signed
from cmrbench.report.wording import plain

_TOGETHER = ("missing", "new")
"""Kinds of which a run usually has all its values."""


@dataclass(frozen=True)
class Line:
    """Texts without markup, each on one line.

    Attributes
    ----------
    kind, run, measured, cause, test : str
        `test` is the p-value, where there is one.
    numbers : tuple of str
        Before, now, difference, tolerance; empty for several values.
    sentence : str
        The same in words, without the run.
    """

    kind: str
    run: str
    measured: str
    cause: str
    test: str
    numbers: tuple[str, str, str, str]
    sentence: str


def lines(changes: Sequence[Change]) -> list[Line]:
    """The changes in their order; of runs that are missing or new, where the first of their values stands."""
    groups: dict[tuple[str, ...], list[Change]] = {}
    for i, c in enumerate(changes):
        key = (c.kind, c.asked["spec_key"], c.cause) if c.kind in _TOGETHER else (str(i),)
        groups.setdefault(key, []).append(c)
    return [_one(group[0]) if len(group) == 1 else _several(group) for group in groups.values()]


def _one(c: Change) -> Line:
    numbers = (number(c.before), number(c.now), signed(c.difference), number(c.tolerance))
    run = run_title(c.asked)
    return Line(c.kind, run, measured(c), plain(c.cause), p_value(c.p), numbers, sentence(c))


def _several(group: Sequence[Change]) -> Line:
    first = group[0]
    directions = ", ".join(dict.fromkeys(c.asked["direction"] for c in group))
    told = plain(f"{len(group)} values of {directions}")
    cause = plain(first.cause)
    said = f"{told}: {cause}" if cause else told
    return Line(first.kind, run_title(first.asked), told, cause, "", ("", "", "", ""), plain(said))
