"""Which registered method a published row is, and the other way round."""

from __future__ import annotations

from cmrbench.published.words import registered


def published_as(name: str) -> tuple[str, str]:
    """Method and setting under which the papers print a registered method.

    Parameters
    ----------
    name : str
        Registered name. Nothing need be printed of it.

    Returns
    -------
    method, setting : str
        Values of `PublishedCell.method` and `PublishedCell.setting`. The setting is empty where the name does not
        fix it: LCM is printed with and without its two-stage search.
    """
    entry = registered().get(name)
    return (entry.method, entry.setting) if entry else (name, "")


def registered_as(method: str, setting: str) -> str:
    """The name under which a row of a published method would be registered; that it is registered is not promised."""
    for name, entry in registered().items():
        if (entry.method, entry.setting) == (method, setting):
            return name
    return method
