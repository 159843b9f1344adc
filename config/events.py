"""Every event that genfleet logs: its name, its level, and what it says, whose gaps are its fields.

A test holds that what is logged stands here with just these fields, and that what stands here is logged. No field may
hold a provider's text, a prompt, an answer or a key: of an error its type, where it was met, or a sentence of our own.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from string import Formatter

DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR

BOUND = ("job", "unit")
"""Fields that an event may have besides its own: the job and the task that were worked on."""


@dataclass(frozen=True)
class Event:
    """What happens. INFO is what a command says to whoever started it; WARNING and ERROR somebody should look at."""

    level: int
    says: str
    alone: bool = False
    """It concerns no job and no task, whatever is worked on where it is met."""

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of its fields, in the order of the sentence."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.says) if name is not None)

    def sentence(self, fields: Mapping[str, object]) -> str:
        """What it says with these fields."""
        return self.says.format_map(fields)


EVENTS: Mapping[str, Event] = {
    # What commands say
    "notice": Event(INFO, "{text}"),
    "serving": Event(INFO, "{what} at {url}"),
    "broker_serving": Event(INFO, "Broker at {url}, data in {folder}"),
    "worker_started": Event(INFO, "{processes} worker processes take {models}"),
    "job_collected": Event(INFO, "{job}: {accepted} accepted, {rejected} rejected in {folder}"),
    "job_enqueuing": Event(INFO, "{sent:,} of {units:,} tasks enqueued"),
    "job_progress": Event(
        INFO,
        "{job} is {state}: {accepted:,} accepted, {rejected:,} rejected of {total:,}, {running:,} in flight, "
        "{per_minute:,.0f}/min, {cost_usd:,.4f} USD",
    ),
    "command_failed": Event(ERROR, "{why}"),
    "crashed": Event(ERROR, "ended by {error}, a mistake of ours, at {where}"),
    # The broker
    "broker_awaited": Event(WARNING, "{why}"),
    "broker_trouble": Event(WARNING, "{trouble}: waiting, and trying again", alone=True),
    "housekeeping_waits": Event(WARNING, "housekeeping waits: {why}"),
    "message_discarded": Event(WARNING, "a message in {place} is discarded: {why}"),
    "messages_lost": Event(WARNING, "{count} messages were lost by the broker: they are sent again"),
    "job_unannounced": Event(DEBUG, "the broker is away: workers find the job themselves"),
    "commands_refused": Event(DEBUG, "the broker lets this user send no commands to workers"),
    # Jobs
    "job_stopped": Event(WARNING, "job {job} is stopped: {why}"),
    "job_not_taken": Event(WARNING, "job {job} is not taken: {why}"),
    "task_failed": Event(ERROR, "task {task} ended by {error}, a mistake of ours, at {where}"),
    "answer_duplicate": Event(DEBUG, "{job} {unit} was settled before: this answer is counted as a duplicate"),
    "answer_set_aside": Event(WARNING, "an answer that was paid for cannot be settled and is kept in {path}: {why}"),
    "journal_unwritable": Event(WARNING, "the journal cannot be written ({why})"),
    "collecting_waits": Event(WARNING, "{why}"),
    "estimate_missing": Event(DEBUG, "no estimate: {error}"),
    # Workers
    "model_not_taken": Event(WARNING, "{why}"),
    "files_few": Event(
        WARNING,
        "{calls} calls in flight need {needed} open files, and this system allows {allowed}: "
        "allow more (ulimit -n), or give --concurrency less",
    ),
    "limit_changed": Event(WARNING, "the fleet's limit for {model} is now {limit} requests/min"),
    "worker_stopping": Event(
        INFO, "told to stop: calls in flight have {seconds:.0f} s to end; told again, it stops at once"
    ),
    "worker_useless": Event(ERROR, "this worker should be started again: {why}"),
    "housekeeping_failed": Event(ERROR, "housekeeping failed by {error} at {where}; it goes on"),
    "worker_ended": Event(WARNING, "worker {name} ended with {code}; a new one starts in {seconds:.0f} s"),
    "worker_deaf": Event(WARNING, "worker {name} takes no more tasks: it is told to end, and another takes its place"),
    "worker_still": Event(WARNING, "the heart of worker {name} stands still: it is ended, and another takes its place"),
    "worker_gone": Event(WARNING, "worker {worker} is gone: {count} of its examples are enqueued again"),
    "examples_wait": Event(WARNING, "{name}: its examples go back when the broker answers ({error})"),
    "examples_kept": Event(WARNING, "{count} examples could not be given back ({error})"),
    "traces_missing": Event(
        WARNING, "no traces are sent, though OTEL_EXPORTER_OTLP_ENDPOINT is set: install genfleet[otel] for them"
    ),
    # Others' code
    "tab_missing": Event(
        WARNING, "this Flower's navigation is built in another way: the jobs are at /jobs, without a tab"
    ),
    "library": Event(WARNING, "{logger}: {text}"),
}
