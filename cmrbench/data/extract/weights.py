"""Weights of networks: their hash, weights from a file of the user, and where and how exactly a network runs."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cmrbench.core.errors import CmrbenchError, DataError, UsageError


def weights_digest(module: Any) -> str:
    """SHA-256 over names, types, shapes and values of all parameters and buffers, in the order of their names."""
    import torch

    h = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        h.update(f"{name}|{plain.dtype}|{tuple(plain.shape)}\n".encode())
        h.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
    return h.hexdigest()


def load_weights(module: Any, path: str) -> None:
    """Load a state dict that was saved with torch.save; only tensors are read, nothing is run.

    Raises
    ------
    DataError
        If the file is no state dict, or not one of this network.
    """
    import torch

    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        raise DataError(f"weights file {path} cannot be read: {error.strerror or error}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch and pickle raise whatever a damaged or hostile file leads them to
        raise DataError(
            f"weights file {path} is not read: expected nothing but tensors, as torch.save(model.state_dict(), ...) "
            "writes them; it is damaged, or holds objects, which could run code"
        ) from None
    if not isinstance(state, dict) or not state or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise DataError(f"weights file {path} holds no state dict: expected tensors by name; save model.state_dict()")
    own = module.state_dict()
    wrong = [
        *(f"{k} is missing" for k in own.keys() - state.keys()),
        *(f"{k} is not known" for k in state.keys() - own.keys()),
        *(
            f"{k} has the shape {tuple(state[k].shape)}, expected {tuple(own[k].shape)}"
            for k in own.keys() & state.keys()
            if own[k].shape != state[k].shape
        ),
    ]
    if wrong:
        more = f" and {len(wrong) - 1:,} more differences" if len(wrong) > 1 else ""
        raise DataError(f"weights file {path} is not of {type(module).__name__}: {min(wrong)}{more}")
    module.load_state_dict(state)


@contextmanager
def from_hub(what: str, remedy: str) -> Iterator[None]:
    """Turn what a hub or a library makes of a failed download into one sentence.

    Raises
    ------
    DataError
    """
    try:
        yield
    except CmrbenchError:
        raise
    except Exception as error:  # every hub's client has errors of its own
        why = " ".join(f"{type(error).__name__}: {error}".split())[:300].rstrip(".")
        raise DataError(f"cannot load {what} ({why}); {remedy}") from None


def choose_device(asked: str) -> str:
    """``auto``: the first CUDA device if there is one, else the CPU.

    Raises
    ------
    UsageError
        If there is no such device.
    """
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "auto":
        return "cuda" if there else "cpu"
    number = int(asked.partition(":")[2] or 0)
    if asked != "cpu" and number >= there:
        raise UsageError(f"there is no device {asked}: torch sees {there} CUDA devices; use --device cpu")
    return asked


@contextmanager
def exactly() -> Iterator[None]:
    """Inference in full float32 on CUDA, too, whose convolutions would be rounded to 10 bits of mantissa."""
    import torch

    flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with torch.inference_mode(), flags:
        yield
