"""A dataset's card: the figures of data that is on this machine, as plain values for tables and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import DatasetMissingError
from cmrbench.core.names import DatasetName

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.data.audit import Audit
    from cmrbench.data.audit.subject import Subject
    from cmrbench.data.catalogue import Catalogue


@dataclass(frozen=True)
class ModalityFigures:
    """What was measured of the items of a modality, over all splits.

    Attributes
    ----------
    modality, kind : str
        The kind is ``vector``, ``set``, ``tokens`` or ``raw``.
    shape : tuple of int
        Of one item.
    norms : tuple of float or None
        Least, median and largest Euclidean length of an item's values; None where they have none.
    zeros : float or None
        Share of values that are zero.
    texts, pictures : bool
        Whether raw texts or pictures are kept with the items.
    """

    modality: str
    kind: str
    shape: tuple[int, ...]
    norms: tuple[float, float, float] | None
    zeros: float | None
    texts: bool
    pictures: bool


@dataclass(frozen=True)
class ClassFigures:
    """How many items of each split have a class, counted in the first modality."""

    name: str
    items: Mapping[str, int]

    @property
    def total(self) -> int:
        """In all splits."""
        return sum(self.items.values())


@dataclass(frozen=True)
class ChanceFigures:
    """What a random order of the gallery gets in one direction; None where that has no closed form."""

    protocol: str
    query: str
    gallery: str
    queries: int
    gallery_items: int
    metric: str
    value: float | None


@dataclass(frozen=True)
class Card:
    """All figures of a dataset.

    Attributes
    ----------
    dataset, feature_set, split, fingerprint : str
    transforms, notes : tuple of str
    sizes : mapping of split to mapping of modality to int
    hashes : mapping of split to str or mapping of modality to str
        SHA-256 of the item ids in order; one where all modalities have the same ids.
    modalities : tuple of ModalityFigures
    classes : tuple of ClassFigures
    cardinality : float or None
        Labels an item in the first modality; None without labels.
    chance : tuple of ChanceFigures
    audit : Audit or None
        Where one of this data is stored.
    """

    dataset: str
    feature_set: str
    split: str
    fingerprint: str
    transforms: tuple[str, ...]
    notes: tuple[str, ...]
    sizes: Mapping[str, Mapping[str, int]]
    hashes: Mapping[str, Any]
    modalities: tuple[ModalityFigures, ...]
    classes: tuple[ClassFigures, ...]
    cardinality: float | None
    chance: tuple[ChanceFigures, ...]
    audit: Audit | None

    def as_json(self) -> dict[str, Any]:
        """The card as JSON values."""
        value = asdict(self)
        value["audit"] = self.audit.as_json() if self.audit else None
        return value


def dataset_here(name: DatasetName, catalogue: Catalogue) -> Dataset | None:
    """The dataset, if opening it takes no long preparing; None if its data is not here, or was never prepared.

    Data that comes with the package is prepared in a second; other data may take minutes.
    """
    from cmrbench.data.describe import state
    from cmrbench.data.load import load_dataset
    from cmrbench.data.prepared import MANIFEST, prepared_folder
    from cmrbench.data.resolve import resolve

    where = state(catalogue, name.dataset)
    if where == "missing":
        return None
    if where not in ("embedded", "generated"):
        try:
            folder = prepared_folder(resolve(name, catalogue))
        except DatasetMissingError:
            return None
        if not (folder / MANIFEST).is_file():
            return None
    return load_dataset(name, catalogue=catalogue)


def make_card(dataset: Dataset) -> Card:
    """Measure a dataset: one pass over its features, in blocks."""
    from cmrbench.data.audit.finding import AuditOptions
    from cmrbench.data.audit.stored import stored_audit
    from cmrbench.data.audit.subject import Subject
    from cmrbench.data.content import split_digest

    subject = Subject(dataset, AuditOptions())
    classes = _classes(subject)
    items = sum(len(part[subject.modalities[0]]) for part in subject.parts.values())
    return Card(
        dataset=dataset.name,
        feature_set=dataset.feature_set,
        split=dataset.split,
        fingerprint=dataset.fingerprint,
        transforms=dataset.transforms,
        notes=dataset.notes,
        sizes={s: {m: len(i) for m, i in part.items()} for s, part in subject.parts.items()},
        hashes={s: split_digest(part) for s, part in subject.parts.items()},
        modalities=tuple(_modality(subject, m) for m in subject.modalities),
        classes=classes,
        cardinality=sum(c.total for c in classes) / items if classes and items else None,
        chance=_chance(subject),
        audit=stored_audit(dataset.name, dataset.feature_set, dataset.fingerprint),
    )


def _modality(subject: Subject, modality: str) -> ModalityFigures:
    import numpy as np

    rows = subject.rows(modality)
    shape = tuple(int(n) for n in rows.items[0].features.shape[1:])
    first = subject.splits[0]
    norms = zeros = None
    if rows.are_vectors and len(rows):
        least, median, largest = (float(q) for q in np.percentile(rows.norms, (0, 50, 100)))
        norms = (least, median, largest)
        zeros = 1 - float(rows.filled.sum()) / (len(rows) * int(np.prod(shape)))
    return ModalityFigures(
        modality,
        rows.kind,
        shape,
        norms,
        zeros,
        subject.dataset.texts(first, modality) is not None,
        subject.dataset.pictures(first, modality) is not None,
    )


def _classes(subject: Subject) -> tuple[ClassFigures, ...]:
    counted = {}
    for split, part in subject.parts.items():
        labels = part[subject.modalities[0]].labels
        if labels is None:
            return ()
        counted[split] = labels.sum(0, dtype="int64").tolist()
    names = subject.dataset.classes
    return tuple(
        ClassFigures(names[c] if c < len(names) else str(c), {s: counts[c] for s, counts in counted.items()})
        for c in range(len(next(iter(counted.values()))))
    )


def _chance(subject: Subject) -> tuple[ChanceFigures, ...]:
    from cmrbench.data.audit.chance import chance_of

    return tuple(
        ChanceFigures(task.protocol.name, task.a, task.b, *task.sizes, task.protocol.metrics[0], chance_of(task))
        for task in subject.tasks
        if task.protocol.metrics
    )
