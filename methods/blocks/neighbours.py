"""Graphs of nearest neighbours as sparse matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def neighbour_graph(features: np.ndarray, k: int) -> csr_matrix:
    """The symmetric graph (n, n) with an edge of weight 1 wherever one row is among the other's k nearest.

    Distances of features (n, d) are Euclidean and exact. No item is its own neighbour, also where others equal it;
    with fewer than k other items all of them are neighbours.
    """
    from scipy.sparse import csr_matrix
    from sklearn.neighbors import NearestNeighbors

    k = min(k, len(features) - 1)
    graph = NearestNeighbors(n_neighbors=k).fit(features).kneighbors_graph()
    return csr_matrix(graph.maximum(graph.T))
