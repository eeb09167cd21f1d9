"""Nearest neighbours among the training items themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.kernels import squared_distances
from cmrbench_methods.blocks.linear import row_blocks

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def neighbour_graph(features: np.ndarray, k: int) -> csr_matrix:
    """The symmetric graph (n, n) with an edge of weight 1 wherever one row is among the other's k nearest.

    Distances of features (n, d) are Euclidean and exact. No item is its own neighbour, also where others equal it;
    with fewer than k other items all of them are neighbours. Which of equally near rows count is left to the search.
    Where that must be settled, there is `nearest`, which takes somewhat longer on many items.
    """
    from scipy.sparse import csr_matrix
    from sklearn.neighbors import NearestNeighbors

    k = min(k, len(features) - 1)
    graph = NearestNeighbors(n_neighbors=k).fit(features).kneighbors_graph()
    return csr_matrix(graph.maximum(graph.T))


def nearest(V: Design, k: int, skip: bool = False) -> np.ndarray:
    """The k nearest other rows of every row, in Euclidean distance: (n, k). Compares all pairs, in blocks.

    Of equally near rows the first count. With `skip`, no row is left out as the row itself; of the k + 1 nearest, the
    first is. IMH depends on both rules; `neighbour_graph` has neither, and gives another graph where rows tie.
    """
    n, wanted = len(V), k + skip
    found = np.empty((n, wanted), dtype=np.int64)
    for rows in row_blocks(n, 1024):
        x = V.block(rows)
        best, index = np.full((len(x), wanted), np.inf), np.zeros((len(x), wanted), dtype=np.int64)
        for others in row_blocks(n):
            z = V.block(others)
            distances = squared_distances(x, z)
            # What is left of equal rows is rounding, which must not decide which of them is nearest.
            distances[distances < 1e-13 * float((z * z).sum(axis=1).max())] = 0.0
            if not skip:
                itself = np.arange(max(rows.start, others.start), min(rows.stop, others.stop))
                distances[itself - rows.start, itself - others.start] = np.inf
            for _ in range(min(wanted, len(z))):  # of equal distances, the first
                first = distances.argmin(axis=1)[:, None]
                best = np.hstack((best, np.take_along_axis(distances, first, 1)))
                index = np.hstack((index, first + others.start))
                np.put_along_axis(distances, first, np.inf, 1)
            chosen = np.argsort(best, axis=1, kind="stable")[:, :wanted]
            best, index = np.take_along_axis(best, chosen, 1), np.take_along_axis(index, chosen, 1)
        found[rows] = index
    return found[:, skip:]
