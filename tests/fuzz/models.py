"""Models files, files of prices, and pages that name prices."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from config.errors import ModelsError
from config.models import load_models
from config.prices import FIELDS, Quoted, read_prices, write_prices
from console.price_page import listed
from console.refresh import PageError, _entries
from fuzz.target import JSON, TOML_PIECES, Target, corpus, damaged, file_of

PIECES = [
    *TOML_PIECES,
    b"[models.x]\n",
    b'[providers."a b"]\n',
    b"1e400",
    b"true",
    b"price = ",
    b"limits = ",
    b"[models]\n",
    b'"-Infinity"',
    b'"NaN"',
    b'"1e999999999"',
    b"null",
    b'"0.000001"',
    b'"2026-02-30"',
    b'{"models":',
]


def any_models_file(data: bytes) -> None:
    """A file laid over the models gives models that can be counted with, or every problem of it in a sentence."""
    with file_of(data, "models.toml") as path:
        try:
            found = load_models(path)
        except ModelsError as error:
            assert all(line.startswith(str(path)) for line in str(error).splitlines() if line.strip())
            return
        for one in found.values():
            assert one.price.nano_usd(1_000, 1_000, 10, 10) >= 0
            assert min(*one.price.worst_nano_usd(), *one.price.plain_nano_usd()) >= 0
            one.limits.model_dump_json()


def any_prices_file(data: bytes) -> None:
    """A file of refreshed prices is prices that can be written again as they are, or an error in a sentence."""
    with file_of(data, "prices.json") as path:
        try:
            found = read_prices(path)
            load_models(None, path)
        except ModelsError as error:
            assert str(path) in str(error) or "models" in str(error)
            assert "Traceback" not in str(error)
            return
        assert all(isinstance(one, Quoted) for one in found.values())
        write_prices(path, found)
        assert read_prices(path) == found


def any_page(data: bytes) -> None:
    """A provider's page of models is entries, or an error that says whose; of an entry no price is beyond reason."""
    try:
        entries = _entries(data, "https://provider.example/models", "check it")
    except PageError as error:
        assert "provider.example" in str(error)
        return
    for entry in entries.values():
        _listed(entry)


def any_entry(entry: dict[str, Any]) -> None:
    """The same, for an entry of which every field may be anything."""
    _listed(json.loads(json.dumps(entry), parse_float=Decimal))


def _listed(entry: dict[str, Any]) -> None:
    for one in load_models().values():
        price, notes = listed(one, entry)
        assert all(0 <= amount <= 10_000 and amount.is_finite() for amount in price.values())
        assert all(note.endswith((".", "!")) for note in notes)


_AMOUNT = (
    st.sampled_from(["0", "0.000001", "-1", "1e-9", "NaN", "Infinity", "1e999999", "", "x", "-0", "0.1", "9" * 400])
    | JSON
)
_NAMES = ("prompt", "completion", "input_cache_read", "input_cache_write", "internal_reasoning", "request", "image")
_PRICING = st.fixed_dictionaries({}, optional=dict.fromkeys(_NAMES, _AMOUNT) | {"overrides": JSON})
_ENTRIES = st.fixed_dictionaries({}, optional={"id": JSON, "pricing": _PRICING | JSON, "pricing_overrides": JSON})

TARGETS = {
    "models files": Target(damaged(corpus("models"), PIECES), any_models_file),
    "prices files": Target(damaged(corpus("prices"), PIECES), any_prices_file),
    "price pages": Target(damaged(corpus("pages"), PIECES), any_page),
    "price entries": Target(_ENTRIES, any_entry),
}
assert set(FIELDS) == {"input", "output", "cached_input", "cache_write"}
