"""The line before admission: its order, who asks, and when; on a clock of its own, so that nothing waits."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

import pytest

from ledger.leases import Drop, Grant, Wait
from workers.line import Ask, Line

GO = Grant(item={}, attempt=1, expected_tokens=1, max_tokens=1, incarnation="i")


class Clock(selectors.DefaultSelector):
    """A selector that never waits: what a loop would wait is added to its time."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everything waits for something that will not come"
        self.now += max(0.0, timeout)
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only by waiting."""

    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


def run(main: Coroutine[Any, Any, Any]) -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main)


def now() -> float:
    return round(asyncio.get_running_loop().time(), 6)


def script(replies: list[Grant | Wait | Drop], asked: list[float], seconds: float = 0.0) -> Ask:
    """Asks that get these replies, each after so many seconds, and note when they were made."""
    left = iter(replies)

    async def ask(more: bool) -> Grant | Wait | Drop:
        asked.append(now())
        await asyncio.sleep(seconds)
        return next(left)

    return ask


@pytest.mark.parametrize("reply", [GO, Drop("settled")])
def test_what_is_not_wait_ends_the_line(reply: Grant | Drop) -> None:
    """Go and drop are answers at once."""

    async def main() -> None:
        asked: list[float] = []
        assert await Line().admit(script([reply], asked)) is reply
        assert asked == [0]

    run(main())


@pytest.mark.parametrize("binds", ["requests", "tokens", "pause", "concurrent", "budget"])
def test_asks_again_when_it_was_told_to(binds: str) -> None:
    """Whatever binds, the head asks again after the milliseconds that the ledger said, as often as it takes."""

    async def main() -> None:
        asked: list[float] = []
        waits = [Wait(250, binds), Wait(1000, binds), Wait(1, binds)]
        assert await Line().admit(script([*waits, GO], asked)) is GO
        assert asked == [0, 0.25, 1.25, 1.251]

    run(main())


def test_first_come_first_served() -> None:
    """Those in line are admitted in the order in which they came, and only the head asks."""

    async def main() -> None:
        line, order, asking = Line(), [], 0

        async def admit(name: int) -> None:
            first = True

            async def ask(more: bool) -> Grant | Wait:
                nonlocal asking, first
                asking += 1
                assert asking == 1, "two ask at once"
                await asyncio.sleep(0.01)
                asking -= 1
                first, before = False, first
                return Wait(30, "tokens") if before else GO

            assert await line.admit(ask) is GO
            order.append(name)

        await asyncio.gather(*(admit(name) for name in range(20)))
        assert order == list(range(20))

    run(main())


@pytest.mark.parametrize(
    ("binds", "woken"), [("concurrent", True), ("budget", True), ("requests", False), ("pause", False)]
)
def test_a_settlement_wakes_whom_it_helps(binds: str, woken: bool) -> None:
    """A settlement frees a slot and money, so who waits for these asks at once; other limits come with time alone."""

    async def main() -> None:
        line = Line()
        asked: list[float] = []
        asyncio.get_running_loop().call_later(0.5, line.settled)
        await line.admit(script([Wait(60_000, binds), GO], asked))
        assert asked == [0, 0.5 if woken else 60]

    run(main())


def test_a_settlement_while_it_asks_is_not_missed() -> None:
    """A settlement between the question and the answer lets the head ask again at once."""

    async def main() -> None:
        line = Line()
        asked: list[float] = []
        asyncio.get_running_loop().call_later(0.5, line.settled)
        await line.admit(script([Wait(60_000, "concurrent"), GO], asked, seconds=1))
        assert asked == [0, 1]

    run(main())


def test_an_old_settlement_is_not_kept() -> None:
    """A settlement from before the question says nothing about its answer."""

    async def main() -> None:
        line = Line()
        asked: list[float] = []
        line.settled()
        await line.admit(script([Wait(2000, "concurrent"), GO], asked))
        assert asked == [0, 2]

    run(main())


@pytest.mark.parametrize("place", ["head", "behind"])
def test_who_goes_away_holds_up_nobody(place: str) -> None:
    """One that is cancelled, at the head or behind it, leaves the line to the next, at the time it was told."""

    async def main() -> None:
        line = Line()
        asked: list[float] = []
        head = asyncio.create_task(line.admit(script([Wait(4000, "tokens"), GO], [])))
        behind = asyncio.create_task(line.admit(script([GO], [])))
        last = asyncio.create_task(line.admit(script([GO], asked)))
        await asyncio.sleep(1)
        gone = head if place == "head" else behind
        gone.cancel()
        assert await last is GO
        assert asked == [4]
        assert isinstance((await asyncio.gather(gone, return_exceptions=True))[0], asyncio.CancelledError)
        await asyncio.gather(head, behind, return_exceptions=True)

    run(main())


def test_an_error_leaves_the_line_to_the_next() -> None:
    """An error of the ledger reaches the one who asked, and the next one asks."""

    async def main() -> None:
        async def broken(more: bool) -> Grant:
            raise ConnectionError

        line = Line()
        first, second = await asyncio.gather(line.admit(broken), line.admit(script([GO], [])), return_exceptions=True)
        assert isinstance(first, ConnectionError)
        assert second is GO

    run(main())


def test_a_grant_says_when_the_next_may_ask() -> None:
    """Who comes after a grant asks when the ledger said, and at once where it said nothing."""

    async def main() -> None:
        line, asked = Line(), []
        granted = Grant(item={}, attempt=1, expected_tokens=1, max_tokens=1, incarnation="i", then=Wait(700, "tokens"))
        await asyncio.gather(*(line.admit(script([reply], asked)) for reply in (granted, GO, GO)))
        assert asked == [0, 0.7, 0.7]

    run(main())


def test_the_ledger_is_told_who_waits_behind() -> None:
    """The question says whether others of the line will ask next, so that the ledger keeps their place."""

    async def main() -> None:
        line, told = Line(), []

        async def ask(more: bool) -> Grant:
            told.append(more)
            await asyncio.sleep(1)
            return GO

        await asyncio.gather(*(line.admit(ask) for _ in range(3)))
        await line.admit(ask)
        assert told == [False, True, False, False]
        assert line.waiting == 0

    run(main())


def test_a_settlement_ends_a_wait_that_a_grant_announced() -> None:
    """A slot that comes free while the next one waits for it is taken at once."""

    async def main() -> None:
        line, asked = Line(), []
        asyncio.get_running_loop().call_later(0.4, line.settled)
        full = Grant(
            item={}, attempt=1, expected_tokens=1, max_tokens=1, incarnation="i", then=Wait(60_000, "concurrent")
        )
        await asyncio.gather(*(line.admit(script([reply], asked)) for reply in (full, GO)))
        assert asked == [0, 0.4]

    run(main())
