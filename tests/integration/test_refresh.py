"""Prices and limits over real HTTP: refreshed from a provider's page, sent as a bound, told in headers."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from config.errors import ModelsError
from config.folders import prices_file
from config.models import Limits, Model, load_models, model, models
from config.money import Price
from config.recipe import Recipe
from config.request import build
from config.settings import Settings, settings
from console import refresh as refreshing
from console.provider.server import SimulatedProvider
from console.provider.settings import ProviderSettings
from console.refresh import Refreshed, refresh
from workers.client import Answer, Client
from workers.errors import Failure, Told

ROOT = Path(__file__).parents[2]
HAIKU, OLD_HAIKU, GPT = "anthropic/claude-haiku-4.5", "anthropic/claude-3.5-haiku", "openai/gpt-4o"
BUILT_IN = load_models()
AT_OPENAI = "gpt-4o: is called at openai, whose page names no prices; its prices stay (built in, November 2026)."


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An empty working folder and an environment that sets nothing of ours."""
    monkeypatch.chdir(tmp_path)
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    _forget()
    yield monkeypatch
    _forget()


def _forget() -> None:
    settings.cache_clear()
    models.cache_clear()


def at(env: pytest.MonkeyPatch, url: str, own: str | None = None) -> None:
    """OpenRouter is at this address, and GENFLEET_MODELS names a file with this text."""
    env.setenv("OPENROUTER_BASE_URL", url)
    if own is not None:
        Path("own.toml").write_text(own)
        env.setenv("GENFLEET_MODELS", "own.toml")
    _forget()


def price(**others: str) -> Price:
    """Haiku's price, but for these."""
    return BUILT_IN[HAIKU].price.model_copy(update={name: Decimal(usd) for name, usd in others.items()})


def provider(**prices: Price) -> SimulatedProvider:
    """A provider of the built-in models, whose prices are these where they are named: haiku, old_haiku, gpt."""
    names = {"haiku": HAIKU, "old_haiku": OLD_HAIKU, "gpt": GPT}
    known = {name: BUILT_IN[name].price for name in names.values()}
    return SimulatedProvider(ProviderSettings(prices=known | {names[name]: one for name, one in prices.items()}))


def test_prices_are_refreshed(env: pytest.MonkeyPatch) -> None:
    """What the page names stands from then on, with its day and address; what changed is said, old and new."""
    with provider(haiku=price(input="1.1", cache_write="1.375")) as server:
        at(env, server.base_url)
        assert models()[HAIKU].price == BUILT_IN[HAIKU].price
        came = refresh()
        page = f"{server.base_url}/models"
    assert came == Refreshed(
        [
            f"{HAIKU}: input $1.00 → $1.10 per million tokens",
            f"{HAIKU}: cache_write $1.25 → $1.375 per million tokens",
        ],
        [AT_OPENAI],
        [],
    )
    today = datetime.now(UTC).date().isoformat()
    found = models()[HAIKU]
    assert found.price == price(input="1.1", cache_write="1.375")
    assert {(one.source, one.date) for one in found.price_from.values()} == {(page, today)}
    assert models()["gpt-4o"] == BUILT_IN["gpt-4o"]
    with provider(haiku=price(input="1.1", cache_write="1.375")) as server:
        at(env, server.base_url)
        assert refresh() == Refreshed([], [AT_OPENAI], [])


def test_the_users_file_wins(env: pytest.MonkeyPatch) -> None:
    """A price that GENFLEET_MODELS names stays, which is said; its neighbours are refreshed."""
    own = f'[models."{HAIKU}"]\nprice = {{ output = 4 }}\n'
    with provider(haiku=price(input="1.1", output="6")) as server:
        at(env, server.base_url, own)
        came = refresh()
    assert came.changes == [f"{HAIKU}: input $1.00 → $1.10 per million tokens"]
    assert f"{HAIKU}: output stays $4.00 (GENFLEET_MODELS); the page says $6.00." in came.notes
    assert (models()[HAIKU].price.input, models()[HAIKU].price.output) == (Decimal("1.1"), 4)


def test_a_model_that_has_gone(env: pytest.MonkeyPatch) -> None:
    """A model that is not on the page keeps its price, refreshed or built in, and is named."""
    with provider(haiku=price(input="1.1")) as server:
        at(env, server.base_url)
        refresh()
        first = f"{server.root_url}/api/v1/models"
    gone = SimulatedProvider(ProviderSettings(prices={GPT: BUILT_IN[GPT].price}))
    with gone as server:
        at(env, server.base_url)
        came = refresh()
        page = f"{server.base_url}/models"
    assert came.changes == []
    day = f"{datetime.now(UTC).date().isoformat()} from {first.split('/')[2]}"
    assert came.notes == [
        f"{HAIKU}: is not, or no longer, on {page}; its prices stay ({day}).",
        f"{OLD_HAIKU}: is not, or no longer, on {page}; its prices stay ({day}).",
        AT_OPENAI,
    ]
    assert models()[HAIKU].price.input == Decimal("1.1")


def test_a_price_that_was_refreshed_outlives_a_page_without_it(env: pytest.MonkeyPatch) -> None:
    """A price that the page does not name any more stays as the page last named it."""
    with provider(haiku=price(cached_input="0.2")) as server:
        at(env, server.base_url)
        refresh()
    with provider(haiku=BUILT_IN[HAIKU].price.model_copy(update={"cached_input": None})) as server:
        at(env, server.base_url)
        came = refresh()
    assert came.changes == []
    assert f"{HAIKU}: the page names no fixed price of cached_input; $0.20 stays." in came.notes
    assert models()[HAIKU].price.cached_input == Decimal("0.2")


def test_what_nobody_knows_any_more_is_dropped(env: pytest.MonkeyPatch) -> None:
    """Only models of this machine are kept in the file."""
    own = '[models."maker/own"]\nprovider = "openrouter"\ncontext_window = 9\nmax_output_tokens = 9\n'
    prices = {"maker/own": price(), "maker/other": price(), **{name: BUILT_IN[name].price for name in (HAIKU, GPT)}}
    with SimulatedProvider(ProviderSettings(prices=prices)) as server:
        at(env, server.base_url, own + "price = { input = 3, output = 3 }\n")
        refresh()
        kept = set(json.loads(prices_file().read_text())["models"])
        assert kept == {"maker/own", HAIKU, GPT}
        at(env, server.base_url, "")
        refresh()
    assert set(json.loads(prices_file().read_text())["models"]) == {HAIKU, GPT}


def test_several_pages(env: pytest.MonkeyPatch) -> None:
    """Every provider of OpenRouter's flavour is asked for its models; one that fails leaves the others' prices new."""
    with provider(haiku=price(input="1.1")) as server:
        own = f'[providers.other]\nbase_url = "{server.base_url}"\napi_key_env = "K"\nflavour = "openrouter"\n'
        own += f'[models."{HAIKU}"]\nprovider = "other"\n'
        at(env, "http://127.0.0.1:1/api/v1", own)
        came = refresh()
    assert came.changes == [f"{HAIKU}: input $1.00 → $1.10 per million tokens"]
    assert came.failures == [
        "http://127.0.0.1:1/api/v1/models: cannot be reached, so its models keep their prices; "
        "check OPENROUTER_BASE_URL and the network."
    ]


def test_a_damaged_file_is_not_overwritten(env: pytest.MonkeyPatch) -> None:
    """A damaged file of prices is said to be that, with what to do, before anything is asked or written."""
    at(env, "http://127.0.0.1:1/api/v1")
    prices_file().parent.mkdir()
    prices_file().write_text("{")
    with pytest.raises(ModelsError, match=r"^data/prices\.json: damaged .*; delete it, then write it anew with"):
        refresh()
    assert prices_file().read_text() == "{"


# A provider that is broken.


@contextlib.contextmanager
def broken(answer: bytes, heard: list[bytes] | None = None) -> Iterator[str]:
    """A server that sends these bytes to whoever asks, and hangs up; without bytes it is silent. Gives its address."""
    left = threading.Event()
    lines: list[bytes] = [] if heard is None else heard

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                lines.append(line)
            if not answer:
                left.wait()
            with contextlib.suppress(OSError):
                self.wfile.write(answer)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            left.set()
            server.shutdown()
            thread.join()


def http(body: bytes | str, status: str = "200 OK", headers: str = "", length: int | None = None) -> bytes:
    """An HTTP answer."""
    body = body.encode() if isinstance(body, str) else body
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{headers}Connection: close\r\n\r\n".encode() + body


def listing(**pricing: Any) -> bytes:
    """A page with Haiku alone."""
    return http(json.dumps({"data": [{"id": HAIKU, "pricing": pricing}, {"id": 3}, "odd", {}]}))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (http("", "503 Service Unavailable"), "answers with status 503"),
        (http("{}", "401 Unauthorized"), "answers with status 401"),
        (http("", "204 No Content"), "answers with status 204"),
        (http("", "302 Found", "Location: /v1/models\r\n"), "cannot be read (TooManyRedirects)"),
        (http("<html>"), "is no JSON"),
        (http(b"\xff\xfe\xff"), "is no JSON"),
        (http("[" * 200_000), "is no JSON"),
        (http('{"data": [1e99999999999999999999]}'), "is no JSON"),
        (http("[]"), 'is no list of models, {"data": […]}'),
        (http('{"data": {}}'), 'is no list of models, {"data": […]}'),
        (http('{"error": "no"}'), 'is no list of models, {"data": […]}'),
        (http('{"data": [', length=10_000), "cannot be read (ClientPayloadError)"),
        (http("x" * 99, headers="Content-Encoding: gzip\r\n"), "cannot be read (ClientPayloadError)"),
        (http(gzip.compress(b" " * 3_000), headers="Content-Encoding: gzip\r\n"), "is longer than 2,000 bytes"),
        (b"hello\r\n\r\n", "cannot be read (ClientResponseError)"),
        (b"", "does not answer in time"),
        (http(b" " * 3_000), "is longer than 2,000 bytes"),
        (http("", length=-1), "cannot be read (ClientResponseError)"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_page_that_cannot_be_used(env: pytest.MonkeyPatch, answer: bytes, problem: str) -> None:
    """One sentence names the page, what is wrong with it and the setting; nothing is written."""
    env.setattr(refreshing, "_SILENT_SECONDS", 0.3)
    env.setattr(refreshing, "_MOST_BYTES", 300_000 if b"[[[" in answer else 2_000)
    with broken(answer) as url:
        at(env, url)
        came = refresh()
    assert came.changes == []
    (said,) = came.failures
    assert said.startswith(f"{url}/models: {problem}, so its models keep their prices; check OPENROUTER_BASE_URL"), said
    assert said.endswith(".")
    assert "\n" not in said
    assert not prices_file().exists()


@pytest.mark.parametrize("url", ["http://[::", "http://anna:{}@127.0.0.1:1/v1?key={}", "http://anna:{}@[::1"])
def test_a_password_in_the_address_is_not_repeated(env: pytest.MonkeyPatch, url: str) -> None:
    """Neither a password nor a query of the address shows, whatever is wrong with it."""
    at(env, url.format("hush", "hush"))
    (said,) = refresh().failures
    assert "hush" not in said
    assert said.endswith(", so its models keep their prices; check OPENROUTER_BASE_URL and the network.") or (
        said == "provider openrouter: has an address that is no URL, so its models keep their prices; "
        "check OPENROUTER_BASE_URL."
    )


def test_a_password_is_not_stored(env: pytest.MonkeyPatch) -> None:
    """The address that is kept with a price is the one that may be shown; the one that is asked is whole."""
    with provider(haiku=price(input="1.1")) as server:
        at(env, server.base_url.replace("http://", "http://anna:hush@") + "/")
        assert refresh().failures == []
        assert "hush" not in prices_file().read_text()
        assert models()[HAIKU].price_from["input"].source == f"{server.base_url}/models"


def test_no_key_is_sent(env: pytest.MonkeyPatch) -> None:
    """Prices are public: the page is asked for without the key that calls need."""
    heard: list[bytes] = []
    env.setenv("OPENROUTER_API_KEY", "sk-hush")
    with broken(listing(prompt="0.000002", completion="0.000005"), heard) as url:
        at(env, url)
        assert refresh().changes == [f"{HAIKU}: input $1.00 → $2.00 per million tokens"]
    assert heard[0] == b"GET /v1/models HTTP/1.1\r\n"
    assert b"hush" not in b"".join(heard)


@pytest.mark.parametrize(
    ("pricing", "said"),
    [
        (
            {"prompt": "-2", "completion": "0.000006"},
            f"{HAIKU}: the page says '-2' for input, which is no price; $1.00",
        ),
        ({"prompt": "2.5", "completion": "0.000006"}, f"{HAIKU}: the page says '2.5' for input, which is no price;"),
        ({"prompt": -1, "completion": "0.000006"}, f"{HAIKU}: the page names no fixed price of input; $1.00 stays."),
        ({"completion": 0.000006, "request": "0.01"}, f"{HAIKU}: each request costs '0.01' USD besides its tokens"),
        ({"completion": "0.000006", "overrides": [{"prompt": "1e-6"}]}, f"{HAIKU}: its price depends on"),
    ],
)
def test_a_price_that_cannot_be_taken(env: pytest.MonkeyPatch, pricing: dict[str, Any], said: str) -> None:
    """A price that is negative, absurd, varying or of a form that the table lacks is said; the others are taken."""
    with broken(listing(**pricing)) as url:
        at(env, url)
        came = refresh()
    assert came.changes == [f"{HAIKU}: output $5.00 → $6.00 per million tokens"]
    assert [note for note in came.notes if note.startswith(said)], came.notes
    assert models()[HAIKU].price.input == 1


# The command.


def genfleet(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in the working folder, on a wide terminal."""
    ours = {str(field.alias) for field in Settings.model_fields.values()}
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [sys.executable, "-m", "console", *arguments],
        env=clean | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "PYTHONWARNINGS": "error"} | env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command(env: pytest.MonkeyPatch) -> None:
    """`models --refresh` prints what changed, `models` where each price is from, `--json` both; 1 is a page unread."""
    with provider(haiku=price(input="1.1")) as server:
        url = server.base_url
        first = genfleet("models", "--refresh", OPENROUTER_BASE_URL=url)
        table = genfleet("models", OPENROUTER_BASE_URL=url)
        again = genfleet("models", "--refresh", "--json", OPENROUTER_BASE_URL=url)
    away = genfleet("models", "--refresh", OPENROUTER_BASE_URL=url)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.splitlines() == [
        f"{HAIKU}: input $1.00 → $1.10 per million tokens",
        AT_OPENAI,
        "Today's prices are in data/prices.json; workers that run take them when they start again.",
    ]
    day, host = datetime.now(UTC).date().isoformat(), url.split("/")[2]
    row, *_, openai = [line for line in table.stdout.splitlines() if HAIKU in line or "OPENAI_API_KEY" in line]
    assert f"  {day} from {host}  " in row
    assert "  $1.10  " in row
    assert "  built in, November 2026  " in openai
    assert (again.returncode, again.stderr.splitlines()) == (0, [AT_OPENAI, "No price has changed."])
    found = {one["name"]: one for one in json.loads(again.stdout)}
    assert found[HAIKU]["price"]["input"] == "1.1"
    assert found[HAIKU]["price_from"]["input"] == {"source": f"{url}/models", "date": day}
    assert found["gpt-4o"]["price_from"]["input"] == {"source": "built in", "date": "November 2026"}
    assert (away.returncode, away.stdout.splitlines()) == (1, [AT_OPENAI])
    assert away.stderr.startswith(f"{url}/models: cannot be reached, so its models keep their prices;")


@pytest.mark.parametrize("arguments", [("models",), ("models", "--refresh"), ("check",)])
def test_a_damaged_file_stops_every_command(env: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """With a damaged file of prices no command runs, and each says what to do, without a traceback."""
    Path("data").mkdir()
    Path("data/prices.json").write_text("no")
    ended = genfleet(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    (said,) = ended.stderr.splitlines()
    assert said.startswith("data/prices.json: damaged (")
    assert said.endswith("delete it, then write it anew with `genfleet models --refresh`.")


# Calls.

RECIPE = {
    "name": "cards",
    "model": HAIKU,
    "prompt": "Scrivi una scheda.",
    "output": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    "sampling": {"max_tokens": 900},
}


def call(at_model: Model, fallbacks: tuple[str, ...] = ()) -> Answer | Failure:
    """One call for the recipe, as workers make it."""

    async def make() -> Answer | Failure:
        client = Client(at_model.provider, "key")
        try:
            recipe = Recipe.model_validate(RECIPE | {"model": at_model.name, "fallbacks": fallbacks})
            return await client.call(build(recipe, at_model, {}, 1), at_model, 30)
        finally:
            await client.close()

    return asyncio.run(make())


def test_no_call_costs_more_than_is_known(env: pytest.MonkeyPatch) -> None:
    """A provider that has become dearer is not paid its price, until the price has been refreshed."""
    with provider(haiku=price(input="1.1", cache_write="1.375")) as server:
        at(env, server.base_url)
        refused = call(model(HAIKU))
        assert isinstance(refused, Failure)
        assert (refused.status, refused.kind) == (404, "constraint_filtered")
        assert server.bill()["cost_nano_usd"] == 0
        refresh()
        paid = call(model(HAIKU))
        assert isinstance(paid, Answer)
        assert server.bill()["cost_nano_usd"] == paid.cost > 0


def test_a_price_that_has_fallen_is_taken(env: pytest.MonkeyPatch) -> None:
    """A provider that has become cheaper answers at its price."""
    with provider(haiku=price(input="0.5", output="2")) as server:
        at(env, server.base_url)
        paid = call(model(HAIKU))
        assert isinstance(paid, Answer)
        assert paid.cost == server.bill()["cost_nano_usd"] == paid.prompt_tokens * 500 + paid.completion_tokens * 2000


def test_the_bound_is_the_dearest_fallbacks(env: pytest.MonkeyPatch) -> None:
    """What a fallback may cost, the model itself may cost too, and what neither costs is refused."""
    with provider(haiku=price(input="2.5", output="10")) as server:
        at(env, server.base_url)
        assert isinstance(call(model(HAIKU), (OLD_HAIKU, GPT)), Answer)
        answered = call(model(HAIKU), (OLD_HAIKU,))
        assert isinstance(answered, Answer)
        assert answered.answered_by == OLD_HAIKU


def test_told_limits(env: pytest.MonkeyPatch) -> None:
    """OpenAI names its limits with an answer and with a 429; OpenRouter names none."""
    limits = Limits(requests_per_minute=1, tokens_per_minute=50_000)
    names = {name: BUILT_IN[name].price for name in ("gpt-4o", HAIKU)}
    with SimulatedProvider(ProviderSettings(prices=names, limits=limits, burst_seconds_requests=60.0)) as server:
        env.setenv("OPENAI_BASE_URL", server.openai_base_url)
        at(env, server.base_url)
        found = [call(model("gpt-4o")), call(model("gpt-4o")), call(model(HAIKU)), call(model(HAIKU))]
    assert [type(one) for one in found] == [Answer, Failure, Answer, Failure]
    assert [one.told for one in found] == [Told(1, 50_000), Told(1, 50_000), None, None]
