"""Which of the rows that stand a set of leaderboards shows: sorted out before rows become objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cmrbench.core.errors import UnknownNameError
from cmrbench.core.runs import SPAN

if TYPE_CHECKING:
    import pyarrow as pa

MEASURED = ("dataset_fingerprint", "feature_set", "protocol", "protocol_fingerprint", "gallery_codes")
"""What rows that share a protocol's metrics agree in (and in their kind of output)."""


def of_datasets(table: pa.Table, datasets: Sequence[str] | None) -> pa.Table:
    """The rows of some datasets, or all.

    Raises
    ------
    UnknownNameError
        If the table does not hold one of them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not datasets:
        return table
    known = set(table.column("dataset").unique().to_pylist())
    for name in datasets:
        if name not in known:
            raise UnknownNameError("dataset", name, known, "(looked in the results)")
    return table.filter(pc.is_in(table.column("dataset"), value_set=pa.array(datasets, pa.string())))


def check_protocol(table: pa.Table, protocol: str) -> None:
    """Refuse a protocol that is none of those of some results; where there are none, any will do.

    Raises
    ------
    UnknownNameError
    """
    protocols = {name for name in table.column("protocol").unique().to_pylist() if name}
    if protocols and protocol not in protocols:
        raise UnknownNameError("protocol", protocol, protocols, "(looked in the results)")


def of_metric(table: pa.Table, metric: str | None, headline: str, *, spans: bool = False) -> pa.Table:
    """The rows of a metric and those of unfinished runs.

    Parameters
    ----------
    table : pyarrow.Table
        Rows that stand.
    metric : str or None
        None: the headline, and of protocols that do not measure it all rows.
    headline : str
    spans : bool
        Rows that were measured for spans alone stay, whatever their metric.

    Raises
    ------
    UnknownNameError
        If the table does not hold the metric.
    """
    import pyarrow.compute as pc

    column = table.column("metric")
    known = set(column.unique().to_pylist()) - {None}
    if metric is not None and metric not in known:
        raise UnknownNameError("metric", metric, known, "(looked in the results)")
    kept = pc.fill_null(pc.equal(column, metric or headline), True)
    if metric is None:
        kept = pc.or_(kept, pc.invert(_with_headline(table, kept)))
    return table.filter(pc.or_(kept, measured_for_spans(table)) if spans else kept)


def measured_for_spans(table: pa.Table) -> pa.Array:
    """Which rows carry the flag `SPAN`."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    flags = table.column("flags")
    flat = pc.list_flatten(flags)
    marked = np.zeros(table.num_rows, dtype=bool)
    marked[np.asarray(pc.list_parent_indices(flags))[np.asarray(pc.equal(flat, SPAN), dtype=bool)]] = True
    return pa.array(marked)


def _with_headline(table: pa.Table, is_headline: pa.ChunkedArray) -> pa.Array:
    """Whether what a row was measured by measures the headline metric, too."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from cmrbench.report.current import codes_of, together

    hashing = np.asarray(pc.is_valid(table.column("bits"))).astype(np.int64)
    measured = together([hashing, *(codes_of(table.column(name)) for name in MEASURED)])
    has = np.zeros(measured.max(initial=0) + 1, dtype=bool)
    has[measured[np.asarray(pc.and_(is_headline, pc.is_valid(table.column("metric"))), dtype=bool)]] = True
    return pa.array(has[measured])
