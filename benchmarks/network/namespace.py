"""A network namespace: what another machine would see of the network, on this one."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

from benchmarks.network.cable import ip, tun

_KEPT_SECONDS = 900
_ENTER = Path(__file__).with_name("enter.py")


class Namespace:
    """It belongs to a process that does nothing, and is gone when that and what was started in it are.

    Whatever becomes of this process, nothing stays behind for longer than a quarter of an hour.

    Raises:
        OSError: it is not permitted here.
        CalledProcessError: nor is what is needed to use it.
    """

    def __init__(self) -> None:
        self._keeper = subprocess.Popen(["unshare", "--net", "sleep", str(_KEPT_SECONDS)], stderr=subprocess.DEVNULL)
        try:
            self._wait()
            ip("link", "set", "lo", "up", namespace=self.pid)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process that it belongs to."""
        return self._keeper.pid

    def inside(self, arguments: list[str]) -> list[str]:
        """The arguments with which Python runs in it what it would run here with these."""
        return [str(_ENTER), f"/proc/{self.pid}/ns/net", *arguments]

    def _wait(self) -> None:
        deadline = time.monotonic() + 10
        while _of(self.pid) in (None, _of(os.getpid())):
            if self._keeper.poll() is not None or time.monotonic() > deadline:
                raise PermissionError("there is no new network namespace")
            time.sleep(0.01)

    def close(self) -> None:
        """Lets go of it."""
        self._keeper.kill()
        self._keeper.wait()


@cache
def not_permitted() -> str | None:
    """Why there can be no such machines here; None where there can."""
    try:
        with closing(Namespace()):
            os.close(tun(f"gfprobe{os.getpid() % 10_000}"))
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces and TUN devices are not permitted here ({type(error).__name__})"
    return None


def _of(pid: int) -> str | None:
    with suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    return None
