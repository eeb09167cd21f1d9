"""Which array of a file is what: proposed where names leave no doubt, checked, and shown; never guessed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cmrbench.core.errors import DataError
from cmrbench.data.files import Arrays, Stored
from cmrbench.data.files.stored import listed
from cmrbench.data.importing.array_names import meaning
from cmrbench.data.importing.label_forms import is_vector
from cmrbench.data.importing.roles import PARTS, SPLIT_OF, Role

_XMEDIA = {
    "image": ("I_{}_CNN", "{}ImgCat"),
    "text": ("T_{}_BOW", "{}TxtCat"),
    "video": ("V_{}_CNN", "{}VidCat"),
    "audio": ("A_{}", "{}AudCat"),
    "3d": ("d3_{}", "{}3dCat"),
}
_XMEDIANET = {"image": 1, "text": 2}
_XMEDIANET_PARTS = {"train": "train", "valid": "val", "test": "test"}


_SHAPES = {"features": "numbers, items x columns", "label": "items, or items x classes"}


@dataclass(frozen=True)
class Proposal:
    """What the arrays of a file seem to be.

    Attributes
    ----------
    roles : dict of Role to str
        The array of each role.
    choices : dict of Role to list of str
        Roles that several arrays could have: `--map` has to say which.
    unused : dict of str to str
        The other things in the file, with what they are.
    layout : str
        Whose layout it is, where the names as a whole say so.
    notes : tuple of str
    refused : dict of str to (Role, str)
        Those of the unused that cannot be what their names say: features or labels, and what they are instead.
    """

    roles: Mapping[Role, str]
    choices: Mapping[Role, list[str]] = field(default_factory=dict)
    unused: Mapping[str, str] = field(default_factory=dict)
    layout: str = ""
    notes: tuple[str, ...] = ()
    refused: Mapping[str, tuple[Role, str]] = field(default_factory=dict)


def propose(arrays: Arrays, modalities: tuple[str, ...], given: Mapping[Role, str] | None = None) -> Proposal:
    """Find out what the arrays of a file are.

    Parameters
    ----------
    arrays : Arrays
    modalities : tuple of str
        Of the dataset that they are imported for.
    given : mapping of Role to str, optional
        What the user said. It goes before everything else; an empty name takes a role out.

    Raises
    ------
    DataError
        If the user named an array that the file does not have.
    """
    given = given or {}
    for name in given.values():
        if name:
            arrays[name]
    layout, roles = _known_layout(arrays, modalities)
    choices: dict[Role, list[str]] = {}
    notes: list[str] = []
    if not layout:
        roles, choices = _by_names(arrays, modalities)
    taken = set(given.values())
    roles = {r: a for r, a in roles.items() if r not in given and a not in taken}
    roles |= {r: a for r, a in given.items() if a}
    choices = {r: left for r, c in choices.items() if r not in given and (left := [a for a in c if a not in taken])}
    for role in [r for r, c in choices.items() if len(c) == 1]:
        roles[role] = choices.pop(role)[0]
    if _share_labels(roles, choices):
        notes.append("labels are given for one modality alone: they are taken for all")
    used = set(roles.values()) | {a for c in choices.values() for a in c}
    unused = {n: _described(s) for n, s in arrays.stored.items() if n not in used}
    in_order = sorted(roles, key=lambda r: _order(r, modalities))
    refused = {} if layout else _refused(arrays, modalities, used, given)
    mapped = {r: roles[r] for r in in_order}
    return Proposal(mapped, choices, unused | arrays.unreadable, layout, tuple(notes), refused)


def _known_layout(arrays: Arrays, modalities: tuple[str, ...]) -> tuple[str, dict[Role, str]]:
    """Files whose names leave a choice that all released code takes in one way."""
    roles: dict[Role, str] = {}
    for modality, patterns in _XMEDIA.items():
        for short, part in (("tr", "train"), ("te", "test")):
            names = [pattern.format(short) for pattern in patterns]
            if modality in modalities and all(n in arrays for n in names):
                roles[Role("features", modality, part)], roles[Role("label", modality, part)] = names
    if len({r.modality for r in roles}) > 1 and "I_tr_CNN" in arrays:
        return "XMediaFeatures.mat, with the CNN and bag-of-words features that SDML and DRCL take", roles
    roles = {}
    for modality, number in _XMEDIANET.items():
        for name, part in _XMEDIANET_PARTS.items():
            features, label = f"{name}{{{number}}}", f"{name}_labels{{{number}}}"
            if modality in modalities and features in arrays and label in arrays:
                roles[Role("features", modality, part)] = features
                roles[Role("label", modality, part)] = label
    if len({r.modality for r in roles}) > 1:
        return "XMediaNet5View_Doc2Vec.mat: view 1 is image and view 2 text, as SDML and DRCL take them", roles
    return "", {}


def _by_names(arrays: Arrays, modalities: tuple[str, ...]) -> tuple[dict[Role, str], dict[Role, list[str]]]:
    strong: dict[Role, list[str]] = {}
    weak: dict[Role, list[str]] = {}
    for name, stored in arrays.stored.items():
        said = meaning(name, modalities)
        if said is not None and _fits(said.role, stored):
            (weak if said.weak else strong).setdefault(said.role, []).append(name)
    # X and Y are image and text where L holds the labels; without it, Y may well be the labels.
    if any(r.kind == "label" for r in strong):
        named = {r.modality for r in strong if r.kind == "features"}
        strong |= {role: names for role, names in weak.items() if role.modality not in named}
    roles = {r: n[0] for r, n in strong.items() if len(n) == 1}
    return roles, {r: n for r, n in strong.items() if len(n) > 1}


def _fits(role: Role, stored: Stored) -> bool:
    """Whether an array can be what its name says."""
    flat = is_vector(stored)
    if role.kind == "features":
        return len(stored.shape) == 2 and not stored.is_text
    if role.kind == "label":
        return len(stored.shape) <= 2
    if role.kind == "ids":
        return flat and (stored.is_text or stored.dtype.kind in "iuf")
    return flat and stored.is_text


def _refused(
    arrays: Arrays, modalities: tuple[str, ...], used: set[str], given: Mapping[Role, str]
) -> dict[str, tuple[Role, str]]:
    found = {}
    for name in (*arrays.stored, *arrays.unreadable):
        said = meaning(name, modalities)
        if said is None or said.role.kind not in _SHAPES or name in used or said.role in given:
            continue
        if name in arrays.unreadable:
            found[name] = said.role, arrays.unreadable[name]
        elif not _fits(said.role, arrays.stored[name]):
            found[name] = said.role, _described(arrays.stored[name])
    return found


def _share_labels(roles: dict[Role, str], choices: Mapping[Role, list[str]]) -> bool:
    """Labels that are given for one modality alone are those of all."""
    modalities = {r.modality for r in roles if r.kind == "features"}
    own = {r.modality for r in roles if r.kind == "label" and r.modality}
    shared = any(r.kind == "label" and not r.modality for r in (*roles, *choices))
    indexed = any(r.kind == "instances" for r in roles)
    if shared or indexed or len(own) != 1 or len(modalities) < 2 or any(r.kind == "label" for r in choices):
        return False
    for role in [r for r in roles if r.kind == "label"]:
        roles[Role("label", "", role.part)] = roles.pop(role)
    return True


def _order(role: Role, modalities: tuple[str, ...]) -> tuple[int, int, int]:
    kinds = ("features", "label", "split", "ids", "instances", "texts", "class_names")
    place = modalities.index(role.modality) if role.modality in modalities else len(modalities)
    return kinds.index(role.kind), place, PARTS.index(role.part) if role.part else -1


def _described(stored: Stored) -> str:
    what = "strings" if stored.is_text else str(stored.dtype)
    axes = " x ".join(f"{k:,}" for k in stored.shape)
    return f"{axes} {what}" + (" (pictures, not features)" if len(stored.shape) == 4 else "")


def check(proposal: Proposal, file: str, labelled: bool) -> None:
    """Raise a DataError unless the mapping is complete: it says what `--map` has to say.

    Parameters
    ----------
    proposal : Proposal
    file : str
        For messages.
    labelled : bool
        Whether the dataset has labels.
    """
    roles = proposal.roles
    if proposal.choices:
        role, names = next(iter(proposal.choices.items()))
        more = f"; likewise {listed(list(proposal.choices)[1:])}" if len(proposal.choices) > 1 else ""
        raise DataError(
            f"{file}: {role} could be {' or '.join(map(repr, names))}; choose with --map {role}={names[0]}{more}"
        )
    try:
        _complete(proposal, file, labelled)
    except DataError:
        for name, (role, what) in proposal.refused.items():
            if role not in roles:
                raise DataError(
                    f"{file}: {name!r} is {what}, and cannot be {role} (expected {_SHAPES[role.kind]}); save it as a "
                    f"plain array, or choose another with --map {role}=ARRAY"
                ) from None
        raise


def _complete(proposal: Proposal, file: str, labelled: bool) -> None:
    roles = proposal.roles
    modalities = list(dict.fromkeys(r.modality for r in roles if r.kind == "features"))
    others = f"; arrays whose names say nothing: {listed(proposal.unused)}" if proposal.unused else ""
    if len(modalities) < 2:
        found = f"only {modalities[0]} was" if modalities else "none were"
        raise DataError(
            f"{file}: two modalities are needed, {found} recognised by their arrays' names; "
            f"say which is which with --map ROLE=ARRAY{others}"
        )
    parts = {m: {r.part for r in roles if (r.kind, r.modality) == ("features", m)} for m in modalities}
    for modality, own in parts.items():
        _parts_agree(file, modality, own, parts[modalities[0]], modalities[0])
    if Role("split") in roles and "" not in parts[modalities[0]]:
        raise DataError(f"{file}: arrays are given by part and a split as well; take it out with --map split=")
    if labelled:
        for modality in modalities:
            _labels_are_there(file, roles, modality, parts[modality], others)


def _parts_agree(file: str, modality: str, own: set[str], first: set[str], first_modality: str) -> None:
    if "" in own and len(own) > 1:
        raise DataError(
            f"{file}: {modality} is mapped whole and by part ({', '.join(sorted(own - {''}))}); "
            f"take one out with --map {modality}="
        )
    splits = [SPLIT_OF[p] for p in own]
    if len(set(splits)) < len(splits):
        raise DataError(f"{file}: {modality} is mapped to both test and query, which is the same; give one of them")
    if own != first:
        missing = sorted(first ^ own)[0]
        lacking = modality if missing in first else first_modality
        role = Role("features", lacking, missing)
        raise DataError(f"{file}: there is no array for {role}, but the other modality has it; give it with --map")


def _labels_are_there(file: str, roles: Iterable[Role], modality: str, parts: set[str], others: str) -> None:
    own = {r.part for r in roles if r.kind == "label" and r.modality == modality}
    shared = {r.part for r in roles if r.kind == "label" and not r.modality}
    for part in sorted(parts):
        if part not in own and part not in shared:
            role = Role("label", "", part)
            raise DataError(f"{file}: no array was recognised as {role}; give it with --map {role}=ARRAY{others}")
