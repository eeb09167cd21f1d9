"""Labels in the forms that files have them, as multi-hot: names, numbers from 0 or from 1, columns, 0/1 matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.files import Stored
from cmrbench.data.files.stored import listed

MAX_CLASSES = 100_000


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labels of several arrays, in one and the same columns.

    Attributes
    ----------
    hot : dict of str to ndarray, uint8, shape (n, C)
        By the array's key.
    classes : tuple of str
    notes : tuple of str
    """

    hot: dict[str, np.ndarray]
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def read_labels(arrays: Mapping[str, Stored], names: Sequence[str] | None, count: int | None) -> Labelled:
    """Read label arrays that belong together: what their numbers mean is decided once, over all of them.

    Parameters
    ----------
    arrays : mapping of str to Stored
        Each (n,), (n, 1) or (1, n) with names or numbers of classes, or (n, C) with 0 and 1.
    names : sequence of str or None
        The classes in order, where they are known.
    count : int or None
        How many classes there are, where it is known.

    Raises
    ------
    DataError
        If forms differ, entries are neither 0 nor 1, names are unknown, or numbers leave doubt (gaps, below 0, from 1
        without the last).
    """
    count = len(names) if names is not None else count
    forms = {key: _form(stored) for key, stored in arrays.items()}
    if len(set(forms.values())) > 1:
        (a, form_a), (b, form_b) = next((x, y) for x in forms.items() for y in forms.items() if x[1] != y[1])
        raise DataError(f"{arrays[a].where} holds {form_a}, but {arrays[b].name!r} {form_b}; give all in one form")
    form = next(iter(forms.values()))
    if form == "a 0/1 matrix":
        hot = {key: _matrix(stored) for key, stored in arrays.items()}
        widths = {key: h.shape[1] for key, h in hot.items()}
        if len(set(widths.values())) > 1:
            shown = ", ".join(f"{arrays[k].name} {w}" for k, w in widths.items())
            raise DataError(f"{next(iter(arrays.values())).file}: labels are of different widths: {shown}")
        return Labelled(hot, _named(names, next(iter(widths.values())), next(iter(arrays.values()))), ())
    values = {key: stored_vector(stored) for key, stored in arrays.items()}
    if form == "names of classes":
        return _from_names(arrays, values, names)
    return _from_numbers(arrays, values, names, count)


def stored_vector(stored: Stored) -> np.ndarray:
    """The values of an array that is (n,), a column or a row, as (n,)."""
    if len(stored.shape) == 2 and stored.shape[0] == 1:
        stored = stored.transposed()
    return stored.read().reshape(-1)


def is_vector(stored: Stored) -> bool:
    """Whether it holds one value an item."""
    return len(stored.shape) == 1 or (len(stored.shape) == 2 and 1 in stored.shape)


def _form(stored: Stored) -> str:
    if is_vector(stored):
        return "names of classes" if stored.is_text else "numbers of classes"
    if len(stored.shape) != 2 or stored.is_text:
        what = "strings" if stored.is_text else "numbers"
        raise DataError(
            f"{stored.where} has the shape {stored.shape} of {what}; labels are (items,) or 0/1 of (items, classes)"
        )
    return "a 0/1 matrix"


def _matrix(stored: Stored) -> np.ndarray:
    hot = np.empty(stored.shape, np.uint8)
    for start, block in stored.blocks():
        bad = (block != 0) & (block != 1)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            value = block[row, column]
            if value == -1 and np.isin(block, (-1, 1)).all():
                raise DataError(f"{stored.where} holds labels of -1 and +1; store 0 in the place of -1")
            raise DataError(f"{stored.where}: row {start + row} holds {value}; labels are 0 or 1")
        hot[start : start + len(block)] = block
    return hot


def _from_names(
    arrays: Mapping[str, Stored], values: Mapping[str, np.ndarray], names: Sequence[str] | None
) -> Labelled:
    found = sorted({str(v) for v in np.unique(np.concatenate(list(values.values()))).tolist()})
    note = () if names is not None else ("classes are in the alphabetical order of their names",)
    classes = tuple(names if names is not None else found)
    if len(classes) > MAX_CLASSES:
        raise DataError(f"{next(iter(arrays.values())).where} holds {len(classes):,} different names of classes")
    place = {name: k for k, name in enumerate(classes)}
    hot = {}
    for key, own in values.items():
        numbers = np.array([place.get(str(v), -1) for v in own.tolist()], np.int64)
        if (numbers < 0).any() or "" in place:
            row = int(np.argmax(numbers < 0)) if (numbers < 0).any() else int(np.argmax(own == ""))
            raise DataError(
                f"{arrays[key].where}: row {row} is {str(own[row])!r}, which is no class; {_classes(names)}"
            )
        hot[key] = _one_hot(numbers, len(classes))
    return Labelled(hot, classes, note)


def _classes(names: Sequence[str] | None) -> str:
    return f"classes are {listed(names)}" if names is not None else "give every item a class"


def _from_numbers(
    arrays: Mapping[str, Stored], values: Mapping[str, np.ndarray], names: Sequence[str] | None, count: int | None
) -> Labelled:
    whole = {key: _whole(arrays[key], own) for key, own in values.items()}
    present = np.unique(np.concatenate(list(whole.values())))
    first = next(iter(arrays.values()))
    low, high = int(present[0]), int(present[-1])
    if low < 0:
        key = next(k for k, own in whole.items() if (own < 0).any())
        row = int(np.argmax(whole[key] < 0))
        meant = "store 0 and 1 in a matrix" if low == -1 and high == 1 else "number classes from 0, or leave items out"
        raise DataError(f"{arrays[key].where}: row {row} is class {whole[key][row]}; {meant}")
    base = _base(first, present, count)
    n_classes = count if count is not None else high + 1 - base
    note = (f"classes were numbered from 1 to {high}: they are counted from 0",) if base else ()
    hot = {key: _one_hot(own - base, n_classes) for key, own in whole.items()}
    return Labelled(hot, _named(names, n_classes, first), note)


def _whole(stored: Stored, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        bad = ~np.isfinite(values) | (values != np.floor(values))
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(f"{stored.where}: row {row} is {values[row]}; numbers of classes are whole")
    if not len(values):
        raise DataError(f"{stored.where} is empty")
    large = values > MAX_CLASSES
    if large.any():
        row = int(np.argmax(large))
        raise DataError(f"{stored.where}: row {row} is class {values[row]}; at most {MAX_CLASSES:,} classes are read")
    return values.astype(np.int64)


def _base(stored: Stored, present: np.ndarray, count: int | None) -> int:
    """0 or 1: what the numbers of classes begin with. All arrays together decide, and only where there is no doubt."""
    low, high = int(present[0]), int(present[-1])
    where = f"{stored.file}: labels"
    if count is not None:
        if high > count or (high == count and low == 0):
            raise DataError(f"{where} are numbered {low} to {high}, but the dataset has {count} classes")
        if high == count:
            return 1
        if low == 0:
            return 0
        raise DataError(
            f"{where} are numbered {low} to {high} of {count} classes: that is neither 0 to {count - 1} nor 1 to "
            f"{count} for sure; store them as a 0/1 matrix"
        )
    if len(present) != high - low + 1 or low > 1:
        gaps = sorted(set(range(0 if low == 0 else 1, high + 1)) - set(present.tolist()))
        never = f"{listed(gaps, 5)} never occur{'s' if len(gaps) == 1 else ''}"
        raise DataError(
            f"{where} are numbered {low} to {high} with gaps ({never}); number classes without gaps from 0 or 1"
        )
    return low


def _one_hot(numbers: np.ndarray, n_classes: int) -> np.ndarray:
    hot = np.zeros((len(numbers), n_classes), np.uint8)
    hot[np.arange(len(numbers)), numbers] = 1
    return hot


def _named(names: Sequence[str] | None, n: int, stored: Stored) -> tuple[str, ...]:
    if names is not None and len(names) != n:
        raise DataError(f"{stored.where} has {n} classes, but there are {len(names)} names of classes")
    return tuple(names) if names is not None else tuple(f"class{k}" for k in range(n))
