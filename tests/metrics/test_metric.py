"""A metric's name says everything about it, both ways."""

from __future__ import annotations

import itertools

import pytest

from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.metrics import GAINS, KINDS, MEANS, NORMS, TIES, Metric


def test_str_and_parse_are_inverse_for_every_metric():
    seen = set()
    for kind, k, norm, mean, ties, gain, radius in itertools.product(
        KINDS, (None, 1, 50), NORMS, MEANS, TIES, GAINS, (None, 0, 2)
    ):
        try:
            metric = Metric(kind, k, norm, mean, ties, gain, radius)
        except UsageError:
            continue
        assert Metric.parse(str(metric)) == metric
        seen.add(str(metric))
    # mAP takes normalisations, NDCG gains, P and R radii; RPrec takes no cut-off, and ranks no mean either
    assert len(seen) == 36 * 3 + 36 * 3 + 36 * 3 + 2 * 2 * 3 + 12 + 2 * 4


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mAP", "mAP@all"),
        ("map@ALL", "mAP@all"),
        ("mAP@50[hits,all,expected]", "mAP@50"),
        ("mAP@50[stable,min_kr]", "mAP@50[min_kr,stable]"),
        (" mAP @ 50 [ with_hits , pessimistic ] ", "mAP@50[with_hits,pessimistic]"),
        ("precision@10", "P@10"),
        ("recall@10[with_relevant]", "R@10[with_relevant]"),
        ("ndcg@100", "NDCG@100"),
        ("NDCG@100[stable,exp_shared]", "NDCG@100[exp_shared,stable]"),
        ("p@h2", "P@H2"),
        ("medr", "MedR"),
        ("rprec@all[optimistic]", "RPrec[optimistic]"),
    ],
)
def test_defaults_are_not_printed_and_order_is_canonical(text, name):
    assert str(Metric.parse(text)) == name


def test_lists_are_split_outside_brackets_only():
    names = [str(m) for m in Metric.parse_list("mAP@all,mAP@50[min_kr,stable], P@5")]
    assert names == ["mAP@all", "mAP@50[min_kr,stable]", "P@5"]


@pytest.mark.parametrize(
    "text",
    [
        "mAP@0",
        "mAP@-3",
        "mAP@H2",
        "P@H-1",
        "MedR@5",
        "P@H2.5",
        "mAP@5.5",
        "mAP@",
        "mAP@x",
        "",
        "mAP@5[",
        "mAP@5]",
        "mAP[5",
    ],
)
def test_malformed_names_are_refused(text):
    with pytest.raises(UsageError):
        Metric.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "mAP@5[stable,optimistic]",
        "mAP@5[r,r]",
        "P@5[min_kr]",
        "hit@5[r]",
        "mAP@5[shared]",
        "MedR[with_hits]",
        "P@H2[stable]",
    ],
)
def test_options_that_contradict_are_refused(text):
    with pytest.raises(UsageError):
        Metric.parse(text)


def test_unknown_names_say_what_was_meant():
    with pytest.raises(UnknownNameError, match="did you mean mAP"):
        Metric.parse("mAPP@50")
    with pytest.raises(UnknownNameError, match="did you mean .*stable"):
        Metric.parse("mAP@50[stabel]")
    with pytest.raises(UnknownNameError):
        Metric("mAP", ties="random")
    with pytest.raises(UsageError, match="empty name"):
        Metric.parse_list("mAP,,P@5")
