"""The list of broken methods, each with the check that must catch it."""

import pytest

BROKEN = []
"""Test cases `(class, name of the check, words of its message)`."""


def breaks(check, words):
    """Register a class that `check` must catch with a message that holds `words`."""

    def register(cls):
        BROKEN.append(pytest.param(cls, check, words, id=f"{check}-{cls.__name__}"))
        return cls

    return register
