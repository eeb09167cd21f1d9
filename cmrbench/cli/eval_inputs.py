"""The files of `cmrbench eval`: which go together, and what is read from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import DataError, UnknownNameError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from cmrbench.metrics import Evaluation, Relevance, Scores


@dataclass(frozen=True)
class Inputs:
    """Files, and how to compare what they hold; `check` it first.

    Attributes
    ----------
    query, gallery : Path or None
        Representations.
    scores : Path or None
        Similarities that are there already, in place of both.
    query_labels, gallery_labels : Path
    distance : str or None
        None: cosine, or none at all for `scores`.
    bits : int or None
        Length of packed codes.
    relevance : str
    """

    query: Path | None
    gallery: Path | None
    scores: Path | None
    query_labels: Path
    gallery_labels: Path
    distance: str | None
    bits: int | None
    relevance: str

    @property
    def compared(self) -> str:
        """How query and gallery are compared, in a word or two."""
        return "given scores" if self.scores else self.distance or "cosine"

    def check(self) -> None:
        """Refuse options that do not go together."""
        from cmrbench.metrics.api import DISTANCES, RELEVANCES

        if self.relevance not in RELEVANCES:
            raise UnknownNameError("relevance", self.relevance, RELEVANCES)
        pair = {"--query": self.query, "--gallery": self.gallery}
        given = [option for option, path in pair.items() if path is not None]
        if self.scores is not None:
            if given:
                raise UsageError(f"--scores stands in place of --query and --gallery, so it excludes {given[0]}")
            for option, value in (("--distance", self.distance), ("--bits", self.bits)):
                if value is not None:
                    raise UsageError(f"--scores holds similarities, which need no {option}; leave it out")
            return
        if len(given) < 2:
            missing = " and ".join(option for option in pair if option not in given)
            raise UsageError(f"{missing} missing: give --query and --gallery, or --scores in place of both")
        if self.distance is not None and self.distance not in DISTANCES:
            raise UnknownNameError("distance", self.distance, DISTANCES)
        if self.bits is not None and self.compared != "hamming":
            raise UsageError(f"--bits is the length of packed codes for --distance hamming, not for {self.compared}")
        if self.bits is not None and self.bits < 1:
            raise UsageError(f"--bits must be at least 1, not {self.bits}")

    def check_parts(self) -> None:
        """Refuse what cannot be read in parts."""
        if self.bits is not None:
            raise UsageError("--in-parts takes codes of -1 and +1 and no packed ones, so no --bits")
        for path in (self.scores or self.gallery, self.gallery_labels):
            if path is not None and path.suffix.lower() != ".npy":
                raise UsageError(f"{path}: --in-parts reads .npy files only; write this one with numpy.save")

    def load(self) -> tuple[Scores, Relevance]:
        """Scores and relevance of the whole."""
        from cmrbench.metrics import given
        from cmrbench.metrics.api import compare, judge
        from cmrbench.metrics.files import load_array

        if self.scores is not None:
            similarity = given(load_array(self.scores, mapped=True))
            return similarity, judge(
                similarity, *self._labels(), self.relevance, held=("rows of scores are", "columns of scores are")
            )
        assert self.query is not None
        assert self.gallery is not None
        representations = load_array(self.query), load_array(self.gallery)
        similarity = compare(*representations, self.compared, self.bits)
        return similarity, judge(similarity, *self._labels(), self.relevance)

    def evaluate_in_parts(self, wanted: dict[str, Any]) -> Evaluation:
        """Metrics and curves of a gallery that stays on disk."""
        from cmrbench.metrics import evaluate_in_parts
        from cmrbench.metrics.files import load_array

        query = None if self.query is None else load_array(self.query)
        path = self.scores or self.gallery
        assert path is not None
        gallery, distance = load_array(path, mapped=True), self.compared
        if self.scores is not None:
            distance = "given"
            if gallery.ndim != 2 or not gallery.size:
                raise DataError(f"scores must be 2-d with at least one row and column, got shape {gallery.shape}")
        labels = self._labels(mapped=True)
        return evaluate_in_parts(query, gallery, *labels, distance=distance, relevance=self.relevance, **wanted)

    def _labels(self, mapped: bool = False) -> tuple[np.ndarray, np.ndarray]:
        from cmrbench.metrics.files import load_instances, load_labels

        load = load_instances if self.relevance == "instance" else load_labels
        return load(self.query_labels), load(self.gallery_labels, mapped)

    def naming_the_file(self, error: DataError) -> DataError:
        """The engine names the argument; a user of the command line knows it as a file."""
        files: dict[str, Path | None] = {f"query {what}": self.query_labels for what in ("labels", "instances")}
        files |= {f"gallery {what}": self.gallery_labels for what in ("labels", "instances")}
        # Last: the other names begin with these.
        files |= {"query": self.query, "gallery": self.gallery, "scores": self.scores}
        message = str(error)
        for name, path in files.items():
            if message.startswith(f"{name} and"):
                return error  # about both, which it names
            if path is not None and message.startswith(f"{name} "):
                return DataError(f"{path}: {message}")
        return error
