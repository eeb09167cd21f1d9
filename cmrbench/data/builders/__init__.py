"""Builders: source files of one layout into `Content`. One module a layout; `base` says what each of them offers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cmrbench.core.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from cmrbench.data.builders.base import Builder, BuildRequest
    from cmrbench.data.content import Content


def names() -> tuple[str, ...]:
    """The builders that there are."""
    from pkgutil import iter_modules

    return tuple(m.name for m in iter_modules(__path__) if m.name != "base" and not m.name.startswith("_"))


def builder(name: str) -> Builder:
    """The builder of that name.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    """
    if name not in names():
        raise UnknownNameError("builder", name, names())
    module: Builder = import_module(f"{__name__}.{name}")
    return module


def build(request: BuildRequest) -> Content:
    """Build one feature set by the builder that the catalogue names.

    Raises
    ------
    DataError
        If the options are not the builder's, or its files are not what they should be.
    """
    from pydantic import ValidationError

    made = builder(request.builder)
    try:
        made.Options.model_validate(request.options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            f"dataset {request.name!r}: options of builder {request.builder!r}: {where}: {first['msg']}"
        ) from None
    return made.build(request)
