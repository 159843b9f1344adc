"""Near-duplicates: found as comparing every pair would find them."""

from __future__ import annotations

import random
import re
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.report.duplicates import THRESHOLD, Duplicates, Shingles
from console.report.minhash import WORDS

WORDS_OF = [f"parola{k}" for k in range(400)]


def found(texts: list[str], **settings: Any) -> Duplicates:
    """What is alike among the texts."""
    shingles = Shingles(**settings)
    for text in texts:
        if not shingles.full:
            shingles.add(text)
    return shingles.duplicates(lambda k: {"place": k})


def shingles_of(text: str) -> set[tuple[str, ...]]:
    """A text's shingles, in plain Python."""
    words = re.sub(r"\W+", " ", text.lower()).split()
    if len(words) < WORDS:
        return {tuple(words)} if words else set()
    return {tuple(words[k : k + WORDS]) for k in range(len(words) - WORDS + 1)}


def similarity(one: str, other: str) -> float:
    """The Jaccard similarity of two texts."""
    first, second = shingles_of(one), shingles_of(other)
    return len(first & second) / len(first | second) if first | second else 0.0


def by_comparing_all(texts: list[str]) -> int:
    """How many texts would go if of each group one were kept."""
    roots = list(range(len(texts)))
    for one, other in combinations(range(len(texts)), 2):
        if similarity(texts[one], texts[other]) >= THRESHOLD:
            roots = [roots[one] if root == roots[other] else root for root in roots]
    return len(texts) - len(set(roots))


def a_text(rng: random.Random, words: int) -> str:
    """Random words."""
    return " ".join(rng.choices(WORDS_OF, k=words))


def changed(rng: random.Random, text: str, share: float) -> str:
    """The text with a share of its words replaced."""
    return " ".join(rng.choice(WORDS_OF) if rng.random() < share else word for word in text.split())


@pytest.mark.parametrize("seed", range(6))
def test_the_share_is_that_of_comparing_every_pair(seed: int) -> None:
    """Among texts with none, few and many changes, as many near-duplicates are found as there are."""
    rng = random.Random(seed)
    texts = []
    for _ in range(60):
        text = a_text(rng, rng.choice([5, 20, 120]))
        texts += [changed(rng, text, share) for share in rng.sample([0.0, 0.02, 0.05, 0.3, 0.9], 2)]
    rng.shuffle(texts)
    result = found(texts)
    # A pair just at the threshold meets in a band with a probability of 0.999.
    assert abs(result.near - by_comparing_all(texts)) <= 1
    assert result.same == len(texts) - len({" ".join(re.sub(r"\W+", " ", text.lower()).split()) for text in texts})


def test_case_and_punctuation_do_not_count() -> None:
    """Two texts that differ in these alone are the same word for word."""
    result = found(["Il Po nasce dal Monviso, e arriva al mare.", "il po NASCE dal monviso e arriva al «mare»"])
    assert (result.near, result.same, result.groups) == (1, 1, 1)
    (twins,) = result.twins
    assert (twins.similarity, twins.group, twins.first, twins.second) == (1.0, 2, {"place": 0}, {"place": 1})


def test_texts_that_differ_are_shown_before_copies() -> None:
    """Of the groups, those whose texts are not the same word for word tell more, however small."""
    rng = random.Random(3)
    copy, text = a_text(rng, 50), a_text(rng, 100)
    result = found([copy, text, copy, copy, text.replace(text.split()[7], "altro", 1), a_text(rng, 40)])
    assert [(twins.first["place"], twins.second["place"]) for twins in result.twins] == [(1, 4), (0, 2)]
    assert THRESHOLD <= result.twins[0].similarity < 1


@pytest.mark.parametrize("texts", [[], ["uno due tre"], ["", "…", ""], ["uno", "due"], ["uno due", "due uno"]])
def test_little_to_compare_has_no_duplicates(texts: list[str]) -> None:
    """No text, one, texts without words and texts of a word or two that differ have none."""
    result = found(texts)
    assert (result.texts, result.near, result.same, result.twins) == (len(texts), 0, 0, ())


def test_a_thousand_copies_are_one_group() -> None:
    """A large group is found without comparing all its pairs, and short texts are texts too."""
    result = found(["sì certo"] * 1000 + ["no mai"] * 500)
    assert (result.near, result.same, result.groups) == (1498, 1498, 2)


def test_only_as_many_words_are_kept_as_are_allowed() -> None:
    """Beyond that the texts are not taken in, and the result says how many were."""
    rng = random.Random(5)
    texts = [a_text(rng, 100) for _ in range(50)]
    assert found(texts, most_words=1_000).texts == 10


def test_many_chunks_are_one_set() -> None:
    """Texts that are looked at in different chunks are compared with each other."""
    rng = random.Random(6)
    texts = [a_text(rng, 400) for _ in range(1_100)]
    result = found([*texts, *texts[:100]])
    assert (result.near, result.same) == (100, 100)


@given(texts=st.lists(st.text(alphabet="ab .É", max_size=12), max_size=12))
def test_copies_are_always_found(texts: list[str]) -> None:
    """Whatever the texts, those that are the same word for word are near-duplicates of each other."""
    plain = [" ".join(re.sub(r"\W+", " ", text.lower()).split()) for text in texts]
    worded = [text for text in plain if text]
    result = found(texts)
    assert result.same == len(worded) - len(set(worded))
    assert result.near >= result.same
