from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tools.grouping import (
    SHARES,
    DisjointSets,
    cap_classes,
    drop_near_duplicates,
    grouped_split,
    number_groups,
    stable_hash,
)


def items(seed: int, n: int = 600, largest: int = 4) -> tuple[list[int], list[str], list[str]]:
    """Groups of 1 .. largest items of one class each, in three classes."""
    rng = np.random.default_rng(seed)
    groups: list[int] = []
    while len(groups) < n:
        groups += [len(set(groups))] * int(rng.integers(1, largest + 1))
    label_of = rng.choice(["bird", "boat", "book"], size=max(groups) + 1)
    return groups, [str(label_of[g]) for g in groups], [f"item{i}" for i in range(len(groups))]


@pytest.mark.parametrize("seed", range(5))
def test_split_cuts_no_group_and_keeps_class_proportions(seed: int) -> None:
    groups, labels, names = items(seed)
    split = grouped_split(groups, labels, names)
    assert all(len({split[i] for i in range(len(groups)) if groups[i] == g}) == 1 for g in set(groups))
    total, got = Counter(labels), Counter(zip(labels, split, strict=True))
    for label, n in total.items():
        for name, share in SHARES.items():
            assert abs(got[label, name] - share * n) <= 4  # the largest group


def test_split_follows_names_rather_than_order() -> None:
    groups, labels, names = items(seed=1)
    split = dict(zip(names, grouped_split(groups, labels, names), strict=True))
    # Groups as blocks in reverse, members in their order: a group is placed by its first member's name.
    order = sorted(range(len(groups)), key=lambda i: (-groups[i], i))
    again = grouped_split([groups[i] for i in order], [labels[i] for i in order], [names[i] for i in order])
    assert {names[i]: part for i, part in zip(order, again, strict=True)} == split


def test_group_that_would_dominate_an_evaluation_split_goes_to_train() -> None:
    # Of 100 items train aims at 60 and gallery at 20. Once the group of 60 is placed, gallery lacks most; but the
    # group of 12 would be more than half of it.
    groups = [0] * 60 + [1] * 12 + [2] * 10 + list(range(3, 21))
    split = grouped_split(groups, ["c"] * 100, [str(i) for i in range(100)])
    assert set(split[:72]) == {"train"}
    assert set(split[72:82]) == {"gallery"}
    assert Counter(split)["train"] == 72


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20))
def test_disjoint_sets_are_the_connected_components(links: list[tuple[int, int]]) -> None:
    sets = DisjointSets(12)
    for child, parent in links:
        sets.unite(child, parent)
    adjacency = coo_array(
        (np.ones(len(links)), (np.array([a for a, _ in links], int), [b for _, b in links])), (12, 12)
    )
    _, component = connected_components(adjacency, directed=False)
    roots = [sets.root(i) for i in range(12)]
    assert all((roots[i] == roots[j]) == (component[i] == component[j]) for i in range(12) for j in range(12))


def test_root_is_the_parents() -> None:
    sets = DisjointSets(3)
    sets.unite(0, 2)
    sets.unite(2, 1)
    assert [sets.root(i) for i in range(3)] == [1, 1, 1]


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25))
def test_near_duplicates_leave_one_witness_of_each(pairs: set[tuple[int, int]]) -> None:
    similar = [[j for j in range(10) if i == j or (i, j) in pairs or (j, i) in pairs] for i in range(10)]
    kept = drop_near_duplicates(similar, [f"n{i}" for i in range(10)])
    assert kept == sorted(kept)
    assert not any(j in similar[i] for i in kept for j in kept if i != j)  # nobody left is similar to another
    assert all(i in kept or set(similar[i]) & set(kept) for i in range(10))  # whoever left has a reason


def test_cap_keeps_the_same_items_whatever_the_order() -> None:
    names, labels = [f"n{i}" for i in range(20)], ["a", "b"] * 10
    kept = {names[i] for i in cap_classes(names, labels, {"a": 3})}
    assert sum(labels[names.index(name)] == "a" for name in kept) == 3
    assert sum(labels[names.index(name)] == "b" for name in kept) == 10
    back = cap_classes(names[::-1], labels[::-1], {"a": 3})
    assert {names[::-1][i] for i in back} == kept


def test_groups_are_numbered_by_name() -> None:
    assert number_groups(["g7", "g10", "g7", "g2"]) == [2, 0, 2, 1]


def test_stable_hash_is_the_head_of_sha256() -> None:
    # SHA-256 of the empty string begins e3b0c44298fc (FIPS 180-4 test value).
    assert stable_hash("") == 0xE3B0C44298FC
