"""What the field evaluates with: the authors' loops, vectorised versions and libraries.

The loops are written from the description of the released code, with its definition and its order of work, not its
text. Every peer returns its values by the name of the engine's metric that has the same definition.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.workloads import Workload

Values = dict[str, float]
BLOCK_PAIRS = 16 << 20  # query-gallery pairs that a vectorised peer sorts at a time


@dataclass(frozen=True)
class Peer:
    """One way to evaluate.

    Attributes
    ----------
    name : str
    run : callable
        Workload -> values.
    queries : int or None
        Queries that are timed; the rest is extrapolated. None: all.
    needs : str or None
        Module of a library that need not be installed.
    metrics : tuple of str or None
        What the engine computes against it; None: what the workload asks for.
    note : str
        Where its value departs from the engine's.
    """

    name: str
    run: Callable[[Workload], Values]
    queries: int | None = None
    needs: str | None = None
    metrics: tuple[str, ...] | None = None
    note: str = ""

    @property
    def installed(self) -> bool:
        return self.needs is None or importlib.util.find_spec(self.needs) is not None


def dscmr_loop(w: Workload) -> Values:
    """penghu-cs/DSCMR: all distances, one argsort, then Python walks down every ranking and compares class numbers."""
    from scipy.spatial.distance import cdist

    query_labels, gallery_labels = w.query_labels, w.gallery_labels
    rankings = cdist(w.query, w.gallery, "cosine").argsort()
    values = []
    for i in range(len(rankings)):
        ranking = rankings[i]
        hits = total = 0.0
        for j in range(len(ranking)):
            if query_labels[i] == gallery_labels[ranking[j]]:
                hits += 1
                total += hits / (j + 1)
        values.append(total / hits if hits else 0.0)
    return {"mAP@all": float(np.mean(values))}


def drcl_loop(w: Workload) -> Values:
    """perquisite/DRCL with several labels: as DSCMR's, on a matrix of shared labels; its mean leaves out R = 0."""
    from scipy.spatial.distance import cdist

    rankings = cdist(w.query, w.gallery, "cosine").argsort()
    similar = w.query_labels.astype(np.float32) @ w.gallery_labels.astype(np.float32).T > 0
    values = []
    for i in range(len(rankings)):
        ranking = rankings[i]
        hits = total = 0.0
        for j in range(len(ranking)):
            if similar[i][ranking[j]]:
                hits += 1
                total += hits / (j + 1)
        if hits:
            values.append(total / hits)
    return {"mAP@all[with_relevant]": float(np.mean(values))}


def dcmh_loop(w: Workload) -> Values:
    """DCMH's calc_map and DJSRH's calculate_top_map, vectorised within a query; one sort serves all cut-offs."""
    query, gallery = w.query.astype(np.float32), w.gallery.astype(np.float32)
    query_labels, gallery_labels = w.query_labels.astype(np.float32), w.gallery_labels.astype(np.float32)
    total = dict.fromkeys(w.metrics, 0.0)
    for code, labels in zip(query, query_labels, strict=True):
        relevant = (labels @ gallery_labels.T > 0).astype(np.float32)
        distance = 0.5 * (query.shape[1] - code @ gallery.T)
        ranked = relevant[np.argsort(distance)]
        for name in w.metrics:
            hits = ranked[: _cut(name)]
            found = int(hits.sum())
            if found:
                total[name] += np.mean(np.linspace(1, found, found) / (np.flatnonzero(hits == 1) + 1.0))
    return {name: value / w.n_query for name, value in total.items()}


def torchcmh_loop(w: Workload) -> Values:
    """WangGodder's calc_map_k with k = None, in float32. (With a k it keeps the first k hits wherever they stand.)"""
    import torch

    query, gallery = torch.from_numpy(w.query).float(), torch.from_numpy(w.gallery).float()
    query_labels, gallery_labels = torch.from_numpy(w.query_labels).float(), torch.from_numpy(w.gallery_labels).float()
    total = torch.zeros(())
    for i in range(w.n_query):
        relevant = (query_labels[i : i + 1] @ gallery_labels.T > 0).squeeze(0)
        distance = 0.5 * (query.shape[1] - query[i : i + 1] @ gallery.T)
        ranked = relevant[torch.sort(distance)[1].squeeze(0)].float()
        position = torch.nonzero(ranked).squeeze(1).float() + 1
        if len(position):
            total += torch.mean(torch.arange(1, len(position) + 1).float() / position)
    return {"mAP@all": float(total) / w.n_query}


def numpy_vectorised(w: Workload) -> Values:
    """Ten lines of numpy: GEMM, argsort, cumulative sum."""
    query, gallery = _unit(w.query), _unit(w.gallery)
    rank = np.arange(1, w.n_gallery + 1)
    total = dict.fromkeys(w.metrics, 0.0)
    for rows in _blocks(w):
        order = np.argsort(-(query[rows] @ gallery.T), axis=1)
        ranked = np.take_along_axis(_relevant(w, rows), order, axis=1)
        precision = np.cumsum(ranked, axis=1) / rank * ranked
        for name in w.metrics:
            k = _cut(name)
            total[name] += (precision[:, :k].sum(axis=1) / np.maximum(ranked[:, :k].sum(axis=1), 1)).sum()
    return {name: value / w.n_query for name, value in total.items()}


def torch_vectorised(w: Workload) -> Values:
    """The same ten lines in torch."""
    import torch

    query, gallery = torch.from_numpy(_unit(w.query)), torch.from_numpy(_unit(w.gallery))
    rank = torch.arange(1, w.n_gallery + 1, dtype=torch.float64)
    total = dict.fromkeys(w.metrics, 0.0)
    for rows in _blocks(w):
        order = torch.argsort(query[rows] @ gallery.T, dim=1, descending=True)
        ranked = torch.gather(torch.from_numpy(_relevant(w, rows)), 1, order)
        precision = torch.cumsum(ranked, dim=1) / rank * ranked
        for name in w.metrics:
            k = _cut(name)
            total[name] += float((precision[:, :k].sum(dim=1) / ranked[:, :k].sum(dim=1).clamp(min=1)).sum())
    return {name: value / w.n_query for name, value in total.items()}


def torchmetrics_map(w: Workload) -> Values:
    """RetrievalMAP; it takes every item with a score <= 0 for not relevant, whatever the labels say."""
    import torch
    from torchmetrics.retrieval import RetrievalMAP

    metric = RetrievalMAP(empty_target_action="neg")
    query, gallery = torch.from_numpy(_unit(w.query)), torch.from_numpy(_unit(w.gallery))
    for rows in _blocks(w):
        scores = query[rows] @ gallery.T
        number = torch.arange(rows.start, rows.stop)[:, None].expand_as(scores)
        metric.update(scores.flatten(), torch.from_numpy(_relevant(w, rows)).flatten(), indexes=number.flatten())
    return {"mAP@all": float(metric.compute())}


def sklearn_ap(w: Workload) -> Values:
    """average_precision_score, a query at a time; items of one score share one threshold."""
    from sklearn.metrics import average_precision_score

    query, gallery = _unit(w.query), _unit(w.gallery)
    total = 0.0
    for rows in _blocks(w):
        for relevant, scores in zip(_relevant(w, rows), query[rows] @ gallery.T, strict=True):
            if relevant.any():
                total += average_precision_score(relevant, scores)
    return {"mAP@all": total / w.n_query}


def ir_measures_ap(w: Workload) -> Values:
    """ir_measures' AP (trec_eval below it), dictionaries and all; ties by document id."""
    import ir_measures

    query, gallery = _unit(w.query), _unit(w.gallery)
    documents = [str(i) for i in range(w.n_gallery)]
    relevance, run = {}, {}
    for rows in _blocks(w):
        scores = query[rows] @ gallery.T
        for i, (relevant, row) in enumerate(zip(_relevant(w, rows), scores, strict=True), rows.start):
            relevance[str(i)] = {documents[j]: 1 for j in np.flatnonzero(relevant)}
            run[str(i)] = dict(zip(documents, row.tolist(), strict=True))
    value = ir_measures.calc_aggregate([ir_measures.AP], relevance, run)[ir_measures.AP]
    return {"mAP@all": float(value)}


def faiss_binary(w: Workload) -> Values:
    """IndexBinaryFlat, the first 50; ties as its heap leaves them."""
    import faiss

    index = faiss.IndexBinaryFlat(w.gallery.shape[1])
    index.add(np.packbits(w.gallery > 0, axis=1))
    return _top_50(w, index.search(np.packbits(w.query > 0, axis=1), 50)[1])


def faiss_flat(w: Workload) -> Values:
    """IndexFlatIP on unit rows, the first 50."""
    import faiss

    index = faiss.IndexFlatIP(w.gallery.shape[1])
    index.add(_unit(w.gallery))
    return _top_50(w, index.search(_unit(w.query), 50)[1])


def _top_50(w: Workload, found: np.ndarray) -> Values:
    if w.query_labels.ndim == 1:
        ranked = w.query_labels[:, None] == w.gallery_labels[found]
    else:
        ranked = (w.query_labels[:, None] & w.gallery_labels[found]).any(axis=2)
    precision = np.cumsum(ranked, axis=1) / np.arange(1, found.shape[1] + 1) * ranked
    return {"mAP@50": float((precision.sum(axis=1) / np.maximum(ranked.sum(axis=1), 1)).mean())}


def _cut(metric: str) -> int | None:
    return None if metric == "mAP@all" else int(metric.removeprefix("mAP@"))


def _blocks(w: Workload) -> list[slice]:
    step = max(1, BLOCK_PAIRS // w.n_gallery)
    return [slice(start, min(start + step, w.n_query)) for start in range(0, w.n_query, step)]


def _relevant(w: Workload, rows: slice) -> np.ndarray:
    if w.query_labels.ndim == 1:
        return w.query_labels[rows, None] == w.gallery_labels
    return w.query_labels[rows].astype(np.float32) @ w.gallery_labels.astype(np.float32).T > 0


def _unit(rows: np.ndarray) -> np.ndarray:
    if rows.dtype == np.int8:  # codes: their products order the gallery as their distances do
        return rows.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


_POSITIVE = "takes items with a score <= 0 for not relevant"
_TIES = "argsort leaves ties in any order"
_NUMPY, _TORCH = "numpy, vectorised", "torch, vectorised"

PEERS: dict[str, tuple[Peer, ...]] = {
    "W1": (
        Peer("DSCMR loop", dscmr_loop),
        Peer(_NUMPY, numpy_vectorised),
        Peer(_TORCH, torch_vectorised),
        Peer("torchmetrics", torchmetrics_map, needs="torchmetrics", note=_POSITIVE),
        Peer("scikit-learn", sklearn_ap),
        Peer("ir_measures", ir_measures_ap, needs="ir_measures"),
    ),
    "W2": (
        Peer("DRCL loop", drcl_loop, 256),
        Peer(_NUMPY, numpy_vectorised, 1000),
        Peer(_TORCH, torch_vectorised, 1000),
        Peer("torchmetrics", torchmetrics_map, 500, "torchmetrics", note=_POSITIVE),
        Peer("scikit-learn", sklearn_ap, 500),
        Peer("ir_measures", ir_measures_ap, 64, "ir_measures"),
    ),
    "W3": (
        Peer("DCMH loop", dcmh_loop, note=_TIES),
        Peer("torchcmh loop", torchcmh_loop, 500, note=_TIES),
        Peer(_NUMPY, numpy_vectorised, 1000, note=_TIES),
        Peer("torchmetrics", torchmetrics_map, 500, "torchmetrics", note=_POSITIVE),
        Peer("scikit-learn", sklearn_ap, 500, note="items of one distance share one threshold"),
    ),
    "W4": (
        Peer("DCMH loop", dcmh_loop, 128, note=_TIES),
        Peer("torchcmh loop", torchcmh_loop, 128, metrics=("mAP@all",), note=_TIES),
        Peer(_NUMPY, numpy_vectorised, 172, note=_TIES),
        Peer("faiss IndexBinaryFlat", faiss_binary, needs="faiss", metrics=("mAP@50",), note="ties in any order"),
    ),
    "W5": (
        Peer("DRCL loop", drcl_loop, 32),
        Peer(_NUMPY, numpy_vectorised, 172),
        Peer(_TORCH, torch_vectorised, 172),
        Peer("torchmetrics", torchmetrics_map, 86, "torchmetrics", note=_POSITIVE),
        Peer("faiss IndexFlatIP", faiss_flat, 172, "faiss", ("mAP@50",)),
    ),
}
