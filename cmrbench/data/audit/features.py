"""Checks of feature values: rows that hold nothing, columns that say nothing, lengths that differ between splits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cmrbench.data.audit.finding import Finding, Found
from cmrbench.data.audit.relations import EXAMPLES
from cmrbench.data.audit.subject import Subject

UNIT = 1e-3
"""Rows whose lengths are this near to 1 are of unit length."""

LENGTH_RATIO = 1.5


def _vectors(subject: Subject) -> Iterator[str]:
    return (m for m in subject.modalities if subject.rows(m).are_vectors)


def broken_rows(subject: Subject) -> Found:
    """Rows of zeros, which have no direction, and rows with NaN or infinity, which spoil every sum they enter."""
    for modality in _vectors(subject):
        rows = subject.rows(modality)
        for split, items, measured in zip(rows.splits, rows.items, rows.measured, strict=True):
            zero = np.flatnonzero(measured.filled == 0)
            for numbers, what in ((measured.bad, "hold NaN or infinity"), (zero, "are all zero")):
                if len(numbers):
                    yield Finding(
                        "broken_rows",
                        "problem",
                        f"{split}: {modality}",
                        len(numbers) / len(items),
                        f"{len(numbers):,} rows {what}",
                        examples=tuple(map(str, items.ids[numbers][:EXAMPLES])),
                    )


def constant_columns(subject: Subject) -> Found:
    """Columns with one value in all training rows: nothing can be learned from them, and scaling divides by zero.

    Worse where they vary in the other splits: then the test holds what no method has seen.
    """
    for modality in _vectors(subject):
        rows = subject.rows(modality)
        if "train" not in rows.splits:
            continue
        train = rows.measured[rows.splits.index("train")]
        constant = train.least == train.most
        if not constant.any():
            continue
        varying = np.zeros_like(constant)
        for other in rows.measured:
            varying |= constant & ((other.least != train.least) | (other.most != train.most))
        zero = int((constant & (train.most == 0)).sum())
        yield Finding(
            "constant_columns",
            "problem" if varying.any() or constant.mean() > 0.5 else "note",
            modality,
            float(constant.sum()),
            f"{int(constant.sum()):,} of {constant.size:,} columns are constant in train ({zero:,} of them zero), "
            f"{int(varying.sum()):,} of those are not so in other splits",
            "count",
        )


def row_norms(subject: Subject) -> Found:
    """Lengths of the rows: whether they are normalised decides what inner products and Euclidean distances mean."""
    for modality in _vectors(subject):
        rows = subject.rows(modality)
        norms = rows.norms[np.isfinite(rows.norms)]
        if not len(norms):
            continue
        low, middle, high = np.percentile(norms, (0, 50, 100))
        unit = bool((np.abs(norms - 1) <= UNIT).all())
        yield Finding(
            "row_norms",
            "note",
            modality,
            float(middle),
            f"lengths from {low:.4g} to {high:.4g}, median {middle:.4g}: {'unit' if unit else 'not normalised'}",
            "number",
        )


def lengths_differ(subject: Subject) -> Found:
    """Splits whose rows are of other lengths than those of train: another normalisation or extractor was used."""
    for modality in _vectors(subject):
        rows = subject.rows(modality)
        if "train" not in rows.splits:
            continue
        middles = {s: float(np.median(m.norms)) for s, m in zip(rows.splits, rows.measured, strict=True)}
        own = middles["train"]
        for split, middle in middles.items():
            ratio = max(middle, own) / min(middle, own) if min(middle, own) > 0 else np.inf
            if ratio > LENGTH_RATIO and np.isfinite(ratio):
                yield Finding(
                    "lengths_differ",
                    "problem",
                    f"{split}: {modality}",
                    ratio,
                    f"the median row has length {middle:.4g}, in train {own:.4g}",
                    "number",
                )


def sparsity(subject: Subject) -> Found:
    """Share of values that are zero: bags of words and activations after a ReLU are mostly zeros."""
    for modality in _vectors(subject):
        rows = subject.rows(modality)
        values = len(rows) * int(np.prod(rows.items[0].features.shape[1:]))
        zeros = 1 - float(rows.filled.sum()) / values if values else 0.0
        yield Finding(
            "sparsity",
            "note",
            modality,
            zeros,
            f"{rows.filled.mean():.1f} of {values // len(rows):,} values of a row are not zero",
        )
