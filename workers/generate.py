"""The way of one example: the only place that knows the order of admission, call, check and settlement."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import TYPE_CHECKING, Any

from config.errors import UserError
from config.models import model
from config.recipe import Recipe
from config.request import build
from ledger.leases import Drop
from workers.client import Answer
from workers.errors import Failure
from workers.verdict import Tries, Verdict, attempt_record, example_records, judge, poisoned, unusable

if TYPE_CHECKING:
    from workers.process import Process

_noise = random.Random()


class Stopped(Exception):
    """The process drains and the example is not settled: it goes back to the queue."""


async def generate(job: str, unit: int, process: Process) -> Verdict | None:
    """Makes the examples of one task and settles them; None where there was nothing to do.

    Waits for the limits, the budget and between attempts as long as it takes.

    Raises:
        Stopped: the process drains; a call that was in flight is settled as unknown.
    """
    spec = await process.spec(job)
    if spec is None:
        return None
    tries = Tries()
    while True:
        token = uuid.uuid4().hex
        grant = await process.admit(job, spec.model, unit, token)
        if isinstance(grant, Drop):
            if grant.why != "poison" or (item := await process.item(job, unit)) is None:
                return None
            recipe, number, reply = spec.recipes[item["recipe"]], 0, None
            verdict = poisoned(recipe, item)
        else:
            item, number = grant.item | {"max_tokens": grant.max_tokens, "most": grant.most_nano_usd}, grant.attempt
            recipe = spec.recipes[item["recipe"]]
            try:
                reply = await _call(recipe, item, process)
            except UserError as error:
                # Such as an output class that this machine does not have. Nothing was sent.
                reply, verdict = None, unusable(error)
            else:
                verdict = judge(reply, recipe, item, tries, _noise)
        attempt = attempt_record(job, unit, number, recipe, process.worker, verdict, reply)
        examples = example_records(verdict, item, attempt)
        await process.settle(job, spec.model, unit, token, verdict.settlement, attempt, examples)
        if verdict.settlement.outcome != "again":
            return verdict
        if process.draining:
            raise Stopped
        await asyncio.sleep(verdict.pause)


async def _call(recipe: Recipe, item: dict[str, Any], process: Process) -> Answer | Failure:
    asked = model(recipe.model)
    fraction = item.get("fraction", 0.0)
    request = build(recipe, asked, item["variables"], item["count"], fraction, item["max_tokens"], item["most"])
    try:
        return await process.call(request, asked, recipe.call.timeout_seconds)
    except asyncio.CancelledError:
        # The process has no more time. The provider may bill the call all the same.
        return Failure(transport="stopped")
