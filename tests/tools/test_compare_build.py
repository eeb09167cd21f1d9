from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tools import pack
from tools.compare_build import compare, main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset of four items, with bytes for thumbnails."""
    rng = np.random.default_rng(0)
    made = tmp_path / "tiny"
    made.mkdir()
    columns = {"id": ["a", "b", "c", "d"], "label": [0, 1, 0, 1], "split": ["train"] * 4, "group": [0, 0, 1, 2]}
    pq.write_table(pa.table(columns | {"text": ["w", "x", "y", "z"]}), made / pack.PAIRS)
    arrays: dict[str, Any] = {}
    for name, width in (("image", 5), ("text", 3)):
        arrays[name] = rng.integers(-127, 127, (4, width), dtype=np.int8)
        arrays[f"{name}_scale"] = np.full(width, 0.1, np.float32)
    arrays |= {"bow_indptr": np.array([0, 1, 2, 2, 3]), "bow_indices": np.array([0, 1, 1])}
    np.savez_compressed(made / pack.FEATURES_NPZ, **arrays, bow_vocab=np.array(["w", "x"]))
    blob, offsets = pack.concatenate([b"1", b"22", b"333", b"4"])
    (made / pack.THUMBS).write_bytes(blob)
    np.save(made / pack.OFFSETS, offsets)
    (made / pack.CARD).write_text(json.dumps({"n": 4, "built_with": {"numpy": "1"}}))
    return made


def edit_pairs(**columns: list[Any]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        table = pq.read_table(folder / pack.PAIRS).to_pydict()
        pq.write_table(pa.table(table | columns), folder / pack.PAIRS)

    return edit


def edit_arrays(**changed: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        with np.load(folder / pack.FEATURES_NPZ) as archive:
            arrays = dict(archive)
        for name, change in changed.items():
            arrays[name] = change(arrays[name])
        np.savez_compressed(folder / pack.FEATURES_NPZ, **arrays)

    return edit


def edit_card(folder: Path) -> None:
    (folder / pack.CARD).write_text(json.dumps({"n": 4, "built_with": {"numpy": "2"}}))


@pytest.mark.parametrize(
    ("edit", "others", "code"),
    [
        (lambda folder: None, set(), 0),
        (edit_card, set(), 0),
        (edit_arrays(image=lambda x: x - (x > 0)), {"file features_int8.npz", "features image"}, 0),
        (edit_pairs(group=[7, 7, 8, 9]), {"file pairs.parquet", "column group"}, 0),
        (edit_pairs(group=[0, 1, 1, 2]), {"file pairs.parquet", "column group", "groups as sets"}, 1),
        (edit_pairs(text=["w", "x", "y", "!"]), {"file pairs.parquet", "column text"}, 1),
        (edit_pairs(split=["train"] * 3 + ["val"]), {"file pairs.parquet", "column split"}, 1),
        (edit_pairs(id=["a", "b", "c", "e"]), {"file pairs.parquet", "items"}, 1),
        (edit_arrays(bow_indices=lambda x: x[::-1]), {"file features_int8.npz", "bags of words"}, 1),
        (lambda folder: (folder / pack.THUMBS).unlink(), {"file thumbs64_q50.webpcat"}, 1),
    ],
)
def test_every_difference_is_named(
    folder: Path, tmp_path: Path, edit: Callable[[Path], None], others: set[str], code: int
) -> None:
    other = tmp_path / "rebuilt"
    shutil.copytree(folder, other)
    edit(other)
    assert {finding.what for finding in compare(other, folder) if not finding.same} == others
    assert main([str(other), str(folder)]) == code


def test_rows_are_matched_by_id(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "rebuilt"
    shutil.copytree(folder, other)
    table = pq.read_table(folder / pack.PAIRS)
    pq.write_table(table.take([3, 2, 1, 0]), other / pack.PAIRS)
    edit_arrays(
        image=lambda x: x[::-1],
        text=lambda x: x[::-1],
        bow_indptr=lambda x: np.array([0, 1, 1, 2, 3]),
        bow_indices=lambda x: np.array([1, 1, 0]),
    )(other)
    blob, offsets = pack.concatenate([b"4", b"333", b"22", b"1"])
    (other / pack.THUMBS).write_bytes(blob)
    np.save(other / pack.OFFSETS, offsets)
    found = {finding.what: finding for finding in compare(other, folder)}
    assert found["items"].detail.endswith("other order")
    assert all(f.same for name, f in found.items() if not name.startswith("file ") and name != "items")


def test_folder_without_a_dataset_is_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path / "nothing"), str(folder)])
    assert stopped.value.code == 2
    assert "nothing: expected a built dataset" in capsys.readouterr().err
