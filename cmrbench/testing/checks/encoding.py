"""Checks that `encode` works item by item: what an item gets does not depend on the company it keeps."""

from __future__ import annotations

import numpy as np

from cmrbench.testing.case import Case
from cmrbench.testing.check import check
from cmrbench.testing.compare import need_close, need_identical


@check("encode gives the same again, whatever was encoded in between")
def check_encode_repeats(case: Case) -> None:
    """`encode` is a function: no state, no fresh noise."""
    case.needs_encode()
    before = case.fitted.outputs("query")
    before = {m: array.copy() for m, array in before.items()}
    case.fitted.outputs("gallery")
    need_identical(before, case.fitted.outputs("query"), "a second call gave something else")


@check("encode of some items = those rows of encode of all items")
def check_subset_invariance(case: Case) -> None:
    """Centring or whitening with the statistics of the test items is the classic way to break this."""
    case.needs_encode()
    for modality, items in case.dataset.part("query").items():
        full = case.fitted.method.encode(modality, items.features)
        rows = np.flatnonzero(np.arange(len(items)) % 5 == 1)
        some = case.fitted.method.encode(modality, items.features[rows])
        need_close(full[rows], some, f"encode({modality!r}) of a subset differs from the same rows of all items")


@check("the order of the items changes nothing")
def check_order_invariance(case: Case) -> None:
    """A gallery sorted by class must not help."""
    case.needs_encode()
    for modality, items in case.dataset.part("query").items():
        full = case.fitted.method.encode(modality, items.features)
        rows = np.random.default_rng(3).permutation(len(items))
        shuffled = case.fitted.method.encode(modality, items.features[rows])
        need_close(full[rows], shuffled, f"encode({modality!r}) of reordered items differs")


@check("one item at a time, seven at a time or all at once: the same representations")
def check_batch_size_invariance(case: Case) -> None:
    """Batch normalisation left in training mode breaks this, and so does a dropped last batch."""
    case.needs_encode()
    for modality, items in case.dataset.part("query").items():
        full = case.fitted.method.encode(modality, items.features)
        for size in (1, 7):
            blocks = [
                case.fitted.method.encode(modality, items.features[i : i + size]) for i in range(0, len(items), size)
            ]
            need_close(full, np.concatenate(blocks), f"encode({modality!r}) in blocks of {size} differs")
