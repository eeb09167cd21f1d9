"""Checks on how a method treats the arrays it is handed."""

from __future__ import annotations

import tempfile

import numpy as np

from cmrbench.core.items import Items
from cmrbench.testing.case import Case, CheckFailed
from cmrbench.testing.check import check
from cmrbench.testing.checks.outputs import need_valid
from cmrbench.testing.compare import need_close
from cmrbench.testing.data import each, memory_mapped, writable


@check("read-only arrays: fit and encode write nothing into them")
def check_read_only_inputs(case: Case) -> None:
    """Runs hand out read-only arrays."""
    try:
        need_valid(case.fitted)
    except ValueError as error:
        if "read-only" in str(error):
            raise CheckFailed(f"writes into an array it was handed: {error}") from error
        raise


@check("memory-mapped features: fit and encode as with arrays in memory")
def check_memory_mapped_inputs(case: Case) -> None:
    """Runs memory-map the prepared splits."""
    with tempfile.TemporaryDirectory() as folder:
        train, val = case.training(case.dataset)
        mapped = {m: memory_mapped(items, folder, "train") for m, items in train.items()}
        mapped_val = None if val is None else {m: memory_mapped(items, folder, "val") for m, items in val.items()}
        in_memory, from_files = case.fitted.outputs(), need_valid(case.fit(case.dataset, training=(mapped, mapped_val)))
        for modality in in_memory:
            what = f"encode({modality!r}) after fit on memory maps differs"
            need_close(in_memory[modality], from_files[modality], what)
        for modality, items in case.dataset.part("query").items():
            expected = case.fitted.represent(items)
            found = case.fitted.represent(memory_mapped(items, folder, "query"))
            need_close(expected, found, f"encode({modality!r}) of a memory map differs")


@check("features stored by columns (Fortran order) are encoded like those stored by rows")
def check_memory_layout(case: Case) -> None:
    """Arrays from .mat files come by columns."""
    case.needs_encode()
    for modality, items in case.dataset.part("query").items():
        expected = case.fitted.method.encode(modality, items.features)
        found = case.fitted.method.encode(modality, np.asfortranarray(items.features))
        need_close(expected, found, f"encode({modality!r}) depends on the memory layout")


@check("inputs unchanged: arrays that could be written to hold the same values after fit and encode")
def check_inputs_unchanged(case: Case) -> None:
    """Read-only arrays stop numpy, not compiled code that takes a pointer."""
    train, val = case.training(case.dataset)
    open_train = each(train, writable)
    open_val = None if val is None else each(val, writable)
    fitted = case.fit(case.dataset, training=(open_train, open_val))
    for given, plain in ((open_train, train), (open_val or {}, val or {})):
        for modality, items in given.items():
            _need_unchanged("fit", items, plain[modality])
    for items in case.dataset.part("query").values():
        copy = writable(items)
        fitted.represent(copy)
        _need_unchanged("encode", copy, items)


def _need_unchanged(step: str, given: Items, plain: Items) -> None:
    for name in ("features", "labels"):
        if not np.array_equal(getattr(given, name), getattr(plain, name)):
            raise CheckFailed(f"{step} changed the {name} of {plain.modality} that it was handed")


@check("features of another width are refused")
def check_wrong_width_refused(case: Case) -> None:
    """Numbers for features that the method was not fitted on would be made up."""
    case.needs_encode()
    for modality, items in case.dataset.part("query").items():
        wider = np.concatenate([items.features, items.features[:, :1]], axis=1)
        try:
            case.fitted.method.encode(modality, wider)
        except Exception:
            continue
        raise CheckFailed(
            f"was fitted on {items.dim} {modality} features and encoded {wider.shape[1]} without a word; "
            "call self.check_features(...)"
        )
