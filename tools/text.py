"""Words, bags of words and sentence embeddings."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DESCRIPTION = (
    "MiniLM 384 int8 with per-column scale; binary bag of words in CSR form, vocabulary fitted on train only, min df 2"
)


def ascii_lower(text: str) -> str:
    """Lower case without accents: 'Café' becomes 'cafe'; letters that have no ASCII base are dropped."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()


def tokens(text: str) -> list[str]:
    """Runs of two or more letters a-z, in order, in lower case.

    Any other character ends a word, but for the typographic apostrophe, which is left out: 'o’clock' is 'oclock'.
    """
    return re.findall(r"[a-z]{2,}", text.lower().replace("’", ""))


def word_set(listed: str) -> frozenset[str]:
    """The words of a text that lists them, for lists that are read more often than changed."""
    return frozenset(listed.split())


def unique(words: Iterable[str]) -> list[str]:
    """Each word once, in the order of first occurrence."""
    return list(dict.fromkeys(words))


def with_plurals(words: Iterable[str]) -> set[str]:
    """The words, and each with an s."""
    listed = set(words)
    return listed | {word + "s" for word in listed}


def class_words(words: Sequence[Iterable[str]], labels: Sequence[str], share: float = 0.2) -> set[str]:
    """Words carried by at least ``share`` of the items of some class.

    Such a word names the class rather than the item; left in the text it would turn retrieval into label matching.
    """
    size = Counter(labels)
    carried = Counter((word, label) for item, label in zip(words, labels, strict=True) for word in set(item))
    return {word for (word, label), count in carried.items() if count / size[label] >= share}


@dataclass(frozen=True)
class BagOfWords:
    """Which words of a vocabulary each item has, as the two index arrays of a binary CSR matrix."""

    indptr: NDArray[np.uint32]
    indices: NDArray[np.uint16]
    vocabulary: NDArray[np.str_]


def bag_of_words(texts: Sequence[str], train: NDArray[np.bool_], size: int = 1000) -> BagOfWords:
    """Binary bag of words over the ``size`` most frequent words that occur in at least two training texts.

    The vocabulary is in alphabetical order, and is fitted on the items where ``train`` holds, on no others.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(binary=True, max_features=size, min_df=2, token_pattern=r"(?u)\b\w\w+\b")
    vectorizer.fit([text for text, in_train in zip(texts, train, strict=True) if in_train])
    matrix = vectorizer.transform(texts)
    matrix.sort_indices()
    vocabulary: Mapping[str, int] = vectorizer.vocabulary_
    return BagOfWords(
        indptr=matrix.indptr.astype(np.uint32),
        indices=matrix.indices.astype(np.uint16),
        vocabulary=np.array(sorted(vocabulary, key=lambda word: vocabulary[word])),
    )


def sentence_embeddings(texts: Sequence[str], model: Path, batch: int = 64) -> NDArray[np.float32]:
    """Unit vectors (n, 384) of a BERT-like sentence encoder: mean over the tokens' last hidden states.

    As Reimers and Gurevych (EMNLP 2019) pool it; texts longer than 64 tokens are cut.

    Parameters
    ----------
    texts
        The sentences.
    model
        Folder with the weights and the tokenizer, read from there only.
    batch
        Texts encoded at once. Padding within a batch changes the last bits of the result, so this is frozen, too.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(1)  # sums in a fixed order
    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    encoder = AutoModel.from_pretrained(model, local_files_only=True).eval()
    vectors = []
    with torch.no_grad():
        for start in range(0, len(texts), batch):
            part = list(texts[start : start + batch])
            inputs = tokenizer(part, padding=True, truncation=True, max_length=64, return_tensors="pt")
            states = encoder(**inputs).last_hidden_state
            mask = inputs["attention_mask"][..., None].float()
            mean = (states * mask).sum(1) / mask.sum(1)
            vectors.append(torch.nn.functional.normalize(mean, dim=1).numpy())
    return np.vstack(vectors).astype(np.float32)
