"""Citations: what is refused, and that the BibTeX says the same to a reader of its own as the value does."""

import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmrbench.core.citation import KINDS, Citation, bibliography

PAPER = Citation(
    key="chua2009nuswide",
    kind="inproceedings",
    author="Tat-Seng Chua and Jinhui Tang",
    title="NUS-WIDE: A real-world web image database from National University of Singapore",
    venue="ACM International Conference on Image and Video Retrieval",
    year=2009,
    doi="10.1145/1646396.1646452",
)
ACCENTS = {
    "`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", '"': "\u0308", "=": "\u0304", ".": "\u0307",
    "c": "\u0327", "k": "\u0328", "r": "\u030a", "H": "\u030b", "v": "\u030c",
}  # fmt: skip
LETTERS = {"ss": "ß", "o": "ø", "O": "Ø", "ae": "æ", "AE": "Æ", "l": "ł", "L": "Ł", "i": "i", "j": "j"}


def read_entry(text: str) -> tuple[str, str, dict[str, str]]:
    """Kind, key and raw values of one BibTeX entry, by counting braces as BibTeX does."""
    head = re.match(r"@(\w+)\{([^,\s]+),", text)
    assert head
    at = head.end()
    fields: dict[str, str] = {}
    while match := re.compile(r"\s*(\w+)\s*=\s*\{").match(text, at):
        depth, end = 1, match.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        assert match[1] not in fields
        fields[match[1]] = text[match.end() : end - 1]
        assert text[end] == ","
        at = end + 1
    assert text[at:].strip() == "}"
    return head[1], head[2], fields


def typeset(value: str) -> str:
    """What LaTeX prints for a value: escapes, accents and letters undone, grouping braces dropped."""
    out, at = [], 0
    while at < len(value):
        if value[at] != "\\":
            out.append("" if value[at] in "{}" else value[at])
            at += 1
            continue
        if word := re.compile(r"\\(textasciitilde|textasciicircum)\{\}").match(value, at):
            out.append("~" if word[1] == "textasciitilde" else "^")
        elif word := re.compile(r"\\([`'^~\"=.ckrHv])\{\\?(\w)\}|\\([`'^~\"=.])(\w)").match(value, at):
            out.append((word[2] or word[4]) + ACCENTS[word[1] or word[3]])
        elif word := re.compile(r"\\(ss|ae|AE|[oOlLij])(?![A-Za-z])").match(value, at):
            out.append(LETTERS[word[1]])
        else:
            word = re.compile(r"\\([&%$#_])").match(value, at)
            assert word, value[at:]
            out.append(word[1])
        at = word.end()
    return unicodedata.normalize("NFC", "".join(out)).replace("---", "—").replace("--", "–")


def lower_as_styles_do(value: str) -> str:
    """A title in lower case except its first letter, what follows a colon, and what stands in braces."""
    out, depth, keep = [], 0, True
    for character in value:
        depth += {"{": 1, "}": -1}.get(character, 0)
        out.append(character if depth or keep else character.lower())
        if character not in "{} ":
            keep = False
        if character == ":":
            keep = True
    return "".join(out).replace("{", "").replace("}", "")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_puts_the_venue_where_bibtex_expects_it(kind: str) -> None:
    found, key, fields = read_entry(replace(PAPER, kind=kind).bibtex())
    assert (found, key) == (kind, PAPER.key)
    assert fields[KINDS[kind]] == PAPER.venue
    assert not (set(KINDS.values()) - {KINDS[kind]}) & set(fields)


def test_specials_are_escaped_except_in_addresses() -> None:
    odd = replace(
        PAPER, title="R&D: 100% of #1_x for $5 ~ a^b", venue="A & B", url="http://a.org/b_c%20d#e&f", note="50% off"
    )
    _, _, fields = read_entry(odd.bibtex())
    assert fields["booktitle"] == r"A \& B"
    assert fields["note"] == r"50\% off"
    assert fields["url"] == odd.url
    assert not re.search(r"(?<!\\)[&%$#_]", fields["title"])
    assert typeset(fields["title"]) == odd.title


def test_accents_become_commands_and_unknown_letters_stay() -> None:
    _, _, fields = read_entry(replace(PAPER, author="José Müller and Łukasz Çelik and Ji Ñí and 王伟").bibtex())
    assert fields["author"].replace("王伟", "").isascii()
    assert r"M{\"u}ller" in fields["author"]
    assert typeset(fields["author"]) == "José Müller and Łukasz Çelik and Ji Ñí and 王伟"


@pytest.mark.parametrize(
    "title",
    [
        PAPER.title,
        "Learning with CLIP: A study of MS COCO",
        'On "Flickr" and (MIR)-pictures',
        "A new approach to X",
        "iPhone pictures",
    ],
)
def test_capitals_survive_a_style_that_lowers_titles(title: str) -> None:
    _, _, fields = read_entry(replace(PAPER, title=title).bibtex())
    assert lower_as_styles_do(fields["title"]) == title


def test_ordinary_words_are_left_to_the_style() -> None:
    _, _, fields = read_entry(replace(PAPER, title="A new approach: From words to NUS-WIDE").bibtex())
    assert fields["title"] == "A new approach: From words to {NUS-WIDE}"


def test_groups_and_left_out_authors() -> None:
    many = replace(PAPER, author="{The Pictures and Words Group} and Ann Other and others", pages="251-260")
    assert many.authors() == ("The Pictures and Words Group", "Ann Other", "others")
    _, _, fields = read_entry(many.bibtex())
    assert fields["author"] == many.author
    assert fields["pages"] == "251--260"
    assert many.line().startswith("The Pictures and Words Group, Ann Other et al. NUS-WIDE")


def test_the_line_names_all_parts_once() -> None:
    assert PAPER.line() == (
        "Tat-Seng Chua and Jinhui Tang. NUS-WIDE: A real-world web image database from National University of "
        "Singapore. ACM International Conference on Image and Video Retrieval, 2009. "
        "https://doi.org/10.1145/1646396.1646452"
    )
    assert replace(PAPER, title="Why?", doi="", url="https://a.org/x").line().count("?.") == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": "2009chua"}, "key must begin with a letter"),
        ({"key": "a b"}, "key must begin"),
        ({"kind": "book"}, "none of article"),
        ({"title": ""}, "title is empty"),
        ({"title": "two\nlines"}, "one line"),
        ({"title": "{NUS}"}, "plain text"),
        ({"note": "\\emph"}, "plain text"),
        ({"title": "a\u200bb"}, "cannot be printed"),
        ({"venue": ""}, "only kind misc allows"),
        ({"year": "2009"}, "whole number"),
        ({"year": 20009}, "1800 to 2200"),
        ({"year": True}, "whole number"),
        ({"author": ""}, "empty name"),
        ({"author": "A B and "}, "author must be one line"),
        ({"author": "A {B"}, "one pair of braces"),
        ({"author": "A B et al."}, "and others"),
        ({"doi": "https://doi.org/10.1145/1"}, "doi must look like"),
        ({"url": "ftp://a.org"}, "url must begin"),
        ({"pages": 3}, "pages must be text"),
    ],
)
def test_bad_fields_are_refused_by_name(changes: dict, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as refused:
        replace(PAPER, **changes)
    assert repr(changes.get("key", PAPER.key)) in str(refused.value)


def test_a_bibliography_holds_each_entry_once_in_order() -> None:
    other = replace(PAPER, key="Adams2001", title="Other")
    text = bibliography([PAPER, other, PAPER])
    assert re.findall(r"@\w+\{([^,]+),", text) == ["Adams2001", PAPER.key]
    with pytest.raises(ValueError, match="two different citations"):
        bibliography([PAPER, replace(PAPER, year=2010)])
    assert bibliography([]) == ""


def test_a_paper_cited_for_two_things_keeps_both_notes() -> None:
    method, data = replace(PAPER, note="The method"), replace(PAPER, note="The data")
    _, _, fields = read_entry(bibliography([PAPER, method, data, method]))
    assert fields["note"] == "The method; The data"


WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"], exclude_characters="{}\\–—"), min_size=1)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=5).map(" ".join))
def test_any_plain_title_is_read_back(title: str) -> None:
    title = unicodedata.normalize("NFC", title)
    if "--" in title:
        return
    _, _, fields = read_entry(replace(PAPER, title=title).bibtex())
    assert typeset(fields["title"]) == title
