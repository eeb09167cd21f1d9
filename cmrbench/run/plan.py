"""From what a user asked for to the list of runs; everything is resolved before anything is computed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from cmrbench.core.dataset import Dataset
from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.core.hashing import canonical_json, describe_values, digest, plain_numbers
from cmrbench.core.names import DatasetName, registered_part
from cmrbench.core.runs import RECORDING, RunSpec
from cmrbench.method import RETRIEVALS, Method, MethodInfo
from cmrbench.registry import MethodRef, MethodTable, source_digest
from cmrbench.run.environment import engine_digest, resolve_device, versions
from cmrbench.run.execute import STRATEGIES, why_not

DEFAULT_BITS = (16, 32, 64, 128)
MOST_BITS = 4096


@dataclass(frozen=True)
class RunRequest:
    """What was asked for: methods x datasets x bits x seeds, and settings.

    Attributes
    ----------
    methods, datasets : tuple of str
        Registered names; a dataset may carry a feature set (``"emoji/multilingual"``).
    bits : tuple of int
        Code lengths for hashing methods.
    dim : int or None
        Dimension of the common space for real-valued methods.
    seeds : tuple of int
    preset : str
        ``"auto"`` (the dataset's), ``"none"``, or a name out of the method's `PRESETS`.
    settings : mapping of name to mapping of parameter to value
        ``--set NAME.PARAMETER=VALUE``, for methods and for the synthetic dataset.
    retrievals : tuple of str
        Strategies; empty: each method's own.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    threads : int
        Threads of one run.
    """

    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    bits: tuple[int, ...] = DEFAULT_BITS
    dim: int | None = None
    seeds: tuple[int, ...] = (0,)
    preset: str = "auto"
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    retrievals: tuple[str, ...] = ()
    device: str = "auto"
    threads: int = 1


@dataclass(frozen=True)
class PlannedRun:
    """One run, with all that another process needs to carry it out.

    `resolved` is for the record: parameters that are not numbers or texts (a function, say) are named in it, and made
    again in the run's own process from the method's class.
    """

    spec: RunSpec
    run_key: str
    ref: MethodRef
    info: Mapping[str, str]
    resolved: Mapping[str, Any]
    dataset_name: str
    dataset_params: Mapping[str, Any]
    protocols: tuple[str, ...]
    retrievals: tuple[str, ...]
    device: str
    threads: int
    torch: bool
    catalogue_files: tuple[str, ...] = ()
    declined: str = ""

    @cached_property
    def family(self) -> str:
        """Equal for runs that differ in nothing but their code length."""
        spec = self.spec
        return digest([replace(spec, bits=None).spec_key, spec.dataset, self.retrievals, self.device, self.threads])

    def chosen(self, cls: type[Method]) -> dict[str, Any]:
        """The constructor's arguments that are not its defaults."""
        return _chosen(cls, self.spec.preset, dict(self.spec.params))


def plan_runs(request: RunRequest, table: MethodTable, catalogue_files: Sequence[str] = ()) -> list[PlannedRun]:
    """Resolve every method and dataset of a request, then list the runs.

    Deterministic methods are planned for the first seed only. Runs that the declarations rule out are planned as
    declined, with the reason.

    Raises
    ------
    UsageError, DataError, PluginError
        If any name, parameter or dataset cannot be resolved.
    """
    _check(request)
    classes = {name: table.get(name) for name in request.methods}
    datasets = _load_datasets(request, catalogue_files)
    _check_settings(request, classes, datasets)
    device = resolve_device(request.device)
    files = tuple(map(str, catalogue_files))
    return [
        replace(run, catalogue_files=files)
        for dataset in datasets.values()
        for name, cls in classes.items()
        for run in _runs_of(request, table.ref(name), cls, dataset, device)
    ]


def _check(request: RunRequest) -> None:
    for option, names in (("--methods", request.methods), ("--datasets", request.datasets)):
        if not names:
            raise UsageError(f"{option} is empty: name at least one")
        for name in names:
            if not name.strip():
                raise UsageError(f"{option} holds an empty name")
            if names.count(name) > 1:
                raise UsageError(f"{option} names {name} twice")
    for bits in request.bits:
        if not 1 <= bits <= MOST_BITS:
            raise UsageError(f"--bits must lie between 1 and {MOST_BITS}, not {bits}")
    if len(set(request.bits)) < len(request.bits):
        raise UsageError(f"--bits names a length twice: {','.join(map(str, request.bits))}")
    if not request.bits:
        raise UsageError("--bits is empty: name at least one code length")
    if not request.seeds:
        raise UsageError("--seeds must be at least 1")
    if min(request.seeds) < 0 or len(set(request.seeds)) < len(request.seeds):
        raise UsageError(f"seeds must be different whole numbers from 0 up, not {list(request.seeds)}")
    if request.dim is not None and request.dim < 1:
        raise UsageError(f"--dim must be at least 1, not {request.dim}")
    if request.threads < 1:
        raise UsageError(f"--threads must be at least 1, not {request.threads}")
    for strategy in request.retrievals:
        if strategy not in RETRIEVALS:
            raise UnknownNameError("retrieval strategy", strategy, RETRIEVALS)


def _load_datasets(request: RunRequest, catalogue_files: Sequence[str]) -> dict[str, Dataset]:
    from cmrbench.data import load_catalogue, load_dataset

    catalogue = load_catalogue(catalogue_files)
    names = [DatasetName.parse(text) for text in request.datasets]
    for name in names:
        catalogue.entry(name.dataset)
    return {
        text: load_dataset(name, catalogue=catalogue, **request.settings.get(name.dataset, {}))
        for text, name in zip(request.datasets, names, strict=True)
    }


def _check_settings(request: RunRequest, classes: Mapping[str, type[Method]], datasets: Mapping[str, Dataset]) -> None:
    dataset_names = {registered_part(text) for text in datasets}
    for name, values in request.settings.items():
        if name in classes:
            known = classes[name].parameters()
            for parameter, value in values.items():
                if parameter not in known:
                    raise UnknownNameError(f"parameter of {name}", parameter, known)
                _check_type(name, parameter, plain_numbers(value), known[parameter])
                _check_storable(name, parameter, value)
        elif name not in dataset_names:
            raise UnknownNameError("method or dataset in --set", name, [*classes, *dataset_names])


def _check_type(name: str, parameter: str, value: Any, default: Any) -> None:
    if default is None or value is None or isinstance(value, type(default)):
        return
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return
    raise UsageError(
        f"--set {name}.{parameter}={value}: expected {type(default).__name__} like the default {default!r}, "
        f"got {type(value).__name__}"
    )


def _check_storable(name: str, parameter: str, value: Any) -> None:
    try:
        canonical_json(plain_numbers(value))
    except (TypeError, ValueError):
        raise UsageError(
            f"--set {name}.{parameter}: expected a number, a text, true, false or a list of them, got {value!r}"
        ) from None


def _chosen(cls: type[Method], preset: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    return {**cls.PRESETS.get(preset, {}), **asked}


def _runs_of(request: RunRequest, ref: MethodRef, cls: type[Method], dataset: Dataset, device: str) -> list[PlannedRun]:
    info = cls.info
    preset = _preset(request, cls, dataset)
    asked = {name: plain_numbers(value) for name, value in request.settings.get(info.name, {}).items()}
    resolved = describe_values(cls.parameters() | _chosen(cls, preset, asked))
    retrievals = _retrievals(request, cls)
    protocols = tuple(p for p in dataset.protocols if info.output in p.outputs)
    hashing = info.output == "hash"
    where = device if info.torch else "cpu"
    ingredients = {
        "resolved": resolved,
        "source": source_digest(cls),
        "engine": engine_digest(),
        "recording": RECORDING,
        "versions": versions(),
        "protocols": [p.fingerprint for p in protocols],
        "retrievals": list(retrievals),
        "device": where,
        "threads": request.threads,
    }
    typed = re.sub(r"\[.*?\]", "", dataset.name)  # parameters of a made dataset are handed over as values
    specs = [
        RunSpec(
            method=info.name,
            dataset=dataset.name,
            dataset_fingerprint=dataset.fingerprint,
            feature_set=dataset.feature_set,
            bits=bits,
            dim=None if hashing else request.dim,
            seed=seed,
            preset=preset,
            params=tuple(sorted(asked.items())),
        )
        for bits in (request.bits if hashing else (None,))
        for seed in (request.seeds[:1] if info.deterministic else request.seeds)
    ]
    return [
        PlannedRun(
            spec=spec,
            run_key=digest({"spec": spec.spec_key} | ingredients, length=24),
            ref=ref,
            info=_declared(info),
            resolved=resolved,
            dataset_name=typed,
            dataset_params=dict(request.settings.get(registered_part(typed), {})),
            protocols=tuple(p.name for p in protocols),
            retrievals=retrievals,
            device=where,
            threads=request.threads,
            torch=info.torch,
            declined=why_not(info, dataset) or "",
        )
        for spec in specs
    ]


def _declared(info: MethodInfo) -> dict[str, str]:
    """What reports need of a method's declarations."""
    told = {f: getattr(info, f) for f in ("title", "category", "group", "venue", "output", "supervision")}
    return told | {name: "yes" for name in ("reconstruction", "deterministic") if getattr(info, name)}


def _preset(request: RunRequest, cls: type[Method], dataset: Dataset) -> str:
    if request.preset == "none":
        return ""
    if request.preset == "auto":
        return next((p for p in (registered_part(dataset.name), dataset.preset) if p and p in cls.PRESETS), "")
    if not cls.PRESETS:
        return ""
    if request.preset not in cls.PRESETS:
        raise UnknownNameError(f"preset of {cls.info.name}", request.preset, cls.PRESETS)
    return request.preset


def _retrievals(request: RunRequest, cls: type[Method]) -> tuple[str, ...]:
    if not request.retrievals:
        return cls.info.retrieval
    fitting = tuple(r for r in request.retrievals if r in STRATEGIES[cls.info.output])
    if "score" in fitting and not hasattr(cls, "score"):
        raise UsageError(f"--retrieval score: {cls.info.name} has no score of its own")
    if not fitting:
        raise UsageError(
            f"--retrieval {','.join(request.retrievals)}: {cls.info.name} gives {cls.info.output} outputs, "
            f"which are ranked by {', '.join(STRATEGIES[cls.info.output])}"
        )
    return fitting
