"""Dataset names: `NAME[/FEATURE_SET][:SPLIT][+TRANSFORM[=VALUE]]...` as one parsed value."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cmrbench.core.errors import UsageError

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TRANSFORM = re.compile(r"[a-z][a-z0-9_]*(=[A-Za-z0-9_.:=%-]+)?")
_OWN = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
OWN_FORM = "small letters, digits, '.', '_' and '-', at most 64, no sign first"
FORM = "NAME[/FEATURE_SET][:SPLIT][+TRANSFORM=VALUE]..."


def with_features(dataset: str, feature_set: str) -> str:
    """A dataset as titles name it: with its feature set, unless that is the only one."""
    return dataset if feature_set in ("", "default") else f"{dataset}/{feature_set}"


@dataclass(frozen=True)
class DatasetName:
    """What names a dataset as it is measured.

    Attributes
    ----------
    dataset : str
        Registered name or alias.
    feature_set, split : str or None
        None: the default one.
    transforms : tuple of str
        Their texts in the order in which they are applied, such as ``"noise=0.4:seed=3"``.
    """

    dataset: str
    feature_set: str | None = None
    split: str | None = None
    transforms: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> DatasetName:
        """Parse a name; `str` is the inverse.

        Raises
        ------
        UsageError
            If it is not of the form above.
        """
        base, *transforms = text.strip().split("+")
        named, colon, split = base.partition(":")
        dataset, slash, feature_set = named.partition("/")
        parts = [dataset, *([feature_set] if slash else []), *([split] if colon else [])]
        if not all(_PART.fullmatch(p) for p in parts) or not all(_TRANSFORM.fullmatch(t) for t in transforms):
            raise UsageError(f"{text!r} is not a dataset name; expected {FORM}, such as wiki/sift-lda:drcl+noise=0.4")
        return cls(dataset, feature_set or None, split or None, tuple(transforms))

    def __str__(self) -> str:
        feature_set = f"/{self.feature_set}" if self.feature_set else ""
        split = f":{self.split}" if self.split else ""
        return self.dataset + feature_set + split + "".join(f"+{t}" for t in self.transforms)


def registered_part(name: str) -> str:
    """The registered name at the head of a dataset's name as results hold it, without split, parameters, transforms."""
    return re.split(r"[\[/:+]", name, maxsplit=1)[0]


def is_own_name(text: str) -> bool:
    """Whether a user may call a dataset, a feature set or a split so: it is a plain folder's name in the cache."""
    return _OWN.fullmatch(text) is not None
