"""What the order of classes with equal counts does to the two-stage search on the raw Wikipedia features.

    cmrbench data import wiki --from FOLDER && python -m benchmarks.two_stage_ties

Queries and gallery are the last 462 of the 693 test items, the first stage searches all 2,173 training items.
"""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table

from cmrbench import load_dataset
from cmrbench.core.items import Items
from cmrbench.metrics import evaluate, from_labels
from cmrbench.retrieval import Encoded, rank


def encoded(modality: str, items: Items, columns: np.ndarray) -> Encoded:
    return Encoded(modality, items.features, items.labels[:, columns])


def main() -> None:
    wiki = load_dataset("wiki")
    train, test = wiki.part("train", "val"), wiki.part("query")
    test = {m: items.take(np.arange(231, len(items))) for m, items in test.items()}
    table = Table("classes of equal count", "I->T", "T->I")
    forward = np.arange(len(wiki.classes))
    for title, rule, columns in (
        ("nearest", "nearest", forward),
        ("class_index", "class_index", forward),
        ("class_index, classes numbered backwards", "class_index", forward[::-1]),
        ("tied", "tied", forward),
    ):
        values = []
        for a, b in (("image", "text"), ("text", "image")):
            query, gallery, known = (encoded(m, p[m], columns) for m, p in ((a, test), (b, test), (a, train)))
            scores = rank("2sknn", query, gallery, known, k=50, equal_counts=rule)
            result = evaluate(scores, from_labels(query.labels, gallery.labels), ["mAP@all"])
            values.append(f"{result.values['mAP@all']:.4f}")
        table.add_row(title, *values)
    Console().print(table)


if __name__ == "__main__":
    main()
