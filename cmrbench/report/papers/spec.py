"""Which tables there are, and what the published data do not tell of them (tables.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from cmrbench.core.errors import UnknownNameError
from cmrbench.published import TableLayout, layout, table_name
from cmrbench.report.model import AVERAGE, DIGITS
from cmrbench.report.spans import SECONDS

STAGES = {"train": ("fit_s",), "test": ("encode_s", "evaluate_s")}
"""What a table of times shows, and the columns of the store that add up to it."""


@dataclass(frozen=True)
class PaperTable:
    """A paper's table as `cmrbench report --table` makes it; see tables.yaml for the fields.

    Attributes
    ----------
    name : str
        ``"VII"``, ``"lcm2"``.
    """

    name: str
    paper: str
    table: str
    output: str
    categories: tuple[str, ...]
    blocks: str = ""
    halves: bool = False
    digits: int = DIGITS
    seconds: bool = False
    heads: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def layout(self) -> TableLayout:
        """Rows and columns in printed order."""
        return layout(self.paper, self.table)

    @property
    def title(self) -> str:
        """``"Survey Table VII"``."""
        return table_name(self.paper, self.table)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Directions and averages, or the stages of a table of times."""
        return tuple(STAGES) if self.seconds else self.layout.tasks

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics in cmrbench's names."""
        return (SECONDS,) if self.seconds else self.layout.metrics

    def task_head(self, task: str) -> str:
        """A task as a table heads it: ``"image → text"``."""
        if task in self.heads:
            return self.heads[task]
        return AVERAGE if task == "all" or "<->" in task else task.replace("->", " → ")


def directions_of(task: str, tasks: tuple[str, ...]) -> tuple[str, ...]:
    """The directions that a task averages: one, both of a pair, or all single ones of the table."""
    first, both, second = task.partition("<->")
    if both:
        return f"{first}->{second}", f"{second}->{first}"
    return tuple(t for t in tasks if t != task) if task == "all" else (task,)


def table_names() -> tuple[str, ...]:
    """Names of the tables, in the order of the papers."""
    return tuple(_read()["tables"])


@cache
def read_table(name: str) -> PaperTable:
    """The table of that name.

    Raises
    ------
    UnknownNameError
        If there is none.
    """
    found = _read()["tables"]
    if name not in found:
        raise UnknownNameError("table", name, found)
    told: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in found[name].items()}
    return PaperTable(name=name, **told)


def same_features(paper: str, dataset: str, feature_set: str) -> bool:
    """Whether a feature set is known to be the one that a paper's numbers on a dataset rest on."""
    return feature_set in _read()["features"].get(paper, {}).get(dataset, ())


@cache
def _read() -> Mapping[str, Any]:
    import yaml

    text = (resources.files("cmrbench.report.papers") / "tables.yaml").read_text(encoding="utf-8")
    found: Mapping[str, Any] = yaml.safe_load(text)
    return found
