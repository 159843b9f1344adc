"""Recipes' checks in their own thread: what they raise is raised, and one that never ends holds nobody up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from workers.checks import CheckHangs, Checks


class NoException(BaseException):
    """What no check should raise."""


def raising(error: BaseException) -> Callable[[], Any]:
    """A check that raises."""

    def check() -> None:
        raise error

    return check


def test_a_check_gives_its_result_in_another_thread() -> None:
    """One after the other, in a thread that is not the event loop's."""

    async def run() -> list[int]:
        checks = Checks()
        return list(await asyncio.gather(*(checks.run(threading.get_ident) for _ in range(3))))

    found = asyncio.run(run())
    assert len(set(found)) == 1
    assert found[0] != threading.get_ident()


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), StopIteration(), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), NoException("perché")],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_check_raises_is_an_exception(error: BaseException) -> None:
    """An exit or an interrupt does not end the event loop, and the thread goes on with the next check."""

    async def run() -> str:
        checks = Checks(most_seconds=5)
        with pytest.raises(type(error) if type(error) is ValueError else RuntimeError):
            await checks.run(raising(error))
        return await checks.run(lambda: "next")

    assert asyncio.run(run()) == "next"


def test_a_check_that_never_ends_holds_nobody_up() -> None:
    """It is given up after its time; those behind it are made in another thread, and it is counted."""

    async def run() -> tuple[list[Any], int]:
        release = threading.Event()
        checks = Checks(most_seconds=0.2)
        asked = [checks.run(release.wait), *(checks.run(lambda k=k: k) for k in range(5))]
        results = await asyncio.gather(*asked, return_exceptions=True)
        release.set()
        return results, checks.hung

    (hung, *others), count = asyncio.run(run())
    assert isinstance(hung, CheckHangs)
    assert others == [0, 1, 2, 3, 4]
    assert count == 1


def test_a_check_is_seen_through_when_its_task_is_cancelled() -> None:
    """The answer is paid for, so a process that stops does not cut its check."""

    async def run() -> str:
        release = threading.Event()
        checks = Checks()
        checking = asyncio.ensure_future(checks.run(lambda: "checked" if release.wait(5) else "late"))
        await asyncio.sleep(0.01)
        for _ in range(3):
            checking.cancel()
            await asyncio.sleep(0.01)
        release.set()
        return await checking

    assert asyncio.run(run()) == "checked"
