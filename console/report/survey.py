"""One look at a job's accepted examples: some to show, and of all, or of a sample, the texts' lengths and likeness."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from console.report.duplicates import Duplicates, Shingles
from ledger.part_files import PartDamaged
from ledger.storable import read_json

SHOWN = 10
#: Examples whose texts are looked at; of more, a random sample.
MOST = 100_000
_FIELDS = 3  # a recipe's, those with the longest texts


@dataclass(frozen=True)
class Field:
    """The lengths of an output's field, in characters, one for each example that was looked at."""

    name: str
    lengths: Sequence[int]


@dataclass(frozen=True)
class Survey:
    """What was found. `looked` of `total` examples were looked at; `fields` are each recipe's longest ones."""

    total: int
    looked: int
    shown: list[dict[str, Any]]
    fields: dict[str, list[Field]]
    duplicates: Duplicates


@dataclass(frozen=True)
class _Place:
    part: int
    start: int


def survey(accepted: Sequence[Path], total: int, seed: int, most: int = MOST) -> Survey:
    """Looks at accepted examples, the same ones for the same part files and seed.

    Args:
        accepted: the part files.
        total: how many examples they hold.
        most: look at no more texts than this.

    Raises:
        PartDamaged: a line is not JSON.
        OSError: a part cannot be read.
    """
    rng = random.Random(seed)
    shown_at = set(rng.sample(range(total), min(SHOWN, total)))
    looked_at = None if total <= most else set(rng.sample(range(total), most))
    shown: list[dict[str, Any]] = []
    lengths: dict[str, dict[str, array[int]]] = {}
    shingles = Shingles()
    places: list[_Place] = []
    for number, place, line in _lines(accepted):
        looks = looked_at is None or number in looked_at
        if not looks and number not in shown_at:
            continue
        example = _example(line, accepted[place.part])
        if number in shown_at:
            shown.append(example)
        if looks and not shingles.full:
            places.append(place)
            by_field = {name: list(texts(value)) for name, value in example["output"].items()}
            _measure(by_field, lengths.setdefault(example["recipe"], {}))
            shingles.add(" ".join(chain.from_iterable(by_field.values())))
    duplicates = shingles.duplicates(lambda k: _read(accepted, places[k]))
    fields = {recipe: _longest(found) for recipe, found in lengths.items()}
    return Survey(total, len(places), sorted(shown, key=lambda one: one["index"]), fields, duplicates)


def texts(value: Any) -> Iterator[str]:
    """Every text in an output, names of fields left out."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict | list):
            left.extend(reversed(list(one.values()) if isinstance(one, dict) else one))


def _lines(paths: Sequence[Path]) -> Iterator[tuple[int, _Place, bytes]]:
    number = 0
    for part, path in enumerate(paths):
        at = 0
        with path.open("rb") as file:
            for line in file:
                yield number, _Place(part, at), line
                number += 1
                at += len(line)


def _read(paths: Sequence[Path], place: _Place) -> dict[str, Any]:
    with paths[place.part].open("rb") as file:
        file.seek(place.start)
        return _example(file.readline(), paths[place.part])


def _example(line: bytes, path: Path) -> dict[str, Any]:
    try:
        example: dict[str, Any] = read_json(line)
    except ValueError as error:
        raise PartDamaged(path, "a line is not JSON") from error
    return example


def _measure(by_field: dict[str, list[str]], lengths: dict[str, array[int]]) -> None:
    for name, found in by_field.items():
        length = sum(map(len, found))
        if length or name in lengths:
            lengths.setdefault(name, array("L")).append(length)


def _longest(lengths: dict[str, array[int]]) -> list[Field]:
    fields = [Field(name, found) for name, found in lengths.items()]
    return sorted(fields, key=lambda field: -sum(field.lengths) / len(field.lengths))[:_FIELDS]
