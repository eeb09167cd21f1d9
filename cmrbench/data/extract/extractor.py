"""What an extractor is, the names of those that there are, and how a typed name with parameters becomes one."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Sequence
from importlib import import_module, metadata
from typing import Any, ClassVar

import numpy as np

from cmrbench.core.errors import UnknownNameError, UsageError

VERSION = 1
"""Goes up when an extractor makes other values of the same inputs: older shards are then not gone on with."""

_HOME = {
    "bow": "words:BagOfWords",
    "tfidf": "words:TfIdf",
    "lda": "words:LatentDirichlet",
    "doc2vec": "paragraphs:Doc2Vec",
    "sbert": "sentences:SentenceBert",
    "clip-vit-b32": "clip:ClipViTB32",
    "clip-vit-b16": "clip:ClipViTB16",
    "clip-vit-l14": "clip:ClipViTL14",
    "clip-rn50": "clip:ClipRN50",
    "vgg19": "networks:VGG19",
    "resnet50": "networks:ResNet50",
    "resnet152": "networks:ResNet152",
    "hog": "classic:Hog",
    "colour": "classic:Colour",
    "mfcc": "sounds:Mfcc",
}
_SETTING = re.compile(r"[a-z_]+=")


class Extractor:
    """Makes one feature vector of one text, picture or sound; keyword parameters with defaults, stored unchanged.

    Attributes
    ----------
    takes : tuple of str
        Of ``"text"`` (str), ``"picture"`` and ``"sound"`` (the file's bytes), what it can describe.
    fits : bool
        Whether it is fitted, on training items only.
    extra : str
        The package's extra that it needs, or ``""``.
    libraries : tuple of str
        The distributions whose versions its values depend on.
    makes : str
        How many values it makes, for people.
    extractor, layer, normalisation : str
        As the catalogue describes a modality.
    device_ : str
        Where a network runs, after `open`; ``""`` for all others.
    """

    takes: ClassVar[tuple[str, ...]] = ()
    fits: ClassVar[bool] = False
    extra: ClassVar[str] = ""
    libraries: ClassVar[tuple[str, ...]] = ()
    makes: ClassVar[str] = ""
    extractor: ClassVar[str] = ""
    layer: ClassVar[str] = ""
    normalisation: str = "not normalised"
    device_: str = ""

    def open(self, device: str, takes: str) -> str:
        """Load what is needed for inputs of that kind; the SHA-256 of the weights, or ``""`` where there are none."""
        return ""

    def fit(self, inputs: Sequence[Any], seed: int) -> None:
        """Fit on the training items (where `fits`)."""

    def __call__(self, inputs: Sequence[Any]) -> np.ndarray:
        """Features (n, d) float32 of a batch; each row depends on its own input only."""
        raise NotImplementedError

    def parameters(self) -> dict[str, Any]:
        """Parameters by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def versions(self) -> dict[str, str]:
        """The installed versions of its libraries."""
        return {name: _version(name) for name in self.libraries}


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def extractor_names(takes: str = "") -> tuple[str, ...]:
    """Names of the extractors, in the order of the documentation; with `takes`, of those that take such inputs."""
    return tuple(name for name in _HOME if not takes or takes in extractor_class(name).takes)


def extractor_class(name: str) -> type[Extractor]:
    """The class behind a name of `extractor_names`.

    Raises
    ------
    UnknownNameError
        If there is no such extractor.
    """
    if name not in _HOME:
        raise UnknownNameError("extractor", name, _HOME)
    module, _, attribute = _HOME[name].partition(":")
    found: type[Extractor] = getattr(import_module(f"cmrbench.data.extract.{module}"), attribute)
    return found


def parse_extractor(text: str) -> tuple[str, Extractor]:
    """Name and extractor of a typed name: ``"hog"``, or with parameters ``"bow:words=2000:min_items=3"``.

    The value of a parameter that is a string may hold colons.

    Raises
    ------
    UnknownNameError
        If there is no such extractor or parameter.
    UsageError
        If a value is not of the parameter's type, or a parameter is given twice.
    """
    name, *pieces = text.split(":")
    cls = extractor_class(name)
    known = inspect.signature(cls).parameters
    params: dict[str, Any] = {}
    key = ""
    for piece in pieces:
        if key and isinstance(params[key], str) and not _SETTING.match(piece):
            params[key] += f":{piece}"
            continue
        key, equals, value = piece.partition("=")
        if key not in known:
            raise UnknownNameError(f"parameter of extractor {name}", key, known)
        if not equals:
            raise UsageError(f"extractor {text}: the parameter {key} has no value; write {name}:{key}=VALUE")
        if key in params:
            raise UsageError(f"extractor {text}: the parameter {key} is given twice")
        params[key] = _typed(f"{name}:{piece}", value, known[key].default)
    return name, cls(**params)


def make_extractor(text: str, takes: str) -> Extractor:
    """The extractor of a typed name (`parse_extractor`), which must take such inputs.

    Parameters
    ----------
    text : str
    takes : str
        What it must take: ``"text"``, ``"picture"`` or ``"sound"``.

    Raises
    ------
    UnknownNameError
        If there is no such extractor or parameter.
    UsageError
        If it takes other inputs, or a value is not of the parameter's type.
    """
    name, extractor = parse_extractor(text)
    if takes not in extractor.takes:
        able = ", ".join(extractor_names(takes))
        raise UsageError(f"extractor {name!r} takes a {' or '.join(extractor.takes)}, not a {takes}; that do: {able}")
    return extractor


def _typed(what: str, value: str, default: Any) -> Any:
    """A value of the type of the default; numbers are counts and sizes, which begin at 1."""
    if isinstance(default, str):
        return value
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        parsed = None
    if type(parsed) is not type(default):
        raise UsageError(f"extractor {what}: expected {type(default).__name__} like the default {default!r}")
    if not isinstance(parsed, bool) and parsed < 1:
        raise UsageError(f"extractor {what}: expected 1 or more, the default is {default!r}")
    return parsed


def needs(extra: str, module: str) -> Any:
    """Import a module of an extra.

    Raises
    ------
    UsageError
        With the install line, if it is not there.
    """
    try:
        return import_module(module)
    except ImportError as error:
        top = module.partition(".")[0]
        why = "" if error.name in (top, module) else f" (it is there, but: {error})"
        raise UsageError(f"this extractor needs {top}{why}: pip install 'cmrbench[{extra}]'") from None
