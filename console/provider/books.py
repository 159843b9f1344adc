"""What is written down of every call: the bill and the audit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from config.money import Price
from console.provider.audit import Audit
from console.provider.audit import Call as EndedCall
from console.provider.bill import Bill, Usage
from console.provider.buckets import Limiter
from console.provider.composing import Composition
from console.provider.faults import Fault
from console.provider.flavours import Flavour, Reply
from console.provider.request import ChatRequest

CALLER_LEFT = 499


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a call before anything is decided."""

    number: int
    t: float
    flavour: Flavour

    @property
    def generation_id(self) -> str:
        """The id that the call has if it is admitted."""
        return f"gen-{_BORN}-{self.number:08d}"


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was admitted and has not ended; its answer is due `latency_seconds` after its arrival."""

    arrival: Arrival
    request: ChatRequest
    model: str
    price: Price
    limiter: Limiter
    fault: Fault | None
    latency_seconds: float
    said: Composition
    debited_tokens: int
    in_flight: int


class Books:
    """The bill and the audit, written together."""

    def __init__(self, audit_path: Path | None, audit_keep: int, clock: Callable[[], float]) -> None:
        self.bill = Bill()
        self.audit = Audit(audit_path, audit_keep)
        self._clock = clock

    def refused(
        self,
        arrival: Arrival,
        reply: Reply,
        request: ChatRequest | None = None,
        model: str | None = None,
        *,
        in_flight: int = 0,
        fault: Fault | None = None,
        refused_by: str | None = None,
    ) -> Reply:
        """A call that was answered at once; gives its reply back."""
        ended = self._ended(arrival, model, reply.status, fault)
        self._add(
            ended._replace(
                retry_after=reply.retry_after,
                refused_by=refused_by,
                prompt_tokens=request.prompt_tokens if request else 0,
                max_tokens=request.max_tokens if request else None,
                in_flight=in_flight,
            )
        )
        return reply

    def ended(self, call: Call, status: int | None, usage: Usage, *, billed: bool, cost: int, left: bool) -> None:
        """A call that was admitted; `cost` in nano-dollars."""
        ended = self._ended(call.arrival, call.model, CALLER_LEFT if left else status, call.fault)
        self._add(
            ended._replace(
                id=call.arrival.generation_id,
                max_tokens=call.request.max_tokens,
                debited_tokens=call.debited_tokens,
                cost_nano_usd=cost,
                in_flight=call.in_flight,
                billed=billed,
                left=left,
                digest=call.request.digest.hex(),
                **usage._asdict(),
            )
        )

    def _ended(self, arrival: Arrival, model: str | None, status: int | None, fault: Fault | None) -> EndedCall:
        seconds = self._clock() - arrival.t
        return EndedCall(
            number=arrival.number,
            id=None,
            t=arrival.t,
            wall=time.time() - seconds,
            seconds=seconds,
            flavour=arrival.flavour.name,
            model=model,
            status=status,
            fault=None if fault is None else fault.value,
        )

    def _add(self, call: EndedCall) -> None:
        self.bill.add(call)
        self.audit.add(call)


_BORN = int(time.time())
