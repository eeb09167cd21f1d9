"""Leaderboards as JSON, for programs: unrounded numbers, null where there is none."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cmrbench.report.model import Leaderboard
from cmrbench.report.tidy import records

FORMAT = 2
"""Raised when a field changes its meaning."""


def document(leaderboards: Sequence[Leaderboard]) -> str:
    """``{"format": 2, "leaderboards": [...]}``: each with title, key, facts, columns, notes, and one object a cell."""
    boards = [
        {
            "title": board.title,
            "key": asdict(board.key),
            "facts": dict(board.facts),
            "columns": [asdict(column) for column in board.columns],
            "notes": [asdict(note) for note in board.notes],
            "cells": list(records(board)),
        }
        for board in leaderboards
    ]
    return json.dumps(finite({"format": FORMAT, "leaderboards": boards}), indent=2, allow_nan=False) + "\n"


def finite(value: Any) -> Any:
    """A value without the numbers that JSON does not have: null in place of NaN and infinity, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(part) for part in value]
    return value
