"""Hostile texts of several lines, sizes, times and commands, as the pages print them."""

from __future__ import annotations

import json
import shlex
import unicodedata
from collections.abc import Mapping
from typing import Any

from cmrbench.core.errors import UsageError
from cmrbench.core.names import DatasetName, with_features
from cmrbench.report.wording import plain

_LONGEST_BLOCK = 20_000


def block(text: object) -> str:
    """Text of several lines without control characters and direction overrides; the middle of a long one goes."""
    kept = "".join(
        c if c in "\n\t" else " " if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c
        for c in str(text or "").replace("\r\n", "\n")
    ).strip("\n")
    if len(kept) <= _LONGEST_BLOCK:
        return kept
    half = _LONGEST_BLOCK // 2
    return f"{kept[:half]}\n… {len(kept) - 2 * half:,} characters left out …\n{kept[-half:]}"


def seconds(value: float | None) -> str:
    """``"41 ms"``, ``"12.3 s"``, ``"1 h 02 min"``; a dash for None and NaN."""
    if value is None or value != value:
        return "—"
    if value < 0.1:
        return f"{value * 1000:.3g} ms"
    if value < 100:
        return f"{value:.3g} s"
    minutes = round(value / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def size(value: int | None) -> str:
    """Bytes in KiB, MiB or GiB; a dash for None and 0."""
    if not value:
        return "—"
    amount, unit = float(value), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            break
        amount /= 1024
    return f"{amount:.3g} {unit}" if amount < 1000 else f"{amount:.0f} {unit}"


def number(value: float | None) -> str:
    """Four digits after the point; a dash where there is no number."""
    return "—" if value is None or value != value else f"{value:.4f}"


def dataset_argument(dataset: str, feature_set: str) -> str:
    """A dataset of the results as ``--datasets`` takes it."""
    try:
        asked = DatasetName.parse(dataset)
    except UsageError:
        return with_features(dataset, feature_set)
    if feature_set in ("", "default"):
        return str(asked)
    return str(DatasetName(asked.dataset, feature_set, asked.split, asked.transforms))


def run_command(spec: Mapping[str, Any], methods: str, bits: str = "", seeds: int = 1) -> str:
    """The `cmrbench run` command of runs that share dataset, preset, parameters and dimension, quoted for a shell."""
    parts = ["cmrbench", "run", "--methods", methods]
    parts += ["--datasets", dataset_argument(spec["dataset"] or "", spec["feature_set"] or "")]
    if bits:
        parts += ["--bits", bits]
    if spec["dim"] is not None:
        parts += ["--dim", str(spec["dim"])]
    if seeds > 1:
        parts += ["--seeds", str(seeds)]
    parts += ["--preset", spec["preset"] or "none"]
    for name, value in sorted(parameters(spec["params"]).items()):
        written = value if isinstance(value, str) else json.dumps(value)
        parts += ["--set", f"{spec['method']}.{name}={written}"]
    return " ".join(shlex.quote(plain(part)) for part in parts)


def parameters(text: str | None) -> dict[str, Any]:
    """Parameters as stored, an empty mapping where they cannot be read."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
