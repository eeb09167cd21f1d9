"""Average ranks of methods over datasets, from leaderboards: what a critical-difference diagram draws."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from cmrbench.core.names import registered_part
from cmrbench.report.model import AVERAGE, OURS, Leaderboard, Row, size_of
from cmrbench.report.spans import parsed, smaller_is_better
from cmrbench.report.wording import plain

Scores = Mapping[str, Mapping[str, float]]
"""By dataset and method."""


@dataclass(frozen=True)
class Diagram:
    """Average ranks of methods over datasets, with what of their differences matters.

    Attributes
    ----------
    title : str
        ``"hashing, 32 bits, mAP@all"``.
    names : tuple of str
        Methods as tables call them, best average rank first.
    average_ranks : tuple of float
        Of each of them; 1 is best.
    critical_difference : float
        Average ranks that are further apart differ significantly (Nemenyi, 5 %).
    cliques : tuple of tuple of str
        Maximal sets of methods that do not differ, each two or more and in the order of `names`.
    friedman_p, iman_davenport_p : float
        Of the hypothesis that all methods are equal; NaN for two methods.
    datasets : tuple of str
        The blocks.
    left_out : tuple of (str, tuple of str)
        Methods without a number on every dataset, and the datasets where it is missing.
    """

    title: str
    names: tuple[str, ...]
    average_ranks: tuple[float, ...]
    critical_difference: float
    cliques: tuple[tuple[str, ...], ...]
    friedman_p: float
    iman_davenport_p: float
    datasets: tuple[str, ...]
    left_out: tuple[tuple[str, tuple[str, ...]], ...] = ()


def critical_differences(boards: Sequence[Leaderboard], every_row: bool = False) -> list[Diagram]:
    """One diagram for each kind of output, rule for gallery codes, metric and code length.

    A block is a dataset. Directions, protocols, feature sets and variants of one dataset are not independent of each
    other: a method's score on a dataset is the mean over all of them.

    Parameters
    ----------
    boards : sequence of Leaderboard
        As `cmrbench.report.leaderboards` makes them: one dataset in each.
    every_row : bool
        Also rows that tables do not rank: baselines, and those that read the gallery's labels.

    Returns
    -------
    list of Diagram
        Only where two datasets or more share two methods or more.
    """
    kinds: dict[tuple[str, str, str], list[Leaderboard]] = defaultdict(list)
    for board in boards:
        if board.key.dataset and parsed(board.key.metric) is not None:
            kinds[board.key.output, board.key.gallery_codes, board.key.metric].append(board)
    found = []
    for (output, codes, metric), alike in kinds.items():
        for bits in sorted({column.bits for board in alike for column in board.columns}, key=lambda b: b or 0):
            parts = ["real-valued" if output == "real" else "hashing", *size_of(bits)]
            parts += ["learned gallery codes"] if codes == "learned" else []
            diagram = _diagram(
                plain(", ".join([*parts, metric])), _scores(alike, bits, every_row), smaller_is_better(metric)
            )
            found += [diagram] if diagram else []
    return found


def name_of(row: Row, dataset: str) -> str:
    """A row's title without the preset that is named after the dataset, which is another one on each."""
    return row.title.replace(f" ({registered_part(dataset)})", "")


def _scores(boards: Sequence[Leaderboard], bits: int | None, every_row: bool) -> Scores:
    """The mean over all directions of every table of a dataset; only of methods that have all of them."""
    held: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    tables: dict[str, int] = defaultdict(int)
    for board in boards:
        columns = [i for i, c in enumerate(board.columns) if c.bits == bits and c.kind == OURS and c.directions]
        averages = [i for i in columns if board.columns[i].heads[0] == AVERAGE]
        if not columns:
            continue
        dataset = registered_part(board.key.dataset)
        tables[dataset] += 1
        for row in _shown(board, every_row):
            means = [row.cells[i].mean for i in averages or columns]
            numbers = [mean for mean in means if mean is not None]
            if len(numbers) == len(means):
                held[dataset][name_of(row, dataset)].append(fmean(numbers))
    return {
        dataset: {name: fmean(values) for name, values in held[dataset].items() if len(values) == n}
        for dataset, n in tables.items()
    }


def _shown(board: Leaderboard, every_row: bool) -> Iterator[Row]:
    return (row for row in board.rows if row.method and (every_row or row.ranked))


def _diagram(title: str, scores: Scores, smaller: bool) -> Diagram | None:
    from cmrbench.statistics.critical import critical_differences as of_scores

    datasets = [dataset for dataset, methods in scores.items() if methods]
    names = list(dict.fromkeys(name for dataset in datasets for name in scores[dataset]))
    missing = {name: tuple(d for d in datasets if name not in scores[d]) for name in names}
    kept = [name for name in names if not missing[name]]
    if len(datasets) < 2 or len(kept) < 2:
        return None
    found = of_scores([[scores[dataset][name] for name in kept] for dataset in datasets], smaller=smaller)
    order = sorted(range(len(kept)), key=lambda i: found.average_ranks[i])
    place = {i: at for at, i in enumerate(order)}
    return Diagram(
        title=title,
        names=tuple(kept[i] for i in order),
        average_ranks=tuple(found.average_ranks[i] for i in order),
        critical_difference=found.critical_difference,
        cliques=tuple(tuple(kept[i] for i in sorted(clique, key=place.__getitem__)) for clique in found.cliques),
        friedman_p=found.friedman_p,
        iman_davenport_p=found.iman_davenport_p,
        datasets=tuple(map(plain, datasets)),
        left_out=tuple((name, tuple(map(plain, where))) for name, where in missing.items() if where),
    )
