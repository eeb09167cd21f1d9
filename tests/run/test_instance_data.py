"""Pictures with five captions each, from the files to measured runs: what runs, what is declined and why."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cmrbench.core.errors import DataError
from cmrbench.data import load_catalogue, load_dataset
from cmrbench.registry import load_methods
from cmrbench.run.plan import RunRequest, plan_runs
from cmrbench.run.worker import carry_out

CATALOGUE = """
datasets:
  pictures:
    title: Pictures
    summary: Made for a test.
    licence: none
    citation: none
    builder: precomp
    folder: .
    sources: [{file: pictures.zip}]
    feature_sets:
      butd-pooled:
        default: true
        modalities: {image: {extractor: x, dims: 12}, text: {extractor: y}}
      butd-regions:
        modalities: {image: {extractor: x, kind: set, dims: 12}, text: {extractor: y, kind: tokens}}
    protocols:
      - {name: whole, query: [query], gallery: [query], relevance: instance, metrics: [hit@1, MedR]}
      - {name: folded, query: [query], gallery: [query], relevance: instance, metrics: [hit@1, MedR], folds: 4}
  captions:
    title: Captions
    summary: Made for a test.
    licence: none
    citation: none
    builder: captioned
    options: {layout: karpathy}
    folder: .
    sources: [{file: dataset_mine.json}]
    feature_sets:
      raw: {default: true, modalities: {image: {extractor: none, kind: raw}, text: {extractor: none, kind: raw}}}
    protocols:
      - {name: whole, query: [query], gallery: [query], relevance: instance, metrics: [hit@1]}
"""
SIZES = {"train": 30, "dev": 8, "test": 20}
NOUNS = ["dog", "man", "woman", "ball", "tree", "boat"]


@pytest.fixture(scope="module")
def catalogue_file(tmp_path_factory):
    """Regions that hold the first noun of a picture's captions."""
    from zipfile import ZipFile

    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(2)
    with ZipFile(folder / "pictures.zip", "w") as archive:
        for split, n in SIZES.items():
            nouns = rng.integers(0, 6, (n, 2))
            regions = 0.1 * rng.standard_normal((n, 3, 12)).astype(np.float32)
            regions[np.arange(n), 0, nouns[:, 0]] += 1
            regions[np.arange(n), 1, 6 + nouns[:, 1]] += 1
            with archive.open(f"data/f30k_precomp/{split}_ims.npy", "w") as file:
                np.save(file, regions)
            lines = [f"The {NOUNS[a]} and the small {NOUNS[b]}s ." for a, b in nouns for _ in range(5)]
            archive.writestr(f"data/f30k_precomp/{split}_caps.txt", "".join(f"{line}\n" for line in lines))
    images = [
        {"filename": f"{k}.jpg", "split": split, "sentences": [{"raw": f"caption {j} of {k}"} for j in range(5)]}
        for k, split in enumerate(["train", "train", "test", "test"])
    ]
    (folder / "dataset_mine.json").write_text(json.dumps({"images": images}))
    (folder / "datasets.yaml").write_text(CATALOGUE)
    return folder / "datasets.yaml"


def planned(catalogue_file, methods, dataset):
    request = RunRequest(methods, (dataset,), bits=(8,), device="cpu")
    return {run.spec.method: run for run in plan_runs(request, load_methods(), (str(catalogue_file),))}


def test_vector_methods_run_on_pooled_regions_and_word_counts(cache_dir, catalogue_file, monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    runs = planned(catalogue_file, ("cca", "random", "scm"), "pictures")
    assert "learns from labels, pictures has none" in runs["scm"].declined
    assert (runs["cca"].declined, runs["random"].declined) == ("", "")
    result = carry_out(runs["cca"])
    assert (result.status, result.cause) == ("done", "")
    assert result.n_train == 5 * (30 + 8)
    found = {(r.direction, r.protocol, r.metric): r for r in result.records}
    whole, folded = (found["text->image", protocol, "hit@1"] for protocol in ("whole", "folded"))
    assert (whole.n_query, whole.n_gallery, folded.n_query, folded.n_gallery) == (100, 20, 100, 5)
    assert (whole.chance, folded.chance) == (pytest.approx(1 / 20), pytest.approx(1 / 5))
    assert whole.value > 5 * whole.chance, "captions name what is in the picture"
    assert folded.value > whole.value
    assert found["image->text", "folded", "hit@1"].n_gallery == 25


def test_regions_and_tokens_are_declined_when_runs_are_planned(cache_dir, catalogue_file):
    runs = planned(catalogue_file, ("cca", "random"), "pictures/butd-regions")
    assert runs["cca"].declined == (
        "cca takes features of kind vector, pictures/butd-regions has image (set), text (tokens)"
    )
    dataset = load_dataset("pictures/butd-regions", catalogue=load_catalogue((str(catalogue_file),)))
    train = dataset.part("train")
    assert (train["image"].features.shape, train["text"].features.shape[0]) == ((30, 3, 12), 150)
    assert dataset.texts("train", "text")[0].startswith("The ")


def test_raw_data_is_declined_with_what_to_do(cache_dir, catalogue_file):
    (run,) = planned(catalogue_file, ("random",), "captions").values()
    assert run.declined == (
        "captions/raw has no image and text features yet: make some with `cmrbench extract captions` "
        "or bring them with `cmrbench data import`"
    )


def test_folds_of_label_relevance_are_refused_in_the_catalogue(catalogue_file, tmp_path):
    text = catalogue_file.read_text().replace("relevance: instance, metrics: [hit@1, MedR], folds: 4", "folds: 4")
    assert "folds: 4" in text
    (tmp_path / "datasets.yaml").write_text(text)
    with pytest.raises(DataError, match="'pictures': folds are of instances: folded needs relevance: instance"):
        load_catalogue((str(tmp_path / "datasets.yaml"),))
