"""Checks on what `encode` returns: shape, dtype, values, memory."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np

from cmrbench.core.errors import CmrbenchError
from cmrbench.core.outputs import dtype_problem, output_problem, shape_problem, value_problem
from cmrbench.method import Method
from cmrbench.testing.case import BITS, Case, CheckFailed, Fitted, NotApplicable
from cmrbench.testing.check import check
from cmrbench.testing.compare import need_close
from cmrbench.testing.data import take

CODE_LENGTHS = (BITS, 12, 24)
"""A power of two, no multiple of eight, and more bits than the narrower modality has columns."""

ACROSS = frozenset({"cosine", "euclidean", "inner", "hamming"})
"""Retrieval strategies that compare representations of two modalities."""


def need_valid(fitted: Fitted, split: str = "query") -> dict[str, np.ndarray]:
    """Outputs of a split, if they keep the contract: shape, dtype, finite values, codes in {-1, +1}.

    Raises
    ------
    CheckFailed
        With the modality, what was expected and what was found.
    """
    outputs = fitted.outputs(split)
    for modality, array in outputs.items():
        rows = len(fitted.dataset.part(split)[modality])
        _need(modality, output_problem(array, fitted.method.info.output, rows, fitted.width(modality)))
    need_common_width(fitted, outputs)
    return outputs


def need_common_width(fitted: Fitted, outputs: dict[str, np.ndarray]) -> None:
    """Fail unless representations that are compared with each other are equally wide, once queries are translated."""
    if ACROSS.isdisjoint(fitted.method.info.retrieval):
        return
    for a, b in permutations(outputs, 2):
        asked, wanted = fitted.translated(outputs, a, b).shape, outputs[b].shape
        if asked[1:] != wanted[1:]:
            raise CheckFailed(
                f"modalities that are compared have representations of different widths: {a} queries of shape {asked} "
                f"meet {b} items of shape {wanted}"
            )


def need_shape(fitted: Fitted, modality: str, array: object, rows: int) -> None:
    """Fail unless `array` is a numpy array of `rows` rows, and as many columns as the modality's codes have bits."""
    _need(modality, shape_problem(array, rows, fitted.width(modality)))


def need_dtype(fitted: Fitted, modality: str, array: np.ndarray) -> None:
    """Fail unless the dtype is float32 for vectors, int8 for codes."""
    _need(modality, dtype_problem(array, fitted.method.info.output))


def need_values(fitted: Fitted, modality: str, array: np.ndarray) -> None:
    """Fail unless vectors are finite, and codes -1 or +1."""
    _need(modality, value_problem(array, fitted.method.info.output))


def _need(modality: str, problem: str | None, call: str = "encode") -> None:
    if problem is not None:
        raise CheckFailed(f"{call}({modality!r}) returned {problem}")


@check("encode returns one row per item, as wide for every modality (after translate) where rankings compare them")
def check_output_shape(case: Case) -> None:
    """Vectors (n, k); codes (n, bits), or as many bits as the method's `code_length` says."""
    fitted = case.fitted
    outputs = fitted.outputs()
    for modality, array in outputs.items():
        need_shape(fitted, modality, array, len(fitted.dataset.part("query")[modality]))
    need_common_width(fitted, outputs)


@check("encode returns float32 vectors, or int8 codes")
def check_output_dtype(case: Case) -> None:
    """Anything else costs memory, or is refused by retrieval."""
    for modality, array in case.fitted.outputs().items():
        need_dtype(case.fitted, modality, array)


@check("vectors are finite; codes are -1 or +1, never 0")
def check_output_values(case: Case) -> None:
    """``np.sign`` gives 0 at 0."""
    for modality, array in case.fitted.outputs().items():
        need_values(case.fitted, modality, array)


@check("items get different representations")
def check_output_varies(case: Case) -> None:
    """A collapsed model ranks by chance."""
    for modality, array in case.fitted.outputs().items():
        if (array == array[0]).all():
            raise CheckFailed(f"encode({modality!r}) gave all {len(array)} items the same representation")


@check("hashing: every code length that is asked for (16, 12, 24 bits)")
def check_code_lengths(case: Case) -> None:
    """Not only multiples of eight, and also more bits than a modality has feature columns."""
    if case.info.output != "hash":
        raise NotApplicable("its output is real-valued")
    for bits in CODE_LENGTHS:
        need_valid(case.fitted if bits == BITS else case.fit(case.dataset, bits=bits))


@check("real-valued: the dimension that is asked for, or an error that says why not")
def check_asked_dimension(case: Case) -> None:
    """`Context.dim` is obeyed or refused, never ignored."""
    if case.info.output != "real":
        raise NotApplicable("its output is codes")
    case.needs_encode()
    if ACROSS.isdisjoint(case.info.retrieval):
        raise NotApplicable("it has no common space: its retrieval never compares two modalities")
    try:
        fitted = case.fit(case.dataset, dim=4)
    except CmrbenchError as refusal:
        if "dim" in str(refusal):
            return
        raise
    for modality, array in need_valid(fitted).items():
        if array.shape[1] != 4:
            raise CheckFailed(f"context.dim=4 was ignored: encode({modality!r}) returned {array.shape[1]} columns")


@check("modalities do not share memory, and no call overwrites what an earlier one returned")
def check_modalities_not_aliased(case: Case) -> None:
    """One published code kept the codes of two modalities in one buffer and compared them with themselves."""
    fitted = case.fitted
    query = fitted.dataset.part("query")
    gallery = fitted.dataset.part("gallery")
    returned = {m: fitted.represent(items) for m, items in query.items()}
    for a, b in combinations(returned, 2):
        if np.shares_memory(returned[a], returned[b]):
            raise CheckFailed(f"the arrays returned for {a} and {b} share memory")
    kept = {m: array.copy() for m, array in returned.items()}
    for modality, items in gallery.items():
        fitted.represent(items)
        fitted.represent(take(items, 0, len(query[modality])))  # a buffer may be kept for each number of items
    for modality, array in returned.items():
        if not np.array_equal(array, kept[modality]):
            raise CheckFailed(f"what encode({modality!r}) had returned was overwritten by a later call")


@check("encode_train, where there is one, gives a valid row for every training item")
def check_learned_codes(case: Case) -> None:
    """Codes learned in `fit` (protocol ``learned``) are held to the same contract."""
    fitted = case.fitted
    learned = {m: fitted.method.encode_train(m) for m in fitted.train}
    if all(array is None for array in learned.values()):
        raise NotApplicable("it learns no codes for the training items themselves")
    for modality, array in learned.items():
        problem = output_problem(array, case.info.output, len(fitted.train[modality]), fitted.width(modality))
        _need(modality, problem, "encode_train")


@check("translate, where there is one, gives valid queries for every other modality, item by item")
def check_translate(case: Case) -> None:
    """What it returns is compared with the other modality's representations, and keeps the same contract."""
    if case.method_class.translate is Method.translate:
        raise NotApplicable("it compares representations of two modalities as they are")
    fitted = case.fitted
    outputs = fitted.outputs()
    for a, b in permutations(outputs, 2):
        given, call = outputs[a].copy(), f"translate from {a} to {b}"
        full = fitted.translated(outputs, a, b)
        problem = output_problem(full, case.info.output, len(given), fitted.width(b))
        if problem is not None:
            raise CheckFailed(f"{call} returned {problem}")
        if not np.array_equal(outputs[a], given):
            raise CheckFailed(f"{call} changed the queries that it was handed")
        need_close(full[3:10], fitted.method.translate(given[3:10], a, b), f"{call} of some queries differs")


@check("a similarity of its own (score) is a finite matrix that does not depend on the block of queries")
def check_own_score(case: Case) -> None:
    """`score` is called in blocks of queries."""
    if not hasattr(case.method_class, "score"):
        raise NotApplicable("it has no similarity of its own")
    fitted = case.fitted
    score = getattr(fitted.method, "score")  # noqa: B009 - the base class has none
    query, gallery = fitted.outputs("query"), fitted.outputs("gallery")
    a, b = list(query)[:2]
    asked = fitted.translated(query, a, b)
    full = np.asarray(score(asked, gallery[b], a, b))
    if full.shape != (len(query[a]), len(gallery[b])) or not np.isfinite(full).all():
        raise CheckFailed(
            f"score returned shape {full.shape}, expected {(len(query[a]), len(gallery[b]))} of finite values"
        )
    block = np.asarray(score(asked[3:10], gallery[b], a, b))
    if block.shape != full[3:10].shape or not np.allclose(block, full[3:10], rtol=1e-4, atol=1e-5):
        raise CheckFailed("score of a block of queries is not that block of the scores of all queries")
