"""Features of one's own: a file in any known layout becomes a feature set with a name, or nothing happens."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import array_files
import h5py
import made_data
import numpy as np
import pytest
from commands import invoked
from scipy.io import savemat
from typer.testing import CliRunner

from cmrbench.cli.data import app
from cmrbench.core.errors import DataError, UsageError
from cmrbench.data import import_dataset, load_dataset
from cmrbench.data.catalogue import Catalogue, load_catalogue
from cmrbench.data.importing.inspecting import Wanted

N, TRAIN = 60, 40
HOT = np.eye(3, dtype=np.uint8)[np.arange(N) % 3]
TEST = {"name": "test", "query": ["query"], "gallery": ["query"], "metrics": ["mAP@all"]}


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "title": "Mine",
        "summary": "Made for a test.",
        "licence": "none",
        "citation": "none",
        "labels": {"multilabel": True},
        "protocols": [TEST],
        "splits": {"drawn": {"default": True, "scheme": {"kind": "draw", "query": 12, "train": "rest", "val": 6}}},
    } | changes


@pytest.fixture(autouse=True)
def cache(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and datasets without features, with some, and without labels."""
    registered = {"classes": 3, "names": ["ant", "bee", "cat"]}
    own = {"plain": {"default": True, "modalities": {m: {"extractor": "x"} for m in ("image", "text")}}}
    relevance = [TEST | {"relevance": "instance"}]
    gallery = {"name": "query-gallery", "query": ["query"], "gallery": ["gallery"], "splits": ["drawn"]}
    database = gallery | {"name": "query-database", "gallery": ["gallery", "train", "val"]}
    scheme = {"kind": "draw", "query": 12, "train": 24, "val": 6, "gallery": "rest"}
    drawn = {"drawn": {"default": True, "scheme": scheme}, "other": {"scheme": scheme}}
    datasets = {
        "hashing": entry(protocols=[gallery, database, TEST | {"splits": ["other"]}], splits=drawn),
        "strict": entry(protocols=[gallery], splits=drawn),
        "mine": entry(),
        "named": entry(labels=registered),
        "sourced": entry(builder="npz", feature_sets=own, sources=[{"file": "data.npz"}, {"file": "more.npz"}]),
        "pairs": entry(labels=None, protocols=relevance),
    }
    monkeypatch.setenv("CMRBENCH_DATASETS", str(made_data.write_catalogue(tmp_path / "mine.yaml", datasets)))
    return own_cache


def catalogue() -> Catalogue:
    return load_catalogue()


def features(d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((N, d)).astype(np.float32)


def halves() -> dict[str, np.ndarray]:
    """The I_tr layout."""
    whole = {"I": features(5), "T": features(4, 1), "L": HOT}
    return {f"{k}_tr": v[:TRAIN] for k, v in whole.items()} | {f"{k}_te": v[TRAIN:] for k, v in whole.items()}


def mat(path: Path, **changes: Any) -> Path:
    savemat(path, halves() | changes)
    return path


def output(*arguments: object, code: int = 0) -> str:
    return invoked(app, *arguments, code=code).stdout


def files_in(cache: Path) -> list[Path]:
    return [p for p in cache.rglob("*") if p.is_file()]


def test_a_mat_becomes_a_feature_set(tmp_path: Path, cache: Path) -> None:
    brought = import_dataset("mine", mat(tmp_path / "deep.mat"))
    assert brought.folder == cache / "features" / "mine" / "imported"
    assert brought.sizes == {
        "train": {"image": 37, "text": 37},
        "val": {"image": 3, "text": 3},
        "query": {"image": 20, "text": 20},
    }
    (tmp_path / "deep.mat").unlink()
    dataset = load_dataset("mine")
    assert dataset.feature_set == "imported"
    assert {s: n["image"] for s, n in dataset.sizes.items()} == {"train": 37, "val": 3, "query": 20}
    np.testing.assert_array_equal(dataset.part("query")["image"].features, features(5)[TRAIN:])
    np.testing.assert_array_equal(dataset.part("query")["text"].labels, HOT[TRAIN:])
    assert dataset.dims == {"image": 5, "text": 4}
    assert load_dataset("mine/imported").fingerprint == dataset.fingerprint


def test_a_file_without_a_split_gets_the_dataset_s_own(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"XAll": features(5), "YAll": features(4, 1), "LAll": HOT})
    import_dataset("mine", tmp_path / "a.mat")
    assert {s: n["image"] for s, n in load_dataset("mine").sizes.items()} == {"train": 42, "val": 6, "query": 12}


@pytest.mark.parametrize("kind", ["mat73", "h5", "npz", "folder of npy", "folder of mat"])
def test_every_format_gives_the_same_dataset(kind: str, tmp_path: Path) -> None:
    import_dataset("mine", mat(tmp_path / "a.mat"), wanted=Wanted(feature_set="first"))
    path = tmp_path / ("b" if kind.startswith("folder") else f"b.{kind.replace('mat73', 'mat')}")
    if kind == "mat73":
        array_files.save_mat73(path, **halves())
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            for name, value in halves().items():
                file[name] = value
    elif kind == "npz":
        np.savez(path, **halves())
    else:
        path.mkdir()
        for name, value in halves().items():
            np.save(path / f"{name}.npy", value) if "npy" in kind else savemat(path / f"{name}.mat", {name: value})
    import_dataset("mine", path, wanted=Wanted(feature_set="second"))
    assert load_dataset("mine/second").fingerprint == load_dataset("mine/first").fingerprint


def test_provenance_is_written_down(tmp_path: Path, cache: Path) -> None:
    from cmrbench.core.hashing import digest_file

    about = ("AlexNet fc7", "text=bag of 1,386 tags")
    path = mat(tmp_path / "größe.mat", T_tr=features(4, 1)[:TRAIN].T, T_te=features(4, 1)[TRAIN:].T)
    import_dataset("mine", path, wanted=Wanted(feature_set="alex", about=about, transpose=("text",)))
    record = json.loads((cache / "features" / "mine" / "alex" / "feature_set.json").read_text(encoding="utf-8"))
    told = record["provenance"]
    assert told["from"] == "größe.mat"
    assert told["files"]["größe.mat"] == {"bytes": path.stat().st_size, "sha256": digest_file(path)}
    assert told["imported"].startswith("20")
    assert record["options"]["mapping"]["image_train"] == "I_tr"
    assert record["options"]["transpose"] == ["text"]
    assert record["modalities"]["image"] == {"extractor": "AlexNet fc7", "dims": 5}
    assert record["modalities"]["text"] == {"extractor": "bag of 1,386 tags", "dims": 4}
    assert {"role": "text_train", "array": "T_tr", "shape": [4, 40], "dtype": "float32", "transposed": True} in told[
        "arrays"
    ]
    assert str(tmp_path) not in json.dumps(record)


def test_what_does_not_validate_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    zero = features(4, 1)[:TRAIN].copy()
    zero[7] = 0
    with pytest.raises(DataError, match=r"array 'T_tr': row 7 is all zero; leave such items out with --drop-empty"):
        import_dataset("mine", mat(tmp_path / "a.mat", T_tr=zero))
    assert not files_in(cache)
    import_dataset("mine", tmp_path / "a.mat", wanted=Wanted(drop_empty=True))
    assert load_dataset("mine").sizes["train"]["image"] == 36
    shutil.rmtree(cache)
    with pytest.raises(DataError, match="labels are numbered 1 to 2 of 3 classes: that is neither 0 to 2 nor 1 to 3"):
        import_dataset("named", mat(tmp_path / "b.mat", L_tr=np.ones((40, 1)), L_te=np.full((20, 1), 2)))
    broken = features(5)[:TRAIN].copy()
    broken[3, 2] = np.nan
    with pytest.raises(DataError, match=r"array 'I_tr': row 3 holds nan in column 2"):
        import_dataset("mine", mat(tmp_path / "c.mat", I_tr=broken))
    assert not files_in(cache)


def test_messages_name_the_users_own_file(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        import_dataset("mine", mat(tmp_path / "a.mat", L_tr=-HOT[:TRAIN].astype(float)))
    assert str(caught.value).startswith(f"{tmp_path}/a.mat: array 'L_tr': row 0 holds -1.0")


def test_protocols_are_those_that_the_split_has_items_for(tmp_path: Path) -> None:
    arrays = halves() | {f"{k}_db": np.concatenate([halves()[f"{k}_tr"], -halves()[f"{k}_te"]]) for k in "IT"}
    arrays["L_db"] = np.concatenate([halves()["L_tr"], halves()["L_te"]])
    import_dataset("hashing", mat(tmp_path / "a.mat", **arrays))
    dataset = load_dataset("hashing")
    assert {s: n["text"] for s, n in dataset.sizes.items()} == {"train": 37, "val": 3, "query": 20, "gallery": 20}
    assert [p.name for p in dataset.protocols] == ["query-gallery", "query-database", "test"]
    import_dataset("hashing", mat(tmp_path / "b.mat"), wanted=Wanted(feature_set="two"))
    assert [p.name for p in load_dataset("hashing/two").protocols] == ["test"]
    with pytest.raises(DataError, match=r"has the splits train, val, query, by which no protocol of strict can be"):
        import_dataset("strict", tmp_path / "b.mat")


def test_a_name_is_not_taken_twice(tmp_path: Path) -> None:
    path = mat(tmp_path / "a.mat")
    import_dataset("mine", path)
    before = load_dataset("mine").fingerprint
    mat(path, I_te=features(5, 9)[TRAIN:])
    with pytest.raises(UsageError, match="has a local feature set 'imported' already"):
        import_dataset("mine", path)
    assert load_dataset("mine").fingerprint == before
    import_dataset("mine", path, wanted=Wanted(replace=True))
    assert load_dataset("mine").fingerprint != before


def test_a_failed_replacement_leaves_the_old_one(tmp_path: Path) -> None:
    import_dataset("mine", mat(tmp_path / "a.mat"))
    before = load_dataset("mine").fingerprint
    with pytest.raises(DataError, match="one item a column"):
        import_dataset("mine", mat(tmp_path / "b.mat", I_tr=features(5)[:TRAIN].T), wanted=Wanted(replace=True))
    assert load_dataset("mine").fingerprint == before


@pytest.mark.parametrize("name", ["Mine", "../up", "a/b", ".hidden", "a b", "x" * 65])
def test_names_of_feature_sets(name: str, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(UsageError, match="is no name of a feature set"):
        import_dataset("mine", mat(tmp_path / "a.mat"), wanted=Wanted(feature_set=name))
    assert not files_in(cache)


def test_a_registered_name_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sourced/plain is a registered feature set; call yours otherwise with --as"):
        import_dataset("sourced", mat(tmp_path / "a.mat"), wanted=Wanted(feature_set="plain"))


def test_source_files_are_not_taken_for_ones_own(tmp_path: Path) -> None:
    """A folder with a part of them is told what is missing; with --as, the same folder is one's own."""
    folder = tmp_path / "brought"
    folder.mkdir()
    np.savez(folder / "data.npz", **halves())
    with pytest.raises(DataError, match=r"does not hold sourced: expected data\.npz and more\.npz or an array file"):
        import_dataset("sourced", folder)
    import_dataset("sourced", folder, wanted=Wanted(feature_set="mine"))
    assert load_dataset("sourced/mine").dims == {"image": 5, "text": 4}


def test_embedded_datasets_take_features_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(19), 4)
    arrays = {"image": rng.random((76, 3)), "text": rng.random((76, 2)), "label": labels}
    np.savez(tmp_path / "a.npz", **arrays, split=np.repeat(["train", "val", "query", "gallery"], 19))
    with pytest.raises(UsageError, match="call yours otherwise with --as"):
        import_dataset("emoji", tmp_path / "a.npz", wanted=Wanted(feature_set="multilingual"))
    import_dataset("emoji", tmp_path / "a.npz", wanted=Wanted(feature_set="own"))
    assert load_dataset("emoji/own").sizes["gallery"] == {"image": 19, "text": 19}
    assert load_dataset("emoji").feature_set == "classic-minilm"


def test_share_for_validation(tmp_path: Path) -> None:
    path = mat(tmp_path / "a.mat")
    import_dataset("mine", path, wanted=Wanted(val=0.25))
    assert load_dataset("mine").sizes["val"]["text"] == 10
    import_dataset("mine", path, wanted=Wanted(val=0, feature_set="none"))
    assert "val" not in load_dataset("mine/none").sizes
    with pytest.raises(UsageError, match=r"--val 10 is no share of the training items"):
        import_dataset("mine", path, wanted=Wanted(val=10))


def test_datasets_without_labels(tmp_path: Path) -> None:
    arrays = halves()
    savemat(tmp_path / "a.mat", {k: v for k, v in arrays.items() if k[0] != "L"})
    import_dataset("pairs", tmp_path / "a.mat")
    assert load_dataset("pairs").part("train")["image"].labels is None


def test_links_are_refused(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "link.mat").symlink_to(mat(tmp_path / "a.mat"))
    with pytest.raises(DataError, match=r"link\.mat is a symbolic link"):
        import_dataset("mine", tmp_path / "link.mat")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b.mat").symlink_to(tmp_path / "a.mat")
    with pytest.raises(DataError, match=r"b\.mat is a symbolic link"):
        import_dataset("mine", tmp_path / "folder")
    assert not files_in(cache)


def test_a_file_that_changes_later_is_noticed(tmp_path: Path, cache: Path) -> None:
    brought = import_dataset("mine", mat(tmp_path / "a.mat"))
    with (brought.folder / "a.mat").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match=r"a\.mat is not the registered file: its SHA-256 is"):
        load_dataset("mine")


def test_command(tmp_path: Path, cache: Path) -> None:
    path = mat(tmp_path / "a.mat", T_tr=features(4, 1)[:TRAIN].T, T_te=features(4, 1)[TRAIN:].T, param=np.ones((2, 2)))
    arguments = ("import", "mine", "--from", path, "--transpose", "text")
    shown = " ".join(output(*arguments, "--dry-run").split())
    for part in ("image_train", "I_tr", "40 x 5", "transposed", "20 x 4", "not used: param (2 x 2 float64)"):
        assert part in shown
    listed = json.loads(output(*arguments, "--dry-run", "--json"))
    assert [a["role"] for a in listed["arrays"]][:2] == ["image_train", "image_test"]
    assert not files_in(cache)
    done = output(*arguments, "--as", "mine", "--about", "VGG-19 fc7")
    assert "imported mine/mine: train 37, val 3, query 20; use it as mine/mine" in done
    described = json.loads(output(*arguments, "--as", "again", "--json"))
    assert described["sizes"]["query"] == {"image": 20, "text": 20}
    assert load_dataset("mine/again").fingerprint == load_dataset("mine/mine").fingerprint


def test_a_dry_run_sees_what_shapes_show(tmp_path: Path, cache: Path) -> None:
    path = mat(tmp_path / "a.mat", T_tr=features(4, 1)[:TRAIN].T, T_te=features(4, 1)[TRAIN:].T)
    with pytest.raises(DataError, match=r"one item a column, .* say --transpose text$"):
        output("import", "mine", "--from", path, "--dry-run")
    with pytest.raises(DataError, match=r"--transpose text$"):
        import_dataset("mine", path)
    assert not cache.exists()


def test_command_asks_for_what_is_ambiguous(tmp_path: Path) -> None:
    path = mat(tmp_path / "a.mat", I_tr_cnn=features(6)[:TRAIN], I_te_cnn=features(6)[TRAIN:])
    result = CliRunner().invoke(app, ["import", "mine", "--from", str(path)])
    assert isinstance(result.exception, DataError)
    assert "choose one with --map" in result.stdout
    assert "image_train could be 'I_tr' or 'I_tr_cnn'" in str(result.exception)
    chosen = ("--map", "image_train=I_tr_cnn", "--map", "image_test=I_te_cnn")
    output("import", "mine", "--from", path, *chosen)
    assert load_dataset("mine").dims["image"] == 6


def test_command_counts_what_it_leaves_out(tmp_path: Path) -> None:
    label = HOT[:TRAIN].copy()
    label[[1, 4]] = 0
    path = mat(tmp_path / "a.mat", L_tr=label)
    with pytest.raises(DataError, match="--drop-unlabelled"):
        output("import", "mine", "--from", path)
    shown = output("import", "mine", "--from", path, "--drop-unlabelled")
    assert "note: image: 2 items without a label left out" in shown
    assert load_dataset("mine").notes[0].startswith("image: 2 items without a label")


def test_an_alias_says_what_it_is_taken_for(tmp_path: Path) -> None:
    result = invoked(app, "import", "nus", "--from", mat(tmp_path / "a.mat"), "--dry-run")
    assert catalogue().note("nus") in result.output


def test_names_of_classes_that_differ(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **halves(), class_names=np.array(["ant", "bee", "dog"]))
    with pytest.raises(DataError, match=r"names of classes differ .* leave them out with --map class_names="):
        import_dataset("named", tmp_path / "a.npz")
    import_dataset("named", tmp_path / "a.npz", wanted=Wanted(mapping=("class_names=",)))
    assert load_dataset("named").classes == ("ant", "bee", "cat")


def test_command_on_source_files(tmp_path: Path) -> None:
    folder = tmp_path / "brought"
    folder.mkdir()
    for name in ("data.npz", "more.npz"):
        np.savez(folder / name, **halves())
    assert "is read as the source files of sourced" in output("import", "sourced", "--from", folder, "--dry-run")


def test_spaces_and_scripts_in_names(tmp_path: Path) -> None:
    folder = tmp_path / "мои данные"
    folder.mkdir()
    for name, value in halves().items():
        np.save(folder / f"{name}.npy", value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import_dataset("mine", folder)
    shutil.rmtree(folder)
    assert load_dataset("mine").sizes["query"]["image"] == 20
