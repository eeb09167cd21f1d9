"""Runs on wiki, and rows of the reference numbers, in one form: {(direction, metric): value}."""

import pytest

from cmrbench.core.protocol import Protocol
from cmrbench.method import Context
from cmrbench.run.execute import EvaluationPlan, execute
from tools.agreement import agree

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
    """Where the means over seeds do not agree (`tools.agreement`): (key, our values, their values)."""
    return [(key, ours, expected[key]) for key, ours in measured.items() if not agree(ours, expected[key])]


LENGTHS = [
    32,
    pytest.param(16, marks=pytest.mark.lengths),
    pytest.param(64, marks=pytest.mark.lengths),
    pytest.param(128, marks=pytest.mark.lengths),
]
"""Code lengths of the reference numbers; all but 32 are measured only when pytest is given --lengths."""

RULES = {
    "function": (TEST_VS_TRAIN, "hash function"),
    "learned": (TEST_VS_LEARNED, "learned unified"),
}
"""By gallery-code rule: our protocol, and what the column gallery_codes of the reference says."""


def check_agreement(make, wiki, rows, name, bits, *, seeds=3, rules=RULES, ignore=()):
    """Fail where a hashing method's means over seeds disagree with the reference numbers called `name`.

    Both gallery-code rules are measured from one fit a seed. `make()` gives a fresh method; `rules` may leave one of
    them out, or map it to another word of the reference; `ignore` holds (rule, direction, metric) that are known to
    differ, for a reason that the calling test gives.
    """
    ours = {rule: {} for rule in rules}
    plan = EvaluationPlan(tuple(protocol for protocol, _ in rules.values()))
    for seed in range(seeds):
        for r in execute(make(), wiki, Context(bits=bits, seed=seed), plan).records:
            ours[r.gallery_codes].setdefault((r.direction, r.metric), []).append(r.value)
    wrong = []
    for rule, (_, words) in rules.items():
        theirs = reference(rows, name, bits, TEST_VS_TRAIN, gallery_codes=words)
        wrong += [(rule, *w) for w in disagreements(ours[rule], theirs) if (rule, *w[0]) not in ignore]
    assert not wrong, "\n".join(f"{rule} {key}: {mine} against {theirs}" for rule, key, mine, theirs in wrong)
