"""Robustness transforms: declared, seeded, independent of order, and without effect on what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from cmrbench.core.dataset import SPLITS, Dataset
from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.core.items import Items
from cmrbench.core.protocol import Protocol
from cmrbench.data.transforms import TRANSFORMS, apply, parse

SIZES = {"train": 200, "val": 60, "query": 50, "gallery": 90}
CLASSES = 5


class Opener:
    """Opens splits in memory and remembers which."""

    def __init__(self, parts: Mapping[str, Mapping[str, Items]]) -> None:
        self.parts, self.opened = parts, []

    def __call__(self, split: str) -> Mapping[str, Items]:
        self.opened.append(split)
        return self.parts[split]


def parts(several=False, modalities=("image", "text")):
    rng = np.random.default_rng(0)
    made = {}
    for split, n in SIZES.items():
        labels = np.eye(CLASSES, dtype=np.uint8)[np.arange(n) % CLASSES]
        if several:
            labels |= (rng.random(labels.shape) < 0.2).astype(np.uint8)
            labels[labels.all(1), -1] = 0
        names = np.array([f"{split}-{k}" for k in range(n)])
        made[split] = {
            m: Items(
                m,
                rng.standard_normal((n, 8), np.float32) * np.arange(1, 9, dtype=np.float32),
                np.char.add(f"{m}-", names),
                names,
                labels,
            )
            for m in modalities
        }
    return made


def dataset(made=None, **fields):
    made = made or parts()
    modalities = tuple(made["train"])
    return Dataset(
        **{
            "name": "toy",
            "feature_set": "plain",
            "modalities": modalities,
            "dims": dict.fromkeys(modalities, 8),
            "classes": tuple(f"c{k}" for k in range(CLASSES)),
            "multilabel": True,
            "sizes": {s: {m: len(i) for m, i in p.items()} for s, p in made.items()},
            "protocols": (Protocol("test", ("query",), ("gallery", "train", "val")),),
            "fingerprint": "0" * 64,
            "opener": Opener(made),
        }
        | fields
    )


def turned(made):
    """The same items in another order, each split and modality alike."""
    rng = np.random.default_rng(9)
    orders = {s: rng.permutation(SIZES[s]) for s in made}
    return {s: {m: i.take(orders[s]) for m, i in p.items()} for s, p in made.items()}


def by_id(items):
    arrays = zip(items.ids, items.instances, items.features.tolist(), items.labels.tolist(), strict=True)
    return {str(i): (str(n), f, y) for i, n, f, y in arrays}


def same(a, b):
    return all(
        np.array_equal(getattr(a[m], x), getattr(b[m], x))
        for m in a
        for x in ("ids", "instances", "features", "labels")
    )


EXAMPLES = [
    "noise=0.4",
    "noise=0.3:joint",
    "asymmetric=0.4",
    "unpaired=0.3",
    "missing=text:0.2",
    "missing=0.2",
    "train=0.1",
    "jitter=0.5",
    "jitter=query:0.5",
    "jitter=train:0.5",
    "unseen=0.4",
    "noise=0.2:seed=3",
]


def test_every_transform_has_an_example_that_is_tested():
    assert {parse(t).name for t in EXAMPLES} == set(TRANSFORMS)
    for kind in TRANSFORMS.values():
        assert parse(kind.example).text == kind.example
        assert kind.summary


@pytest.mark.parametrize("text", EXAMPLES)
def test_texts_are_canonical(text):
    transform = parse(text)
    assert transform.text == text
    assert parse(transform.text) == transform


def test_a_text_may_be_written_otherwise():
    assert parse("noise=.40:seed=0") == parse("noise=0.4")
    assert parse("missing=0.20:text").text == "missing=text:0.2"
    assert parse("noise=seed=3:0.4").text == "noise=0.4:seed=3"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nose=0.4", "did you mean noise"),
        ("noise", "expected noise=AMOUNT"),
        ("noise=", "expected noise=AMOUNT"),
        ("noise=much", "expected noise=AMOUNT"),
        ("noise=0.4:0.5", "expected noise=AMOUNT"),
        ("noise=0", "more than 0 and at most 1, not 0"),
        ("noise=1.5", "more than 0 and at most 1, not 1.5"),
        ("noise=0.4:loud", "'loud' means nothing"),
        ("noise=0.4:seed=x", "seed must be a whole number"),
        ("noise=0.4:seed=1:seed=2", "expected noise=AMOUNT"),
        ("train=0.4:text", "'text' means nothing"),
        ("missing=0.4:text:image", "'image' is one modality too many"),
        ("jitter=somewhere:0.5", "'somewhere' means nothing"),
        ("jitter=1000", "at most 100"),
        ("jitter=1e999", "at most 100"),
    ],
)
def test_texts_that_mean_nothing_are_refused(text, said):
    with pytest.raises(UsageError, match=said):
        parse(text)


def test_unknown_names_are_told_where_the_list_is():
    with pytest.raises(UnknownNameError, match="cmrbench list transforms"):
        parse("blur=3")


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_name_and_the_fingerprint_say_what_was_done(text):
    original = dataset()
    changed = apply(original, (text,))
    assert changed.name == f"toy+{text}"
    assert changed.transforms == (text,)
    assert changed.notes[-1].startswith(text)
    others = {apply(original, (t,)).fingerprint for t in EXAMPLES}
    assert len(others | {original.fingerprint}) == len(EXAMPLES) + 1
    assert apply(dataset(fingerprint="1" * 64), (text,)).fingerprint != changed.fingerprint
    assert apply(dataset(), (text,)).fingerprint == changed.fingerprint


@pytest.mark.parametrize("text", EXAMPLES)
def test_results_do_not_depend_on_the_order_of_the_items(text):
    made = parts(several="unseen" not in text)
    a, b = apply(dataset(made), (text,)), apply(dataset(turned(made)), (text,))
    for split in SPLITS:
        for m in ("image", "text"):
            assert by_id(a.part(split)[m]) == by_id(b.part(split)[m]), (split, m)


@pytest.mark.parametrize("text", EXAMPLES)
def test_a_split_does_not_depend_on_other_splits(text):
    made = parts()
    less = {s: {m: i.take(np.arange(len(i) - 10)) for m, i in p.items()} for s, p in made.items()}
    whole, cut = apply(dataset(made), (text,)), apply(dataset(made | {s: less[s] for s in SPLITS[1:]}), (text,))
    assert same(whole.part("train"), cut.part("train"))


@pytest.mark.parametrize(
    "text", [t for t in EXAMPLES if "unseen" not in t and t not in ("jitter=0.5", "jitter=query:0.5")]
)
def test_what_is_measured_stays_as_it_is(text):
    made = parts()
    changed = apply(dataset(made), (text,))
    for split in SPLITS:
        assert same(changed.measured(split), made[split])
    for split in ("query", "gallery"):
        assert same(changed.part(split), made[split])
    assert not same(changed.part("train"), made["train"])


@pytest.mark.parametrize("text", EXAMPLES)
def test_fitting_opens_no_test_items(text):
    opener = Opener(parts())
    changed = apply(dataset(opener.parts, opener=opener), (text,))
    assert opener.opened == []
    changed.part("train", "val")
    assert set(opener.opened) <= {"train", "val"}


@pytest.mark.parametrize("text", EXAMPLES)
def test_sizes_are_those_of_the_parts(text):
    changed = apply(dataset(), (text,))
    assert tuple(changed.sizes) == SPLITS
    for split in SPLITS:
        assert changed.sizes[split] == {m: len(i) for m, i in changed.part(split).items()}
    assert "test" not in changed.sizes
    with pytest.raises(DataError, match="no split 'test'"):
        changed.part("test")


@pytest.mark.parametrize("several", [False, True])
def test_symmetric_noise_changes_exactly_that_share_to_other_classes(several):
    made = parts(several)
    noisy = apply(dataset(made), ("noise=0.4",))
    for split in ("train", "val"):
        for m in ("image", "text"):
            before, after = made[split][m].labels, noisy.part(split)[m].labels
            wrong = (before != after).any(1)
            assert wrong.sum() == round(0.4 * SIZES[split])
            assert (before.sum(1) == after.sum(1)).all()
            assert (noisy.part(split)[m].features == made[split][m].features).all()
    a, b = (noisy.part("train")[m].labels for m in ("image", "text"))
    assert (a != b).any(1).mean() > 0.3  # each modality has its own noise


def test_modalities_with_the_same_ids_have_noise_of_their_own():
    made = {"train": {m: replace(_many(400), modality=m) for m in ("image", "text")}}
    got = apply(dataset(made), ("noise=0.5",)).part("train")
    wrong = [(got[m].labels != made["train"][m].labels).any(1) for m in got]
    assert 60 < (wrong[0] & wrong[1]).sum() < 140
    joint = apply(dataset(made), ("noise=0.5:joint",)).part("train")
    assert (joint["image"].labels == joint["text"].labels).all()


def test_symmetric_noise_reaches_all_other_classes_evenly():
    made = {"train": {"image": _many(4000), "text": _many(4000)}}
    after = apply(dataset(made), ("noise=1",)).part("train")["image"].labels
    table = made["train"]["image"].labels.astype(int).T @ after
    assert (np.diag(table) == 0).all()
    others = table[~np.eye(CLASSES, dtype=bool)]
    assert (abs(others - 200) < 5 * np.sqrt(200 * 0.75)).all()


def _many(n):
    names = np.array([f"i{k}" for k in range(n)])
    return Items("image", np.ones((n, 8), np.float32), names, names, np.eye(CLASSES, dtype=np.uint8)[np.arange(n) % 5])


def test_joint_noise_is_the_same_in_all_modalities():
    noisy = apply(dataset(), ("noise=0.4:joint",)).part("train")
    assert (noisy["image"].labels == noisy["text"].labels).all()


def test_more_noise_includes_less():
    made = parts()
    before = made["train"]["image"].labels
    little, much = (apply(dataset(made), (f"noise={x}",)).part("train")["image"].labels for x in (0.2, 0.6))
    wrong = (before != little).any(1)
    assert (little[wrong] == much[wrong]).all()
    other = apply(dataset(made), ("noise=0.2:seed=1",)).part("train")["image"].labels
    assert not (little == other).all()


def test_asymmetric_noise_moves_to_the_next_class():
    made = parts()
    before, after = made["train"]["text"].labels, apply(dataset(made), ("asymmetric=0.3",)).part("train")["text"].labels
    wrong = (before != after).any(1)
    assert wrong.sum() == 60
    assert ((before[wrong].argmax(1) + 1) % CLASSES == after[wrong].argmax(1)).all()


def test_shuffled_partners_are_other_items_with_labels_of_their_own():
    made = parts()
    original = {m: by_id(i) for m, i in made["train"].items()}
    got = apply(dataset(made), ("unpaired=0.3",)).part("train")
    assert same({"image": got["image"]}, {"image": made["train"]["image"]})
    assert (got["image"].instances == got["text"].instances).all()
    own = np.char.replace(got["text"].ids, "text-", "")
    assert (own != got["text"].instances).sum() == 60
    assert sorted(got["text"].ids) == sorted(made["train"]["text"].ids)
    for name, (_, features, labels) in by_id(got["text"]).items():
        assert (features, labels) == original["text"][name][1:]


def test_three_modalities_are_all_shuffled_differently():
    got = apply(dataset(parts(modalities=("image", "text", "audio"))), ("unpaired=0.3",)).part("train")
    a, b = (np.char.replace(got[m].ids, f"{m}-", "") for m in ("text", "audio"))
    moved = a != got["image"].instances
    assert moved.sum() == 60
    assert (a[moved] != b[moved]).all()
    with pytest.raises(DataError, match="2 of 200 complete instances of train cannot be shuffled among 3"):
        apply(dataset(parts(modalities=("image", "text", "audio"))), ("unpaired=0.01",)).part("train")


def test_captions_move_together():
    train = parts()["train"]
    captions = Items(
        "text",
        np.repeat(train["text"].features, 3, 0),
        np.array([f"{i}#{k}" for i in train["text"].ids for k in range(3)]),
        np.repeat(train["text"].instances, 3),
        np.repeat(train["text"].labels, 3, 0),
    )
    got = apply(dataset(parts() | {"train": train | {"text": captions}}), ("unpaired=0.5",)).part("train")["text"]
    assert (got.instances.reshape(-1, 3) == train["image"].instances[:, None]).all()
    owners = np.array([i.split("#")[0] for i in got.ids]).reshape(-1, 3)
    assert (owners == owners[:, :1]).all()
    assert (np.char.replace(owners[:, 0], "text-", "") != train["image"].instances).sum() == 100


def test_missing_items_are_of_the_named_modality_or_of_any():
    named = apply(dataset(), ("missing=text:0.2",))
    assert {m: len(i) for m, i in named.part("train").items()} == {"image": 200, "text": 160}
    assert {m: len(i) for m, i in named.part("val").items()} == {"image": 60, "text": 48}
    anyone = apply(dataset(), ("missing=0.2",)).part("train")
    lost = {m: set(parts()["train"][m].instances) - set(anyone[m].instances) for m in anyone}
    assert not lost["image"] & lost["text"]
    assert len(lost["image"]) + len(lost["text"]) == 40
    assert min(map(len, lost.values())) > 5
    with pytest.raises(DataError, match="no modality 'audio'; it has image, text"):
        apply(dataset(), ("missing=audio:0.2",))
    with pytest.raises(DataError, match="no text item is left in train"):
        apply(dataset(), ("missing=text:1",)).part("train")


@pytest.mark.parametrize("several", [False, True])
def test_smaller_training_sets_lie_within_larger_ones_and_keep_every_class(several):
    made = parts(several)
    # A class that only one item has, as its second label.
    rare = made["train"]["image"].labels.copy()
    rare[:, 4] = 0
    rare[rare.sum(1) == 0, 0] = 1
    rare[17, 4] = 1
    made["train"] = {m: Items(m, i.features, i.ids, i.instances, rare) for m, i in made["train"].items()}
    before: set[str] = set()
    for share in (0.02, 0.1, 0.3, 0.8):
        got = apply(dataset(made), (f"train={share}",)).part("train")
        now = set(got["image"].instances.tolist())
        assert before <= now
        assert got["image"].labels.any(0).all()
        assert (got["image"].instances == got["text"].instances).all()
        assert len(now) == max(CLASSES, share * 200)
        if share >= 0.1 and not several:
            first = [len(i) for i in _by_class(got["image"])]
            assert np.allclose(first, [share * len(i) for i in _by_class(made["train"]["image"])], atol=2)
        before = now
    whole = apply(dataset(made), ("train=1",)).part("train")
    assert same(whole, made["train"])


def _by_class(items):
    return [np.flatnonzero(items.labels.argmax(1) == k) for k in range(CLASSES)]


def test_feature_noise_is_relative_to_each_column_of_train():
    made = parts()
    shaken = apply(dataset(made), ("jitter=0.5",))
    for split in SPLITS:
        noise = shaken.part(split)["image"].features - made[split]["image"].features
        expected = 0.5 * made["train"]["image"].features.std(0)
        assert np.allclose(noise.std(0) / expected, 1, atol=0.35)
        assert noise.dtype == np.float32
    assert (shaken.measured("train")["image"].features == shaken.part("train")["image"].features).all()


def test_feature_noise_can_be_of_some_splits_only():
    made = parts()
    for where, splits in {"query": ("query",), "test": ("query", "gallery"), "train": ("train", "val")}.items():
        shaken = apply(dataset(made), (f"jitter={where}:0.5",))
        for split in SPLITS:
            changed = not same(shaken.part(split), made[split])
            assert changed == (split in splits), (where, split)


def test_feature_noise_needs_numbers():
    with pytest.raises(DataError, match="the text features of toy are tokens"):
        apply(dataset(kinds={"text": "tokens"}), ("jitter=0.5",))


def test_sets_of_vectors_are_shaken_too():
    made = parts()
    regions = {
        s: p
        | {"image": Items("image", np.random.default_rng(1).random((SIZES[s], 3, 4)).astype(np.float16), *_rest(p))}
        for s, p in made.items()
    }
    shaken = apply(dataset(regions, kinds={"image": "set"}), ("jitter=query:1",)).part("query")["image"].features
    assert shaken.shape == (50, 3, 4)
    assert shaken.dtype == np.float16
    assert (shaken != regions["query"]["image"].features).mean() > 0.9


def _rest(part):
    return part["image"].ids, part["image"].instances, part["image"].labels


def test_unseen_classes_are_only_searched_for():
    changed = apply(dataset(), ("unseen=0.4",))
    unseen = changed.part("query")["image"].labels.any(0)
    assert unseen.sum() == 2
    for split in ("train", "val"):
        assert (changed.part(split)["text"].labels.any(0) == ~unseen).all()
    for split in SPLITS:
        assert (changed.measured(split)["text"].labels.any(0) == unseen).all()
    assert not set(changed.measured("train")["text"].ids) & set(changed.part("train")["text"].ids)
    assert changed.sizes["train"]["text"] == 120


def test_unseen_classes_with_several_labels_share_no_item_with_seen_ones():
    changed = apply(dataset(parts(several=True)), ("unseen=0.4",))
    unseen = changed.part("query")["image"].labels.any(0)
    assert not changed.part("train")["image"].labels[:, unseen].any()
    assert not changed.part("query")["image"].labels[:, ~unseen].any()


@pytest.mark.parametrize("share", ["0.05", "0.95"])
def test_some_classes_must_be_seen_and_some_unseen(share):
    with pytest.raises(DataError, match="of the 5 classes of toy would be unseen"):
        apply(dataset(), (f"unseen={share}",))


@pytest.mark.parametrize("text", ["noise=0.4", "asymmetric=0.1", "unseen=0.5"])
def test_what_is_about_labels_needs_labels(text):
    with pytest.raises(DataError, match="toy has no labels"):
        apply(dataset(classes=()), (text,))


def test_a_class_that_is_left_without_training_items_is_said():
    made = parts()
    labels = np.eye(CLASSES, dtype=np.uint8)[np.r_[np.arange(199) % 4, 4]]
    made["train"] = {m: Items(m, i.features, i.ids, i.instances, labels) for m, i in made["train"].items()}

    def said(seed):
        try:
            apply(dataset(made), (f"missing=text:0.3:seed={seed}",)).part("train")
        except DataError as error:
            return str(error)
        return ""

    answers = {said(seed) for seed in range(40)}
    assert "" in answers
    assert len(answers) > 1
    assert all("class 'c4' is left without a training text item" in a for a in answers - {""})


def test_items_with_every_label_cannot_be_wrong():
    made = parts()
    made["train"] = {
        m: Items(m, i.features, i.ids, i.instances, np.ones((200, CLASSES), np.uint8)) for m, i in made["train"].items()
    }
    with pytest.raises(DataError, match="has every label"):
        apply(dataset(made), ("noise=0.1",)).part("train")


def test_transforms_compose_in_order():
    made = parts()
    both = apply(dataset(made), ("train=0.5", "noise=0.4"))
    assert both.name == "toy+train=0.5+noise=0.4"
    assert len(both.part("train")["image"]) == 100
    step = apply(apply(dataset(made), ("train=0.5",)), ("noise=0.4",))
    assert step.fingerprint == both.fingerprint
    assert same(step.part("train"), both.part("train"))
    other = apply(dataset(made), ("noise=0.4", "train=0.5"))
    assert other.fingerprint != both.fingerprint
    assert same(both.measured("train"), made["train"])
    shaken = apply(dataset(made), ("noise=0.4", "jitter=0.5"))
    assert (shaken.measured("train")["text"].labels == made["train"]["text"].labels).all()
    assert not (shaken.part("train")["text"].labels == made["train"]["text"].labels).all()
    with pytest.raises(UsageError, match=r"noise=0.4 is named twice"):
        apply(dataset(), ("noise=0.4", "noise=.4"))


def test_texts_follow_their_items():
    made = parts()

    def describer(split, modality, what):
        return [f"about {i}" for i in made[split][modality].ids] if what == "texts" else None

    changed = apply(dataset(made, describer=describer), ("train=0.2", "unpaired=0.5"))
    items = changed.part("train")["text"]
    assert changed.texts("train", "text") == [f"about {i}" for i in items.ids]
    assert changed.pictures("train", "text") is None


def test_no_transform_is_no_change():
    original = dataset()
    assert apply(original, ()) is original
