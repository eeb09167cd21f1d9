"""The extraction job: a dataset's texts and pictures through extractors into a local feature set.

Shards lie in ``extracting/NAME-KEY/`` of the cache until the feature set is complete; KEY is over all that their
values depend on, so that a second call goes on where the first one stopped, and no call takes another's shards.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmrbench.core.errors import DataError, UsageError
from cmrbench.core.hashing import derive_seed, digest
from cmrbench.core.names import DatasetName
from cmrbench.data.cache import cache_root, explained
from cmrbench.data.extract.extractor import Extractor, make_extractor
from cmrbench.data.extract.shards import Shards, fill, remove_stale

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.core.items import Items
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.catalogue import Catalogue

SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aiff")
Progress = Callable[[str, int, int], None]
"""``progress(what, rows done, rows in all)``."""


@dataclass(frozen=True)
class Job:
    """What is to be extracted.

    Attributes
    ----------
    dataset : DatasetName
        The dataset in a feature set that has texts and pictures, and in the split on whose training items
        vocabularies and topics are fitted.
    extractors : mapping of modality to str
        As typed: ``{"image": "hog", "text": "tfidf:words=500"}``.
    feature_set : str
        What the result is called; made of the extractors' names if empty.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``.
    batch, shard : int
        Inputs a call of the extractor, and rows that are lost at most when the job is stopped.
    seed : int
    """

    dataset: DatasetName
    extractors: Mapping[str, str]
    feature_set: str = ""
    device: str = "auto"
    batch: int = 64
    shard: int = 2048
    seed: int = 0

    @property
    def name(self) -> str:
        """The name of the feature set that is made."""
        made = "-".join(dict.fromkeys(text.partition(":")[0] for text in self.extractors.values()))
        split = f"-{self.dataset.split}" if self.dataset.split else ""
        return self.feature_set or f"{made}{split}"


@dataclass(frozen=True)
class Extracted:
    """What came of a job.

    Attributes
    ----------
    dataset, feature_set : str
    folder : Path
    dims : mapping of modality to int
    weights : mapping of modality to str
        SHA-256 of the network's weights, or ``""``.
    rows, resumed : int
        Rows in all, and those that an earlier call had made.
    """

    dataset: str
    feature_set: str
    folder: Path
    dims: dict[str, int]
    weights: dict[str, str]
    rows: int = 0
    resumed: int = field(default=0)


def extract_features(
    job: Job, catalogue: Catalogue | None = None, progress: Progress = lambda what, done, of: None
) -> Extracted:
    """Describe every item of a dataset, and keep the result as a local feature set ``NAME/FEATURE_SET``.

    What is fitted (a vocabulary, topics) is fitted on the split ``train`` alone.

    Raises
    ------
    UsageError
        If an extractor does not fit a modality, its package is missing, or the name is taken.
    DataError
        If the dataset has no texts or pictures, or one of them cannot be read.
    """
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.load import load_dataset
    from cmrbench.data.local import local_feature_sets
    from cmrbench.data.resolve import resolve

    if catalogue is None:
        from cmrbench.data.catalogue import load_catalogue

        catalogue = load_catalogue()
    if job.dataset.transforms:
        raise UsageError(f"features are extracted of the data as registered, not of {job.dataset}; leave out the +...")
    if job.batch < 1 or job.shard < 1:
        raise UsageError(f"batch and shard must be at least 1, got {job.batch} and {job.shard}")
    dataset = load_dataset(job.dataset, catalogue=catalogue)
    resolved = resolve(job.dataset, catalogue)
    _check_modalities(job, dataset)
    if job.name in resolved.entry.feature_sets or job.name in local_feature_sets(resolved.name):
        raise UsageError(f"dataset {resolved.name!r} has a feature set {job.name!r} already; choose another with --as")
    described = {m: _Described.of(job, dataset, m) for m in job.extractors}
    key = digest([dataset.fingerprint, {m: d.key for m, d in described.items()}, job.seed, job.shard])
    work = cache_root() / "extracting" / f"{resolved.name}-{key}"
    with explained(work, "extract features"):
        work.mkdir(parents=True, exist_ok=True)
        remove_stale(work.parent)
    resumed = 0
    files = sorted(p.name for p in resolved.located.folder.iterdir() if p.is_file())
    with SourceTree(resolved.located.folder, files) as tree:
        for modality, one in described.items():
            resumed += _one_modality(job, dataset, modality, one, _Inputs(tree, work), progress)
    extracted = _assemble(job, dataset, resolved.name, described, work)
    shutil.rmtree(work, ignore_errors=True)
    rows = sum(dataset.sizes[s][m] for s in dataset.sizes for m in described)
    return Extracted(*extracted, rows=rows, resumed=resumed)


def _check_modalities(job: Job, dataset: Dataset) -> None:
    absent = [m for m in dataset.modalities if m not in job.extractors]
    unknown = [m for m in job.extractors if m not in dataset.modalities]
    if unknown:
        raise UsageError(f"{dataset.name} has no modality {unknown[0]!r}; it has {', '.join(dataset.modalities)}")
    if len(job.extractors) < 2:
        raise UsageError(f"name an extractor for two modalities or more of {', '.join(dataset.modalities)}: {absent}")


@dataclass(frozen=True, eq=False)
class _Described:
    """One modality's extractor, opened."""

    extractor: Extractor
    takes: str
    typed: str
    weights: str

    @classmethod
    def of(cls, job: Job, dataset: Dataset, modality: str) -> _Described:
        typed = job.extractors[modality]
        takes = _input_kind(dataset, modality)
        extractor = make_extractor(typed, takes)
        return cls(extractor, takes, typed, extractor.open(job.device, takes))

    @property
    def key(self) -> list[Any]:
        """All of it that the values depend on."""
        name = self.typed.partition(":")[0]
        return [name, self.extractor.parameters(), self.weights]

    def specification(self, width: int) -> dict[str, Any]:
        """As the catalogue describes a modality."""
        settings = ", ".join(f"{k}={v}" for k, v in self.extractor.parameters().items() if v != "")
        return {
            "kind": "vector",
            "dims": width,
            "extractor": f"{self.extractor.extractor} ({settings})" if settings else self.extractor.extractor,
            "layer": self.extractor.layer,
            "normalisation": self.extractor.normalisation,
        }


def _input_kind(dataset: Dataset, modality: str) -> str:
    if dataset.texts("train", modality) is not None:
        return "text"
    pictures = dataset.pictures("train", modality)
    if not pictures:
        raise DataError(
            f"{dataset.name}/{dataset.feature_set}: {modality} has neither texts nor files on this machine to make "
            "features of; choose a feature set that has (cmrbench data info)"
        )
    return "sound" if pictures[0].lower().endswith(SOUNDS) else "picture"


@dataclass(frozen=True, eq=False)
class _Inputs:
    tree: SourceTree
    work: Path

    def of(self, dataset: Dataset, split: str, modality: str, takes: str) -> Callable[[int, int], Sequence[Any]]:
        """What is to be described, by rows."""
        from cmrbench.data.pictures import read_picture

        if takes == "text":
            texts = dataset.texts(split, modality) or []
            return lambda start, stop: texts[start:stop]
        names = dataset.pictures(split, modality) or []
        return lambda start, stop: [read_picture(self.tree, name) for name in names[start:stop]]


def _one_modality(
    job: Job, dataset: Dataset, modality: str, one: _Described, inputs: _Inputs, progress: Progress
) -> int:
    """Make the missing shards of one modality; the number of rows that were there."""
    total = sum(dataset.sizes[s][modality] for s in dataset.sizes)
    shards = {s: Shards(inputs.work / f"{modality}.{s}", dataset.sizes[s][modality], job.shard) for s in dataset.sizes}
    done = 0

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        progress(f"{modality}: {one.typed}", done, total)

    if one.extractor.fits and any(s.missing() for s in shards.values()):
        own = inputs.of(dataset, "train", modality, one.takes)
        one.extractor.fit(own(0, dataset.sizes["train"][modality]), derive_seed("extract", modality, job.seed))
    resumed = 0
    for split, pieces in shards.items():
        own = inputs.of(dataset, split, modality, one.takes)
        try:
            resumed += fill(pieces, own, one.extractor, job.batch, advance)
        except DataError as error:
            raise DataError(f"{dataset.name}: {modality} items of {split}: {error}") from None
    return resumed


def _assemble(
    job: Job, dataset: Dataset, name: str, described: Mapping[str, _Described], work: Path
) -> tuple[str, str, Path, dict[str, int], dict[str, str]]:
    """Write the local feature set: one array a role and split, and the record."""
    from cmrbench.data.local import LocalFeatureSet, new_local_feature_set, save_record

    weights = {m: one.weights for m, one in described.items() if one.weights}
    dims: dict[str, int] = {}
    mapping: dict[str, str] = {}
    with new_local_feature_set(name, job.name) as folder:
        for split in dataset.sizes:
            part = dataset.part(split)
            for modality in described:
                role = f"{modality}_{split}"
                shards = Shards(work / f"{modality}.{split}", dataset.sizes[split][modality], job.shard)
                dims[modality] = shards.assemble(folder / f"{role}.npy")
                mapping[role] = role
                for role, values in _companions(part[modality], split):
                    np.save(folder / f"{role}.npy", values, allow_pickle=False)
                    mapping[role] = role
        if dataset.classes:
            np.save(folder / "class_names.npy", np.array(dataset.classes, np.str_), allow_pickle=False)
            mapping["class_names"] = "class_names"
        local = LocalFeatureSet(
            builder="mapped",
            options={"mapping": mapping},
            modalities={m: one.specification(dims[m]) for m, one in described.items()},
            summary=f"extracted of {dataset.name}/{dataset.feature_set}",
            provenance={
                "made_by": "cmrbench extract",
                "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "of": {"dataset": dataset.name, "feature_set": dataset.feature_set, "fingerprint": dataset.fingerprint},
                "extractors": dict(job.extractors),
                "weights_sha256": weights,
                "seed": job.seed,
                "fitted_on": "train",
            },
            split={"kind": "source"},
        )
        save_record(local, folder)
    return name, job.name, cache_root() / "features" / name / job.name, dims, weights


def _companions(items: Items, split: str) -> list[tuple[str, np.ndarray]]:
    """Ids, instances and labels of the items, by role."""
    found = [(f"{items.modality}_ids_{split}", items.ids), (f"{items.modality}_instances_{split}", items.instances)]
    if items.labels is not None:
        found.append((f"{items.modality}_label_{split}", items.labels))
    return found
