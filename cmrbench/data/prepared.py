"""The prepared form: one folder a dataset, feature set and split; one .npy a split, modality and array; a manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmrbench.core.dataset import Dataset
from cmrbench.core.errors import DataError
from cmrbench.core.hashing import digest
from cmrbench.core.items import Items
from cmrbench.data.cache import cache_root, find_in_cache, read_versioned
from cmrbench.data.content import ARRAYS

if TYPE_CHECKING:
    from cmrbench.data.resolve import Resolved

FORMAT = 2
MANIFEST = "manifest.json"
_KEYS = ("dataset", "feature_set", "split", "modalities", "kinds", "dims", "classes", "sizes", "fingerprint", "files")
TOLD = ("texts", "pictures")
_HEADER = 128
"""Bytes of a .npy file that holds no elements."""


def prepared_folder(resolved: Resolved) -> Path:
    """Where the prepared form lies, or would be put: it depends on all that its content depends on."""
    from cmrbench.data.builders import builder

    feature_set = resolved.feature_set
    key = digest(
        {
            "format": FORMAT,
            "builder": [resolved.builder, builder(resolved.builder).VERSION],
            "options": [resolved.entry.options, feature_set.options],
            "sources": dict(resolved.located.hashes),
            "attached": _attached(resolved),
            "variant": resolved.located.variant,
            "modalities": {m: spec.model_dump(include={"dims", "read", "kind"}) for m, spec in _specs(resolved)},
            "labels": resolved.entry.labels and resolved.entry.labels.model_dump(),
            "split": resolved.split.scheme.model_dump(),
            "lists": _lists_key(resolved.lists),
            "records": {s: r.model_dump() for s, r in (resolved.records or {}).items()},
            "protocols": [p.fingerprint for p in resolved.protocols],
        }
    )
    parts = ("prepared", resolved.name, f"{resolved.feature_set_name}-{key}")
    return find_in_cache(*parts, holds=MANIFEST) or cache_root().joinpath(*parts)


def _attached(resolved: Resolved) -> list[tuple[str, int]]:
    """Attachments that are there, with their sizes: builders note where pictures lie, which may come later."""
    attached = resolved.files_to_read() - resolved.located.hashes.keys()
    return [(file, (resolved.located.folder / file).stat().st_size) for file in sorted(attached)]


def _specs(resolved: Resolved) -> list[tuple[str, Any]]:
    return list(resolved.feature_set.modalities.items())


def _lists_key(folder: Path | None) -> str:
    if folder is None:
        return ""
    from cmrbench.data.splits.frozen import lists_digest

    return lists_digest(folder)


def told_name(split: str, modality: str, what: str) -> str:
    """Name of one prepared file of texts or pictures."""
    return f"{split}.{modality}.{what}.arrow"


def file_name(split: str, modality: str, array: str) -> str:
    """Name of one prepared array."""
    return f"{split}.{modality}.{array}.npy"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a prepared folder."""
    return read_versioned(folder / MANIFEST, FORMAT, _KEYS, "delete the folder, and it is made again")


def open_prepared(folder: Path, resolved: Resolved) -> Dataset:
    """The dataset behind a prepared folder; opens the manifest only."""
    manifest = read_manifest(folder)
    modalities = tuple(manifest["modalities"])
    opener = PreparedSplits(folder, modalities, {f: known["bytes"] for f, known in manifest["files"].items()})
    return Dataset(
        name=resolved.title,
        feature_set=manifest["feature_set"],
        modalities=modalities,
        dims=manifest["dims"],
        classes=tuple(manifest["classes"]),
        multilabel=resolved.multilabel,
        sizes=manifest["sizes"],
        protocols=resolved.protocols,
        fingerprint=manifest["fingerprint"],
        opener=opener,
        preset=resolved.entry.preset,
        split="" if resolved.is_default_split else resolved.split_name,
        kinds=manifest["kinds"],
        notes=tuple(manifest["notes"]),
        describer=opener.told,
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

    def told(self, split: str, modality: str, what: str) -> list[str] | None:
        """The texts or pictures of a split, or None where there are none."""
        name = told_name(split, modality, what)
        if name not in self.bytes:
            return None
        import pyarrow as pa

        with self._sound(name) as path, pa.memory_map(str(path)) as source:
            values: list[str] = pa.ipc.open_file(source).read_all()["value"].to_pylist()
        return values

    def _array(self, split: str, modality: str, array: str) -> Any:
        name = file_name(split, modality, array)
        if name not in self.bytes:
            return None  # only labels can be absent
        with self._sound(name) as path:
            try:
                return np.load(path, mmap_mode="r", allow_pickle=False)
            except ValueError:
                if self.bytes[name] > _HEADER:  # an array without elements has no bytes to map
                    raise
                return np.load(path, allow_pickle=False)

    @contextmanager
    def _sound(self, name: str) -> Iterator[Path]:
        path = self.folder / name
        try:
            if path.stat().st_size != self.bytes[name]:
                raise ValueError("its size has changed")
            yield path
        except (OSError, ValueError) as error:
            raise DataError(
                f"prepared file {path} is damaged ({error}); delete its folder, and it is made again from the sources"
            ) from None
