"""The way of one example: the only place that knows the order of admission, call, check and settlement."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import TYPE_CHECKING, Any

from config.errors import UserError
from config.logs import bound
from config.models import model
from config.money import NANO
from config.recipe import Recipe
from config.request import build
from ledger.damaged import Damaged
from ledger.jobs import Spec
from ledger.leases import Drop, Grant
from ledger.todo import task_of
from workers import tracing
from workers.checks import CheckHangs
from workers.clerk import Clerk
from workers.client import Answer
from workers.errors import Failure
from workers.patience import Stopped
from workers.records import attempt_record, example_records
from workers.rejections import rejection
from workers.verdict import Tries, Verdict, judge, poisoned, unchecked, unreadable, unusable

if TYPE_CHECKING:
    from workers.process import Process

_noise = random.Random()


async def generate(job: str, unit: int, process: Process) -> Verdict | None:
    """Makes the examples of one task and settles them; None where there was nothing to do.

    Waits for the limits, the budget and between attempts as long as it takes. A job that is none, or cannot be made
    here, is stopped.

    Raises:
        Stopped: the process drains; a call that was in flight is settled as unknown.
        OverBudget: the job is at the end of its budget.
    """
    with bound(job=job, unit=unit), tracing.example(job, unit) as span:
        try:
            verdict = await _generate(job, unit, process)
        except UserError as error:
            await process.clerk.stop(job, str(error))
            return None
        if verdict is not None:
            span.set(outcome=verdict.settlement.outcome, reason=verdict.settlement.reason or None)
        return verdict


async def _generate(job: str, unit: int, process: Process) -> Verdict | None:
    clerk = process.clerk
    spec = await clerk.spec(job)
    if spec is None:
        return None
    tries = Tries()
    while True:
        token = uuid.uuid4().hex
        with tracing.span("admit", model=spec.model):
            grant, given_up = await _admitted(clerk, job, spec, unit, token)
        reply = None
        number, incarnation = (0, "") if grant is None else (grant.attempt, grant.incarnation)
        if given_up is not None:
            item = _of_job(task_of(given_up), spec)
            verdict = unreadable(unit, given_up, leased=grant is not None) if item is None else poisoned(item)
        elif grant is None or grant.item is None:
            return None
        else:
            item = grant.item | {"max_tokens": grant.max_tokens, "most": grant.most_nano_usd}
            try:
                reply = await _call(spec.recipes[item["recipe"]], item, number, process)
            except UserError as error:
                # Such as an output class that this machine does not have. Nothing was sent.
                verdict = unusable(error)
            else:
                verdict = await _judged(reply, spec.recipes[item["recipe"]], item, tries, process)
        recipe = spec.recipes[0 if item is None else item["recipe"]]
        attempt = attempt_record(job, unit, number, recipe, clerk.worker, verdict, reply, process.clock.now())
        examples = example_records(verdict, item or {"variables": {}}, attempt)
        with tracing.span("settle", outcome=verdict.settlement.outcome, reason=verdict.settlement.reason or None):
            await clerk.settle(job, spec.model, unit, token, incarnation, verdict.settlement, attempt, examples)
        if verdict.settlement.outcome != "again":
            return verdict
        process.on_again(job, unit, number)
        if process.draining:
            raise Stopped
        await asyncio.sleep(verdict.pause)


async def _judged(
    reply: Answer | Failure, recipe: Recipe, item: dict[str, Any], tries: Tries, process: Process
) -> Verdict:
    with tracing.span("check", recipe=recipe.name) as span:
        verdict = await _checked(reply, recipe, item, tries, process)
        span.set(outcome=verdict.settlement.outcome, reason=verdict.settlement.reason or None)
        return verdict


async def _checked(
    reply: Answer | Failure, recipe: Recipe, item: dict[str, Any], tries: Tries, process: Process
) -> Verdict:
    if isinstance(reply, Failure) or recipe.checked_output.ends:
        return judge(reply, recipe, item, tries, _noise)
    try:
        return await process.checks.run(lambda: judge(reply, recipe, item, tries, _noise))
    except CheckHangs:
        process.sick = f"a check of {recipe.name} never ends"
        return unchecked(reply, item)


async def _admitted(clerk: Clerk, job: str, spec: Spec, unit: int, token: str) -> tuple[Grant | None, str | None]:
    """The lease, if there is one, and the task as it stands on its list, if it must be given up."""
    try:
        grant = await clerk.admit(job, spec.model, unit, token)
    except Damaged:
        # Of what the script reads, a single task is the likeliest to be damaged, and costs the least to give up.
        text = await clerk.todo(job, unit)
        if text is not None and task_of(text) is not None:
            raise
        return None, text
    if isinstance(grant, Drop):
        if grant.why == "budget":
            raise rejection("budget", "the job is at the end of its budget; genfleet resume --budget USD goes on")
        return None, await clerk.todo(job, unit) if grant.why == "poison" else None
    return grant, (await clerk.todo(job, unit) or "") if _of_job(grant.item, spec) is None else None


def _of_job(item: dict[str, Any] | None, spec: Spec) -> dict[str, Any] | None:
    """The task, if it is one that the job can have."""
    if item is None or item["recipe"] >= len(spec.recipes) or item["first"] + item["count"] > spec.total:
        return None
    return item


async def _call(recipe: Recipe, item: dict[str, Any], number: int, process: Process) -> Answer | Failure:
    asked = model(recipe.model)
    fraction = item.get("fraction", 0.0)
    request = build(recipe, asked, item["variables"], item["count"], fraction, item["max_tokens"], item["most"])
    with tracing.span("call", "CLIENT", model=asked.name, recipe=recipe.name, attempt=number) as span:
        try:
            reply = await process.clients.call(request, asked, recipe.call.timeout_seconds)
        except asyncio.CancelledError:
            # The process has no more time. The provider may bill the call all the same.
            reply = Failure(transport="stopped")
        if isinstance(reply, Failure):
            span.set(error=reply.transport or str(reply.status))
        else:
            span.set(prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens)
            span.set(cost_usd=None if reply.cost is None else reply.cost / NANO)
        return reply
