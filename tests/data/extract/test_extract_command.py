"""`cmrbench extract` from its options to a measured run; `cmrbench list extractors`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import made_raw
import numpy as np
import pytest
from commands import invoked
from typer.testing import Result

from cmrbench.cli import app
from cmrbench.cli.extract import _Bar
from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.data import load_dataset
from cmrbench.data.extract import extractor_names
from cmrbench.data.extract.classic import Colour
from cmrbench.data.extract.shards import Shards


@pytest.fixture
def raw(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> made_raw.Raw:
    made = made_raw.Raw(tmp_path / "home")
    made.register(monkeypatch)
    return made


def call(*arguments: object, code: int = 0) -> Result:
    return invoked(app, *arguments, code=code)


def test_labelled_pictures_are_extracted_verified_and_measured(own_cache: Path, tmp_path: Path) -> None:
    said = call("extract", "emoji", "--image", "colour", "--text", "tfidf:words=50", "--as", "two").stdout
    assert said.splitlines() == [
        f"made emoji/two: image 72, text 51; 3,134 items, in {own_cache / 'features' / 'emoji' / 'two'}",
        "use it as: cmrbench run --datasets emoji/two --methods ...",
    ]
    own, base = load_dataset("emoji/two"), load_dataset("emoji")
    assert own.sizes == base.sizes
    assert own.classes == base.classes
    for split in base.sizes:
        for modality, items in base.part(split).items():
            assert np.array_equal(own.part(split)[modality].labels, items.labels)
            assert np.array_equal(own.part(split)[modality].ids, items.ids)
    assert [p.name for p in own.protocols] == [p.name for p in base.protocols]
    checks = json.loads(call("data", "verify", "emoji", "--json").stdout)
    mine = [c for c in checks if "two" in c["item"]]
    assert len(mine) > 8
    assert {c["status"] for c in checks} == {"ok"}
    results = tmp_path / "results"
    call("run", "--datasets", "emoji/two", "--methods", "cca", "--results", results)
    report = json.loads(call("list", "runs", "--results", results, "--json").stdout)
    assert [(r["dataset"], r["feature_set"], r["status"]) for r in report] == [("emoji", "two", "done")]
    with (own_cache / "features" / "emoji" / "two" / "image_train.npy").open("r+b") as file:
        file.seek(2000)
        file.write(b"\1\2\3")
    checks = json.loads(call("data", "verify", "emoji", "--json", code=1).stdout)
    assert "two/image_train.npy" in {c["item"] for c in checks if c["status"] == "bad"}


def test_captions_are_measured_by_instance(raw: made_raw.Raw, tmp_path: Path) -> None:
    call("extract", "shots", "--image", "colour", "--text", "bow:min_items=1", "--as", "own")
    results = tmp_path / "results"
    call("run", "--datasets", "shots/own", "--methods", "cca", "--results", results)
    report = json.loads(call("list", "runs", "--results", results, "--json").stdout)
    assert [r["status"] for r in report] == ["done"]


def test_modalities_without_an_extractor_keep_their_vectors(own_cache: Path) -> None:
    arguments = ["--modality", "text_ja=bow:words=8", "--image", "colour", "--as", "more"]
    made = json.loads(call("extract", "emoji/multilingual", *arguments, "--json").stdout)
    base, own = load_dataset("emoji/multilingual"), load_dataset("emoji/more")
    assert made["dims"] == {**base.dims, "image": 72, "text_ja": 9}
    assert own.modalities == base.modalities
    assert own.sizes == base.sizes
    for split in base.sizes:
        for modality in ("text_de", "text_en"):
            items, kept = base.part(split)[modality], own.part(split)[modality]
            assert np.array_equal(items.features, kept.features)
            assert np.array_equal(items.ids, kept.ids)
    record = json.loads((Path(made["folder"]) / "feature_set.json").read_text())
    assert record["provenance"]["kept"] == [m for m in base.modalities if m not in ("image", "text_ja")]
    assert "4-grams" in record["modalities"]["text_de"]["extractor"]
    call("extract", "emoji", "--text", "bow:words=8", "--as", "one")
    kept = load_dataset("emoji/one").part("query")["image"].features
    assert np.array_equal(kept, load_dataset("emoji").part("query")["image"].features)


def test_json_says_what_was_made(raw: made_raw.Raw, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["extract", "shots", "--image", "colour", "--text", "bow", "--shard", "5", "--json"]
    original, calls = Colour.__call__, [0]

    def stop(self: Colour, inputs: Any) -> np.ndarray:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return original(self, inputs)

    monkeypatch.setattr(Colour, "__call__", stop)
    stopped = call(*arguments, code=130)
    assert stopped.stdout == ""
    assert stopped.stderr == "interrupted: the same command goes on from the last shard that was saved\n"
    done = call(*arguments)
    assert json.loads(done.stdout) == {
        "dataset": "shots",
        "feature_set": "colour-bow",
        "folder": str(own_cache / "features" / "shots" / "colour-bow"),
        "dims": {"image": 72, "text": len(made_raw.WORDS) + 1},
        "weights_sha256": {},
        "rows": 120,
        "resumed": 10,
    }
    assert done.stderr == ""


def test_what_an_earlier_call_made_is_said(raw: made_raw.Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Shards, target: Path) -> int:
        raise KeyboardInterrupt

    arguments = ["extract", "shots", "--image", "colour", "--text", "bow"]
    with monkeypatch.context() as patch:
        patch.setattr(Shards, "assemble", stop)
        call(*arguments, code=130)
    assert "; 120 items, 120 of them by another call, in" in call(*arguments).stdout


@pytest.mark.parametrize(
    ("arguments", "error", "expected"),
    [
        (["--image", "colour", "--modality", "image=hog"], UsageError, "--modality image=hog: expected NAME=EXTRACTOR"),
        (["--modality", "image"], UsageError, "--modality image: expected NAME=EXTRACTOR, each modality once"),
        (["--image", "colour"], UsageError, "there is none for text"),
        (
            ["--image", "colour", "--text", "tf-idf"],
            UnknownNameError,
            "extractor 'tf-idf'; did you mean tfidf?",
        ),
        (["--image", "vgg19", "--text", "bow"], UsageError, r"needs torchvision: pip install 'cmrbench\[extract\]'"),
    ],
)
def test_what_is_typed_wrong(
    arguments: list[str], error: type[Exception], expected: str, raw: made_raw.Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(error, match=expected):
        call("extract", "shots", *arguments)


def test_a_picture_that_is_broken_is_one_line(raw: made_raw.Raw) -> None:
    raw.pictures[made_raw.names("val")[0]] = b"\x89PNG broken"
    raw.write()
    command = [sys.executable, "-m", "cmrbench", "extract", "shots", "--image", "colour", "--text", "bow", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(f"error: shots: image of val: item {made_raw.names('val')[0]} (pictures.zip/shots/")


def test_the_bar_shows_names_as_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with _Bar() as bar:
        bar.show("text: clip-vit-b32:prompt=[red]a photo", 3, 10)
        bar.show("text: clip-vit-b32:prompt=[red]a photo", 7, 10)
        (task,) = bar.progress.tasks
        assert (task.completed, task.total) == (7, 10)
        assert "[red]" in bar.progress.columns[0](task).plain


def test_list_extractors() -> None:
    listed = json.loads(call("list", "extractors", "--json").stdout)
    assert [e["name"] for e in listed] == list(extractor_names())
    clip = next(e for e in listed if e["name"] == "clip-vit-b32")
    assert clip["takes"] == ["text", "picture"]
    assert "open_clip_torch" in clip["needs"]
    shown = call("list", "extractors").stdout
    assert all(name in shown for name in extractor_names())
    assert "pip install 'cmrbench[extract]'" in shown


@pytest.mark.parametrize("arguments", ["--help", "extract --help"])
def test_help_is_light(arguments: str) -> None:
    heavy = "torch numpy pandas pyarrow sklearn PIL skimage gensim rich.progress filelock"
    code = (
        "import sys; from cmrbench.cli import app\n"
        f"try:\n    app({arguments.split()!r})\nexcept SystemExit:\n    pass\n"
        f"print([m for m in {heavy.split()!r} if m in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "extract" in ended.stdout
    assert ended.stderr.strip() == "[]"
