"""Networks on feature vectors. Imports torch: import this module inside functions only."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class UnitMLP(nn.Module):
    """Two ReLU layers, a linear layer without bias, then the unit sphere (DRCL, also SDML and MRL).

    The last layer starts uniform in +-1/sqrt(d_in), d_in being the width of the network's *input*, as in
    perquisite/DRCL; the others start as `torch.nn.Linear` does.
    """

    def __init__(self, d_in: int, hidden: int, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(d_in, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.last = nn.Linear(hidden, dim, bias=False)
        nn.init.uniform_(self.last.weight, -(d_in**-0.5), d_in**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, d_in) to unit vectors (n, dim)."""
        return F.normalize(self.last(self.layers(x)), eps=1e-12)


class TwoLayerHead(nn.Module):
    """GELU layer, linear layer, dropout, unit length (CLIP4CMR)."""

    def __init__(self, d_in: int, hidden: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(d_in, hidden), nn.GELU(), nn.Linear(hidden, dim), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, d_in) to (n, dim); the norm has 1e-8 added, as in the released code."""
        f = self.layers(x)
        return f / (torch.linalg.vector_norm(f, dim=1, keepdim=True) + 1e-8)


class UnitRowClassifier(nn.Module):
    """Linear classifier with bias whose weight rows are brought to unit length in every forward (CLIP4CMR)."""

    def __init__(self, dim: int, n_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, n_classes)

    def forward(self, f: Tensor) -> Tensor:
        """Representations (n, dim) to logits (n, C)."""
        return F.linear(f, F.normalize(self.linear.weight, dim=1), self.linear.bias)


class LightEncoder(nn.Module):
    """Linear, batch normalisation, sigmoid, dropout, linear, tanh (LCM)."""

    def __init__(self, d_in: int, hidden: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(d_in, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.dropout = nn.Dropout(dropout)
        self.second = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, d_in) to (n, dim) in (-1, 1)."""
        h = self.first(x)
        # One item has no variance: the running statistics stand in for those of the batch.
        alone = self.training and len(x) == 1
        h = (
            F.batch_norm(h, self.norm.running_mean, self.norm.running_var, self.norm.weight, self.norm.bias)
            if alone
            else self.norm(h)
        )
        return torch.tanh(self.second(self.dropout(torch.sigmoid(h))))


class LabelAutoencoder(nn.Module):
    """One tanh layer from labels to the common space, one sigmoid layer back (LCM's E and D)."""

    def __init__(self, n_classes: int, dim: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(n_classes, dim), nn.Tanh())
        self.decoder = nn.Sequential(nn.Linear(dim, n_classes), nn.Sigmoid())

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (n, C) to their codes (n, dim) and their reconstruction (n, C)."""
        code = self.encoder(y)
        return code, self.decoder(code)
