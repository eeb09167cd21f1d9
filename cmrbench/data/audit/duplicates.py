"""Checks for copies: equal and nearly equal rows, texts and whole instances, across splits and within them.

Copies between training and test images inflate accuracy and favour methods that memorise: B. Barz, J. Denzler, "Do we
train on test data? Purging CIFAR of near-duplicates", Journal of Imaging 6(6), 2020.
"""

from __future__ import annotations

import re

import numpy as np

from cmrbench.data.audit.finding import Finding, Found, Unchecked
from cmrbench.data.audit.near import MOST_BY_CHANCE, PROBED, Directions, search
from cmrbench.data.audit.relations import EXAMPLES, Copies, Relation, equal_copies, examples_of, relations
from cmrbench.data.audit.rows import Equal, Rows, hashed
from cmrbench.data.audit.subject import COMMON, POOR_WORDS, Subject

MOST_PAIRS = 2_000_000

COPY = 0.98
"""Below this threshold, near rows are likeness and not copies: a problem at most, never a leak."""


def equal_rows(subject: Subject) -> Found:
    """Feature rows that are equal to the bit in two splits, or twice in one.

    A query that equals a training item asks for what was learned by heart. Rows that say too little to tell copies
    from coincidence (five values or fewer, a text of one or two words, the row of over twenty items) are left out here
    and counted by `indistinct_rows`.
    """
    for modality in subject.modalities:
        if subject.kind(modality) == "raw":
            yield Unchecked("equal_rows", modality, "it has no features")
            continue
        rows = subject.rows(modality)
        yield from _equal("equal_rows", modality, "a row equal to the bit", rows, rows.equal, subject.poor(modality))


def equal_texts(subject: Subject) -> Found:
    """Texts that are the same, but for case, punctuation and blanks, in two splits or twice in one.

    Texts are compared as strings: a feature set can hide that they are the same, or make different ones equal. Texts
    of one or two words are left out: they coincide.
    """
    for modality in subject.modalities:
        texts = subject.texts(modality)
        if texts is None:
            continue
        plain = [" ".join(re.findall(r"\w+", text.casefold())) for text in texts]
        rows = subject.rows(modality)
        short = np.fromiter((len(t.split()) < POOR_WORDS for t in plain), bool, len(plain))
        equal = Equal.of(hashed(text.encode() for text in plain))
        yield from _equal("equal_texts", modality, "the same text", rows, equal, short | (equal.size > COMMON))


def _equal(check: str, modality: str, what: str, rows: Rows, equal: Equal, left_out: np.ndarray) -> Found:
    for relation in relations(rows.splits):
        copies = equal_copies(rows, equal, relation, left_out)
        if len(copies.rows):
            poor = int(left_out[rows.of(relation.a)].sum())
            yield Finding(
                check,
                copies.severity,
                f"{modality}: {relation.name}",
                copies.share,
                f"{_of(copies)} have {what} {_where(relation)}" + (f"; {poor:,} too poor to tell" if poor else ""),
                examples=examples_of(rows, equal, copies),
            )


def near_rows(subject: Subject) -> Found:
    """Feature rows whose cosine, after centring by the training mean, reaches the threshold: the same thing again.

    A resized or recompressed picture, a reworded caption. Equal rows count, too, but where there are no others,
    `equal_rows` says it all. Rows that say too little are left out.
    Where more than one in a thousand pairs of different items reach the threshold, as in vectors of a few topics,
    cosines do not tell copies, and the check says so.
    """
    for modality in subject.modalities:
        found = near_of(subject, modality)
        if isinstance(found, Unchecked):
            yield found
            continue
        rows = subject.rows(modality)
        for relation in relations(rows.splits):
            copies, fresh = found.copies(relation)
            if fresh:
                sampled = "" if found.all else f", in a sample of {copies.total:,} (seed {subject.options.seed})"
                equal = len(copies.rows) - fresh
                yield Finding(
                    "near_rows",
                    _as_near(copies.severity, subject),
                    f"{modality}: {relation.name}",
                    copies.share,
                    f"{_of(copies)} have a row of centred cosine {subject.options.threshold:g} or more "
                    f"{_where(relation)}{sampled}; {equal:,} of them an equal one",
                    examples=found.examples(relation),
                )


class NearRows:
    """The near-duplicates of one modality.

    Parameters
    ----------
    rows : Rows
    counted : ndarray of int
        Rows that shares are taken of: all, or the sample.
    directions : Directions
    """

    def __init__(self, rows: Rows, counted: np.ndarray, directions: Directions) -> None:
        self.rows = rows
        self.directions = directions
        self.counted = counted
        self.all = len(counted) == len(rows)
        self.any = np.zeros((len(rows), len(rows.splits)), bool)  # has a near row in a split
        self.equal = np.zeros_like(self.any)  # has an equal row in a split
        self.crossing: list[np.ndarray] = []  # pairs (2, k) of rows in two splits
        self.pairs = 0
        self.shown: dict[tuple[int, int], list[tuple[int, int, float]]] = {}

    def add(self, i: np.ndarray, j: np.ndarray, cosine: np.ndarray) -> None:
        """Take pairs of rows of different instances."""
        other = self.rows.instance[i] != self.rows.instance[j]
        i, j, cosine = i[other], j[other], cosine[other]
        same = self.rows.equal.group[i] == self.rows.equal.group[j]
        split = self.rows.split
        for x, y in ((i, j), (j, i)):
            self.any[x, split[y]] = True
            self.equal[x[same], split[y[same]]] = True
        crossing = np.flatnonzero(split[i] != split[j])
        if self.pairs < MOST_PAIRS:
            self.crossing.append(np.stack([i[crossing], j[crossing]])[:, : MOST_PAIRS - self.pairs])
        self.pairs += len(crossing)
        fresh = np.flatnonzero(~same)  # equal ones are shown by `equal_rows`
        inside = split[i[fresh]] == split[j[fresh]]
        back = fresh[~inside]  # within a split, a pair is one example
        for x, y, these in ((i[fresh], j[fresh], fresh), (j[back], i[back], back)):
            relation = split[x] * len(self.rows.splits) + split[y]
            for one in np.unique(relation):
                shown = self.shown.setdefault(divmod(int(one), len(self.rows.splits)), [])
                for k in np.flatnonzero(relation == one)[: EXAMPLES - len(shown)]:
                    shown.append((int(x[k]), int(y[k]), float(cosine[these[k]])))

    def copies(self, relation: Relation) -> tuple[Copies, int]:
        """Rows with a near one under a relation, and how many of them have no equal one."""
        a, b = (self.rows.splits.index(s) for s in (relation.a, relation.b))
        asked = self.counted[self.rows.split[self.counted] == a]
        found = asked[self.any[asked, b]]
        return Copies(relation, found, len(asked)), int((~self.equal[found, b]).sum())

    def examples(self, relation: Relation) -> tuple[str, ...]:
        """A few as ``id ~ id (cosine)``."""
        a, b = (self.rows.splits.index(s) for s in (relation.a, relation.b))
        ids = self.rows.ids
        return tuple(f"{ids[x]} ~ {ids[y]} ({c:.4f})" for x, y, c in self.shown.get((a, b), ()))


def near_of(subject: Subject, modality: str) -> NearRows | Unchecked:
    """The near-duplicates of a modality, searched once."""
    if modality not in subject.near:
        subject.near[modality] = _near(subject, modality)
    found: NearRows | Unchecked = subject.near[modality]
    return found


def _near(subject: Subject, modality: str) -> NearRows | Unchecked:
    rows, threshold = subject.rows(modality), subject.options.threshold
    if not rows.are_vectors:
        return Unchecked("near_rows", modality, f"items of kind {subject.kind(modality)} have no angles")
    counted = np.concatenate([_sampled(subject, rows.of(split)) for split in rows.splits])
    chosen = counted[~subject.poor(modality)[counted]]
    reference = chosen[rows.split[chosen] == rows.splits.index("train")] if "train" in rows.splits else chosen
    if len(chosen) < 2 or not len(reference):
        return Unchecked("near_rows", modality, "too few rows say enough to be compared")
    directions = Directions(rows, reference)
    probe = chosen
    if len(chosen) > PROBED:
        probe = np.sort(subject.rng("probe", modality).choice(chosen, PROBED, replace=False))
    rate = directions.by_chance(probe, threshold)
    if rate > MOST_BY_CHANCE:
        return Unchecked(
            "near_rows",
            modality,
            f"{100 * rate:.2f} % of the pairs of {len(probe):,} different rows reach a cosine of {threshold:g}: "
            "these vectors do not tell copies from likeness",
        )
    found = NearRows(rows, counted, directions)
    for pairs in search(directions, chosen, threshold, subject.rng("screen", modality)):
        found.add(pairs.i, pairs.j, pairs.cosine)
    return found


def _sampled(subject: Subject, rows: np.ndarray) -> np.ndarray:
    """Rows of one split that are searched; the same places in every modality, so that pairs stay together."""
    most = subject.options.sample
    if most is None or len(rows) <= most:
        return rows
    return rows[np.sort(subject.rng("sample", len(rows)).choice(len(rows), most, replace=False))]


def copied_instances(subject: Subject) -> Found:
    """Instances of two splits that are copies of each other in every modality: one thing under two names.

    Likeness in one modality may be chance or style; a picture and its text that both come again are a copy.
    A row is a copy of another if they are equal or, where cosines tell copies, near.
    """
    if len(subject.modalities) < 2:
        return
    near = {m: near_of(subject, m) for m in subject.modalities}
    anchor = next((m for m in subject.modalities if isinstance(near[m], NearRows)), None)
    if anchor is None:
        yield Unchecked("copied_instances", "all modalities", "near-duplicates cannot be told in any of them")
        return
    found = near[anchor]
    assert isinstance(found, NearRows)
    if not found.crossing:
        return
    i, j = np.concatenate(found.crossing, axis=1)
    rows = found.rows
    compared = np.zeros(len(i), bool)
    agree = np.ones(len(i), bool)
    for modality in subject.modalities:
        if modality == anchor or subject.kind(modality) == "raw":
            continue
        there, these = subject.rows(modality), near[modality]
        first = dict(zip(there.instances[::-1].tolist(), range(len(there) - 1, -1, -1), strict=True))
        x, y = (np.array([first.get(k, -1) for k in rows.instances[side].tolist()], np.int64) for side in (i, j))
        both = (x >= 0) & (y >= 0)
        same = np.zeros(len(i), bool)
        same[both] = there.equal.group[x[both]] == there.equal.group[y[both]]
        if isinstance(these, NearRows):
            open_ = np.flatnonzero(both & ~same)
            same[open_] = these.directions.cosines(x[open_], y[open_]) >= subject.options.threshold
        agree &= same | ~both
        compared |= both
    kept = agree & compared
    i, j = np.r_[i[kept], j[kept]], np.r_[j[kept], i[kept]]  # seen from either side
    capped = f", among the first {MOST_PAIRS:,} pairs" if found.pairs > MOST_PAIRS else ""
    for relation in relations(rows.splits):
        if relation.a == relation.b:
            continue
        a, b = (rows.splits.index(s) for s in (relation.a, relation.b))
        here = (rows.split[i] == a) & (rows.split[j] == b)
        left, right = i[here], j[here]
        instances = np.unique(rows.instance[left])
        if len(instances):
            total = len(np.unique(rows.instance[rows.of(relation.a)]))
            yield Finding(
                "copied_instances",
                _as_near(relation.worst, subject),  # copied in everything, one is enough
                relation.name,
                len(instances) / total,
                f"{len(instances):,} of {total:,} instances of {relation.a} come again in {relation.b}, "
                f"in every modality{capped}",
                examples=tuple(
                    f"{rows.ids[p]} = {rows.ids[q]}" for p, q in zip(left[:EXAMPLES], right[:EXAMPLES], strict=True)
                ),
            )


def contradicting_copies(subject: Subject) -> Found:
    """Equal rows without a common label: at least one of the two labels is wrong, or the label is not in the data.

    See C. G. Northcutt, A. Athalye, J. Mueller, "Pervasive label errors in test sets destabilize machine learning
    benchmarks", NeurIPS Datasets and Benchmarks 2021.
    """
    if not subject.labelled:
        return
    for modality in subject.modalities:
        rows = subject.rows(modality)
        if subject.kind(modality) == "raw" or rows.labels is None:
            continue
        counted = np.flatnonzero(~subject.poor(modality) & (rows.equal.size > 1))
        order = counted[np.argsort(rows.equal.group[counted], kind="stable")]
        ends = np.flatnonzero(np.diff(rows.equal.group[order])) + 1
        bad = []
        for members in np.split(order, ends):  # at most COMMON rows each
            labels = rows.labels[members]
            if len(members) > 1 and not ((labels.astype(int) @ labels.T) > 0).all():
                bad.append(members)
        if bad:
            items = sum(map(len, bad))
            yield Finding(
                "contradicting_copies",
                "problem",
                modality,
                items / len(rows),
                f"{items:,} items in {len(bad):,} groups of equal rows have labels with nothing in common",
                examples=tuple(" = ".join(rows.ids[m[:2]]) for m in bad[:EXAMPLES]),
            )


def indistinct_rows(subject: Subject) -> Found:
    """Rows that many items share, or that hold next to nothing: the feature set does not tell these items apart.

    Such items tie in every ranking, whatever the method, so that the order of ties decides about them.
    """
    for modality in subject.modalities:
        if subject.kind(modality) == "raw":
            continue
        rows = subject.rows(modality)
        distinct = len(np.unique(rows.equal.group))
        shared = int((rows.equal.size > 1).sum())
        if not shared:
            continue
        most = int(rows.equal.size.max())
        poor = int(subject.poor(modality).sum())
        share = shared / len(rows)
        yield Finding(
            "indistinct_rows",
            "problem" if share >= 0.05 else "note",
            modality,
            share,
            f"{shared:,} of {len(rows):,} items share their row with another: {distinct:,} distinct rows, one of them "
            f"held by {most:,} items; {poor:,} rows say too little to tell copies",
        )


def _as_near(severity: str, subject: Subject) -> str:
    return "problem" if severity == "leak" and subject.options.threshold < COPY else severity


def _of(copies: Copies) -> str:
    return f"{len(copies.rows):,} of {copies.total:,} {copies.relation.a} items"


def _where(relation: Relation) -> str:
    return f"in {relation.b}" if relation.a != relation.b else "in the same split"
