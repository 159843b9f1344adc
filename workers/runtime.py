"""What a worker process does besides its tasks: it starts, keeps house, and goes.

Celery's signals and commands find it here: the consumer imports it before a worker starts.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

import redis as redis_py
from celery import signals
from celery.worker.control import control_command

from config.errors import UserError
from config.logs import log, where
from config.models import Model, models
from config.settings import missing_broker, missing_key, settings
from ledger import budget, fleet, jobs, limits, taking
from ledger.connection import Redis, wait_for
from ledger.trouble import passing
from workers.app import app, task_name
from workers.fitting import Fitting
from workers.janitor import Janitor, enqueue_again
from workers.open_files import allow_calls
from workers.orphan import end_with_parent
from workers.process import Process
from workers.pulse import Pulse
from workers.queues import consumed, drop, taken_here
from workers.turns import turns
from workers.waker import Waker

#: How many objects may come to be before the collector looks at the young ones; 700 by default.
_YOUNG_OBJECTS = 10_000

_lock = threading.Lock()
_process: Process | None = None


def process() -> Process:
    """This process's event loop and connections, made when they are first needed, and so after any fork."""
    global _process  # noqa: PLW0603  one per operating system process, by its nature
    with _lock:
        if _process is None:
            _process = Process(app.conf.broker_url, os.environ.get("GENFLEET_WORKER"))
        return _process


@lru_cache(maxsize=1)
def _redis() -> Redis:
    # Where it is not there yet, a worker waits for it, as Celery itself does.
    return wait_for(app.conf.broker_url, lambda why: log("broker_awaited", why=why))


@signals.celeryd_after_setup.connect
def prepare(**_: Any) -> None:
    """Before the worker consumes: leaves out models whose key is missing."""
    keyless = [model for model in models().values() if model.provider.key() is None]
    selected = set(app.amqp.queues.consume_from)
    for model in keyless:
        if task_name(model.name) in selected:
            app.amqp.queues.deselect([task_name(model.name)])
            log("model_not_taken", why=missing_key(model.provider.api_key_env, f"{model.name}: not taken; it"))
    if not set(app.amqp.queues.consume_from) & {task_name(name) for name in models()}:
        wanted = sorted({model.provider.api_key_env for model in keyless})
        sys.exit(f"this worker could take no model's tasks: set {' or '.join(wanted)} in the environment or in .env.")


@signals.worker_ready.connect
def start(sender: Any, **_: Any) -> None:
    """The worker consumes: its heart beats from now on."""
    end_with_parent()
    # What a worker is made of stays for good, so the collector need not look through it again and again; and what an
    # example leaves behind is free without it, but for some errors.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
    process().places = sender.pool.limit or process().places
    allow_calls(process().places)
    turns.places, turns.ahead = sender.pool.limit or 1, ahead(sender.pool)
    turns.in_line, turns.idle = process().clerk.in_line, process().idle
    process().on_arrival, process().clerk.on_room = turns.arrived, _on_room
    process().on_again = partial(_tell_flower, sender)
    threading.Thread(target=_keep_house, args=(sender,), name="housekeeping", daemon=True).start()


def ahead(pool: Any) -> int:
    """Tasks that Celery takes beyond a pool's places; none with its own pools, whose tasks would not begin."""
    return getattr(pool, "ahead", 0)


waker = Waker()
_awake = threading.Event()
_left = threading.Event()


def look() -> None:
    """Something may have begun: housekeeping looks at once."""
    _awake.set()


@control_command()
def look_for_jobs(state: Any) -> dict[str, str]:
    """Look for jobs that have begun to run, now."""
    look()
    return {"ok": "looking"}


def _tell_flower(consumer: Any, job: str, unit: int, attempt: int) -> None:
    """Flower counts the attempts at a task as its retries; Celery knows of one run alone."""
    events = consumer.event_dispatcher
    if events is not None and events.enabled:
        events.send("task-retried", uuid=f"{job}-{unit}", retries=attempt)


def _on_room(job: str) -> None:
    if turns.holds_back(job):
        waker.wake()


def _silent(pulse: Pulse) -> bool:
    """Whether this process is of no use any more; its supervisor then starts another in its place."""
    room, asked, turned = process().has_room, turns.asked_at, process().turned_at
    why = pulse.silent(asked_at=asked, turned_at=turned, has_room=room) or process().sick
    if why is not None:
        log("worker_useless", why=why)
    return why is not None


def _keep_house(consumer: Any) -> None:
    janitor, fitting = Janitor(_redis()), Fitting()
    pulse = Pulse()
    before: dict[str, jobs.Running] = {}
    while not _left.is_set():
        _awake.clear()
        try:
            if process().draining:
                # Calls in flight may take longer than a heartbeat lasts: without it they would be made again elsewhere.
                fleet.beat(_redis(), process().worker, [])
                _left.wait(fleet.HEARTBEAT_SECONDS)
                continue
            process().clock.ask(_redis())
            running = taken_here(consumer, jobs.running(_redis()))
            fit = fitting.of(running)
            process().refused = frozenset(fitting.refused)
            consumer.call_soon(consumed, consumer, fit)
            # Flower's form and `celery control -d` tell one worker of a new limit, and the ledger.
            consumer.call_soon(consumer.show_limits, limits_in_force())
            waker.wake()
            for job in before.keys() - running.keys():
                drop(_redis(), before[job].model, job)
            before = running
            idle = process().idle()
            many = turns.too_many(fit) | {job: idle[job] for job in fitting.refused}
            if many:
                enqueue_again(_redis(), process().release(many))
            process().turn()
            janitor.work(process().worker, process().waiting(), silent=_silent(pulse))
            taking.tell(_redis(), process().worker, fit, fitting.refused)
        except redis_py.RedisError as error:
            pulse.nothing_known()
            log("housekeeping_waits", why=passing(error) or type(error).__name__)
        except Exception as error:
            log("housekeeping_failed", error=type(error).__name__, where=where(error))
        if not _awake.wait(fleet.HEARTBEAT_SECONDS / 2):
            with suppress(redis_py.RedisError):  # the next round says so
                janitor.bury()
            _awake.wait(fleet.HEARTBEAT_SECONDS / 2)


def declare_limits() -> None:
    """Tells the ledger the limits and the budget that this machine's files and environment declare.

    The first that a worker does with the ledger: one that it cannot work with ends it with a sentence.
    """
    if settings().redis_url is None:
        sys.exit(missing_broker("a worker"))
    try:
        _redis()
    except UserError as error:
        # A ledger of another version, or a broker that is not for us.
        sys.exit(str(error))
    budget.declare(_redis())
    for model in models().values():
        limits.declare(_redis(), model)


def limits_in_force() -> dict[str, Model]:
    """Every model with the limits that the ledger keeps for it now."""
    return {name: model.model_copy(update={"limits": limits.read(_redis(), name)}) for name, model in models().items()}


def change_limit(model: str, per_minute: float | None) -> None:
    """Sets the fleet's limit on requests per minute of a model."""
    limits.change(_redis(), model, {"requests_per_minute": per_minute})


@signals.worker_shutting_down.connect
def drain(**_: Any) -> None:
    """Told to stop: lets calls in flight finish within the grace period, then gives the rest back to the queue."""
    if _process is not None and not process().draining:
        process().draining = True
        _awake.set()
        threading.Thread(target=_drain, name="drain").start()


def _drain() -> None:
    back = process().drain(settings().grace_seconds)
    worker = process().worker
    _left.set()
    process().close()
    try:
        enqueue_again(_redis(), list({*back, *fleet.reap(_redis(), worker, now=True)}))
    except (redis_py.RedisError, OSError) as error:
        # The janitor of another worker finds them by the silence of this one.
        log("examples_kept", count=len(back), error=type(error).__name__)
