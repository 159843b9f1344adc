"""What files and people set: no field but those named, and none that changes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A table whose fields are all known and stay as they were read."""

    model_config = ConfigDict(frozen=True, extra="forbid")
