"""What was measured for a paper's table: places (data, protocol) with their runs, and the parts that they make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cmrbench.core.names import registered_part
from cmrbench.method import CATEGORIES
from cmrbench.report.build import completed
from cmrbench.report.current import current_rows
from cmrbench.report.model import TableKey
from cmrbench.report.papers.spec import STAGES, PaperTable, directions_of
from cmrbench.report.rows import BASELINE, Entry, entries_of
from cmrbench.report.spans import SECONDS, without_ends

if TYPE_CHECKING:
    import pyarrow as pa

RowDict = dict[str, Any]

PUBLISHED_PRESET = "published setting"
"""Stands for the presets that are named after the dataset that they are for."""


@dataclass(frozen=True)
class Identity:
    """What makes a row of a table of several datasets. `retrieval` is None where no run of the row finished."""

    method: str
    preset: str
    params: str
    dim: int | None
    retrieval: str | None


@dataclass(eq=False)
class Place:
    """Data and protocol that share columns of a table, and the result rows there.

    Attributes
    ----------
    key : TableKey
        Without a metric; without a protocol where no run finished, and in tables of times.
    rows : dict
        Result rows by metric.
    unfinished : list of dict
    """

    key: TableKey
    rows: dict[str, list[RowDict]] = field(default_factory=lambda: defaultdict(list))
    unfinished: list[RowDict] = field(default_factory=list)
    _entries: dict[str, dict[Identity, Entry]] = field(default_factory=dict)

    @property
    def dataset(self) -> str:
        """The registered name; with transforms, where the data were changed, the whole name."""
        return self.key.dataset if "+" in self.key.dataset else registered_part(self.key.dataset)

    @property
    def data(self) -> tuple[str, str, str]:
        """What tells the data of two places apart."""
        return self.key.dataset, self.key.dataset_fingerprint, self.key.feature_set

    def entries(self, metric: str) -> Mapping[Identity, Entry]:
        """The runs by the row that they belong to."""
        if metric not in self._entries:
            found = entries_of([*self.rows[metric], *self.unfinished])
            self._entries[metric] = {_identity(entry.example): entry for entry in found}
        return self._entries[metric]

    def entry(self, metric: str, identity: Identity) -> Entry | None:
        """The runs of a row, if there are any."""
        found = self.entries(metric)
        anyhow = Identity(identity.method, identity.preset, identity.params, identity.dim, None)
        return found.get(identity) or found.get(anyhow)

    @property
    def directions(self) -> set[str]:
        """All directions of any metric."""
        return {row["direction"] for rows in self.rows.values() for row in rows}


def _identity(row: RowDict) -> Identity:
    preset = row["preset"] or ""
    own = preset == registered_part(row["dataset"])
    return Identity(
        row["method"], PUBLISHED_PRESET if own else preset, row["params"] or "{}", row["dim"], row["retrieval"]
    )


def result_rows(table: pa.Table, spec: PaperTable, columns: Sequence[str]) -> list[RowDict]:
    """The rows that stand and belong into a table: its kind of output and metrics, or unfinished."""
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = pc.is_valid(table.column("bits"))
    kept = coded if spec.output == "hash" else pc.invert(coded)
    if spec.seconds:
        kept = pc.and_(kept, pc.is_in(table.column("bits"), pa.array(spec.layout.bits, pa.int32())))
    else:
        metric = table.column("metric")
        kept = pc.and_(kept, pc.or_(pc.is_null(metric), pc.is_in(metric, pa.array(spec.metrics))))
    rows = without_ends([completed(row) for row in current_rows(table.filter(kept), columns)], None)
    printed = {row.method for row in spec.layout.rows}
    return [row for row in rows if _belongs(row, spec, printed)]


def _belongs(row: RowDict, spec: PaperTable, printed: set[str]) -> bool:
    category = row["info"].get("category", "")
    if row["info"]["output"] != spec.output:
        return False
    return category in (*spec.categories, BASELINE) or category not in CATEGORIES or row["method"] in printed


def places_of(rows: Iterable[RowDict], spec: PaperTable) -> list[Place]:
    """The places in the order of the results; unfinished runs are in every place of their data."""
    places: dict[tuple[str, ...], Place] = {}
    unfinished: dict[tuple[str, str, str], list[RowDict]] = defaultdict(list)
    for row in _seconds(rows) if spec.seconds else rows:
        data = row["dataset"], row["dataset_fingerprint"], row["feature_set"]
        if row["metric"] is None:
            unfinished[data].append(row)
            continue
        measure = () if spec.seconds else (row["protocol"], row["protocol_fingerprint"], row["gallery_codes"])
        where = (*data, *measure)
        if where not in places:
            places[where] = Place(TableKey(*data, spec.output, *measure))
        places[where].rows[row["metric"]].append(row)
    listed = list(places.values())
    for data, failed in unfinished.items():
        homes = [place for place in listed if place.data == data]
        if not homes:
            homes = [Place(TableKey(*data, output=spec.output))]
            listed += homes
        for home in homes:
            home.unfinished += failed
    return listed


def _seconds(rows: Iterable[RowDict]) -> Iterable[RowDict]:
    """A row for each stage of each run, as if it were a direction."""
    for row in {row["run_key"]: row for row in rows}.values():
        if row["metric"] is None:
            yield row
            continue
        for stage, columns in STAGES.items():
            parts = [row[column] for column in columns]
            value = float("nan") if None in parts else sum(parts)
            # Which codes are measured makes no difference to a run's times.
            flags = tuple(flag for flag in row["flags"] if flag != "learned-codes")
            yield row | {"metric": SECONDS, "direction": stage, "chance": None, "value": value, "flags": flags}


def parts_of(places: Sequence[Place]) -> list[list[Place]]:
    """Places that may stand side by side: of all data the first protocol, then the second; learned codes last.

    No part has two protocols of the same data, nor two rules for gallery codes.
    """
    parts: dict[tuple[bool, int], list[Place]] = defaultdict(list)
    before: dict[tuple[str, ...], int] = defaultdict(int)
    for place in places:
        rule = (*place.data, place.key.gallery_codes)
        parts[place.key.gallery_codes == "learned", before[rule]].append(place)
        before[rule] += 1
    return [parts[which] for which in sorted(parts)]


def fits(place: Place, spec: PaperTable) -> bool:
    """Whether the data's directions are those of the table, at least half of them."""
    if not place.rows:
        return True
    single = {d for task in spec.tasks for d in directions_of(task, spec.tasks)}
    return 2 * len(single & place.directions) >= len(single)
