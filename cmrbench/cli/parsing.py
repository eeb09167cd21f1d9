"""A user's strings are parsed here, once: lists, durations, sizes, settings; and what tab completion offers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cmrbench.core.errors import UnknownNameError, UsageError

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNITS |= {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def names(text: str | None, option: str) -> tuple[str, ...]:
    """``"a,b"`` as ``("a", "b")``; an empty part is an error."""
    if text is None:
        return ()
    parts = [p.strip() for p in text.split(",")]
    if not all(parts):
        raise UsageError(f"{option} {text!r} holds an empty name: separate names by single commas")
    return tuple(parts)


def all_names(given: Iterable[str], option: str) -> tuple[str, ...]:
    """The names of an option that may be given several times, each time with several names."""
    return tuple(name for text in given for name in names(text, option))


def known_format(format: str | None, as_json: bool, known: Sequence[str]) -> str | None:
    """The one format that ``--format`` or ``--json`` asks for; None where neither is given."""
    if as_json and format not in (None, "json"):
        raise UsageError(f"--json and --format {format} exclude each other: give one of them")
    if format is not None and format not in known:
        raise UnknownNameError("format", format, known)
    return "json" if as_json else format


def integers(text: str | None, option: str) -> tuple[int, ...]:
    """``"16,32"`` as ``(16, 32)``."""
    try:
        return tuple(int(p) for p in names(text, option))
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: expected whole numbers separated by commas, such as 16,32") from error


def replays(text: str | None, option: str = "--replay") -> dict[str, tuple[str, int | None]]:
    """``"ucch,ucch@50"`` as ``{"ucch": ("ucch", None), "ucch@50": ("ucch", 50)}``: names and cut-offs of replays."""
    from cmrbench.metrics.replays import REPLAYS

    found: dict[str, tuple[str, int | None]] = {}
    for part in names(text, option):
        name, at, k = part.partition("@")
        if name not in REPLAYS:
            raise UnknownNameError("replay", name, REPLAYS)
        if at and not REPLAYS[name].takes_k:
            own = REPLAYS[name].cut or "the whole ranking"
            raise UsageError(f"{option} {part!r}: {name} takes no cut-off; its own is {own}")
        if at and not re.fullmatch(r"[1-9][0-9]{0,8}", k):
            raise UsageError(f"{option} {part!r}: the cut-off must be a whole number from 1 up, as in {name}@50")
        found[part] = name, int(k) if at else None
    return found


def metric_name(text: str) -> str:
    """The name under which results keep a metric: ``map@50`` and ``mAP@50[hits]`` are ``mAP@50``."""
    from cmrbench.metrics import Metric

    return str(Metric.parse(text))


def duration(text: str | None, option: str = "--timeout") -> float | None:
    """Seconds of ``"30m"``, ``"1h30m"``, ``"90s"``, ``"90"``; ``"none"`` is no limit."""
    if text is None or text == "none":
        return None
    match = _DURATION.fullmatch(text.strip().lower())
    if not match or not any(match.groups()):
        raise UsageError(f"{option} {text!r}: expected a duration such as 90s, 30m or 1h30m, or none")
    hours, minutes, seconds = (float(g or 0) for g in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total <= 0:
        raise UsageError(f"{option} must be more than 0, not {text!r}")
    return total


def size(text: str | None, option: str = "--max-memory") -> int | None:
    """Bytes of ``"8GiB"``, ``"512MB"``, ``"1000000"``; ``"none"`` is no limit."""
    if text is None or text == "none":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?", text.strip().lower())
    if not match:
        raise UsageError(f"{option} {text!r}: expected a size such as 8GiB or 512MB, or none")
    total = int(float(match[1]) * _UNITS[match[2] or ""])
    if total <= 0:
        raise UsageError(f"{option} must be more than 0, not {text!r}")
    return total


def settings(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``["lcm.k=50"]`` as ``{"lcm": {"k": 50}}``; values are read as YAML scalars and lists."""
    import yaml

    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        match = re.fullmatch(r"([\w-]+)\.(\w+)=(.*)", text, flags=re.DOTALL)
        if not match:
            raise UsageError(f"--set {text!r}: expected NAME.PARAMETER=VALUE, such as lcm.k=50")
        name, parameter, value = match.groups()
        if parameter in found.get(name, {}):
            raise UsageError(f"--set gives {name}.{parameter} twice")
        try:
            found.setdefault(name, {})[parameter] = _number(yaml.safe_load(value))
        except yaml.YAMLError as error:
            raise UsageError(f"--set {text!r}: the value cannot be read") from error
    return found


def _number(value: Any) -> Any:
    """YAML takes ``1e-3`` for text; people mean a number."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+", value):
        return float(value)
    return [_number(v) for v in value] if isinstance(value, list) else value


def complete_methods(incomplete: str) -> Iterator[str]:
    """Registered methods that go on from the last name of a comma-separated list."""
    from cmrbench.registry import load_methods

    yield from _continue(incomplete, load_methods().names())


def complete_datasets(incomplete: str) -> Iterator[str]:
    """Registered datasets that go on from the last name of a comma-separated list."""
    from cmrbench.data import load_catalogue

    yield from _continue(incomplete, load_catalogue().names())


def complete_suites(incomplete: str) -> Iterator[str]:
    """The project's suites."""
    from cmrbench.run.suites import suites

    yield from _continue(incomplete, suites())


def complete_checks(incomplete: str) -> Iterator[str]:
    """Conformance checks that go on from the last name of a comma-separated list."""
    from cmrbench.testing import all_checks

    yield from _continue(incomplete, [check.name for check in all_checks()])


def complete_retrievals(incomplete: str) -> Iterator[str]:
    """Retrieval strategies that go on from the last name of a comma-separated list."""
    from cmrbench.retrieval import STRATEGIES

    yield from _continue(incomplete, list(STRATEGIES))


def complete_replays(incomplete: str) -> Iterator[str]:
    """Replays of released code that go on from the last name of a comma-separated list."""
    from cmrbench.metrics.replays import REPLAYS

    yield from _continue(incomplete, list(REPLAYS))


def complete_tables(incomplete: str) -> Iterator[str]:
    """Tables that `cmrbench report --table` makes."""
    from cmrbench.report.named import ALL, tables

    yield from _continue(incomplete, [*tables(), ALL])


def complete_published_methods(incomplete: str) -> Iterator[str]:
    """Methods with a published number that go on from the last name of a comma-separated list."""
    from cmrbench.published import cells

    yield from _continue(incomplete, list(dict.fromkeys(cell.method for cell in cells())))


def complete_published_tables(incomplete: str) -> Iterator[str]:
    """Tables of published numbers, named with their paper."""
    from cmrbench.published import papers, tables

    yield from _continue(incomplete, [f"{p}{t}" for p in papers() for t in tables(p) if " " not in t])


def complete_papers(incomplete: str) -> Iterator[str]:
    """Papers whose numbers are kept."""
    from cmrbench.published import papers

    yield from _continue(incomplete, list(papers()))


def _continue(incomplete: str, known: Sequence[str] | dict[str, Any]) -> Iterator[str]:
    before, comma, last = incomplete.rpartition(",")
    for name in known:
        if name.startswith(last) and name not in before.split(","):
            yield f"{before}{comma}{name}"
