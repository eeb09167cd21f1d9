"""Pascal Sentence in both of its layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_archives
import pytest

from cmrbench.core.errors import DataError
from cmrbench.data.builders.pascal_sentence import CLASSES
from cmrbench.data.content import Content

Members = dict[str, str | bytes]


def told(name: str) -> list[str]:
    return [f"A {name.partition('/')[0]} at a caf\u00e9 &  more, {k}." for k in range(5)]


@pytest.fixture
def names() -> list[str]:
    return [f"{c}/200{k}_00{7 * k}{n}" for n, c in enumerate(CLASSES) for k in range(2)]


@pytest.fixture
def members(names: list[str]) -> Members:
    """The usual redistribution, with both ends of lines and an odd name that one script gave."""
    files: Members = {"PascalSentence/README.md": "none"}
    for n, name in enumerate(names):
        files[f"PascalSentence/dataset/{name}.jpg"] = "jpeg"
        suffix = "txt" if n == 4 else ".txt"
        files[f"PascalSentence/sentence/{name}{suffix}"] = ("\r\n" if n % 2 else "\n").join([*told(name), "", ""])
    return files


@pytest.fixture
def page(names: list[str]) -> Members:
    """The home page with its folders of pictures."""
    rows = "".join(
        f'<tr><td><img src="{name}.jpg"></td>\n<td><table>'
        + "".join(f"\n<tr><td> {s.replace('&', '&amp;')} </td></tr>" for s in told(name))
        + "\n</table></td></tr>\n"
        for name in names
    )
    foot = '<tr><td><img src="logo.gif"></td><td>Write to us.</td></tr>'
    html = f"<html><body><h1>PASCAL</h1><table><tr><td>Image</td></tr>{rows}{foot}</table></body></html>"
    return {"pascal-sentences.html": html} | {f"{name}.jpg": "jpeg" for name in names}


def build(members: Members, folder: Path, modalities: dict[str, Any] = made_archives.RAW, **options: Any) -> Content:
    (folder / "sources").mkdir(exist_ok=True)
    made_archives.write_zip(folder / "sources" / "pascal.zip", members)
    entry = made_archives.make_entry("pascal_sentence", modalities, options=options)
    return made_archives.run_builder(entry, folder / "sources", folder / "scratch")


@pytest.mark.parametrize("layout", ["members", "page"])
def test_five_sentences_are_one_text(
    layout: str, names: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    content = build(request.getfixturevalue(layout), tmp_path)
    image, text = content.items["image"], content.items["text"]
    assert image.ids.tolist() == text.ids.tolist() == text.instances.tolist() == sorted(names)
    assert image.features.shape == text.features.shape == (40, 0)
    assert content.texts["text"] == [" ".join(" ".join(s.split()) for s in told(n)) for n in sorted(names)]
    top = "pascal.zip/PascalSentence/dataset/" if layout == "members" else "pascal.zip/"
    assert content.pictures["image"] == [f"{top}{n}.jpg" for n in sorted(names)]
    assert text.labels is not None
    assert [content.classes[k] for k in text.labels.argmax(1)] == [n.partition("/")[0] for n in sorted(names)]
    assert (text.labels.sum(1) == 1).all()
    assert content.splits is None
    assert content.notes == ()


def test_sentences_can_be_items_of_their_own(members: Members, names: list[str], tmp_path: Path) -> None:
    content = build(members, tmp_path, sentences="each")
    text = content.items["text"]
    assert len(text) == 200
    assert len(content.items["image"]) == 40
    assert text.ids.tolist()[:6] == [*(f"{sorted(names)[0]}#{k}" for k in range(5)), f"{sorted(names)[1]}#0"]
    assert text.instances.tolist()[:6] == [sorted(names)[0]] * 5 + [sorted(names)[1]]
    assert content.texts["text"][4].endswith("more, 4.")


def test_what_is_left_out_is_noted(members: Members, names: list[str], tmp_path: Path) -> None:
    members[f"PascalSentence/sentence/{names[0]}.txt"] = "\r\n"
    del members[f"PascalSentence/dataset/{names[1]}.jpg"]
    members[f"PascalSentence/sentence/{names[2]}.txt"] = "One.\nTwo.\n"
    content = build(members, tmp_path)
    assert content.items["image"].ids.tolist() == sorted(names[2:])
    assert content.notes == (
        f"1 pictures without sentences left out: {names[0]}",
        f"1 sets of sentences without a picture left out: {names[1]}",
        "1 pictures have more or fewer than 5 sentences",
    )


def without(part: str) -> Callable[[Members], Members]:
    return lambda members: {n: c for n, c in members.items() if part not in n}


DAMAGE: dict[str, tuple[Callable[[Members], Members], str]] = {
    "no sentences": (without("/sentence/"), r"holds neither sentence/<class>/<id>\.txt nor the home page"),
    "no pictures": (without("/dataset/"), r"holds no pictures \(dataset/<class>/<id>\.jpg\)"),
    "another class": (
        lambda m: m | {"PascalSentence/dataset/zebra/2008_1.jpg": "jpeg"},
        r"'pascal\.zip/PascalSentence/dataset/zebra/2008_1\.jpg' is in no folder of one of the 20 classes",
    ),
    "not UTF-8": (
        lambda m: m | {next(n for n in m if "/sentence/" in n): "One.\ncaf\u00e9".encode("latin-1")},
        r"\.txt line 2: not UTF-8",
    ),
    "huge": (
        lambda m: m | {next(n for n in m if "/sentence/" in n): "x" * 70_000},
        r"\.txt has more than 65,536 bytes",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_refused(members: Members, tmp_path: Path, case: str) -> None:
    change, expected = DAMAGE[case]
    with pytest.raises(DataError, match=expected):
        build(change(members), tmp_path)


def test_a_page_without_a_table_is_refused(page: Members, tmp_path: Path) -> None:
    page["pascal-sentences.html"] = "<html>404</html>"
    with pytest.raises(DataError, match="has no table of pictures and sentences"):
        build(page, tmp_path)


def test_there_are_no_features(members: Members, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="image: Pascal Sentence comes without features"):
        build(members, tmp_path, {"image": {"dims": 4096}, "text": {"kind": "raw"}})
