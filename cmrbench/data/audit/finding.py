"""What an audit found, as plain values that JSON can hold. Nothing heavy is imported here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

VERSION = 1
"""Goes up when a check finds something else in the same data: older stored audits are then made anew."""

SEVERITIES = ("leak", "problem", "note")
"""``leak``: numbers measured on this data are too high. ``problem``: a fault that should be known to who reads the
numbers. ``note``: a figure of the data."""

UNITS = ("share", "count", "score", "number")


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes
    ----------
    check : str
        Name of the check: the name of its function.
    severity : str
        One of `SEVERITIES`.
    subject : str
        What it is about: a modality, a pair of splits, a protocol and direction.
    value : float or None
        The figure.
    detail : str
        The same in words, with what was done to get it (threshold, sample).
    unit : str
        One of `UNITS`: how the figure is printed.
    examples : tuple of str
        A few items by their ids.

    Raises
    ------
    ValueError
        If severity or unit is unknown or the figure is not finite.
    """

    check: str
    severity: str
    subject: str
    value: float | None
    detail: str
    unit: str = "share"
    examples: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES or self.unit not in UNITS:
            raise ValueError(f"{self.check}: severity {self.severity!r}, unit {self.unit!r}")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.check}: {self.subject}: the figure {self.value} is not finite")

    @property
    def shown(self) -> str:
        """The figure as people read it; empty where there is none."""
        if self.value is None:
            return ""
        if self.unit == "share":
            percent = 100 * self.value
            return f"{percent:.2f} %" if 0 < percent < 10 else f"{percent:.1f} %"
        if self.unit == "count":
            return f"{round(self.value):,}"
        shown = f"{self.value:.3f}" if self.unit == "score" else f"{self.value:.4g}"
        return shown if float(shown) else shown.lstrip("-")


@dataclass(frozen=True)
class Unchecked:
    """What a check could not look at, and why."""

    check: str
    subject: str
    reason: str


Found = Iterator[Finding | Unchecked]
"""What a check gives."""


@dataclass(frozen=True)
class AuditOptions:
    """What an audit may be told.

    Attributes
    ----------
    threshold : float
        Cosine from which two rows are near-duplicates, at least 0.5 and below 1.
    sample : int or None
        Items of each split that are searched for near-duplicates; None: all.
    seed : int
        Of samples, permutations and random projections.

    Raises
    ------
    ValueError
        If one of them is out of its range.
    """

    threshold: float = 0.99
    sample: int | None = 200_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.5 <= self.threshold < 1:
            raise ValueError(f"threshold must be at least 0.5 and below 1, got {self.threshold}")
        if self.sample is not None and self.sample < 1:
            raise ValueError(f"sample must be at least 1, got {self.sample}")


@dataclass(frozen=True)
class Audit:
    """All that the checks found in one dataset.

    Attributes
    ----------
    dataset, feature_set, fingerprint : str
        As the dataset has them.
    options : AuditOptions
    checks : tuple of str
        Names of all checks that were made, also of those that found nothing.
    findings : tuple of Finding
        In the order of the checks.
    unchecked : tuple of Unchecked
    version : int
        `VERSION` of the checks.
    """

    dataset: str
    feature_set: str
    fingerprint: str
    options: AuditOptions
    checks: tuple[str, ...]
    findings: tuple[Finding, ...]
    unchecked: tuple[Unchecked, ...] = ()
    version: int = VERSION

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """The findings that make numbers too high."""
        return self.of("leak")

    def of(self, severity: str) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(f for f in self.findings if f.severity == severity)

    def get(self, check: str) -> tuple[Finding, ...]:
        """The findings of one check."""
        return tuple(f for f in self.findings if f.check == check)

    def as_json(self) -> dict[str, Any]:
        """The audit as JSON values; `from_json` is the inverse."""
        return asdict(self) | {"leaks": len(self.leaks)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Audit:
        """The audit behind `as_json`.

        Raises
        ------
        ValueError, KeyError, TypeError
            If the value is not of that form.
        """
        return cls(
            dataset=str(value["dataset"]),
            feature_set=str(value["feature_set"]),
            fingerprint=str(value["fingerprint"]),
            options=AuditOptions(**value["options"]),
            checks=tuple(value["checks"]),
            findings=tuple(
                Finding(**{f.name: one[f.name] for f in fields(Finding)} | {"examples": tuple(one["examples"])})
                for one in value["findings"]
            ),
            unchecked=tuple(Unchecked(**one) for one in value["unchecked"]),
            version=int(value["version"]),
        )
