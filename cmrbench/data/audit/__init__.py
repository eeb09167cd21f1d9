"""Audits: what is wrong, or worth knowing, about a dataset's splits, features, labels and texts."""

from typing import TYPE_CHECKING, Any

from cmrbench.data.audit.finding import Audit, AuditOptions, Finding, Unchecked

if TYPE_CHECKING:
    from cmrbench.data.audit.checks import audit_dataset

__all__ = ["Audit", "AuditOptions", "Finding", "Unchecked", "audit_dataset"]


def __getattr__(name: str) -> Any:
    """Import the checks, and numpy with them, on first use: a stored audit is read without them."""
    if name == "audit_dataset":
        from cmrbench.data.audit.checks import audit_dataset

        return audit_dataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
