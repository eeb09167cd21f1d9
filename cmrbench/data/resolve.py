"""From a typed name to what must be prepared: entry, feature set, split, and the files on this machine."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import DataError, DatasetMissingError, UnknownNameError, UsageError
from cmrbench.core.names import DatasetName
from cmrbench.data.local import local_feature_sets, read_local
from cmrbench.data.sources import Located, find_variant, locate, missing_message, source_folder

if TYPE_CHECKING:
    from cmrbench.core.protocol import Protocol
    from cmrbench.data.catalogue import Catalogue, Entry, FeatureSet, NamedSplit
    from cmrbench.data.catalogue.schema import Records


class AliasNotice(UserWarning):
    """Says what an alias is taken for, where papers mean different things by it."""


@dataclass(frozen=True, eq=False)
class Resolved:
    """A dataset in one feature set and one split, as it is prepared.

    Attributes
    ----------
    name : str
        Registered name.
    entry : Entry
    feature_set_name : str
    feature_set : FeatureSet
    split_name : str
    split : NamedSplit
    is_default_split : bool
    located : Located
        The files that are read.
    lists : Path or None
        The folder of frozen ids, where the split is such lists.
    brought : tuple of str or None
        The splits that a user's own file has, where it is cut by them.
    """

    name: str
    entry: Entry
    feature_set_name: str
    feature_set: FeatureSet
    split_name: str
    split: NamedSplit
    is_default_split: bool
    located: Located
    lists: Path | None = None
    brought: tuple[str, ...] | None = None
    cut_as: str = ""
    """The dataset's split that `brought` is, where features were extracted in it."""

    @property
    def builder(self) -> str:
        """Name of the builder."""
        return self.feature_set.builder or self.entry.builder

    @property
    def records(self) -> Records | None:
        """The registered sizes and hashes of the split, where the data has been seen."""
        own = self.feature_set.records
        return self.split.records if own is None else own.get(self.split_name)

    @property
    def kinds(self) -> dict[str, str]:
        """What an item of each modality is."""
        return {m: spec.kind for m, spec in self.feature_set.modalities.items()}

    @property
    def multilabel(self) -> bool:
        """Whether an item can have several labels."""
        return self.entry.labels.multilabel if self.entry.labels else False

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """The protocols that measure this split; of a split that a file brings, those that it has the items for."""
        if self.brought is not None:
            able = [p for p in self.entry.protocols if {*p.query, *p.gallery} <= {*self.brought}]
            return tuple(p.protocol() for p in able if not (p.splits and self.cut_as) or self.cut_as in p.splits)
        return tuple(p.protocol() for p in self.entry.protocols if not p.splits or self.split_name in p.splits)

    def files_to_read(self) -> set[str]:
        """Files that a builder may look into: those that are hashed, and attachments (pictures) that are there."""
        attached = {s.file for s in self.entry.sources if s.attachment}
        return {*self.located.hashes, *(f for f in attached if (self.located.folder / f).is_file())}

    @property
    def title(self) -> str:
        """The name as results hold it."""
        return str(DatasetName(self.name, split=None if self.is_default_split else self.split_name))


def resolve(name: DatasetName, catalogue: Catalogue) -> Resolved:
    """Find what a name stands for. Its transforms are not looked at.

    Raises
    ------
    UnknownNameError
        If the dataset, the feature set or the split is not known.
    DatasetMissingError
        If its files are not on this machine.
    """
    note = catalogue.note(name.dataset)
    if note:
        warnings.warn(note, AliasNotice, stacklevel=3)
    registered = catalogue.resolve(name.dataset)
    entry = catalogue.entry(registered)
    local = local_feature_sets(registered)
    brought: tuple[str, ...] | None = None
    cut_as = ""
    chosen = name.feature_set or entry.default_feature_set
    if chosen in entry.feature_sets:
        feature_set, own_split = entry.feature_sets[chosen], None
        try:
            located = locate(catalogue, registered, feature_set)
        except DataError as error:
            if name.feature_set is None and local:
                here = ", ".join(f"{registered}/{n}" for n in local)
                raise type(error)(f"{error}; on this machine are: {here}") from None
            raise
    elif chosen in local:
        stored = read_local(local[chosen])
        feature_set, own_split, brought = stored.feature_set(), stored.own_split(), stored.brought
        cut_as = stored.cut_as
        located = Located(local[chosen], "", dict(stored.files), registered=False)
    elif name.feature_set is None:
        raise DatasetMissingError(missing_message(registered, entry, source_folder(catalogue, registered)))
    else:
        raise UnknownNameError(f"feature set of {registered}", chosen, [*entry.feature_sets, *local])
    split_name, split, lists = _split(name.split, registered, own_split, catalogue, cut_as)
    default = split_name == (entry.default_split if own_split is None else "")
    if split_name != "":
        cut_as = ""
        brought = None if split_name in entry.splits or lists is None else _frozen_parts(lists)
    return Resolved(registered, entry, chosen, feature_set, split_name, split, default, located, lists, brought, cut_as)


def check_names(name: DatasetName, catalogue: Catalogue) -> None:
    """Raise an UnknownNameError unless there are a feature set and a split of these names; no data is looked for."""
    registered, entry = catalogue.resolve(name.dataset), catalogue.entry(name.dataset)
    known = [*entry.feature_sets, *local_feature_sets(registered)]
    if name.feature_set is not None and name.feature_set not in known:
        raise UnknownNameError(f"feature set of {registered}", name.feature_set, known)
    if name.split is not None and name.split not in entry.splits:
        from cmrbench.data.splits.frozen import frozen_splits

        frozen = frozen_splits(registered)
        if name.split not in frozen:
            raise UnknownNameError(f"split of {registered}", name.split, [*entry.splits, *frozen])


def resolve_files(name: str, feature_set: str, located: Located, catalogue: Catalogue) -> Resolved:
    """A registered feature set in its default split, out of files that lie elsewhere (not yet imported)."""
    entry = catalogue.entry(name)
    split_name, split, lists = _split(None, name, None, catalogue)
    return Resolved(name, entry, feature_set, entry.feature_sets[feature_set], split_name, split, True, located, lists)


def resolve_local(name: str, feature_set: str, folder: Path, catalogue: Catalogue) -> Resolved:
    """A local feature set in its default split, out of a folder that is not (yet) in its place."""
    stored = read_local(folder)
    split_name, split, lists = _split(None, name, stored.own_split(), catalogue)
    located = Located(folder, "", dict(stored.files), registered=False)
    entry = catalogue.entry(name)
    spec, brought = stored.feature_set(), stored.brought if stored.split is not None else None
    return Resolved(name, entry, feature_set, spec, split_name, split, True, located, lists, brought, stored.cut_as)


def _split(
    asked: str | None, name: str, own: NamedSplit | None, catalogue: Catalogue, cut_as: str = ""
) -> tuple[str, NamedSplit, Path | None]:
    entry = catalogue.entry(name)
    if asked is None and own is not None:
        return "", own, None
    chosen = asked or entry.default_split
    # Items of unknown parts can be drawn anew; what was fitted on its own training items cannot.
    if own is not None and chosen in entry.splits and (cut_as or entry.splits[chosen].scheme.kind == "source"):
        raise UsageError(
            f"this feature set of {name} brings its own split, so that it cannot be cut by {chosen!r}: leave out "
            f":{chosen}, or make one for that split (cmrbench extract {name}:{chosen} ..., cmrbench data import)"
        )
    if chosen in entry.splits:
        split = entry.splits[chosen]
        scheme: Any = split.scheme
        return chosen, split, catalogue.home(name) / scheme.file if scheme.kind == "ids" else None
    from cmrbench.data.splits.frozen import frozen_splits

    frozen = frozen_splits(name)
    if chosen not in frozen:
        raise UnknownNameError(f"split of {name}", chosen, [*(entry.splits if own is None else ()), *frozen])
    split, folder = frozen[chosen]
    return chosen, split, folder


def _frozen_parts(folder: Path) -> tuple[str, ...]:
    """Which of train, val, query and gallery a frozen split has."""
    from cmrbench.data.splits.frozen import read_record

    return tuple(read_record(folder)["sizes"])


def available(catalogue: Catalogue, name: str) -> list[str]:
    """The feature sets of a dataset that can be used on this machine, the registered ones first."""
    entry = catalogue.entry(name)
    folder = source_folder(catalogue, name)
    here = [n for n, fs in entry.feature_sets.items() if find_variant(entry, folder, fs) is not None]
    return [*here, *local_feature_sets(catalogue.resolve(name))]
