"""The best signs of an attractive network, by minimum cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def attractive_signs(W: csr_matrix, field: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The h in {-1, +1}^n that maximises ``h'W h / 2 + field'h``, exactly.

    A node whose field outweighs all its undecided neighbours has the field's sign in some best h, whatever they do;
    deciding it adds to its neighbours' fields, and may decide them. What is left is a minimum cut.

    Parameters
    ----------
    W : csr_matrix
        Symmetric (n, n), zero diagonal, whole numbers that are not negative.
    field : ndarray
        Whole numbers, float64 (n,).
    start : ndarray
        (n,) in {-1, +1}: what nodes without field and neighbours keep.
    """
    h = np.array(start, dtype=np.float64)
    open_nodes = np.arange(len(h))
    field = field.astype(np.float64)
    while open_nodes.size:
        bound = np.asarray(W.sum(axis=1)).ravel()
        sure = np.abs(field) >= bound
        if not sure.any():
            h[open_nodes] = _cut(W, field)
            break
        signs = np.sign(field[sure])
        h[open_nodes[sure]] = np.where(signs == 0, h[open_nodes[sure]], signs)
        rest = ~sure
        field = field[rest] + W[rest][:, sure] @ h[open_nodes[sure]]
        W, open_nodes = W[rest][:, rest], open_nodes[rest]
    return h


def _cut(W: csr_matrix, field: np.ndarray) -> np.ndarray:
    """The same by maximum flow: nodes that the source still reaches are +1."""
    from scipy.sparse import bmat, csr_matrix
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    n = len(field)
    # A difference costs 2 W_ij, a sign against the field 2 |field_i|. Fields are weaker than all neighbours together
    # here, so that capacities keep within 32 bits.
    source = csr_matrix(np.maximum(field, 0.0))
    sink = csr_matrix(np.maximum(-field, 0.0)[:, None])
    network = bmat([[None, source, None], [None, W, sink], [csr_matrix((1, 1)), None, csr_matrix((1, 1))]])
    network = csr_matrix(network).astype(np.int32)
    network.eliminate_zeros()
    left = network - maximum_flow(network, 0, n + 1).flow
    left.eliminate_zeros()
    reached = breadth_first_order(left, 0, return_predecessors=False)
    h = -np.ones(n + 2)
    h[reached] = 1.0
    return h[1:-1]
