"""OpenRouter's manner of speaking."""

from __future__ import annotations

from typing import Any

from config.money import NANO
from console.provider.bill import Usage
from console.provider.buckets import Limiter, Refusal
from console.provider.flavours import Flavour, Reply, retry_after_header, tokens_of_usage
from console.provider.settings import RetryAfter

_FAILURES = {
    500: ("Internal Server Error", "server"),
    502: ("The provider returned an invalid response", "provider_unavailable"),
    503: ("The provider is overloaded", "provider_overloaded"),
    529: ("The provider is overloaded", "provider_overloaded"),
    524: ("The provider did not respond in time", "timeout"),
    408: ("The request timed out", "timeout"),
}


class OpenRouter(Flavour):
    """OpenRouter: the cost in the answer, no headers about limits, errors with a typed word in their metadata."""

    name = "openrouter"
    bills_empty = False
    heeds_max_price = True

    def error(self, status: int, message: str, kind: str) -> Reply:
        """`{"error": {"code", "message", "metadata": {"error_type"}}}`."""
        return Reply(status, {"error": {"code": status, "message": message, "metadata": {"error_type": kind}}})

    def unauthorized(self, key_given: bool) -> Reply:
        """Status 401."""
        return self.error(401, "User not found." if key_given else "No auth credentials found", "authentication")

    def no_credit(self) -> Reply:
        """Status 402."""
        return self.error(402, "Insufficient credits. Add more and retry the request.", "payment_required")

    def low_credit(self, asked: int) -> Reply:
        """Status 402, as for an empty account but for its words."""
        reply = self.no_credit()
        reply.body["error"]["message"] = (
            f"This request requires more credits, or fewer max_tokens. You requested up to {asked} tokens, "
            f"but can only afford {asked - 1}. To increase, add more credits."
        )
        return reply

    def unknown_model(self, model: str) -> Reply:
        """Status 400."""
        return self.error(400, f"{model} is not a valid model ID", "not_found")

    def failure(self, status: int) -> Reply:
        """Any status of 408 and above."""
        return self.error(status, *_FAILURES[status])

    def rate_limited(self, model: str, limit: str, refusal: Refusal, style: RetryAfter) -> Reply:
        """Status 429, as OpenRouter passes on the refusal of the provider behind it."""
        reply = self.error(429, "Provider returned error", "rate_limit_exceeded")
        reply.body["error"]["metadata"] |= {
            "raw": f"{model} is temporarily rate-limited upstream: {limit}. Please retry shortly.",
            "provider_name": "Simulated",
        }
        headers, seconds = retry_after_header(refusal.seconds, style)
        return reply._replace(headers=headers, retry_after=seconds)

    def headers(self, limiter: Limiter, now: float) -> dict[str, str]:
        """None: OpenRouter tells its limits only when it refuses."""
        return {}

    def usage(self, usage: Usage, cost_nano_usd: int) -> dict[str, Any]:
        """With the cost in dollars."""
        # Shortest float that reads back as the same number of nano-dollars: Decimal(str(cost)) is exact.
        cost = cost_nano_usd / NANO
        return {
            **tokens_of_usage(usage),
            "cost": cost,
            "is_byok": False,
            "cost_details": {"upstream_inference_cost": cost},
        }


OPENROUTER = OpenRouter()
