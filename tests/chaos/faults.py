"""What is done to a fleet beyond signals: limits of the system on one process or one disk."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest

_GROUPS = Path("/sys/fs/cgroup")


@contextmanager
def memory_limit(pid: int, mebibytes: int) -> Iterator[str]:
    """Puts a process into a group that may take so much more memory, beyond which the system kills it.

    Gives the way in which it was done. Skips the test where the system lets nobody do that.
    """
    old = (_GROUPS / "memory").is_dir()
    group = (_GROUPS / "memory" if old else _GROUPS) / f"genfleet-{uuid4().hex[:8]}"
    try:
        group.mkdir()
        try:
            limit = "memory.limit_in_bytes" if old else "memory.max"
            (group / limit).write_text(str(mebibytes * 2**20))
            if not old:
                with suppress(OSError):
                    (group / "memory.swap.max").write_text("0")
            (group / "cgroup.procs").write_text(str(pid))
        except OSError:
            group.rmdir()
            raise
    except OSError as error:
        pytest.skip(f"control groups cannot be made here ({error.strerror})")
    try:
        yield "a memory control group"
    finally:
        for line in (group / "cgroup.procs").read_text().split():
            with suppress(OSError):
                (group.parent / "cgroup.procs").write_text(line)
        for _ in range(100):
            # What was killed in it takes a moment to be gone.
            with suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.1)


@contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[Path]:
    """A disk of that size in the place of a folder. Skips the test where nothing can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    size = f"size={kibibytes}k"
    command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no disk can be mounted here ({error.strerror})")
    if done.returncode:
        pytest.skip(f"no disk can be mounted here ({done.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def grow(folder: Path, kibibytes: int) -> None:
    """Gives a small disk another size."""
    subprocess.run(["mount", "-o", f"remount,size={kibibytes}k", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Takes all the room there is, with a file that may be removed to give it back."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    assert os.statvfs(folder).f_bavail == 0
    return path
