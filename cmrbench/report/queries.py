"""Values of single queries out of the store: read for the runs that are shown, and reduced as they are read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    import pyarrow.compute as pc

    from cmrbench.report.model import TableKey
    from cmrbench.statistics.sample import Sample

    Floats = npt.NDArray[np.float64]

WHICH = (
    *("dataset_fingerprint", "feature_set", "protocol_fingerprint", "gallery_codes", "retrieval", "metric", "bits"),
    "direction",
)
"""Columns that tell the records of one method's runs with one seed apart."""

COLUMNS = ("run_key", "created", "query_modality", "seed", *WHICH, "info", "per_query")


class RunTables(Protocol):
    """What reads runs: a `cmrbench.store.store.Store`."""

    def table(
        self,
        columns: Sequence[str] | None = None,
        run_keys: Iterable[str] | None = None,
        where: pc.Expression | None = None,
    ) -> pa.Table:
        """The rows of some runs for which an expression holds."""


@dataclass(frozen=True)
class Place:
    """Where one number of a leaderboard comes from, within the runs of its row, which may be on several datasets.

    Attributes
    ----------
    dataset_fingerprint, feature_set, protocol_fingerprint, gallery_codes, retrieval, metric : str
    bits : int or None
    directions : tuple of str
        Those that are averaged.
    """

    dataset_fingerprint: str
    feature_set: str
    protocol_fingerprint: str
    gallery_codes: str
    retrieval: str
    metric: str
    bits: int | None
    directions: tuple[str, ...]

    @classmethod
    def of(cls, key: TableKey, retrieval: str, bits: int | None, directions: Sequence[str]) -> Place:
        """The place of a number in a column with that key."""
        measured = key.protocol_fingerprint, key.gallery_codes, retrieval, key.metric
        return cls(key.dataset_fingerprint, key.feature_set, *measured, bits, tuple(directions))

    @property
    def where(self) -> tuple[Any, ...]:
        """As `WHICH`, without the direction."""
        data = self.dataset_fingerprint, self.feature_set
        return *data, self.protocol_fingerprint, self.gallery_codes, self.retrieval, self.metric, self.bits


@dataclass(frozen=True)
class Values:
    """What a number's queries got.

    Attributes
    ----------
    seeds : tuple of int
    values : ndarray of shape (n_seeds, n_queries), float64
        The mean of each seed's row is that seed's printed value.
    deterministic : bool
        Whether the method declares that seeds do not matter.
    queries : tuple of (str, int)
        For each query its modality, or several where it is the mean over the queries of paired items, and its
        position among them.
    """

    seeds: tuple[int, ...]
    values: Floats
    deterministic: bool
    queries: tuple[tuple[str, int], ...]

    def sample(self) -> Sample:
        """Reduced to what tests need."""
        from cmrbench.statistics.sample import Sample

        return Sample.of(self.values, self.deterministic)


class Queries:
    """The stored per-query values of some runs.

    Parameters
    ----------
    store : RunTables
    run_keys : iterable of str
    metrics : iterable of str, optional
        Keep these only.
    """

    def __init__(self, store: RunTables, run_keys: Iterable[str], metrics: Iterable[str] | None = None) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self._records: dict[tuple[Any, ...], _Record] = {}
        self._deterministic: set[str] = set()
        where = pc.is_valid(pc.field("metric"))
        if metrics is not None:
            where = pc.field("metric").isin(pa.array(sorted(set(metrics)), pa.string()))
        table = store.table(COLUMNS, sorted(set(run_keys)), where)
        for batch in table.filter(pc.greater(pc.list_value_length(table.column("per_query")), 0)).to_batches():
            self._take(batch)

    def _take(self, batch: pa.RecordBatch) -> None:
        import numpy as np
        import pyarrow.compute as pc

        listed = batch.column("per_query")
        offsets = listed.offsets.to_numpy().tolist()
        flat = np.asarray(listed.values.to_numpy(zero_copy_only=listed.values.null_count == 0), dtype=np.float64)
        light = [batch.column(name).to_pylist() for name in COLUMNS[:-2]]
        for i, (run_key, created, modality, seed, *where) in enumerate(zip(*light, strict=True)):
            self._records[(run_key, *where)] = _Record(seed, created, modality, flat[offsets[i] : offsets[i + 1]])
        declared = pc.equal(pc.map_lookup(batch.column("info"), "deterministic", "first"), "yes")
        self._deterministic.update(batch.column("run_key").filter(declared).to_pylist())

    def get(self, run_keys: Sequence[str], place: Place) -> Values | None:
        """The values behind a number: of the seeds that have every direction; None if there are none.

        Directions with equally many queries are averaged query by query: those of one modality are the same queries,
        and those of paired modalities are the same items, whose values depend on each other. Others stand side by
        side, scaled so that the mean over all queries is the mean of the directions.
        """
        import numpy as np

        found = [self._by_seed(run_keys, place, direction) for direction in place.directions]
        seeds = sorted(set.intersection(*(set(held) for held in found))) if found else []
        by_length: dict[int, list[int]] = defaultdict(list)
        for d, held in enumerate(found):
            lengths = {len(held[seed].values) for seed in seeds}
            if len(lengths) != 1:
                return None
            by_length[lengths.pop()].append(d)
        if not seeds:
            return None
        total = sum(by_length)
        parts = []
        queries: list[tuple[str, int]] = []
        for length, directions in by_length.items():
            stacked = np.stack([[found[d][seed].values for seed in seeds] for d in directions])
            parts.append(stacked.sum(axis=0) * (total / (length * len(found))))
            named = " and ".join(dict.fromkeys(found[d][seeds[0]].modality for d in directions))
            queries += [(named, i) for i in range(length)]
        known = any(key in self._deterministic for key in run_keys)
        return Values(tuple(seeds), np.concatenate(parts, axis=1), known, tuple(queries))

    def _by_seed(self, run_keys: Sequence[str], place: Place, direction: str) -> dict[int, _Record]:
        """The newest record of every seed."""
        found: dict[int, _Record] = {}
        for key in run_keys:
            record = self._records.get((key, *place.where, direction))
            if record and (record.seed not in found or found[record.seed].created < record.created):
                found[record.seed] = record
        return found


@dataclass(frozen=True, eq=False)
class _Record:
    seed: int
    created: str
    modality: str
    values: Floats


def same_queries(samples: Mapping[int, Sample], like: int) -> dict[int, Sample]:
    """The samples with as many queries as one of them, without the queries for which one of these has no value."""
    import numpy as np

    if like not in samples:
        return {}
    kept = {i: sample for i, sample in samples.items() if len(sample.means) == len(samples[like].means)}
    defined = np.isfinite(np.stack([sample.means for sample in kept.values()])).all(axis=0)
    if defined.all():
        return kept
    return {i: replace(sample, means=sample.means[defined]) for i, sample in kept.items()}
