"""A cable between this machine and a network namespace, which loses, delays or stops packets as a real one does.

The two ends are TUN devices, and a thread of this process carries the packets, because not every kernel has netem.
Nothing that passes is looked into: TCP does not learn of a cut but by silence. The devices vanish with this process.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from contextlib import suppress

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_PACKET = 65_536


def tun(name: str) -> int:
    """Makes a TUN device and gives its descriptor. Raises OSError where that is not permitted."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH14x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def ip(*arguments: str, namespace: int | None = None) -> None:
    """Runs `ip`, in the namespace of that process or in ours. Raises CalledProcessError."""
    inside = [] if namespace is None else ["nsenter", "--net", f"--target={namespace}"]
    subprocess.run([*inside, "ip", *arguments], check=True, capture_output=True)


class Cable:
    """Between `here`, an address that this machine gets, and `there`, one that the process's namespace gets."""

    def __init__(self, name: str, here: str, there: str, namespace: int) -> None:
        self._lost = 0.0
        self._seconds = 0.0
        self._luck = random.Random(name)
        self._ends: list[int] = []
        self._wake, self._waking = os.pipe()
        self._closing = False
        try:
            self._ends = [tun(f"{name}h"), tun(f"{name}n")]
            ip("link", "set", f"{name}n", "netns", str(namespace))
            ip("address", "add", here, "peer", there, "dev", f"{name}h")
            ip("address", "add", there, "peer", here, "dev", f"{name}n", namespace=namespace)
            ip("link", "set", f"{name}h", "up")
            ip("link", "set", f"{name}n", "up", namespace=namespace)
        except BaseException:
            self._close_ends()
            raise
        self._thread = threading.Thread(target=self._carry, name=f"cable {name}", daemon=True)
        self._thread.start()

    def hold(self) -> None:
        """Cut: no packet arrives, in either direction, and nobody is told."""
        self._lost = 1.0

    def lose(self, share: float) -> None:
        """That share of the packets is lost."""
        self._lost = share

    def slow(self, seconds: float) -> None:
        """Each packet takes so long."""
        self._seconds = seconds

    def restore(self) -> None:
        """As good as new."""
        self._lost = self._seconds = 0.0

    def close(self) -> None:
        """Takes it away for good."""
        self._closing = True
        os.write(self._waking, b"\0")
        self._thread.join()
        self._close_ends()

    def _close_ends(self) -> None:
        for descriptor in (*self._ends, self._wake, self._waking):
            with suppress(OSError):
                os.close(descriptor)

    def _carry(self) -> None:
        poll = select.poll()
        for descriptor in (*self._ends, self._wake):
            poll.register(descriptor, select.POLLIN)
        to = dict(zip(self._ends, reversed(self._ends), strict=True))
        on_the_way: list[tuple[float, int, int, bytes]] = []
        number = 0
        while not self._closing:
            wait = None if not on_the_way else max(0.0, (on_the_way[0][0] - time.monotonic()) * 1000)
            for descriptor, _ in poll.poll(wait):
                with suppress(BlockingIOError):
                    while descriptor in to:
                        packet = os.read(descriptor, _PACKET)
                        if self._luck.random() >= self._lost:
                            number += 1
                            heapq.heappush(
                                on_the_way, (time.monotonic() + self._seconds, number, to[descriptor], packet)
                            )
            while on_the_way and on_the_way[0][0] <= time.monotonic():
                _, _, descriptor, packet = heapq.heappop(on_the_way)
                if self._lost < 1.0:
                    with suppress(OSError):
                        os.write(descriptor, packet)
