"""cmrbench: the benchmark harness and leaderboard CLI for cross-modal retrieval.

`load_dataset`, `evaluate`, `run` and `results` are the Python door; the command line is a thin shell over them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "evaluate", "load_dataset", "results", "run"]

if TYPE_CHECKING:
    from cmrbench.data import load_dataset
    from cmrbench.metrics.api import evaluate_arrays as evaluate
    from cmrbench.run.api import run
    from cmrbench.store.query import results

_LAZY = {
    "load_dataset": "cmrbench.data",
    "results": "cmrbench.store.query",
}


def __getattr__(name: str) -> Any:
    """Import a public function on first use, so that `import cmrbench` stays cheap."""
    from importlib import import_module

    if name == "run":
        return import_module("cmrbench.run")
    if name == "evaluate":
        return import_module("cmrbench.metrics.api").evaluate_arrays
    if name not in _LAZY:
        raise AttributeError(f"module 'cmrbench' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
