"""Suites: named lists of runs, the project's own and those of a user's configuration file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.run.plan import DEFAULT_BITS, RunRequest


class Entry(BaseModel):
    """One grid of runs; the fields are those of `RunRequest`."""

    model_config = ConfigDict(extra="forbid")

    methods: list[str]
    datasets: list[str]
    bits: list[int] = list(DEFAULT_BITS)
    dim: int | None = None
    seeds: int | list[int] = 1
    preset: str = "auto"
    retrieval: list[str] = []
    set: dict[str, dict[str, Any]] = {}

    def request(self, device: str, threads: int) -> RunRequest:
        """The entry as a request."""
        return RunRequest(
            methods=tuple(self.methods),
            datasets=tuple(self.datasets),
            bits=tuple(self.bits),
            dim=self.dim,
            seeds=tuple(range(self.seeds)) if isinstance(self.seeds, int) else tuple(self.seeds),
            preset=self.preset,
            settings=self.set,
            retrievals=tuple(self.retrieval),
            device=device,
            threads=threads,
        )


class Suite(BaseModel):
    """A title, a list of grids, and the named table that shows their results (empty: leaderboards)."""

    model_config = ConfigDict(extra="forbid")

    title: str = ""
    table: Literal["", "VII", "VIII", "IX", "codes"] = ""
    entries: list[Entry] = Field(min_length=1)


class _SuiteFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    suites: dict[str, Suite]


def suites() -> dict[str, Suite]:
    """The project's own suites by name."""
    text = (resources.files("cmrbench.run") / "suites.yaml").read_text(encoding="utf-8")
    return _SuiteFile.model_validate(yaml.safe_load(text)).suites


def find_suite(name: str) -> Suite:
    """A suite by name.

    Raises
    ------
    UnknownNameError
    """
    known = suites()
    if name not in known:
        raise UnknownNameError("suite", name, known)
    return known[name]


def read_config(path: Path) -> Suite:
    """A user's configuration file: ``title`` and ``entries``, as one suite in suites.yaml.

    Raises
    ------
    UsageError
        If the file is missing, is not YAML, or has a key or value that does not belong.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"the configuration {path} cannot be read: {' '.join(str(error).split())}") from error
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"the configuration {path} is not valid: {_first_problem(error)}") from error


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(x) for x in first["loc"]) or "the top level"
    allowed = ", ".join(Entry.model_fields) if len(first["loc"]) > 1 else ", ".join(Suite.model_fields)
    return f"{where}: {first['msg']} (known keys: {allowed})"


def narrowed(
    suite: Suite, methods: Sequence[str], datasets: Sequence[str], bits: Sequence[int], seeds: int | None
) -> Suite:
    """A suite with the user's options on top: only these methods, these datasets instead, these bits and seeds.

    Raises
    ------
    UnknownNameError
        If a method is not in the suite.
    """
    known = {m for entry in suite.entries for m in entry.methods}
    for name in methods:
        if name not in known:
            hint = "(run other methods beside a suite by a second command on the same --results)"
            raise UnknownNameError("method of the suite", name, known, hint)
    entries = []
    for entry in suite.entries:
        update: dict[str, Any] = {}
        if methods:
            update["methods"] = [m for m in entry.methods if m in methods]
        if datasets:
            update["datasets"] = list(datasets)
        if bits:
            update["bits"] = list(bits)
        if seeds is not None:
            update["seeds"] = seeds
        changed = entry.model_copy(update=update)
        if changed.methods:
            entries.append(changed)
    return suite.model_copy(update={"entries": entries})
