"""An audit for people: findings that say the same put together, and Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cmrbench.data.audit.finding import SEVERITIES, Audit, Finding, Unchecked

_FEW = 3


@dataclass(frozen=True)
class Line:
    """One finding, or several that differ in nothing but where they were made."""

    check: str
    where: str
    shown: str
    severity: str
    detail: str
    examples: tuple[str, ...]


def lines(findings: Iterable[Finding]) -> list[Line]:
    """Findings in their order; those of one check with one figure and one text are put together."""
    together: dict[tuple[str, ...], list[Finding]] = {}
    for f in findings:
        protocol = f.subject.partition(": ")[0] if ": " in f.subject else ""
        key = (f.check, protocol, f.severity, f.shown, f.detail, *f.examples)
        together.setdefault(key, []).append(f)
    return [
        Line(
            same[0].check,
            _where([f.subject for f in same]),
            same[0].shown,
            same[0].severity,
            same[0].detail,
            same[0].examples,
        )
        for same in together.values()
    ]


def unchecked_lines(unchecked: Iterable[Unchecked]) -> list[str]:
    """What could not be checked, one sentence a reason."""
    together: dict[tuple[str, str], list[str]] = {}
    for u in unchecked:
        together.setdefault((u.check, u.reason), []).append(u.subject)
    return [f"{check} ({_where(subjects)}): {reason}" for (check, reason), subjects in together.items()]


def summary(audit: Audit) -> str:
    """Numbers of findings in one line."""
    counts = [(len(audit.of(s)), s) for s in SEVERITIES]
    words = [f"{n:,} {'figure' if s == 'note' else s}{'' if n == 1 else 's'}" for n, s in counts]
    return f"{', '.join(words)} from {len(audit.checks)} checks"


def audit_markdown(audit: Audit) -> str:
    """The audit as Markdown: what is wrong, then the figures, then what could not be checked."""
    shown = lines(audit.findings)
    faults = [line for line in shown if line.severity != "note"]
    figures = [line for line in shown if line.severity == "note"]
    parts = [
        f"Audit of `{audit.dataset}`, feature set `{audit.feature_set}` (data `{audit.fingerprint[:16]}`, "
        f"near-duplicates from a centred cosine of {audit.options.threshold:g}): {summary(audit)}."
    ]
    if faults:
        parts.append(
            _table(
                ("check", "where", "figure", "", "what was found"),
                [(f"`{x.check}`", x.where, x.shown, x.severity, _said(x)) for x in faults],
            )
        )
    if figures:
        parts.append(
            _table(
                ("check", "where", "figure", "what it is"),
                [(f"`{x.check}`", x.where, x.shown, x.detail) for x in figures],
            )
        )
    left = unchecked_lines(audit.unchecked)
    if left:
        parts.append("Not checked:\n\n" + "\n".join(f"- {_plain(line)}" for line in left))
    return "\n\n".join(parts) + "\n"


def _where(subjects: list[str]) -> str:
    if len(subjects) == 1:
        return subjects[0]
    heads = {s.partition(": ")[0] for s in subjects if ": " in s}
    if len(heads) == 1 and all(": " in s for s in subjects):
        return f"{heads.pop()}: {_few([s.partition(': ')[2] for s in subjects])}"
    return _few(subjects)


def _few(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= _FEW else f"{', '.join(names[: _FEW - 1])} and {len(names) - 2} more"


def _said(line: Line) -> str:
    return line.detail + (f" ({'; '.join(line.examples)})" if line.examples else "")


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    body = [header, tuple("---" for _ in header), *(tuple(map(_plain, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in body)


def _plain(text: str) -> str:
    """Ids come from files: what would be a table's bar, a tag or a line of its own is shown, not obeyed."""
    for character, shown in (("&", "&amp;"), ("<", "&lt;"), ("|", "&#124;")):
        text = text.replace(character, shown)
    return " ".join(text.split())
