"""A leaderboard as a value: what the renderers print, with nothing left to decide but the typography."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import groupby

DIGITS = 3
"""Digits after the point, as in the survey's tables; ranks are taken on the printed digits."""

DASH = "—"
AVERAGE = "average"
ROW_HEADS = ("Method", "Category", "Source")
"""Heads of what every row begins with."""

LEGEND = (
    "Numbers are means over seeds, ± the sample standard deviation where there are several seeds. Ranks go by the "
    "printed digits unless the table says what is bold; baselines and rows that read gallery labels are shown for "
    "comparison and not ranked."
)


@dataclass(frozen=True)
class TableKey:
    """What numbers share that may be compared; numbers that differ in any of it never stand in one column.

    A leaderboard's key holds what all of its columns share. Where a table shows several datasets side by side, the
    rest is in the keys of its columns or groups; what is empty there is as in the leaderboard's key.
    """

    dataset: str = ""
    dataset_fingerprint: str = ""
    feature_set: str = ""
    output: str = ""
    protocol: str = ""
    protocol_fingerprint: str = ""
    gallery_codes: str = ""
    metric: str = ""

    def within(self, outer: TableKey) -> TableKey:
        """This key with its empty fields taken from another one."""
        return TableKey(**{f.name: getattr(self, f.name) or getattr(outer, f.name) for f in fields(TableKey)})


OURS, PUBLISHED, DIFFERENCE = "ours", "published", "difference"
"""Kinds of columns: what was measured, what a paper prints, and the first less the second."""


@dataclass(frozen=True)
class Column:
    """One column of numbers: the mean over `directions`, at one code length.

    Attributes
    ----------
    heads : tuple of str
        Header lines, the outermost first: ``("image → text", "16 bits")``. Neighbours that agree in a line and in all
        lines above it share its cell.
    directions : tuple of str
        The directions that are averaged, as records name them (``"image->text"``); empty where the groups of rows
        tell the direction.
    bits : int or None
        Hash code length; None in tables of real-valued methods.
    key : TableKey
        What all numbers of the column share beyond the leaderboard's key.
    kind : str
        ``"ours"``, ``"published"`` or ``"difference"``.
    """

    heads: tuple[str, ...]
    directions: tuple[str, ...] = ()
    bits: int | None = None
    key: TableKey = TableKey()
    kind: str = OURS

    @property
    def name(self) -> str:
        """All header lines in one, such as ``"image → text 16 bits"``."""
        return " ".join(head for head in self.heads if head)


def size_of(bits: int | None) -> tuple[str, ...]:
    """The header line of a code length: ``("16 bits",)``, or none."""
    return () if bits is None else (f"{bits} bits",)


def header(columns: Sequence[Column]) -> list[list[tuple[str, int]]]:
    """The header lines of columns from the outermost in: text and width (in columns) of every cell.

    Columns with fewer lines than others are empty in the innermost ones.
    """
    depth = max((len(column.heads) for column in columns), default=0)
    padded = [column.heads + ("",) * (depth - len(column.heads)) for column in columns]
    lines = []
    for line in range(depth - 1):
        runs = groupby(padded, key=lambda heads: heads[: line + 1])
        lines.append([(heads[-1], len(list(same))) for heads, same in runs])
    return [*lines, [(heads[-1], 1) for heads in padded]] if depth else []


@dataclass(frozen=True)
class Span:
    """What a number would have been with the relevant items last and first among those of equal score."""

    pessimistic: float
    optimistic: float

    def __str__(self) -> str:
        return f"({self.pessimistic:.{DIGITS}f}..{self.optimistic:.{DIGITS}f})"


NO_SPAN = "(—)"
INSIDE = "≈"


@dataclass(frozen=True)
class Cell:
    """A number with its spread, or a word that says why there is none.

    Attributes
    ----------
    mean, std : float or None
        Over seeds; `std` (divisor n - 1) is None for fewer than two seeds.
    seeds : int
        How many seeds the mean is taken over.
    word : str
        Shown instead of a number: ``"timeout"``, ``"declined"``, ``"NaN"``, or a dash where nothing was asked.
    rank : str
        ``"best"``, ``"second"`` or empty.
    note : int
        Number of the footnote, 0 for none.
    span : Span or None
        Means over the same seeds under the two extreme orders of ties, where they were asked for.
    lacks_span : bool
        Whether a span was asked for and not measured.
    digits : int
        Digits after the point.
    signed : bool
        Whether a plus sign is printed: the number is a difference.
    inside : bool or None
        Of a difference: whether the published number lies in the interval of ours over seeds; None where there is
        no interval.
    tied : bool
        Whether the number shares the rank of the best one because a test cannot tell them apart.
    p_best : float or None
        Of that test, adjusted for all comparisons of the table; None for the best number, and where none was made.
    """

    mean: float | None = None
    std: float | None = None
    seeds: int = 0
    word: str = DASH
    rank: str = ""
    note: int = 0
    span: Span | None = None
    lacks_span: bool = False
    digits: int = DIGITS
    signed: bool = False
    inside: bool | None = None
    tied: bool = False
    p_best: float | None = None

    @property
    def number(self) -> str:
        """The mean as printed, or the word."""
        return self.word if self.mean is None else f"{self.mean:{'+' if self.signed else ''}.{self.digits}f}"

    @property
    def spread(self) -> str:
        """``"±0.012"``, or empty."""
        return "" if self.std is None else f"±{self.std:.{self.digits}f}"

    @property
    def ends(self) -> str:
        """``"(0.498..0.527)"``: the span, pessimistic..optimistic; ``"(—)"`` where it is missing; or empty."""
        return NO_SPAN if self.lacks_span else str(self.span or "")

    @property
    def aside(self) -> str:
        """Spread, span and ``"≈"`` of a number inside the interval: what is printed smaller behind the number."""
        return " ".join(part for part in (self.spread, self.ends, INSIDE if self.inside else "") if part)


@dataclass(frozen=True)
class Row:
    """One method in one setting, ranked by one retrieval strategy.

    Attributes
    ----------
    title : str
        ``"LCM k=100 + 2sknn"``: the method's title, what was set, and the strategy where it is not the usual one.
    method, group, source : str
        Registered name, sub-group in the survey, venue and year.
    cells : tuple of Cell
        One for each column of the leaderboard.
    flags : tuple of str
        As in records: ``"label-reading"``, ``"learned-codes"``, ``"test-selected"``, ``"transductive"``.
    marks : tuple of str
        Symbols behind the title, explained in the leaderboard's notes.
    fit_seconds : float or None
        Wall seconds of `fit`, mean over seeds, at the longest code.
    peak_bytes : int or None
        Peak resident memory of the run's process, largest over seeds, at the longest code.
    ranked : bool
        Whether the row can be best or second.
    run_keys : tuple of str
        The runs behind the row, sorted, those that did not finish included.
    retrieval : str
        The strategy that ranks; empty where no run finished.
    info : mapping of str to str
        What the method declares: supervision, category and what else its records hold.
    """

    title: str
    method: str = ""
    group: str = ""
    source: str = ""
    cells: tuple[Cell, ...] = ()
    flags: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    fit_seconds: float | None = None
    peak_bytes: int | None = None
    ranked: bool = True
    run_keys: tuple[str, ...] = ()
    retrieval: str = ""
    info: Mapping[str, str] = field(default_factory=dict)

    @property
    def fit(self) -> str:
        """Fit seconds as printed."""
        if self.fit_seconds is None:
            return DASH
        return f"{self.fit_seconds:.1f}" if self.fit_seconds < 100 else f"{self.fit_seconds:.0f}"

    @property
    def peak(self) -> str:
        """Peak memory in MiB as printed."""
        return DASH if self.peak_bytes is None else f"{self.peak_bytes / 2**20:.0f}"


@dataclass(frozen=True)
class Group:
    """Rows that stand together, such as one category of the survey's taxonomy.

    Attributes
    ----------
    title : str
    rows : tuple of Row
    directions : tuple of str
        Of all numbers of the group, where its columns do not tell them.
    key : TableKey
        What all numbers of the group share beyond the leaderboard's key.
    """

    title: str
    rows: tuple[Row, ...]
    directions: tuple[str, ...] = ()
    key: TableKey = TableKey()


@dataclass(frozen=True)
class Note:
    """A mark (``"†"``, ``"(quick)"``, ``"1"``) and what it means. Digits number the footnotes of cells."""

    mark: str
    text: str


@dataclass(frozen=True)
class Leaderboard:
    """One table: what it is about, its columns, its rows by category, and what its marks mean."""

    key: TableKey
    title: str
    facts: tuple[tuple[str, str], ...]
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    notes: tuple[Note, ...]
    costs: bool = True
    """Whether fit seconds and peak memory of every row are shown at the end of it."""

    def key_of(self, group: Group, column: Column) -> TableKey:
        """What the numbers of a column share in a group of rows."""
        return column.key.within(group.key).within(self.key)

    @property
    def rows(self) -> Iterator[Row]:
        """All rows, in the order of the table."""
        for group in self.groups:
            yield from group.rows


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def superscript(number: int | str) -> str:
    """A footnote number in superscript digits; empty for 0; other marks unchanged."""
    return str(number).translate(_SUPERSCRIPTS) if number else ""
