"""Builds `emoji`: pictures from Noto Color Emoji, texts from Unicode CLDR."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmrbench.core.errors import CmrbenchError, DataError
from tools import emoji_rules as rules
from tools import grouping, pack, pictures, sources, text
from tools.pictures import Picture
from tools.unicode_sources import Annotation, Emoji, read_annotations, read_emoji, without_variation_selector

LICENCE = (
    "Glyph images rendered from Noto Color Emoji 2.042 (Debian fonts-noto-color-emoji 2.042): font SIL OFL 1.1,"
    " artwork sources Apache-2.0 per the Debian copyright file; Unicode emoji-test 15.0 and CLDR 41 annotations:"
    " Unicode-DFS-2016. Ship all notices. Text feature: MiniLM sentence embedding (weights Apache-2.0), vectors only."
)
NOTICES = {
    "NOTICE-noto-color-emoji.txt": sources.FONT.notice,
    "NOTICE-unicode-cldr.txt": sources.CLDR.notice,
    "NOTICE-unicode-data.txt": sources.UNICODE.notice,
}
STRIKE = 109
"""The one size, in pixels, that the font's bitmaps exist in."""
CANVAS = 150
WIDEST = 140
"""A drawing wider than this is a sequence that the font has no single glyph for."""


@dataclass(frozen=True)
class Inputs:
    """The files and folders to read."""

    font: Path
    emoji_test: Path
    cldr: Path


@dataclass(frozen=True)
class Drawn:
    """An emoji with its picture and its annotations by language."""

    emoji: Emoji
    picture: Picture
    annotations: Mapping[str, Annotation]

    @property
    def label(self) -> str:
        """Its class."""
        return rules.CLASS_OF[self.emoji.subgroup]

    @property
    def english(self) -> Annotation:
        """The English annotation, with the name of emoji-test.txt where CLDR has none."""
        found = self.annotations.get("en", Annotation(None, ()))
        return Annotation(found.name or self.emoji.name, found.keywords)


def draw(inputs: Inputs) -> list[Drawn]:
    """All emoji that the font has a single glyph for, in the order of emoji-test.txt."""
    from PIL import Image, ImageDraw, ImageFont, features

    if not features.check_feature("raqm"):
        raise DataError("this Pillow lacks the text layout library Raqm, without which joined emoji cannot be drawn")
    font = ImageFont.truetype(str(inputs.font), STRIKE)
    annotations = {language: read_annotations(inputs.cldr, language) for language in rules.LANGUAGES}
    drawn = []
    for emoji in read_emoji(inputs.emoji_test):
        if emoji.subgroup not in rules.CLASS_OF:
            raise DataError(
                f"{inputs.emoji_test}: the subgroup {emoji.subgroup!r} belongs to no class; see emoji_rules.py"
            )
        canvas = Image.new("RGB", (CANVAS, CANVAS), (255, 255, 255))
        ImageDraw.Draw(canvas).text((4, 12), emoji.char, font=font, embedded_color=True)
        raw = np.asarray(canvas)
        mask = pictures.ink(raw, 250)
        columns = np.flatnonzero(mask.any(axis=0))
        if mask.sum() < 20 or columns[-1] - columns[0] > WIDEST:
            continue
        picture = pictures.resize(pictures.centre_on_square(raw, mask), pictures.SIDE)
        key = without_variation_selector(emoji.char)
        drawn.append(Drawn(emoji, picture, {name: found[key] for name, found in annotations.items() if key in found}))
    return drawn


def select(drawn: Sequence[Drawn]) -> list[int]:
    """Positions of the emoji that the dataset has: one of each set of near-duplicates, at most the cap a class."""
    cosine = pictures.similarity(np.stack([item.picture for item in drawn]))
    ids = [item.emoji.id for item in drawn]
    kept = grouping.drop_near_duplicates(pictures.neighbours(cosine, rules.DUPLICATE), ids)
    capped = grouping.cap_classes([ids[i] for i in kept], [drawn[i].label for i in kept], rules.CAPS)
    return [kept[i] for i in capped]


def group(items: Sequence[Drawn]) -> list[int]:
    """A group number for each item: look-alikes, variants of one name and members of a series stay together."""
    sets = grouping.DisjointSets(len(items))
    cosine = pictures.similarity(np.stack([item.picture for item in items]))
    for i, j in pictures.pairs_above(cosine > rules.LOOK_ALIKE):
        sets.unite(i, j)
    keyed: dict[tuple[str, str], list[int]] = {}
    for i, item in enumerate(items):
        if item.label == "flag":
            continue
        keyed.setdefault((item.label, rules.stem(item.emoji.name)), []).append(i)
        if item.emoji.subgroup in rules.SERIES:
            keyed.setdefault(("series", item.emoji.subgroup), []).append(i)
    for first, *others in keyed.values():
        for other in others:
            sets.unite(other, first)
    return [sets.root(i) for i in range(len(items))]


def clean_texts(items: Sequence[Drawn]) -> list[str]:
    """English name and keywords as words, without those that give the class away; '-' where none is left.

    Names lose the class labels and `CLASS_WORDS`; keywords also lose the words of the subgroups' names and every word
    that a fifth of some class carries.
    """
    labels = [item.label for item in items]
    label_words = {word for label in labels for word in label.split("_")}
    named = text.with_plurals(label_words | rules.CLASS_WORDS)
    subgroup_words = {word for subgroup in rules.CLASS_OF for word in text.tokens(subgroup)}
    both = [text.tokens(" ".join([item.english.name or "", *item.english.keywords])) for item in items]
    telling = text.class_words(both, labels) | text.with_plurals(label_words | subgroup_words)
    cleaned = []
    for item in items:
        name = [word for word in text.tokens(item.english.name or "") if word not in named]
        keywords = [word for word in text.tokens(" ".join(item.english.keywords)) if word not in telling]
        cleaned.append(" ".join(text.unique(name + keywords)) or "-")
    return cleaned


def build(inputs: Inputs, model: Path) -> pack.Built:
    """The whole dataset in memory; ``model`` is the folder of the sentence encoder."""
    drawn = draw(inputs)
    kept = select(drawn)
    items = [drawn[i] for i in kept]
    ids = [item.emoji.id for item in items]
    labels = [item.label for item in items]
    roots = group(items)
    texts = clean_texts(items)
    annotated = {
        f"text_{language}": [
            item.annotations[language].joined() if language in item.annotations else "" for item in items
        ]
        for language in rules.LANGUAGES
    }
    return pack.Built(
        name="emoji",
        licence=LICENCE,
        ids=ids,
        labels=labels,
        splits=grouping.grouped_split(roots, labels, ids),
        # Numbered by the position among all drawn emoji, as text: the order in which the data was first numbered.
        groups=grouping.number_groups(f"g{kept[root]}" for root in roots),
        titles=[item.emoji.name for item in items],
        texts=texts,
        extra={
            "subgroup": [item.emoji.subgroup for item in items],
            "char": [item.emoji.char for item in items],
            **annotated,
        },
        pictures=np.stack([item.picture for item in items]),
        embeddings=text.sentence_embeddings(texts, model),
        notices=NOTICES,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(prog="python -m tools.build_emoji", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--font", type=Path, default=sources.FONT_FILE, help="NotoColorEmoji.ttf")
    parser.add_argument("--emoji-test", type=Path, default=sources.EMOJI_TEST_FILE, help="emoji-test.txt")
    parser.add_argument("--cldr", type=Path, default=sources.CLDR_FOLDER, help="CLDR's folder `common`")
    options = parser.parse_args(arguments)
    try:
        inputs = Inputs(
            font=sources.require(options.font, sources.FONT),
            emoji_test=sources.require(options.emoji_test, sources.UNICODE),
            cldr=sources.require(options.cldr, sources.CLDR),
        )
        model = sources.model_folder()
        other = sources.deviations(
            [sources.FONT, sources.UNICODE, sources.CLDR], [inputs.font, inputs.emoji_test, model / "model.safetensors"]
        )
        for sentence in other:
            print(f"note: {sentence}")
        built = build(inputs, model)
        pack.write(built, options.out, other)
        print(
            f"{options.out}: {len(built.ids)} pairs, {len(built.class_names)} classes, {len(set(built.groups))} groups"
        )
    except CmrbenchError as error:
        parser.exit(error.exit_code, f"error: {error}\n")


if __name__ == "__main__":
    main()
