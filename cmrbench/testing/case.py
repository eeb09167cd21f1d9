"""Case: one method under test, its small datasets, and what it gave when fitted on them."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cmrbench.core.training import training_items
from cmrbench.method import Context, Method, MethodInfo

if TYPE_CHECKING:
    import numpy as np

    from cmrbench.core.dataset import Dataset
    from cmrbench.core.items import Items

BITS = 16
"""Code length of hashing methods wherever a check does not ask for another."""


class CheckFailed(Exception):  # noqa: N818 - says what happened, like unittest's failure
    """The method breaks the promise; the message is one sentence on what was expected and what was found."""


class NotApplicable(Exception):  # noqa: N818
    """The promise does not concern this method; the message is the reason."""


class CheckTimeout(BaseException):
    """The check took too long. No `Exception`, so that a plugin's ``except Exception`` cannot swallow it."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted method and what came before it.

    Attributes
    ----------
    method : Method
    dataset : Dataset
    train : mapping of modality to Items
        The training items with their labels, handed out or not.
    context : Context
    given : mapping of str to object
        The parameters before `fit`.
    returned : object
        What `fit` returned.
    """

    method: Method
    dataset: Dataset
    train: Mapping[str, Items]
    context: Context
    given: Mapping[str, Any]
    returned: object

    def represent(self, items: Items) -> np.ndarray:
        """Representations of items: by `encode`, or by `encode_labels` for a method that reads labels."""
        if self.method.info.reads_labels:
            assert items.labels is not None
            return self.method.encode_labels(items.modality, items.labels)
        return self.method.encode(items.modality, items.features)

    def width(self, modality: str) -> int | None:
        """Columns that the modality's codes must have; None for vectors."""
        bits = self.context.bits
        return bits and self.method.code_length(modality, bits)

    def translated(self, outputs: Mapping[str, np.ndarray], modality: str, target: str) -> np.ndarray:
        """Outputs of a modality as they are compared with those of another."""
        return self.method.translate(outputs[modality], modality, target)

    def outputs(self, split: str = "query") -> dict[str, np.ndarray]:
        """Representations of a split, by modality."""
        return {m: self.represent(items) for m, items in self.dataset.part(split).items()}


class Case:
    """One method class with parameters; fits it on small data and remembers the basic fit.

    Parameters
    ----------
    method_class : type of Method
    params : mapping, optional
        Constructor parameters over those of ``PRESETS["quick"]`` and ``PRESETS["check"]``.
    """

    def __init__(self, method_class: type[Method], params: Mapping[str, Any] | None = None) -> None:
        self.method_class = method_class
        presets = method_class.PRESETS
        self.params: dict[str, Any] = {**presets.get("quick", {}), **presets.get("check", {}), **(params or {})}
        self._basic: Fitted | BaseException | None = None
        self._hung = False

    @property
    def info(self) -> MethodInfo:
        """What the method declares."""
        return self.method_class.info

    def make(self, **changes: Any) -> Method:
        """A fresh, unfitted method."""
        return self.method_class(**{**self.params, **changes})

    def parameter(self, *names: str) -> str | None:
        """The first of `names` that the constructor takes."""
        known = inspect.signature(self.method_class).parameters
        return next((name for name in names if name in known), None)

    @cached_property
    def dataset(self) -> Dataset:
        """The basic dataset: one label an item, two modalities (or the fewest that the method takes)."""
        from cmrbench.testing.data import small_dataset

        return small_dataset(max(2, self.info.modalities[0]))

    @property
    def fitted(self) -> Fitted:
        """The method fitted on the basic dataset with seed 0; fitted once, and failing alike every time."""
        if self._basic is None:
            try:
                self._basic = self.fit(self.dataset)
            except (Exception, SystemExit, CheckTimeout) as error:
                self._basic = error
        if isinstance(self._basic, CheckTimeout):
            raise CheckFailed("fit did not end in time on the basic dataset")
        if isinstance(self._basic, BaseException):
            raise self._basic
        return self._basic

    def needs_encode(self) -> None:
        """End the check for methods whose representations are made from labels, not by `encode`."""
        if self.info.reads_labels:
            raise NotApplicable("its representations are made from labels, not from features")

    def training(self, dataset: Dataset, *, labels: bool | None = None) -> tuple[dict[str, Items], Any]:
        """What `fit` is handed of a dataset: `(train, val)`, by the rule that runs follow.

        `labels` overrides whether the labels are handed out (default: as the method declares its supervision).
        """
        val = dataset.part("val") if "val" in dataset.sizes else None
        supervised = self.info.supervision == "labels" if labels is None else labels
        info = self.info
        return training_items(dataset.part("train"), val, supervised=supervised, selects=info.selects, pairs=info.pairs)

    def context(self, dataset: Dataset, *, bits: int = BITS, **settings: Any) -> Context:
        """The context of a run on the processor; `settings` are other fields of `Context`."""
        hashing = self.info.output == "hash"
        return Context(bits=bits if hashing else None, n_classes=len(dataset.classes), **settings)

    def fit(
        self,
        dataset: Dataset,
        *,
        method: Method | None = None,
        training: tuple[Mapping[str, Items], Mapping[str, Items] | None] | None = None,
        **context: Any,
    ) -> Fitted:
        """Fit a fresh method (or `method`) on a dataset (or on `training`, which stands for it).

        Raises
        ------
        NotApplicable
            If the method declines the dataset.
        CheckFailed
            If an earlier fit did not end in time.
        """
        if self._hung:
            raise CheckFailed("an earlier fit did not end in time, so none is tried again")
        method = method or self.make()
        if reason := method.declines(dataset):
            raise NotApplicable(f"declines such data: {reason}")
        train, val = training or self.training(dataset)
        made = self.context(dataset, **context)
        given = {name: copy.deepcopy(getattr(method, name, None)) for name in method.parameters()}
        try:
            returned = method.fit(train, val, made)
        except CheckTimeout:
            self._hung = True
            raise
        if any(items.labels is None for items in train.values()):
            train, _ = self.training(dataset, labels=True)
        return Fitted(method, dataset, train, made, given, returned)
