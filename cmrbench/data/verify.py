"""Verify: compare what is on this machine with what is registered, file by file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import DataError
from cmrbench.core.hashing import digest_file
from cmrbench.core.names import DatasetName
from cmrbench.data.content import split_sizes
from cmrbench.data.local import local_feature_sets
from cmrbench.data.prepared import MANIFEST, prepared_folder, read_manifest
from cmrbench.data.reading import read_content
from cmrbench.data.record import recorded_files
from cmrbench.data.resolve import Resolved, available, resolve
from cmrbench.data.sources import Located, locate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmrbench.data.catalogue import Catalogue, Entry


@dataclass(frozen=True)
class Check:
    """One thing that was compared.

    Attributes
    ----------
    dataset, item : str
        A file, or the splits of a feature set.
    kind : str
        ``source``, ``features`` (files of a local feature set), ``splits``, ``values``, ``prepared``
        or ``frozen split``.
    status : str
        ``ok``, ``bad`` or ``missing``.
    detail : str
        What was expected and found, where the status is not ``ok``; else where the expectation comes from.
    """

    dataset: str
    kind: str
    item: str
    status: str
    detail: str = ""


def verify_dataset(name: str, catalogue: Catalogue | None = None) -> list[Check]:
    """Hash the sources again, read and validate them, and compare splits and prepared arrays.

    Nothing is written. Feature sets that have not been prepared yet are checked from the sources only.

    Parameters
    ----------
    name : str
        Registered name or alias.
    catalogue : Catalogue, optional

    Raises
    ------
    DatasetMissingError
        If the dataset is not on this machine.
    """
    if catalogue is None:
        from cmrbench.data.catalogue import load_catalogue

        catalogue = load_catalogue()
    name = catalogue.resolve(name)
    entry = catalogue.entry(name)
    if entry.builder == "synthetic":
        return [Check(name, "source", "generator", "ok", "made in memory from a seed")]
    here = available(catalogue, name)
    local = local_feature_sets(name)
    checks: list[Check] = []
    if not local or any(n not in local for n in here):
        checks += _sources(name, entry, locate(catalogue, name))
        if any(c.status == "bad" for c in checks):
            return checks
    for feature_set in here:
        resolved = resolve(DatasetName(name, feature_set), catalogue)
        if feature_set in local:
            for file, expected in resolved.located.hashes.items():
                path = resolved.located.folder / file
                checks.append(_hashed(name, "features", path, expected, "as stored", f"{feature_set}/{file}"))
        checks += _feature_set(resolved)
    return [*checks, *_frozen_splits(name, catalogue)]


def _sources(name: str, entry: Entry, located: Located) -> Iterator[Check]:
    recorded = recorded_files(located.folder)
    for source in entry.variants()[located.variant]:
        path = located.folder / source.file
        expected = source.sha256 or recorded.get(source.file, {}).get("sha256")
        if not path.is_file():
            # Only attachments can be missing here: nothing is computed from them.
            yield Check(name, "source", source.file, "missing", "attachment; features do not need it")
        elif expected is None:
            yield Check(name, "source", source.file, "ok", "no SHA-256 is known: nothing to compare with")
        else:
            yield _hashed(name, "source", path, expected, "registered" if source.sha256 else "as imported")


def _feature_set(resolved: Resolved) -> Iterator[Check]:
    name, feature_set = resolved.name, resolved.feature_set_name
    try:
        with read_content(resolved) as (cut, parts, _):
            found = cut.fingerprint()
    except DataError as error:
        yield Check(name, "splits", feature_set, "bad", str(error))
        return
    yield Check(name, "splits", feature_set, "ok", ", ".join(f"{s} {_count(p)}" for s, p in parts.items()))
    registered = resolved.entry.fingerprints.get(feature_set)
    if registered is not None and resolved.is_default_split:
        same = registered == found
        detail = "registered" if same else f"fingerprint {found}, expected {registered}"
        yield Check(name, "values", feature_set, "ok" if same else "bad", detail)
    folder = prepared_folder(resolved)
    if not (folder / MANIFEST).is_file():
        return
    manifest = read_manifest(folder)
    if manifest["fingerprint"] != found:
        yield Check(name, "prepared", folder.name, "bad", "its fingerprint is not the one of the sources")
    for file, known in manifest["files"].items():
        path = folder / file
        if path.is_file():
            yield _hashed(name, "prepared", path, known["sha256"], "", f"{folder.name}/{file}")
        else:
            yield Check(name, "prepared", f"{folder.name}/{file}", "missing", f"delete {folder}, and it is made again")


def _frozen_splits(name: str, catalogue: Catalogue) -> Iterator[Check]:
    """The lists of splits that were frozen here, and whether they still fit the data."""
    from cmrbench.data.splits.frozen import frozen_splits, read_record

    for split, (_, folder) in frozen_splits(name).items():
        record = read_record(folder)
        try:
            resolved = resolve(DatasetName(name, record["feature_set"], split), catalogue)
            with read_content(resolved) as (_, parts, _):
                found = {s: split_sizes(part) for s, part in parts.items()}
        except DataError as error:
            yield Check(name, "frozen split", split, "bad", str(error))
            continue
        changed = record["sources"] != dict(resolved.located.hashes)
        if changed or found != record["sizes"]:
            yield Check(
                name, "frozen split", split, "bad", "it was drawn from other files; draw it again by another name"
            )
        else:
            yield Check(name, "frozen split", split, "ok", "as frozen")


def _hashed(name: str, kind: str, path: Path, expected: str, note: str, item: str = "") -> Check:
    if not path.is_file():
        return Check(name, kind, item or path.name, "missing", f"{path} is not there any more; get it again")
    found = digest_file(path)
    if found == expected:
        return Check(name, kind, item or path.name, "ok", note)
    remedies = {"source": "get it again", "features": "import or extract the feature set again"}
    remedy = remedies.get(kind, f"delete {path.parent}, and it is made again")
    return Check(name, kind, item or path.name, "bad", f"SHA-256 {found}, expected {expected}; {remedy}")


def _count(part: Any) -> int:
    return len(next(iter(part.values())))
