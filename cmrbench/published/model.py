"""Published numbers as values: what a paper prints in one cell, and where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """What a cell of a paper's table stands for.

    Attributes
    ----------
    paper, table : str
        ``"survey"``, ``"lcm"`` or ``"drcl"``; ``"VII"``, ``"2"``, ``"text 5.1"``.
    method : str
        Name of the method across papers; the registered name where the method is registered.
    method_name, method_printed : str
        Its usual spelling, and the one of this table.
    dataset : str
        Registered name of the dataset that was measured.
    dataset_printed : str
        The table's heading; names another dataset in some tables (finding P3).
    category, venue : str
        The table's own columns; empty where it has none.
    features : str
        As far as the paper states them.
    task : str
        ``"image->text"``; ``"image<->text"`` for the printed average over both directions, ``"all"`` over all
        directions of five modalities; empty for times.
    directions : tuple of str
        The directions that the number is about, one or several.
    metric, metric_printed : str
        In cmrbench's names (`hit@1` for the recall of image-text matching), and in the table's.
    bits : int or None
        Code length.
    variant, setting : str
        What the table says of a row beside the method's name; the key under which rows of several tables claim to be
        the same: ``"plain"``, ``"2sknn"``, ``"unsupervised"``, or the variant itself.
    flags : tuple of str
        See `words_of`.
    reference : str
        Number in the paper's list of references; may be empty.
    line : int
        Line of the paper's text; rows of a table in the order of their lines are in printed order.
    """

    paper: str
    table: str
    method: str
    method_name: str
    method_printed: str
    dataset: str
    dataset_printed: str
    category: str
    venue: str
    features: str
    task: str
    directions: tuple[str, ...]
    metric: str
    metric_printed: str
    bits: int | None
    variant: str
    setting: str
    flags: tuple[str, ...]
    reference: str
    line: int

    @property
    def is_average(self) -> bool:
        """Whether the number is a printed average over directions."""
        return len(self.directions) > 1

    @property
    def search(self) -> str:
        """``"2sknn"`` for the two-stage kNN search, else empty."""
        return "2sknn" if self.setting == "2sknn" else ""


@dataclass(frozen=True)
class PublishedCell(Place):
    """One printed number: `value`, and `printed` as the paper has it (0.60 stays 0.60)."""

    value: float
    printed: str


@dataclass(frozen=True)
class MissingCell(Place):
    """A cell that the paper prints as a dash."""


@dataclass(frozen=True)
class PublishedTime:
    """Seconds of training and of testing, as the survey's Table IX prints them.

    `train` and `test` are seconds, `train_printed` and `test_printed` their text. What "test" covers is not stated.
    """

    paper: str
    table: str
    method: str
    method_name: str
    category: str
    dataset: str
    dataset_printed: str
    bits: int
    train: float
    train_printed: str
    test: float
    test_printed: str
    reference: str
    line: int


@dataclass(frozen=True)
class QueryTime:
    """Seconds that ranking the retrieval set took for one query, as LCM's text gives them."""

    paper: str
    where: str
    method: str
    search: str
    dataset: str
    seconds: float
    printed: str
    line: int


@dataclass(frozen=True)
class PublishedMethod:
    """A method that the papers name, with or without a printed number.

    `supervised` is ``"yes"``, ``"no"``, ``"weak"`` or ``"unknown"``, `output` ``"real"``, ``"hash"`` or ``"n/a"``;
    what they rest on is in `supervised_basis` and `output_basis`. `venues` are the tables' (``"survey:TIP16"``),
    `venue` is the reference's.
    """

    method: str
    name: str
    names_printed: tuple[str, ...]
    category: str
    group: str
    subcategory: str
    venue: str
    venues: tuple[str, ...]
    supervised: str
    supervised_basis: str
    output: str
    output_basis: str
    reference: str
    notes: str


@dataclass(frozen=True)
class PublishedSplit:
    """Sizes of one modality's parts in one paper, and its features.

    `train`, `val`, `retrieval` and `query` are numbers of items; `retrieval` is None where the paper does not tell it
    from the query items.
    """

    paper: str
    dataset: str
    dataset_printed: str
    classes: int
    modality: str
    train: int
    val: int
    retrieval: int | None
    query: int
    features: str
    dims: str
    note: str

    @property
    def sizes(self) -> str:
        """``"1942/215/462/462"``: train, validation, retrieval set, query; a dash for what is not told."""
        return "/".join("-" if n is None else str(n) for n in (self.train, self.val, self.retrieval, self.query))


@dataclass(frozen=True)
class PublishedDataset:
    """A dataset that the papers name: `names` as they print it, `labels` as the survey's Table IV codes them (S, M)."""

    dataset: str
    names: tuple[str, ...]
    instances: str
    classes: str
    modalities: str
    labels: str
    source: str
    notes: str
