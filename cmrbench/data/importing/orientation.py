"""Whether arrays hold one item a row: seen from the counts of items, refused with a hint, never turned in silence."""

from __future__ import annotations

from collections.abc import Mapping

from cmrbench.core.errors import DataError
from cmrbench.data.files import Stored
from cmrbench.data.importing.label_forms import is_vector
from cmrbench.data.importing.roles import Role

Arrays = Mapping[Role, Stored]


def check_orientation(arrays: Arrays, file: str) -> None:
    """Compare the rows of every feature array with the items that its labels (or the other modality) have.

    Parameters
    ----------
    arrays : mapping of Role to Stored
        Those that are to be transposed are.
    file : str
        For messages.

    Raises
    ------
    DataError
        If a feature array has not two axes, or counts differ; where the columns fit instead, with what to type.
    """
    for role, stored in arrays.items():
        if role.kind == "features" and len(stored.shape) != 2:
            raise DataError(
                f"{stored.where} is mapped to {role} but has the shape {stored.shape}; features are (items, columns)"
            )
        if role.kind == "features" and stored.is_text:
            raise DataError(f"{stored.where} is mapped to {role} but holds strings; features are numbers")
    turned: dict[str, Stored] = {}
    wrong: list[str] = []
    for part in dict.fromkeys(r.part for r in arrays if r.kind == "features"):
        features = {r.modality: s for r, s in arrays.items() if (r.kind, r.part) == ("features", part)}
        for modality, stored in features.items():
            if Role("instances", modality, part) in arrays:
                continue  # its items are counted by that array
            label = arrays.get(Role("label", modality, part)) or arrays.get(Role("label", "", part))
            own = Role("label", modality, part) in arrays
            _compare(modality, stored, label, own, turned, wrong)
        if not any(r.kind == "label" and r.part == part for r in arrays):
            _compare_with_each_other(features, arrays, part, turned, wrong)
    if turned:
        shapes = ", ".join(f"{s.name} has the shape {s.shape}" for s in turned.values())
        asked = " ".join(f"--transpose {name}" for name in turned)
        raise DataError(f"{file}: {shapes}: that is one item a column, as the other arrays' counts show; say {asked}")
    if wrong:
        raise DataError(f"{file}: {wrong[0]}")


def _compare(
    modality: str, stored: Stored, label: Stored | None, own: bool, turned: dict[str, Stored], wrong: list[str]
) -> None:
    if label is None:
        return
    rows, columns = stored.shape
    if is_vector(label):
        items, others = max(label.shape), -1
    else:
        items, others = label.shape[0], label.shape[1] if len(label.shape) == 2 else -1
    label_name = f"{modality}_label" if own else "label"
    if rows == items:
        return
    if columns == items:
        turned[modality] = stored
    elif rows == others:
        turned[label_name] = label
    elif columns == others:
        turned[modality], turned[label_name] = stored, label
    else:
        wrong.append(
            f"{stored.name} has {rows:,} rows of {modality}, but {label.name} has {items:,} labels; if an item of one "
            f"has several of the other (captions), say which with --map {modality}_instances=ARRAY"
        )


def _compare_with_each_other(
    features: Mapping[str, Stored], arrays: Arrays, part: str, turned: dict[str, Stored], wrong: list[str]
) -> None:
    """Without labels, modalities must have as many rows as each other."""
    paired = {m: s for m, s in features.items() if Role("instances", m, part) not in arrays}
    if len({s.shape[0] for s in paired.values()}) < 2:
        return
    if len({s.shape[1] for s in paired.values()}) == 1:
        turned.update(paired)
        return
    counts = ", ".join(f"{s.name} {s.shape[0]:,}" for s in paired.values())
    for modality, stored in paired.items():
        if all(stored.shape[1] == s.shape[0] for m, s in paired.items() if m != modality):
            turned[modality] = stored
            return
    last = list(paired)[-1]
    wrong.append(
        f"modalities have different numbers of rows ({counts}); if an item of one has several of the other (captions), "
        f"say which with --map {last}_instances=ARRAY"
    )
