"""Methods against each other: what `cmrbench compare` prints."""

from __future__ import annotations

from cmrbench.report.critical import Diagram, critical_differences

__all__ = ["Diagram", "critical_differences"]
