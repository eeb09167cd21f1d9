"""DCDH, a reconstruction: the choice of atoms, the codes over them, and the spectral embedding, by their definitions.

There are no reference numbers: no code of the authors is known.
"""

from itertools import combinations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.core.items import Items
from cmrbench.data import make_synthetic
from cmrbench.method import Context
from cmrbench_methods.supervised_hash.dcdh import DCDH, facility_location, local_codes, spectral_directions


def relabelled(train, labels):
    return {m: Items(m, i.features, i.ids, i.instances, labels.astype(np.uint8)) for m, i in train.items()}


def covered(similarity, chosen):
    return similarity[:, list(chosen)].max(axis=1).sum()


def test_greedy_atoms_come_near_the_best_set(rng):
    for _ in range(20):
        z = rng.standard_normal((9, 2))
        similarity = np.exp(-((z[:, None] - z) ** 2).sum(axis=2))
        best = max(covered(similarity, chosen) for chosen in combinations(range(9), 3))
        chosen = facility_location(similarity, 3)
        assert len(set(chosen)) == 3
        assert covered(similarity, chosen) >= (1 - 1 / np.e) * best
        for step in range(3):
            values = [covered(similarity, [*chosen[:step], j]) for j in range(9)]
            assert values[chosen[step]] == pytest.approx(max(values))


def test_atoms_are_distinct_where_items_are_copies():
    assert sorted(facility_location(np.ones((4, 4)), 9)) == [0, 1, 2, 3]


def test_local_codes_are_normalised_kernel_values_of_the_nearest():
    d = np.array([[3.0, 1.0, 2.0, 9.0], [np.inf, 4.0, np.inf, np.inf], [np.inf] * 4, [2000.0, 2001.0, 3000.0, 4000.0]])
    near = np.exp([0.0, -1.0]) / np.exp([0.0, -1.0]).sum()
    expected = [[0, near[0], near[1], 0], [0, 1, 0, 0], [0, 0, 0, 0], [near[0], near[1], 0, 0]]
    np.testing.assert_allclose(local_codes(d, 2), expected, atol=1e-15)
    np.testing.assert_allclose(local_codes(d, 9)[0], np.exp(-d[0]) / np.exp(-d[0]).sum())


def test_the_embedding_is_the_graph_without_its_constant(rng):
    Z = rng.random((30, 8)) * (rng.random((30, 8)) > 0.6)
    Z[:, 0] += 0.1
    Z[:, 7] = 0  # an atom that codes nothing
    Z /= Z.sum(axis=1, keepdims=True)
    Z[5] = 0  # an item that no atom codes
    mass = Z.sum(axis=0)
    graph = Z[:, :7] @ np.diag(1 / mass[:7]) @ Z[:, :7].T
    coded = (Z.sum(axis=1) > 0).astype(float)
    np.testing.assert_allclose(graph @ coded, coded, atol=1e-12)
    E = Z @ spectral_directions(csr_matrix(Z))
    np.testing.assert_allclose(E @ E.T, graph - np.outer(coded, coded) / coded.sum(), atol=1e-12)
    np.testing.assert_allclose(E.sum(axis=0), 0, atol=1e-12)
    strength = (E**2).sum(axis=0)
    assert (np.diff(strength) <= 1e-12).all()
    np.testing.assert_allclose(E.T @ E, np.diag(strength), atol=1e-12)


def test_every_class_has_as_many_atoms():
    train = small_items(n=90, n_classes=3)
    classes = np.repeat([0, 1, 2], [60, 20, 10])
    train = relabelled(train, np.eye(3)[classes])
    method = DCDH(atoms=30).fit(train, None, Context(bits=8))
    assert np.bincount(classes[method.atoms_]).tolist() == [10, 10, 10]
    method = DCDH(atoms=60).fit(train, None, Context(bits=8))
    assert np.bincount(classes[method.atoms_]).tolist() == [20, 20, 10]
    method = DCDH(atoms=2).fit(train, None, Context(bits=2))
    assert np.bincount(classes[method.atoms_]).tolist() == [1, 1, 1]


def test_training_pairs_are_coded_by_atoms_of_their_classes():
    data = make_synthetic(n_train=200, classes=6, multilabel=True, noise=1.5, seed=3)
    train, context = data.part("train"), Context(bits=8)
    method = DCDH(atoms=36).fit(train, None, context)
    Z = context.memo["codes"].value.toarray()
    labels = next(iter(train.values())).labels.astype(int)
    assert ((Z > 0) <= (labels @ labels[method.atoms_].T > 0)).all()
    np.testing.assert_allclose(Z.sum(axis=1), 1)
    assert (Z > 0).sum(axis=1).max() == 5
    assert len(set(method.atoms_)) == len(method.atoms_)


@pytest.mark.parametrize("multilabel", [False, True])
def test_codes_follow_the_labels(multilabel):
    data = make_synthetic(n_train=300, classes=6, multilabel=multilabel, noise=0.5, seed=3)
    train = data.part("train")
    image, text = train
    method = DCDH(atoms=60).fit(train, None, Context(bits=32))
    codes = method.encode_train(image).astype(int)
    np.testing.assert_array_equal(codes, method.encode_train(text))
    labels = train[image].labels.astype(int)
    shared, products = labels @ labels.T > 0, codes @ codes.T
    assert products[shared].mean() > products[~shared].mean() + 4
    for m in train:
        assert (method.encode(m, train[m].features) == codes).mean() > 0.75, m


def test_items_without_labels_are_similar_to_nothing(caplog):
    train = small_items(n=60, noise=0.3)
    labels = next(iter(train.values())).labels.copy()
    labels[:10] = 0
    context = Context(bits=2)
    method = DCDH(atoms=12).fit(relabelled(train, labels), None, context)
    assert "10 of 60 training items have no label" in caplog.text
    assert (method.atoms_ >= 10).all()
    assert not context.memo["codes"].value[:10].toarray().any()
    for m, items in train.items():
        learned = method.encode_train(m)
        assert (learned[:10] == method.encode(m, items.features[:10])).mean() > 0.9


def test_more_bits_than_directions_repeat_with_a_warning(caplog):
    train = small_items(n=30)
    method = DCDH(atoms=3).fit(train, None, Context(bits=8))
    assert "repeat the first ones" in caplog.text
    codes = method.encode_train("image")
    np.testing.assert_array_equal(codes[:, :2], codes[:, 2:4])


def test_refuses_what_it_cannot_work_with():
    train = small_items(n=20)
    for bad in ({"atoms": 0}, {"neighbours": 0}, {"ridge": 0.0}):
        with pytest.raises(MethodError, match="dcdh"):
            DCDH(**bad).fit(train, None, Context(bits=4))
    one_class = relabelled(train, np.ones((20, 1)))
    with pytest.raises(MethodError, match="1 atoms tell no training items apart"):
        DCDH(atoms=1).fit(one_class, None, Context(bits=4))
    flat = {m: Items(m, np.full_like(i.features, 0.1), i.ids, i.instances, i.labels) for m, i in train.items()}
    with pytest.raises(MethodError, match="image features of the training items are the same"):
        DCDH().fit(train | {"image": flat["image"]}, None, Context(bits=4))


def test_two_pairs_are_enough():
    train = small_items(n=2, n_classes=2)
    method = DCDH().fit(train, None, Context(bits=4))
    codes = method.encode_train("image")
    assert (codes[0] == -codes[1]).all()
