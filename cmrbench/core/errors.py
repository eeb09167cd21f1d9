"""What can go wrong, said in one sentence to a person.

Every error that a user can cause derives from `CmrbenchError` and carries the exit code that the CLI
ends with: 2 where the request itself cannot be carried out, 1 where something asked for did not succeed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CmrbenchError(Exception):
    """Base of all errors that are shown to a user as one sentence."""

    exit_code = 1


class UsageError(CmrbenchError):
    """The request cannot be carried out as given: an option, a name or a value is wrong."""

    exit_code = 2


class DataError(CmrbenchError):
    """A dataset, feature file or label file is not what it should be."""

    exit_code = 2


class DatasetMissingError(DataError):
    """A registered dataset is not on this machine."""


class PluginError(CmrbenchError):
    """A plugin file or entry point could not be loaded."""

    exit_code = 2


class MethodError(CmrbenchError):
    """A method did something that its contract forbids (wrong shape, NaN, wrong dtype ...)."""


class DeclinedError(CmrbenchError):
    """A method cannot be run on this dataset, for a reason it states; not a failure."""


class StoreError(CmrbenchError):
    """The results folder cannot be read or written."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that nothing is registered under, with the nearest ones that exist.

    Parameters
    ----------
    kind
        What the name should have been: ``"method"``, ``"dataset"``, ``"metric"`` ...
    name
        What the user typed.
    known
        All names that exist.
    hint
        A sentence to add, such as where to find the full list.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        names = sorted(known)
        near = difflib.get_close_matches(str(name).lower(), [n.lower() for n in names], n=3, cutoff=0.5)
        near = [n for n in names if n.lower() in near]
        message = f"unknown {kind} {name!r}"
        if near:
            message += f"; did you mean {' or '.join(near)}?"
        elif len(names) <= 30:
            message += f"; known: {', '.join(names) or 'none'}"
        if hint:
            message += f" {hint}" if message.endswith("?") or hint.startswith("(") else f"; {hint}"
        super().__init__(message)
        self.kind = kind
        self.name = name
