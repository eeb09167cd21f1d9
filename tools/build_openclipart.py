"""Builds `openclipart` from the Debian package openclipart-svg."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmrbench.core.errors import CmrbenchError
from tools import clipart_rules as rules
from tools import grouping, pack, pictures, sources, text
from tools.clipart_source import Drawing, Renderer, folders_of, read_archive
from tools.clipart_text import Words, clean_texts, title_counts, words_of
from tools.pictures import Picture

LICENCE = (
    "Public Domain dedication: each SVG carries cc:License PublicDomain in its RDF; Debian copyright file states the"
    " Creative Commons Public Domain Dedication. Text feature: MiniLM sentence embedding (model weights Apache-2.0),"
    " vectors only."
)
NOTICES = {"NOTICE-openclipart.txt": sources.CLIPART.notice}


@dataclass(frozen=True)
class Item:
    """A drawing with its class, picture and words."""

    drawing: Drawing
    label: str
    picture: Picture
    words: Words
    text: str = ""


def candidates(archive: Sequence[Drawing]) -> list[tuple[Drawing, str]]:
    """The drawings that have a class, with it; twice the cap where a class is capped, since duplicates will go."""
    labelled = [(drawing, rules.class_of(drawing.path, drawing.keyword_set)) for drawing in archive]
    found = [(drawing, label) for drawing, label in labelled if label is not None]
    twice = {label: 2 * cap for label, cap in rules.CAPS.items()}
    kept = grouping.cap_classes([drawing.path for drawing, _ in found], [label for _, label in found], twice)
    return [found[i] for i in kept]


def distinct(items: Sequence[Item]) -> list[Item]:
    """One of each set of near-duplicates."""
    cosine = pictures.similarity(np.stack([item.picture for item in items]))
    paths = [item.drawing.path for item in items]
    kept = grouping.drop_near_duplicates(pictures.neighbours(cosine, rules.DUPLICATE), paths)
    return [items[i] for i in kept]


def with_texts(items: Sequence[Item], archive: Sequence[Drawing]) -> list[Item]:
    """The items that have a word left after cleaning, with their texts."""
    folders = {folder for drawing in archive for folder in drawing.folders}
    texts = clean_texts([item.words for item in items], [item.label for item in items], folders)
    return [
        Item(item.drawing, item.label, item.picture, item.words, cleaned)
        for item, cleaned in zip(items, texts, strict=True)
        if cleaned
    ]


def group(items: Sequence[Item], titles: Counter[str]) -> list[int]:
    """A group number for each item: look-alikes, and series by name or by title within one folder."""
    sets = grouping.DisjointSets(len(items))
    stack = np.stack([item.picture for item in items])
    alike = pictures.similarity(stack) > rules.LOOK_ALIKE
    alike |= pictures.similarity(stack, grey=True) > rules.LOOK_ALIKE_GREY
    for i, j in pictures.pairs_above(alike):
        sets.unite(i, j)
    series: dict[tuple[str, ...], list[int]] = {}
    for i, item in enumerate(items):
        folder = item.drawing.path.rpartition("/")[0]
        if item.words.file_name:
            series.setdefault(("name", folder, *item.words.file_name[:2]), []).append(i)
        title = item.drawing.titles[0] if item.drawing.titles else ""
        if titles[title] >= 2:
            series.setdefault(("title", folder, _author(item.drawing).lower(), title.lower()), []).append(i)
    for first, *others in series.values():
        if len(others) < rules.LARGEST_SERIES:
            for other in others:
                sets.unite(first, other)
    return [sets.root(i) for i in range(len(items))]


def _author(drawing: Drawing) -> str:
    return drawing.authors[0] if drawing.authors else ""


def tags_of(drawing: Drawing) -> set[str]:
    """All tags of a drawing: its folders, the folders of its aliases and its keywords, under common names."""
    named = folders_of(drawing.path) + [folder for alias in drawing.aliases for folder in folders_of(alias)]
    named += [keyword.replace(" ", "_") for keyword in drawing.keyword_set]
    authors = {form for author in drawing.authors for form in (author.lower(), author.lower().replace(" ", "_"))}
    return {rules.TAG_OF.get(name, name) for name in named} - rules.NO_TAGS - authors


def frequent_tags(tags: Sequence[set[str]]) -> list[set[str]]:
    """The same sets without tags that too few items have."""
    count = Counter(tag for item in tags for tag in item)
    frequent = {tag for tag, n in count.items() if n >= rules.RAREST_TAG and "rollandin" not in tag}
    return [item & frequent for item in tags]


def may_ship(drawing: Drawing) -> bool:
    """Whether the file states the public domain and its name is fit for a dataset that everybody is handed."""
    return drawing.in_public_domain and not any(name in drawing.path.lower() for name in rules.UNFIT_NAMES)


def build(root: Path, renderer: Renderer, model: Path) -> pack.Built:
    """The whole dataset in memory.

    What may not be shipped leaves last, after classes, groups, tags, splits and embeddings are settled: so an
    exclusion never changes another item.

    Parameters
    ----------
    root
        The unpacked archive.
    renderer
        What draws its files.
    model
        Folder of the sentence encoder.
    """
    archive = read_archive(root)
    titles = title_counts(archive)
    found = candidates(archive)
    drawn = renderer.draw([root / drawing.path for drawing, _ in found])
    everything = [
        Item(drawing, label, picture, words_of(drawing, titles))
        for (drawing, label), picture in zip(found, drawn, strict=True)
        if picture is not None
    ]
    print(f"{len(archive)} files, {len(found)} with a class, {len(everything)} rendered")
    items = with_texts(distinct(everything), archive)
    roots = group(items, titles)
    kept = grouping.cap_classes([item.drawing.path for item in items], [item.label for item in items], rules.CAPS)
    items, roots = [items[i] for i in kept], [roots[i] for i in kept]
    labels = [item.label for item in items]
    splits = grouping.grouped_split(roots, labels, [item.drawing.path for item in items])
    tags = frequent_tags([tags_of(item.drawing) for item in items])
    embeddings = text.sentence_embeddings([item.text for item in items], model)
    shipped = [i for i, item in enumerate(items) if may_ship(item.drawing)]
    items = [items[i] for i in shipped]
    return pack.Built(
        name="openclipart",
        licence=LICENCE,
        ids=[item.drawing.path for item in items],
        labels=[item.label for item in items],
        splits=[splits[i] for i in shipped],
        groups=grouping.number_groups(f"g{roots[i]:05d}" for i in shipped),
        titles=[item.words.title or " ".join(item.words.file_name) for item in items],
        texts=[item.text for item in items],
        extra={
            "tags": ["|".join(sorted(tags[i])) for i in shipped],
            "author": [_author(item.drawing) for item in items],
            "svg_sha256": [item.drawing.sha256 for item in items],
        },
        pictures=np.stack([item.picture for item in items]),
        embeddings=embeddings[shipped],
        notices=NOTICES,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(prog="python -m tools.build_openclipart", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--svg", type=Path, default=sources.CLIPART_FOLDER, help="root of the unpacked archive")
    parser.add_argument("--jobs", type=int, default=2, help="files rendered at the same time")
    options = parser.parse_args(arguments)
    try:
        root = sources.require(options.svg, sources.CLIPART)
        renderer = Renderer(
            program=sources.require_program("rsvg-convert", sources.RSVG),
            fonts=sources.require(sources.LETTERS_FOLDER, sources.LETTERS),
            font_rules=sources.require(sources.FONT_RULES_FOLDER, sources.FONT_RULES),
            jobs=options.jobs,
        )
        model = sources.model_folder()
        other = sources.deviations(
            [sources.CLIPART, sources.RSVG, sources.LETTERS, sources.MORE_LETTERS, sources.FONT_RULES],
            [model / "model.safetensors"],
        )
        for sentence in other:
            print(f"note: {sentence}")
        built = build(root, renderer, model)
        pack.write(built, options.out, other)
        print(
            f"{options.out}: {len(built.ids)} pairs, {len(built.class_names)} classes, {len(set(built.groups))} groups"
        )
    except CmrbenchError as error:
        parser.exit(error.exit_code, f"error: {error}\n")


if __name__ == "__main__":
    main()
