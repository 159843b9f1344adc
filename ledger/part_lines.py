"""Part files of JSON lines, which examples are kept in: their texts are read one by one and are never summed up."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ledger.part_files import PartDamaged
from ledger.storable import read_json


class Lines:
    """The format of examples: a row is one line of JSON, as bytes when it is written."""

    ending = ".jsonl"
    small = 16 * 2**20
    largest = 256 * 2**20

    def write(self, path: Path, rows: Sequence[bytes]) -> None:
        """Write lines to a new file. Raises OSError."""
        with path.open("wb") as file:
            file.writelines(rows)

    def merge(self, paths: Sequence[Path], path: Path) -> None:
        """Write all lines of these parts, in their order, to a new file. Raises OSError."""
        with path.open("wb") as merged:
            for one in paths:
                with one.open("rb") as file:
                    while block := file.read(2**20):
                        merged.write(block)

    def count(self, path: Path) -> int:
        """The number of lines. Raises OSError."""
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b""))

    def rows(self, path: Path, skip: int) -> Iterator[dict[str, Any]]:
        """The rows but for the first `skip`, one in memory at a time. Raises OSError and PartDamaged."""
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number > skip:
                    yield _row(line, path, number)


def _row(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        row: dict[str, Any] = read_json(line)
    except ValueError as error:
        raise PartDamaged(path, f"line {number} is not JSON") from error
    return row
