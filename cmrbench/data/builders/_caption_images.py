"""Pictures with captions: the lists of Flickr8k and Flickr30K, Karpathy's JSON files, and the recipes of Recipe1M."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import DataError
from cmrbench.data.builders._caption_files import Captioned, json_objects, list_in, text_in
from cmrbench.data.builders._raw import plain

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.builders.captioned import Options

_TOKENS = ("Flickr8k.token.txt", "results_20130124.token")
_LISTS = (
    {"train": "Flickr_8k.trainImages.txt", "val": "Flickr_8k.devImages.txt", "query": "Flickr_8k.testImages.txt"},
    {"train": "train.txt", "val": "val.txt", "query": "test.txt"},
)
_KARPATHY = {"train": "train", "restval": "train", "val": "val", "test": "query"}
_PARTITIONS = {"train": "train", "val": "val", "test": "query"}


def flickr(tree: SourceTree, options: Options, notes: list[str]) -> Iterator[Captioned]:
    """Flickr8k (Hodosh et al., JAIR 2013) and Flickr30K (Young et al., TACL 2014), as released.

    ``Flickr8k.token.txt`` or ``results_20130124.token`` have ``name.jpg#k``, a tab and a caption a line. The lists
    ``Flickr_8k.trainImages.txt``, ``devImages``, ``testImages`` name 6,000, 1,000 and 1,000 of the 8,092 names; one
    of the others, 2258277193_586949ec62.jpg.1, is no picture. Flickr30K comes without lists; those of Flickr30K
    Entities (``train.txt``, ``val.txt``, ``test.txt``, names without extension: 29,783, 1,000 and 1,000) are taken
    where they are there. Pictures that no list names are left out.
    """
    name = tree.find(options.file or next((t for t in _TOKENS if tree.has(t)), _TOKENS[0]))
    captions: dict[str, list[tuple[str, str]]] = {}
    for number, line in enumerate(tree.lines(name), start=1):
        if not line.strip():
            continue
        caption_id, tab, caption = line.partition("\t")
        picture, sign, order = caption_id.rpartition("#")
        if not (tab and sign and picture and order.isdecimal()):
            raise DataError(
                f"{tree.folder / name} line {number} is {line!r:.80}; expected name.jpg#0, a tab and a caption"
            )
        captions.setdefault(picture, []).append((caption_id, plain(caption)))
    listed = _listed(tree)
    if listed is None:
        notes.append("no lists of train, val and test pictures are among the files: the source draws no splits")
    else:
        missing = next((picture for picture in listed if picture not in captions), None)
        if missing is not None:
            raise DataError(f"{tree.folder / name} has no caption of {missing}, which a list of pictures names")
        left = len(captions) - len(listed)
        if left:
            notes.append(f"{left:,} pictures are in no list and left out")
    for picture, told in captions.items():
        if listed is None or picture in listed:
            yield Captioned(picture, listed[picture] if listed else None, ((picture, picture),), tuple(told))


def _listed(tree: SourceTree) -> dict[str, str] | None:
    """The split of every picture that the official lists name; None where there are none."""
    lists = next((names for names in _LISTS if any(tree.has(n) for n in names.values())), None)
    if lists is None:
        return None
    splits: dict[str, str] = {}
    for split, name in lists.items():
        found = tree.find(name)
        for line in tree.lines(found):
            picture = line.strip()
            if not picture:
                continue
            picture = picture if picture.lower().endswith(".jpg") else f"{picture}.jpg"
            if picture in splits:
                raise DataError(
                    f"{tree.folder / found} names {picture}, which is in the {splits[picture]} list already"
                )
            splits[picture] = split
    return splits


def karpathy(tree: SourceTree, options: Options, notes: list[str]) -> Iterator[Captioned]:
    """``dataset_flickr8k.json``, ``dataset_flickr30k.json``, ``dataset_coco.json`` (Karpathy and Fei-Fei, CVPR 2015).

    ``{"dataset": ..., "images": [{"filename", "split", "sentences": [{"raw", "tokens", "sentid"}], "filepath" and
    "cocoid" for COCO}]}``. Splits: 6,000 / 1,000 / 1,000; 29,000 / 1,014 / 1,000; 113,287 / 5,000 / 5,000, where 30,504
    of the training pictures are called ``restval``. Pictures of COCO have their number as id, others their name.
    """
    name = tree.find(options.file or "dataset_*.json")
    restval = 0
    for where, found in json_objects(tree, name, "images"):
        split = text_in(found, "split", where)
        if split not in _KARPATHY:
            raise DataError(f"{where}: 'split' is {split!r}, expected one of {', '.join(_KARPATHY)}")
        restval += split == "restval"
        if split == "restval" and not options.restval:
            continue
        file = text_in(found, "filename", where)
        instance = text_in(found, "cocoid", where) if "cocoid" in found else file
        media = f"{text_in(found, 'filepath', where)}/{file}" if found.get("filepath") else file
        told = [_raw(sentence, where) for sentence in list_in(found, "sentences", dict, where)]
        yield Captioned.of(instance, _KARPATHY[split], media, told)
    if restval:
        notes.append(f"{restval:,} pictures of restval are {'train' if options.restval else 'left out'}")


def _raw(sentence: dict[str, Any], where: str) -> str:
    raw = sentence.get("raw")
    if not isinstance(raw, str):
        raise DataError(f"{where}: 'raw' of a sentence is {raw!r:.80}, expected a text")
    return plain(raw)


def recipe1m(tree: SourceTree, options: Options, notes: list[str]) -> Iterator[Captioned]:
    """Recipe1M (Salvador et al., CVPR 2017): ``layer1.json`` with the recipes, ``layer2.json`` with their pictures.

    ``[{"id", "title", "ingredients": [{"text"}], "instructions": [{"text"}], "partition": train, val or test, "url"}]``
    and ``[{"id", "images": [{"id": "ef3dc0de11.jpg", "url"}]}]``; a picture lies in ``val/e/f/3/d/ef3dc0de11.jpg``, by
    its recipe's partition and the first four digits of its id. A recipe's text is its title, ingredients and
    instructions, a line each. Recipes without a picture are left out. As in the authors' loader, the first five
    pictures of a training recipe are taken and the first one of others.
    """
    most = max(options.train_pictures, options.test_pictures)
    pictures: dict[str, tuple[str, ...]] = {}
    for where, found in json_objects(tree, tree.find("layer2.json"), ""):
        images = [text_in(image, "id", where) for image in list_in(found, "images", dict, where)]
        if images:
            pictures[text_in(found, "id", where)] = tuple(images[:most])
    left = 0
    for where, found in json_objects(tree, tree.find("layer1.json"), ""):
        recipe, partition = text_in(found, "id", where), text_in(found, "partition", where)
        if partition not in _PARTITIONS:
            raise DataError(f"{where}: 'partition' is {partition!r}, expected train, val or test")
        images = list(pictures.get(recipe, ()))[
            : options.train_pictures if partition == "train" else options.test_pictures
        ]
        if not images:
            left += 1
            continue
        lines = [text_in(found, "title", where)]
        for part in ("ingredients", "instructions"):
            lines += [text_in(line, "text", where) for line in list_in(found, part, dict, where) if line.get("text")]
        media = tuple((image, "/".join([partition, *image[:4], image])) for image in images)
        text = "\n".join(map(plain, lines))
        yield Captioned(recipe, _PARTITIONS[partition], media, ((recipe, text),))
    if left:
        notes.append(f"{left:,} recipes without a picture are left out")
    notes.append(f"at most {options.train_pictures} pictures of a training recipe, {options.test_pictures} of others")
