"""Weights of networks: their hash, and weights from a file of the user."""

from __future__ import annotations

import hashlib
from typing import Any

from cmrbench.core.errors import DataError


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
        If the file is no state dict of this network.
    """
    import torch

    try:
        module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except OSError as error:
        raise DataError(f"weights file {path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # torch and pickle raise whatever a damaged file leads them to
        first = " ".join(str(error).split())[:300]
        raise DataError(f"weights file {path} does not fit {type(module).__name__}: {first}") from None


def choose_device(asked: str) -> str:
    """``auto``: the first CUDA device if there is one, else the CPU."""
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if asked == "auto" else asked
