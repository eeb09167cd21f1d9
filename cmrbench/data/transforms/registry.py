"""The transforms by name, and how their texts are read."""

from __future__ import annotations

import math
import re

from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.data.transforms.base import Transform
from cmrbench.data.transforms.classes import Unseen
from cmrbench.data.transforms.features import Jitter
from cmrbench.data.transforms.labels import AsymmetricNoise, SymmetricNoise
from cmrbench.data.transforms.pairs import Missing, Unpaired
from cmrbench.data.transforms.size import TrainShare

TRANSFORMS: dict[str, type[Transform]] = {
    t.name: t for t in (SymmetricNoise, AsymmetricNoise, Unpaired, Missing, TrainShare, Jitter, Unseen)
}


def parse(text: str) -> Transform:
    """The transform that a text names; its `text` is the canonical form of it.

    Parameters
    ----------
    text : str
        ``NAME=AMOUNT`` with words of the transform's own and ``seed=N``, separated by colons, such as
        ``missing=text:0.2:seed=3``.

    Raises
    ------
    UsageError
        If the name is unknown, the amount is no number or out of bounds, or a word means nothing.
    """
    name, _, value = text.partition("=")
    if name not in TRANSFORMS:
        raise UnknownNameError("transform", name, TRANSFORMS, "'cmrbench list transforms' shows all.")
    kind = TRANSFORMS[name]
    amounts, words, seeds = [], [], []
    for part in value.split(":"):
        if part.startswith("seed="):
            seeds.append(part.removeprefix("seed="))
        elif re.fullmatch(r"[0-9]*\.?[0-9]+(e-?[0-9]+)?", part):
            amounts.append(float(part))
        else:
            words.append(part)
    if len(amounts) != 1 or "" in words or len(seeds) > 1:
        raise UsageError(f"{text!r} is not a transform; expected {kind.form()}")
    if not (0 < amounts[0] <= kind.most and math.isfinite(amounts[0])):
        raise UsageError(f"{text!r}: the amount must be more than 0 and at most {kind.most:g}, not {amounts[0]:g}")
    if seeds and not re.fullmatch(r"[0-9]{1,9}", seeds[0]):
        raise UsageError(f"{text!r}: the seed must be a whole number from 0 up, not {seeds[0]!r}")
    return kind.of(float(f"{amounts[0]:.10g}"), int(seeds[0]) if seeds else 0, words)
