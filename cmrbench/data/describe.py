"""What there is to say about a registered dataset, as plain values for tables and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import DataError
from cmrbench.data.local import local_feature_sets, read_local
from cmrbench.data.sources import can_fetch, find_variant, how_to_get, source_folder

if TYPE_CHECKING:
    from pathlib import Path

    from cmrbench.data.catalogue import Catalogue, FeatureSet

STATES = {
    "embedded": "comes with the package",
    "imported": "in the cache folder",
    "local": "read where it lies",
    "generated": "made in memory",
    "features": "features that you brought or made",
    "missing": "not on this machine",
}


def state(catalogue: Catalogue, name: str) -> str:
    """Where a dataset is: a key of `STATES`."""
    entry = catalogue.entry(name)
    if entry.builder == "synthetic":
        return "generated"
    if find_variant(entry, source_folder(catalogue, name)) is None:
        return "features" if local_feature_sets(catalogue.resolve(name)) else "missing"
    if entry.folder is None:
        return "imported"
    return "embedded" if entry.folder.startswith("data/embedded/") else "local"


def describe(catalogue: Catalogue, name: str) -> dict[str, Any]:
    """All that is registered of a dataset, and its state on this machine.

    Parameters
    ----------
    catalogue : Catalogue
    name : str
        Registered name or alias.

    Returns
    -------
    dict
        JSON values only. ``splits`` holds registered sizes by feature set, name of the split, and split; it is empty
        for a dataset whose items have not been seen.
    """
    name = catalogue.resolve(name)
    entry = catalogue.entry(name)
    where = state(catalogue, name)
    splits: dict[str, dict[str, Any]] = {}
    for fs_name, feature_set in entry.feature_sets.items():
        own = feature_set.records
        for split_name, split in entry.splits.items():
            records = split.records if own is None else own.get(split_name)
            if records:
                sizes = {part: record.items for part, record in records.items()}
                splits.setdefault(fs_name, {})[split_name] = sizes
    described: dict[str, Any] = {
        "name": name,
        "title": entry.title,
        "aliases": entry.aliases,
        "state": where,
        "summary": entry.summary,
        "licence": entry.licence,
        "citation": entry.cited,
        "names": entry.names,
        "problems": entry.problems,
        "default_split": entry.default_split,
        "schemes": {
            n: {
                "summary": split.summary,
                "used_by": split.used_by,
                "scheme": split.scheme.model_dump(),
                "shown": str(split.scheme),
            }
            for n, split in entry.splits.items()
        },
        "local_feature_sets": {n: _local(folder) for n, folder in local_feature_sets(name).items()},
        "can_fetch": can_fetch(entry),
        "homepage": entry.homepage,
        "classes": entry.labels.classes if entry.labels else 0,
        "multilabel": entry.labels.multilabel if entry.labels else False,
        "default_feature_set": entry.default_feature_set,
        "feature_sets": {n: _described(fs) for n, fs in entry.feature_sets.items()},
        "splits": splits,
        "protocols": [p.model_dump() for p in entry.protocols],
        "sources": [s.model_dump(by_alias=True) for s in entry.sources],
        "preset": entry.preset,
        "folder": str(source_folder(catalogue, name)) if where in ("imported", "local") else "",
        "how_to_get": how_to_get(name, entry) if where == "missing" else "",
    }
    return described


def _described(feature_set: FeatureSet) -> dict[str, Any]:
    modalities = {m: spec.model_dump(exclude={"read"}) for m, spec in feature_set.modalities.items()}
    return {"summary": feature_set.summary, "modalities": modalities}


def _local(folder: Path) -> dict[str, Any]:
    """A feature set of this machine; of a damaged one, what is wrong with it: the others are shown all the same."""
    try:
        described = _described(read_local(folder).feature_set())
    except DataError as error:
        described = {"summary": str(error), "modalities": {}}
    return {"folder": str(folder), **described}
