"""The way of one call: door, chance, limits, text, bill, in this order and without a network."""

from __future__ import annotations

import time
from collections.abc import Callable

from console.provider.bill import Usage
from console.provider.books import Arrival, Books, Call
from console.provider.buckets import Limiter, Refusal
from console.provider.caching import PromptCache
from console.provider.composing import Answer, built_in_answer, compose
from console.provider.control import changed
from console.provider.faults import AT_THE_DOOR, STATUSES, WITH_TEXT, Fault, draw
from console.provider.flavours import Flavour, Reply
from console.provider.request import BadRequest, ChatRequest, parse
from console.provider.settings import ProviderSettings

#: What the fault "rate_limited" tells the caller to wait.
FAULT_WAIT_SECONDS = 1.0
#: A key that begins like this is refused.
INVALID_KEY = "sk-invalid"


class Simulation:
    """The provider's state.

    Attributes:
        settings: as they are now, see `change`.
        books: bill and audit of the calls that have ended.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        answer: Answer = built_in_answer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.books = Books(settings.audit_path, settings.audit_keep, clock)
        self._answer = answer
        self._clock = clock
        self._cache = PromptCache(settings.cache_minimum_tokens)
        self._limiters: dict[str, Limiter] = {}
        self._calls = 0

    @property
    def in_flight(self) -> int:
        """Calls admitted and not yet ended, of all models."""
        return sum(limiter.in_flight for limiter in self._limiters.values())

    def change(self, changes: object) -> None:
        """Change settings from the next call on.

        Raises:
            ControlError: as `control.changed`.
        """
        self.settings = changed(self.settings, changes)
        now = self._clock()
        for model, limiter in self._limiters.items():
            limiter.change(self.settings.limits_of(model), now)

    def authorized(self, flavour: Flavour, authorization: str | None) -> Reply | None:
        """Why the caller's key is refused, or None."""
        scheme, _, key = (authorization or "").partition(" ")
        given = scheme.lower() == "bearer" and bool(key.strip())
        if given and not key.strip().startswith((INVALID_KEY, *self.settings.revoked)):
            return None
        return flavour.unauthorized(given)

    def arrive(self, flavour: Flavour, authorization: str | None, body: bytes) -> Call | Reply:
        """Admit a call, or answer it at once."""
        self._calls += 1
        arrival = Arrival(self._calls, self._clock(), flavour)
        refusal = self.authorized(flavour, authorization)
        if refusal is not None:
            return self.books.refused(arrival, refusal)
        try:
            request = parse(body)
        except BadRequest as problem:
            return self.books.refused(arrival, flavour.bad_request(str(problem)))
        for model in request.models:
            if self.settings.price_of(model) is None:
                return self.books.refused(arrival, flavour.unknown_model(model), request)
        offered = [model for model in request.models if self._affordable(flavour, request, model)]
        if not offered:
            return self.books.refused(arrival, flavour.too_dear(request.models[0]), request, request.models[0])
        for model in offered:
            if model not in self.settings.down:
                return self._admit(arrival, request, model)
        return self.books.refused(arrival, flavour.failure(503), request, offered[0])

    def _affordable(self, flavour: Flavour, request: ChatRequest, model: str) -> bool:
        price = self.settings.price_of(model)
        return not flavour.heeds_max_price or price is None or request.max_price.allows(price)

    def _admit(self, arrival: Arrival, request: ChatRequest, model: str) -> Call | Reply:
        settings = self.settings
        luck = draw(settings.seed, arrival.number, settings.faults, settings.latency_seconds, settings.latency_sigma)
        limiter = self._limiter(model, arrival.t)
        if luck.fault in AT_THE_DOOR:
            return self._refuse_by_fault(arrival, request, model, luck.fault)
        reserved = settings.token_counting_of(model) == "reserved"
        tokens = request.prompt_tokens + (request.max_tokens if reserved else 0)
        # Asked first without the completion: a call that is refused anyway need not have its text made.
        refusal = limiter.refusal(tokens, arrival.t)
        if refusal is None:
            said = compose(request, luck.fault, settings, self._answer)
            tokens += 0 if reserved else said.completion_tokens
            refusal = limiter.admit(tokens, arrival.t)
        if refusal is not None:
            words = f"{refusal.limit} {getattr(limiter.limits, refusal.limit):.12g}, requested {tokens}"
            reply = arrival.flavour.rate_limited(model, words, refusal, settings.retry_after)
            told = arrival.flavour.headers(limiter, arrival.t)
            reply = reply._replace(headers={**told, **reply.headers})
            return self.books.refused(
                arrival, reply, request, model, in_flight=limiter.in_flight, refused_by=refusal.limit
            )
        return Call(
            arrival=arrival,
            request=request,
            model=model,
            price=settings.price_of(model) or settings.default_price,
            limiter=limiter,
            fault=luck.fault,
            latency_seconds=luck.latency_seconds,
            said=said,
            debited_tokens=tokens,
            in_flight=limiter.in_flight,
        )

    def _refuse_by_fault(self, arrival: Arrival, request: ChatRequest, model: str, fault: Fault | None) -> Reply:
        flavour, refused_by = arrival.flavour, None
        if fault is Fault.UNAUTHORIZED:
            reply = flavour.unauthorized(True)
        elif fault is Fault.NO_CREDIT:
            reply = flavour.no_credit()
        elif fault is Fault.LOW_CREDIT:
            reply = flavour.low_credit(request.max_tokens)
        else:
            refused_by = "fault"
            refusal = Refusal("requests_per_minute", FAULT_WAIT_SECONDS)
            reply = flavour.rate_limited(model, "shared capacity", refusal, self.settings.retry_after)
        return self.books.refused(arrival, reply, request, model, fault=fault, refused_by=refused_by)

    def finish(self, call: Call) -> Reply | None:
        """End a call and answer it; None means that its connection is to be reset."""
        flavour, fault, said = call.arrival.flavour, call.fault, call.said
        usage, cost = self._end(call, left=False)
        if fault is Fault.RESET:
            return None
        if fault in STATUSES:
            return flavour.failure(STATUSES[fault])
        if fault is Fault.ERROR_IN_200:
            return flavour.failure(502)._replace(status=200)
        if fault is Fault.EMPTY and flavour.bills_empty:
            said = said._replace(finish_reason="stop")
        now = self._clock()
        return flavour.completion(call.arrival.generation_id, call.model, said, flavour.usage(usage, cost))._replace(
            headers=flavour.headers(call.limiter, now)
        )

    def leave(self, call: Call) -> None:
        """End a call whose caller has left: the model has run, so it is billed as if it had been answered."""
        self._end(call, left=True)

    def _end(self, call: Call, left: bool) -> tuple[Usage, int]:
        call.limiter.release()
        fault, request = call.fault, call.request
        billed = fault is None or fault in WITH_TEXT
        if fault is Fault.EMPTY:
            billed = call.arrival.flavour.bills_empty
        usage, cost = Usage(request.prompt_tokens, call.said.completion_tokens), 0
        if billed:
            cache = self._cache.use(call.model, request.cache_prefix, request.cache_prefix_tokens)
            usage = Usage(usage.prompt_tokens, usage.completion_tokens, *cache)
            cost = call.price.nano_usd(*usage)
        status = None if fault is Fault.RESET else STATUSES.get(fault, 200) if fault else 200
        self.books.ended(call, status, usage, billed=billed, cost=cost, left=left)
        return usage, cost

    def _limiter(self, model: str, now: float) -> Limiter:
        limiter = self._limiters.get(model)
        if limiter is None:
            settings = self.settings
            limiter = self._limiters[model] = Limiter(
                settings.limits_of(model), settings.burst_seconds_requests, settings.burst_seconds_tokens, now
            )
        return limiter
