"""`cmrbench.results(...)`: the rows of a results folder, as Arrow or pandas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from cmrbench.core.errors import UsageError
from cmrbench.store.store import Store

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@overload
def results(
    folder: str | Path = ..., *, columns: Sequence[str] | None = ..., form: Literal["arrow"] = ...
) -> pa.Table: ...


@overload
def results(
    folder: str | Path = ..., *, columns: Sequence[str] | None = ..., form: Literal["pandas"]
) -> pd.DataFrame: ...


def results(
    folder: str | Path = "results", *, columns: Sequence[str] | None = None, form: str = "arrow"
) -> pa.Table | pd.DataFrame:
    """All rows of a results folder: one a number, with the columns of its run.

    Parameters
    ----------
    folder : path
    columns : sequence of str, optional
        Names out of `cmrbench.store.schema.SCHEMA`; all by default.
    form : {"arrow", "pandas"}

    Returns
    -------
    pyarrow.Table or pandas.DataFrame

    Raises
    ------
    UsageError
        For a folder that does not exist, or an unknown form.
    """
    if form not in ("arrow", "pandas"):
        raise UsageError(f"form must be 'arrow' or 'pandas', not {form!r}")
    if not Path(folder).is_dir():
        raise UsageError(f"the results folder {folder} does not exist; `cmrbench run` makes it")
    table = Store(folder).table(columns)
    return table if form == "arrow" else table.to_pandas()
