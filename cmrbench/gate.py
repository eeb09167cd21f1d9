"""The gate: results now against a baseline, by what was asked. A drop or a missing row fails; time never does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.core.runs import SPAN
from cmrbench.report.current import NEEDED, current_rows
from cmrbench.report.spans import smaller_is_better
from cmrbench.report.wording import outcome, plain

if TYPE_CHECKING:
    import pyarrow as pa

GATED = "mAP"
"""How the names of the metrics begin that are compared unless others are named."""

MAX_DROP = 0.005

KEY = ("spec_key", "direction", "protocol_fingerprint", "gallery_codes", "retrieval", "metric")
"""What was asked: two values are compared if they agree in all of it. The run key is no part of it: the method's
source and the versions of libraries are just what may have changed."""

_DESCRIPTION = ("dataset", "feature_set", "method", "preset", "params", "dim", "bits", "seed", "protocol")
_BASELINE_COLUMNS = (*_DESCRIPTION, *KEY, "dataset_fingerprint", "value")

COLUMNS = tuple(dict.fromkeys((*NEEDED, *_BASELINE_COLUMNS, "cause", "flags")))
"""The columns of `cmrbench.store.schema` that the gate reads."""

FORMAT = "1"
_MARK = b"cmrbench_baseline"
_ROUNDING = 1e-9  # 0.5 - 0.495 is more than 0.005 in binary

Row = dict[str, Any]


class BaselineError(UsageError):
    """The baseline file is missing, damaged, or not a baseline."""


@dataclass(frozen=True)
class Selection:
    """Which rows take part; empty: all methods, all datasets, all metrics that begin with `GATED`.

    What was measured beside the protocol's metrics (`cmrbench.core.runs.SPAN`) takes part where it is named.
    """

    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether a row takes part; a run that did not finish has no metric and is judged by the rest."""
        return (
            (not self.methods or row["method"] in self.methods)
            and (not self.datasets or row["dataset"] in self.datasets)
            and (row["metric"] is None or self._gated(row["metric"]))
        )

    def asks_for(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of the results belongs into a baseline, or is news where the baseline lacks it."""
        return bool(self.metrics) or SPAN not in (row["flags"] or ())

    def _gated(self, metric: str) -> bool:
        return metric in self.metrics if self.metrics else metric.startswith(GATED)

    def check(self, rows: Sequence[Mapping[str, Any]], where: str) -> None:
        """Raise an error if a name occurs nowhere in `rows`: a misspelt filter must not pass the gate."""
        named = (("method", self.methods), ("dataset", self.datasets), ("metric", self.metrics))
        for column, names in named:
            known = {row[column] for row in rows if row[column] is not None}
            for name in names:
                if name not in known:
                    raise UnknownNameError(column, name, known, f"(looked in {where})")


@dataclass(frozen=True)
class Change:
    """One compared value.

    Attributes
    ----------
    kind : str
        ``"drop"`` (worse beyond the tolerance, or NaN now), ``"missing"``, ``"lower"`` (worse within the tolerance),
        ``"rise"`` (better), ``"same"``, or ``"new"`` (not in the baseline). Worse is lower, but for ranks (MedR,
        MeanR), which are worse when they rise.
    asked : mapping
        What was asked: dataset, feature set, method, preset, params, dim, bits, seed, protocol, direction ...
    before, now : float or None
    cause : str
        Why a value is missing or NaN.
    """

    kind: str
    asked: Mapping[str, Any] = field(repr=False)
    before: float | None = None
    now: float | None = None
    cause: str = ""

    @property
    def difference(self) -> float | None:
        """Now minus before; None where one of them is missing."""
        return None if self.before is None or self.now is None else self.now - self.before

    @property
    def smaller_is_better(self) -> bool:
        """Whether the metric is a rank."""
        return smaller_is_better(self.asked["metric"])

    @property
    def gain(self) -> float | None:
        """By how much the value is better than before; less than 0 where it is worse."""
        return -self.difference if self.difference is not None and self.smaller_is_better else self.difference


@dataclass(frozen=True)
class GateReport:
    """All changes, and whether the gate lets them through."""

    changes: tuple[Change, ...]
    max_drop: float

    @property
    def passed(self) -> bool:
        """True if nothing dropped beyond the tolerance and nothing is missing."""
        return not any(c.kind in ("drop", "missing") for c in self.changes)

    def of(self, kind: str) -> list[Change]:
        """The changes of one kind."""
        return [c for c in self.changes if c.kind == kind]


@dataclass(frozen=True)
class Update:
    """What a rewritten baseline holds: its number of rows, and the runs that were left out with the cause."""

    rows: int
    left_out: tuple[tuple[Mapping[str, Any], str], ...]


def compare(
    table: pa.Table, baseline: pa.Table, max_drop: float = MAX_DROP, select: Selection | None = None
) -> GateReport:
    """Compare results with a baseline.

    Parameters
    ----------
    table : pyarrow.Table
        Results with the schema of `cmrbench.store.schema` (at least `COLUMNS`).
    baseline : pyarrow.Table
        As `read_baseline` gives it.
    max_drop : float
        The largest drop (of a rank: the largest rise) that passes, in the metric's own unit.
    select : Selection, optional
        Which rows take part.

    Raises
    ------
    UsageError
        If `max_drop` is negative or not finite, a selected name does not occur, or nothing is left to compare.
    """
    if not (math.isfinite(max_drop) and max_drop >= 0):
        raise UsageError(f"--max-drop must be a finite number of at least 0, not {max_drop}")
    select = select or Selection()
    expected = baseline.to_pylist()
    select.check(expected, "the baseline")
    expected = [row for row in expected if select.holds(row)]
    if not expected:
        raise BaselineError("the baseline holds no row to compare: write one with `cmrbench gate --update`")
    rows = [row for row in current_rows(table, COLUMNS) if select.holds(row)]
    found = {_key(row): row for row in rows if row["metric"] is not None}
    explain = _explainer(rows)
    changes = [_change(row, found.get(_key(row)), max_drop, explain) for row in expected]
    known = {_key(row) for row in expected}
    news = [row for key, row in found.items() if key not in known and select.asks_for(row)]
    changes += [Change("new", _asked(row), now=_finite(row["value"])) for row in news]
    return GateReport(tuple(sorted(changes, key=_order)), max_drop)


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


def _asked(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in (*_DESCRIPTION, *KEY)}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _change(before: Row, now: Row | None, max_drop: float, explain: Callable[[Row], str]) -> Change:
    asked, old = _asked(before), before["value"]
    if now is None:
        return Change("missing", asked, before=old, cause=explain(before))
    new = _finite(now["value"])
    if new is None:
        return Change("drop", asked, before=old, cause="the value is not a number")
    loss = new - old if smaller_is_better(now["metric"]) else old - new
    kind = "drop" if loss > max_drop + _ROUNDING else "lower" if loss > 0 else "rise" if loss < 0 else "same"
    return Change(kind, asked, before=old, now=new)


def _explainer(rows: Sequence[Row]) -> Callable[[Row], str]:
    """Says why the results have no value for a row of the baseline."""
    by_spec: dict[str, list[Row]] = {}
    datasets: dict[tuple[str, str, str], set[str]] = {}
    for row in rows:
        by_spec.setdefault(row["spec_key"], []).append(row)
        where = (row["method"], row["dataset"], row["feature_set"])
        datasets.setdefault(where, set()).add(row["dataset_fingerprint"])

    def explain(missing: Row) -> str:
        same = by_spec.get(missing["spec_key"], [])
        if same and same[0]["metric"] is None:
            return outcome(same[0]["status"], same[0]["cause"])
        if any(_named(row) == _named(missing) for row in same):
            return plain(f"protocol {missing['protocol']} has changed, so the values cannot be compared")
        if same:
            return "the run has no such record: direction, protocol, retrieval or metric is gone"
        found = datasets.get((missing["method"], missing["dataset"], missing["feature_set"]), set())
        if found and missing["dataset_fingerprint"] not in found:
            return plain(f"dataset {missing['dataset']} has changed, so the values cannot be compared")
        return "not in the results: it was not run, or its file cannot be read"

    return explain


def _named(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("protocol", "direction", "gallery_codes", "retrieval", "metric"))


_KINDS = ("drop", "missing", "lower", "rise", "new", "same")


def _order(change: Change) -> tuple[Any, ...]:
    asked = change.asked
    return _KINDS.index(change.kind), change.gain or 0.0, *_sortable(asked)


def _sortable(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple((row[name] is not None, row[name]) for name in (*_DESCRIPTION, *KEY))


def baseline_of(table: pa.Table, select: Selection | None = None) -> tuple[pa.Table, Update]:
    """The baseline that the results make: finished runs only, sorted, so that equal results give equal files.

    Raises
    ------
    UsageError
        If a selected name does not occur, no row is left, or a value is not a number.
    """
    import pyarrow as pa

    select = select or Selection()
    everything = current_rows(table, COLUMNS)
    select.check(everything, "the results")
    chosen = [row for row in everything if select.holds(row) and select.asks_for(row)]
    rows = sorted((row for row in chosen if row["metric"] is not None), key=_sortable)
    if not rows:
        raise UsageError("the results hold no finished run to make a baseline of: make some with `cmrbench run`")
    for row in rows:
        if _finite(row["value"]) is None:
            raise UsageError(
                f"{row['method']} on {row['dataset']}, seed {row['seed']}, {row['direction']}: {row['metric']} is not "
                "a number, so it cannot be a baseline; leave the method out with --methods"
            )
    left_out = tuple((row, outcome(row["status"], row["cause"])) for row in chosen if row["metric"] is None)
    schema = _schema()
    made = pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema=schema)
    return made, Update(len(rows), left_out)


def _schema() -> pa.Schema:
    import pyarrow as pa

    from cmrbench.store.schema import SCHEMA

    return pa.schema([pa.field(n, SCHEMA.field(n).type) for n in _BASELINE_COLUMNS], metadata={_MARK: FORMAT})


def write_baseline(baseline: pa.Table, path: Path) -> None:
    """Write a baseline so that `path` is either the old file or the whole new one.

    Raises
    ------
    BaselineError
        If the file cannot be written.
    """
    from cmrbench.store.store import write_parquet

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(baseline, path)
    except OSError as error:
        raise BaselineError(f"the baseline {path} cannot be written: {error.strerror or error}") from error


def read_baseline(path: Path) -> pa.Table:
    """The baseline in a file.

    Raises
    ------
    BaselineError
        If the file is missing, truncated, another kind of file, or holds values that are not numbers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise BaselineError(f"there is no baseline {path}: write it with `cmrbench gate --update --baseline {path}`")
    try:
        # One file, not a dataset: a folder of that name is refused.
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = (str(error).splitlines() or ["it cannot be read"])[0]
        raise BaselineError(
            f"the baseline {path} is damaged or not a Parquet file ({reason}): restore it, or rewrite it with "
            "`cmrbench gate --update`"
        ) from error
    expected = _schema()
    if (table.schema.metadata or {}).get(_MARK) != FORMAT.encode() or not table.schema.equals(expected):
        raise BaselineError(
            f"{path} is not a baseline of this version of cmrbench: name another file with --baseline, or rewrite it "
            "with `cmrbench gate --update`"
        )
    for row in table.select(["method", "dataset", "value"]).to_pylist():
        if _finite(row["value"]) is None:
            raise BaselineError(f"the baseline {path} holds a value for {row['method']} that is not a number")
    return table
