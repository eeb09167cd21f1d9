"""Features that a user brings: what was inspected is copied, built and validated, and becomes a feature set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import DataError, UsageError
from cmrbench.core.names import OWN_FORM, is_own_name
from cmrbench.data.importing.copying import copy_file

if TYPE_CHECKING:
    from cmrbench.data.importing.inspecting import Inspected
    from cmrbench.data.local import LocalFeatureSet

UNKNOWN = "not said at the import"


@dataclass(frozen=True)
class Brought:
    """A local feature set that was made.

    Attributes
    ----------
    dataset, feature_set : str
    folder : Path
    hashes : mapping of file name to SHA-256
    sizes : mapping of split to mapping of modality to int
    notes : tuple of str
        What was done to the values.
    """

    dataset: str
    feature_set: str
    folder: Path
    hashes: Mapping[str, str]
    sizes: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...]


def bring(inspected: Inspected) -> Brought:
    """Copy the files into the cache as a local feature set, and validate what is made of the copies.

    The feature set appears when everything holds that holds of registered data, or not at all.

    Raises
    ------
    DataError
        If the mapping is not complete, the files hold what is refused, or cannot be written.
    UsageError
        If the name is taken.
    """
    from cmrbench.data.cache import cache_root
    from cmrbench.data.local import new_local_feature_set, save_record

    inspected.check()
    feature_set = _name(inspected)
    with new_local_feature_set(inspected.name, feature_set, inspected.wanted.replace) as folder:
        copied = {file.name: copy_file(file, folder / file.name) for file in inspected.files}
        save_record(_local(inspected, copied), folder, copied)
        try:
            sizes, notes = _validated(inspected, feature_set, folder)
        except DataError as error:
            own = inspected.path if inspected.path.is_dir() else inspected.path.parent
            raise DataError(str(error).replace(str(folder), str(own))) from None
        _add_splits(folder, list(sizes))
    final = cache_root() / "features" / inspected.name / feature_set
    hashes = {name: str(known["sha256"]) for name, known in copied.items()}
    return Brought(inspected.name, feature_set, final, hashes, sizes, tuple(notes))


def _validated(inspected: Inspected, feature_set: str, folder: Path) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Build what the folder holds and hold it against all that registered data is held against: sizes and notes."""
    from cmrbench.data.reading import read_content
    from cmrbench.data.resolve import resolve_local
    from cmrbench.data.validate import validate_cut

    resolved = resolve_local(inspected.name, feature_set, folder, inspected.catalogue)
    with read_content(resolved) as (cut, parts, notes):
        sizes = {s: {m: len(items) for m, items in part.items()} for s, part in parts.items()}
        if inspected.brings_split:
            measured = replace(resolved, brought=tuple(parts)).protocols
            if not measured:
                needed = "; ".join(
                    f"{p.name}: {', '.join(dict.fromkeys([*p.query, *p.gallery]))}" for p in inspected.entry.protocols
                )
                raise DataError(
                    f"{inspected.path} has the splits {', '.join(parts)}, by which no protocol of {inspected.name} "
                    f"can be measured ({needed})"
                )
            notes = list(dict.fromkeys([*notes, *validate_cut(cut, measured, resolved.multilabel)[1]]))
        return sizes, notes


def _add_splits(folder: Path, splits: list[str]) -> None:
    from cmrbench.data.local import RECORD

    record = json.loads((folder / RECORD).read_bytes())
    record["provenance"]["splits"] = splits
    (folder / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")


def _name(inspected: Inspected) -> str:
    from cmrbench.data.catalogue.schema import BROUGHT

    feature_set = inspected.wanted.feature_set or BROUGHT
    if not is_own_name(feature_set):
        raise UsageError(f"--as {feature_set!r} is no name of a feature set; expected {OWN_FORM}")
    if feature_set in inspected.entry.feature_sets:
        raise UsageError(
            f"{inspected.name}/{feature_set} is a registered feature set; call yours otherwise with --as NAME"
        )
    return feature_set


def _local(inspected: Inspected, copied: Mapping[str, Mapping[str, Any]]) -> LocalFeatureSet:
    from cmrbench.data.local import LocalFeatureSet

    roles = {str(role): array for role, array in inspected.proposal.roles.items()}
    wanted = inspected.wanted
    about = _about(wanted.about, inspected.modalities)
    options = {
        "mapping": roles,
        "transpose": list(wanted.transpose),
        "drop_unlabelled": wanted.drop_unlabelled,
        "drop_empty": wanted.drop_empty,
    }
    provenance = {
        "imported": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "from": inspected.path.name,
        "format": inspected.kind,
        "files": {name: dict(known) for name, known in copied.items()},
        "layout": inspected.proposal.layout,
        "arrays": [vars(line) for line in inspected.mapped],
        "about": list(wanted.about),
    }
    return LocalFeatureSet(
        builder="mapped",
        options=options,
        modalities={m: {"extractor": about[m], "dims": _dims(inspected, m)} for m in inspected.modalities},
        summary=f"Imported from {inspected.path.name}.",
        provenance=provenance,
        split={"kind": "source", "val": wanted.val or None} if inspected.brings_split else None,
    )


def _dims(inspected: Inspected, modality: str) -> int:
    roles = [str(r) for r in inspected.proposal.roles if (r.kind, r.modality) == ("features", modality)]
    line = next(m for m in inspected.mapped if m.role in roles)
    return line.shape[0] if line.transposed else line.shape[1]


def _about(said: Sequence[str], modalities: Sequence[str]) -> dict[str, str]:
    """How each modality was made; a text without ``MODALITY=`` speaks of all that nothing else is said of."""
    of_all, own = UNKNOWN, {}
    for text in said:
        modality, equals, described = text.partition("=")
        if equals and modality.strip() in modalities:
            own[modality.strip()] = described.strip() or UNKNOWN
        else:
            of_all = text.strip() or UNKNOWN
    return dict.fromkeys(modalities, of_all) | own
