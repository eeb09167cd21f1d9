"""Sounds and videos with captions: Clotho, AudioCaps, MSR-VTT and VATEX."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cmrbench.core.errors import DataError
from cmrbench.data.builders._caption_files import Captioned, csv_rows, json_objects, list_in, text_in
from cmrbench.data.builders._raw import plain

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.builders.captioned import Options

_CLOTHO = {"development": "train", "validation": "val", "evaluation": "query"}
_CLOTHO_COLUMNS = tuple(f"caption_{k}" for k in range(1, 6))
_AUDIOCAPS = {"train": "train", "val": "val", "test": "query"}
_MSRVTT = {"train": "train", "validate": "val", "test": "query"}
_MSRVTT_ALL = "MSRVTT_data.json"
_MSRVTT_PARTS = ("train_val_videodatainfo.json", "test_videodatainfo.json")
_VATEX = {
    "train": "vatex_training_v1.0.json",
    "val": "vatex_validation_v1.0.json",
    "query": "vatex_public_test_english_v1.1.json",
}


def clotho(tree: SourceTree, options: Options, notes: list[str]) -> Iterator[Captioned]:
    """Clotho (Drossos et al., ICASSP 2020): ``clotho_captions_development.csv``, ``_validation``, ``_evaluation``.

    Columns ``file_name``, ``caption_1`` to ``caption_5``. Version 2.1 has 3,839, 1,045 and 1,045 sounds; version 1 has
    no validation part. Sounds come in 7z archives, which hold the folders ``development``, ``validation``,
    ``evaluation``. A sound's id is its path there: names alone need not differ between parts.
    """
    for part, split in _CLOTHO.items():
        pattern = f"clotho_captions_{part}.csv"
        if part == "validation" and not tree.has(pattern):
            notes.append(f"there is no {pattern}: version 1 of Clotho has no validation part")
            continue
        for where, row in csv_rows(tree, tree.find(pattern), ("file_name", *_CLOTHO_COLUMNS)):
            name = f"{part}/{text_in(row, 'file_name', where)}"
            yield Captioned.of(name, split, name, [plain(row[column]) for column in _CLOTHO_COLUMNS])


def audiocaps(tree: SourceTree, options: Options, notes: list[str]) -> Iterator[Captioned]:
    """AudioCaps (Kim et al., NAACL 2019): ``train.csv``, ``val.csv``, ``test.csv``.

    Columns ``audiocap_id``, ``youtube_id``, ``start_time``, ``caption``; one caption a training clip, five a clip of
    the others, whose rows do not stand together. Version 1 has 49,838 / 495 / 975 clips, version 2.0 91,256 training
    captions (github.com/cdjkim/audiocaps). A clip is ten seconds of a video: ``<youtube_id>_<start_time>`` is its id
    and the name that its file is looked for under, with any extension.
    """
    for part, split in _AUDIOCAPS.items():
        clips: dict[str, list[str]] = {}
        columns = ("youtube_id", "start_time", "caption")
        for where, row in csv_rows(tree, tree.find(f"{part}.csv"), columns):
            clip = f"{text_in(row, 'youtube_id', where)}_{text_in(row, 'start_time', where)}"
            clips.setdefault(clip, []).append(plain(row["caption"]))
        for clip, captions in clips.items():
            yield Captioned.of(clip, split, clip, captions)


def msrvtt(tree: SourceTree, options: Options, notes: list[str]) -> Iterator[Captioned]:
    """MSR-VTT (Xu et al., CVPR 2016): ``train_val_videodatainfo.json`` and ``test_videodatainfo.json``.

    ``{"videos": [{"video_id": "video0", "split": train, validate or test, "category", ...}], "sentences":
    [{"sen_id", "video_id", "caption"}]}``; some packages hold both in one ``MSRVTT_data.json``. Splits: ``official`` is
    6,513 / 497 / 2,990 videos with 20 captions each. ``1k-a`` (Yu et al., ECCV 2018, the usual one) tests on the
    1,000 videos of ``MSRVTT_JSFUSION_test.csv`` (``key,vid_key,video_id,sentence``) with the one sentence there, and
    trains on all other 9,000; ``1k-a-7k`` trains on the official 7,010 of train and validate only.
    """
    parts = [_MSRVTT_ALL] if tree.has(_MSRVTT_ALL) else list(_MSRVTT_PARTS)
    if options.split == "1k-a-7k" and not tree.has(parts[-1]):
        parts.pop()
    files = [tree.find(part) for part in parts]
    test = _jsfusion(tree) if options.split != "official" else {}
    splits: dict[str, str] = {}
    for file in files:
        for where, found in json_objects(tree, file, "videos"):
            video, split = text_in(found, "video_id", where), text_in(found, "split", where)
            if split not in _MSRVTT:
                raise DataError(f"{where}: 'split' is {split!r}, expected train, validate or test")
            if video in splits:
                raise DataError(f"{where}: {video} is there twice")
            splits[video] = _MSRVTT[split]
    captions: dict[str, list[str]] = {video: [] for video in splits}
    for file in files:
        for where, found in json_objects(tree, file, "sentences"):
            video, caption = text_in(found, "video_id", where), found.get("caption")
            if video not in captions:
                raise DataError(f"{where} is of {video}, which is not among the videos")
            if not isinstance(caption, str):
                raise DataError(f"{where}: 'caption' is {caption!r:.80}, expected a text")
            captions[video].append(plain(caption))
    left = 0
    for video, told in captions.items():
        split = splits[video]
        if options.split != "official":
            if video in test or (options.split == "1k-a-7k" and split == "query"):
                left += video not in test
                continue
            split = "train"
        yield Captioned.of(video, split, f"{video}.mp4", told)
    for video, sentence in test.items():
        yield Captioned.of(video, "query", f"{video}.mp4", [sentence])
    if left:
        notes.append(f"{left:,} videos of the official test part are not in the 1k-A list and left out")


def _jsfusion(tree: SourceTree) -> dict[str, str]:
    """The sentence of every test video of the split 1k-A."""
    found: dict[str, str] = {}
    for where, row in csv_rows(tree, tree.find("MSRVTT_JSFUSION_test.csv"), ("video_id", "sentence")):
        video = text_in(row, "video_id", where)
        if video in found:
            raise DataError(f"{where}: {video} is there twice")
        found[video] = plain(row["sentence"])
    return found


def vatex(tree: SourceTree, options: Options, notes: list[str]) -> Iterator[Captioned]:
    """VATEX (Wang et al., ICCV 2019): training, validation and public test part, a JSON file each.

    ``[{"videoID": "<youtube id>_<start>_<end>", "enCap": [10 captions], "chCap": [10 captions]}]``; 25,991 / 3,000 /
    6,000 videos. The public test has English captions only: in Chinese, the validation part is the query split. Most
    retrieval papers (from Chen et al., CVPR 2020, on) halve the validation part by lists that come with features.
    """
    chinese = options.language == "zh"
    for split, file in _VATEX.items():
        if chinese and split == "query":
            notes.append("the public test has English captions only: the validation part is the query split")
            return
        for where, found in json_objects(tree, tree.find(file), ""):
            video = text_in(found, "videoID", where)
            told = [plain(caption) for caption in list_in(found, "chCap" if chinese else "enCap", str, where)]
            yield Captioned.of(video, "query" if chinese and split == "val" else split, video, told)
