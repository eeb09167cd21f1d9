"""The choices behind `emoji`: classes, caps, languages and what makes two emoji variants of one another."""

from __future__ import annotations

import re

from tools.text import word_set

SUBGROUPS = {
    "smiley": "face-smiling face-affection face-tongue face-hand face-neutral-skeptical face-sleepy face-unwell"
    " face-hat face-glasses face-concerned face-negative face-costume cat-face monkey-face",
    "emotion": "heart emotion",
    "body": "hand-fingers-open hand-fingers-partial hand-single-finger hand-fingers-closed hands hand-prop body-parts",
    "person": "person person-gesture person-role person-fantasy person-activity person-sport person-resting family"
    " person-symbol",
    "mammal": "animal-mammal",
    "other_animal": "animal-bird animal-amphibian animal-reptile animal-marine animal-bug",
    "plant": "plant-flower plant-other food-fruit food-vegetable",
    "food": "food-prepared food-asian food-marine food-sweet drink dishware",
    "place": "place-map place-geographic place-building place-religious place-other",
    "transport": "transport-ground transport-water transport-air hotel",
    "sky_time": "time|sky & weather",
    "activity": "event|award-medal|sport|game|arts & crafts",
    "clothing": "clothing",
    "media": "sound|music|musical-instrument|phone|computer|light & video",
    "office": "book-paper money mail writing office",
    "household": "lock tool science medical household other-object",
    "sign": "transport-sign warning religion zodiac av-symbol gender other-symbol",
    "glyph": "arrow math punctuation currency keycap alphanum geometric",
    "flag": "flag country-flag subdivision-flag",
}
"""Class to the subgroups of emoji-test.txt that it takes; separated by bars where a name has blanks."""

CLASS_OF = {
    subgroup: label
    for label, listed in SUBGROUPS.items()
    for subgroup in (listed.split("|") if "|" in listed else listed.split())
}

CAPS = {"flag": 110, "person": 170}
"""The two classes that would outweigh the rest."""

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "tr", "ar", "hi", "zh", "ja", "ko")

DUPLICATE = 0.985
"""Similarity above which one of two pictures is dropped."""
LOOK_ALIKE = 0.95
"""Similarity above which two pictures stay in one group."""

SERIES = frozenset({"family", "geometric", "keycap"})
"""Subgroups that are one group each: their members differ in number, colour or size only."""

CLASS_WORDS = word_set("face faces flag flags person man woman men women")
"""Words that name a class although they are not its label; like the labels they are taken out of the texts."""

_BEARER = re.compile(r"^(man|woman|person|men|women|people|boy|girl|mx|merman|mermaid|merperson)\b")
_VARIANT = re.compile(
    r"\b(man|woman|person|men|women|people|up|down|left|right|o’clock|-thirty"
    r"|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
    r"|red|orange|yellow|green|blue|purple|brown|black|white|small|medium|large|hollow|heavy)\b"
)


def stem(name: str) -> str:
    """An emoji's name without what tells variants apart: who does it, direction, hour, colour, size, detail.

    'woman running' and 'man running' both give 'running'; 'three o’clock' and 'nine o’clock' give ''.
    """
    rest = _BEARER.sub("", name.lower())
    if not rest.startswith(("flag", "keycap")):
        rest = re.sub(r":.*", "", rest)
    return " ".join(_VARIANT.sub("", rest).split())
