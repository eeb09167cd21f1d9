"""Groups of items that belong together, and splits that never cut a group."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

SHARES: Mapping[str, float] = {"train": 0.6, "val": 0.1, "query": 0.1, "gallery": 0.2}
"""The share of each class that each split aims at."""


def stable_hash(text: str) -> int:
    """A number from a text that is the same in every process: the first 48 bits of its SHA-256.

    Used wherever a choice must be arbitrary but frozen: which of two near-duplicates stays, which items a cap keeps.
    """
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)


class DisjointSets:
    """Union-find over 0 .. n-1."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def root(self, i: int) -> int:
        """The member that stands for the set of ``i``."""
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def unite(self, child: int, parent: int) -> None:
        """Join two sets; the root of ``parent`` becomes the root of both."""
        self._parent[self.root(child)] = self.root(parent)


def drop_near_duplicates(similar: Sequence[Sequence[int]], names: Sequence[str]) -> list[int]:
    """Positions that stay when of every set of mutually similar items one is kept.

    Items are visited in the order of their names' hashes; each visited item that is still there removes all items
    similar to it. So no two items that stay are similar, and every removed item is similar to one that stays.

    Parameters
    ----------
    similar
        For each item the positions similar to it (itself may be among them); symmetric.
    names
        A stable name of each item.
    """
    dropped: set[int] = set()
    for i in sorted(range(len(names)), key=lambda i: stable_hash(names[i])):
        if i not in dropped:
            dropped.update(j for j in similar[i] if j != i)
    return [i for i in range(len(names)) if i not in dropped]


def cap_classes(names: Sequence[str], labels: Sequence[str], caps: Mapping[str, int]) -> list[int]:
    """Positions that stay when each class listed in ``caps`` keeps at most that many items, chosen by name hash."""
    taken: Counter[str] = Counter()
    kept = []
    for i in sorted(range(len(names)), key=lambda i: stable_hash(names[i])):
        if taken[labels[i]] < caps.get(labels[i], len(names)):
            taken[labels[i]] += 1
            kept.append(i)
    return sorted(kept)


def grouped_split(
    groups: Sequence[Hashable],
    labels: Sequence[str],
    names: Sequence[str],
    shares: Mapping[str, float] = SHARES,
) -> list[str]:
    """A split name for each item: no group is cut, and each class comes near the shares.

    The largest groups are placed first, each whole, into the split that lacks most items of the group's class (the
    class of its first item). A group that alone would fill more than half of a split goes to the first split of
    ``shares`` (train), so that no evaluation split is dominated by one series of look-alikes.

    Parameters
    ----------
    groups, labels, names
        Group, class and stable name of each item; names break ties between groups of equal size by hash.
    shares
        Split name to share of the items; the first is the one that takes oversized groups.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for i, group in enumerate(groups):
        members[group].append(i)
    total = Counter(labels)
    placed: dict[str, Counter[str]] = defaultdict(Counter)
    largest_first = sorted(members.values(), key=lambda at: (-len(at), stable_hash(names[at[0]])))
    catch_all = next(iter(shares))
    split = [""] * len(names)
    for positions in largest_first:
        label = labels[positions[0]]
        fitting = [s for s in shares if s == catch_all or len(positions) <= max(2, shares[s] * total[label] * 0.5)]
        chosen = max(fitting, key=lambda s: shares[s] * total[label] - placed[label][s])
        for i in positions:
            split[i] = chosen
            placed[labels[i]][chosen] += 1
    return split


def number_groups(names: Iterable[str]) -> list[int]:
    """Group names as numbers 0, 1, ... in the alphabetical order of the names."""
    listed = list(names)
    number = {name: k for k, name in enumerate(sorted(set(listed)))}
    return [number[name] for name in listed]
