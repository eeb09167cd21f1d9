"""What an extractor is, the names of those that there are, and how a typed name with parameters becomes one."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from cmrbench.core.errors import UnknownNameError, UsageError

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
    """

    takes: ClassVar[tuple[str, ...]] = ()
    fits: ClassVar[bool] = False
    extra: ClassVar[str] = ""
    extractor: ClassVar[str] = ""
    layer: ClassVar[str] = ""
    normalisation: ClassVar[str] = "not normalised"

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


def extractor_names(takes: str = "") -> tuple[str, ...]:
    """Names of the extractors, in the order of the documentation; with `takes`, of those that take such inputs."""
    return tuple(name for name in _HOME if not takes or takes in _class_of(name).takes)


def _class_of(name: str) -> type[Extractor]:
    module, _, attribute = _HOME[name].partition(":")
    found: type[Extractor] = getattr(import_module(f"cmrbench.data.extract.{module}"), attribute)
    return found


def make_extractor(text: str, takes: str) -> Extractor:
    """An extractor of a typed name: ``"hog"``, or with parameters ``"bow:words=2000:min_items=3"``.

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
    name, *settings = text.split(":")
    if name not in _HOME:
        raise UnknownNameError("extractor", name, extractor_names(takes))
    cls = _class_of(name)
    if takes not in cls.takes:
        raise UsageError(f"extractor {name!r} takes {' or '.join(cls.takes)}, not {takes}; for it: {_listed(takes)}")
    known = inspect.signature(cls).parameters
    params: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if key not in known or not equals:
            raise UnknownNameError(f"parameter of extractor {name}", key, known)
        params[key] = _typed(f"{name}:{setting}", value, known[key].default)
    return cls(**params)


def _listed(takes: str) -> str:
    return ", ".join(extractor_names(takes))


def _typed(what: str, value: str, default: Any) -> Any:
    """A value of the type of the default."""
    if isinstance(default, str):
        return value
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        parsed = None
    if isinstance(default, float) and isinstance(parsed, int) and not isinstance(parsed, bool):
        parsed = float(parsed)
    if type(parsed) is not type(default):
        raise UsageError(f"extractor {what}: expected {type(default).__name__} like the default {default!r}")
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
    except ImportError:
        top = module.partition(".")[0]
        raise UsageError(f"this extractor needs {top}: pip install 'cmrbench[{extra}]'") from None
