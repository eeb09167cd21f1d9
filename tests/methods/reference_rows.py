"""Runs on wiki, and rows of the reference numbers, in one form: {(direction, metric): value}."""

import math
import statistics

from cmrbench.core.protocol import Protocol
from cmrbench.run.execute import EvaluationPlan, execute

TEST = Protocol("test", ("query",), ("query",))
TEST_VS_TRAIN = Protocol("test-vs-train", ("query",), ("train", "val"))
TEST_VS_LEARNED = Protocol("test-vs-learned", ("query",), ("train", "val"), gallery_codes="learned")
WORDS = {
    "query = test 693, gallery = test (693)": TEST,
    "query = test 693, gallery = train (2173)": TEST_VS_TRAIN,
}
DIRECTIONS = {"I->T": "image->text", "T->I": "text->image"}


def measure(method, dataset, context, protocol):
    records = execute(method, dataset, context, EvaluationPlan((protocol,))).records
    return {(r.direction, r.metric): r.value for r in records}


def reference(rows, method, size, protocol, **also):
    """All values of the rows of a method at a code length or dimension, one a seed."""
    found = {}
    for row in rows:
        if row["method"] != method or not row["bits_or_dim"] or float(row["bits_or_dim"]) != size:
            continue
        if WORDS.get(row["protocol"]) == protocol and all(row[column] == value for column, value in also.items()):
            found.setdefault((DIRECTIONS[row["direction"]], row["metric"]), []).append(float(row["value"]))
    assert len(found) == 4, f"expected both directions and both metrics, found {sorted(found)}"
    return found


def disagreements(measured, expected):
    """Where the means over seeds differ by more than 0.01 and more than 3 standard errors of both sides."""
    wrong = []
    for key, ours in measured.items():
        theirs = expected[key]
        error = math.sqrt(sum(statistics.variance(v) / len(v) for v in (ours, theirs) if len(v) > 1))
        if abs(statistics.mean(ours) - statistics.mean(theirs)) > max(0.01, 3 * error):
            wrong.append((key, ours, theirs))
    return wrong
