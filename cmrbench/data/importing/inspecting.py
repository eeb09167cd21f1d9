"""A file of the user's own, looked at: what is in it, and what each array seems to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cmrbench.core.errors import DataError, UsageError
from cmrbench.data.archives.safety import printable
from cmrbench.data.files import Stored, array_files, open_arrays
from cmrbench.data.importing.copying import plain_file
from cmrbench.data.importing.mapping import Proposal, check, propose
from cmrbench.data.importing.orientation import check_orientation
from cmrbench.data.importing.roles import Role, parse_map, transposed_roles

if TYPE_CHECKING:
    from cmrbench.data.catalogue import Catalogue, Entry

MODALITIES = ("image", "text", "audio", "video", "3d")
"""Of a dataset that is registered without features."""
VALIDATION = 0.1


@dataclass(frozen=True)
class Wanted:
    """What the user says of a file of their own; the options of ``cmrbench data import``.

    Attributes
    ----------
    mapping : sequence of str
        ``ROLE=ARRAY``; what is not said is proposed.
    transpose : sequence of str
        Roles whose arrays hold one item a column.
    feature_set : str
        What it is to be called; ``""``: ``imported``.
    about : sequence of str
        How the features were made: ``"VGG-19 fc7"``, or ``"image=VGG-19 fc7"`` for one modality.
    drop_unlabelled : bool
        Leave out items without a label.
    drop_empty : bool
        Leave out items whose features are all zero, with their partners.
    val : float
        Share of the training items that becomes the validation split where the file has a split without one; 0: none.
    replace : bool
        Take the place of a local feature set of that name.
    """

    mapping: Sequence[str] = ()
    transpose: Sequence[str] = ()
    feature_set: str = ""
    about: Sequence[str] = ()
    drop_unlabelled: bool = False
    drop_empty: bool = False
    val: float = VALIDATION
    replace: bool = False

    @property
    def said(self) -> bool:
        """Whether anything is said that only files of one's own need."""
        return self != Wanted(replace=self.replace)


@dataclass(frozen=True)
class MappedArray:
    """One line of a mapping, for people.

    Attributes
    ----------
    role, array : str
    shape : tuple of int
        As stored, before it is transposed.
    dtype : str
    transposed : bool
    """

    role: str
    array: str
    shape: tuple[int, ...]
    dtype: str
    transposed: bool


@dataclass(frozen=True, eq=False)
class Inspected:
    """A file of the user's own, looked at: nothing has been read or written yet.

    Attributes
    ----------
    name : str
        Registered name of the dataset.
    path : Path
        A file, or a folder of files.
    files : tuple of Path
        The array files in it.
    kind : str
        The file format.
    proposal : Proposal
    mapped : tuple of MappedArray
    wanted : Wanted
    catalogue : Catalogue
    problem : str
        What the shapes of the arrays show to be wrong, or ``""``.
    """

    name: str
    path: Path
    files: tuple[Path, ...]
    kind: str
    proposal: Proposal
    mapped: tuple[MappedArray, ...]
    wanted: Wanted
    catalogue: Catalogue
    problem: str = ""

    @property
    def entry(self) -> Entry:
        """The dataset's entry."""
        return self.catalogue.entry(self.name)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those that features are mapped to."""
        return tuple(dict.fromkeys(r.modality for r in self.proposal.roles if r.kind == "features"))

    @property
    def brings_split(self) -> bool:
        """Whether the file says which items are for training."""
        return any(r.kind == "split" or (r.kind == "features" and r.part) for r in self.proposal.roles)

    def check(self) -> None:
        """Raise a DataError unless the mapping is complete and shapes agree; it says what is to be typed."""
        check(self.proposal, str(self.path), self.entry.labels is not None)
        if self.problem:
            raise DataError(self.problem)


def inspect(name: str, path: Path, wanted: Wanted, catalogue: Catalogue) -> Inspected:
    """Look into a user's file: what is in it, and what each array seems to be.

    Raises
    ------
    DataError
        If there is no readable array file, or a file is a link.
    UsageError
        If an option names what does not exist.
    """
    if not 0 <= wanted.val < 1:
        raise UsageError(f"--val {wanted.val} is no share of the training items; expected 0 to 1, such as 0.1")
    name = catalogue.resolve(name)
    entry = catalogue.entry(name)
    own = tuple(dict.fromkeys(m for f in entry.feature_sets.values() for m in f.modalities)) or MODALITIES
    given = parse_map(wanted.mapping, tuple(dict.fromkeys([*own, *MODALITIES])))
    files = _files(path)
    with open_arrays(files) as arrays:
        modalities = tuple(dict.fromkeys([*own, *(r.modality for r in given if r.modality)]))
        proposal = propose(arrays, modalities, given)
        turned = transposed_roles(wanted.transpose, proposal.roles, modalities)
        mapped = tuple(_line(role, arrays[array], role in turned) for role, array in proposal.roles.items())
        stored = {r: arrays[a].transposed() if r in turned else arrays[a] for r, a in proposal.roles.items()}
        problem = ""
        try:
            check_orientation(stored, str(path))
        except DataError as error:
            problem = str(error)
        return Inspected(name, path, files, arrays.kind, proposal, mapped, wanted, catalogue, problem)


def _line(role: Role, stored: Stored, transposed: bool) -> MappedArray:
    return MappedArray(
        str(role), stored.name, stored.shape, "strings" if stored.is_text else str(stored.dtype), transposed
    )


def _files(path: Path) -> tuple[Path, ...]:
    """The array files of a path; each is a plain file with a name of its own."""
    files = tuple(array_files(path))
    for file in files:
        plain_file(file)
        if file.name.startswith("."):
            raise DataError(f"{file} is a hidden file; give it another name")
        if printable(file.name) != file.name:
            raise DataError(f"{printable(str(file))} has a name that is not UTF-8; give it another one")
    return files
