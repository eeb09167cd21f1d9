"""The prepared form: one folder a dataset and feature set, one .npy a split, modality and array, and a manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmrbench.core.dataset import Dataset
from cmrbench.core.errors import DataError, UsageError
from cmrbench.core.hashing import digest, digest_file
from cmrbench.core.items import Items
from cmrbench.data.cache import cache_root, new_folder
from cmrbench.data.content import ARRAYS, fingerprint, split_digest
from cmrbench.data.sources import Located, check_sources, locate

if TYPE_CHECKING:
    from cmrbench.core.protocol import Protocol
    from cmrbench.data.catalogue import Catalogue, Entry, FeatureSet, SplitRecord

FORMAT = 1
MANIFEST = "manifest.json"


def split_name(name: str) -> tuple[str, str | None]:
    """``"emoji/multilingual"`` into dataset and feature set; the latter is None where only a dataset is named."""
    dataset, slash, feature_set = name.partition("/")
    if not dataset or (slash and not feature_set) or "/" in feature_set:
        raise UsageError(f"{name!r} is not a dataset name; expected NAME or NAME/FEATURE_SET")
    return dataset, feature_set or None


def load_dataset(
    name: str, feature_set: str | None = None, catalogue: Catalogue | None = None, **params: Any
) -> Dataset:
    """Open a registered dataset; the first time, its sources are checked, read, validated and prepared.

    Parameters
    ----------
    name : str
        A name or alias of datasets.yaml (``"emoji"``), or with its feature set (``"emoji/multilingual"``).
    feature_set : str, optional
        The default one if left out.
    catalogue : Catalogue, optional
        `cmrbench.data.catalogue.load_catalogue` if left out.
    **params
        Parameters of `cmrbench.data.synthetic.make_synthetic`; other datasets have none.

    Returns
    -------
    Dataset
        Its arrays are memory-mapped, one split at a time, when they are asked for.

    Raises
    ------
    UnknownNameError
        If nothing is registered under the name.
    DatasetMissingError
        If the dataset is not on this machine.
    DataError
        If its files are not what they should be, or the cache folder cannot be written.
    """
    if feature_set is None:
        name, feature_set = split_name(name)
    if catalogue is None:
        from cmrbench.data.catalogue import load_catalogue

        catalogue = load_catalogue()
    name = catalogue.resolve(name)
    entry = catalogue.entry(name)
    chosen, features = entry.feature_set(name, feature_set)
    if entry.reader == "synthetic":
        return _synthetic(params)
    if params:
        raise UsageError(f"dataset {name!r} has no parameters, got {', '.join(params)}")
    located = locate(catalogue, name)
    folder = prepared_folder(name, chosen, entry, located)
    if not (folder / MANIFEST).is_file():
        prepare(name, chosen, entry, located, folder)
    return open_prepared(folder, entry, features)


def _synthetic(params: Mapping[str, Any]) -> Dataset:
    import inspect

    from cmrbench.core.errors import UnknownNameError
    from cmrbench.data.synthetic import make_synthetic

    known = inspect.signature(make_synthetic).parameters
    for param in params:
        if param not in known:
            raise UnknownNameError("parameter of synthetic", param, known)
    return make_synthetic(**params)


def protocols_of(entry: Entry) -> tuple[Protocol, ...]:
    """The dataset's protocols as frozen values."""
    return tuple(p.protocol() for p in entry.protocols)


def prepared_folder(name: str, feature_set: str, entry: Entry, located: Located) -> Path:
    """Where the prepared form lies: it depends on all that its content depends on."""
    from cmrbench.data.readers import reader_version

    chosen = entry.feature_sets[feature_set]
    key = digest(
        {
            "format": FORMAT,
            "reader": [entry.reader, reader_version(entry.reader)],
            "sources": located.hashes,
            "modalities": {
                m: [spec.dims, spec.read and spec.read.model_dump()] for m, spec in chosen.modalities.items()
            },
            "labels": entry.labels and entry.labels.model_dump(),
            "tags": entry.tags,
            "validation": entry.validation,
            "splits": {s: r.model_dump() for s, r in (split_records(entry, chosen) or {}).items()},
            "protocols": [p.model_dump() for p in entry.protocols],
        }
    )
    return cache_root() / "prepared" / name / f"{feature_set}-{key}"


def split_records(entry: Entry, feature_set: FeatureSet) -> Mapping[Any, SplitRecord] | None:
    """The registered splits of a feature set, or None where none are (data that users bring)."""
    return feature_set.splits or entry.splits


def read_content(entry: Entry, feature_set: FeatureSet, located: Located) -> tuple[dict[str, dict[str, Items]], Any]:
    """Read and validate the sources, and check splits, dimensions and classes against the catalogue.

    Returns
    -------
    parts : dict of split to dict of modality to Items
    content : Content
        As the reader made it (class names, notes).
    """
    from cmrbench.data.readers import read
    from cmrbench.data.validate import validate

    content = read(entry, feature_set, located.folder, located.variant)
    for modality, spec in feature_set.modalities.items():
        dim = content.items[modality].dim
        if spec.dims is not None and dim != spec.dims:
            raise DataError(f"{content.file}: {modality} has {dim} columns, the catalogue says {spec.dims}")
    known = entry.labels.classes if entry.labels else None
    if known is not None and len(content.classes) != known:
        raise DataError(f"{content.file}: {len(content.classes)} classes, the catalogue says {known}")
    multilabel = entry.labels.multilabel if entry.labels else False
    parts = validate(content, protocols_of(entry), multilabel)
    check_splits(parts, split_records(entry, feature_set), content.file)
    return parts, content


def check_splits(
    parts: Mapping[str, Mapping[str, Items]], records: Mapping[Any, SplitRecord] | None, file: str
) -> None:
    """Raise a DataError unless the splits are the registered ones, order included."""
    if records is None:
        return
    if parts.keys() != records.keys():
        raise DataError(f"{file}: splits are {', '.join(parts)}, the catalogue says {', '.join(records)}")
    for split, record in records.items():
        if split_digest(parts[split]) != record.sha256:
            raise DataError(f"{file}: the items of split {split} are not the registered ones, in the registered order")


def prepare(name: str, feature_set: str, entry: Entry, located: Located, folder: Path) -> None:
    """Check, read, validate and write; the folder appears whole or not at all."""
    check_sources(entry, located)
    parts, content = read_content(entry, entry.feature_sets[feature_set], located)
    items = next(iter(parts.values()))
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "dataset": name,
        "feature_set": feature_set,
        "sources": located.hashes,
        "modalities": list(items),
        "dims": {m: i.dim for m, i in items.items()},
        "classes": list(content.classes),
        "sizes": {s: {m: len(i) for m, i in part.items()} for s, part in parts.items()},
        "splits": {s: split_digest(part) for s, part in parts.items()},
        "fingerprint": fingerprint(parts),
        "notes": list(content.notes),
        "files": {},
    }
    with new_folder(folder, f"prepare {name}/{feature_set}") as temporary:
        for split, part in parts.items():
            for modality, these in part.items():
                for array in ARRAYS:
                    values = getattr(these, array)
                    if values is not None:
                        path = temporary / file_name(split, modality, array)
                        np.save(path, values, allow_pickle=False)
                        manifest["files"][path.name] = {"bytes": path.stat().st_size, "sha256": digest_file(path)}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def file_name(split: str, modality: str, array: str) -> str:
    """Name of one prepared array."""
    return f"{split}.{modality}.{array}.npy"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a prepared folder."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        if manifest["format"] != FORMAT:
            raise ValueError("another format")
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{folder / MANIFEST} is damaged; delete the folder, and it is made again") from None
    return manifest


def open_prepared(folder: Path, entry: Entry, feature_set: FeatureSet) -> Dataset:
    """The dataset behind a prepared folder; opens the manifest only."""
    manifest = read_manifest(folder)
    modalities = tuple(manifest["modalities"])
    return Dataset(
        name=manifest["dataset"],
        feature_set=manifest["feature_set"],
        modalities=modalities,
        dims=manifest["dims"],
        classes=tuple(manifest["classes"]),
        multilabel=entry.labels.multilabel if entry.labels else False,
        sizes=manifest["sizes"],
        protocols=protocols_of(entry),
        fingerprint=manifest["fingerprint"],
        opener=PreparedSplits(folder, modalities, {f: known["bytes"] for f, known in manifest["files"].items()}),
        preset=entry.preset,
    )


@dataclass(frozen=True, eq=False)
class PreparedSplits:
    """Opens the files of one split, memory-mapped and read-only.

    Attributes
    ----------
    folder : Path
    modalities : tuple of str
    bytes : mapping of file name to int
        What each file must measure: a file that was cut short is refused before it is mapped.
    """

    folder: Path
    modalities: tuple[str, ...]
    bytes: Mapping[str, int]

    def __call__(self, split: str) -> Mapping[str, Items]:
        """The items of a split by modality."""
        return {m: Items(m, **{a: self._array(split, m, a) for a in ARRAYS}) for m in self.modalities}

    def _array(self, split: str, modality: str, array: str) -> Any:
        name = file_name(split, modality, array)
        if name not in self.bytes:
            return None  # only labels can be absent
        path = self.folder / name
        try:
            if path.stat().st_size != self.bytes[name]:
                raise ValueError("its size has changed")
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(
                f"prepared file {path} is damaged ({error}); delete its folder, and it is made again from the sources"
            ) from None
