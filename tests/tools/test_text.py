from __future__ import annotations

import numpy as np

from tools.text import ascii_lower, bag_of_words, class_words, tokens, unique, with_plurals


def test_tokens_are_runs_of_two_or_more_letters() -> None:
    assert tokens("A red-hot O’Clock, x2 piñata!") == ["red", "hot", "oclock", "pi", "ata"]
    assert tokens("笑顔 1 2 3") == []


def test_accents_go_and_letters_stay() -> None:
    assert ascii_lower("Café ÉTÉ ﬁn") == "cafe ete fin"
    assert ascii_lower("日本") == ""


def test_unique_keeps_the_first_place() -> None:
    assert unique(["b", "a", "b"]) == ["b", "a"]


def test_plurals() -> None:
    assert with_plurals(["cat"]) == {"cat", "cats"}


def test_class_words_reach_the_share_in_one_class_only() -> None:
    labels = ["cat"] * 5 + ["dog"] * 5
    words = [["fur", "paw"], ["fur"], ["sofa"], [], [], ["paw"], ["rain", "rain"], [], [], []]
    # 'fur' 2 of 5 cats; 'paw', 'sofa', 'rain' 1 of 5; a word repeated within an item counts once.
    assert class_words(words, labels, share=0.4) == {"fur"}
    assert class_words(words, labels, share=0.2) == {"fur", "paw", "sofa", "rain"}


def test_vocabulary_is_fitted_on_training_texts_only() -> None:
    texts = ["red boat", "red car boat", "blue boat", "green green green", "green boat"]
    bag = bag_of_words(texts, np.array([True, True, True, False, False]))
    assert bag.vocabulary.tolist() == ["boat", "red"]  # 'green' occurs in test texts, 'car' and 'blue' once
    assert (bag.indptr.dtype, bag.indices.dtype) == (np.uint32, np.uint16)
    rows = [
        {str(bag.vocabulary[k]) for k in bag.indices[a:b]} for a, b in zip(bag.indptr[:-1], bag.indptr[1:], strict=True)
    ]
    assert rows == [{"red", "boat"}, {"red", "boat"}, {"boat"}, set(), {"boat"}]


def test_vocabulary_is_cut_to_the_most_frequent() -> None:
    texts = ["one two three"] * 2 + ["one two"] + ["one"]
    assert bag_of_words(texts, np.ones(4, bool), size=2).vocabulary.tolist() == ["one", "two"]
