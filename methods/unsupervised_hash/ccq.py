"""CCQ: one shared space for both modalities, and sums of codewords in it as codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.discrete import procrustes
from cmrbench_methods.blocks.hashing import HashingMethod, shared_designs, training_pairs
from cmrbench_methods.blocks.kernels import squared_distances
from cmrbench_methods.blocks.linear import mean_rows, product, row_blocks, solve_positive

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items

WORD_BITS = 8
"""Bits of a codebook: 256 words."""


class CCQ(HashingMethod):
    """Composite correlation quantisation (Long, Cao, Wang and Yu, SIGIR 2016).

    Orthogonal maps Rx, Ry take both modalities into one space of as many dimensions as bits, where a pair is the sum
    of one word from each of m codebooks C = (C_1, ..., C_m):

        min ||X - (B C) Rx'||^2 + lambda ||Y - (B C) Ry'||^2,

    with one-hot rows B. In turn: each R by orthogonal Procrustes, all codebooks by least squares, and the words of
    every pair codebook by codebook, each nearest to what the ones before it leave over. At last Rx and Ry become ridge
    regressions from the features to B C, by which new items are mapped before words are chosen for them.

    **Codes are not Hamming codes.** A code holds the numbers of the words, 8 bits each, so bits that differ say nothing
    about distance: `score` puts the words back together and takes the squared Euclidean distance. The paper compares
    the query's own vector with the gallery's sums of words (asymmetric); here both sides are codes, as a benchmark of
    code lengths has to have it, and the query is quantised as well (symmetric).

    Follows the released code (BMC-SDNU/Cross-Modal-Hashing-Retrieval, CCQ), with these differences:

    - Features are standardised by the training mean and deviation everywhere. The demo standardises training and
      query items each by their own, and the gallery not at all.
    - Where bits are no multiple of 8 a last, smaller codebook takes the rest: 12 bits are 256 and 16 words. The code
      knows multiples of 8 only.
    - No codebook has more words than there are training items.
    - Pairs that share a word choose by their weighted mean vector, which is the same choice with one distance
      instead of two; and the least squares leave out words that no pair uses, or are solved over items where those are
      fewer than words. Same results.

    Parameters
    ----------
    lambda_ : float
        Weight of the second modality.
    iterations : int
        Most rounds. It ends earlier, as in the code, when ten rounds no longer lower the objective: choosing words in
        turn may raise it. Ending at the limit is a warning.
    ridge : float
        Ridge of the codebooks and of the final maps.
    """

    info = MethodInfo(
        name="ccq",
        title="CCQ",
        category="unsupervised_hash",
        output="hash",
        retrieval=("score",),
        group="Quantization",
        venue="SIGIR16",
        citation=Citation(
            key="long2016ccq",
            kind="inproceedings",
            author="Mingsheng Long and Yue Cao and Jianmin Wang and Philip S. Yu",
            title="Composite correlation quantization for efficient multimodal retrieval",
            venue="Proceedings of the 39th International ACM SIGIR Conference on Research and Development in "
            "Information Retrieval",
            year=2016,
            pages="579-588",
            doi="10.1145/2911451.2911493",
        ),
        url="https://github.com/BMC-SDNU/Cross-Modal-Hashing-Retrieval",
    )

    def __init__(self, lambda_: float = 1.0, iterations: int = 100, ridge: float = 1e-3) -> None:
        self.lambda_ = lambda_
        self.iterations = iterations
        self.ridge = ridge

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Alternate over maps, codebooks and words; then regress the sums of words on the features."""
        if not (self.lambda_ > 0 and self.ridge > 0):
            raise MethodError(f"ccq: lambda_ ({self.lambda_:g}) and ridge ({self.ridge:g}) must be positive")
        pairs = training_pairs(self, train, context)
        designs = shared_designs(pairs, context, lambda m, z: Design(z, Standardised.fit(z)))
        books, words = self._learn(*designs.values(), pairs.bits, context)
        sums = books.sums(words)
        self.dims_ = pairs.dims
        self.books_ = books
        self.functions_ = {m: Quantiser(d.map, d.ridge(sums, self.ridge), books) for m, d in designs.items()}
        self.codes_ = dict.fromkeys(pairs.names, books.to_bits(words))
        return self

    def _learn(self, X: Design, Y: Design, bits: int, context: Context) -> tuple[Codebooks, np.ndarray]:
        sides = (X, Y)
        weights = np.array([1.0, self.lambda_]) / (1 + self.lambda_)
        rng = context.rng("codebooks")
        maps = [np.eye(side.shape[1], bits) for side in sides]
        latent = [side.dot(R) for side, R in zip(sides, maps, strict=True)]
        books = [Codebooks.drawn(Z, bits, rng) for Z in latent]
        # The words of the start are random items, each codebook chosen from as if it were the only one.
        words = [book.alone(Z) for book, Z in zip(books, latent, strict=True)]
        last = first = np.inf
        for iteration in range(self.iterations + 1):
            sums = [book.sums(w) for book, w in zip(books, words, strict=True)]
            crosses = [side.cross(s) for side, s in zip(sides, sums, strict=True)]
            if iteration % 10 == 0:
                value = sum(
                    w * (side.square_sum - 2 * (R * cross).sum() + ((R.T @ R) * (s.T @ s)).sum())
                    for w, side, R, cross, s in zip(weights, sides, maps, crosses, sums, strict=True)
                )
                first = value if iteration == 0 else first
                if last - value < 1e-12 * first:
                    break
                last = value
            maps = [procrustes(cross) for cross in crosses]
            latent = [side.dot(R) for side, R in zip(sides, maps, strict=True)]
            mean = weights[0] * latent[0] + weights[1] * latent[1]
            if iteration == 0:
                book = books[0].refitted(latent, words, weights, self.ridge / (1 + self.lambda_))
            else:
                book = book.refitted([mean], words[:1], np.ones(1), self.ridge / (1 + self.lambda_))
            books, words = [book, book], [book.nearest(mean)] * 2
            context.progress(iteration + 1, self.iterations + 1, "")
        else:
            context.logger.warning("ccq: the objective still fell in the last of %d rounds", self.iterations)
        return books[0], words[0]

    def score(self, query: np.ndarray, gallery: np.ndarray, query_modality: str, gallery_modality: str) -> np.ndarray:
        """Minus the squared distance between the sums of words of codes: (n_query, n_gallery)."""
        self.check_fitted("books_")
        # Items with one code must tie, and BLAS may add in another order in another column.
        distinct, back = np.unique(gallery, axis=0, return_inverse=True)
        asked, kept = (self.books_.sums(self.books_.from_bits(codes)) for codes in (query, distinct))
        return np.asarray(-squared_distances(asked, kept)[:, back.ravel()])


@dataclass(frozen=True, eq=False)
class Standardised:
    """Rows minus a mean, divided by a deviation; constant columns are only centred."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray) -> Standardised:
        """Take mean and deviation (divided by n - 1) of training features (n, d)."""
        mean = mean_rows(features)
        square = np.zeros(len(mean))
        for rows in row_blocks(len(features)):
            square += ((features[rows] - mean) ** 2).sum(axis=0)
        deviation = np.sqrt(square / max(1, len(features) - 1))
        # What summing a constant column leaves behind is no deviation.
        deviation[deviation <= 1e-7 * np.abs(mean)] = 0.0
        return cls(mean, np.where(deviation > 0, deviation, 1.0))

    @property
    def width(self) -> int:
        """Columns: those of the features."""
        return len(self.mean)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Standardised rows: float64, (n, d)."""
        return np.asarray((features - self.mean) / self.deviation)


@dataclass(frozen=True, eq=False)
class Codebooks:
    """Words (k_i, d) of every codebook, and the bits that their numbers take."""

    words: tuple[np.ndarray, ...]
    bits: tuple[int, ...]

    @classmethod
    def drawn(cls, latent: np.ndarray, bits: int, rng: np.random.Generator) -> Codebooks:
        """Random rows of latent vectors (n, d) as words."""
        n = len(latent)
        widths = (WORD_BITS,) * (bits // WORD_BITS) + ((bits % WORD_BITS,) if bits % WORD_BITS else ())
        return cls(tuple(latent[rng.choice(n, min(2**b, n), replace=False)] for b in widths), widths)

    def sums(self, chosen: np.ndarray) -> np.ndarray:
        """The sums of chosen words (n, m): float64, (n, d)."""
        out = np.zeros((len(chosen), self.words[0].shape[1]))
        for i, words in enumerate(self.words):
            out += words[chosen[:, i]]
        return out

    def nearest(self, vectors: np.ndarray) -> np.ndarray:
        """Words of vectors (n, d), codebook by codebook, each nearest to what is left over: (n, m)."""
        chosen = np.empty((len(vectors), len(self.words)), dtype=np.intp)
        for rows in row_blocks(len(vectors), 2048):
            left = vectors[rows].copy()
            for i, words in enumerate(self.words):
                chosen[rows, i] = nearest_rows(left, words)
                left -= words[chosen[rows, i]]
        return chosen

    def alone(self, vectors: np.ndarray) -> np.ndarray:
        """Words of vectors (n, d), nearest to the whole vector in every codebook: (n, m)."""
        return np.column_stack([nearest_rows(vectors, words) for words in self.words])

    def refitted(
        self, latent: list[np.ndarray], chosen: list[np.ndarray], weights: np.ndarray, ridge: float
    ) -> Codebooks:
        """The words C that minimise ``sum_v weights_v ||Z_v - B_v C||^2 + ridge ||C||^2``.

        From the normal equations of the words in use, or, where items are fewer, from those of the items.
        """
        from scipy.sparse import csr_matrix, vstack

        starts = np.concatenate([[0], np.cumsum([len(words) for words in self.words])])
        n, m = chosen[0].shape
        sides = []
        for picked, weight in zip(chosen, weights, strict=True):
            columns = (picked + starts[:-1]).ravel()
            value = np.full(n * m, np.sqrt(weight))
            sides.append(csr_matrix((value, columns, np.arange(0, n * m + 1, m)), (n, starts[-1])))
        B = csr_matrix(vstack(sides))
        Z = np.concatenate([np.sqrt(weight) * z for weight, z in zip(weights, latent, strict=True)])
        used = np.flatnonzero(np.bincount(B.indices, minlength=starts[-1]))
        if len(Z) < len(used):
            C = B.T @ solve_positive((B @ B.T).toarray(), Z, ridge)
        else:
            C = np.zeros((starts[-1], Z.shape[1]))
            B = B[:, used]
            C[used] = solve_positive((B.T @ B).toarray(), B.T @ Z, ridge)
        return Codebooks(tuple(np.split(C, starts[1:-1])), self.bits)

    def to_bits(self, chosen: np.ndarray) -> np.ndarray:
        """Numbers of words (n, m) as bits, highest first: int8 in {-1, +1}, (n, sum of bits)."""
        columns = [(chosen[:, i, None] >> np.arange(b)[::-1]) & 1 for i, b in enumerate(self.bits)]
        return (2 * np.concatenate(columns, axis=1) - 1).astype(np.int8)

    def from_bits(self, codes: np.ndarray) -> np.ndarray:
        """Numbers of words (n, m) from bits (n, sum of bits) in {-1, +1}.

        Raises
        ------
        MethodError
            If there is no word of a number, so the codes are not from this method.
        """
        parts = np.split(codes > 0, np.cumsum(self.bits)[:-1], axis=1)
        chosen = np.column_stack([part @ (1 << np.arange(b)[::-1]) for part, b in zip(parts, self.bits, strict=True)])
        if (chosen >= [len(words) for words in self.words]).any():
            raise MethodError("ccq: a code names a word that its codebook does not have")
        return chosen


@dataclass(frozen=True, eq=False)
class Quantiser:
    """Codes of features: a map, weights (d, dim) into the shared space, and the codebooks there."""

    map: Standardised
    weights: np.ndarray
    books: Codebooks

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Codes of features (n, d): int8, (n, bits)."""
        out = np.empty((len(features), sum(self.books.bits)), dtype=np.int8)
        for rows in row_blocks(len(features), 2048):
            vectors = product(self.map(features[rows]), self.weights)
            out[rows] = self.books.to_bits(self.books.nearest(vectors))
        return out


def nearest_rows(vectors: np.ndarray, words: np.ndarray) -> np.ndarray:
    """The row of words (k, d) nearest to each of the vectors (n, d), the first of several."""
    half = (words * words).sum(axis=1) / 2
    chosen = np.empty(len(vectors), dtype=np.intp)
    for rows in row_blocks(len(vectors), 2048):
        chosen[rows] = (half - product(vectors[rows], words.T)).argmin(axis=1)
    return chosen
