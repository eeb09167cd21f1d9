"""On what a run was carried out: versions, processor, threads, device."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from cmrbench.core.hashing import digest_file, digest_lines
from cmrbench.core.runs import ENGINE

NUMERICAL = ("numpy", "scipy", "scikit-learn", "torch")
"""Distributions whose version can change a number."""

_ENGINE = (
    *("metrics", "retrieval", "core", "method.py"),
    *("run/execute.py", "run/tasks.py", "run/folds.py", "run/recording.py"),
)


@cache
def versions(names: tuple[str, ...] = NUMERICAL) -> dict[str, str]:
    """Installed versions, without importing anything."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


@cache
def engine_digest() -> str:
    """SHA-256 over the source files between a method's output and a number."""
    root = Path(__file__).resolve().parent.parent
    files = sorted(
        p for part in _ENGINE for p in ([root / part] if part.endswith(".py") else (root / part).rglob("*.py"))
    )
    return digest_lines(f"{p.relative_to(root)} {digest_file(p)}" for p in files)


def _python_files(path: Path) -> list[Path]:
    return [path] if path.suffix == ".py" else list(path.rglob("*.py"))


def describe(device: str, threads: int) -> Mapping[str, str]:
    """The environment columns of a result."""
    from cmrbench import __version__

    return {
        "cmrbench": __version__,
        "engine": ENGINE,
        "python": platform.python_version(),
        **versions((*NUMERICAL, "pyarrow")),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(os.cpu_count() or 1),
        "threads": str(threads),
        "device": device,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def resolve_device(asked: str) -> str:
    """``"auto"`` to ``"cuda"`` where torch finds a usable device, else ``"cpu"``; other names as they are.

    Raises
    ------
    UsageError
        For ``"cuda"`` without one.
    """
    from cmrbench.core.errors import UsageError

    if asked == "cpu":
        return "cpu"
    if asked not in ("auto", "cuda"):
        raise UsageError(f"--device must be auto, cpu or cuda, not {asked!r}")
    found = _has_cuda()
    if asked == "cuda" and not found:
        raise UsageError("--device cuda was asked for, but torch finds no CUDA device; use --device cpu")
    return "cuda" if found else "cpu"


def _has_cuda() -> bool:
    """Whether there is a CUDA device; torch (3 s) is only imported where a driver is present."""
    if not (Path("/proc/driver/nvidia").exists() or Path("/dev/nvidiactl").exists() or platform.system() == "Windows"):
        return False
    import torch

    return bool(torch.cuda.is_available())
