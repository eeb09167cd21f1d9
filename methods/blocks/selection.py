"""Choosing an epoch on the validation items; the one place where methods use the metrics and retrieval rooms."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from cmrbench.core.errors import MethodError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cmrbench.core.items import Items
    from cmrbench.retrieval import Encoded

SELECTIONS = ("val", "last")


def check_selection(method: str, selection: str, val: Mapping[str, Items] | None) -> None:
    """Raise an error unless `selection` is known and, for ``"val"``, there are validation items."""
    if selection not in SELECTIONS:
        raise MethodError(f"{method}: selection is {selection!r}, expected one of {', '.join(SELECTIONS)}")
    if selection == "val" and (val is None or any(len(items) == 0 for items in val.values())):
        raise MethodError(f"{method} chooses its epoch on validation items and was given none; set selection=last")


def label_arrays(part: Mapping[str, Items]) -> dict[str, np.ndarray]:
    """Labels (n, C) of every modality; an error where they are missing."""
    labels = {m: items.labels for m, items in part.items() if items.labels is not None}
    if len(labels) < len(part):
        raise MethodError(f"choosing an epoch needs labels of {', '.join(m for m in part if m not in labels)}")
    return labels


def validation_map(
    representations: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], distance: str = "cosine"
) -> float:
    """Mean over all directions of mAP@all, ties in expectation, of validation items among themselves.

    Parameters
    ----------
    representations : mapping of modality to ndarray, float32, shape (n, d)
    labels : mapping of modality to ndarray, uint8, shape (n, C)
    distance : str
        ``"cosine"`` or ``"euclidean"``.
    """
    return _mean_map(_encoded(representations, labels), None, distance)


def validation_2sknn(
    representations: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    train_representations: Mapping[str, np.ndarray],
    train_labels: Mapping[str, np.ndarray],
    **options: Any,
) -> float:
    """As `validation_map`, ranked by the two-stage search of LCM, which reads the labels of the validation gallery.

    Parameters
    ----------
    train_representations, train_labels
        What the first stage searches, shaped as the validation items.
    **options
        Options of the retrieval strategy ``2sknn`` (``k``).
    """
    train = _encoded(train_representations, train_labels)
    return _mean_map(_encoded(representations, labels), train, "2sknn", **options)


def _encoded(representations: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> dict[str, Encoded]:
    from cmrbench.retrieval import Encoded

    return {m: Encoded(m, z, labels[m]) for m, z in representations.items()}


def _mean_map(
    items: Mapping[str, Encoded], train: Mapping[str, Encoded] | None, strategy: str, **options: Any
) -> float:
    from cmrbench.metrics import Metric, evaluate, from_labels
    from cmrbench.retrieval import rank

    metric = Metric.parse("mAP@all")
    values = []
    for a, b in permutations(items, 2):
        query, gallery = items[a], items[b]
        if not (np.any(query.labels, axis=0) & np.any(gallery.labels, axis=0)).any():
            raise MethodError(f"no {a} validation item shares a label with a {b} one; set selection=last")
        scores = rank(strategy, query, gallery, None if train is None else train[a], **options)
        relevance = from_labels(query.labels, gallery.labels)
        values.append(evaluate(scores, relevance, [metric]).values[str(metric)])
    return sum(values) / len(values)


class Best:
    """Keeps the weights of the best epoch so far.

    Parameters
    ----------
    modules : sequence of torch.nn.Module
        What is kept, and restored.
    patience : int or None
        Updates without a better value after which `exhausted` is true; None: never.

    Attributes
    ----------
    value : float
        Largest value so far; ``-inf`` before the first.
    epoch : int
        Its epoch; 0 before the first.
    """

    def __init__(self, *modules: nn.Module, patience: int | None = None) -> None:
        self._modules = modules
        self._patience = patience
        self._waited = 0
        self._states: list[dict[str, Tensor]] = []
        self.value = float("-inf")
        self.epoch = 0

    def update(self, value: float, epoch: int) -> bool:
        """Keep the present weights if `value` is strictly larger than every one before."""
        if not value > self.value:
            self._waited += 1
            return False
        self.value, self.epoch, self._waited = value, epoch, 0
        self._states = [{k: v.detach().clone() for k, v in m.state_dict().items()} for m in self._modules]
        return True

    @property
    def exhausted(self) -> bool:
        """Whether `patience` updates in a row brought nothing better."""
        return self._patience is not None and self._waited >= self._patience

    def restore(self) -> None:
        """Put the kept weights back."""
        for module, state in zip(self._modules, self._states, strict=False):
            module.load_state_dict(state)
