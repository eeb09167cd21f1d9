"""RunSpec, Record, RunResult: what was asked, one measured number, and all that came of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cmrbench.core.hashing import digest
from cmrbench.core.names import with_features

ENGINE = "1"
"""Version of all that lies between a method's output and a number. Whoever makes an existing number come out otherwise
raises it: leaderboards put no two versions into one cell."""

RECORDING = "3"
"""Version of what runs store. Whoever has them store more raises it: it is part of the run key, so that the same
`cmrbench run` carries out again what was stored with less. Numbers do not depend on it."""

CUTOFFS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Ranks at which the precision of `Curves` is kept."""

RECALL_LEVELS = 21
"""Levels of recall of `Curves`, evenly spaced from 0 to 1."""

MOST_QUERIES_SHOWN = 40
"""Queries whose first results are kept."""

RESULTS_SHOWN = 10
"""Results that are kept of each."""

STATUSES = ("done", "failed", "timeout", "oom", "killed", "declined")
"""How a run can end. Every status but ``done`` carries a cause; all are rows in the store."""


SPAN = "span"
"""Flag of a record that was measured beside the protocol's metrics: one of them under an extreme order of ties, so
that a leaderboard can show how far ties move a number. Its metric is named as any other (``mAP@all[optimistic]``)."""


def is_settled(status: str | None) -> bool:
    """Whether a run that ended so need not be carried out again: it has its result, or it was declined."""
    return status in ("done", "declined")


@dataclass(frozen=True)
class RunSpec:
    """What was asked of one run; the *spec key* is its hash.

    Attributes
    ----------
    method : str
    params : tuple of (str, value)
        Parameters that were asked for (``--set``), sorted by name; defaults are not listed.
    preset : str
        Name of the method preset that was applied before `params`, or ``""``.
    dataset, dataset_fingerprint, feature_set : str
    bits : int or None
        Hash code length; None for real-valued methods.
    dim : int or None
        Asked-for dimension of the common space; None leaves it to the method.
    seed : int
    """

    method: str
    dataset: str
    dataset_fingerprint: str
    feature_set: str
    bits: int | None = None
    dim: int | None = None
    seed: int = 0
    preset: str = ""
    params: tuple[tuple[str, Any], ...] = ()

    @property
    def spec_key(self) -> str:
        """Hash of what was asked: the key of comparisons over time and of the gate."""
        return digest(
            {
                "method": self.method,
                "params": [list(p) for p in self.params],
                "preset": self.preset,
                "dataset": self.dataset_fingerprint,
                "feature_set": self.feature_set,
                "bits": self.bits,
                "dim": self.dim,
                "seed": self.seed,
            }
        )

    @property
    def title(self) -> str:
        """One readable line for progress and messages."""
        size = f" {self.bits} bits" if self.bits else (f" {self.dim}-d" if self.dim else "")
        sets = "".join(f" {k}={v}" for k, v in self.params)
        where = with_features(self.dataset, self.feature_set)
        return f"{self.method}{size}{sets} on {where}, seed {self.seed}"


@dataclass(frozen=True)
class CodeDiagnostics:
    """What a gallery's hash codes look like.

    Attributes
    ----------
    balance : float
        Mean over bits of 1 - |mean of the bit|: 1 where every bit is +1 for half of the items, 0 where all are dead.
    correlation : float
        Mean absolute Pearson correlation of different bits, constant ones left out; NaN for fewer than two.
    dead_bits : int
        Bits that are the same for all items.
    distinct_codes : int
    ties_at_50 : float
        Share of queries for which the items at ranks 50 and 51 are equally far; NaN for galleries of up to 50 items.
    """

    balance: float
    correlation: float
    dead_bits: int
    distinct_codes: int
    ties_at_50: float


@dataclass(frozen=True)
class Curves:
    """Precision of a ranking, as means over queries under the tie rule of the protocol's first metric.

    Attributes
    ----------
    precision : tuple of float
        Within the first 1, 2, 5, ... results: at those of `CUTOFFS` that the gallery has.
    interpolated : tuple of float
        Best precision at a recall of 0, 0.05, ..., 1 or above, `RECALL_LEVELS` of them.
    """

    precision: tuple[float, ...]
    interpolated: tuple[float, ...]


@dataclass(frozen=True)
class FirstResults:
    """What a query found first.

    Attributes
    ----------
    query : int
        Position of the query, from 0, in the protocol's query splits, one split after another.
    results : tuple of int
        Positions of the first `RESULTS_SHOWN` items in the protocol's gallery splits, nearest first, items of equal
        score by position.
    hits : tuple of bool
        Which of them are relevant.
    """

    query: int
    results: tuple[int, ...]
    hits: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class Record:
    """One number: a run, a direction, a protocol, a retrieval strategy, a metric, a value.

    `per_query` holds the metric's value for every query (float64, NaN where it is undefined) for the protocol's first
    metric and every mAP, and is empty for others. `chance` is the metric's expectation under a random ranking.
    `flags` says what a reader must know: ``label-reading`` (the ranking reads the gallery's labels),
    ``learned-codes``, ``test-selected``, ``span`` (see `SPAN`).

    With the protocol's first metric alone come: `codes`, which describes hash codes; `curves`, not for folds;
    `per_class`, the mean of `per_query` over the queries of each class by its name, where relevance is by label;
    `top`, what up to `MOST_QUERIES_SHOWN` evenly spaced queries found first, not for folds.
    """

    query_modality: str
    gallery_modality: str
    protocol: str
    protocol_fingerprint: str
    gallery_codes: str
    retrieval: str
    metric: str
    value: float
    stderr: float
    chance: float
    n_query: int
    n_gallery: int
    flags: tuple[str, ...] = ()
    per_query: tuple[float, ...] = ()
    codes: CodeDiagnostics | None = None
    curves: Curves | None = None
    per_class: Mapping[str, float] | None = None
    top: tuple[FirstResults, ...] = ()

    @property
    def direction(self) -> str:
        """``"image->text"``: query modality, then gallery modality."""
        return f"{self.query_modality}->{self.gallery_modality}"


@dataclass(frozen=True, eq=False)
class RunResult:
    """All that one run left behind: one Parquet file in the store.

    Attributes
    ----------
    spec : RunSpec
    run_key : str
        Spec key plus what else could change the numbers (method source, versions, engine, evaluation plan).
    status : str
        One of `STATUSES`.
    cause : str
        One line on why the status is not ``done``.
    trace : str
        The traceback, or the tail of what the run printed, for a failed run.
    info : mapping of str to str
        Declarations of the method that reports need (title, category, group, venue, output, supervision).
    resolved : mapping
        All parameters with their values, defaults included.
    seconds : mapping of str to float
        Wall seconds by stage: ``load``, ``fit``, ``encode``, ``evaluate``, ``total``.
    peak_rss : int
        Peak resident memory of the run's process in bytes.
    model_bytes : int
        Size of the fitted method's arrays in bytes.
    output_dim : int
        Columns of the representations (bits for codes).
    n_train : int
    environment : mapping of str to str
    warnings : tuple of str
    created : str
        ISO 8601, UTC.
    records : tuple of Record
    """

    spec: RunSpec
    run_key: str
    status: str
    info: Mapping[str, str]
    resolved: Mapping[str, Any]
    created: str
    cause: str = ""
    trace: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_rss: int = 0
    model_bytes: int = 0
    output_dim: int = 0
    n_train: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()
