"""Split schemes: the same items on every machine, with the shares that were asked for."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.splits.models import Scheme
from cmrbench.data.splits.schemes import assign, spread
from cmrbench.data.splits.units import Units
from cmrbench.data.splits.validation import validation_rows

SCHEME = TypeAdapter(Scheme)
SPLITS = ("train", "val", "query", "gallery")


def scheme(**fields):
    return SCHEME.validate_python(fields)


def some(modality, instances, labels=None, ids=None):
    instances = np.array(instances)
    features = np.ones((len(instances), 1), np.float32)
    return Items(modality, features, instances if ids is None else np.array(ids), instances, labels)


def pairs(n=120, several=False):
    rng = np.random.default_rng(1)
    labels = np.eye(4, dtype=np.uint8)[rng.choice(4, n, p=[0.1, 0.2, 0.3, 0.4])]
    if several:
        labels |= (rng.random(labels.shape) < 0.3).astype(np.uint8)
    return {m: some(m, [f"i{k:03d}" for k in range(n)], labels) for m in ("image", "text")}


def counts(splits):
    return {s: int((splits == s).sum()) for s in (*SPLITS, "") if (splits == s).any()}


def shuffled(items):
    order = np.random.default_rng(5).permutation(len(next(iter(items.values()))))
    return {m: i.take(order) for m, i in items.items()}, order


DRAWS = [
    dict(query=20, train=60, val=10, gallery="rest"),
    dict(query=0.2, train="rest", val=0.1),
    dict(query=20, train=0.5, val=12, val_from="rest", gallery=7, per_class=True),
    dict(query=2, train=5, val=1, gallery="rest", each=True),
    dict(query=3, train=4, each=True, each_by="any", first_class=2, top_up=40),
]


@pytest.mark.parametrize("fields", DRAWS)
@pytest.mark.parametrize("several", [False, True])
def test_a_draw_does_not_depend_on_the_order_of_the_file(fields, several):
    items = pairs(several=several)
    asked = scheme(kind="draw", seed=3, **fields)
    splits = assign(asked, items)
    again, order = shuffled(items)
    assert (assign(asked, again)["text"] == splits["text"][order]).all()
    assert (splits["image"] == splits["text"]).all()


def test_sizes_are_those_asked_for_and_val_comes_out_of_train():
    items = pairs()
    assert counts(assign(scheme(kind="draw", **DRAWS[0]), items)["image"]) == {
        "train": 50,
        "val": 10,
        "query": 20,
        "gallery": 40,
    }
    assert counts(assign(scheme(kind="draw", **DRAWS[1]), items)["image"]) == {"train": 86, "val": 10, "query": 24}
    taken = counts(assign(scheme(kind="draw", **DRAWS[2]), items)["image"])
    assert taken == {"train": 60, "val": 12, "query": 20, "gallery": 7, "": 21}


def test_the_order_is_that_of_the_sha256_of_seed_and_instance():
    items = pairs(30)
    splits = assign(scheme(kind="draw", query=4, train=20, seed=11), items)["image"]
    names = items["image"].instances.tolist()
    ordered = sorted(names, key=lambda name: hashlib.sha256(f"11:{name}".encode()).hexdigest())
    assert {n for n, s in zip(names, splits, strict=True) if s == "query"} == set(ordered[:4])
    assert {n for n, s in zip(names, splits, strict=True) if s == "train"} == set(ordered[4:24])
    assert {n for n, s in zip(names, splits, strict=True) if s == ""} == set(ordered[24:])


def test_a_draw_is_the_same_on_every_machine():
    # for c in a b ... j; do printf "%s $c\n" $(printf "0:$c" | sha256sum); done | sort
    splits = assign(scheme(kind="draw", query=3, train=5, seed=0), {"a": some("a", list("abcdefghij"))})["a"]
    expected = dict.fromkeys("hfg", "query") | dict.fromkeys("djaic", "train") | dict.fromkeys("be", "")
    assert dict(zip("abcdefghij", splits.tolist(), strict=True)) == expected


def test_other_seeds_draw_other_items():
    items = pairs()
    drawn = [assign(scheme(kind="draw", query=30, train=60, seed=s), items)["image"] for s in (0, 1)]
    assert 0 < ((drawn[0] == "query") & (drawn[1] == "query")).sum() < 30


def test_per_class_gives_every_class_its_share():
    items = pairs(200)
    splits = assign(scheme(kind="draw", query=50, train=100, gallery="rest", per_class=True), items)["image"]
    first = items["image"].labels.argmax(1)
    for k in range(4):
        size = (first == k).sum()
        assert abs(((splits == "query") & (first == k)).sum() - size / 4) <= 1
        assert abs(((splits == "train") & (first == k)).sum() - size / 2) <= 2
    assert counts(splits) == {"train": 100, "query": 50, "gallery": 50}


def test_each_takes_exactly_so_many_of_each_class():
    items = pairs(200)
    splits = assign(scheme(kind="draw", query=3, train=6, val=2, gallery="rest", each=True), items)["image"]
    first = items["image"].labels.argmax(1)
    for k in range(4):
        of_class = splits[first == k]
        assert counts(of_class) == {"query": 3, "train": 4, "val": 2, "gallery": len(of_class) - 9}


def test_class_by_class_draws_by_any_label_and_fills_train_up():
    items = pairs(200, several=True)
    fields = dict(query=5, train=8, gallery="rest", each=True, each_by="any", first_class=2, top_up=60)
    splits = assign(scheme(kind="draw", **fields), items)["image"]
    assert counts(splits) == {"query": 25, "train": 60, "gallery": 115}
    labels = items["image"].labels
    assert (labels[splits == "query"][:, 0]).sum() >= 10
    assert (labels[splits == "train"].sum(0) >= 8).all()


def test_captions_of_a_picture_go_together():
    names = [f"p{k:02d}" for k in range(40)]
    items = {
        "image": some("image", names),
        "text": some("text", np.repeat(names, 5), ids=[f"c{k}" for k in range(200)]),
    }
    splits = assign(scheme(kind="draw", query=10, train=20, gallery="rest", seed=2), items)
    assert counts(splits["image"]) == {"train": 20, "query": 10, "gallery": 10}
    assert (splits["text"].reshape(40, 5) == splits["image"][:, None]).all()


def test_shares_hold_in_every_modality_where_items_have_no_partners():
    def labels(n):
        return np.eye(2, dtype=np.uint8)[np.arange(n) % 2]

    items = {
        "image": some("image", [f"p{k}" for k in range(50)], labels(50)),
        "text": some("text", [f"p{k}" for k in range(50)], labels(50)),
        "audio": some("audio", [f"a{k}" for k in range(20)], labels(20)),
    }
    splits = assign(scheme(kind="draw", query=0.1, train=0.8, gallery="rest", per_class=True), items)
    assert counts(splits["image"]) == {"train": 40, "query": 5, "gallery": 5}
    assert counts(splits["audio"]) == {"train": 16, "query": 2, "gallery": 2}
    by_count = assign(scheme(kind="draw", query=14, train=42), items)
    assert (counts(by_count["text"])["query"], counts(by_count["audio"])["query"]) == (10, 4)


def test_counts_of_each_class_hold_in_every_group():
    labels = np.eye(2, dtype=np.uint8)[np.arange(20) % 2]
    items = {
        "image": some("image", [f"p{k}" for k in range(20)], labels),
        "audio": some("audio", [f"a{k}" for k in range(20)], labels),
    }
    splits = assign(scheme(kind="draw", query=2, train=5, gallery="rest", each=True), items)
    for m in items:
        for k in (0, 1):
            assert counts(splits[m][labels[:, k] == 1]) == {"train": 5, "query": 2, "gallery": 3}


def test_an_instance_has_the_labels_of_all_its_items():
    rng = np.random.default_rng(4)
    names = [f"p{k}" for k in range(40)]
    pictures = (rng.random((40, 3)) < 0.3).astype(np.uint8)
    captions = (rng.random((80, 3)) < 0.3).astype(np.uint8)
    image = some("image", names, pictures)
    text = some("text", np.tile(names, 2), captions, [f"c{k}" for k in range(80)])
    expected = pictures | captions[:40] | captions[40:]
    for items in ({"image": image, "text": text}, {"text": text, "image": image}):
        assert (Units.of(items).labels == expected).all()


def test_the_order_of_the_file_is_not_that_of_the_names():
    names = [f"i{k}" for k in np.random.default_rng(2).permutation(30)]
    items = {"image": some("image", names), "text": some("text", list(reversed(names)))}
    splits = assign(scheme(kind="order", query="last 5", train="first 20", gallery="rest"), items)
    assert (splits["image"] == np.repeat(["train", "gallery", "query"], [20, 5, 5])).all()
    assert (splits["text"] == splits["image"][::-1]).all()


def test_first_and_last_in_file_order():
    items = pairs(100)
    dadh = assign(scheme(kind="order", query="last 20", train="first 50", gallery="rest"), items)["image"]
    assert (dadh == np.repeat(["train", "gallery", "query"], [50, 30, 20])).all()
    ucch = assign(scheme(kind="order", query="last 0.2", train="rest", val="last 10"), items)["text"]
    assert (ucch == np.repeat(["train", "val", "query"], [70, 10, 20])).all()


@pytest.mark.parametrize("several", [False, True])
def test_validation_from_the_source_is_cut_by_the_frozen_rule(several):
    items = pairs(several=several)
    source = np.repeat(["train", "query"], [80, 40])
    found = assign(scheme(kind="source", val=0.1), items, dict.fromkeys(items, source))
    expected = source.astype("<U7")
    expected[validation_rows(items["image"].instances[:80], items["image"].labels[:80], 0.1)] = "val"
    assert (found["image"] == expected).all()
    assert (found["text"] == expected).all()


def test_validation_can_come_from_the_test_items_of_a_source():
    items = pairs(100)
    source = dict.fromkeys(items, np.repeat(["train", "query"], [31, 69]))
    found = assign(scheme(kind="source", val=23, val_from="query", val_rule="first"), items, source)["image"]
    assert (found == np.repeat(["train", "val", "query"], [31, 23, 46])).all()
    hashed = assign(scheme(kind="source", val=23, val_from="query"), items, source)["image"]
    assert counts(hashed) == {"train": 31, "val": 23, "query": 46}
    again, order = shuffled(items)
    moved = {m: s[order] for m, s in source.items()}
    cut = assign(scheme(kind="source", val=23, val_from="query"), again, moved)["image"]
    assert (cut == hashed[order]).all()


def test_a_source_with_validation_items_keeps_them_and_left_out_items_stay_out():
    items = pairs(40)
    source = dict.fromkeys(items, np.repeat(["train", "val", "", "query"], 10))
    assert (assign(scheme(kind="source", val=0.1), items, source)["text"] == source["text"]).all()


def test_frozen_lists_name_instances_or_items():
    items = {"image": some("image", ["a", "b", "c"]), "text": some("text", ["a", "a", "b"], ids=["t1", "t2", "t3"])}
    lists = {"train": {"": ["a"]}, "query": {"image": ["c"], "text": ["t3"]}}
    found = assign(scheme(kind="ids", file="x"), items, lists=lists)
    assert found["image"].tolist() == ["train", "", "query"]
    assert found["text"].tolist() == ["train", "train", "query"]


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"train": {"": ["a", "z", "y"]}}, "2 of the 3 ids of instances in train are not in the data, y"),
        ({"train": {"image": ["a", "a"]}}, "has a twice"),
        ({"train": {"": ["a"]}, "query": {"image": ["a"]}}, "image a is listed in both train and query"),
        ({"test": {"": ["a"]}}, "a list for 'test'"),
        ({"train": {"sound": ["a"]}}, "a list for 'sound'; the data has image"),
        (None, "lists of ids are missing"),
    ],
)
def test_frozen_lists_that_do_not_fit_are_refused(lists, said):
    with pytest.raises(DataError, match=said):
        assign(scheme(kind="ids", file="x"), {"image": some("image", ["a", "b"])}, lists=lists)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (dict(kind="draw", query=20, train=110), "train asks for 110 instances, but 100 of 120 are left"),
        (dict(kind="draw", query=0.6, train=0.6), "train asks for 72 instances, but 48 are left"),
        (dict(kind="draw", query=0.001, train=0.6), "query is 0.001 of 120 instances, which leaves it empty"),
        (dict(kind="draw", query=60, train=60, gallery="rest"), "gallery is rest of 120 instances"),
        (dict(kind="draw", query=10, train=20, val=20), "val takes all 20 training instances"),
        (dict(kind="draw", query=10, train=20, val=30), "val asks for 30 instances, but 20 of 20 are left"),
        (dict(kind="draw", query=100, train=1, each=True), "100 instances of each class, but class number 0 has"),
        (dict(kind="draw", query=1, train=1, each=True, top_up=300), "top_up asks for 296 more instances, but 112"),
        (dict(kind="draw", query=1, train=5, each=True, top_up=3), "top_up is 3, but the classes already give 20"),
        (dict(kind="order", query="last 100", train="first 21"), "train asks for 21 instances, but 20 of 120"),
        (dict(kind="source"), "the source gives no split"),
    ],
)
def test_sizes_beyond_the_data_are_refused_with_the_numbers(fields, said):
    with pytest.raises(DataError, match=said):
        assign(scheme(**fields), pairs(120))


def test_a_source_that_contradicts_itself_is_refused():
    items = pairs(4)
    source = {"image": np.array(["train"] * 4), "text": np.array(["train", "train", "query", "train"])}
    with pytest.raises(DataError, match="instance i002 has the split 'query', another one 'train'"):
        assign(scheme(kind="source"), items, source)
    with pytest.raises(DataError, match="instance i000 into the split 'test'"):
        assign(scheme(kind="source"), items, dict.fromkeys(items, np.array(["test"] * 4)))
    with pytest.raises(DataError, match="4 items but 3 entries"):
        assign(scheme(kind="source"), items, dict.fromkeys(items, np.array(["train"] * 3)))


def test_sizes_by_class_need_labels():
    with pytest.raises(DataError, match="need labels"):
        assign(scheme(kind="draw", query=1, train=1, per_class=True), {"a": some("a", ["x", "y"])})


@pytest.mark.parametrize(
    "fields",
    [
        dict(kind="draw", query=1, train="rest", gallery="rest"),
        dict(kind="draw", query=True, train=3),
        dict(kind="draw", query=0, train=3),
        dict(kind="draw", query=1.5, train=3),
        dict(kind="draw", query=1, train=3, top_up=9),
        dict(kind="draw", query=1, train=0.5, each=True),
        dict(kind="draw", query=1, train=3, seed=-1),
        dict(kind="order", query="2000", train="rest"),
        dict(kind="order", query="last 0", train="rest"),
        dict(kind="ids", file="../outside"),
        dict(kind="ids", file="/etc/passwd"),
        dict(kind="source", val_from="query"),
        dict(kind="guess"),
    ],
)
def test_schemes_that_make_no_sense_are_refused_by_the_schema(fields):
    with pytest.raises(ValidationError):
        scheme(**fields)


def test_counts_are_spread_by_largest_remainders():
    rng = np.random.default_rng(0)
    for _ in range(200):
        sizes = rng.integers(1, 50, rng.integers(1, 12))
        total = int(rng.integers(0, sizes.sum() + 1))
        quota = spread(total, sizes)
        assert quota.sum() == total
        assert (quota <= sizes).all()
        assert (np.abs(quota - total * sizes / sizes.sum()) < 1).all()
