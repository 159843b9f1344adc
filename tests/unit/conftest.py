"""What tests of the pure parts need: a working folder and an environment of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from config.models import models
from config.settings import Settings, settings

# How long an example takes says nothing on a busy machine.
hypothesis_settings.register_profile("unit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("unit")


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An empty working folder, no setting and no key in the environment, nothing read before."""
    monkeypatch.chdir(tmp_path)
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    for key in ("OPENROUTER_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    settings.cache_clear()
    models.cache_clear()
    yield monkeypatch
    settings.cache_clear()
    models.cache_clear()


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a text file in the test's folder and gives its path."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    return write
