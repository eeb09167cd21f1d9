"""`cmrbench data`: what datasets there are, how they come here, whether they are sound. One module a command."""

from cmrbench.cli.data import (  # noqa: F401  (each registers its command)
    audit,
    export,
    fetch,
    import_,
    info,
    list,
    rm,
    split,
    verify,
)
from cmrbench.cli.data.app import app

__all__ = ["app"]
