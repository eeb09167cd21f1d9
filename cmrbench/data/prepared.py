"""The prepared form: one folder a dataset, feature set and split; one .npy a split, modality and array; a manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmrbench.core.dataset import Dataset
from cmrbench.core.errors import DataError
from cmrbench.core.hashing import digest
from cmrbench.core.items import Items
from cmrbench.data.cache import cache_root, find_in_cache, new_folder, scratch_folder
from cmrbench.data.content import ARRAYS, Cut, split_digest, split_sizes
from cmrbench.data.sources import check_sources

if TYPE_CHECKING:
    from cmrbench.data.arrays import Rows
    from cmrbench.data.resolve import Resolved

FORMAT = 2
MANIFEST = "manifest.json"
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
    attached = _to_read(resolved) - resolved.located.hashes.keys()
    return [(file, (resolved.located.folder / file).stat().st_size) for file in sorted(attached)]


def _specs(resolved: Resolved) -> list[tuple[str, Any]]:
    return list(resolved.feature_set.modalities.items())


def _lists_key(folder: Path | None) -> str:
    if folder is None:
        return ""
    from cmrbench.data.splits.frozen import lists_digest

    return lists_digest(folder)


@contextmanager
def read_content(resolved: Resolved) -> Iterator[tuple[Cut, dict[str, dict[str, Items]], list[str]]]:
    """Build, validate and cut the data, and check splits, dimensions and classes against the catalogue.

    Big arrays lie in a scratch folder of the cache until the block ends.

    Yields
    ------
    cut : Cut
    parts : dict of split to dict of modality to Items
        Ids, instances and labels.
    notes : list of str
        What was done to the values, for people.
    """
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.builders import build
    from cmrbench.data.builders.base import BuildRequest
    from cmrbench.data.splits.schemes import assign
    from cmrbench.data.validate import validate_cut, validate_items

    located = resolved.located
    with scratch_folder() as scratch, SourceTree(located.folder, sorted(_to_read(resolved))) as tree:
        content = build(
            BuildRequest(resolved.name, resolved.entry, resolved.feature_set, tree, scratch, located.variant)
        )
        _as_registered(resolved, content)
        validate_items(content, resolved.kinds, resolved.multilabel)
        assigned = assign(resolved.split.scheme, content.items, content.splits, _lists(resolved.lists))
        cut = Cut.by(content, assigned)
        parts, notes = validate_cut(cut, resolved.protocols, resolved.multilabel)
        check_splits(parts, resolved.records, content.file)
        yield cut, parts, [*content.notes, *_left_out(content, assigned), *notes]


def _lists(folder: Path | None) -> Any:
    if folder is None:
        return None
    from cmrbench.data.splits.frozen import read_lists

    return read_lists(folder)


def _to_read(resolved: Resolved) -> set[str]:
    """Files that a builder may look into: those that are hashed, and attachments (pictures)."""
    attached = {s.file for s in resolved.entry.sources if s.attachment}
    return {*resolved.located.hashes, *(f for f in attached if (resolved.located.folder / f).is_file())}


def _as_registered(resolved: Resolved, content: Any) -> None:
    for modality, spec in resolved.feature_set.modalities.items():
        if modality not in content.items:
            raise DataError(f"{content.file}: there is no {modality}, which the feature set names")
        dim = content.items[modality].dim
        if spec.dims is not None and dim != spec.dims:
            raise DataError(f"{content.file}: {modality} has {dim} columns, the catalogue says {spec.dims}")
    known = resolved.entry.labels.classes if resolved.entry.labels else None
    if known is not None and len(content.classes) != known:
        raise DataError(f"{content.file}: {len(content.classes)} classes, the catalogue says {known}")


def _left_out(content: Any, assigned: Mapping[str, np.ndarray]) -> list[str]:
    return [
        f"{modality}: {count:,} of {len(splits):,} items are in no split"
        for modality, splits in assigned.items()
        if (count := int((splits == "").sum()))
    ]


def check_splits(parts: Mapping[str, Mapping[str, Items]], records: Mapping[Any, Any] | None, file: str) -> None:
    """Raise a DataError unless the splits are the registered ones, order included."""
    if records is None:
        return
    if parts.keys() != records.keys():
        raise DataError(f"{file}: splits are {', '.join(parts)}, the catalogue says {', '.join(records)}")
    for split, record in records.items():
        if split_digest(parts[split]) != record.sha256 or split_sizes(parts[split]) != record.items:
            raise DataError(f"{file}: the items of split {split} are not the registered ones, in the registered order")


def prepare(resolved: Resolved, folder: Path) -> None:
    """Check, build, validate and write; the folder appears whole or not at all."""
    check_sources(resolved.located)
    with read_content(resolved) as (cut, parts, notes):
        items = next(iter(parts.values()))
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "dataset": resolved.name,
            "feature_set": resolved.feature_set_name,
            "split": resolved.split_name,
            "scheme": resolved.split.scheme.model_dump(),
            "sources": dict(resolved.located.hashes),
            "modalities": list(items),
            "kinds": resolved.kinds,
            "dims": {m: cut.content.items[m].dim for m in items},
            "classes": list(cut.content.classes),
            "sizes": {s: {m: len(i) for m, i in part.items()} for s, part in parts.items()},
            "splits": {s: split_digest(part) for s, part in parts.items()},
            "fingerprint": cut.fingerprint(),
            "notes": notes,
            "files": {},
        }
        with new_folder(folder, f"prepare {resolved.name}/{resolved.feature_set_name}") as temporary:
            for split, modality, array, rows in cut.arrays():
                name = file_name(split, modality, array)
                manifest["files"][name] = write_rows(temporary / name, rows)
            for split, modality, what, values in _told(cut):
                name = told_name(split, modality, what)
                manifest["files"][name] = write_told(temporary / name, values)
            (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")


def _told(cut: Cut) -> Iterator[tuple[str, str, str, list[str]]]:
    for what in TOLD:
        told: Mapping[str, Sequence[str]] = getattr(cut.content, what)
        for split, part in cut.rows.items():
            for modality, rows in part.items():
                if modality in told:
                    yield split, modality, what, [told[modality][r] for r in rows.tolist()]


def write_rows(path: Path, rows: Rows) -> dict[str, Any]:
    """Write rows as a .npy file, block by block.

    Returns
    -------
    dict
        ``bytes`` and ``sha256`` of the file.
    """
    header = {"descr": np.lib.format.dtype_to_descr(rows.dtype), "fortran_order": False, "shape": rows.shape}
    with open(path, "xb") as writing:
        np.lib.format.write_array_header_1_0(writing, header)
        for block in rows.blocks():
            np.ascontiguousarray(block).tofile(writing)
    return _measured(path)


def write_told(path: Path, values: list[str]) -> dict[str, Any]:
    """Write one text an item as an Arrow file with the column ``value``."""
    import pyarrow as pa

    table = pa.table({"value": pa.array(values, pa.large_string())})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return _measured(path)


def _measured(path: Path) -> dict[str, Any]:
    h, size = hashlib.sha256(), 0
    with open(path, "rb") as reading:
        while chunk := reading.read(1 << 20):
            h.update(chunk)
            size += len(chunk)
    return {"bytes": size, "sha256": h.hexdigest()}


def told_name(split: str, modality: str, what: str) -> str:
    """Name of one prepared file of texts or pictures."""
    return f"{split}.{modality}.{what}.arrow"


def file_name(split: str, modality: str, array: str) -> str:
    """Name of one prepared array."""
    return f"{split}.{modality}.{array}.npy"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a prepared folder."""
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        if manifest["format"] != FORMAT:
            raise DataError(
                f"{path} is of another version: its format is {manifest['format']!r}, expected {FORMAT}; delete the "
                "folder, and it is made again"
            )
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{path} is damaged; delete the folder, and it is made again") from None
    return manifest


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
