"""The words of a leaderboard: row titles, what marks mean, why a cell has no number. Hostile text is made plain."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from cmrbench.core.names import registered_part

DETERMINISM_FAULT = "determinism-fault"
"""Flag of rows of a run that is in the store several times, with different values."""

OLDER_ENGINE = "older-engine"
"""Flag of rows that an older version of the evaluation engine measured than others of the same results."""

FLAG_MARKS = {
    "label-reading": ("†", "reads the gallery's labels when it ranks; not comparable with methods that do not"),
    "learned-codes": ("‡", "gallery codes were learned for these very items in training, not computed by the model"),
    "test-selected": ("§", "epoch or parameters were chosen on the test items"),
    "transductive": ("¶", "the test items' features were used in training"),
    DETERMINISM_FAULT: ("‼", "determinism fault: one of its runs is there several times, with different values"),
    OLDER_ENGINE: (
        "◁",
        "measured by an older version of the evaluation engine; not comparable with newer rows",
    ),
}
"""Flags of records: symbol and explanation."""

RECONSTRUCTION = "◊"
RECONSTRUCTION_NOTE = "rebuilt from descriptions; neither the paper's text nor its authors' code could be had"

PRESET_NOTES = {
    "quick": "small widths and few epochs, for small data and slow machines; not the setting of the method's paper",
    "paper": "the setting of the method's paper",
}

USUAL_RETRIEVAL = {"real": "cosine", "hash": "hamming"}
"""The strategy that a row need not name."""

_LONGEST = 300


def plain(text: object) -> str:
    """One printable line of at most 300 characters: no control characters, no direction overrides, no newlines."""
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in str(text))
    line = re.sub(r"\s+", " ", kept).strip()
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def setting(params: str | None, preset: str | None, dim: int | None) -> str:
    """What was asked beyond the method's defaults: ``"(quick) k=100 64-d"``, or empty."""
    parts = [f"({preset})"] if preset else []
    parts += [f"{name}={_value(value)}" for name, value in sorted(json.loads(params or "{}").items())]
    if dim is not None:
        parts.append(f"{dim}-d")
    return plain(" ".join(parts))


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def row_title(title: str, what: str, retrieval: str | None, output: str) -> str:
    """``"LCM k=100 + 2sknn"``: title, setting, and the strategy unless it is the usual one of that output."""
    named = f"{plain(title)} {what}".strip()
    if not retrieval or retrieval == USUAL_RETRIEVAL.get(output):
        return named
    if retrieval.lower() in title.lower():
        return named
    return plain(f"{named} + {retrieval}" if retrieval == "2sknn" else f"{named}, {retrieval}")


def preset_note(preset: str, dataset: str) -> str:
    """What a preset named in a row's title means."""
    if preset == registered_part(dataset):
        return "the published setting of the method for this dataset"
    return PRESET_NOTES.get(preset, "the method's preset of that name")


def outcome(status: str, cause: str | None) -> str:
    """``"timeout: stopped after 60 s"``; a finished run without any number is said to be just that."""
    if status == "done":
        return "finished without a number"
    return plain(f"{status}: {cause}" if cause else status)


def seed_list(seeds: Iterable[int]) -> str:
    """``"seed 3"`` or ``"seeds 0, 1"``."""
    listed = sorted(seeds)
    return f"seed{'s' if len(listed) > 1 else ''} {', '.join(map(str, listed))}"


def failures(by_seed: Mapping[int, str]) -> str:
    """Outcomes with the seeds they befell; the seeds are left out where there is only one run."""
    if len(by_seed) == 1:
        return next(iter(by_seed.values()))
    seeds: dict[str, list[int]] = {}
    for seed, text in sorted(by_seed.items()):
        seeds.setdefault(text, []).append(seed)
    return "; ".join(f"{text} ({seed_list(which)})" for text, which in seeds.items())


def year(source: str) -> int:
    """Year in a venue such as ``"MM10"`` or ``"CVPR 2019"``, 9999 if there is none (two digits: 1936 to 2035)."""
    found = re.search(r"(\d{4}|\d{2})\D*$", source)
    if not found:
        return 9999
    number = int(found[1])
    return number if number > 99 else number + (1900 if number > 35 else 2000)


def span(values: Iterable[int]) -> str:
    """``"467"`` or ``"460–467"``; a dash where there is none."""
    found = sorted(set(values))
    if not found:
        return "—"
    return str(found[0]) if len(found) == 1 else f"{found[0]}–{found[-1]}"
