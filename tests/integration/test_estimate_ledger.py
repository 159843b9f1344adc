"""What an estimate reads of the ledger: whole jobs first, then running means; limits in force; and never for long."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
import redis

from config.models import Limits, model
from config.recipe import Recipe
from console.before_start import capacity_here, say_before
from ledger import budget, fleet, jobs, keys, limits
from ledger.jobs import Spec
from ledger.learned import Figures, read
from producers.expand import Share
from producers.known import look
from producers.plan import Plan

HAIKU = "anthropic/claude-haiku-4.5"


def recipe_of(name: str = "cards", **changes: Any) -> Recipe:
    """A small recipe."""
    output = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    plain = {"name": name, "model": HAIKU, "prompt": "Scrivi.", "output": output}
    return Recipe.model_validate(plain | changes)


def plan_of(recipe: Recipe, count: int = 50) -> Plan:
    """A checked job."""
    asked = model(HAIKU)
    spec = Spec(recipes=(recipe,), model=HAIKU, total=count, seed=0)
    return Plan("cards-1", spec, [Share(recipe, count)], None, asked, [asked], 0)


def job(client: Any, name: str, *recipes: Recipe, tasks: int = 30, cost: int = 2_000_000, **fields: Any) -> None:
    """A job that has settled `tasks` tasks at `cost` nano-dollars each, complete unless it is said otherwise."""
    spec = Spec(recipes=recipes, model=HAIKU, total=tasks, seed=0)
    jobs.create(client, name, spec, model(HAIKU), [model(HAIKU)], tasks)
    done = {"state": "complete", "cursor": tasks, "attempts": tasks, "spent": tasks * cost}
    used = {"prompt_tokens": tasks * 500, "completion_tokens": tasks * 300}
    client.hset(keys.job(name), mapping=done | used | fields)
    client.zadd(keys.JOBS, {name: client.zcard(keys.JOBS)})


def means(client: Any, calls: int = 60, name: str = "cards") -> None:
    """Running means of a recipe at 1,000,000 nano-dollars a call."""
    fields = {"n": calls, "ratio": 0.3, "completion": 150, "cost": 1e6, "cost2": 1.25e12, "latency": 2.5}
    client.hset(keys.learned(HAIKU, name), mapping=fields)


def figures(client: Any, recipe: Recipe | None = None) -> Figures:
    """What is known of the recipe."""
    recipe = recipe or recipe_of()
    return read(client, [recipe])[recipe.name]


def test_a_recipe_without_a_call_is_left_out(redis_client: Any) -> None:
    """Only recipes of which a call was answered have figures."""
    means(redis_client)
    assert set(read(redis_client, [recipe_of(), recipe_of("others")])) == {"cards"}


def test_running_means_alone_weigh_as_many_calls_as_they_remember(redis_client: Any) -> None:
    """Without whole jobs the means count, the spread is that of their variance, and they are known to drift."""
    means(redis_client, calls=5_000)
    found = figures(redis_client)
    assert (found.calls, found.cost, found.prompt, found.drifts, found.changed) == (5_000, 1e6, None, True, False)
    assert found.weight == pytest.approx(99)
    assert found.spread == pytest.approx(0.5, rel=0.02)


def test_whole_jobs_of_the_recipe_as_it_is_come_first(redis_client: Any) -> None:
    """Their totals a task count, with requests and answers that were bought again; other jobs' do not."""
    means(redis_client)
    job(redis_client, "one", recipe_of(), attempts=45)
    job(redis_client, "two", recipe_of(description="Other words"), tasks=60)
    redis_client.hset(keys.job("two", "reasons"), mapping={"again:invalid": 9, "again:http_500": 7})
    job(redis_client, "mixed", recipe_of(), recipe_of("others"), cost=9_000_000)
    job(redis_client, "runs", recipe_of(), cost=9_000_000, state="running")
    redis_client.set(keys.job("broken", "spec"), "{}")
    redis_client.hset(keys.job("broken"), mapping={"model": HAIKU, "recipe": "cards", "attempts": 3})
    redis_client.zadd(keys.JOBS, {"broken": 99})
    found = figures(redis_client)
    assert (found.weight, found.cost, found.prompt, found.completion) == (90, 2e6, 500, 300)
    assert (found.bought, found.attempts, found.calls) == (pytest.approx(1.1), pytest.approx(105 / 90), 99)
    assert not found.drifts
    assert not found.changed


def test_a_changed_recipe_is_known_by_its_jobs(redis_client: Any) -> None:
    """Figures of before the change say so; a few tasks of the recipe as it is are then worth more than many means."""
    means(redis_client, calls=400)
    job(redis_client, "before", recipe_of())
    changed = recipe_of(prompt="Scrivi di più.")
    assert figures(redis_client, changed).changed
    job(redis_client, "after", changed, tasks=6)
    found = figures(redis_client, changed)
    assert (found.weight, found.cost, found.changed) == (6, 2e6, False)


def test_limits_are_those_that_calls_will_meet(redis_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the file has them before a job, as a person set them live, as a provider told; reading changes nothing."""
    planned = plan_of(recipe_of())
    file = model(HAIKU).limits
    assert look(None, planned).limits == look(redis_client, planned).limits == file
    assert redis_client.dbsize() == 0
    limits.declare(redis_client, planned.model)
    limits.change(redis_client, HAIKU, {"requests_per_minute": 7, "concurrent_requests": None})
    redis_client.hset(keys.model(HAIKU), "told_tpm", 5_000)
    assert look(redis_client, planned).limits == Limits(requests_per_minute=7, tokens_per_minute=5_000)


def test_what_is_left_who_shares_and_what_today_allows(redis_client: Any) -> None:
    """Tasks that are not settled, other jobs of the model that run, and the fleet's budget of the day."""
    planned = plan_of(recipe_of())
    assert look(redis_client, planned).left is None
    job(redis_client, "cards-1", recipe_of(), tasks=20, state="running", units=50)
    redis_client.hset(keys.job("cards-1", "todo"), mapping={"7": "1 1 cards {}"})
    job(redis_client, "other", recipe_of(), state="running")
    budget.change(redis_client, 5_000_000_000)
    known = look(redis_client, planned, capacity=40)
    assert (known.left, known.others, known.today, known.capacity) == (31, 1, 5_000_000_000, 40)


def test_workers_of_others_have_a_capacity_that_is_not_known(redis_client: Any) -> None:
    """Two processes start where there are none; beside a living worker nobody knows."""
    assert (capacity_here(None, None, 50), capacity_here(redis_client, 3, 20)) == (100, 60)
    fleet.beat(redis_client, "w1", [])
    assert capacity_here(redis_client, 3, 20) is None


def test_a_broker_that_does_not_answer_is_not_waited_for() -> None:
    """The estimate is left out while the reading still waits."""
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = redis.Redis(port=deaf.getsockname()[1], socket_timeout=60, retry=None)
        say_before(said.append, client, plan_of(recipe_of()), None)
        waiting = [thread for thread in threading.enumerate() if thread.name == "estimate"]
        assert len(waiting) == 1
        assert said == []
        connection, _ = deaf.accept()
        connection.close()
    waiting[0].join()
    client.close()
    assert said == []
