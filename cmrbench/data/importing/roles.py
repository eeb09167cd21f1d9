"""Roles: what an array of a researcher's file is in a dataset (``image_train``, ``text_label``, ``ids``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cmrbench.core.errors import UnknownNameError, UsageError

PARTS = ("train", "val", "test", "query", "gallery")
SPLIT_OF = {"train": "train", "val": "val", "test": "query", "query": "query", "gallery": "gallery", "": ""}
"""The split of a part: `test` items are queries, and protocols say what they search in."""
OWN_KINDS = ("label", "ids", "instances", "texts")
SHARED_KINDS = ("label", "ids", "split", "class_names")
ALL = "all"


@dataclass(frozen=True)
class Role:
    """What an array is.

    Attributes
    ----------
    kind : str
        ``features``, ``label``, ``ids``, ``instances`` (which instance an item belongs to), ``texts`` (one text an
        item, for people and extractors), ``split`` or ``class_names``.
    modality : str
        Empty where the array speaks for all modalities.
    part : str
        ``train``, ``val``, ``test``, ``query``, ``gallery``; empty where it holds all items.
    """

    kind: str
    modality: str = ""
    part: str = ""

    def __str__(self) -> str:
        name = self.modality if self.kind == "features" else "_".join(filter(None, (self.modality, self.kind)))
        return "_".join(filter(None, (name, self.part)))

    @classmethod
    def parse(cls, text: str, modalities: Sequence[str]) -> Role:
        """The role of that name.

        Raises
        ------
        UnknownNameError
            If it is none, with the nearest ones.
        """
        name, _, end = text.rpartition("_")
        part = end if name and end in PARTS else ""
        stem = name if part else text
        if stem in modalities:
            return cls("features", stem, part)
        if stem in SHARED_KINDS and not (part and stem in ("split", "class_names")):
            return cls(stem, "", part)
        modality, _, kind = stem.rpartition("_")
        if modality in modalities and kind in OWN_KINDS:
            return cls(kind, modality, part)
        raise UnknownNameError("role", text, all_roles(modalities), f"(modalities are {', '.join(modalities)})")


def all_roles(modalities: Iterable[str]) -> list[str]:
    """All names of roles."""
    stems = [s for m in modalities for s in (m, *(f"{m}_{kind}" for kind in OWN_KINDS))] + ["label", "ids"]
    return [*(f"{s}{p}" for s in stems for p in ("", *(f"_{p}" for p in PARTS))), "split", "class_names"]


def parse_map(pairs: Iterable[str], modalities: Sequence[str]) -> dict[Role, str]:
    """Mappings as typed: ``image_train=I_tr``; an empty array (``text_label=``) takes the role out.

    Raises
    ------
    UsageError
        If one is not ROLE=ARRAY, or a role is given twice.
    """
    found: dict[Role, str] = {}
    for pair in pairs:
        role_name, equals, array = pair.partition("=")
        if not equals:
            raise UsageError(f"--map {pair!r} is not ROLE=ARRAY, such as image_train=I_tr")
        role = Role.parse(role_name.strip(), modalities)
        if role in found:
            raise UsageError(f"--map gives the role {role} twice: {found[role]!r} and {array.strip()!r}")
        found[role] = array.strip()
    return found


def transposed_roles(names: Iterable[str], mapping: Mapping[Role, str], modalities: Sequence[str]) -> set[Role]:
    """The mapped roles that are to be transposed: ``image`` means every part of it, ``all`` everything of two axes.

    Raises
    ------
    UsageError
        If a name is a role that nothing is mapped to.
    """
    chosen: set[Role] = set()
    for name in names:
        if name == ALL:
            chosen |= {r for r in mapping if r.kind in ("features", "label")}
            continue
        asked = Role.parse(name, modalities)
        meant = {r for r in mapping if (r.kind, r.modality) == (asked.kind, asked.modality)}
        meant = {r for r in meant if asked.part in ("", r.part)}
        if not meant:
            raise UsageError(f"--transpose {name}: no array is mapped to it; mapped are {', '.join(map(str, mapping))}")
        chosen |= meant
    return chosen
