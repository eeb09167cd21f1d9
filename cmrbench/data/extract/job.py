"""The extraction job: a dataset's texts and pictures through extractors into a local feature set.

Shards lie in ``extracting/NAME-KEY/`` of the cache until the feature set is complete; KEY is over all that their
values depend on, so that a second call goes on where the first one stopped, and no call takes another's shards.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.core.hashing import derive_seed, digest
from cmrbench.core.names import OWN_FORM, DatasetName, is_own_name
from cmrbench.data.cache import cache_root, explained
from cmrbench.data.extract.extractor import VERSION, Extractor, make_extractor, parse_extractor
from cmrbench.data.extract.inputs import Files, Inputs, input_kind
from cmrbench.data.extract.shards import Shards, remove_stale

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.data.catalogue import Catalogue
    from cmrbench.data.resolve import Resolved

Progress = Callable[[str, int, int], None]
"""``progress(what, rows done, rows in all)``."""

_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")


@dataclass(frozen=True)
class Job:
    """What is to be extracted.

    Attributes
    ----------
    dataset : DatasetName
        The dataset in a feature set that has texts and pictures, and in the split on whose training items
        vocabularies and topics are fitted.
    extractors : mapping of modality to str
        As typed: ``{"image": "hog", "text": "tfidf:words=500"}``. A modality that has vectors already and is not named
        keeps them; one without is left out.
    feature_set : str
        What the result is called; made of the extractors' names if empty.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``.
    batch, shard : int
        Inputs a call of the extractor, and rows that are lost at most when the job is stopped.
    seed : int
        For extractors that are fitted.
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

    def check(self) -> None:
        """Refuse what is wrong whatever the dataset is.

        Raises
        ------
        UsageError
        """
        if self.dataset.transforms:
            raise UsageError(
                f"features are extracted of the data as registered, not of {self.dataset}; leave out the +..."
            )
        if self.batch < 1 or self.shard < 1:
            raise UsageError(f"batch and shard must be at least 1, got {self.batch} and {self.shard}")
        if not _DEVICE.fullmatch(self.device):
            raise UsageError(f"unknown device {self.device!r}; expected auto, cpu, cuda or cuda:NUMBER")
        for typed in self.extractors.values():
            parse_extractor(typed)
        if not is_own_name(self.name):
            raise UsageError(f"{self.name!r} is no name of a feature set; expected {OWN_FORM}; name it with --as")


@dataclass(frozen=True)
class Extracted:
    """What came of a job.

    Attributes
    ----------
    dataset, feature_set : str
    folder : Path
    dims : mapping of modality to int
        Of those that were described and those that keep their vectors.
    weights : mapping of modality to str
        SHA-256 of the network's weights, where there are any.
    rows, resumed : int
        Rows in all, and those that an earlier call had made.
    """

    dataset: str
    feature_set: str
    folder: Path
    dims: dict[str, int]
    weights: dict[str, str]
    rows: int
    resumed: int


@dataclass(frozen=True, eq=False)
class Described:
    """One modality: its extractor, opened, and its inputs by split."""

    typed: str
    extractor: Extractor
    weights: str
    inputs: Mapping[str, Inputs]
    files: Files | None

    @property
    def name(self) -> str:
        """The extractor's name."""
        return self.typed.partition(":")[0]

    @property
    def parameters(self) -> dict[str, Any]:
        """The extractor's parameters; of a file, only its name: its content is in the weights' hash."""
        return {k: Path(v).name if k == "file" else v for k, v in self.extractor.parameters().items()}

    @property
    def key(self) -> list[Any]:
        """All of it that its values depend on, the contents of the inputs apart."""
        one, train = self.extractor, self.inputs["train"]
        fitted_on = train.digest(0, len(train), 1024) if one.fits else ""
        device = one.device_.partition(":")[0]
        return [self.name, self.parameters, self.weights, one.versions(), device, fitted_on]


def extract_features(
    job: Job,
    catalogue: Catalogue | None = None,
    progress: Progress = lambda what, done, of: None,
    waiting: Callable[[str], None] = lambda message: None,
) -> Extracted:
    """Describe every item of a dataset, and keep the result as a local feature set ``NAME/FEATURE_SET``.

    What is fitted (a vocabulary, topics) is fitted on the split ``train`` alone.

    Parameters
    ----------
    job : Job
    catalogue : Catalogue, optional
    progress : callable
        Told of rows as they are done.
    waiting : callable
        Told if another process makes the same shards, before it is waited for.

    Raises
    ------
    UsageError
        If an extractor does not fit a modality, its package is missing, or the name is taken.
    DataError
        If the dataset has no texts or pictures, or one of them cannot be read.
    """
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.extract.record import Assembly, assemble
    from cmrbench.data.load import load_dataset
    from cmrbench.data.resolve import resolve

    if catalogue is None:
        from cmrbench.data.catalogue import load_catalogue

        catalogue = load_catalogue()
    job.check()
    if catalogue.entry(job.dataset.dataset).builder == "synthetic":
        raise UsageError(f"{job.dataset.dataset} is made as features; there is nothing to extract them of")
    resolved = resolve(job.dataset, catalogue)
    kept = _kept(job, resolved)
    _check_name(job, resolved)
    dataset = load_dataset(job.dataset, catalogue=catalogue)
    takes = {m: input_kind(dataset, m) for m in job.extractors}
    extractors = {m: make_extractor(typed, takes[m]) for m, typed in job.extractors.items()}
    weights = {m: one.open(job.device, takes[m]) for m, one in extractors.items()}
    listed = sorted(p.name for p in resolved.located.folder.iterdir() if p.is_file())
    with SourceTree(resolved.located.folder, listed) as tree:
        described = {}
        for modality, typed in job.extractors.items():
            files = None if takes[modality] == "text" else Files(tree)
            inputs = {s: Inputs.of(dataset, s, modality, files) for s in dataset.sizes}
            described[modality] = Described(typed, extractors[modality], weights[modality], inputs, files)
        key = digest([VERSION, dataset.fingerprint, {m: d.key for m, d in described.items()}, job.seed, job.shard])
        with _work_folder(f"{resolved.name}-{key}", waiting) as work:
            if _is_made(job, resolved.name, key):  # by another process, while this one waited for it
                shutil.rmtree(work, ignore_errors=True)
                return _extracted(job.name, resolved.name)
            resumed, shards = 0, {}
            for modality, one in described.items():
                for split, mine in one.inputs.items():
                    if one.files is not None:
                        one.files.expect(mine.values, f"{dataset.name}: {modality} items of {split}")
                    shards[modality, split] = Shards(work / f"{modality}.{split}", mine, job.shard)
            for modality, one in described.items():
                if one.files is not None:
                    references = (r for mine in one.inputs.values() for r in mine.values)
                    one.files.copy_out(references, work / f"{modality}.files")
                own = {split: pieces for (m, split), pieces in shards.items() if m == modality}
                resumed += _one_modality(job, dataset, modality, one, own, progress)
            assemble(Assembly(job, key, resolved, dataset, described, kept), shards, catalogue)
            shutil.rmtree(work, ignore_errors=True)
    return _extracted(job.name, resolved.name, resumed)


def _kept(job: Job, resolved: Resolved) -> tuple[str, ...]:
    """The modalities that keep their vectors; with those that are described, they must be two or more."""
    known = resolved.feature_set.modalities
    unknown = [m for m in job.extractors if m not in known]
    if unknown:
        hint = "(name others with --modality NAME=EXTRACTOR)"
        raise UnknownNameError(f"modality of {resolved.name}", unknown[0], known, hint)
    kept = tuple(m for m, spec in known.items() if m not in job.extractors and spec.kind == "vector")
    if not job.extractors or len(job.extractors) + len(kept) < 2:
        left = [m for m in known if m not in job.extractors]
        raise UsageError(
            f"a feature set has two modalities or more: name extractors for two of {', '.join(known)}; "
            f"there is none for {', '.join(left)}"
        )
    return kept


def _check_name(job: Job, resolved: Resolved) -> None:
    """Refuse a name that is taken, before anything is computed."""
    from cmrbench.data.local import local_feature_sets

    final = cache_root() / "features" / resolved.name / job.name
    if job.name in resolved.entry.feature_sets or job.name in local_feature_sets(resolved.name) or final.exists():
        raise UsageError(f"dataset {resolved.name!r} has a feature set {job.name!r} already; choose another with --as")


@contextmanager
def _work_folder(name: str, waiting: Callable[[str], None]) -> Iterator[Path]:
    """The folder of a job's shards, for one process at a time."""
    from filelock import FileLock, Timeout

    folder = cache_root() / "extracting" / name
    with explained(folder, "extract features"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(folder.parent)
        lock = FileLock(folder.parent / f".{name}.lock")  # beside the folder, which is deleted in the end
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting("another process makes these features; waiting for it")
            lock.acquire()
    try:
        with explained(folder, "extract features"):
            folder.mkdir(exist_ok=True)
        yield folder
    finally:
        lock.release()


def _is_made(job: Job, dataset: str, key: str) -> bool:
    """Whether the feature set is there, out of the very same job."""
    from cmrbench.data.local import local_feature_sets, read_local

    folder = local_feature_sets(dataset).get(job.name)
    return folder is not None and read_local(folder).provenance.get("key") == key


def _extracted(feature_set: str, dataset: str, resumed: int | None = None) -> Extracted:
    """What a job came to; all its rows were there before unless `resumed` says otherwise."""
    from cmrbench.data.local import local_feature_sets, read_local

    folder = local_feature_sets(dataset)[feature_set]
    stored = read_local(folder)
    rows = int(stored.provenance["rows"])
    resumed = rows if resumed is None else resumed
    dims = {m: int(spec["dims"]) for m, spec in stored.modalities.items()}
    return Extracted(dataset, feature_set, folder, dims, dict(stored.provenance["weights_sha256"]), rows, resumed)


def _one_modality(
    job: Job, dataset: Dataset, modality: str, one: Described, shards: Mapping[str, Shards], progress: Progress
) -> int:
    """Make the missing shards of one modality; the number of rows that were there."""
    total = sum(map(len, one.inputs.values()))
    done = 0
    fitted = not one.extractor.fits

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        progress(f"{modality}: {one.typed}", done, total)

    def describe(inputs: Sequence[Any]) -> np.ndarray:
        nonlocal fitted
        if not fitted:  # not before a shard is missing
            train = one.inputs["train"]
            one.extractor.fit(train.read(0, len(train)), derive_seed("extract", modality, job.seed))
            fitted = True
        return one.extractor(inputs)

    resumed = 0
    for split, pieces in shards.items():
        try:
            resumed += pieces.fill(describe, job.batch, advance)
        except DataError as error:
            raise DataError(f"{dataset.name}: {modality} of {split}: {error}") from None
    return resumed
