"""Near-duplicates: texts that share most of their sequences of three words, found by MinHash.

A text is its set of shingles: every three words in a row, in lower case and without punctuation. Two texts are
near-duplicates where the Jaccard similarity of their sets, shared shingles by all shingles, is at least THRESHOLD.
Comparing all pairs would take hours, so pairs are found by MinHash signatures in bands (Broder 1997; Leskovec,
Rajaraman, Ullman, Mining of Massive Datasets, chapter 3): a pair of similarity s meets in one of b bands of r hashes
with probability 1 - (1 - s^r)^b, which is 0.999 at the threshold. What meets is compared by its sets themselves.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from console.report.minhash import Hashes, Places, estimated, hash_functions, met, shingled, signed

THRESHOLD = 0.7
#: Words that are kept in memory at most; texts beyond are not looked at. 4 bytes each, and as much again meanwhile.
MOST_WORDS = 25_000_000

_CHUNK_WORDS = 400_000
_SURE = 0.92  # a signature's own estimate has a standard error of 0.05: above this the sets are not compared
_HOPELESS = 0.5  # and below this neither
_SHOWN = 3
_LOOKED_AT = 50  # groups
_NOT_WORD = re.compile(r"\W+")


@dataclass(frozen=True)
class Twins:
    """Two near-duplicates, and how many there are of their kind."""

    first: dict[str, Any]
    second: dict[str, Any]
    similarity: float
    group: int


@dataclass(frozen=True)
class Duplicates:
    """Of `texts` texts, `near` say nearly the same as another that is kept, `same` of them word for word.

    Near-duplicates of near-duplicates are of one group, of which one is kept. `twins` are from the largest groups.
    """

    texts: int
    near: int
    same: int
    groups: int
    twins: tuple[Twins, ...]


class Shingles:
    """The sets of shingles of many texts, and which of them are alike."""

    def __init__(self, most_words: int = MOST_WORDS) -> None:
        self._most = most_words
        self._waiting: list[Hashes] = []
        self._waiting_words = 0
        self._words = 0
        self._sets: list[Hashes] = []  # all texts' hashes, one text after the other, in each chunk
        self._ends: list[Places] = []
        self._signatures: list[Hashes] = []
        self._whole: list[bytes] = []
        self._factors, self._terms = hash_functions()

    @property
    def full(self) -> bool:
        """Whether no more texts are to be added."""
        return self._words >= self._most

    def add(self, text: str) -> None:
        """Adds a text; one without words is like no other."""
        plain = _NOT_WORD.sub(" ", text.lower()).encode("utf-8", "replace")
        words = plain.split()
        hashes = np.fromiter(map(crc32, words), np.uint32, len(words))
        self._whole.append(blake2b(b" ".join(words) or repr(len(self._whole)).encode(), digest_size=8).digest())
        self._waiting.append(hashes)
        self._waiting_words += len(words)
        self._words += len(words)
        if self._waiting_words >= _CHUNK_WORDS:
            self._take()

    def duplicates(self, example: Callable[[int], dict[str, Any]]) -> Duplicates:
        """What is alike; `example` gives the text's example by its place in the order of adding."""
        self._take()
        count = len(self._whole)
        if count < 2:
            return Duplicates(count, 0, 0, 0, ())
        signatures = np.concatenate(self._signatures)
        groups = _Groups(count)
        for pairs in met(signatures):
            self._join(groups, signatures, *pairs)
        sizes = Counter(map(groups.root, range(count)))
        return Duplicates(
            texts=count,
            near=count - len(sizes),
            same=count - len(set(self._whole)),
            groups=sum(size > 1 for size in sizes.values()),
            twins=tuple(self._twins(groups, sizes, example)),
        )

    def _join(self, groups: _Groups, signatures: Hashes, first: Places, second: Places) -> None:
        """Joins the groups of those of these pairs that are near-duplicates."""
        apart = groups.apart(first, second)
        pairs = first[apart], second[apart]
        likeness = estimated(signatures, *pairs)
        for one, other, guess in zip(*(values.tolist() for values in (*pairs, likeness)), strict=True):
            if guess < _HOPELESS or groups.root(one) == groups.root(other):
                continue
            if guess >= _SURE or self._similarity(one, other) >= THRESHOLD:
                groups.join(one, other)

    def _twins(self, groups: _Groups, sizes: Counter[int], example: Callable[[int], dict[str, Any]]) -> Iterator[Twins]:
        """Two of each of the largest groups, of such that differ in a word where there are any."""
        largest = {root: size for root, size in sizes.most_common(_LOOKED_AT) if size > 1}
        members: dict[int, list[int]] = {root: [] for root in largest}
        for text in range(len(self._whole)):
            if (root := groups.root(text)) in members:
                members[root].append(text)
        pairs = []
        for root, (first, *others) in members.items():
            other = next((one for one in others if self._whole[one] != self._whole[first]), others[0])
            pairs.append((self._whole[other] == self._whole[first], -largest[root], first, other))
        for _, size, first, other in sorted(pairs)[:_SHOWN]:
            yield Twins(example(first), example(other), self._similarity(first, other), -size)

    def _take(self) -> None:
        """Makes sets and signatures of the texts that wait."""
        if not self._waiting:
            return
        sizes = np.array([len(words) for words in self._waiting])
        owners, hashes = shingled(self._waiting, sizes)
        # A text's place above its hash: sorted and without repetition, each text's set stands in one piece.
        keyed = np.sort((owners.astype(np.uint64) << np.uint64(32)) | hashes)
        keyed = keyed[np.diff(keyed, prepend=~keyed[:1]) != 0]
        owners, hashes = (keyed >> np.uint64(32)).astype(np.int64), keyed.astype(np.uint32)
        counts = np.bincount(owners, minlength=len(self._waiting))
        self._sets.append(hashes)
        self._ends.append(np.cumsum(counts))
        self._signatures.append(signed(hashes, counts, self._factors, self._terms))
        self._waiting, self._waiting_words = [], 0

    def _set(self, text: int) -> Hashes:
        for hashes, ends in zip(self._sets, self._ends, strict=True):
            if text < len(ends):
                return hashes[(ends[text - 1] if text else 0) : ends[text]]
            text -= len(ends)
        raise IndexError(text)

    def _similarity(self, one: int, other: int) -> float:
        first, second = self._set(one), self._set(other)
        shared = len(np.intersect1d(first, second, assume_unique=True))
        union = len(first) + len(second) - shared
        return shared / union if union else 0.0


class _Groups:
    """Which texts are of one group."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def root(self, text: int) -> int:
        """The group's first text, or the one that stands for it."""
        parents = self._parents
        while parents[text] != text:
            parents[text] = parents[parents[text]]
            text = parents[text]
        return text

    def join(self, one: int, other: int) -> None:
        """Makes two groups one."""
        low, high = sorted((self.root(one), self.root(other)))
        self._parents[high] = low

    def apart(self, first: Places, second: Places) -> npt.NDArray[np.bool_]:
        """Which of these pairs are of two groups."""
        roots = np.array([self.root(text) for text in range(len(self._parents))]) if len(first) else np.array([])
        return roots[first] != roots[second] if len(first) else np.zeros(0, bool)
