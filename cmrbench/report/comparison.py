"""A comparison of methods as a value: what `cmrbench compare` prints, with nothing left to compute."""

from __future__ import annotations

from dataclasses import dataclass, field

from cmrbench.report.contenders import Contender
from cmrbench.report.critical import Diagram
from cmrbench.report.model import Column, TableKey
from cmrbench.statistics.paired import PairedTest
from cmrbench.statistics.sample import Sample
from cmrbench.statistics.variance import VarianceSplit

CHANGED = 5
"""Queries that are shown for each comparison."""


@dataclass(frozen=True)
class Scope:
    """What is compared; None is everything that there is.

    Attributes
    ----------
    datasets : tuple of str
    metric : str or None
        The default is the headline.
    bits : tuple of int
    protocol : str or None
    direction : str or None
        As a column's head says it: ``"image → text"``, also written ``"image->text"``; ``"average"``.
    changed : int
        How many of the queries that differ most are kept for each comparison.
    """

    datasets: tuple[str, ...] = ()
    metric: str | None = None
    bits: tuple[int, ...] = ()
    protocol: str | None = None
    direction: str | None = None
    changed: int = CHANGED


@dataclass(frozen=True)
class Query:
    """A query and what it got under both methods.

    Attributes
    ----------
    modality : str
        Of the query; several, joined by "and", where directions of paired items are averaged.
    position : int
        From 0, in the protocol's query splits.
    first, second : float
        Means over seeds.
    """

    modality: str
    position: int
    first: float
    second: float


@dataclass(frozen=True)
class Duel:
    """Two methods in one column of a leaderboard.

    Attributes
    ----------
    board : str
        The leaderboard's title.
    key : TableKey
    column : Column
    first, second : Contender
    means : tuple of float
        Over seeds and queries, as tables print them.
    seeds : tuple of int
        Number of seeds of each method.
    test : PairedTest
        Over the queries that both have.
    p_queries, p_seeds : float or None
        Adjusted by Holm over all comparisons that were made at once.
    splits : tuple of VarianceSplit
        Where the variance of each mean comes from.
    samples : tuple of Sample
    changed : tuple of Query
        Those that differ most, in both directions.
    p : float or None
        Over seeds where that is known, else over queries; adjusted like the others.
    """

    board: str
    key: TableKey
    column: Column
    first: Contender
    second: Contender
    means: tuple[float, float]
    seeds: tuple[int, int]
    test: PairedTest
    splits: tuple[VarianceSplit, VarianceSplit]
    samples: tuple[Sample, Sample] = field(repr=False, compare=False)
    changed: tuple[Query, ...] = ()
    p_queries: float | None = None
    p_seeds: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class Standing:
    """Three methods or more in one column of a leaderboard.

    Attributes
    ----------
    board : str
    key : TableKey
    column : Column
    contenders : tuple of Contender
        Best first.
    means : tuple of float
    letters : tuple of str
        Methods that share a letter cannot be told apart.
    p : tuple of tuple of float
        Adjusted p-values of all pairs (`Duel.p`); 1 on the diagonal.
    """

    board: str
    key: TableKey
    column: Column
    contenders: tuple[Contender, ...]
    means: tuple[float, ...]
    letters: tuple[str, ...]
    p: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Splits:
    """Where the variance of a method's mean over several splits of one dataset comes from.

    Attributes
    ----------
    names : tuple of str
        The datasets as results hold them, such as ``"wiki"`` and ``"wiki:drcl"``.
    what : str
        Protocols aside, what they share: metric and column.
    contender : Contender
    mean : float
        Over splits, seeds and queries.
    variance : VarianceSplit
    """

    names: tuple[str, ...]
    what: str
    contender: Contender
    mean: float
    variance: VarianceSplit


@dataclass(frozen=True)
class Comparison:
    """All that can be said of some methods.

    Attributes
    ----------
    contenders : tuple of Contender
        As they were named.
    duels : tuple of Duel
    standings : tuple of Standing
        For three methods or more.
    diagrams : tuple of Diagram
        For three methods or more on two datasets or more.
    splits : tuple of Splits
        Where a dataset was cut in several ways.
    notes : tuple of str
        What could not be compared, and why.
    """

    contenders: tuple[Contender, ...]
    duels: tuple[Duel, ...]
    standings: tuple[Standing, ...] = ()
    diagrams: tuple[Diagram, ...] = ()
    splits: tuple[Splits, ...] = ()
    notes: tuple[str, ...] = ()
