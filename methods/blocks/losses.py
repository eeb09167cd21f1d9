"""Loss blocks that several deep methods share. Imports torch: import this module inside functions only.

Shapes: F, A, B (n, d) representations; Y (n, C) labels as float, multi-hot or mixed; Z, P (n, C) predictions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def label_residual(Z: Tensor, Y: Tensor) -> Tensor:
    """mean_i ||z_i - y_i||, the norm not squared (DSCMR eq. 3 as released; CLIP4CMR's "LRL")."""
    # vector_norm has subgradient 0 where a difference is exactly 0; sqrt of a sum of squares would give NaN.
    return torch.linalg.vector_norm(Z - Y, dim=1).mean()


def pairwise_cosine(A: Tensor, B: Tensor, eps: float = 1e-6) -> Tensor:
    """cos(a_i, b_j), shape (n, m); a norm is not taken smaller than `eps` (the codes bound the product of the two)."""
    return F.normalize(A, dim=1, eps=eps) @ F.normalize(B, dim=1, eps=eps).T


def pair_likelihood(A: Tensor, B: Tensor, S: Tensor, scale: float = 0.5) -> Tensor:
    """mean_ij [log(1 + exp(t_ij)) - S_ij t_ij] with t_ij = scale * cos(a_i, b_j) (DSCMR eq. 5, ALGCN)."""
    theta = scale * pairwise_cosine(A, B)
    return (F.softplus(theta) - S * theta).mean()


def generalized_cross_entropy(P: Tensor, Y: Tensor, q: float) -> Tensor:
    """mean_i (1 - p_i^q) / q with p_i = sum_c Y_ic P_ic, for 0 < q <= 1 (DRCL eq. 1).

    p is kept above 1e-12, so that an item without labels, whose p is 0 for good, gets no gradient instead of NaN.
    """
    p = (Y * P).sum(1).clamp_min(1e-12)
    return ((1 - p**q) / q).mean()


def squared_distances(A: Tensor, B: Tensor) -> Tensor:
    """||a_i - b_j||^2, shape (n, m), never negative."""
    return (A.square().sum(1)[:, None] + B.square().sum(1)[None, :] - 2 * A @ B.T).clamp_min(0)


def soft_cross_entropy(logits: Tensor, Y: Tensor) -> Tensor:
    """mean_i -sum_c y_ic log softmax(logits_i)_c / sum_c y_ic; plain cross entropy where one label is 1."""
    share = Y / Y.sum(1, keepdim=True).clamp_min(1)
    return -(share * F.log_softmax(logits, dim=1)).sum(1).mean()
