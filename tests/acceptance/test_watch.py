"""A job as people watch it: in a terminal of any size, in a log, as JSON, and while the broker is away."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator

import pytest
import redis
from fleet_bench import MODEL, Fleet
from terminal import SHOW_CURSOR, Terminal

from console.reading.watching import FIELDS
from console.services import free_port
from ledger import jobs, limits
from ledger.fleet import alive
from ledger.status import Status

LIMITS = {MODEL: {"requests_per_minute": 6_000, "tokens_per_minute": 1_000_000, "concurrent_requests": 60}}
FAULTS = {"malformed": 0.1, "refused": 0.05}


@pytest.fixture
def fleet(fleet: Fleet) -> Iterator[Fleet]:
    """As for all acceptance tests; calls that a test has made slow are not waited for at its end."""
    yield fleet
    fleet.kill_all()


def terminal(fleet: Fleet, *arguments: str, columns: int = 80, lines: int = 24) -> Terminal:
    return Terminal(list(arguments), fleet.env, fleet.folder, columns, lines)


def a_job_at_work(fleet: Fleet, count: int = 5_000, budget: str = "50", latency: float = 0.2) -> str:
    """A job with some results and failures, and many still to come."""
    fleet.declare(LIMITS)
    fleet.provide(latency_seconds=latency, faults=FAULTS)
    fleet.worker(processes=2, concurrency=10)
    job = fleet.submit("small", "--count", str(count), "--budget", budget)
    fleet.until_settled(job, 60)
    return job


def held(fleet: Fleet, job: str) -> Status:
    """The job's counters, which for a while do not change."""
    fleet.hold_calls(job, 20, 25.0)
    return fleet.status(job)


def time_left(one: Terminal) -> bool:
    """Whether a time stands there, and not that none is known yet."""
    return re.search(r"time left [\d.]+ (s|min|h) \(", one.words) is not None


def drawn_width(one: Terminal) -> int:
    return max(len(line) for line in one.lines)


@pytest.mark.parametrize("columns", [80, 40])
def test_what_is_drawn_is_what_the_ledger_counts(fleet: Fleet, columns: int) -> None:
    """Examples, failures by cause, money, limits in use and workers are the ledger's own figures."""
    job = a_job_at_work(fleet)
    with terminal(fleet, "watch", job, columns=columns, lines=30) as screen:
        screen.until_shown("accepted")
        # It takes some seconds of work to be known, of which there is none any more once its calls are held.
        screen.until(lambda: time_left(screen), "a time left is on the screen")
        status = held(fleet, job)
        screen.until_shown(f"{status.accepted:,} accepted · {status.rejected:,} rejected")
        use = limits.use(fleet.redis, MODEL)
        causes = [
            f"{count:,} {name.partition(':')[2].replace('_', ' ')}" for name, count in status.reasons.items() if count
        ]
        assert len(causes) >= 2
        for told in (
            job,
            f"{status.settled:,} of 5,000",
            "20 in flight",
            f"${status.cost_usd:.4f} of $50.00",
            f"${status.reserved_usd:.4f} reserved",
            "2 live",
            "of 6,000/min",
            "of 1M/min",
            f"in flight {'━' * 16 + ' ' if columns == 80 else ''}{use.in_flight} of 60",
            *causes,
        ):
            screen.until_shown(told)
        # A screen may be read in the middle of a drawing.
        screen.until(lambda: time_left(screen), "a time left is still on the screen")
        screen.until(lambda: screen.text.count(job) == 1, "the job stands there once")
        assert drawn_width(screen) <= columns


def test_the_display_follows_the_terminals_size(fleet: Fleet) -> None:
    """Made narrow, low and large again while it runs, it fits each time, and nothing is left of what stood before."""
    job = a_job_at_work(fleet)
    with terminal(fleet, "watch", job) as screen:
        screen.until_shown("limits")
        for columns, lines in ((40, 30), (100, 30), (80, 8), (30, 40), (80, 24)):
            screen.resize(columns, lines)
            screen.until(
                lambda size=columns: (
                    screen.lines[0].startswith(job)
                    and len(screen.lines[0]) == size
                    and drawn_width(screen) <= size
                    and screen.text.count(job) == 1
                ),
                f"it fits {columns} columns and stands there once",
            )
        screen.until_shown("limits requests")
        screen.until(lambda: any(line.startswith("examples") for line in screen.lines), "its examples are shown")
        screen.press("\x03")
        assert screen.ended() == 130


def test_ctrl_c_leaves_the_job_running(fleet: Fleet) -> None:
    """The display ends and gives the terminal back, says how to come to it again, and the job goes on to its end."""
    job = a_job_at_work(fleet, count=1_000, latency=1.0)
    with terminal(fleet, "watch", job) as screen:
        screen.until_shown("time left")
        screen.press("\x03")
        assert screen.ended() == 130
        assert screen.tells(f"Back to it: genfleet watch {job}")
        assert screen.tells("it goes on without this display")
        assert "Traceback" not in screen.text
        assert SHOW_CURSOR in screen.written[-2_000:]
    fleet.provider.control(latency_seconds=0.0)
    status = fleet.until_state(job, "complete")
    with terminal(fleet, "watch", job) as screen:
        assert screen.ended() == 0
        assert screen.tells(f"{status.accepted} accepted, {status.rejected} rejected of 1000")
        assert screen.tells(f"genfleet retry {job}")


def test_a_broker_that_goes_away_is_said_and_waited_for(fleet: Fleet) -> None:
    """While it is away the last figures stay, with how old they are; when it is back the display goes on to the end."""
    port = free_port()
    broker = fleet.start("broker", "--port", str(port))
    url = fleet.until(lambda: re.search(r"redis://\S+/0", broker.out), "the broker is up")[0]
    fleet.env["REDIS_URL"] = url
    fleet.provide(latency_seconds=0.2)
    fleet.plain_worker("one", 10)
    with redis.Redis.from_url(url) as fleet.redis:
        job = fleet.submit("small", "--count", "600")
        fleet.until_settled(job, 30)
        with terminal(fleet, "watch", job) as screen, terminal(fleet, "top", columns=40) as top:
            screen.until_shown("accepted")
            top.until_shown("1 worker")
            broker.end()
            for one in (screen, top):
                one.until_shown("The broker does not answer (ConnectionError)")
            screen.until_shown("accepted")
            again = fleet.start("broker", "--port", str(port))
            fleet.until(lambda: again.out, "the broker is back")
            for one in (screen, top):
                one.until(lambda shown=one: "does not answer" not in shown.text, "the broker's absence is over")
            fleet.provider.control(latency_seconds=0.0)
            assert screen.ended(90) == 0
            assert screen.tells("600 accepted")
            assert "Traceback" not in screen.text + top.text
    # In order: killed, it would leave its server behind.
    again.end()


def test_readings_as_json_are_the_ledgers(fleet: Fleet) -> None:
    """A line each with every documented field, growing as the job does; the last is what `status --json` says."""
    job = a_job_at_work(fleet, count=500, latency=1.0)
    watch = fleet.start("watch", job, "--json", "--every", "0.2")
    fleet.until(lambda: watch.out.count("\n") >= 3, "three readings are there")
    fleet.provider.control(latency_seconds=0.0)
    *readings, last = [json.loads(line) for line in watch.wait().out.splitlines()]
    status = fleet.status(job)
    assert last == json.loads(fleet.genfleet("status", job, "--json").out) == status.model_dump()
    assert len(readings) > 2
    assert all(one.keys() == last.keys() | FIELDS.keys() for one in readings)
    settled = [one["accepted"] + one["rejected"] for one in readings]
    assert settled == sorted(settled)
    running = [one for one in readings if one["state"] == "running"]
    assert all(one["workers"] == 2 for one in running)
    assert all(
        one["left_low_seconds"] <= one["left_seconds"] <= (one["left_high_seconds"] or math.inf)
        for one in running
        if one["left_seconds"] is not None
    )


def test_without_a_terminal_there_are_few_plain_lines(fleet: Fleet) -> None:
    """A log has a line now and then, the last of them of the end, and no control characters."""
    fleet.provide(latency_seconds=0.3)
    fleet.worker(processes=1, concurrency=10)
    job = fleet.submit("small", "--count", "300")
    told = fleet.genfleet("watch", job)
    lines = [line for line in told.err.splitlines() if re.match(rf"{job}: \d+ of 300 \(", line)]
    seconds = fleet.status(job).seconds
    assert 2 <= len(lines) <= 3 + seconds / 5
    assert lines[-1].endswith("; complete")
    assert "\x1b" not in told.err
    assert told.out == ""


def test_a_run_in_a_terminal_stops_cleanly_and_says_how_to_go_on(alone: Fleet) -> None:
    """The first Ctrl-C lets calls in flight end, which is shown; what was paid for is kept."""
    alone.provide(latency_seconds=0.5)
    with terminal(
        alone, "run", "small", "--count", "2000", "--workers", "1", "--concurrency", "10", columns=40
    ) as screen:
        screen.until(lambda: re.search(r"\b[1-9]\d* accepted", screen.words), "something is accepted")
        alone.provider.control(latency_seconds=3.0, latency_sigma=0.0)
        screen.press("\x03")
        screen.until_shown("Stopping: calls in flight may end")
        assert screen.ended(90) == 1
        assert screen.tells("run the same command again to go on")
        assert "genfleet worker" not in screen.text
    assert alone.billed("left_calls") == 0


def test_all_jobs_and_one_of_them(fleet: Fleet) -> None:
    """Running jobs are on top; a job that rests tells why and which command helps; nothing of it is raw JSON."""
    job = a_job_at_work(fleet)
    poor = fleet.submit("small", "--count", "50", "--budget", "0.0001", "--seed", "1")
    fleet.until_state(poor, "budget")
    status = held(fleet, job)
    told, listed = fleet.start("status", job), fleet.start("status")
    words = " ".join(told.wait().out.split())
    for figure in (
        f"${status.cost_usd:.4f} spent of a budget of $50.00",
        f"${status.reserved_usd:.4f} reserved for calls in flight",
        f"{status.prompt_tokens:,} in prompts · {status.completion_tokens:,} in answers",
        f"{status.reasons['rejected:invalid']:,} invalid rejected",
    ):
        assert figure in words
    assert f"{status.settled:,}/5,000" in listed.wait().out

    # No worker has a thread for it, as all of them are in calls.
    paused = fleet.submit("small", "--count", "5000", "--seed", "2")
    fleet.genfleet("pause", paused)
    listed = fleet.genfleet("status").out.splitlines()
    assert [line.split()[:2] for line in listed[1:]] == [[job, "running"], [paused, "paused"], [poor, "budget"]]
    with terminal(fleet, "status", columns=40) as screen:
        assert screen.ended() == 0
        assert screen.words.index(job) < screen.words.index(paused) < screen.words.index(poor)
    assert f"genfleet resume {poor} --budget" in fleet.genfleet("status", poor).out
    assert f"genfleet resume {paused}\n" in fleet.genfleet("status", paused).out


def test_top_shows_who_works_and_q_ends_it(fleet: Fleet) -> None:
    """Each worker's calls and each model's use are the ledger's; q gives the terminal back as it was."""
    job = a_job_at_work(fleet)
    with terminal(fleet, "top") as screen:
        screen.until_shown(MODEL)
        status = held(fleet, job)
        screen.until_shown("2 workers · 20 calls in flight")
        screen.until_shown(f"in flight {'━' * 16} 20 of 60")
        for name in alive(fleet.redis):
            assert fleet.redis.scard(f"genfleet:worker:{name}:leases") == 10
        rows = [line for line in screen.lines if f" {job}" in line and "#" in line]
        assert [row.split()[3] for row in rows] == ["10", "10"]
        screen.resize(40, 30)
        screen.until(lambda: drawn_width(screen) <= 40 and "2 workers" in screen.text, "it fits")
        screen.press("q")
        assert screen.ended() == 0
    reading = json.loads(fleet.genfleet("top", "--json").out)
    assert [worker["in_flight"] for worker in reading["workers"]] == [10, 10]
    assert [(one["job"], one["settled"]) for one in reading["jobs"]] == [(job, status.settled)]
    piped = fleet.genfleet("top").out
    assert "2 workers · 20 calls in flight" in piped
    assert "\x1b" not in piped


@pytest.mark.parametrize("how", [lambda screen: screen.press("\x03"), Terminal.end], ids=["ctrl-c", "signal"])
def test_top_ends_by_ctrl_c_and_by_a_signal(fleet: Fleet, how: Callable[[Terminal], None]) -> None:
    """With nothing in the fleet it says so, and ends in order."""
    with terminal(fleet, "top", columns=40) as screen:
        screen.until_shown("No worker is alive: genfleet worker")
        how(screen)
        assert screen.ended() == 0
        assert "Traceback" not in screen.text
    assert jobs.ids(fleet.redis) == []
