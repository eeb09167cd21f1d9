"""Extractors without networks: what a row says, that it depends on its own input, and inputs that are odd."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import made_raw
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.data.extract import Extractor, extractor_class, extractor_names, make_extractor
from cmrbench.data.extract.extractor import parse_extractor
from cmrbench.data.extract.images import open_picture

TEXTS = [
    "The red dog and the red house",
    "a Dog",
    "",
    "unknown words only",
    "Größe und Höhe, größe!",
    "cats cats cats",
    "house " * 300,
]
TRAIN = ["the red dog", "a red house", "the dog in the house", "größe und höhe", "größe", "cats", "höhe and cats"]
SETTINGS = {
    "bow": "min_items=1",
    "tfidf": "min_items=1",
    "lda": "topics=3:min_items=1:iterations=3",
    "doc2vec": "dims=8:epochs=6:min_items=1",
    "hog": "",
    "colour": "",
}
PHOTOGRAPHS = [made_raw.photograph(k, size) for k, size in enumerate([(40, 30), (7, 90), (64, 64), (1, 1), (300, 200)])]


def made(name: str, settings: str | None = None, seed: int = 0) -> Extractor:
    """An extractor that is ready."""
    takes = extractor_class(name).takes[0]
    extractor = make_extractor(":".join(filter(None, (name, SETTINGS[name] if settings is None else settings))), takes)
    extractor.open("cpu", takes)
    if extractor.fits:
        extractor.fit(TRAIN, seed)
    return extractor


@pytest.mark.parametrize("name", SETTINGS)
def test_rows_depend_on_their_own_input(name: str) -> None:
    extractor = made(name)
    inputs: list[Any] = TEXTS if "text" in extractor.takes else PHOTOGRAPHS
    together = extractor(inputs)
    assert together.dtype == np.float32
    assert np.isfinite(together).all()
    assert together.any(1).all()
    for _ in range(2):  # a second time, too
        assert np.array_equal(together, np.concatenate([extractor([one]) for one in inputs]))
    assert np.array_equal(together[::-1], extractor(inputs[::-1]))


def digests() -> str:
    """One hash a fitted extractor."""
    names = [n for n in SETTINGS if extractor_class(n).fits]
    return " ".join(hashlib.sha256(made(n, seed=5)(TEXTS).tobytes()).hexdigest() for n in names)


def test_a_seed_gives_the_same_in_every_process() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_extractors; print(test_extractors.digests())"
    command = [sys.executable, "-c", code, os.path.dirname(__file__)]
    env = os.environ | {"PYTHONHASHSEED": "77"}
    other = subprocess.run(command, env=env, capture_output=True, check=True, timeout=60, text=True)
    assert other.stdout.strip() == digests()


@pytest.mark.parametrize("name", ["lda", "doc2vec"])
def test_another_seed_gives_another_model(name: str) -> None:
    assert not np.array_equal(made(name, seed=1)(TEXTS), made(name, seed=2)(TEXTS))


def test_a_bag_of_words() -> None:
    bag = made("bow", "words=4:min_items=2")
    assert bag.vocabulary_ == ["cats", "dog", "größe", "house"]  # each in two texts; then the first in the alphabet
    found = bag(TEXTS)
    assert found[0].tolist() == [0, 1, 0, 1, 0]
    assert found[2].tolist() == found[3].tolist() == [0, 0, 0, 0, 1]
    assert found[4].tolist() == [0, 0, 1, 0, 0]
    assert made("bow", "words=4:counts=True")(TEXTS)[5].tolist() == [3, 0, 0, 0, 0]


def test_tfidf_is_that_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    own = made("tfidf", "words=99:min_items=1")(TEXTS)
    expected = TfidfVectorizer(token_pattern=r"(?u)\b\w\w+\b").fit(TRAIN).transform(TEXTS).toarray()
    known = expected.any(1)
    assert np.allclose(own[known, :-1], expected[known], atol=1e-6)
    assert own[known, -1].tolist() == [0.0] * int(known.sum())
    assert own[~known, -1].tolist() == [1.0] * int((~known).sum())
    assert np.allclose(np.linalg.norm(own, axis=1), 1)


def test_topics_are_shares() -> None:
    found = made("lda")(TEXTS)
    assert np.allclose(found.sum(1), 1, atol=1e-6)
    assert np.allclose(found[2], 1 / 3)
    assert np.allclose(found[3], 1 / 3)


def test_paragraph_vectors_of_like_texts_are_alike() -> None:
    rng = np.random.default_rng(0)
    topics = [[f"{t}{k}" for k in range(12)] for t in ("sea", "law", "war")]
    texts = [" ".join(rng.choice(topics[i % 3], 20)) for i in range(150)]
    extractor = make_extractor("doc2vec:dims=16:epochs=30:min_items=1", "text")
    extractor.fit(texts[:90], 0)
    found = extractor(texts[90:])
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    nearest = np.argmax(found @ found.T - 2 * np.eye(60), axis=1)
    assert (nearest % 3 == np.arange(60) % 3).all()


def test_paragraph_vectors_see_known_words_only() -> None:
    found = made("doc2vec")(["", "unknown words only", "red dog", "red unseen dog", "dog red"])
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[2], found[3])
    assert not np.array_equal(found[2], found[0])
    assert len({row.tobytes() for row in found}) == 3


@pytest.mark.parametrize("name", ["bow", "tfidf", "lda"])
def test_training_texts_without_words(name: str) -> None:
    with pytest.raises(DataError, match="the training texts hold no word"):
        make_extractor(name, "text").fit(["", "a", "!"], 0)
    with pytest.raises(DataError, match="no word occurs in 2 training texts; ask for a smaller min_items"):
        make_extractor(name, "text").fit(["one text", "another"], 0)


def test_paragraphs_without_words() -> None:
    with pytest.raises(DataError, match="no word occurs 2 times in the training texts; ask for a smaller min_items"):
        make_extractor("doc2vec", "text").fit(["one text", "another", ""], 0)


def plain(colour: Any, mode: str = "RGB") -> bytes:
    return made_raw.encoded(Image.new(mode, (30, 20), colour))


def test_plain_pictures_are_no_zero_rows() -> None:
    white, photograph = made("hog")([plain("white"), made_raw.photograph(1)])
    assert white.tolist() == [0.0] * (len(white) - 1) + [1.0]
    assert photograph[-1] == 0


def test_gradients_turn_with_the_picture() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::8] = stripes[:, 1::8] = stripes[:, 2::8] = stripes[:, 3::8] = 255
    one, other = made("hog")([made_raw.encoded(Image.fromarray(x)) for x in (stripes, stripes.T)])
    by_direction = [row[:-1].reshape(-1, 9).sum(0) for row in (one, other)]
    assert by_direction[0].argmax() == 0
    assert by_direction[1].argmax() == 4


def test_colours_are_shares_of_pixels() -> None:
    half = Image.new("RGB", (10, 10), "red")
    half.paste("blue", (0, 0, 10, 3))
    (row,) = made("colour")([made_raw.encoded(half)])
    assert row.shape == (72,)
    assert sorted(row[row > 0].tolist()) == pytest.approx([0.3, 0.7])
    assert np.allclose(made("colour")(PHOTOGRAPHS).sum(1), 1)


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(open_picture(content))


def gradient16() -> Any:
    return Image.fromarray((np.arange(600).reshape(20, 30) * 109).astype(np.uint16))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (plain((9, 8, 7, 0), "RGBA"), (255, 255, 255)),
        (plain((0, 0, 0, 128), "RGBA"), (127, 127, 127)),
        (plain((0, 51), "LA"), (204, 204, 204)),
        (plain(77, "L"), (77, 77, 77)),
        (plain(1, "1"), (255, 255, 255)),
        (made_raw.encoded(Image.new("CMYK", (30, 20), (0, 0, 0, 255)), "JPEG"), (0, 0, 0)),
        (made_raw.encoded(Image.new("P", (30, 20), 0), "GIF", transparency=0), (255, 255, 255)),
    ],
)
def test_pictures_of_every_kind_become_three_colours(content: bytes, expected: tuple[int, int, int]) -> None:
    found = pixels(content)
    assert found.shape == (20, 30, 3)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_sixteen_bits_are_scaled_not_cut() -> None:
    found = pixels(made_raw.encoded(gradient16()))[..., 0]
    assert np.array_equal(found, (np.arange(600).reshape(20, 30) * 109) >> 8)
    with pytest.raises(DataError, match="its pixels are F values without a range; store 8 or 16 bits a channel"):
        pixels(made_raw.encoded(Image.new("F", (9, 9), 0.5), "TIFF"))


def truncated() -> bytes:
    return made_raw.photograph(1)[:-60]


def bomb() -> bytes:
    """A PNG of 20,000 x 20,000 pixels in its header."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A picture with a note that unpacks to 100 MB."""
    notes = PngImagePlugin.PngInfo()
    notes.add_text("note", "x" * (100 << 20), zip=True)
    return made_raw.encoded(Image.new("RGB", (4, 4)), pnginfo=notes)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (lambda: b"", "it is no picture in one of the formats JPEG, PNG"),
        (lambda: b"<html>Not found</html>", "it is no picture in one of the formats JPEG, PNG"),
        (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is no picture in one of the formats"),
        (truncated, "it is no readable picture: "),
        (bomb, r"it has more than [\d,]+ pixels; make it smaller"),
        (text_bomb, "it is no"),
    ],
)
def test_what_is_no_picture(content: Callable[[], bytes], expected: str) -> None:
    with pytest.raises(DataError, match=f"^{expected}") as caught:
        made("colour")([content()])
    assert "\n" not in str(caught.value)


def test_what_a_camera_noted_badly_does_not_matter() -> None:
    content = made_raw.encoded(Image.new("RGB", (30, 20), "red"), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pixels(content).shape == (20, 30, 3)


@pytest.mark.parametrize(
    ("typed", "takes", "error", "expected"),
    [
        ("hogg", "picture", UnknownNameError, "unknown extractor 'hogg'; did you mean hog?"),
        ("clip", "text", UnknownNameError, "unknown extractor 'clip'; did you mean clip-rn50"),
        (
            "hog:pixel=3",
            "picture",
            UnknownNameError,
            "parameter of extractor hog 'pixel'; did you mean pixels?",
        ),
        ("hog:pixels", "picture", UsageError, "the parameter pixels has no value; write hog:pixels=VALUE"),
        ("hog:pixels=64:pixels=32", "picture", UsageError, "the parameter pixels is given twice"),
        ("hog:pixels=big", "picture", UsageError, "extractor hog:pixels=big: expected int like the default 64"),
        ("hog:pixels=6.4", "picture", UsageError, "expected int like the default 64"),
        ("bow:counts=1", "text", UsageError, "expected bool like the default False"),
        ("bow:words=0", "text", UsageError, "extractor bow:words=0: expected 1 or more, the default is 2000"),
        ("lda:topics=-3", "text", UsageError, "expected 1 or more"),
        ("tfidf", "picture", UsageError, "extractor 'tfidf' takes a text, not a picture; that do: clip-vit-b32, "),
        ("clip-rn50", "sound", UsageError, "takes a text or picture, not a sound; that do: mfcc"),
    ],
)
def test_what_cannot_be_asked_for(typed: str, takes: str, error: type[Exception], expected: str) -> None:
    with pytest.raises(error) as caught:
        make_extractor(typed, takes)
    assert expected in str(caught.value)


def test_values_that_hold_colons() -> None:
    name, clip = parse_extractor("clip-vit-b32:file=C:/my: weights.pt:prompt=a photo: of :weights=openai")
    assert name == "clip-vit-b32"
    assert clip.parameters() == {
        "weights": "openai", "file": "C:/my: weights.pt", "prompt": "a photo: of ", "unit": True,
    }  # fmt: skip


@pytest.mark.parametrize("typed", ["hog:cell=40", "hog:pixels=1:cell=1", "colour:hues=300", "colour:hues=99:values=99"])
def test_sizes_that_make_no_sense(typed: str) -> None:
    extractor = make_extractor(typed + (":saturations=99" if typed.count("99") else ""), "picture")
    with pytest.raises(UsageError, match=f"^{typed.partition(':')[0]}: "):
        extractor.open("cpu", "picture")


def test_every_extractor_is_described() -> None:
    assert extractor_names("sound") == ("mfcc",)
    assert "clip-rn50" in extractor_names("text")
    assert "clip-rn50" in extractor_names("picture")
    for name in extractor_names():
        cls = extractor_class(name)
        assert cls.takes
        assert cls.extractor
        assert cls.makes
        assert cls.libraries
        assert cls.__doc__
        assert cls().parameters()
        assert all(v is not None for v in cls().parameters().values())
