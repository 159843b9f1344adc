"""The fleet: who lives, and what becomes of a dead worker's examples, on real servers."""

from __future__ import annotations

import json

import pytest
from ledger_bench import Bench

from ledger import fleet, keys
from ledger.fleet import DEAD_AFTER_SECONDS
from ledger.leases import Drop, Grant
from workers.app import job_queue
from workers.janitor import Janitor


def silent(bench: Bench, worker: str) -> None:
    """The worker's heartbeat has run out."""
    assert 0 < bench.redis.pttl(keys.worker(worker)) <= DEAD_AFTER_SECONDS * 1000
    # Those that live have beaten since the first heart was heard.
    bench.redis.delete(keys.worker(worker), keys.SILENCE)


def test_a_worker_lives_while_its_heart_beats(bench: Bench) -> None:
    """A heartbeat joins the fleet and tells what the worker holds; the server's clock ends it."""
    fleet.beat(bench.redis, "a", [("job", 1), ("job", 2)])
    fleet.beat(bench.redis, "b", [])
    assert fleet.alive(bench.redis) == {"a": [("job", 1), ("job", 2)], "b": []}
    assert fleet.dead(bench.redis) == []
    silent(bench, "a")
    assert fleet.alive(bench.redis) == {"b": []}
    assert fleet.dead(bench.redis) == ["a"]


def test_an_empty_fleet(bench: Bench) -> None:
    """Nobody has joined: nobody lives, nobody is dead."""
    assert fleet.alive(bench.redis) == {}
    assert fleet.dead(bench.redis) == []


def test_a_dead_workers_leases_end(bench: Bench) -> None:
    """Slots are free, money is unknown, the loss is counted and recorded, the examples are named once."""
    model = bench.model(price=(1, 1), concurrent_requests=2)
    one, two = bench.job(model), bench.job(model)
    fleet.beat(bench.redis, "w", [(one.id, 7)])
    one.granted()
    two.granted()
    silent(bench, "w")
    assert sorted(fleet.reap(bench.redis, "w")) == sorted([(one.id, 0), (two.id, 0), (one.id, 7)])
    assert fleet.dead(bench.redis) == []
    assert one.in_flight() == 0
    for job in (one, two):
        assert job.money() == (0, 0, 500)
        status = job.status()
        assert (status.running, status.waiting, status.attempts, status.reasons) == (0, 1, 1, {"again:worker_lost": 1})
        [(attempt, examples)] = job.results()
        record = json.loads(attempt)
        assert (record["job"], record["unit"], record["attempt"]) == (job.id, 0, 1)
        assert (record["outcome"], record["reason"], record["worker"]) == ("unknown", "worker_lost", "w")
        assert examples == "[]"
        assert job.granted(token="new", worker="x").attempt == 2
    assert fleet.reap(bench.redis, "w") == []


def test_a_living_worker_is_left_alone(bench: Bench) -> None:
    """Only silence ends a worker; unless its supervisor has seen it end."""
    job = bench.job(bench.model())
    fleet.beat(bench.redis, "w", [(job.id, 5)])
    job.granted()
    before = job.snapshot()
    assert fleet.reap(bench.redis, "w") == []
    assert job.snapshot() == before
    assert fleet.reap(bench.redis, "w", now=True) == [(job.id, 0), (job.id, 5)]
    assert fleet.alive(bench.redis) == {}


def test_what_was_settled_is_not_taken_back(bench: Bench) -> None:
    """Of a dead worker's examples only those in flight are named."""
    job = bench.job(bench.model(), units=3)
    for unit in range(3):
        job.granted(unit)
    job.settle(0)
    job.settle(1, outcome="again")
    assert fleet.reap(bench.redis, "w", now=True) == [(job.id, 2)]
    assert job.in_flight() == 0


def test_an_example_that_another_worker_holds_is_not_taken_from_it(bench: Bench) -> None:
    """A worker that settled through another's journal leaves no claim on an example leased anew."""
    job = bench.job(bench.model())
    job.granted(token="a", worker="dead")
    # The answer is brought by the process that found the journal.
    job.settle(token="a", worker="heir", outcome="again")
    job.granted(token="b", worker="heir")
    before = job.snapshot()
    assert fleet.reap(bench.redis, "dead", now=True) == []
    assert job.snapshot() == before


def test_a_worker_that_dies_before_its_first_heartbeat_is_missed(bench: Bench) -> None:
    """Taking a lease joins the fleet, with the time of a heartbeat to beat for itself."""
    job = bench.job(bench.model())
    job.granted(worker="young")
    assert fleet.alive(bench.redis) == {"young": []}
    silent(bench, "young")
    assert fleet.dead(bench.redis) == ["young"]
    assert fleet.reap(bench.redis, "young") == [(job.id, 0)]
    assert job.in_flight() == 0


def test_a_worker_that_was_taken_for_dead_is_missed_again(bench: Bench) -> None:
    """A process that slept through its own end and goes on to take leases is one of the fleet again."""
    job = bench.job(bench.model(), units=2)
    fleet.beat(bench.redis, "w", [])
    job.granted(0)
    silent(bench, "w")
    fleet.reap(bench.redis, "w")
    job.granted(1)
    silent(bench, "w")
    assert fleet.dead(bench.redis) == ["w"]
    assert fleet.reap(bench.redis, "w") == [(job.id, 1)]


@pytest.mark.parametrize("again", [False, True], ids=["another", "the same again"])
def test_who_is_granted_a_call_is_not_buried(bench: Bench, again: bool) -> None:
    """A worker back from a cut may ask before its heart beats: what it is granted then is not made by others too."""
    job = bench.job(bench.model(), units=2)
    fleet.beat(bench.redis, "w", [])
    job.granted(0)
    silent(bench, "w")
    job.granted(0 if again else 1)
    assert fleet.dead(bench.redis) == fleet.reap(bench.redis, "w") == []
    silent(bench, "w")
    assert fleet.dead(bench.redis) == ["w"]


def test_a_grant_is_no_heartbeat(bench: Bench) -> None:
    """A worker whose housekeeping hangs says nothing true of what it holds, and its supervisor hears that."""
    job = bench.job(bench.model(), units=2)
    fleet.beat(bench.redis, "w", [(job.id, 1)])
    assert (fleet.hearts(bench.redis, ["w"]), fleet.alive(bench.redis)) == (["alive"], {"w": [(job.id, 1)]})
    silent(bench, "w")
    job.granted(0)
    assert (fleet.hearts(bench.redis, ["w"]), fleet.alive(bench.redis)) == ([None], {"w": []})


def test_a_grant_that_never_arrived_is_given_again(bench: Bench) -> None:
    """A worker cut off as it asked, and reaped meanwhile, asks again: no call was made, so no money is unknown."""
    job = bench.job(bench.model(price=(1, 1)))
    job.granted()
    fleet.reap(bench.redis, "w", now=True)
    assert job.money() == (0, 0, 500)
    assert isinstance(job.admit(), Grant)
    assert job.money() == (0, 500, 0)
    assert job.settle(cost=3) == "settled"
    assert job.money() == (3, 0, 0)
    assert job.settle(cost=3) == "repeat"
    assert job.money() == (3, 0, 0)


def test_a_grant_that_never_arrived_frees_its_money_also_where_it_is_not_given_again(bench: Bench) -> None:
    """The example went to another worker meanwhile: the one that asks again is turned away and owes nothing."""
    job = bench.job(bench.model(price=(1, 1)))
    job.granted(token="a")
    fleet.reap(bench.redis, "w", now=True)
    job.granted(token="b", worker="x")
    assert job.admit(token="a") == Drop("leased")
    job.settle(token="b", worker="x", cost=9)
    assert job.admit(token="a") == Drop("settled")
    assert job.money() == (9, 0, 0)


def test_after_a_silence_of_all_nobody_is_judged(bench: Bench) -> None:
    """When no heart has been heard for long, the first to beat again buries nobody until all can have beaten."""
    fleet.beat(bench.redis, "a", [])
    fleet.beat(bench.redis, "b", [])
    # As after a broker that was away: every heartbeat has run out, and that any was heard.
    bench.redis.delete(keys.worker("a"), keys.worker("b"), keys.HEARD, keys.SILENCE)
    fleet.beat(bench.redis, "a", [])
    assert fleet.dead(bench.redis) == []
    assert bench.redis.pttl(keys.SILENCE) > fleet.HEARTBEAT_SECONDS * 1000
    bench.redis.delete(keys.SILENCE)
    fleet.beat(bench.redis, "a", [])
    assert fleet.dead(bench.redis) == ["b"]


def test_between_two_beats_nobody_is_buried_after_a_silence(bench: Bench) -> None:
    """Whoever keeps house looks for the dead before it has beaten again itself: then it judges nobody."""
    janitor = Janitor(bench.redis)
    janitor.work("a", [])
    fleet.beat(bench.redis, "b", [])
    bench.redis.delete(keys.SILENCE)
    bench.redis.delete(keys.worker("b"))
    bench.redis.delete(keys.HEARD)
    janitor.bury()
    assert bench.redis.smembers(keys.WORKERS) == {b"a", b"b"}
    bench.redis.set(keys.HEARD, "heard")
    janitor.bury()
    assert bench.redis.smembers(keys.WORKERS) == {b"a"}


def test_a_message_is_lost_when_all_that_live_have_told_what_they_hold(bench: Bench) -> None:
    """Rounds within milliseconds prove nothing; what nobody holds for as long as a heartbeat lasts is lost."""
    job, time = bench.job(bench.model(), units=3), [100.0]
    janitor = Janitor(bench.redis, lambda: time[0])
    fleet.beat(bench.redis, "w", [])
    job.granted(unit=0, worker="w")
    assert [janitor.lost() for _ in range(5)] == [set()] * 5
    time[0] += DEAD_AFTER_SECONDS - 0.001
    assert janitor.lost() == set()
    # Told since, by one that lives.
    fleet.beat(bench.redis, "w", [(job.id, 1)])
    time[0] += 0.001
    assert janitor.lost() == {(job.id, 2)}
    # It is sent again, and has as long to be found; so has what its worker tells of no more.
    fleet.beat(bench.redis, "w", [])
    assert janitor.lost() == set()
    time[0] += DEAD_AFTER_SECONDS / 2
    bench.redis.lpush(job_queue(job.model.name, job.id), "a message")
    assert janitor.lost() == set()
    bench.redis.delete(job_queue(job.model.name, job.id))
    time[0] += DEAD_AFTER_SECONDS / 2
    assert janitor.lost() == set()
    time[0] += DEAD_AFTER_SECONDS
    assert janitor.lost() == {(job.id, 1), (job.id, 2)}
