"""Which system prompts the provider reads from its cache."""

from __future__ import annotations

import hashlib
from typing import NamedTuple


class CacheUse(NamedTuple):
    """Tokens of a prompt that were read from the cache, or written to it."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class PromptCache:
    """Remembers every prefix that was written; unlike a real cache it forgets none."""

    def __init__(self, minimum_tokens: int) -> None:
        self._minimum = minimum_tokens
        self._written: set[bytes] = set()

    def use(self, model: str, prefix: str | None, tokens: int) -> CacheUse:
        """What a billed call with that prefix does: the first writes it, the others read it."""
        if prefix is None or tokens < self._minimum:
            return CacheUse()
        key = hashlib.blake2b(f"{model}\0{prefix}".encode(), digest_size=16).digest()
        if key in self._written:
            return CacheUse(cached_tokens=tokens)
        self._written.add(key)
        return CacheUse(cache_write_tokens=tokens)
