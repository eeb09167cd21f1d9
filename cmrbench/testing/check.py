"""The list of named checks, in the order in which they are run."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cmrbench.core.errors import UnknownNameError
from cmrbench.testing.case import Case

THEMES = (
    "construction",
    "outputs",
    "encoding",
    "determinism",
    "inputs",
    "edge_cases",
    "online",
    "supervision",
    "learning",
)
"""Modules of `cmrbench.testing.checks`, in the order in which their checks are run."""


@dataclass(frozen=True)
class Check:
    """One promise that a method keeps.

    Attributes
    ----------
    name : str
        What is typed after ``--only`` and used as key of ``EXPECTED_FAILURES``.
    description : str
        The promise in one line.
    theme : str
        The module of `cmrbench.testing.checks` that holds it.
    function : callable
        Takes a `Case`; returns if the promise is kept, raises `CheckFailed` or `NotApplicable` otherwise.
    """

    name: str
    description: str
    theme: str
    function: Callable[[Case], None]


_CHECKS: dict[str, Check] = {}


def check(description: str) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    """Register ``check_xxx(case)`` as the check ``xxx``."""

    def register(function: Callable[[Case], None]) -> Callable[[Case], None]:
        name = function.__name__.removeprefix("check_")
        theme = function.__module__.rpartition(".")[2]
        _CHECKS[name] = Check(name, description, theme, function)
        return function

    return register


def all_checks() -> tuple[Check, ...]:
    """Every registered check, in the order in which they are run."""
    for theme in THEMES:
        importlib.import_module(f"cmrbench.testing.checks.{theme}")
    return tuple(sorted(_CHECKS.values(), key=lambda c: THEMES.index(c.theme)))


def select_checks(names: Iterable[str] | None) -> tuple[Check, ...]:
    """The checks of these names, in their own order; all of them for None.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    """
    checks = all_checks()
    if names is None:
        return checks
    wanted = set(names)
    for name in wanted:
        if name not in _CHECKS:
            raise UnknownNameError("check", name, _CHECKS, "(cmrbench check --list shows all)")
    return tuple(c for c in checks if c.name in wanted)
