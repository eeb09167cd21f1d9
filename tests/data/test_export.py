"""`cmrbench data export`: every format holds the same, says what one must know, and can be imported again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_data
import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import invoked
from scipy.io import loadmat

from cmrbench.cli.data import app
from cmrbench.core.dataset import Dataset
from cmrbench.core.errors import DataError, UnknownNameError
from cmrbench.core.items import Items
from cmrbench.data import load_catalogue, load_dataset
from cmrbench.data.exporting.export import export_dataset
from cmrbench.data.exporting.formats import FORMATS, together, write_mat
from cmrbench.data.exporting.layout import Column, Layout, layout
from cmrbench.data.files import open_arrays

FILES = {"npz": "data.npz", "h5": "data.h5", "mat": "data.mat", "parquet": "data.parquet", "folder": ""}


def export(*arguments: object) -> str:
    return invoked(app, "export", *arguments).stdout


@pytest.fixture
def mine(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset `mine` of 48 pairs, registered in a YAML file; a folder to write to."""
    made_data.register_in_place(tmp_path / "home", monkeypatch, licence="Only for tests.")
    return tmp_path / "out"


def imported(path: Path, name: str) -> Dataset:
    """What a colleague has who imports the file without a word."""
    invoked(app, "import", name, "--from", path, "--as", "theirs", "--val", 0)
    return load_dataset(f"{name}/theirs")


def same(a: Dataset, b: Dataset) -> None:
    assert tuple(a.sizes) == tuple(b.sizes)
    for split in a.sizes:
        for m in a.modalities:
            left, right = a.part(split)[m], b.part(split)[m]
            for array in ("features", "ids", "instances", "labels"):
                assert np.array_equal(getattr(left, array), getattr(right, array)), (split, m, array)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_imported_again_is_the_same_to_the_bit(mine: Path, kind: str) -> None:
    export("mine", "--format", kind, "--to", mine)
    again = imported(mine / FILES[kind], "mine")
    assert again.fingerprint == load_dataset("mine").fingerprint
    same(again, load_dataset("mine"))


@pytest.mark.parametrize("name", ["emoji", "openclipart_tags", "emoji/multilingual"])
def test_embedded_datasets_come_back_with_their_texts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = load_dataset(name)
    export(name, "--to", tmp_path / "out")
    monkeypatch.setenv("CMRBENCH_DATA", str(tmp_path / "cache"))
    again = imported(tmp_path / "out" / "data.npz", name.split("/")[0])
    assert again.fingerprint == dataset.fingerprint
    text = dataset.modalities[1]
    assert again.texts("query", text) == dataset.texts("query", text) is not None
    assert again.classes == dataset.classes


def test_ids_of_modalities_that_differ_come_back(
    wiki: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_dataset(wiki, "npz", tmp_path / "out", load_catalogue())
    with np.load(tmp_path / "out" / "data.npz") as stored:
        assert stored["image_ids"][0] != stored["ids"][0]
    monkeypatch.setenv("CMRBENCH_DATA", str(tmp_path / "cache"))
    assert imported(tmp_path / "out" / "data.npz", "wiki").fingerprint == wiki.fingerprint


def test_a_transformed_dataset_is_written_as_methods_learn_from_it(mine: Path) -> None:
    export("mine+noise=0.5+train=0.8", "--to", mine)
    noisy = load_dataset("mine+noise=0.5+train=0.8")
    again = imported(mine / "data.npz", "mine")
    same(again, noisy)
    assert again.sizes["train"]["image"] == 19
    readme = (mine / "README.md").read_text(encoding="utf-8")
    assert noisy.fingerprint in readme
    assert "noise=0.5: wrong training labels" in readme


def captioned(apart: bool = False) -> Dataset:
    """Two captions a picture, or captions of no picture."""
    base = load_dataset("mine")
    parts: dict[str, dict[str, Items]] = {}
    for split in base.sizes:
        part = base.part(split)
        text = part["text"]
        double = text.take(np.repeat(np.arange(len(text)), 2))
        ids = np.array([f"{name}#{k % 2}" for k, name in enumerate(double.ids)])
        instances = np.char.add("text:", ids) if apart else double.instances
        parts[split] = {"image": part["image"], "text": replace(double, ids=ids, instances=instances)}
        if apart:
            image = part["image"]
            parts[split]["image"] = replace(image, instances=np.char.add("image:", image.ids))
    sizes = {s: {m: len(i) for m, i in p.items()} for s, p in parts.items()}
    return replace(base, opener=parts.__getitem__, sizes=sizes)


@pytest.mark.parametrize("kind", ["npz", "h5", "mat", "folder"])
@pytest.mark.parametrize("apart", [False, True])
def test_several_captions_and_items_without_partners_come_back(mine: Path, kind: str, apart: bool) -> None:
    dataset = captioned(apart)
    export_dataset(dataset, kind, mine, load_catalogue())
    same(imported(mine / FILES[kind], "mine"), dataset)


def test_instances_that_lack_a_modality_come_back(mine: Path) -> None:
    export("mine+missing=0.4", "--to", mine)
    lacking = load_dataset("mine+missing=0.4")
    assert len({len(i) for i in lacking.part("train").values()}) == 2
    same(imported(mine / "data.npz", "mine"), lacking)


def test_parquet_has_a_file_for_each_modality_where_these_differ(mine: Path) -> None:
    dataset = captioned()
    export_dataset(dataset, "parquet", mine, load_catalogue())
    text = pq.read_table(mine / "text.parquet")
    assert text.num_rows == 96
    whole = [row for s in dataset.sizes for row in dataset.part(s)["text"].features.tolist()]
    assert text["text"].to_pylist() == whole
    assert text["split"].to_pylist() == [s for s in dataset.sizes for _ in range(dataset.sizes[s]["text"])]
    assert pq.read_schema(mine / "image.parquet").metadata[b"class_names"] == b"c0\nc1\nc2\nc3"


@pytest.mark.parametrize("kind", FORMATS)
def test_big_arrays_are_written_in_blocks(mine: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmrbench.data.arrays.BLOCK_BYTES", 64)  # two rows of seven columns
    dataset = load_dataset("mine")
    (features, *_) = layout(dataset).columns
    assert max(map(len, features.blocks())) == 2
    export_dataset(dataset, kind, mine, load_catalogue())
    with open_arrays(mine / FILES[kind]) as arrays:
        assert np.array_equal(arrays["image"].read(0, 48), features.whole())


def test_rows_are_put_together_from_blocks_cut_anywhere() -> None:
    rows = np.arange(30).reshape(15, 2)
    blocks = (rows[:4], rows[4:5], rows[5:15])
    one = Column("one", "", rows.shape, rows.dtype, lambda: iter(blocks))
    two = Column("two", "", rows.shape, rows.dtype, lambda: iter([rows]))
    made = [parts for _, _, parts in together([one, two], 15, 6)]
    for name in ("one", "two"):
        assert np.array_equal(np.concatenate([m[name] for m in made]), rows)
        assert [len(m[name]) for m in made] == [6, 6, 3]


def test_sets_of_vectors_keep_their_shape(mine: Path) -> None:
    base = load_dataset("mine")
    rng = np.random.default_rng(0)
    parts = {
        s: {
            m: replace(i, features=rng.random((len(i), 3, 4)).astype(np.float16)) if m == "image" else i
            for m, i in base.part(s).items()
        }
        for s in base.sizes
    }
    dataset = replace(base, opener=parts.__getitem__, kinds={"image": "set"})
    export_dataset(dataset, "npz", mine / "npz", load_catalogue())
    with np.load(mine / "npz" / "data.npz") as stored:
        assert stored["image"].shape == (48, 3, 4)
        assert stored["image"].dtype == np.float16
        assert np.array_equal(stored["image"][:24], parts["train"]["image"].features)
    export_dataset(dataset, "parquet", mine / "parquet", load_catalogue())
    table = pq.read_table(mine / "parquet" / "data.parquet")
    assert table.schema.metadata[b"shape of image"] == b"3x4"
    assert len(table["image"][0].as_py()) == 12


def test_matlab_gets_names_that_it_takes(mine: Path) -> None:
    base = load_dataset("mine")
    names = {"image": "3d", "text": "text.en"}
    parts = {
        s: {names[m]: Items(names[m], i.features, i.ids, i.instances, i.labels) for m, i in base.part(s).items()}
        for s in base.sizes
    }
    sizes = {s: {m: len(i) for m, i in p.items()} for s, p in parts.items()}
    dataset = replace(base, modalities=tuple(names.values()), opener=parts.__getitem__, sizes=sizes, describer=None)
    export_dataset(dataset, "mat", mine, load_catalogue())
    stored = loadmat(mine / "data.mat")
    assert stored["m_3d"].shape == (48, 7)
    assert "text_en" in stored
    assert stored["split"][0, 0][0] == "train"
    assert "`m_3d`" in (mine / "README.md").read_text(encoding="utf-8")


def column(name: str, shape: tuple[int, ...]) -> Column:
    return Column(name, "", shape, np.dtype(np.float32), lambda: iter(()))


def test_what_matlab_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="export as h5, which MATLAB reads"):
        write_mat(Layout((column("image", (200_000, 4096)),), {}, ()), tmp_path)
    with pytest.raises(DataError, match="two arrays would be named a_b"):
        write_mat(Layout((column("a.b", (1,)), column("a-b", (1,))), {}, ()), tmp_path)


def test_the_readme_says_what_one_must_know(mine: Path) -> None:
    said = export("mine", "--to", mine)
    assert "licence: Only for tests." in said
    readme = (mine / "README.md").read_text(encoding="utf-8")
    for part in (
        "# Mine",
        "Only for tests.",
        load_dataset("mine").fingerprint,
        "| train | 24 | 24 |",
        "| `image` | 48 x 7 | float32 |",
        "cmrbench data import mine --from data.npz",
    ):
        assert part in readme
    facts = json.loads((mine / "export.json").read_text(encoding="utf-8"))
    assert facts["sizes"] == made_data.SIZES
    assert facts["fingerprint"] == load_dataset("mine").fingerprint


def test_json(mine: Path) -> None:
    made = json.loads(export("mine", "--format", "folder", "--to", mine, "--json"))
    assert set(made["files"]) >= {"image.npy", "text.npy", "label.npy", "split.npy", "ids.npy", "README.md"}
    assert made["files"]["image.npy"] == (mine / "image.npy").stat().st_size


def test_two_exports_are_the_same_bytes(mine: Path) -> None:
    for name in ("a", "b"):
        export("mine", "--to", mine / name)
    assert (mine / "a" / "data.npz").read_bytes() == (mine / "b" / "data.npz").read_bytes()


def test_only_an_earlier_export_is_replaced_and_only_when_asked(mine: Path) -> None:
    export("mine", "--to", mine)
    with pytest.raises(DataError, match="holds an export already; replace it with --force"):
        export("mine", "--to", mine)
    export("mine", "--format", "h5", "--to", mine, "--force")
    assert {p.name for p in mine.iterdir()} == {"data.h5", "README.md", "export.json"}
    other = mine.parent / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("x", encoding="utf-8")
    for options in ((), ("--force",)):
        with pytest.raises(DataError, match="holds something else than an export"):
            export("mine", "--to", other, *options)
    assert [p.name for p in other.iterdir()] == ["chapter.tex"]
    link = mine.parent / "link"
    link.symlink_to(other)
    with pytest.raises(DataError, match="is no folder"):
        export("mine", "--to", link, "--force")


def test_nothing_is_left_of_an_export_that_fails(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(layout: Any, folder: Path) -> dict[str, str]:
        (folder / "data.npz").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    neighbour = mine.parent / ".tmp-of-somebody"
    neighbour.mkdir()
    monkeypatch.setitem(FORMATS, "npz", ("data.npz", full))
    with pytest.raises(DataError, match="No space left on device"):
        export("mine", "--to", mine)
    assert not mine.exists()
    assert not [p for p in mine.parent.iterdir() if p.name.startswith(f".{mine.name}")]
    assert neighbour.is_dir()


def test_unknown_formats_and_datasets(mine: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown export format 'hdf5'; did you mean h5"):
        export("mine", "--format", "hdf5", "--to", mine)
    with pytest.raises(UnknownNameError, match="unknown dataset 'nothing'"):
        export("nothing", "--to", mine)
    assert not mine.exists()
