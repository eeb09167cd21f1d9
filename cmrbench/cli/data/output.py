"""What the data commands share: tables, plain rows, JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmrbench.cli.console import console

if TYPE_CHECKING:
    from rich.table import Table

_WRAPPED = ("", "extractor; normalisation", "item", "detail", "queries", "gallery\nitems")
SPLITS = ("train", "val", "query", "gallery")
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
_MARKS = {"ok": "[green]ok[/]", "bad": "[bold red]bad[/]", "missing": "[yellow]missing[/]"}


def sizes_of(described: dict[str, Any], feature_set: str) -> list[object]:
    """Registered sizes of the default split's four parts, "-" where there is none; nothing where none is registered."""
    sizes = described["splits"].get(feature_set, {}).get(described["default_split"], {})
    return [sizes.get(split, "-") for split in SPLITS] if sizes else []


def table(*columns: str, header: bool = True) -> Table:
    """A table whose cells are folded, never cut off: a name, hash or address that is cut cannot be copied."""
    from rich.table import Table

    made = Table(*columns, show_header=header)
    for column in made.columns:
        column.overflow = "fold"
        column.no_wrap = column.header not in _WRAPPED
    return made


def row(made: Table, *cells: object) -> None:
    """Add a row of plain text; a cell that is a check's status is coloured."""
    from rich.markup import escape

    made.add_row(*(_MARKS.get(str(c)) or escape(str(c)) for c in cells))


def print_tables(*tables: Table) -> None:
    """Print tables to the terminal, one after another."""
    out = console()
    for made in tables:
        out.print(made)


def size(n: int) -> str:
    """Bytes for people: ``1.5 GiB``."""
    value, unit = float(n), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{n} bytes"
