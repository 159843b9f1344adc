"""Changing the provider while it runs."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from console.provider.settings import ProviderSettings

LIVE = ("limits", "model_limits", "faults", "latency_seconds", "latency_sigma", "down", "retry_after", "revoked")


class ControlError(ValueError):
    """A change cannot be made; the message is one sentence."""


def controls(settings: ProviderSettings) -> dict[str, Any]:
    """The settings that can be changed, as they are."""
    return settings.model_dump(mode="json", include=set(LIVE))


def changed(settings: ProviderSettings, changes: object) -> ProviderSettings:
    """The settings after the changes.

    `limits`, and each model's table in `model_limits`, change the limits that they name; every other value takes
    the place of the old one.

    Raises:
        ControlError: a setting that cannot be changed, or a value that cannot be used.
    """
    if not isinstance(changes, dict):
        raise ControlError("The changes are not a JSON object.")
    for name in changes:
        if name not in LIVE:
            raise ControlError(f"{name}: it is not one of {', '.join(LIVE)}.")
    old = settings.model_dump(exclude_unset=True)
    new = dict(changes)
    try:
        if "limits" in changes:
            new["limits"] = {**old.get("limits", {}), **changes["limits"]}
        if "model_limits" in changes:
            models = old.get("model_limits", {})
            own = {name: {**models.get(name, {}), **table} for name, table in changes["model_limits"].items()}
            new["model_limits"] = {**models, **own}
    except (TypeError, AttributeError):
        raise ControlError("limits, model_limits: a table of limits is expected.") from None
    try:
        return ProviderSettings.model_validate({**old, **new})
    except ValidationError as error:
        first = error.errors()[0]
        problem = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise ControlError(f"{'.'.join(map(str, first['loc']))}: {problem}.") from None
