"""Checks of labels: queries that nothing answers, classes without training items, density, imbalance, agreement."""

from __future__ import annotations

import numpy as np

from cmrbench.data.audit.finding import Finding, Found, Unchecked
from cmrbench.data.audit.relations import EXAMPLES
from cmrbench.data.audit.subject import Subject
from cmrbench.data.audit.tasks import distinct_rows


def queries_without_relevant(subject: Subject) -> Found:
    """Queries to which no gallery item is relevant: no method can find anything.

    Whether they count as 0 or are left out moves mAP by their share; released codes do either.
    """
    for task in subject.tasks:
        if not task.judged:
            yield Unchecked("queries_without_relevant", task.name, "there are no labels to judge by")
            continue
        lost = task.relevant == 0
        if lost.any():
            yield Finding(
                "queries_without_relevant",
                "problem",
                task.name,
                float(lost.mean()),
                f"nothing in the gallery is relevant to {int(lost.sum()):,} of {len(lost):,} queries",
                examples=tuple(map(str, task.ids()[lost][:EXAMPLES])),
            )


def missing_classes(subject: Subject) -> Found:
    """Classes without an item in a split: not to be learned where it is ``train``, not measured where it is a test."""
    if not subject.labelled:
        return
    names = np.array(subject.dataset.classes)
    for split, part in subject.parts.items():
        for modality, items in part.items():
            assert items.labels is not None
            absent: np.ndarray = ~np.asarray(items.labels.any(0))
            if absent.any():
                shown = ", ".join(names[absent][:EXAMPLES]) if len(names) == len(absent) else ""
                more = ", ..." if absent.sum() > EXAMPLES else ""
                yield Finding(
                    "missing_classes",
                    "problem" if split == "train" else "note",
                    f"{split}: {modality}",
                    float(absent.sum()),
                    f"{int(absent.sum())} of {len(absent)} classes have no item: {shown}{more}",
                    "count",
                )


def unlabelled_items(subject: Subject) -> Found:
    """Items without any label: relevant to nothing, and in a gallery they only push others down."""
    if not subject.labelled:
        return
    for split, part in subject.parts.items():
        for modality, items in part.items():
            assert items.labels is not None
            bare: np.ndarray = ~np.asarray(items.labels.any(1))
            if bare.any():
                yield Finding(
                    "unlabelled_items",
                    "problem",
                    f"{split}: {modality}",
                    float(bare.mean()),
                    f"{int(bare.sum()):,} of {len(items):,} items have no label",
                    examples=tuple(map(str, items.ids[bare][:EXAMPLES])),
                )


def labels_disagree(subject: Subject) -> Found:
    """Instances whose modalities have different labels: a picture of one class with a text of another."""
    if not subject.labelled:
        return
    for split, part in subject.parts.items():
        first_of: dict[str, np.ndarray] = {}
        bad: list[str] = []
        for items in part.values():
            assert items.labels is not None
            for instance, label in zip(items.instances.tolist(), items.labels, strict=True):
                if not np.array_equal(first_of.setdefault(instance, label), label):
                    bad.append(instance)
        if bad:
            unique = list(dict.fromkeys(bad))
            yield Finding(
                "labels_disagree",
                "problem",
                split,
                len(unique) / len(first_of),
                f"{len(unique):,} of {len(first_of):,} instances have different labels in their modalities",
                examples=tuple(unique[:EXAMPLES]),
            )


def label_density(subject: Subject) -> Found:
    """Labels an item (cardinality) and their share of all classes (density): with it, chance rises.

    G. Tsoumakas, I. Katakis, "Multi-label classification: an overview", IJDWM 3(3), 2007.
    """
    if not subject.labelled:
        return
    modality = subject.modalities[0]
    for split, part in subject.parts.items():
        labels = part[modality].labels
        assert labels is not None
        if not labels.size:
            continue
        cardinality = float(labels.sum(1, dtype=np.int64).mean())
        kinds = len(distinct_rows(labels)[0])
        yield Finding(
            "label_density",
            "note",
            split,
            cardinality / labels.shape[1],
            f"{cardinality:.3g} of {labels.shape[1]} labels an item, {kinds:,} different label sets",
        )


def class_imbalance(subject: Subject) -> Found:
    """How much larger the largest class is than the smallest: large classes carry mAP, which is a mean over queries."""
    if not subject.labelled:
        return
    names = subject.dataset.classes
    modality = subject.modalities[0]
    for split, part in subject.parts.items():
        labels = part[modality].labels
        assert labels is not None
        sizes = labels.sum(0, dtype=np.int64)
        present = np.flatnonzero(sizes)
        if not len(present):
            continue
        low, high = present[np.argmin(sizes[present])], int(np.argmax(sizes))
        shares = sizes[present] / sizes.sum()
        effective = float(np.exp(-(shares * np.log(shares)).sum()))
        shown = [names[k] if k < len(names) else str(k) for k in (high, low)]
        yield Finding(
            "class_imbalance",
            "note",
            split,
            float(sizes[high] / sizes[low]),
            f"{shown[0]} has {sizes[high]:,} items, {shown[1]} {sizes[low]:,}; as uneven as {effective:.1f} equal "
            f"classes instead of {len(present)}",
            "number",
        )
