"""A job's accepted examples as one file: JSONL, Parquet, CSV or training conversations."""

import os
import tempfile
from pathlib import Path

import duckdb

from config.errors import UserError
from config.private import FILE
from console.export_formats import write_chat, write_csv, write_jsonl, write_parquet
from console.export_order import Example, Ordered
from ledger.part_files import sync_folder
from ledger.parts import Parts

FORMATS = ("jsonl", "parquet", "csv", "chat")
# The longer ending stands first: it ends in the shorter one.
_ENDINGS = {".chat.jsonl": "chat", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".csv": "csv"}


class ExportError(UserError):
    """The examples cannot be exported; the message says why and what to do."""


def export(directory: Path, to: Path, format: str | None = None) -> int:  # noqa: A002  # the command's option
    """Write the accepted examples of a job's folder to one file, by index, and return their number.

    The format follows the file's ending unless it is given. The file appears whole or not at all, and memory does
    not grow with the job. Raises ExportError, and PartsError when the folder cannot be read.
    """
    kind = format_of(to, format)

    def want_messages(example: Example) -> None:
        if not example.get("messages"):
            raise ExportError(
                f"Recipe {example['recipe']} makes no conversations (it has no [chat] part): "
                "export as jsonl, parquet or csv."
            )

    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with (
            Parts(directory).reading("accepted") as paths,
            tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}-") as folder,
        ):
            scratch = Path(folder)
            examples = Ordered(paths, scratch)
            count = examples.survey(want_messages if kind == "chat" else None)
            if not count:
                raise ExportError(f"{directory} holds no accepted examples: collect the job first.")
            unfinished = scratch / "unfinished"
            if kind == "parquet":
                write_parquet(examples, unfinished, scratch)
            elif kind == "csv":
                write_csv(examples, unfinished, scratch)
            else:
                (write_chat if kind == "chat" else write_jsonl)(examples, unfinished)
            _put(unfinished, to)
    except OSError as error:
        raise ExportError(f"{to} cannot be written ({error.strerror}).") from error
    except duckdb.Error as error:
        raise ExportError(f"{to} cannot be written ({str(error).partition(chr(10))[0]}).") from error
    return count


def format_of(to: Path, asked: str | None) -> str:
    """The format asked for, or the one that the file's ending says. Raises ExportError."""
    if asked is not None:
        if asked not in FORMATS:
            raise ExportError(f"{asked!r} is no format: choose one of {', '.join(FORMATS)}.")
        return asked
    found = next((kind for ending, kind in _ENDINGS.items() if to.name.lower().endswith(ending)), None)
    if found is None:
        raise ExportError(
            f"{to.name}: no format has this ending; use .jsonl, .parquet, .csv or .chat.jsonl, "
            f"or name one of {', '.join(FORMATS)} with --format."
        )
    return found


def _put(unfinished: Path, to: Path) -> None:
    with unfinished.open("rb+") as file:
        # Answers that cost money are their owner's alone, as in the part files they come from.
        os.fchmod(file.fileno(), FILE)
        os.fsync(file.fileno())
    unfinished.replace(to)
    sync_folder(to.parent)
