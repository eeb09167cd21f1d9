"""Training networks on features: seeding, batches, one epoch, encoding. torch is imported inside functions only."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.errors import MethodError
from cmrbench.method import Context, Method
from cmrbench_methods.blocks.scaling import Scaling, fit_scalings

if TYPE_CHECKING:
    from torch import Tensor, nn, optim

    from cmrbench.core.items import Items


class DeepMethod(Method):
    """A method whose fitted state is one network per modality; `encode` is shared.

    `fit` calls `start`, trains, and hands its networks to `finish`.

    Attributes
    ----------
    scalings_ : dict of modality to Scaling
    nets_ : dict of modality to torch.nn.Module
        On the CPU, in eval mode.
    """

    standardize: bool

    def start(self, train: Mapping[str, Items]) -> None:
        """Check that there are labels; set `scalings_`."""
        for modality, items in train.items():
            if items.labels is None:
                raise MethodError(f"{self.info.name} learns from labels, but the {modality} training items have none")
        self.scalings_: dict[str, Scaling] = fit_scalings(train, self.standardize)

    def tensors(self, part: Mapping[str, Items], context: Context) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Scaled features (n, d) and labels (n, C) of every modality, float32, on the device."""
        import torch

        X = {m: torch.from_numpy(self.scalings_[m](items.features)).to(context.device) for m, items in part.items()}
        Y = {m: torch.from_numpy(_labels(items)).to(context.device) for m, items in part.items()}
        return X, Y

    def finish(self, nets: Mapping[str, nn.Module], context: Context) -> None:
        """Set `nets_`, on the CPU and in eval mode."""
        self.device_ = context.device
        self.nets_: dict[str, nn.Module] = {m: net.eval().cpu() for m, net in nets.items()}

    def encode(self, modality: str, features: np.ndarray) -> np.ndarray:
        """Representations (n, dim) float32 of features (n, d)."""
        self.check_fitted("nets_")
        self.check_features(modality, features, {m: len(s.mean) for m, s in self.scalings_.items()})
        return encode_exactly(self.nets_[modality], self.scalings_[modality](features), self.device_)


def _labels(items: Items) -> np.ndarray:
    assert items.labels is not None
    return np.array(items.labels, np.float32)


@contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """Within it, torch's global generators start from `seed`; afterwards they are as they were before."""
    import torch

    devices = [torch.cuda.current_device()] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def batches(n: int, size: int, shuffle: bool = True, drop_last: bool = False, at_least: int = 1) -> list[Tensor]:
    """Row numbers of one epoch's batches, drawn from torch's global generator.

    Parameters
    ----------
    n, size : int
        Items and batch size; with fewer items than `size`, all are one batch.
    shuffle : bool
        False: in the order of the items.
    drop_last : bool
        Leave out an incomplete last batch (floor(n/size) batches, but never none).
    at_least : int
        A last batch with fewer items joins the one before it (batch normalisation needs two).
    """
    import torch

    order = torch.randperm(n) if shuffle else torch.arange(n)
    parts = list(order.split(size))
    if len(parts) > 1 and drop_last and len(parts[-1]) < size:
        parts.pop()
    if len(parts) > 1 and len(parts[-1]) < at_least:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def run_epoch(rows: Iterable[Tensor], loss: Callable[[Tensor], Tensor], optimizer: optim.Optimizer, what: str) -> float:
    """One gradient step per batch; returns the mean loss.

    Parameters
    ----------
    rows : iterable of Tensor
        Row numbers of each batch.
    loss : callable
        Maps row numbers to a scalar.
    what : str
        Loss and epoch, for the error if the loss is not finite.
    """
    values = []
    for batch in rows:
        value = loss(batch)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        values.append(value.detach())
    mean = float(sum(values)) / len(values)
    return finite(mean, what)


def finite(value: float, what: str) -> float:
    """The value itself; raises MethodError where it is NaN or infinite."""
    if not math.isfinite(value):
        raise MethodError(f"{what} is {value}: lower the learning rate, or set standardize=true")
    return value


def forward(net: nn.Module, x: Tensor, rows: int = 4096) -> Tensor:
    """Output of `net` in eval mode without gradients, in blocks of rows; the mode is put back afterwards."""
    import torch

    was_training = net.training
    net.eval()
    with torch.no_grad():
        out = torch.cat([net(block) for block in x.split(rows)])
    net.train(was_training)
    return out


def forward_all(nets: Mapping[str, nn.Module], X: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """`forward` of every modality, as float32 arrays."""
    return {m: forward(net, X[m]).cpu().numpy() for m, net in nets.items()}


def encode_exactly(net: nn.Module, x: np.ndarray, device: str = "cpu", rows: int = 4096) -> np.ndarray:
    """Output of `net` for x (n, d), computed in float64 and rounded to float32.

    Matrix products in float32 depend in their last bits on how many rows they have; after float64 and rounding, an
    item's representation does not depend on which other items are in the call.
    """
    import torch

    on = device if torch.cuda.is_available() else "cpu"
    exact = copy.deepcopy(net).to(on, torch.float64)
    blocks: Sequence[np.ndarray] = np.array_split(x, max(1, math.ceil(len(x) / rows)))
    done = [forward(exact, torch.from_numpy(np.array(b, np.float64)).to(on)).cpu() for b in blocks]
    return torch.cat(done).to(torch.float32).numpy()
