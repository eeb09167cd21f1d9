"""Checks on randomness: all of it comes from the context's seed, and nothing outlives a fit."""

from __future__ import annotations

import random
import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import numpy as np

from cmrbench.core.sharing import Shared
from cmrbench.testing.case import BITS, Case, CheckFailed, NotApplicable
from cmrbench.testing.check import check
from cmrbench.testing.compare import all_identical, need_identical
from cmrbench.testing.data import small_dataset


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Python's, numpy's and torch's global generators at `seed` for a while, then as they were."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - these are what is under test
    torch = sys.modules.get("torch")
    state = torch.get_rng_state() if torch else None
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if torch:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        if torch and state is not None:
            torch.set_rng_state(state)


@check("the same seed gives the same numbers to the bit, whatever the global random generators hold")
def check_same_seed_same_output(case: Case) -> None:
    """Randomness comes only from `Context`."""
    first = case.fitted.outputs()
    with global_seed(2):
        second = case.fit(case.dataset).outputs()
    need_identical(
        first,
        second,
        "a second fit with one seed gives something else; draw all randomness from context.rng or context.seed_for",
    )


@check("another seed gives other numbers; where info.deterministic is declared, the same ones")
def check_other_seed(case: Case) -> None:
    """Errors over seeds are only errors if the seed is used."""
    first = case.fitted.outputs()
    second = case.fit(case.dataset, seed=1).outputs()
    if case.info.deterministic:
        need_identical(first, second, "declares deterministic=True, but the seed changes the output")
    elif all_identical(first, second):
        raise CheckFailed("seeds 0 and 1 give the same output to the bit; declare deterministic=True or use the seed")


@check("a second fit starts afresh")
def check_refit_starts_afresh(case: Case) -> None:
    """Fitting on other data in between leaves nothing behind."""
    other = small_dataset(len(case.dataset.modalities), dims=(9, 15))
    method = case.fit(other).method
    need_identical(
        case.fitted.outputs(),
        case.fit(case.dataset, method=method).outputs(),
        "a method that was fitted on other data before gives something else",
    )


@check("two fitted methods do not disturb each other")
def check_instances_independent(case: Case) -> None:
    """Learned state lives in the instance, not in the class or the module."""
    fitted = case.fitted
    before = {m: array.copy() for m, array in fitted.outputs().items()}
    case.fit(small_dataset(len(case.dataset.modalities), dims=(9, 15)))
    try:
        after = fitted.outputs()
    except Exception as error:
        raise CheckFailed(f"fitting another instance broke this one: {type(error).__name__}: {error}") from error
    need_identical(before, after, "fitting another instance changed this one")


@check("hashing: codes are the same whether or not runs of other lengths have left shared work behind")
def check_shared_work(case: Case) -> None:
    """`Context.shared` is for what follows from the training items, the seed and the parameters alone."""
    if case.info.output != "hash":
        raise NotApplicable("its output has no code length")
    memo: dict[Hashable, Shared] = {}
    for bits in (BITS, 12, 24):
        need_identical(
            case.fit(case.dataset, bits=bits).outputs(),
            case.fit(case.dataset, bits=bits, memo=memo).outputs(),
            f"with the shared work of other code lengths, {bits} bits give other codes than without",
        )
    if not memo:
        raise NotApplicable("it shares no work between code lengths")
