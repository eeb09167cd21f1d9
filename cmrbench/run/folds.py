"""Folds: query and gallery measured in disjoint parts, each with its own gallery, and the mean over the parts.

MS-COCO's test set is reported so: "1K" is the mean over five disjoint parts of 1,000 pictures with their 5,000
captions, in the order of the file (Faghri et al., BMVC 2018; Lee et al., ECCV 2018, `fold5` of the released code).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.core.protocol import Protocol
from cmrbench.metrics.evaluation import Evaluation


@dataclass(frozen=True, eq=False)
class Fold:
    """One part: the rows of its queries and of its gallery items, by modality, in ascending order."""

    query: Mapping[str, np.ndarray]
    gallery: Mapping[str, np.ndarray]


def cut(protocol: Protocol, queries: Mapping[str, Items], gallery: Mapping[str, Items]) -> list[Fold]:
    """Cut queries and gallery into ``protocol.folds`` parts of consecutive instances.

    Instances are in the order in which they first appear: in the queries, modality after modality, then in the gallery.
    Where their number is no multiple of the folds, the first parts have one instance more. An item of any modality is
    in the part of its instance, so that whatever is relevant to a query stays in its gallery.

    Raises
    ------
    DataError
        If relevance is not by instance, there are fewer instances than folds, or a part has no item of a modality.
    """
    where = f"protocol {protocol.name} is measured in {protocol.folds} folds"
    if protocol.relevance != "instance":
        raise DataError(f"{where} of instances, but its relevance is by {protocol.relevance}; use relevance: instance")
    order = dict.fromkeys(chain.from_iterable(i.instances.tolist() for i in chain(queries.values(), gallery.values())))
    if len(order) < protocol.folds:
        raise DataError(f"{where}, but query and gallery hold {len(order)} instances")
    numbers = np.array_split(np.arange(len(order)), protocol.folds)
    number_of = dict(zip(order, np.repeat(np.arange(protocol.folds), [len(n) for n in numbers]).tolist(), strict=True))
    sides = [{m: _rows(items, number_of, protocol.folds) for m, items in side.items()} for side in (queries, gallery)]
    for name, side in zip(("query", "gallery"), sides, strict=True):
        for modality, rows in side.items():
            empty = next((k for k, r in enumerate(rows) if not len(r)), None)
            if empty is not None:
                raise DataError(f"{where}, but fold {empty + 1} has no {modality} {name} item")
    return [Fold(*({m: rows[k] for m, rows in side.items()} for side in sides)) for k in range(protocol.folds)]


def _rows(items: Items, number_of: Mapping[str, int], folds: int) -> list[np.ndarray]:
    numbers = np.array([number_of[i] for i in items.instances.tolist()], dtype=np.intp)
    return [np.flatnonzero(numbers == k) for k in range(folds)]


def combine(rows: Sequence[np.ndarray], parts: Sequence[Evaluation]) -> Evaluation:
    """What the parts give together.

    Parameters
    ----------
    rows : sequence of ndarray
        The queries of each part, as row numbers among all queries.
    parts : sequence of Evaluation

    Returns
    -------
    Evaluation
        ``values`` and ``chance``: the mean over the parts, each counting once; NaN where one of them is. ``stderr``:
        the parts hold different queries, so their errors add in squares: sqrt(sum of squares) / folds. ``per_query``:
        every query's value in its own part, in the order of all queries. ``n_gallery``: that of the largest part.
    """
    n, folds = sum(map(len, rows)), len(parts)
    result = Evaluation({}, {}, {}, {}, {}, n, max(p.n_gallery for p in parts))
    for metric in parts[0].values:
        result.values[metric] = float(np.mean([p.values[metric] for p in parts]))
        result.chance[metric] = float(np.mean([p.chance[metric] for p in parts]))
        result.stderr[metric] = float(np.linalg.norm([p.stderr[metric] for p in parts])) / folds
        result.counted[metric] = float(np.sum([p.counted[metric] for p in parts]))
        values = np.full(n, np.nan)
        for at, part in zip(rows, parts, strict=True):
            values[at] = part.per_query[metric]
        result.per_query[metric] = values
    return result
