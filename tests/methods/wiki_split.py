"""Splits of the classic Wikipedia features that the reference numbers of deep methods were measured on."""

import numpy as np
import pytest

from cmrbench.core.items import Items
from cmrbench.metrics import Metric, evaluate, from_labels
from cmrbench.retrieval import Encoded, rank

SHORT = {"image": "I", "text": "T"}
METRICS = [Metric.parse("mAP@all"), Metric.parse("mAP@50")]


class Wiki:
    """The arrays of data.npz; `train` and `test` are row numbers in the order of the source's lists."""

    def __init__(self, folder):
        data = np.load(folder / "data.npz")
        self.features = {m: data[m].astype(np.float32) for m in SHORT}
        self.labels = np.eye(10, dtype=np.uint8)[data["label"]]
        self.train = np.flatnonzero(data["split"] == "train")
        self.test = np.flatnonzero(data["split"] == "test")

    def items(self, rows):
        instances = rows.astype(str)
        return {
            m: Items(m, x[rows], np.char.add(m, instances), instances, self.labels[rows])
            for m, x in self.features.items()
        }


def measured(method, test, strategy="cosine", train=None):
    """{(direction, metric): value} of a fitted method, all test items being query and gallery."""
    encoded = {m: Encoded(m, method.encode(m, items.features), items.labels) for m, items in test.items()}
    known = {m: Encoded(m, method.encode(m, items.features), items.labels) for m, items in (train or {}).items()}
    found = {}
    for a, b in (("image", "text"), ("text", "image")):
        options = method.retrieval_options(strategy)
        scores = rank(strategy, encoded[a], encoded[b], known.get(a), **options)
        values = evaluate(scores, from_labels(encoded[a].labels, encoded[b].labels), METRICS).values
        found |= {(f"{SHORT[a]}->{SHORT[b]}", metric): value for metric, value in values.items()}
    return found


def reference_values(rows, method, protocol, containing=""):
    """{(direction, metric): values, one a seed} of the rows of a method and protocol."""
    found = {}
    for row in rows:
        if row["method"] == method and row["protocol"] == protocol and containing in row["hyperparameters"]:
            found.setdefault((row["direction"], row["metric"]), []).append(float(row["value"]))
    if len(found) != 4:
        pytest.fail(f"no rows of {method}, {protocol} in both directions and metrics")
    return found


def over_seeds(runs):
    """{key: values} of several results of `measured`."""
    return {key: [run[key] for run in runs] for key in runs[0]}
