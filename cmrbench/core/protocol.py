"""Protocol: everything that changes a number without changing the model, as one frozen value."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from cmrbench.core.hashing import digest


@dataclass(frozen=True)
class Protocol:
    """How a fitted method is measured on a dataset.

    Attributes
    ----------
    name : str
        Readable name, unique within a dataset (``"all-test"``, ``"test-vs-train"``).
    query, gallery : tuple of str
        The splits whose items, one split after another, are the queries and the gallery.
    outputs : tuple of str
        Which kinds of representation it applies to: ``"real"``, ``"hash"``.
    metrics : tuple of str
        Names as `cmrbench.metrics.Metric` prints them; cut-off, AP normalisation, mean over queries and
        tie rule are part of a metric's name. The first one is the headline.
    relevance : str
        ``"label"`` (at least one shared label) or ``"instance"`` (same instance id).
    gallery_codes : str
        ``"function"``: gallery items are encoded like queries. ``"learned"``: the codes that were fitted on
        training items that are also the gallery.
    selection : str
        Where epochs and parameters are chosen: ``"val"``, ``"last"``, or ``"test_best"`` (replays only).
    folds : int
        Into how many parts of consecutive instances queries and gallery are cut; each is measured by itself, and a
        metric is the mean over them (COCO-1K: 5).
    """

    name: str
    query: tuple[str, ...]
    gallery: tuple[str, ...]
    outputs: tuple[str, ...] = ("real", "hash")
    metrics: tuple[str, ...] = ("mAP@all", "mAP@50")
    relevance: str = "label"
    gallery_codes: str = "function"
    selection: str = "val"
    folds: int = 1

    @property
    def fingerprint(self) -> str:
        """Key of the measuring itself: equal fingerprints on one dataset give comparable numbers."""
        fields = asdict(self)
        if self.folds == 1:
            del fields["folds"]  # results of before there were folds keep their key
        return digest(fields)
