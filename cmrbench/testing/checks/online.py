"""Checks on online methods: those that learn from one chunk of training items after another."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from cmrbench.core.items import Items
from cmrbench.method import Context, Method
from cmrbench.testing.case import Case, CheckFailed, NotApplicable
from cmrbench.testing.check import check
from cmrbench.testing.compare import difference, identical, need_identical
from cmrbench.testing.data import each, take


@check("online: the same chunks give the same numbers to the bit")
def check_chunks_repeat(case: Case) -> None:
    """Randomness of a chunk follows from the seed and the chunk's place, not from what else was learned."""
    first, second = (_learned(case, _chunks(case)) for _ in range(2))
    need_identical(
        _encoded(case, first), _encoded(case, second), "a second method given the same chunks encodes something else"
    )
    for modality in case.dataset.modalities:
        codes = [method.encode_train(modality) for method in (first, second)]
        if codes[0] is not None and codes[1] is not None and not identical(codes[0], codes[1]):
            raise CheckFailed(f"a second method given the same chunks learned other {modality} codes")


@check("online: codes that were learned for the items of a chunk stay when more come")
def check_chunks_keep_codes(case: Case) -> None:
    """A gallery is not encoded anew when items are added: that is what online means."""
    method = _online(case)
    context, seen = case.context(case.dataset), 0
    kept: dict[str, np.ndarray] = {}
    for chunk in _chunks(case):
        _partial_fit(method, chunk, context)
        seen += len(next(iter(chunk.values())))
        codes = {m: method.encode_train(m) for m in chunk}
        learned = {m: np.array(c) for m, c in codes.items() if c is not None}
        if not learned:
            raise NotApplicable("it learns no codes for the training items themselves")
        for modality, now in learned.items():
            before = kept.get(modality, now[:0])
            if len(now) != seen:
                raise CheckFailed(f"after {seen} items encode_train({modality!r}) has {len(now)} rows, for all of them")
            if not identical(before, now[: len(before)]):
                found = difference(before, now[: len(before)])
                raise CheckFailed(f"a later chunk changed the {modality} codes of earlier items ({found})")
        kept = learned


@check("online: an empty chunk is refused with an error that names the method, and changes nothing")
def check_empty_chunk_refused(case: Case) -> None:
    """A stream may have nothing to give; a method must not forget for it, nor fail in a library's words."""
    chunks, context = _chunks(case), case.context(case.dataset)
    expected = _encoded(case, _learned(case, chunks))
    for seen in (0, 2):
        method = _learned(case, chunks[:seen])
        _need_refused(case, method, each(chunks[0], lambda items: take(items, 0, 0)))
        for chunk in chunks[seen:]:
            _partial_fit(method, chunk, context)
        found = _encoded(case, method)
        need_identical(
            expected, found, f"an empty chunk after {seen} others, which was refused, changed what it learns"
        )


def _need_refused(case: Case, method: Method, empty: Mapping[str, Items]) -> None:
    try:
        _partial_fit(method, empty, case.context(case.dataset))
    except CheckFailed:
        raise
    except Exception as error:
        by_python = "has no attribute" in str(error)  # it names the class, which is often the title
        if by_python or not (case.info.name in str(error) or case.info.title in str(error)):
            raise CheckFailed(
                f"refuses an empty chunk with {type(error).__name__}: {error}, which does not name the method"
            ) from error
    else:
        raise CheckFailed("takes an empty chunk without a word; raise a MethodError that names the method")


def _online(case: Case) -> Method:
    method = case.make()
    if not callable(getattr(method, "partial_fit", None)):
        raise NotApplicable("it has no partial_fit")
    if reason := method.declines(case.dataset):
        raise NotApplicable(f"declines such data: {reason}")
    return method


def _chunks(case: Case) -> list[dict[str, Items]]:
    """The training items in three chunks of unequal sizes."""
    train, _ = case.training(case.dataset)
    n = len(next(iter(train.values())))
    bounds = [0, n // 2, n // 2 + n // 3, n]
    return [{m: take(items, a, b) for m, items in train.items()} for a, b in pairwise(bounds)]


def _partial_fit(method: Method, chunk: Mapping[str, Items], context: Context) -> None:
    returned = getattr(method, "partial_fit")(chunk, context)  # noqa: B009 - the base class has none
    if returned is not method:
        raise CheckFailed(f"partial_fit must return self, it returned {type(returned).__name__}")


def _learned(case: Case, chunks: list[dict[str, Items]]) -> Method:
    """A fresh method that was given these chunks."""
    method, context = _online(case), case.context(case.dataset)
    for chunk in chunks:
        _partial_fit(method, chunk, context)
    return method


def _encoded(case: Case, method: Method) -> dict[str, np.ndarray]:
    return {m: method.encode(m, items.features) for m, items in case.dataset.part("query").items()}
