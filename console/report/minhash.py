"""MinHash in numpy: shingles of words, signatures, and which texts meet in a band of them. See `duplicates`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]

#: Words in a shingle.
WORDS = 3
_BANDS, _ROWS = 25, 4
_HASHES = _BANDS * _ROWS
_ALL_PAIRS = 8  # of a group of so many that met in a band; of larger ones, each with the first and the one before
_COMPARED = 50_000  # pairs at a time


def hash_functions() -> tuple[Hashes, Hashes]:
    """Factors and terms of the signatures' hash functions, the same in every process."""
    rng = np.random.default_rng(20260115)
    numbers = rng.integers(0, 2**32, (2, _HASHES), dtype=np.uint32)
    return numbers[0] | np.uint32(1), numbers[1]


def _mixed(hashes: Hashes) -> Hashes:
    """Every bit of the result depends on every bit of the argument (the end of MurmurHash3)."""
    hashes = hashes ^ (hashes >> np.uint32(16))
    hashes = hashes * np.uint32(0x85EBCA6B)
    hashes = hashes ^ (hashes >> np.uint32(13))
    hashes = hashes * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))


def shingled(texts: list[Hashes], sizes: Places) -> tuple[Places, Hashes]:
    """The place of the text and the hash of every shingle; a text of fewer than WORDS words is one shingle."""
    words = _mixed(np.concatenate(texts))
    owners = np.repeat(np.arange(len(texts)), sizes)
    ends = np.repeat(np.cumsum(sizes), sizes)
    left = ends - np.arange(len(words))  # words from this one to the text's end
    short = np.repeat(sizes < WORDS, sizes)
    hashes = words.copy()
    for ahead in range(1, WORDS):
        following = np.zeros_like(words)
        following[:-ahead] = words[ahead:]
        following[left <= ahead] = 0
        hashes = _mixed(hashes * np.uint32(31) + following)
    begins = (left >= WORDS) | (short & (left == np.repeat(sizes, sizes)))
    return owners[begins], hashes[begins]


def signed(hashes: Hashes, counts: Places, factors: Hashes, terms: Hashes) -> Hashes:
    """The texts' signatures: for each hash function the least value over the text's shingles."""
    signatures = np.empty((len(counts), _HASHES), np.uint32)
    filled = counts > 0
    starts = (np.cumsum(counts) - counts)[filled]
    empty = np.flatnonzero(~filled)
    for k in range(_HASHES):
        if len(starts):
            signatures[filled, k] = np.minimum.reduceat(hashes * factors[k] + terms[k], starts)
    # Nothing in common with any other, nor with each other.
    signatures[empty] = np.random.default_rng(1).integers(0, 2**32, (len(empty), _HASHES), dtype=np.uint32)
    return signatures


def met(signatures: Hashes) -> Iterator[tuple[Places, Places]]:
    """For each band, pairs of texts whose hashes are equal in it: all of a small group, a chain through a large one."""
    for band in range(_BANDS):
        rows = signatures[:, band * _ROWS : (band + 1) * _ROWS].astype(np.uint64)
        keys = np.zeros(len(rows), np.uint64)
        for k in range(_ROWS):
            keys = (keys ^ rows[:, k]) * np.uint64(0x9E3779B97F4A7C15)
            keys ^= keys >> np.uint64(29)
        order = np.argsort(keys, kind="stable")
        changes = np.flatnonzero(np.diff(keys[order])) + 1
        starts, ends = np.r_[0, changes], np.r_[changes, len(keys)]
        first, second = [], []
        for start, end in zip(starts[ends - starts > 1], ends[ends - starts > 1], strict=True):
            group = order[start:end]
            if len(group) <= _ALL_PAIRS:
                one, other = np.triu_indices(len(group), 1)
                first.append(group[one])
                second.append(group[other])
            else:
                first += [np.full(len(group) - 1, group[0]), group[1:-1]]
                second += [group[1:], group[2:]]
        if first:
            yield np.concatenate(first), np.concatenate(second)


def estimated(signatures: Hashes, first: Places, second: Places) -> npt.NDArray[Any]:
    """The share of equal hashes, which is the similarity but for chance."""
    found = np.empty(len(first))
    for start in range(0, len(first), _COMPARED):
        part = slice(start, start + _COMPARED)
        found[part] = (signatures[first[part]] == signatures[second[part]]).mean(axis=1)
    return found
