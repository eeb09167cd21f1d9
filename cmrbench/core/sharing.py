"""What runs of several code lengths share: values, what they cost, and what was said while they were made."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


class Heard(logging.Handler):
    """What was logged, and warned of, while shared work was done; every run that uses the work has to say it."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: list[logging.LogRecord] = []
        self.warned: list[warnings.WarningMessage] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.logged.append(record)

    @contextmanager
    def listening(self, logger: logging.Logger) -> Iterator[None]:
        """Keep what is said meanwhile, and let it pass."""
        logger.addHandler(self)
        try:
            with warnings.catch_warnings(record=True) as self.warned:
                yield
        finally:
            logger.removeHandler(self)
            self._warn()

    def repeat(self, logger: logging.Logger) -> None:
        """Say it again."""
        for record in self.logged:
            logger.handle(record)
        self._warn()

    def _warn(self) -> None:
        for w in self.warned:
            warnings.showwarning(w.message, w.category, w.filename, w.lineno)


@dataclass(frozen=True, eq=False)
class Shared:
    """A value that runs of several code lengths share.

    Attributes
    ----------
    value : object
    seconds : float
        Wall seconds that it took, without other shared values that were made on the way.
    maker : int or None
        Code length of the run that made it.
    parts : tuple
        Keys of the shared values that went into it, and its own.
    heard : Heard
        What was logged and warned of on the way.
    """

    value: Any
    seconds: float
    maker: int | None
    parts: tuple[Hashable, ...]
    heard: Heard
