"""The extraction job: stopped and gone on with, blind to queries, one at a time, and refused before it begins."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import made_raw
import numpy as np
import pytest

from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.core.names import DatasetName
from cmrbench.data import load_dataset
from cmrbench.data.extract import Extracted, Job, extract_features
from cmrbench.data.extract.classic import Colour
from cmrbench.data.extract.shards import Shards
from cmrbench.data.extract.words import BagOfWords
from cmrbench.data.local import local_feature_sets, read_local
from cmrbench.data.verify import verify_dataset

BOTH = {"image": "colour", "text": "bow:min_items=1"}


@pytest.fixture
def raw(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> made_raw.Raw:
    """The dataset ``shots`` and an empty cache."""
    made = made_raw.Raw(tmp_path / "home")
    made.register(monkeypatch)
    return made


def extract(name: str = "shots", extractors: dict[str, str] = BOTH, **options: Any) -> Extracted:
    options = {"feature_set": "mine", "shard": 5, "batch": 2} | options
    return extract_features(Job(DatasetName.parse(name), extractors, **options))


def features(feature_set: str = "mine") -> dict[str, np.ndarray]:
    dataset = load_dataset(f"shots/{feature_set}")
    return {f"{s}.{m}": np.array(i.features) for s in dataset.sizes for m, i in dataset.part(s).items()}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


class Stopper:
    """Counts the pictures that `Colour` describes, and stops it at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int | None = None) -> None:
        self.at = at
        self.described = 0
        original = Colour.__call__

        def call(extractor: Colour, inputs: Any) -> np.ndarray:
            if self.at is not None and self.described + len(inputs) > self.at:
                raise KeyboardInterrupt
            self.described += len(inputs)
            return original(extractor, inputs)

        monkeypatch.setattr(Colour, "__call__", call)


def work_folders(cache: Path) -> list[str]:
    return [p.name for p in (cache / "extracting").iterdir() if p.is_dir()]


def test_the_result_is_a_feature_set_like_others(raw: made_raw.Raw) -> None:
    seen: list[tuple[str, int, int]] = []
    job = Job(DatasetName.parse("shots"), BOTH)
    made = extract_features(job, progress=lambda what, done, of: seen.append((what, done, of)))
    assert (made.feature_set, made.rows, made.resumed) == ("colour-bow", 120, 0)
    assert made.dims == {"image": 72, "text": len(made_raw.WORDS) + 1}
    dataset = load_dataset("shots/colour-bow")
    assert {m: made_raw.PICTURES if m == "image" else made_raw.TEXTS for m in dataset.modalities} == {
        m: {s: n[m] for s, n in dataset.sizes.items()} for m in dataset.modalities
    }
    base = load_dataset("shots")
    for split in base.sizes:
        for modality, items in base.part(split).items():
            own = dataset.part(split)[modality]
            assert np.array_equal(own.ids, items.ids)
            assert np.array_equal(own.instances, items.instances)
            assert own.labels is None
    assert [p.name for p in dataset.protocols] == ["matching"]
    assert {c.status for c in verify_dataset("shots")} == {"ok"}
    assert seen[-1] == ("text: bow:min_items=1", 100, 100)
    assert ("image: colour", 20, 20) in seen
    assert work_folders(Path(os.environ["CMRBENCH_DATA"])) == []


def test_every_row_is_its_own_item(raw: made_raw.Raw) -> None:
    extract()
    dataset = load_dataset("shots/mine")
    for split in dataset.sizes:
        items = dataset.part(split)["image"]
        expected = Colour()([raw.pictures[i] for i in items.ids.tolist()])
        assert np.array_equal(items.features, expected)
        text = dataset.part(split)["text"]
        for item, row in zip(text.ids.tolist(), text.features, strict=True):
            name, _, k = item.partition("#")
            words = set(raw.told[name, int(k)].split())
            assert row[:-1].tolist() == [float(w in words) for w in sorted(made_raw.WORDS)]


@pytest.mark.parametrize("pack", ["zip", "tgz"])
def test_a_stopped_job_goes_on(pack: str, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_raw.Raw(tmp_path / "home", pack).register(monkeypatch)
    stopper = Stopper(monkeypatch, at=17)
    with pytest.raises(KeyboardInterrupt):
        extract()
    assert stopper.described == 17  # 12 training and 3 validation pictures are four whole shards, which are kept
    assert local_feature_sets("shots") == {}
    stopper.at, stopper.described = None, 0
    made = extract()
    assert stopper.described == 5
    assert made.resumed == 15
    stopped = features()
    monkeypatch.setenv("CMRBENCH_DATA", str(tmp_path / "other"))
    assert extract().resumed == 0
    assert same(stopped, features())


def test_a_fitted_extractor_that_was_stopped_goes_on(raw: made_raw.Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    original = BagOfWords._counted

    def counted(self: BagOfWords, inputs: Any) -> np.ndarray:
        calls.append(len(inputs))
        if len(calls) == 40:
            raise KeyboardInterrupt
        return original(self, inputs)

    monkeypatch.setattr(BagOfWords, "_counted", counted)
    with pytest.raises(KeyboardInterrupt):
        extract(extractors={"image": "colour", "text": "lda:topics=3:min_items=1"})
    monkeypatch.setattr(BagOfWords, "_counted", original)
    assert extract(extractors={"image": "colour", "text": "lda:topics=3:min_items=1"}).resumed > 20
    stopped = features()
    monkeypatch.setenv("CMRBENCH_DATA", os.environ["CMRBENCH_DATA"] + "-other")
    extract(extractors={"image": "colour", "text": "lda:topics=3:min_items=1"})
    assert same(stopped, features())


@pytest.mark.parametrize("damage", ["cut", "empty", "columns"])
def test_a_damaged_shard_is_made_again(damage: str, raw: made_raw.Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    stopper = Stopper(monkeypatch, at=17)
    with pytest.raises(KeyboardInterrupt):
        extract()
    (work,) = (Path(os.environ["CMRBENCH_DATA"]) / "extracting").glob("shots-*")
    shard = sorted((work / "image.train").iterdir())[1]
    if damage == "columns":
        np.save(shard, np.zeros((4, 3), np.float32))
    else:
        shard.write_bytes(shard.read_bytes()[: 200 if damage == "cut" else 0])
    stopper.at, stopper.described = None, 0
    assert extract().resumed == 10
    assert stopper.described == 10


def test_a_replaced_picture_takes_only_its_shard_with_it(raw: made_raw.Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    stopper = Stopper(monkeypatch, at=17)
    with pytest.raises(KeyboardInterrupt):
        extract()
    first = made_raw.names("train")[0]
    other = made_raw.photograph(99)
    raw.pictures[first] = other
    raw.write()
    stopper.at, stopper.described = None, 0
    assert extract().resumed == 10
    items = load_dataset("shots/mine").part("train")["image"]
    row = items.ids.tolist().index(first)
    assert np.array_equal(items.features[row], Colour()([other])[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"shard": 4},
        {"extractors": {"image": "colour:hues=4", "text": "bow:min_items=1"}},
        {"name": "shots:other"},
    ],
)
def test_other_jobs_take_nothing_over(
    changes: dict[str, Any], raw: made_raw.Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopper = Stopper(monkeypatch, at=17)
    with pytest.raises(KeyboardInterrupt):
        extract()
    stopper.at = None
    assert extract(**changes).resumed == 0


def test_a_batch_changes_nothing(raw: made_raw.Raw) -> None:
    extract(batch=1)
    extract(batch=64, shard=64, feature_set="big")
    assert same(features(), features("big"))


def test_vocabularies_are_of_training_texts_only(raw: made_raw.Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    extract()
    before = features()
    queries = made_raw.names("query")
    for name in queries:
        raw.told[name, 0] = "zebra " * 50
    raw.write()
    monkeypatch.setenv("CMRBENCH_DATA", os.environ["CMRBENCH_DATA"] + "-other")
    extract()
    after = features()
    assert np.array_equal(before["train.text"], after["train.text"])
    query = load_dataset("shots/mine").part("query")["text"]
    zebras = [row for i, row in zip(query.ids.tolist(), query.features, strict=True) if i.endswith("#0")]
    assert [row.tolist() for row in zebras] == [[0.0] * len(made_raw.WORDS) + [1.0]] * len(queries)
    raw.told[made_raw.names("train")[0], 0] = "zebra"
    raw.write()
    assert extract(feature_set="more").dims["text"] == len(made_raw.WORDS) + 2


def test_two_at_once_make_it_once(raw: made_raw.Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    load_dataset("shots")
    begun, waits = threading.Event(), threading.Event()
    described: list[int] = []
    original = Colour.__call__

    def call(extractor: Colour, inputs: Any) -> np.ndarray:
        begun.set()
        assert waits.wait(20)
        described.append(len(inputs))
        return original(extractor, inputs)

    monkeypatch.setattr(Colour, "__call__", call)
    made: list[Extracted] = []
    said: list[str] = []

    def waiting(message: str) -> None:
        said.append(message)
        waits.set()

    def run() -> None:
        made.append(extract_features(Job(DatasetName.parse("shots"), BOTH), waiting=waiting))

    threads = [threading.Thread(target=run), threading.Thread(target=run)]
    threads[0].start()
    assert begun.wait(20)
    threads[1].start()
    for thread in threads:
        thread.join(30)
    assert said == ["another process makes these features; waiting for it"]
    assert sum(described) == 20
    assert sorted(m.resumed for m in made) == [0, 120]
    assert made[0].folder == made[1].folder


def test_a_name_that_another_process_takes_meanwhile(raw: made_raw.Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Shards.assemble
    once = [True]

    def assemble(self: Shards, target: Path) -> int:
        if once.pop() if once else False:
            extract(extractors={"image": "hog", "text": "bow:min_items=1"})
        return original(self, target)

    monkeypatch.setattr(Shards, "assemble", assemble)
    with pytest.raises(UsageError, match=r"'shots' got a feature set 'mine' from another process meanwhile; .* --as"):
        extract()
    assert read_local(local_feature_sets("shots")["mine"]).provenance["extractors"]["image"]["name"] == "hog"
    assert extract(feature_set="second").resumed == 120


def test_a_full_disk(raw: made_raw.Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    original, room = np.save, [3]

    def save(file: Any, array: np.ndarray, **options: Any) -> None:
        if "extracting" in str(file):
            room[0] -= 1
            if room[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
        original(file, array, **options)

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(DataError, match=r"cannot write features under .*: the disk is full; free some space"):
        extract()
    room[0] = 10**6
    assert extract().resumed == 12


@pytest.mark.parametrize(
    "message", ["1000 requested and 50 written", "Not enough free space to write 1000 bytes after offset 128"]
)
def test_a_disk_that_is_full_in_the_end(message: str, raw: made_raw.Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    def assemble(self: Shards, target: Path) -> int:
        target.write_bytes(b"half")
        raise OSError(message)  # as numpy says it

    with monkeypatch.context() as patch:
        patch.setattr(Shards, "assemble", assemble)
        with pytest.raises(DataError, match=r"cannot store shots/mine under .*: the disk is full"):
            extract()
    assert local_feature_sets("shots") == {}
    assert extract().resumed == 120


def test_a_broken_picture_is_named(raw: made_raw.Raw) -> None:
    broken = made_raw.names("train")[7]
    raw.pictures[broken] = raw.pictures[broken][:100]
    raw.write()
    expected = rf"^shots: image of train: item {broken} \(pictures\.zip/shots/{broken}\): it is no readable picture: "
    with pytest.raises(DataError, match=expected) as caught:
        extract(batch=8, shard=8)
    assert "\n" not in str(caught.value)
    raw.pictures[broken] = made_raw.photograph(7)
    raw.write()
    assert extract(batch=8, shard=4).rows == 120


def test_pictures_that_are_not_there(raw: made_raw.Raw) -> None:
    gone = made_raw.names("val")[1]
    content = raw.pictures.pop(gone)
    raw.write()
    expected = rf"^shots: image items of val: 1 of 3 files are not on this machine, such as {gone}, which "
    with pytest.raises(DataError, match=expected):
        extract()
    raw.pictures[gone] = content  # brought later, beside what has been prepared without it
    raw.write()
    assert extract().rows == 120


def test_what_is_no_sound_dataset_is_not_kept(raw: made_raw.Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Shards, "assemble", lambda self, target: np.save(target, np.zeros((len(self.inputs), 3))) or 3)
        with pytest.raises(DataError, match="zero"):
            extract()
    assert local_feature_sets("shots") == {}
    assert extract().resumed == 120


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            lambda n: np.zeros((n, 3)),
            r"item 00_train.jpg \(.*\): the extractor gave nothing but zeros, a vector without",
        ),
        (lambda n: np.full((n, 3), np.nan), r"item 00_train.jpg \(.*\): the extractor gave values that are not finite"),
        (
            lambda n: np.ones((n + 1, 3)),
            r"item 00_train.jpg \(.*\): the extractor gave the shape \(2, 3\) for 1 inputs",
        ),
    ],
)
def test_what_an_extractor_may_not_give(
    made: Any, expected: str, raw: made_raw.Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Colour, "__call__", lambda self, inputs: made(len(inputs)))
    with pytest.raises(DataError, match=expected):
        extract()


class OutOfMemoryError(RuntimeError):
    """As torch's."""


def test_a_batch_that_the_device_cannot_hold(raw: made_raw.Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(self: Colour, inputs: Any) -> np.ndarray:
        raise OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Colour, "__call__", call)
    with pytest.raises(UsageError, match=r"does not hold a batch of 2; the same command with a smaller --batch"):
        extract()


@pytest.mark.parametrize(
    ("options", "error", "expected"),
    [
        ({"feature_set": "raw"}, UsageError, r"'shots' has a feature set 'raw' already; choose another with --as"),
        ({"feature_set": "taken"}, UsageError, r"has a feature set 'taken' already"),
        ({"feature_set": "taken", "name": "shots:other"}, UsageError, r"has a feature set 'taken' already"),
        ({"feature_set": "../out"}, UsageError, r"'\.\./out' is no name of a feature set"),
        ({"feature_set": ".tmp-x"}, UsageError, r"is no name of a feature set"),
        ({"batch": 0}, UsageError, r"batch and shard must be at least 1, got 0 and 5"),
        ({"device": "gpu"}, UsageError, r"unknown device 'gpu'; expected auto, cpu, cuda or cuda:NUMBER"),
        ({"name": "shots+noise=0.1"}, UsageError, r"leave out the \+"),
        ({"name": "synthetic"}, UsageError, r"synthetic is made as features"),
        ({"extractors": {"image": "colour"}}, UsageError, r"there is none for text"),
        (
            {"extractors": {"picture": "colour", "text": "bow"}},
            UnknownNameError,
            r"unknown modality of shots 'picture'",
        ),
        ({"extractors": {"image": "color", "text": "bow"}}, UnknownNameError, r"'color'; did you mean colour"),
        ({"extractors": {"image": "bow", "text": "bow"}}, UsageError, r"'bow' takes a text, not a picture; that do: "),
        ({"extractors": {"image": "hog", "text": "hog"}}, UsageError, r"'hog' takes a picture, not a text; that do: "),
    ],
)
def test_refused_before_anything_is_described(
    options: dict[str, Any],
    error: type[Exception],
    expected: str,
    raw: made_raw.Raw,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = Path(os.environ["CMRBENCH_DATA"]) / "features" / "shots" / "taken"
    taken.mkdir(parents=True)
    stopper = Stopper(monkeypatch, at=0)
    with pytest.raises(error, match=expected) as caught:
        extract(**options)
    assert "\n" not in str(caught.value)
    assert stopper.described == 0


def test_a_taken_name_is_refused_before_the_dataset_is_read(raw: made_raw.Raw) -> None:
    (raw.folder / "Flickr8k.token.txt").write_text("damaged")
    with pytest.raises(UsageError, match="has a feature set 'raw' already"):
        extract("shots:other", feature_set="raw")


def test_features_are_no_raw_data(raw: made_raw.Raw) -> None:
    extract()
    with pytest.raises(DataError, match=r"^shots/mine: image has neither texts nor files"):
        extract("shots/mine", feature_set="again")


def test_videos_have_no_extractor(raw: made_raw.Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    from cmrbench.core.dataset import Dataset

    monkeypatch.setattr(Dataset, "pictures", lambda *_: ["clips/1.mp4"])
    with pytest.raises(DataError, match=r"shots/raw: image is videos, which no extractor takes"):
        extract()


def test_other_splits_than_its_own(raw: made_raw.Raw) -> None:
    extract("shots:other")
    assert load_dataset("shots/mine").sizes["query"] == {"image": 4, "text": 20}
    assert [p.name for p in load_dataset("shots/mine").protocols] == ["drawn"]
    for split in ("official", "other"):
        expected = rf"brings its own split, so that it cannot be cut by '{split}': leave out :{split}, or make one"
        with pytest.raises(UsageError, match=expected):
            load_dataset(f"shots/mine:{split}")
    with pytest.raises(UnknownNameError, match=r"unknown split of shots 'oficial'; known: none"):
        load_dataset("shots/mine:oficial")
    assert extract("shots:other", feature_set="").feature_set == "colour-bow-other"


def test_a_split_of_this_machine_cuts_extracted_features(raw: made_raw.Raw) -> None:
    from typer.testing import CliRunner

    from cmrbench.cli.data import app

    drawn = ["split", "shots", "--query", "4", "--train", "14", "--gallery", "rest", "--as", "here"]
    assert CliRunner().invoke(app, drawn, catch_exceptions=False).exit_code == 0
    extract()
    own, base = load_dataset("shots/mine:here"), load_dataset("shots:here")
    assert own.sizes == base.sizes
    assert own.part("query")["text"].ids.tolist() == base.part("query")["text"].ids.tolist()


def test_the_record_says_all(raw: made_raw.Raw) -> None:
    made = extract(extractors={"image": "hog:cell=8", "text": "tfidf:words=7"}, seed=3)
    record = read_local(made.folder)
    assert record.modalities["image"]["extractor"].endswith("(pixels=64, cell=8)")
    assert record.modalities["text"]["normalisation"] == "unit length"
    told = record.provenance
    base = load_dataset("shots")
    assert told["of"] == {
        "dataset": "shots", "feature_set": "raw", "split": "official", "fingerprint": base.fingerprint,
    }  # fmt: skip
    assert told["extractors"]["text"]["parameters"] == {"words": 7, "min_items": 2}
    assert [e["fitted_on"] for e in told["extractors"].values()] == ["", "train"]
    assert set(told["extractors"]["image"]["versions"]) == {"scikit-image", "pillow"}
    assert told["seed"] == 3


def test_the_same_seed_in_another_process(raw: made_raw.Raw) -> None:
    typed = {"image": "hog", "text": "doc2vec:dims=8:epochs=4:min_items=1"}
    extract(extractors=typed)
    code = (
        "import json, sys\n"
        "from cmrbench.core.names import DatasetName\n"
        "from cmrbench.data.extract import Job, extract_features\n"
        "extract_features(Job(DatasetName.parse('shots'), json.loads(sys.argv[1]), 'mine'))\n"
    )
    other = os.environ["CMRBENCH_DATA"] + "-other"
    env = os.environ | {"CMRBENCH_DATA": other, "PYTHONHASHSEED": "77"}
    subprocess.run([sys.executable, "-c", code, json.dumps(typed)], env=env, check=True, timeout=60)
    for split in made_raw.PICTURES:
        for modality in typed:
            file = Path("features/shots/mine") / f"{modality}_{split}.npy"
            assert (Path(os.environ["CMRBENCH_DATA"]) / file).read_bytes() == (Path(other) / file).read_bytes()


def test_old_work_is_deleted(raw: made_raw.Raw) -> None:
    left = Path(os.environ["CMRBENCH_DATA"]) / "extracting"
    for name, age in (("old", 40), ("fresh", 1), ("gone-on-with", 40)):
        (left / name).mkdir(parents=True)
        (left / name / "x.npy").write_bytes(b"x")
        for path in (left / name / "x.npy", left / name):
            os.utime(path, (path.stat().st_mtime - age * 24 * 3600,) * 2)
    (left / "gone-on-with" / "y.npy").write_bytes(b"y")
    os.utime(left / "gone-on-with", (0, 0))
    extract()
    assert sorted(work_folders(left.parent)) == ["fresh", "gone-on-with"]
