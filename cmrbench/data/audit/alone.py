"""How much of the labels one modality gives away: a linear classifier on it alone, against a constant guess."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cmrbench.data.audit.finding import Finding, Found, Unchecked
from cmrbench.data.audit.rows import Rows
from cmrbench.data.audit.subject import Subject

MOST_TRAINED = 20_000
MOST_COLUMNS = 2048
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
READABLE = 0.95


def one_modality_accuracy(subject: Subject) -> Found:
    """Share of queries whose top class, by a linear classifier on one modality alone, is one of their labels.

    Retrieval needs both modalities; a label needs one. Where a text alone gives nearly every label, the texts say the
    labels, and a cross-modal number on this data measures reading them. The classifier is ridge regression on the
    labels (columns scaled by training statistics, penalty chosen on a tenth of the training items), fitted on train
    and tested on the queries; beside it stands the largest training class for every query.
    """
    if not subject.labelled or not {"train", "query"} <= set(subject.splits):
        yield Unchecked("one_modality_accuracy", "all modalities", "it needs labels and the splits train and query")
        return
    for modality in subject.modalities:
        rows = subject.rows(modality)
        if not rows.are_vectors:
            yield Unchecked(
                "one_modality_accuracy", modality, f"items of kind {subject.kind(modality)} are not vectors"
            )
            continue
        train, query = (r[~rows.broken[r]] for r in (rows.of("train"), rows.of("query")))
        if not len(train) or not len(query):
            yield Unchecked("one_modality_accuracy", modality, "all its rows in train or query hold NaN or infinity")
            continue
        how = []
        if len(train) > MOST_TRAINED:
            train = np.sort(subject.rng("classifier", modality).choice(train, MOST_TRAINED, replace=False))
            how.append(f"{MOST_TRAINED:,} training items drawn with seed {subject.options.seed}")
        if rows.dim > MOST_COLUMNS:
            how.append(f"{rows.dim:,} columns projected on {MOST_COLUMNS:,} at random")
        accuracy, constant = _accuracies(subject, rows, modality, train, query)
        readable = accuracy >= READABLE and subject.texts(modality) is not None
        yield Finding(
            "one_modality_accuracy",
            "problem" if readable else "note",
            modality,
            accuracy,
            f"{100 * accuracy:.1f} % of {len(query):,} queries get one of their labels from this modality alone, "
            f"{100 * constant:.1f} % from the largest class" + (f"; {', '.join(how)}" if how else ""),
        )


def _accuracies(
    subject: Subject, rows: Rows, modality: str, train: np.ndarray, query: np.ndarray
) -> tuple[float, float]:
    """Share of queries with a right top class, by ridge regression and by the largest training class."""
    labels = rows.labels
    assert labels is not None
    X, Y = _columns(subject, rows, modality, train), labels[train].astype(np.float64)
    Q = _columns(subject, rows, modality, query)
    mean, sd = X.mean(0, dtype=np.float64), X.std(0, dtype=np.float64)
    scale = np.where(sd > 1e-6 * max(float(sd.max()), 1e-300), sd, np.inf)  # a constant column counts for nothing
    X, Q = ((A - mean) / scale for A in (X, Q))
    held = subject.rng("penalty", modality).permutation(len(train)) < len(train) // 10
    right = labels[query].astype(bool)
    best = PENALTIES.index(1.0)
    if held.any():
        best = int(np.argmax(_hits(X[~held], Y[~held], X[held], Y[held].astype(bool), PENALTIES)))
    constant = float(right[:, int(Y.sum(0).argmax())].mean())
    return _hits(X, Y, Q, right, PENALTIES[best : best + 1])[0], constant


def _columns(subject: Subject, rows: Rows, modality: str, numbers: np.ndarray) -> np.ndarray:
    if rows.dim <= MOST_COLUMNS:
        return rows.take(numbers)
    matrix = subject.rng("columns", modality).standard_normal((rows.dim, MOST_COLUMNS), np.float32)
    parts = [rows.take(numbers[start : start + 4096]) @ matrix for start in range(0, len(numbers), 4096)]
    return np.concatenate(parts) / np.float32(np.sqrt(MOST_COLUMNS))


def _hits(X: np.ndarray, Y: np.ndarray, Q: np.ndarray, right: np.ndarray, penalties: Sequence[float]) -> list[float]:
    """Share of rows of Q whose top class is right, after ridge regression of Y on X, for each penalty."""
    from scipy.linalg import solve

    offset = Y.mean(0)
    tall = X.shape[1] <= len(X)
    G = X.T @ X if tall else X @ X.T
    B = X.T @ (Y - offset) if tall else Y - offset
    scores = []
    for penalty in penalties:
        W = solve(G + penalty * len(X) * np.eye(len(G)), B, assume_a="pos")
        top = (Q @ (W if tall else X.T @ W) + offset).argmax(1)
        scores.append(float(right[np.arange(len(Q)), top].mean()))
    return scores
