"""Checks on data that is legitimate and awkward."""

from __future__ import annotations

from cmrbench.testing.case import Case, NotApplicable
from cmrbench.testing.check import check
from cmrbench.testing.checks.outputs import need_valid
from cmrbench.testing.data import each, first_of_each_class, small_dataset, take, with_constant_columns, with_parts

BATCH_PARAMETERS = ("batch_size", "batch")


@check("modalities of very unequal dimensions (5 and 33 columns)")
def check_unequal_dims(case: Case) -> None:
    """More bits or dimensions than the narrower modality has columns are normal: wiki's texts have 10."""
    need_valid(case.fit(small_dataset(len(case.dataset.modalities), dims=(5, 33))))


@check("three modalities, where the method takes more than two")
def check_three_modalities(case: Case) -> None:
    """Nothing knows image and text specially."""
    fewest, most = case.info.modalities
    if most is not None and most < 3:
        raise NotApplicable(f"it takes at most {most} modalities")
    need_valid(case.fit(small_dataset(max(3, fewest))))


@check("one modality with fewer training items, where info.pairs is False")
def check_fewer_items(case: Case) -> None:
    """Methods that declare that they need no pairs are handed unpaired items."""
    if case.info.pairs:
        raise NotApplicable("it learns from pairs")
    dataset = case.dataset
    last = dataset.modalities[-1]
    parts = {}
    for split in ("train", "val"):
        parts[split] = dataset.part(split)
        parts[split][last] = take(parts[split][last], 0, len(parts[split][last]), 2)
    need_valid(case.fit(with_parts(dataset, **parts)))


@check("items with one label each")
def check_unilabel(case: Case) -> None:
    """A row of labels with a single 1."""
    need_valid(case.fitted)


@check("items with several labels each, where info.multilabel is True")
def check_multilabel(case: Case) -> None:
    """A row of labels with any number of ones."""
    if not case.info.multilabel:
        raise NotApplicable("it learns from items with one label each")
    need_valid(case.fit(small_dataset(len(case.dataset.modalities), multilabel=True)))


@check("one training item per class")
def check_one_item_per_class(case: Case) -> None:
    """Covariances within a class are zero, and there are fewer items than columns."""
    dataset = case.dataset
    train = each(dataset.part("train"), first_of_each_class)
    # A method that does not select gets val as part of train: there must be none.
    val = each(dataset.part("val"), first_of_each_class if case.info.selects else lambda items: take(items, 0, 0))
    need_valid(case.fit(with_parts(dataset, train=train, val=val)))


@check("constant feature columns, zeros among them")
def check_constant_columns(case: Case) -> None:
    """Standardising divides by their deviation, which is 0."""
    parts = {split: each(case.dataset.part(split), with_constant_columns) for split in case.dataset.sizes}
    need_valid(case.fit(with_parts(case.dataset, **parts)))


@check("numbers of items that the batch size does not divide, with one item left over")
def check_uneven_batches(case: Case) -> None:
    """The last batch holds a single item: batch normalisation and pair losses trip over it."""
    name = case.parameter(*BATCH_PARAMETERS)
    if name is None:
        raise NotApplicable(f"it has no parameter {' or '.join(BATCH_PARAMETERS)}")
    size, dataset = 16, case.dataset
    train = each(dataset.part("train"), lambda items: take(items, 0, 5 * size + 1))
    # A method that does not select gets val as part of train: 6 * 16 + 1 items.
    val = each(dataset.part("val"), lambda items: take(items, 0, size + 1 if case.info.selects else size))
    need_valid(case.fit(with_parts(dataset, train=train, val=val), method=case.make(**{name: size})))
