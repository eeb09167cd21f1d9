from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmrbench.core.errors import DataError
from tools import emoji_rules as rules
from tools.build_emoji import Drawn, clean_texts
from tools.unicode_sources import Annotation, Emoji, read_annotations, read_emoji, without_variation_selector

EMOJI_TEST = """\
# group: Smileys & Emotion
# subgroup: face-smiling
1F600                                      ; fully-qualified     # 😀 E1.0 grinning face
263A FE0F                                  ; fully-qualified     # ☺️ E0.6 smiling face
263A                                       ; unqualified         # ☺ E0.6 smiling face
# subgroup: hand-fingers-open
1F44B                                      ; fully-qualified     # 👋 E0.6 waving hand
1F44B 1F3FB                                ; fully-qualified     # 👋🏻 E1.0 waving hand: light skin tone
1F3FB                                      ; component           # 🏻 E1.0 light skin tone
"""


def annotations_file(body: str) -> str:
    head = '<?xml version="1.0"?>\n<!DOCTYPE ldml SYSTEM "../../common/dtd/ldml.dtd">\n'
    return f"{head}<ldml><annotations>{body}</annotations></ldml>"


def drawn(name: str, subgroup: str, annotation: Annotation | None = None) -> Drawn:
    annotations = {} if annotation is None else {"en": annotation}
    return Drawn(Emoji(name, "?", name, subgroup), np.zeros((2, 2, 3), np.uint8), annotations)


def test_list_has_fully_qualified_emoji_without_skin_tones(tmp_path: Path) -> None:
    path = tmp_path / "emoji-test.txt"
    path.write_text(EMOJI_TEST, encoding="utf-8")
    found = list(read_emoji(path))
    assert [(e.id, e.name, e.subgroup) for e in found] == [
        ("1F600", "grinning face", "face-smiling"),
        ("263A-FE0F", "smiling face", "face-smiling"),
        ("1F44B", "waving hand", "hand-fingers-open"),
    ]
    assert without_variation_selector(found[1].char) == "☺"


def test_derived_annotations_are_added(tmp_path: Path) -> None:
    for part, body in (
        (
            "annotations",
            '<annotation cp="☺">froh | Gesicht</annotation><annotation cp="☺" type="tts">lacht</annotation>',
        ),
        ("annotationsDerived", '<annotation cp="k" type="tts">Taste</annotation>'),
    ):
        (tmp_path / part).mkdir()
        (tmp_path / part / "de.xml").write_text(annotations_file(body), encoding="utf-8")
    found = read_annotations(tmp_path, "de")
    assert found == {"☺": Annotation("lacht", ("froh", "Gesicht")), "k": Annotation("Taste", ())}
    assert found["☺"].joined() == "lacht | froh | Gesicht"
    with pytest.raises(DataError, match=r"xx\.xml.*'xx'"):
        read_annotations(tmp_path, "xx")


@pytest.mark.parametrize(
    ("one", "other", "stem"),
    [
        ("woman running", "man running", "running"),
        ("three o’clock", "nine o’clock", ""),
        ("red heart", "blue heart", "heart"),
        ("person: beard", "man: blond hair", ""),
    ],
)
def test_variants_have_one_stem(one: str, other: str, stem: str) -> None:
    assert rules.stem(one) == rules.stem(other) == stem


def test_flags_and_keycaps_keep_what_follows_the_colon() -> None:
    assert rules.stem("flag: Chad") == "flag: chad"
    assert rules.stem("keycap: 1") != rules.stem("keycap: 2")


def test_every_subgroup_has_one_class() -> None:
    listed = [
        part for words in rules.SUBGROUPS.values() for part in (words.split("|") if "|" in words else words.split())
    ]
    assert len(listed) == len(set(listed)) == len(rules.CLASS_OF)
    assert len(rules.SUBGROUPS) == 19


def test_texts_lose_the_words_of_their_class() -> None:
    items = [
        drawn(f"cat{i}", "animal-mammal", Annotation("grey cat face", ("whisker", f"k{c}")))
        for i, c in enumerate("abc")
    ]
    items += [drawn("mammal", "animal-mammal", Annotation("mammal", ("animal", "whisker")))]
    items += [drawn(f"n{i}", "drink", Annotation("hot drink", ("steam",))) for i in range(2)]
    # Names lose labels and 'face' only; keywords also lose what a fifth of a class carries, and subgroup words.
    assert clean_texts(items)[:5] == ["grey cat"] * 3 + ["-", "hot drink"]


def test_name_of_the_emoji_list_stands_in_where_cldr_has_none() -> None:
    assert drawn("shaking head", "face-smiling").english == Annotation("shaking head", ())
    assert drawn("x", "face-smiling", Annotation(None, ("k",))).english == Annotation("x", ("k",))
