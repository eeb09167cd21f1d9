"""`cmrbench data`: what datasets there are, how they come here, whether they are sound. One module a command."""

# Each module registers its command: help lists them in this order.
# isort: off
from cmrbench.cli.data import list, info, fetch, import_, verify, audit, split, export, rm  # noqa: F401

# isort: on
from cmrbench.cli.data.app import app

__all__ = ["app"]
