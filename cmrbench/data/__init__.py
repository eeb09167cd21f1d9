"""Datasets: the catalogue, builders, and prepared splits in the cache. Names are imported when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmrbench.data.audit import audit_dataset
    from cmrbench.data.catalogue import Catalogue, load_catalogue
    from cmrbench.data.extract import extract_features
    from cmrbench.data.fetching.fetch import fetch_dataset
    from cmrbench.data.importing.job import import_dataset
    from cmrbench.data.load import load_dataset
    from cmrbench.data.synthetic import make_synthetic
    from cmrbench.data.verify import verify_dataset

_HOME = {
    "Catalogue": "catalogue",
    "audit_dataset": "audit",
    "extract_features": "extract",
    "fetch_dataset": "fetching.fetch",
    "import_dataset": "importing.job",
    "load_catalogue": "catalogue",
    "load_dataset": "load",
    "make_synthetic": "synthetic",
    "verify_dataset": "verify",
}

__all__ = [
    "Catalogue",
    "audit_dataset",
    "extract_features",
    "fetch_dataset",
    "import_dataset",
    "load_catalogue",
    "load_dataset",
    "make_synthetic",
    "verify_dataset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
