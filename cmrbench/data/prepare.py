"""Making the prepared form: written in blocks, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmrbench.core.hashing import digest_file
from cmrbench.data.cache import new_folder
from cmrbench.data.content import Cut, split_digest
from cmrbench.data.prepared import FORMAT, MANIFEST, TOLD, file_name, told_name
from cmrbench.data.reading import read_content
from cmrbench.data.sources import check_sources

if TYPE_CHECKING:
    from cmrbench.data.arrays import Rows
    from cmrbench.data.resolve import Resolved


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
    return {"bytes": path.stat().st_size, "sha256": digest_file(path)}
