"""The local feature set that a job ends in: its arrays, and the record of what they were made of and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmrbench.core.errors import UsageError
from cmrbench.data.local import LocalFeatureSet, new_local_feature_set, read_local, save_record
from cmrbench.data.reading import read_content
from cmrbench.data.resolve import resolve_local

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.core.items import Items
    from cmrbench.data.catalogue import Catalogue
    from cmrbench.data.extract.job import Described, Job
    from cmrbench.data.extract.shards import Shards
    from cmrbench.data.resolve import Resolved


@dataclass(frozen=True, eq=False)
class Assembly:
    """All that a feature set's record tells of.

    Attributes
    ----------
    job : Job
    key : str
        Of the job's shards.
    resolved : Resolved
    dataset : Dataset
        What was described.
    described : mapping of modality to Described
    kept : tuple of str
        Modalities whose vectors are taken over as they are.
    """

    job: Job
    key: str
    resolved: Resolved
    dataset: Dataset
    described: Mapping[str, Described]
    kept: tuple[str, ...]


def assemble(made: Assembly, shards: Mapping[tuple[str, str], Shards], catalogue: Catalogue) -> None:
    """Write the local feature set: one array a role and split, and the record. It is read and validated before.

    Raises
    ------
    UsageError
        If another job has taken the name meanwhile; the shards stay.
    DataError
        If it cannot be written, or is no sound dataset (a row of zeros, say); the shards stay.
    """
    name, feature_set = made.resolved.name, made.job.name
    try:
        with new_local_feature_set(name, feature_set) as folder:
            save_record(_write(made, shards, folder), folder)
            with read_content(resolve_local(name, feature_set, folder, catalogue)):
                pass
        taken = read_local(folder.parent / feature_set).provenance.get("key") != made.key
    except UsageError:
        taken = True
    if taken:
        raise UsageError(
            f"{name!r} got a feature set {feature_set!r} from another process meanwhile; the same command with another "
            "name in --as takes over all that has been made"
        )


def _write(made: Assembly, shards: Mapping[tuple[str, str], Shards], folder: Path) -> LocalFeatureSet:
    dims: dict[str, int] = {}
    mapping: dict[str, str] = {}
    dataset = made.dataset
    modalities = [m for m in dataset.modalities if m in made.described or m in made.kept]
    for split in dataset.sizes:
        for modality in modalities:
            role = f"{modality}_{split}"
            items = dataset.part(split)[modality]
            if modality in made.kept:
                np.save(folder / f"{role}.npy", items.features, allow_pickle=False)
                dims[modality] = items.dim
            else:
                dims[modality] = shards[modality, split].assemble(folder / f"{role}.npy")
            mapping[role] = role
            for own, values in _companions(items, split):
                np.save(folder / f"{own}.npy", values, allow_pickle=False)
                mapping[own] = own
    if dataset.classes:
        np.save(folder / "class_names.npy", np.array(dataset.classes, np.str_), allow_pickle=False)
        mapping["class_names"] = "class_names"
    return LocalFeatureSet(
        builder="mapped",
        options={"mapping": mapping},
        modalities={m: _specification(made, m, dims[m]) for m in modalities},
        summary=f"extracted from {dataset.name}/{dataset.feature_set}",
        provenance=_provenance(made),
        split={"kind": "source"},
    )


def _specification(made: Assembly, modality: str, width: int) -> dict[str, Any]:
    """As the catalogue describes a modality."""
    if modality in made.kept:
        known = made.resolved.feature_set.modalities[modality]
        return known.model_dump(include={"extractor", "kind", "layer", "normalisation"}) | {"dims": width}
    one = made.described[modality]
    settings = ", ".join(f"{k}={v}" for k, v in one.parameters.items() if v != "")
    return {
        "kind": "vector",
        "dims": width,
        "extractor": f"{one.extractor.extractor} ({settings})" if settings else one.extractor.extractor,
        "layer": one.extractor.layer,
        "normalisation": one.extractor.normalisation,
    }


def _provenance(made: Assembly) -> dict[str, Any]:
    dataset, described = made.dataset, made.described
    return {
        "made_by": "cmrbench extract",
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "of": {
            "dataset": made.resolved.name,
            "feature_set": dataset.feature_set,
            "split": made.resolved.split_name,
            "fingerprint": dataset.fingerprint,
        },
        "extractors": {
            m: {
                "name": one.name,
                "parameters": one.parameters,
                "fitted_on": "train" if one.extractor.fits else "",
                "versions": one.extractor.versions(),
                "device": one.extractor.device_,
            }
            for m, one in described.items()
        },
        "kept": list(made.kept),
        "weights_sha256": {m: one.weights for m, one in described.items() if one.weights},
        "seed": made.job.seed,
        "rows": sum(len(inputs) for one in described.values() for inputs in one.inputs.values()),
        "splits": list(dataset.sizes),
        "key": made.key,
    }


def _companions(items: Items, split: str) -> list[tuple[str, np.ndarray]]:
    """Ids, instances and labels of the items, by role."""
    found = [(f"{items.modality}_ids_{split}", items.ids), (f"{items.modality}_instances_{split}", items.instances)]
    if items.labels is not None:
        found.append((f"{items.modality}_label_{split}", items.labels))
    return found
