"""Synthetic data: what is asked for is what comes, and it can be learned."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from cmrbench.core.errors import UsageError
from cmrbench.data import load_dataset, make_synthetic


@pytest.mark.parametrize("multilabel", [False, True])
def test_every_query_has_a_relevant_item(multilabel: bool) -> None:
    dataset = make_synthetic(n_train=12, n_val=0, n_query=5, n_gallery=5, classes=5, multilabel=multilabel, density=0.4)
    query, gallery = dataset.part("query")["image"], dataset.part("gallery")["text"]
    assert ((query.labels.astype(int) @ gallery.labels.T) > 0).any(1).all()
    assert tuple(dataset.sizes) == ("train", "query", "gallery")
    assert dataset.part("train")["text"].labels.any(0).all()


def test_seeds() -> None:
    assert make_synthetic(seed=4).fingerprint == make_synthetic(seed=4).fingerprint
    assert make_synthetic(seed=4).fingerprint != make_synthetic(seed=5).fingerprint
    # A larger gallery leaves the training items alone.
    a, b = make_synthetic(n_gallery=50), make_synthetic(n_gallery=70)
    np.testing.assert_array_equal(a.part("train")["text"].features, b.part("train")["text"].features)


def test_names() -> None:
    assert make_synthetic().name == load_dataset("synthetic").name == "synthetic"
    assert load_dataset("synthetic", n_train=100, classes=5).name == "synthetic[classes=5,n_train=100]"
    assert make_synthetic(dims=(32, 16), modalities=2).name == "synthetic"


def test_modalities_and_dims() -> None:
    dataset = make_synthetic(modalities=6, dims=4)
    assert dataset.modalities == ("image", "text", "audio", "video", "3d", "m6")
    assert set(dataset.dims.values()) == {4}
    dataset = make_synthetic(modalities=("sketch", "photo"), dims={"sketch": 3, "photo": 5})
    assert {m: i.features.shape[1] for m, i in dataset.part("val").items()} == {"sketch": 3, "photo": 5}


def test_density() -> None:
    dataset = make_synthetic(n_train=4000, classes=10, multilabel=True, density=0.35)
    labels = dataset.part("train")["image"].labels
    # 4,000 x 10 draws: the standard error of the share is below 0.0025.
    assert labels.mean() == pytest.approx(0.35, abs=0.01)
    assert dataset.multilabel
    assert (make_synthetic().part("train")["image"].labels.sum(1) == 1).all()


def test_noise_decides_how_far_classes_lie_apart() -> None:
    def nearest_centre_accuracy(noise: float) -> float:
        dataset = make_synthetic(n_train=600, noise=noise, dims=16)
        train, test = dataset.part("train")["text"], dataset.part("query")["text"]
        centres = np.stack([train.features[train.labels[:, k] == 1].mean(0) for k in range(6)])
        distances = ((test.features[:, None] - centres) ** 2).sum(-1)
        return float((distances.argmin(1) == test.labels.argmax(1)).mean())

    assert nearest_centre_accuracy(0.3) == 1
    assert nearest_centre_accuracy(30) < 0.5


def test_labels_come_in_random_order() -> None:
    first = make_synthetic(n_gallery=600).part("gallery")["image"].labels.argmax(1)
    # Neighbours agree one time in six; 599 pairs: the standard error is 0.015. Blocks give 1, a cycle gives 0.
    assert (np.diff(first) == 0).mean() == pytest.approx(1 / 6, abs=0.06)


def test_a_dataset_can_be_sent_to_a_process() -> None:
    dataset = make_synthetic()
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again.part("query")["text"].features, dataset.part("query")["text"].features)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"classes": 1}, "classes must be at least 2, got 1"),
        ({"n_gallery": 5}, "n_gallery = 5 cannot hold every one of 6 classes"),
        ({"noise": -1}, "noise must not be negative"),
        ({"multilabel": True, "density": 0.1}, "density must lie between 1/classes = 0.167 and 1"),
        ({"modalities": 1}, "at least two modalities"),
        ({"modalities": ("a", "a")}, "at least two modalities with different names"),
        ({"dims": {"image": 3}}, "dims must give a positive number for each of image, text"),
        ({"dims": 0}, "dims must give a positive number"),
        ({"n_train": "many"}, "n_train must be a whole number, got 'many'"),
        ({"n_train": 10.5}, "n_train must be a whole number, got 10.5"),
        ({"n_train": True}, "n_train must be a whole number, got True"),
        ({"multilabel": 1}, "multilabel must be true or false, got 1"),
        ({"noise": "loud"}, "noise must be a number"),
    ],
)
def test_wrong_parameters(params: dict[str, object], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        load_dataset("synthetic", **params)
