"""Checks on what a method declares, and on its life before and after `fit`."""

from __future__ import annotations

import inspect
import pickle
import tempfile
from dataclasses import replace
from pathlib import Path

from cmrbench.method import Method, MethodInfo
from cmrbench.testing.case import Case, CheckFailed
from cmrbench.testing.check import all_checks, check
from cmrbench.testing.compare import need_identical


@check("declares a valid info: name, title, category, a citation unless it is a baseline, presets that exist")
def check_valid_info(case: Case) -> None:
    """Tables and docs are made of these declarations."""
    cls = case.method_class
    info = getattr(cls, "info", None)
    if not isinstance(info, MethodInfo):
        raise CheckFailed(f"{cls.__name__}.info must be a MethodInfo, it is {type(info).__name__}")
    if not info.title.strip():
        raise CheckFailed("info.title is empty; tables print it")
    if info.category != "baseline" and not info.cited:
        raise CheckFailed("info.citation is empty; give the full reference of the paper")
    for group, kind in (("_real", "real"), ("_hash", "hash")):
        if info.category.endswith(group) and info.output != kind:
            raise CheckFailed(f"category {info.category} does not go with output {info.output!r}")
    if info.category.startswith("supervised") != (info.supervision == "labels") and info.category != "baseline":
        raise CheckFailed(f"category {info.category} does not go with supervision {info.supervision!r}")
    if "hamming" in info.retrieval and info.output != "hash":
        raise CheckFailed("info.retrieval names 'hamming', which compares codes, but its output is real-valued")
    if "score" in info.retrieval and not callable(getattr(cls, "score", None)):
        raise CheckFailed("info.retrieval names 'score' but the method has no score")
    if not (cls.__doc__ or "").strip() or cls.__doc__ == Method.__doc__:
        raise CheckFailed("the class has no docstring; say what it does and where it comes from")
    _check_presets(case)
    _check_expected_failures(case)


def _check_presets(case: Case) -> None:
    known = set(case.method_class.parameters())
    for preset, params in case.method_class.PRESETS.items():
        if unknown := sorted(set(params) - known):
            raise CheckFailed(f"PRESETS[{preset!r}] sets {', '.join(unknown)}, which the constructor does not take")


def _check_expected_failures(case: Case) -> None:
    names = {c.name for c in all_checks()}
    for name, reason in case.method_class.EXPECTED_FAILURES.items():
        if name not in names:
            raise CheckFailed(f"EXPECTED_FAILURES names {name!r}, which is no check")
        if not reason.strip():
            raise CheckFailed(f"EXPECTED_FAILURES[{name!r}] gives no reason")


@check("the constructor takes keyword parameters with defaults, stores them unchanged and does nothing else")
def check_constructor_only_stores(case: Case) -> None:
    """Runs are keyed by the parameters, so they must be what was asked for; a value is judged in `fit`."""
    parameters = inspect.signature(case.method_class).parameters
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise CheckFailed(f"the constructor takes *{name}; name every parameter")
        if parameter.default is parameter.empty:
            raise CheckFailed(f"the parameter {name} has no default")
    values = {name: object() for name in parameters}
    try:
        method = case.method_class(**values)
    except Exception as error:
        raise CheckFailed(
            f"the constructor works on its parameters ({type(error).__name__}: {error}); store them, and judge in fit"
        ) from error
    for name, value in values.items():
        if getattr(method, name, None) is not value:
            raise CheckFailed(f"the parameter {name} is not stored unchanged as self.{name}")
    if extra := sorted(set(vars(method)) - set(values)):
        raise CheckFailed(f"the constructor sets {', '.join(extra)}, which are no parameters; do it in fit")


@check("fit returns self")
def check_fit_returns_self(case: Case) -> None:
    """So that ``Method().fit(...)`` is the fitted method."""
    returned = case.fitted.returned
    if returned is not case.fitted.method:
        raise CheckFailed(f"fit returned {type(returned).__name__}, expected the method itself")


@check("fit leaves the parameters as they were given")
def check_parameters_kept(case: Case) -> None:
    """What was learned belongs into attributes that end in an underscore."""
    for name, value in case.fitted.given.items():
        now = getattr(case.fitted.method, name, None)
        if type(now) is not type(value) or now != value:
            raise CheckFailed(f"fit changed the parameter {name} from {value!r} to {now!r}")


@check("encode before fit raises an error that names the method")
def check_unfitted_encode_raises(case: Case) -> None:
    """`Method.check_fitted` does it in one line."""
    case.needs_encode()
    items = next(iter(case.dataset.part("query").values()))
    try:
        case.make().encode(items.modality, items.features)
    except Exception as error:
        by_python = "has no attribute" in str(error)  # it names the class, which is often the title
        if not by_python and (case.info.name in str(error) or case.info.title in str(error)):
            return
        raise CheckFailed(
            f"encode before fit raised {type(error).__name__}: {error}; "
            "expected an error that names the method (self.check_fitted(...))"
        ) from error
    raise CheckFailed("encode before fit returned something; expected an error that names the method")


@check("a pickled, or saved and loaded, method encodes as before")
def check_survives_pickle(case: Case) -> None:
    """By ``save(path)`` and ``load(path)`` where the method has both, otherwise by pickle."""
    fitted = case.fitted
    before = fitted.outputs()
    cls = case.method_class
    if hasattr(cls, "save") and hasattr(cls, "load"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "method"
            fitted.method.save(path)  # type: ignore[attr-defined]
            copy = cls.load(path)
    else:
        try:
            copy = pickle.loads(pickle.dumps(fitted.method))
        except Exception as error:
            raise CheckFailed(f"cannot be pickled: {type(error).__name__}: {error}") from error
    need_identical(before, replace(fitted, method=copy).outputs(), "the copy encodes differently")
