"""Region features with captions on a miniature of the package: what becomes an item, and what is refused."""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import made_archives
import numpy as np
import pytest

from cmrbench.core.errors import DataError
from cmrbench.data.builders import precomp
from cmrbench.data.builders._npy_stream import read_header, read_rows
from cmrbench.data.words import SPECIAL, Vocabulary, words_of

REGIONS = {"image": {"kind": "set"}, "text": {"kind": "tokens"}}
POOLED = {"image": {"dims": 8}, "text": {}}
SIZES = {"train": 12, "dev": 4, "test": 6, "testall": 9}
NOUNS = ["dog", "man", "woman", "ball", "T-shirt", "café", "tree"]


@dataclass
class Package:
    """The files of f30k_precomp, to be changed before they are written."""

    folder: Path
    ims: dict[str, np.ndarray] = field(default_factory=dict)
    caps: dict[str, list[str]] = field(default_factory=dict)
    others: dict[str, bytes] = field(default_factory=dict)
    end: str = "\n"

    def write(self, below: str = "") -> Path:
        place = self.folder / below
        place.mkdir(parents=True, exist_ok=True)
        for split, array in self.ims.items():
            np.save(place / f"{split}_ims.npy", array)
        for split, lines in self.caps.items():
            (place / f"{split}_caps.txt").write_bytes("".join(line + self.end for line in lines).encode())
        for name, content in self.others.items():
            (place / name).write_bytes(content)
        return self.folder

    def zipped(self) -> Path:
        """As the archive that SCAN released: data.zip with two packages."""
        self.write("unpacked/data/f30k_precomp")
        root = self.folder / "unpacked"
        members = {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
        other = {name.replace("f30k", "coco"): b"not read" for name in members}
        folder = self.folder / "zipped"
        folder.mkdir()
        made_archives.write_zip(folder / "data.zip", {**members, **other})
        return folder


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(precomp, "_BLOCK_BYTES", 200)  # two rows of regions, one picture of five rows


@pytest.fixture
def package(tmp_path: Path) -> Package:
    rng = np.random.default_rng(3)
    made = Package(tmp_path / "f30k_precomp")
    for split, n in SIZES.items():
        made.ims[split] = rng.random((n, 3, 8), dtype=np.float32)
        made.caps[split] = [
            f"A {NOUNS[(i + k) % 5]} near the {rng.choice(NOUNS)}, {split}ly seen." for i in range(n) for k in range(5)
        ]
        made.others[f"{split}_boxes.npy"] = b"left alone"
    return made


def built(package, modalities=REGIONS, **options):
    entry = made_archives.make_entry("precomp", modalities, options=options)
    folder = package.write()
    return made_archives.run_builder(entry, folder, folder.parent / f"scratch-{len(list(folder.parent.iterdir()))}")


def test_regions_and_tokens(package):
    content = built(package)
    image, text = content.items["image"], content.items["text"]
    expected = np.concatenate([package.ims[s] for s in ("train", "dev", "test")])
    assert image.features.dtype == np.float32
    assert (image.features == expected).all()
    assert image.ids.tolist()[11:14] == ["train-11", "dev-0", "dev-1"]
    assert image.instances.tolist() == image.ids.tolist()
    assert text.ids.tolist()[:6] == [*(f"train-0#{k}" for k in range(5)), "train-1#0"]
    assert text.instances.tolist() == [i for i in image.ids.tolist() for _ in range(5)]
    assert content.splits["image"].tolist() == ["train"] * 12 + ["val"] * 4 + ["query"] * 6
    assert content.splits["text"].tolist() == np.repeat(content.splits["image"], 5).tolist()
    assert (image.labels, text.labels, content.classes) == (None, None, ())
    assert content.texts == {"text": [*package.caps["train"], *package.caps["dev"], *package.caps["test"]]}


def test_tokens_are_numbers_of_words_of_the_training_captions_alone(package):
    content = built(package, min_count=2)
    tokens = content.items["text"].features
    assert tokens.dtype == np.int32
    counts = Counter(w for caption in package.caps["train"] for w in caption_words(caption))
    known = [w for w in counts if counts[w] >= 2]
    assert "testly" not in known
    vocabulary = Vocabulary.of(package.caps["train"], 2)
    assert sorted(vocabulary.words[4:]) == sorted(known)
    assert [counts[w] for w in vocabulary.words[4:]] == sorted((counts[w] for w in known), reverse=True)
    for row, caption in zip(tokens.tolist(), content.texts["text"], strict=True):
        words = [w if w in known else "<unk>" for w in caption_words(caption)]
        said = [vocabulary.words[number] for number in row]
        assert said == ["<start>", *words, "<end>"] + ["<pad>"] * (len(row) - len(words) - 2)
    assert any("testly" in c for c in content.texts["text"])
    assert f"SHA-256 {vocabulary.digest[:16]}" in " ".join(content.notes)


def caption_words(caption):
    return re.findall(r"t-shirt|[a-zé]+|[.,]", caption.lower())


def test_pooled_features_are_means_and_word_counts(package):
    content = built(package, POOLED, min_count=2)
    image, text = content.items["image"].features, content.items["text"].features
    expected = np.concatenate([package.ims[s] for s in ("train", "dev", "test")]).mean(axis=1)
    assert image.dtype == text.dtype == np.float32
    assert image == pytest.approx(expected, abs=1e-6)
    words = Vocabulary.of(package.caps["train"], 2).words[4:]
    assert text.shape == (110, 1 + len(words))
    for row, caption in zip(text.tolist(), content.texts["text"], strict=True):
        said = Counter(caption_words(caption))
        assert row == [sum(n for w, n in said.items() if w not in words), *(said[w] for w in words)]
    assert "image: mean of 3 regions" in content.notes


def test_only_the_most_frequent_words_get_a_column(package):
    text = built(package, POOLED, min_count=1, columns=4).items["text"].features
    words = Vocabulary.of(package.caps["train"], 1).words[4:7]
    caption = Counter(caption_words(package.caps["train"][0]))
    assert text[0].tolist() == [sum(caption.values()) - sum(caption[w] for w in words), *(caption[w] for w in words)]
    assert text.any(axis=1).all()


def test_pictures_that_stand_five_times_are_kept_once(package):
    once = built(package)
    for split in package.ims:
        package.ims[split] = np.repeat(package.ims[split], 5, axis=0)
    content = built(package)
    assert (content.items["image"].features == once.items["image"].features).all()
    assert "image: train_ims.npy holds every picture 5 times in a row; kept once" in content.notes


def test_the_size_of_blocks_changes_nothing(package, monkeypatch):
    for modalities in (REGIONS, POOLED):
        small = built(package, modalities)
        with monkeypatch.context() as patch:
            patch.setattr(precomp, "_BLOCK_BYTES", 1 << 20)
            large = built(package, modalities)
        for modality in small.items:
            assert (small.items[modality].features == large.items[modality].features).all()


def test_rows_that_should_be_copies_and_are_not(package):
    package.ims["dev"] = np.repeat(package.ims["dev"], 5, axis=0)
    package.ims["dev"][13] += 1
    with pytest.raises(DataError, match=r"dev_ims\.npy .* rows 10 to 14 differ"):
        built(package)


@pytest.mark.parametrize(
    ("stored", "options", "kept"),
    [
        (np.float16, {}, np.float16),
        (np.float32, {"store": "float16"}, np.float16),
        (np.float64, {}, np.float32),
        (">f4", {}, np.float32),
    ],
)
def test_precision_is_kept_or_its_loss_noted(package, stored, options, kept):
    for split in package.ims:
        package.ims[split] = package.ims[split].astype(stored)
    content = built(package, **options)
    assert content.items["image"].features.dtype == kept
    assert (content.items["image"].features[0] == package.ims["train"][0].astype(kept)).all()
    rounded = np.dtype(stored).itemsize > np.dtype(kept).itemsize
    assert any("rounded to" in note for note in content.notes) == rounded


def test_one_vector_a_picture_is_taken_as_it_is(package):
    for split in package.ims:
        package.ims[split] = package.ims[split][:, 0]
    assert (built(package, POOLED).items["image"].features[:12] == package.ims["train"]).all()
    with pytest.raises(DataError, match=r"rows of shape \(8,\), which do not give an image of kind 'set'"):
        built(package)


def zipped(package):
    entry = made_archives.make_entry("precomp", REGIONS, options={"folder": "f30k_precomp"})
    return made_archives.run_builder(entry, package.zipped(), package.folder.parent / "z")


def test_an_archive_of_several_packages_is_read_without_unpacking(package):
    expected = built(package)
    content = zipped(package)
    assert (content.items["image"].features == expected.items["image"].features).all()
    assert content.items["text"].ids.tolist() == expected.items["text"].ids.tolist()
    assert [p.name for p in (package.folder.parent / "z").iterdir()] == ["image.npy"]


def test_coco_is_tested_on_all_pictures_or_the_first_thousand(package):
    assert len(built(package, test="testall").items["image"]) == 12 + 4 + 9
    assert built(package, test="testall").items["image"].ids.tolist()[-1] == "testall-8"


@pytest.mark.parametrize("times", [1, 5])
def test_ids_of_pictures(package, times):
    for split, n in SIZES.items():
        lines = [f"{split[:2]}{split[4:]}{i:012d}" for i in range(n) for _ in range(times)]
        package.others[f"{split}_ids.txt"] = "\r\n".join(lines).encode()
    content = built(package)
    assert content.items["image"].ids.tolist()[:2] == ["tr" + "n" + "0" * 12, "trn000000000001"]
    assert content.items["text"].ids.tolist()[5] == "trn000000000001#0"


def test_ids_of_captions(package):
    for split, n in SIZES.items():
        package.others[f"{split}_ids.txt"] = "".join(f"{split}{i}\n" for i in range(5 * n)).encode()
    content = built(package)
    assert content.items["image"].ids.tolist()[:2] == ["train-0", "train-1"]
    assert content.items["text"].ids.tolist()[4:6] == ["train4", "train5"]


def test_line_ends_of_windows_and_a_byte_order_mark(package):
    expected = built(package)
    package.end = "\r\n"
    package.caps["train"][0] = "\ufeff" + package.caps["train"][0]
    content = built(package)
    assert content.texts == expected.texts
    assert (content.items["text"].features == expected.items["text"].features).all()


def drop_a_caption(package):
    package.caps["dev"].pop()


def empty_a_caption(package):
    package.caps["test"][7] = "  "


def drop_a_picture(package):
    package.ims["train"] = package.ims["train"][:-1]


def cut_short(package):
    package.write()
    path = package.folder / "train_ims.npy"
    package.others["train_ims.npy"] = path.read_bytes()[:-200]


def pickled(package):
    stream = io.BytesIO()
    np.save(stream, np.array([{}, []], dtype=object), allow_pickle=True)
    package.others["train_ims.npy"] = stream.getvalue()


def whole_numbers(package):
    package.ims["dev"] = package.ims["dev"].astype(np.int64)


def no_array(package):
    package.others["test_ims.npy"] = b"<html>"


def columns_first(package):
    package.ims["test"] = np.asfortranarray(package.ims["test"])


def too_few_ids(package):
    package.others["dev_ids.txt"] = b"1\n2\n"


def an_empty_id(package):
    package.others["dev_ids.txt"] = b"1\n\n3\n4\n"


def ids_again(package):
    for split, n in SIZES.items():
        package.others[f"{split}_ids.txt"] = "".join(f"{i}\n" for i in range(n)).encode()


def other_regions(package):
    package.ims["test"] = package.ims["test"][:, :2]


def too_large(package):
    package.ims["test"][1, 1, 1] = 1e6


def no_dev(package):
    del package.caps["dev"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (drop_a_caption, r"dev_caps\.txt has 19 captions; expected five a picture"),
        (empty_a_caption, r"test_caps\.txt line 8: the caption is empty"),
        (drop_a_picture, r"train_ims\.npy has 11 rows, but train_caps\.txt has 60 captions: expected 12 rows"),
        (cut_short, r"train_ims\.npy is cut short: it ends in row 9 of 12"),
        (pickled, r"train_ims\.npy holds object"),
        (whole_numbers, r"dev_ims\.npy holds int64"),
        (no_array, r"test_ims\.npy is no \.npy of numbers"),
        (columns_first, r"test_ims\.npy holds float32 .* in Fortran order"),
        (too_few_ids, r"dev_ids\.txt has 2 ids; expected 4, one a picture, or 20"),
        (an_empty_id, r"dev_ids\.txt line 2: the id is empty"),
        (ids_again, r"picture 0 stands twice, in train and val"),
        (other_regions, r"test_ims\.npy has rows of shape \(2, 8\), train_ims\.npy of \(3, 8\)"),
        (too_large, r"test_ims\.npy holds values that are too large for float16"),
        (no_dev, r"holds no file 'dev_caps\.txt'"),
    ],
)
def test_damage_is_refused_in_a_sentence(package, damage, said):
    damage(package)
    with pytest.raises(DataError, match=said) as error:
        built(package, store="float16")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("modalities", "said"),
    [
        ({"image": {"kind": "set"}, "audio": {}}, "gives image and text, not image, audio"),
        ({"image": {"kind": "tokens"}, "text": {}}, "image of kind 'tokens'"),
        ({"image": {"kind": "set"}, "text": {"kind": "raw"}}, "text of kind 'raw'; expected tokens or vector"),
    ],
)
def test_kinds_that_the_files_do_not_give(package, modalities, said):
    with pytest.raises(DataError, match=said):
        built(package, modalities)


def test_words():
    assert words_of("A dog's red T-shirt; 2 men (café) don't run -- 'fast'.") == [
        *("a", "dog", "'s", "red", "t-shirt", ";", "2", "men", "(", "café", ")", "don", "'t", "run", "-", "-"),
        *("'fast", "'", "."),
    ]
    assert Vocabulary.of(["b a", "a b c"], 2).words == (*SPECIAL, "a", "b")


def test_streams_may_give_less_than_they_are_asked_for():
    class Slow(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 7) if size > 0 else size)

    array = np.arange(60, dtype=np.float32).reshape(10, 3, 2)
    stream = io.BytesIO()
    np.save(stream, array)
    slow = Slow(stream.getvalue())
    shape, dtype = read_header(slow, "x")
    assert (np.concatenate(list(read_rows(slow, "x", shape, dtype, 4))) == array).all()
