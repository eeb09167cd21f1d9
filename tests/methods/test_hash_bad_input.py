"""Every hashing method that learns, on training items that leave little to learn from: valid codes, or one sentence."""

import logging
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.method import Context
from cmrbench.registry import load_methods

METHODS = load_methods()
NAMES = [
    name
    for name in METHODS.names()
    if (info := METHODS.get(name).info).output == "hash" and not info.reads_labels and name != "random_hash"
]
assert NAMES, "no method is registered"


@dataclass(frozen=True)
class Case:
    """Training items, and what a method may do with them.

    Attributes
    ----------
    make : callable
        The training items by modality.
    bits : int
    refusal : str
        Words of the errors with which a method may refuse them; empty: none may.
    must : bool
        Whether every method has to refuse them.
    warning : str
        Words of the warning that has to be logged where codes come out; empty: none is asked.
    labels : bool
        Whether the case is about labels, and so for supervised methods alone.
    """

    make: Callable
    bits: int = 8
    refusal: str = ""
    must: bool = False
    warning: str = ""
    labels: bool = False


def changed(part, modality=None, features=None, labels=None):
    """The items with `features(features)` in one modality, or in both, and `labels(labels)` in both."""
    out = {}
    for name, items in part.items():
        if features is not None and modality in (None, name):
            items = replace(items, features=np.ascontiguousarray(features(items.features), dtype=np.float32))
        if labels is not None:
            items = replace(items, labels=labels(items.labels))
        out[name] = items
    return out


def a_third_unlabelled(labels):
    return labels * (np.arange(len(labels)) % 3 > 0)[:, None].astype(labels.dtype)


def of_one_class(labels):
    return np.eye(labels.shape[1], dtype=labels.dtype)[np.zeros(len(labels), dtype=int)]


def duplicated(n, times):
    part = small_items(n=n)
    rows = np.repeat(np.arange(n), times)
    return {
        name: replace(small_items(n=n * times)[name], features=items.features[rows], labels=items.labels[rows])
        for name, items in part.items()
    }


def constant(features):
    return np.full_like(features, 0.1)  # a value whose mean is not exact


def a_third_zero(features):
    return features * (np.arange(len(features)) % 3 > 0)[:, None]


def scaled(image, text):
    part = changed(small_items(n=30), "image", lambda x: x * image)
    return changed(part, "text", lambda x: x * text)


NOTHING_APART = "apart|no direction|the same"

CASES = {
    "more bits than items": Case(lambda: small_items(n=20), bits=24, warning="24 bits were asked of 20 training items"),
    "more bits than the rank": Case(lambda: small_items(n=40, dims=(12, 3)), bits=24),
    "a third without labels": Case(
        lambda: changed(small_items(n=30), labels=a_third_unlabelled), labels=True, warning="10 of 30 .* have no label"
    ),
    "no labels at all": Case(
        lambda: changed(small_items(n=30), labels=np.zeros_like), labels=True, refusal="none of the 30", must=True
    ),
    "one class": Case(
        lambda: changed(small_items(n=30), labels=of_one_class),
        labels=True,
        refusal="apart|equally many",
        warning="same labels",
    ),
    "constant images": Case(
        lambda: changed(small_items(n=30), "image", constant), refusal=NOTHING_APART, warning="the same image features"
    ),
    "constant texts": Case(
        lambda: changed(small_items(n=30), "text", constant), refusal=NOTHING_APART, warning="the same text features"
    ),
    "texts of zeros": Case(
        lambda: changed(small_items(n=30), "text", np.zeros_like),
        refusal=NOTHING_APART,
        warning="the same text features",
    ),
    "both constant": Case(
        lambda: changed(small_items(n=30), None, constant), refusal="the same ones in image and text", must=True
    ),
    "a third of the texts zeros": Case(lambda: changed(small_items(n=30), "text", a_third_zero)),
    "two pairs": Case(lambda: small_items(n=2, n_classes=2), warning="8 bits were asked of 2"),
    "fewer items than anchors": Case(lambda: small_items(n=20)),
    "every item five times": Case(lambda: duplicated(8, 5)),
    "huge features": Case(lambda: scaled(1e6, 1e6)),
    "tiny features": Case(lambda: scaled(1e-6, 1e-6), refusal="too small beside"),
    "huge and tiny features": Case(lambda: scaled(1e6, 1e-6), refusal="too small beside"),
    "one image feature": Case(lambda: small_items(n=30, dims=(1, 7), noise=0.1)),
    "one text feature": Case(lambda: small_items(n=30, dims=(12, 1), noise=0.1)),
    "texts first": Case(lambda: small_items(n=30, dims=(7, 12), modalities=("text", "image"))),
}


def handed_out(part, supervision):
    """The items as the harness hands them out: read-only, without labels to unsupervised methods."""
    out = {}
    for name, items in part.items():
        items.features.flags.writeable = False
        out[name] = items if supervision == "labels" else items.without_labels()
    return out


def check_sentence(text, name):
    assert text.split()[0].rstrip(":") == name, f"an error begins with the method's name: {text}"
    assert "\n" not in text
    assert not any(word in text for word in ("Error", "array(", "nan", "numpy", "scipy", "None"))


def check_codes(codes, n, bits, what, apart):
    assert codes.dtype == np.int8
    assert codes.shape == (n, bits)
    assert np.isin(codes, (-1, 1)).all()
    assert not apart or (codes != codes[0]).any(), f"{what} are one code for all items"


def arrays(value):
    """All arrays of numbers within learned state."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "fiub":
            yield value
    elif isinstance(value, Mapping):
        yield from arrays(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from arrays(part)
    elif hasattr(value, "__dict__"):
        yield from arrays(vars(value))


def check_state(model):
    state = list(arrays({key: value for key, value in vars(model).items() if key.endswith("_")}))
    assert state
    assert all(np.isfinite(part).all() for part in state)


def differs(items):
    return (items.features != items.features[0]).any()


def settings_of(cls):
    """Word and parameters of what is tested of a method: its preset of few steps, if it has one, and its variants."""
    quick = cls.PRESETS.get("check", {})
    yield "", quick
    if "variant" in cls.parameters():
        yield "released", {**quick, "variant": "released"}


PARAMS = [
    pytest.param(METHODS.get(name), settings, case, id="-".join(filter(None, (name, variant, words))))
    for name in NAMES
    for variant, settings in settings_of(METHODS.get(name))
    for words, case in CASES.items()
    if not case.labels or METHODS.get(name).info.supervision == "labels"
]


def refusal(model, train, bits):
    """What the method says where it refuses the items; empty where it learns from them."""
    try:
        model.fit(train, None, Context(bits=bits))
    except MethodError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("method", "settings", "case"), PARAMS)
def test_valid_codes_or_one_sentence(method, settings, case, caplog):
    train = handed_out(case.make(), method.info.supervision)
    model = method(**settings)
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        refused = refusal(model, train, case.bits)
        if refused:
            assert case.refusal, f"refused: {refused}"
            assert re.search(case.refusal, refused)
            check_sentence(refused, method.info.name)
            return
        assert not case.must
        check_state(model)
        for modality, items in train.items():
            bits = model.code_length(modality, case.bits)
            check_codes(model.encode(modality, items.features), len(items), bits, "codes", apart=differs(items))
            learned = model.encode_train(modality)
            if learned is not None:
                check_codes(learned, len(items), bits, "learned codes", apart=True)
    assert re.search(case.warning, caplog.text), f"no warning says {case.warning!r}"
