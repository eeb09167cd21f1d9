"""Plans runs, carries each out in a process of its own, and puts the results into the store.

The room shares its name with the public function `cmrbench.run`, so the module itself can be called; see
`cmrbench.run.api.run` for what it takes.
"""

from __future__ import annotations

import sys
import types
from typing import Any


class _CallableModule(types.ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from cmrbench.run.api import run

        return run(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
