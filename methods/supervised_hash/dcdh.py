"""DCDH: discriminative coupled dictionary hashing, a reconstruction from descriptions of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.hashing import (
    HashFunction,
    HashingMethod,
    TrainingPairs,
    in_turn,
    shared_designs,
    training_pairs,
)
from cmrbench_methods.blocks.itq import quantising_rotation, random_rotation
from cmrbench_methods.blocks.kernels import squared_distances
from cmrbench_methods.blocks.labels import shares_label
from cmrbench_methods.blocks.linear import row_blocks, sign_codes, signs
from cmrbench_methods.blocks.maps import AnchorRule, Scaled

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from typing_extensions import Self

    from cmrbench.core.items import Items

CANDIDATES = 1000
"""Most items of a class among which, and for which, its atoms are chosen."""

ROTATIONS = 50
"""Most steps of the rotation."""


class DCDH(HashingMethod):
    """Discriminative coupled dictionary hashing (Yu et al., SIGIR 2014): a reconstruction, not the authors' algorithm.

    No code is known and the paper was not at hand. From what others say of it: coupled dictionaries of both modalities
    are learned with the classes, as many atoms for every class, chosen greedily by a submodular function; items are
    coded sparsely by them; the hashing of these codes is spectral, with an extension to queries. Here:

    1. Atoms are training pairs. Every class gets as many, chosen greedily to maximise sum_i max_a exp(-d_ia) over the
       items i of the class, with the coupled distance d = gamma_x ||x_i - x_a||^2 + gamma_y ||y_i - y_a||^2.
    2. A training pair is coded by its k nearest atoms that share a class with it, z_ia ~ exp(-d_ia), sum_a z_ia = 1.
    3. Spectral hashing of these codes Z: with Lambda = diag(Z'1), the graph Z Lambda^-1 Z' of the pairs, less its
       constant part, is approximated by the inner products of an embedding E (n, bits); B = sgn(E R), R the rotation
       of iterative quantisation.
    4. A query is coded by the k nearest of all atoms in its own modality; ridge regression takes these codes to B.

    The objective of step 1, steps 2 to 4 in this form and all parameters are choices of this reconstruction.

    Parameters
    ----------
    atoms : int
        Atoms in all; every class has at least one, and at most as many as it has items.
    neighbours : int
        k, atoms that code an item.
    ridge : float
        Penalty of the regression of the codes.

    Attributes
    ----------
    atoms_ : ndarray
        Row numbers of the training pairs that are atoms.
    """

    info = MethodInfo(
        name="dcdh",
        title="DCDH",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        reconstruction=True,
        group="Matrix factorization",
        venue="SIGIR14",
        citation=Citation(
            key="yu2014dcdh",
            kind="inproceedings",
            author="Zhou Yu and Fei Wu and Yi Yang and Qi Tian and Jiebo Luo and Yueting Zhuang",
            title="Discriminative coupled dictionary hashing for fast cross-media retrieval",
            venue="Proceedings of the 37th International ACM SIGIR Conference on Research and Development in "
            "Information Retrieval",
            year=2014,
            pages="395-404",
            doi="10.1145/2600428.2609563",
        ),
    )

    def __init__(self, atoms: int = 500, neighbours: int = 5, ridge: float = 1.0) -> None:
        self.atoms = atoms
        self.neighbours = neighbours
        self.ridge = ridge

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Choose the dictionary, code the pairs, hash the codes, regress."""
        if self.atoms < 1 or self.neighbours < 1 or self.ridge <= 0:
            raise MethodError("dcdh needs at least one atom and one neighbour, and a ridge above 0")
        pairs = training_pairs(self, train, context)
        self.atoms_ = context.shared("atoms", lambda: self._choose(pairs, self._spaces(pairs, context), context))
        coupled = context.shared("codes", lambda: self._codes(pairs, self._spaces(pairs, context)))
        directions = context.shared("directions", lambda: spectral_directions(coupled))
        if not directions.shape[1]:
            raise MethodError(f"dcdh: {len(self.atoms_)} atoms tell no training items apart; choose more")
        E = np.asarray(coupled @ directions[:, : pairs.bits])
        E = E @ quantising_rotation([E], random_rotation(E.shape[1], context.rng("rotation")), ROTATIONS)
        E = in_turn(E, pairs.bits, "dcdh", context)
        known = pairs.L.any(axis=1)
        B = signs(E) * known[:, None]
        designs = shared_designs(pairs, context, lambda m, z: self._design(z, self._spaces(pairs, context)[m]))
        self.dims_ = pairs.dims
        self.functions_ = {m: HashFunction(Z.map, Z.ridge(B, self.ridge)) for m, Z in designs.items()}
        if not known.all():
            B[~known] = sum(f.values(pairs.features[m][~known]) for m, f in self.functions_.items())
        self.codes_ = dict.fromkeys(pairs.names, sign_codes(B))
        return self

    def _spaces(self, pairs: TrainingPairs, context: Context) -> dict[str, Space]:
        return {m: context.shared(("space", m), partial(space_of, m, z)) for m, z in pairs.features.items()}

    def _choose(self, pairs: TrainingPairs, spaces: Mapping[str, Space], context: Context) -> np.ndarray:
        rng, quota = context.rng("candidates"), max(1, self.atoms // pairs.L.shape[1])
        chosen: list[int] = []
        for c in np.argsort(pairs.L.sum(axis=0), kind="stable"):  # rare classes first, before others take their items
            members = np.setdiff1d(np.flatnonzero(pairs.L[:, c]), chosen)
            if len(members) > CANDIDATES:
                members = np.sort(rng.choice(members, CANDIDATES, replace=False))
            distances = sum(spaces[m].distances(z[members], z[members]) for m, z in pairs.features.items())
            chosen += members[facility_location(np.exp(-distances), quota)].tolist()
        return np.array(chosen)

    def _codes(self, pairs: TrainingPairs, spaces: Mapping[str, Space]) -> csr_matrix:
        from scipy.sparse import csr_matrix, vstack

        parts = []
        for rows in row_blocks(len(pairs), 2048):
            d = np.asarray(
                sum(spaces[m].distances(z[rows], z[self.atoms_]) for m, z in pairs.features.items()), dtype=np.float64
            )
            d[~shares_label(pairs.L[rows], pairs.L[self.atoms_])] = np.inf
            parts.append(csr_matrix(local_codes(d, self.neighbours)))
        return csr_matrix(vstack(parts))

    def _design(self, features: np.ndarray, space: Space) -> Design:
        return Design(features, LocalCodes(space, space.scaled(features[self.atoms_]), self.neighbours))


@dataclass(frozen=True, eq=False)
class Space:
    """A modality's distances ``gamma ||z - a||^2`` between centred rows of unit length."""

    scaled: Scaled
    gamma: float

    def distances(self, features: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Between features (n, d) and (m, d): (n, m)."""
        return self.gamma * squared_distances(self.scaled(features), self.scaled(others))


@dataclass(frozen=True, eq=False)
class LocalCodes:
    """Codes of features by the k nearest of atoms (m, d) that are scaled as in `space`: a feature map."""

    space: Space
    atoms: np.ndarray
    neighbours: int

    @property
    def width(self) -> int:
        """Columns: one for each atom."""
        return len(self.atoms)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Codes: float64, (n, m), rows that sum to 1."""
        out = np.empty((len(features), self.width))
        for rows in row_blocks(len(features), 2048):
            d = squared_distances(self.space.scaled(features[rows]), self.atoms)
            out[rows] = local_codes(self.space.gamma * d, self.neighbours)
        return out


def space_of(modality: str, features: np.ndarray) -> Space:
    """Centre by the training mean, unit length; gamma is one over the mean squared distance of training pairs."""
    scaled = Scaled.fit(features, unit="last")
    if not any(scaled(features[rows]).any() for rows in row_blocks(len(features))):
        raise MethodError(
            f"dcdh: all {modality} features of the training items are the same, so none can be told apart"
        )
    return Space(
        scaled, AnchorRule(1, width="pairs", centre=False).fit(features, scaled, np.random.default_rng(0)).gamma
    )


def facility_location(similarity: np.ndarray, count: int) -> np.ndarray:
    """Greedy maximum of ``sum_i max_{a in A} s_ia`` over sets A of columns: their numbers, in the order of choice.

    The function is monotone and submodular, so the greedy set reaches at least 1 - 1/e of the best value.
    """
    chosen: list[int] = []
    reached = np.zeros(len(similarity))
    free = np.ones(similarity.shape[1], dtype=bool)
    for _ in range(min(count, similarity.shape[1])):
        gain = np.maximum(similarity, reached[:, None]).sum(axis=0)
        best = int(np.where(free, gain, -np.inf).argmax())
        chosen.append(best)
        free[best] = False
        reached = np.maximum(reached, similarity[:, best])
    return np.array(chosen, dtype=int)


def local_codes(distances: np.ndarray, k: int) -> np.ndarray:
    """exp(-d) at the k smallest of a row of distances (n, m), divided by its sum; a row of infinities gives zeros."""
    k = min(k, distances.shape[1])
    nearest = np.argpartition(distances, k - 1, axis=1)[:, :k]
    d = np.take_along_axis(distances, nearest, axis=1)
    least = d.min(axis=1, keepdims=True)
    weight = np.exp(np.where(np.isfinite(least), least, 0.0) - d)
    total = weight.sum(axis=1, keepdims=True)
    out = np.zeros_like(distances)
    np.put_along_axis(out, nearest, weight / np.where(total > 0, total, 1.0), axis=1)
    return out


def spectral_directions(Z: csr_matrix) -> np.ndarray:
    """The W (m, k) for which the columns of Z W are the graph's own: (Z W)(Z W)' = Z Lambda^-1 Z' without its constant.

    Columns by falling eigenvalue of the graph; those of zero eigenvalue are left out. Codes Z (n, m) have rows that
    sum to 1 or are zero.
    """
    from scipy.linalg import eigh

    mass = np.asarray(Z.sum(axis=0)).ravel()
    scale = 1 / np.sqrt(np.where(mass > 0, mass, np.inf))
    graph = scale[:, None] * (Z.T @ Z).toarray() * scale
    constant = np.sqrt(mass / mass.sum())
    values, vectors = eigh(graph - np.outer(constant, constant))
    kept = values > 1e-9
    return np.asarray((scale[:, None] * vectors[:, kept])[:, ::-1])
