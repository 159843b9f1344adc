"""The environment and .env: who wins, and how all that is wrong is said at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import SettingsError
from config.settings import Settings, api_key, missing_key, settings

Write = Callable[[str, str], Path]


def test_defaults(clean: pytest.MonkeyPatch) -> None:
    """Without any variable everything has its default and nothing is required."""
    found = settings()
    assert (found.redis_url, found.max_concurrent, found.temperature) == (None, None, None)
    assert (found.batch_delay_ms, found.queue_depth, found.grace_seconds) == (0, 10_000, 60)
    assert found.data == Path("data")


def test_env_file_is_read(clean: pytest.MonkeyPatch, file: Write) -> None:
    """Settings stand in .env of the working folder, with comments, quotes and names that are not ours."""
    file(".env", '# fleet\nREDIS_URL="redis://broker:6379/0"\nMAX_TOKENS=700 # tokens\nOTHER=1\nTEMPERATURE=\n')
    assert settings().redis_url == "redis://broker:6379/0"
    assert settings().max_tokens == 700
    assert settings().temperature is None


def test_process_wins_over_env_file(clean: pytest.MonkeyPatch, file: Write) -> None:
    """A variable of the process counts before the same one in .env; an empty one does not."""
    file(".env", "MAX_TOKENS=700\nBATCH_DELAY_MS=5\n")
    clean.setenv("MAX_TOKENS", "800")
    clean.setenv("BATCH_DELAY_MS", "")
    assert (settings().max_tokens, settings().batch_delay_ms) == (800, 5)


BAD = {
    "REDIS_URL": "http://:hunter2@broker",
    "OPENROUTER_BASE_URL": "ftp://user:hunter2@host",
    "OPENAI_BASE_URL": "hunter2",
    "MAX_CONCURRENT": "0",
    "BATCH_DELAY_MS": "-1",
    "TEMPERATURE": "warm",
    "MAX_TOKENS": "0",
    "GENFLEET_QUEUE_DEPTH": "99",
    "GENFLEET_GRACE_SECONDS": "601",
}


def test_all_problems_at_once(clean: pytest.MonkeyPatch, file: Write) -> None:
    """Every variable that cannot be used has its own line, whether it stands in the process or in .env."""
    file(".env", "".join(f"{name}={BAD[name]}\n" for name in list(BAD)[:4]))
    for name in list(BAD)[4:]:
        clean.setenv(name, BAD[name])
    with pytest.raises(SettingsError) as caught:
        settings()
    lines = str(caught.value).splitlines()
    assert {line.split()[0] for line in lines} == set(BAD)
    assert len(lines) == len(BAD)


def test_numbers_are_repeated_and_addresses_are_not(clean: pytest.MonkeyPatch) -> None:
    """A wrong number is shown with its variable; an address never is, for it may hold a password."""
    for name, value in BAD.items():
        clean.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        settings()
    text = str(caught.value)
    assert "hunter2" not in text
    assert "TEMPERATURE (warm) in the environment or .env: input should be a valid number" in text
    assert "GENFLEET_GRACE_SECONDS (601)" in text
    assert "REDIS_URL in the environment or .env: must start with redis:// or rediss://." in text


def test_the_error_carries_no_cause(clean: pytest.MonkeyPatch) -> None:
    """A traceback of the error shows no value either: the library's own error is left out of it."""
    clean.setenv("REDIS_URL", "hunter2")
    with pytest.raises(SettingsError) as caught:
        settings()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_env_file_must_be_utf8(clean: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A .env in another encoding is a user's mistake with a sentence, for settings and for keys."""
    (tmp_path / ".env").write_bytes("OPENAI_API_KEY=perché\n".encode("latin-1"))
    with pytest.raises(SettingsError, match="UTF-8"):
        settings()
    with pytest.raises(SettingsError, match="UTF-8"):
        api_key("OPENAI_API_KEY")


def test_settings_cannot_be_changed(clean: pytest.MonkeyPatch) -> None:
    """What was read stays as it was read."""
    with pytest.raises(ValueError, match="frozen"):
        settings().max_tokens = 1  # type: ignore[misc]


def test_addresses_are_not_shown(clean: pytest.MonkeyPatch) -> None:
    """The settings as text hold no address, no token and no password."""
    for name in ("REDIS_URL", "OPENROUTER_BASE_URL", "OPENAI_BASE_URL", "HF_TOKEN", "FLOWER_BASIC_AUTH"):
        clean.setenv(name, ("rediss" if name == "REDIS_URL" else "https") + "://u:hunter2@host")
    assert "hunter2" not in repr(settings()) + str(settings())


@pytest.mark.parametrize(
    ("process", "dotenv", "expected"),
    [
        (None, None, None),
        ("from-process", None, "from-process"),
        (None, "from-file", "from-file"),
        ("from-process", "from-file", "from-process"),
        ("", "from-file", "from-file"),
        ("  ", "from-file", "from-file"),
        (" from-process\n", None, "from-process"),
        (None, '" from-file "', "from-file"),
        (None, "", None),
        ("", "   ", None),
    ],
)
def test_api_key(
    clean: pytest.MonkeyPatch, file: Write, process: str | None, dotenv: str | None, expected: str | None
) -> None:
    """A key comes from the process, else from .env, without the spaces around it; empty is not set."""
    if process is not None:
        clean.setenv("OPENAI_API_KEY", process)
    if dotenv is not None:
        file(".env", f"OPENAI_API_KEY={dotenv}\n")
    assert api_key("OPENAI_API_KEY") == expected


def test_a_key_is_read_when_it_is_needed(clean: pytest.MonkeyPatch) -> None:
    """A key set after the settings were read is found."""
    settings()
    clean.setenv("OPENAI_API_KEY", "later")
    assert api_key("OPENAI_API_KEY") == "later"


def test_missing_key() -> None:
    """The sentence names the model, the variable, both places and, where it is known, who gives keys."""
    said = missing_key("OPENROUTER_API_KEY", 'model "x"')
    assert said.startswith('model "x" needs OPENROUTER_API_KEY: set it in the environment or in .env')
    assert "https://openrouter.ai/keys" in said
    assert "http" not in missing_key("MY_KEY", "m")


def test_every_setting_has_its_own_variable() -> None:
    """No two settings share a variable, and every variable is in capitals."""
    aliases = [str(field.alias) for field in Settings.model_fields.values()]
    assert len(set(aliases)) == len(aliases)
    assert all(alias == alias.upper() for alias in aliases)
