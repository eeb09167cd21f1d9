"""Checks of texts: class names in them, and texts that hold nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from cmrbench.data.audit.finding import Finding, Found, Unchecked
from cmrbench.data.audit.relations import EXAMPLES
from cmrbench.data.audit.subject import Subject

LEAK_F1 = 0.8
NAMED = 0.05
_WORD = re.compile(r"[^\W_]+")


def class_names_in_texts(subject: Subject) -> Found:
    """Texts or tags that hold the name of a class of their item.

    Where labels were made of the tags (Flickr collections), a method that reads the name needs no picture, and a query
    by text says its own answer. It is a leak where the names alone give the labels back (F1 of 0.8 and more over all
    pairs of item and class), a problem from one text in twenty on, else a figure. Names match as whole words, also in
    the plural; names without a letter are left out; texts without blanks between words cannot be searched so.
    """
    names = name_words(subject.dataset.classes)
    for modality in subject.modalities:
        texts, labels = subject.texts(modality), subject.rows(modality).labels
        if texts is None:
            if subject.kind(modality) == "raw" or "text" in modality:
                yield Unchecked("class_names_in_texts", modality, "its texts are not kept with the dataset")
            continue
        if labels is None or not any(names):
            yield Unchecked("class_names_in_texts", modality, "there are no classes with names")
            continue
        named = named_classes(texts, names)
        own = named & labels.astype(bool)
        hit = own.any(1)
        if not hit.any():
            continue
        true = int(own.sum())
        f1 = 2 * true / (int(named.sum()) + int(labels.sum(dtype=np.int64)))
        share = float(hit.mean())
        most = np.argsort(-own.sum(0), kind="stable")[:EXAMPLES]
        top = ", ".join(f"{subject.dataset.classes[c]} {int(own[:, c].sum()):,}" for c in most if own[:, c].any())
        rows = subject.rows(modality)
        yield Finding(
            "class_names_in_texts",
            "leak" if f1 >= LEAK_F1 else "problem" if share >= NAMED else "note",
            modality,
            share,
            f"{int(hit.sum()):,} of {len(texts):,} texts hold the name of a class of theirs ({top}); as a labelling, "
            f"names have a precision of {true / int(named.sum()):.2f}, a recall of {true / int(labels.sum()):.2f} and "
            f"F1 {f1:.2f}",
            examples=tuple(str(rows.ids[k]) for k in np.flatnonzero(hit)[:EXAMPLES]),
        )


def name_words(classes: Sequence[str]) -> list[str]:
    """Class names as lower-case words: ``sky_time`` is ``sky time``; empty where a name holds no letter."""
    plain = [" ".join(_WORD.findall(name.casefold())) for name in classes]
    return [name if any(c.isalpha() for c in name) else "" for name in plain]


def named_classes(texts: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Which class names each text holds: bool (n, C)."""
    single: dict[str, list[int]] = {}
    several: list[tuple[str, int]] = []
    for c, name in enumerate(names):
        for form in _forms(name) if name else ():
            if " " in form:
                several.append((f" {form} ", c))
            else:
                single.setdefault(form, []).append(c)
    named = np.zeros((len(texts), len(names)), bool)
    for row, text in enumerate(texts):
        words = _WORD.findall(text.casefold())
        for word in set(words):
            if word in single:
                named[row, single[word]] = True
        if several:
            padded = f" {' '.join(words)} "
            for form, c in several:
                if form in padded:
                    named[row, c] = True
    return named


def _forms(name: str) -> set[str]:
    """A name in singular and plural."""
    forms = {name, f"{name}s", f"{name}es"}
    if name.endswith("y"):
        forms.add(f"{name[:-1]}ies")
    if name.endswith("ies"):
        forms.add(f"{name[:-3]}y")
    if name.endswith("s") and not name.endswith("ss") and len(name) > 3:
        forms.add(name[:-1])
    return forms


def empty_texts(subject: Subject) -> Found:
    """Texts without a letter or digit: nothing can be retrieved by them, nor they by anything."""
    for modality in subject.modalities:
        texts = subject.texts(modality)
        if texts is None:
            continue
        bare = np.fromiter((_WORD.search(t) is None for t in texts), bool, len(texts))
        if bare.any():
            yield Finding(
                "empty_texts",
                "problem" if bare.mean() >= 0.01 else "note",
                modality,
                float(bare.mean()),
                f"{int(bare.sum()):,} of {len(texts):,} texts hold no word",
                examples=tuple(str(i) for i in subject.rows(modality).ids[bare][:EXAMPLES]),
            )
