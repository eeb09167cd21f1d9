"""Feature sets of this machine: brought by `data import` or made by `extract`, beside those that are registered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import DataError, UsageError
from cmrbench.core.hashing import digest_file
from cmrbench.data.cache import cache_root, cache_roots, new_folder, read_versioned

if TYPE_CHECKING:
    from cmrbench.data.catalogue import FeatureSet, NamedSplit

RECORD = "feature_set.json"
FORMAT = 1
_KEYS = ("format", "builder", "options", "modalities", "files", "summary", "provenance", "split")


@dataclass(frozen=True)
class LocalFeatureSet:
    """A feature set whose files lie in the cache, with all that is known of where they come from.

    Attributes
    ----------
    builder : str
        What reads the files, with `options`.
    options : mapping
    modalities : mapping of modality to mapping
        As in the catalogue: kind, extractor, layer, normalisation, dims.
    summary : str
    provenance : mapping
        JSON values for people: where the files come from, when, by which command or weights.
    split : mapping or None
        A scheme as in the catalogue, for files that bring their own split; None: the dataset's splits apply.
    files : mapping of file name to SHA-256
        Filled when it is saved.
    folder : Path or None
    """

    builder: str
    options: Mapping[str, Any]
    modalities: Mapping[str, Mapping[str, Any]]
    summary: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    split: Mapping[str, Any] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None

    def feature_set(self) -> FeatureSet:
        """As the catalogue's own feature sets."""
        from cmrbench.data.catalogue import FeatureSet

        return FeatureSet.model_validate(
            {
                "summary": self.summary,
                "builder": self.builder,
                "options": dict(self.options),
                "modalities": {m: dict(spec) for m, spec in self.modalities.items()},
                "records": {},  # registered ids are those of registered files
            }
        )

    @property
    def brought(self) -> tuple[str, ...]:
        """The splits that the files bring, as they were found when they were imported."""
        return tuple(self.provenance.get("splits", ()))

    @property
    def cut_as(self) -> str:
        """The dataset's split that extracted features were cut by; empty for files of unknown splits."""
        return str(self.provenance.get("of", {}).get("split", ""))

    def own_split(self) -> NamedSplit | None:
        """The split that the files bring."""
        from cmrbench.data.catalogue import NamedSplit

        if self.split is None:
            return None
        return NamedSplit.model_validate({"summary": "as the imported file says", "scheme": dict(self.split)})


def local_feature_sets(name: str) -> dict[str, Path]:
    """The local feature sets of a dataset (a registered name) by name, with their folders."""
    found: dict[str, Path] = {}
    for root in cache_roots():
        for record in sorted((root / "features" / name).glob(f"*/{RECORD}")):
            if not record.parent.name.startswith("."):
                found.setdefault(record.parent.name, record.parent)
    return found


def read_local(folder: Path) -> LocalFeatureSet:
    """Read the record of a local feature set.

    Raises
    ------
    DataError
        If it is damaged or of another version.
    """
    path = folder / RECORD
    remedy = "delete the folder and import or extract the feature set again"
    record = read_versioned(path, FORMAT, _KEYS, remedy)
    try:
        values = {key: record[key] for key in _KEYS[1:]}
        values["files"] = {str(n): str(k["sha256"]) for n, k in values["files"].items()}
        if any(Path(name).name != name for name in values["files"]):
            raise ValueError("a file that does not lie in the folder")
        local = LocalFeatureSet(**values, folder=folder)
        local.feature_set()
        local.own_split()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{path} is damaged; {remedy}") from None
    return local


@contextmanager
def new_local_feature_set(name: str, feature_set: str, replace: bool = False) -> Iterator[Path]:
    """A temporary folder that becomes the local feature set when the block ends well; `save_record` writes its record.

    Raises
    ------
    UsageError
        If there is one of that name and `replace` is not said.
    """
    final = cache_root() / "features" / name / feature_set
    if final.exists() and not replace:
        raise UsageError(
            f"dataset {name!r} has a local feature set {feature_set!r} already; choose another name, or say --replace"
        )
    with new_folder(final, f"store {name}/{feature_set}", replace=replace) as temporary:
        yield temporary
        if not (temporary / RECORD).is_file():
            raise RuntimeError(f"no record was written for {name}/{feature_set}")


def save_record(local: LocalFeatureSet, folder: Path, hashed: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Write the record into the folder, with ``bytes`` and ``sha256`` of all other files in it.

    They are hashed here unless they were `hashed` as they were written.
    """
    files = hashed or {
        path.name: {"bytes": path.stat().st_size, "sha256": digest_file(path)}
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != RECORD
    }
    values = {"format": FORMAT} | {key: getattr(local, key) for key in _KEYS[1:]} | {"files": files}
    (folder / RECORD).write_text(json.dumps(values, indent=1, ensure_ascii=False), encoding="utf-8")
