"""Critical-difference diagrams as drawings: a line a method, its average rank, bars that join what does not differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cmrbench.report.critical import Diagram, critical_differences
from cmrbench.report.model import Leaderboard

LINE = 22
"""Height of a method's line."""
TOP = 54
LEFT, WIDTH, LANE = 210, 430, 14
"""Where the scale begins, how wide it is, and the width of a lane of bars, in pixels."""
MOST = 12


@dataclass(frozen=True)
class Mark:
    """One method: where its line and its average rank lie."""

    name: str
    rank: float
    x: float
    y: float


@dataclass(frozen=True)
class Bar:
    """Methods that do not differ: a bar from the first one's line to the last one's."""

    x: float
    first: float
    last: float


@dataclass(frozen=True)
class Drawing:
    """A diagram with all places worked out.

    Attributes
    ----------
    diagram : Diagram
    marks : tuple of Mark
    bars : tuple of Bar
    ticks : tuple of (float, int)
        Place and rank.
    reach : float
        Width of the critical difference on the scale, at most all of it.
    width, height : float
    """

    diagram: Diagram
    marks: tuple[Mark, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, int], ...]
    reach: float
    width: float
    height: float

    @property
    def verdict(self) -> str:
        """What the tests say, in words."""
        found = self.diagram
        over = f"{len(found.names)} methods over {len(found.datasets)} datasets ({', '.join(found.datasets)})"
        test = "" if found.friedman_p != found.friedman_p else f" Friedman p = {found.friedman_p:.2g}."
        return (
            f"{over}.{test} Average ranks that differ by more than {found.critical_difference:.2f} differ "
            "significantly (Nemenyi, 5 %)."
        )


def drawings(boards: Sequence[Leaderboard]) -> list[Drawing]:
    """The diagrams of some leaderboards, at most `MOST`, those over the most datasets and methods first."""
    found = sorted(critical_differences(boards), key=lambda d: (-len(d.datasets), -len(d.names)))
    return [_drawn(diagram) for diagram in found[:MOST]]


def _drawn(diagram: Diagram) -> Drawing:
    count = len(diagram.names)
    scale = WIDTH / max(count - 1, 1)
    lines = {name: TOP + LINE * i for i, name in enumerate(diagram.names)}
    marks = [
        Mark(name, rank, LEFT + (rank - 1) * scale, lines[name])
        for name, rank in zip(diagram.names, diagram.average_ranks, strict=True)
    ]
    lanes: list[float] = []
    bars = []
    for clique in diagram.cliques:
        first, last = lines[clique[0]], lines[clique[-1]]
        lane = next((i for i, end in enumerate(lanes) if end < first), len(lanes))
        lanes[lane : lane + 1] = [last]
        bars.append(Bar(LEFT + WIDTH + 52 + LANE * lane, first, last))
    step = max(1, round((count - 1) / 8))
    ticks = [(LEFT + (rank - 1) * scale, rank) for rank in range(1, count + 1, step)]
    width = LEFT + WIDTH + 64 + LANE * len(lanes)
    reach = min(diagram.critical_difference * scale, float(WIDTH))
    return Drawing(diagram, tuple(marks), tuple(bars), tuple(ticks), reach, width, TOP + LINE * count)
