"""Methods by name in results: ``lcm``, ``lcm(quick)+2sknn``, ``seph[anchors=random]``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.core.names import registered_part
from cmrbench.report.model import Row
from cmrbench.report.wording import USUAL_RETRIEVAL, plain

FORM = "METHOD[(PRESET)][[PARAMETER=VALUE,...]][+STRATEGY]"
_NAME = re.compile(
    r"(?P<method>[^()\[\]+\s]+)\s*(?:\((?P<preset>[^()]*)\))?\s*(?:\[(?P<params>.*)\])?\s*(?:\+\s*(?P<retrieval>\S+))?"
)


@dataclass(frozen=True)
class Contender:
    """A method in one setting, ranked by one strategy, on whatever dataset.

    Attributes
    ----------
    method, preset : str
        A preset that is named after the dataset is left out: it is another one on each.
    params : str
        ``"anchors=random,64-d"``: parameters by name, then the dimension; empty for the defaults.
    retrieval : str
        Empty for the usual strategy of the method's output.
    """

    method: str
    preset: str = ""
    params: str = ""
    retrieval: str = ""

    def __str__(self) -> str:
        preset = f"({self.preset})" if self.preset else ""
        params = f"[{self.params}]" if self.params else ""
        retrieval = f"+{self.retrieval}" if self.retrieval else ""
        return plain(f"{self.method}{preset}{params}{retrieval}")


Settings = Mapping[str, tuple[str, str, str, int | None, str]]
"""By run key: method, preset, parameters as JSON, dimension, dataset."""


def contender(row: Row, output: str, settings: Settings) -> Contender | None:
    """What a leaderboard's row is called; None for chance."""
    known = [settings[key] for key in row.run_keys if key in settings]
    if not row.method or not known:
        return None
    method, preset, params, dim, dataset = known[0]
    parts = [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in sorted(json.loads(params or "{}").items())]
    parts += [f"{dim}-d"] if dim is not None else []
    return Contender(
        method,
        "" if preset == registered_part(dataset) else preset,
        ",".join(parts),
        "" if row.retrieval == USUAL_RETRIEVAL.get(output) else row.retrieval,
    )


def chosen(texts: Sequence[str], known: Iterable[Contender]) -> list[Contender]:
    """The contenders that a user names, in that order.

    A full name stands for itself; a shorter one, which leaves out preset, parameters or strategy, for the only
    contender that it fits.

    Raises
    ------
    UnknownNameError, UsageError
        If the results hold no such method, or the name fits none or several, which are listed; for a method that is
        named twice.
    """
    listed = sorted(set(known), key=str)
    found: list[Contender] = []
    for text in texts:
        one = _one(text, listed)
        if one in found:
            raise UsageError(f"{text!r} names {one} a second time: name two different methods or settings")
        found.append(one)
    return found


def _one(text: str, known: Sequence[Contender]) -> Contender:
    for each in known:
        if str(each).lower() == plain(text).lower():
            return each
    parts = _NAME.fullmatch(text.strip())
    if parts is None:
        raise UsageError(f"{text!r} is no name of a method in results; expected {FORM}, such as lcm(quick)+2sknn")
    asked = {name: value.strip().lower() for name, value in parts.groupdict().items() if value is not None}
    of_method = [each for each in known if each.method.lower() == asked["method"]]
    if not of_method:
        raise UnknownNameError("method", parts["method"], {each.method for each in known}, "(looked in the results)")
    fitting = [e for e in of_method if all(getattr(e, name).lower() == value for name, value in asked.items())]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise UsageError(f"the results hold no {text}; of {parts['method']} they hold {_listed(of_method)}")
    raise UsageError(f"{text!r} could be {_listed(fitting, ' or ')}: name one of them")


def _listed(contenders: Sequence[Contender], last: str = ", ") -> str:
    return last.join(map(str, contenders))
