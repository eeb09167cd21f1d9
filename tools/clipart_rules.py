"""The choices behind `openclipart`: folders to classes, words to leave out, keywords to tags."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from tools.text import word_set

EXCLUDED_FOLDERS = (
    "buttons/",
    "buildings/furniture",
    "computer/buttons/",
    "computer/diagrams",
    "computer/folders/",
    "computer/icons/",
    "computer/network/",
    "decorations/",
    "logos/",
    "people/clothing/pantyhose",
    "people/smilies",
    "people/stickmen",
    "recreation/games/cards",
    "shapes/",
    "signs_and_symbols/flags/semaphore",
    "signs_and_symbols/led/",
    "special/",
    "unsorted/",
)
"""Folders without a class: abstract shapes, series of near-copies, interface parts, leftovers."""


@dataclass(frozen=True)
class Rule:
    """Files below one of the folders, with the keyword where one is asked for, belong to the class."""

    label: str
    folders: tuple[str, ...]
    keyword: str | None = None

    def holds(self, path: str, keywords: Set[str]) -> bool:
        """Whether a file belongs to the class by this rule."""
        return path.startswith(self.folders) and (self.keyword is None or self.keyword in keywords)


RULES = (
    Rule("bird", ("animals/birds",)),
    Rule("bird", ("animals/",), keyword="bird"),
    Rule("mammal", ("animals/mammals",)),
    Rule("mammal", ("animals/",), keyword="mammal"),
    Rule("other_animal", ("animals/",)),
    Rule("fruit_vegetable", ("food/fruit", "food/vegetables")),
    Rule("dessert", ("food/desserts",)),
    Rule("meal_drink", ("food/",)),
    Rule("plant", ("plants/",)),
    Rule("building", ("buildings/",)),
    Rule("sign", ("transportation/roadsigns", "signs_and_symbols/map_symbols", "signs_and_symbols/hazard")),
    Rule("sign", ("",), keyword="roadsign"),
    Rule("vehicle", ("transportation/",)),
    Rule("flag", ("signs_and_symbols/flags",)),
    Rule("clothing", ("people/clothing",)),
    Rule("person", ("people/",)),
    Rule("music", ("recreation/music",)),
    Rule("sport_game", ("recreation/sports", "recreation/games", "recreation/toys", "computer/games")),
    Rule("celebration", ("recreation/holiday", "recreation/party")),
    Rule("tool", ("tools/",)),
    Rule("office", ("office/", "education/")),
    Rule("computer", ("computer/", "electronics/")),
    Rule("sky", ("geography/astronomy", "science/astronomy", "signs_and_symbols/weather")),
    Rule("map", ("geography/",)),
)
"""The first rule that holds gives the class."""


def class_of(path: str, keywords: Set[str]) -> str | None:
    """The class of a file from its folder and its keywords (lower case), or None for a file that is left out."""
    if path.startswith(EXCLUDED_FOLDERS):
        return None
    return next((rule.label for rule in RULES if rule.holds(path, keywords)), None)


CAPS = {"flag": 140, "sign": 140, "computer": 160, "person": 170, "office": 150}
"""Classes that consist of long series by few authors."""

DUPLICATE = 0.985
"""Similarity in colour above which one of two pictures is dropped."""
LOOK_ALIKE = 0.93
"""Similarity in colour above which two pictures stay in one group."""
LOOK_ALIKE_GREY = 0.96
"""The same without colour: one drawing in several colours."""
LARGEST_SERIES = 40
"""Files of one folder that share title or name form a group only up to this number; more is a habit, not a series."""
FREQUENT_TITLE = 4
"""A title that this many files carry says nothing about any of them."""

STOP_WORDS = word_set(
    "the a an of in on with and for to by from is it s this that my various"
    " de di la il del da con"
    " part clipart clip art svg file image drawing cartoon simple symbol icon icons theme hash unsorted md nicu aj"
)
"""Words without content, in the two languages of the titles, and the habits of a few authors."""

GENERIC_WORDS = word_set(
    "aiga converted eps http com org www gmail ganson bw detailed illustration illustrations sign signs signage"
    " style picture image images vector clipart public domain"
)
"""Words about the file rather than what it shows."""

CATEGORY_WORDS = word_set(
    "transport transportation sports protein carbohydrate insect mammal feline animal hardware tool mapsym festive"
)
"""Keywords that name a category although no folder does."""

EMPTY_KEYWORDS = frozenset({"hash", "unsorted"})
"""What the archive's software put where a keyword was missing."""

SAME_TAG = {
    "animal": "animals",
    "astronomy": "astronomy space",
    "bird": "birds",
    "boat": "boat boating sailing ship",
    "book": "books",
    "building": "buildings house home homes",
    "clothing": "hats hat",
    "dessert": "desserts icecream",
    "drink": "beverage beverages alcohol",
    "fast_food": "fastfood menu",
    "festive": "holiday party christmas",
    "flag": "flags",
    "flower": "flowers",
    "game": "games",
    "hardware": "electronics",
    "icon": "icons",
    "insect": "bugs",
    "mammal": "mammals",
    "map": "geography",
    "office": "work",
    "person": "people body",
    "plant": "plants",
    "sign": "roadsign roadsigns map_symbols mapsym signs",
    "sport": "sports",
    "symbol": "signs_and_symbols",
    "telephone": "phone",
    "tool": "tools",
    "toy": "toys",
    "transport": "transportation",
    "tree": "trees evergreen",
    "vegetable": "vegetables",
    "vehicle": "vehicles car truck",
    "warning": "caution hazard",
    "weapon": "weapons",
}
"""Tag to the folders and keywords that mean the same."""

TAG_OF = {word: tag for tag, words in SAME_TAG.items() for word in words.split()}

NO_TAGS = word_set(
    "hash unsorted recreation special theme shape shapes simple icon detailed coastline united_nations_member"
)
"""Folders and keywords that say nothing about what a file shows."""

RAREST_TAG = 35
"""A tag needs this many items."""

UNFIT_NAMES = ("stripper", "sexy", "nude", "naked", "bullet_hole", "cannabis", "gallows", "swastik", "nazi")
"""Files with one of these in their name are not shipped."""
