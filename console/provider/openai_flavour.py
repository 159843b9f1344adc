"""OpenAI's manner of speaking."""

from __future__ import annotations

import math
from typing import Any

from console.provider.bill import Usage
from console.provider.buckets import Bucket, Limiter, Refusal
from console.provider.flavours import Flavour, Reply, retry_after_header, tokens_of_usage
from console.provider.settings import RetryAfter

_FAILURES = {
    503: ("The server is overloaded, please try again later.", "server_is_overloaded"),
    408: ("The request timed out.", "request_timeout"),
    524: ("The server did not respond in time.", "timeout"),
}


class OpenAI(Flavour):
    """OpenAI: limits in the headers of every answer, no cost, errors with a type and a code."""

    name = "openai"
    bills_empty = True
    heeds_max_price = False

    def error(self, status: int, message: str, kind: str) -> Reply:
        """`{"error": {"message", "type", "param", "code"}}`."""
        types = {400: "invalid_request_error", 401: "invalid_request_error", 404: "invalid_request_error"}
        return Reply(
            status,
            {
                "error": {
                    "message": message,
                    "type": types.get(status, "server_error"),
                    "param": None,
                    "code": kind,
                }
            },
        )

    def unauthorized(self, key_given: bool) -> Reply:
        """Status 401."""
        message = "Incorrect API key provided." if key_given else "You didn't provide an API key."
        return self.error(401, message, "invalid_api_key")

    def no_credit(self) -> Reply:
        """Status 429 with the code `insufficient_quota`, which no waiting mends."""
        reply = self.error(429, "You exceeded your current quota, please check your plan.", "insufficient_quota")
        reply.body["error"]["type"] = "insufficient_quota"
        return reply

    def unknown_model(self, model: str) -> Reply:
        """Status 404."""
        return self.error(
            404, f"The model `{model}` does not exist or you do not have access to it.", "model_not_found"
        )

    def failure(self, status: int) -> Reply:
        """Any status of 408 and above."""
        unnamed = ("The server had an error while processing your request.", "server_error")
        return self.error(status, *_FAILURES.get(status, unnamed))

    def rate_limited(self, model: str, limit: str, refusal: Refusal, style: RetryAfter) -> Reply:
        """Status 429 with the code `rate_limit_exceeded`."""
        message = f"Rate limit reached for {model}: {limit}. Please try again in {refusal.seconds:.3f}s."
        reply = self.error(429, message, "rate_limit_exceeded")
        reply.body["error"]["type"] = "tokens" if refusal.limit == "tokens_per_minute" else "requests"
        headers, seconds = retry_after_header(refusal.seconds, style)
        if seconds is not None:
            headers["retry-after-ms"] = str(round(seconds * 1000))
        return reply._replace(headers=headers, retry_after=seconds)

    def headers(self, limiter: Limiter, now: float) -> dict[str, str]:
        """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}` of the limits that there are."""
        headers: dict[str, str] = {}
        limits = limiter.limits
        if limiter.requests is not None and limits.requests_per_minute is not None:
            headers |= _limit_headers("requests", limits.requests_per_minute, limiter.requests, now)
        if limiter.tokens is not None and limits.tokens_per_minute is not None:
            headers |= _limit_headers("tokens", limits.tokens_per_minute, limiter.tokens, now)
        return headers

    def usage(self, usage: Usage, cost_nano_usd: int) -> dict[str, Any]:
        """Without a cost."""
        return tokens_of_usage(usage)


def _limit_headers(name: str, per_minute: float, bucket: Bucket, now: float) -> dict[str, str]:
    level = bucket.level(now)
    return {
        f"x-ratelimit-limit-{name}": f"{per_minute:.0f}",
        f"x-ratelimit-remaining-{name}": str(max(0, math.floor(level))),
        f"x-ratelimit-reset-{name}": _duration((bucket.capacity - level) / bucket.rate),
    }


def _duration(seconds: float) -> str:
    """As OpenAI writes it: 20ms, 1.5s, 6m0s."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}m{rest:.0f}s" if minutes else f"{rest:.3g}s"


OPENAI = OpenAI()
