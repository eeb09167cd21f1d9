"""What the papers' own notation means: papers, tables, metrics, flags, variants (data/words.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from cmrbench.published.select import Selector


@dataclass(frozen=True)
class FlagWords:
    """What a flag says.

    `kind` is ``"origin"``, ``"suspect"`` or ``"note"``. An origin has a `short` form for columns, and as `source` the
    paper that is quoted.
    """

    kind: str
    words: str
    source: str = ""
    short: str = ""


@dataclass(frozen=True)
class Registered:
    """A registered method whose published rows stand under another name."""

    method: str
    setting: str
    note: str


@cache
def read_words() -> Mapping[str, Any]:
    """The file as it is."""
    found: Mapping[str, Any] = read_yaml("words.yaml")
    return found


def read_yaml(name: str) -> Any:
    """A YAML file of the package's data."""
    import yaml

    return yaml.safe_load((resources.files("cmrbench.published") / "data" / name).read_text(encoding="utf-8"))


def papers() -> Mapping[str, str]:
    """Short title of each paper, by its key."""
    return {key: paper["short"] for key, paper in read_words()["papers"].items()}


def paper_title(paper: str) -> str:
    """The full title."""
    return str(read_words()["papers"][paper]["title"])


def tables(paper: str) -> Mapping[str, str]:
    """What each table of a paper is about, in the order of the paper; also passages of its text that give numbers."""
    return {str(name): str(title) for name, title in read_words()["tables"][paper].items()}


def table_name(paper: str, table: str) -> str:
    """``"Survey Table VII"``, ``"LCM text 5.1"``."""
    return f"{papers()[paper]} {table}" if table.startswith("text") else f"{papers()[paper]} Table {table}"


@cache
def flag_words(flag: str) -> FlagWords:
    """What a flag says.

    Raises
    ------
    KeyError
        If nobody has written that down.
    """
    return FlagWords(**read_words()["flags"][flag])


def words_of(flags: tuple[str, ...], *kinds: str) -> tuple[str, ...]:
    """What the flags say, those of these kinds (default: all)."""
    found = [flag_words(flag) for flag in flags]
    return tuple(one.words for one in found if not kinds or one.kind in kinds)


@cache
def _settings() -> tuple[tuple[Selector, str, str], ...]:
    rules = read_words()["settings"]
    return tuple((Selector.of(rule["where"]), rule["setting"], rule.get("words", "")) for rule in rules)


def setting_of(row: object, variant: str) -> str:
    """The setting of a row that has the fields paper, table, method and variant."""
    return next((setting for fits, setting, _ in _settings() if fits.fits(row)), variant or "plain")


def setting_words(setting: str) -> str:
    """``"with the two-stage kNN search"``; empty for the plain method, the setting itself where it needs no words."""
    if setting == "plain":
        return ""
    return next((words for _, name, words in _settings() if name == setting), setting)


@cache
def registered() -> Mapping[str, Registered]:
    """Registered methods whose published rows stand under another name."""
    return {name: Registered(**entry) for name, entry in read_words()["registered"].items()}
