from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools import clipart_rules as rules
from tools.build_openclipart import frequent_tags, may_ship, tags_of
from tools.clipart_source import Drawing, font_environment, read_archive, read_metadata
from tools.clipart_text import Words, clean_texts, file_name_words, title_counts, words_of

SVG = b"""<svg xmlns="http://www.w3.org/2000/svg"><!-- a comment --><metadata>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:cc="http://web.resource.org/cc/"><cc:Work>
 <dc:title>Old  boat</dc:title><dc:description></dc:description>
 <dc:subject><rdf:Bag><rdf:li>sailing</rdf:li><rdf:li></rdf:li><rdf:li>ship</rdf:li></rdf:Bag></dc:subject>
 <dc:creator><cc:Agent><dc:title>Jane Doe</dc:title></cc:Agent></dc:creator>
 <cc:license rdf:resource="http://web.resource.org/cc/PublicDomain"/>
</cc:Work></rdf:RDF></metadata></svg>"""


def test_metadata_is_read_from_the_rdf_block() -> None:
    pytest.importorskip("lxml", reason="broken SVG files need lxml's recovering parser (extra 'rebuild')")
    assert read_metadata(SVG, "boat.svg") == {
        "titles": ("Old boat",),
        "descriptions": (),
        "keywords": ("sailing", "ship"),
        "authors": ("Jane Doe",),
        "licences": ("http://web.resource.org/cc/PublicDomain",),
    }


def test_broken_file_gives_what_stands_before_the_break_and_no_foreign_entity() -> None:
    pytest.importorskip("lxml", reason="broken SVG files need lxml's recovering parser (extra 'rebuild')")
    assert read_metadata(SVG.replace(b"</metadata></svg>", b"<g></svg>"), "x")["titles"] == ("Old boat",)
    hostile = b'<!DOCTYPE svg [<!ENTITY f SYSTEM "file:///etc/hostname">]>' + SVG.replace(b"Old  boat", b"&f;")
    assert read_metadata(hostile, "x")["titles"] in {("",), ("&f;",)}


def test_links_are_aliases_and_order_is_by_path(tmp_path: Path) -> None:
    pytest.importorskip("lxml", reason="broken SVG files need lxml's recovering parser (extra 'rebuild')")
    for name in ("a/b.svg", "a-b.svg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(SVG)
    (tmp_path / "boats").mkdir()
    (tmp_path / "boats/link.svg").symlink_to("../a/b.svg")
    found = read_archive(tmp_path)
    assert [(d.path, d.aliases) for d in found] == [("a-b.svg", ()), ("a/b.svg", ("boats/link.svg",))]


@pytest.mark.parametrize(
    ("path", "keywords", "label"),
    [
        ("animals/birds/crow.svg", set(), "bird"),
        ("animals/crow.svg", {"bird"}, "bird"),
        ("animals/crow.svg", set(), "other_animal"),
        ("transportation/car.svg", set(), "vehicle"),
        ("transportation/car.svg", {"roadsign"}, "sign"),
        ("computer/games/pad.svg", set(), "sport_game"),
        ("computer/mouse.svg", set(), "computer"),
        ("computer/icons/mouse.svg", set(), None),
        ("geography/astronomy/moon.svg", set(), "sky"),
        ("geography/chad.svg", set(), "map"),
        ("unsorted/thing.svg", {"roadsign"}, None),
        ("elsewhere/thing.svg", set(), None),
    ],
)
def test_class_of_a_file(path: str, keywords: set[str], label: str | None) -> None:
    assert rules.class_of(path, keywords) == label


def test_no_two_tags_claim_one_word() -> None:
    claimed = [word for words in rules.SAME_TAG.values() for word in words.split()]
    assert len(claimed) == len(set(claimed))


def test_file_names_lose_their_authors() -> None:
    drawing = Drawing("food/old_teapot_jane_d_01.svg", "", authors=("Jane Doe",))
    assert file_name_words(drawing) == ("old", "teapot")
    # A name of three letters is cut off only where it stands alone: 'doe' leaves 'doeskin'.
    assert file_name_words(Drawing("doeskin_doe.svg", "", authors=("Jane Doe",))) == ("doeskin",)


def test_words_leave_out_stop_words_authors_marks_and_frequent_titles() -> None:
    drawing = Drawing(
        "food/teapot.svg",
        "",
        titles=("Noname", "Blue Teapot", "Blue Teapot"),
        descriptions=("The teapot of Jane, with 2 cups",),
        keywords=("Hot_Drink", "unsorted", "0x1f", "1234", "clip art"),
        authors=("Jane Doe",),
    )
    words = words_of(drawing, Counter({"Noname": 4, "Blue Teapot": 1}))
    assert words.title == "Blue Teapot"
    assert words.free == ("blue", "teapot", "cups")
    assert words.keywords == ("hot", "drink")


def test_a_title_is_counted_once_a_file() -> None:
    archive = [Drawing("a", "", titles=("T", "T", "")), Drawing("b", "", titles=("T",))]
    assert title_counts(archive) == {"T": 2}


def test_texts_lose_the_words_of_their_class_and_folders() -> None:
    words = [Words("", (), ("old", "pot", "tool"), ("steel", "kitchen", f"own{i}")) for i in range(3)]
    # 'steel' is everyone's keyword, 'kitchen' a folder; both stay where an author wrote them freely.
    words.append(Words("", (), ("steel", "kitchen", "vector"), ("steel",)))
    assert clean_texts(words, ["tool"] * 4, {"kitchens"}) == ["old pot"] * 3 + ["steel kitchen"]
    lone = [Words("", (), (), (f"own{i}", "steel")) for i in range(6)]
    assert clean_texts(lone, ["tool"] * 6, set()) == [f"own{i}" for i in range(6)]


def test_tags_come_from_folders_aliases_and_keywords() -> None:
    drawing = Drawing(
        "transportation/boats/x.svg",
        "",
        keywords=("Sailing", "jane doe", "unsorted", "fast food"),
        authors=("Jane Doe",),
        aliases=("recreation/sports/y.svg",),
    )
    assert tags_of(drawing) == {"transport", "boats", "boat", "sport", "fast_food"}


def test_rare_tags_go() -> None:
    tags = [{"sport", f"t{i}"} for i in range(rules.RAREST_TAG)]
    assert frequent_tags(tags) == [{"sport"}] * len(tags)
    assert frequent_tags(tags[1:]) == [set()] * (len(tags) - 1)


@pytest.mark.parametrize(
    ("path", "licences", "ships"),
    [
        ("a/b.svg", ("http://web.resource.org/cc/PublicDomain",), True),
        ("a/b.svg", ("Public Domain",), True),
        ("a/b.svg", (), False),
        ("a/b.svg", ("PublicDomain", "http://creativecommons.org/licenses/GPL/2.0/"), False),
        ("a/Bullet_Hole.svg", ("PublicDomain",), False),
    ],
)
def test_only_what_is_stated_public_domain_ships(path: str, licences: tuple[str, ...], ships: bool) -> None:
    assert may_ship(Drawing(path, "", licences=licences)) is ships


def test_fontconfig_sees_the_given_fonts_only(tmp_path: Path) -> None:
    fonts, rules = tmp_path / "fonts & more", tmp_path / "rules"
    with font_environment(fonts, rules) as environment:
        config = ElementTree.parse(environment["FONTCONFIG_FILE"]).getroot()
        assert [(e.tag, e.text) for e in config][:2] == [("dir", str(fonts)), ("include", str(rules))]
        assert [e.tag for e in config].count("dir") == 1
    assert not Path(environment["FONTCONFIG_FILE"]).exists()
