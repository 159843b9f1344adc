"""What tells one version of a recipe's output class from another: workers have their own copy of it."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from functools import cache

from pydantic import BaseModel


@cache
def fingerprint(model: type[BaseModel]) -> str:
    """Sixteen hexadecimal digits of the class's JSON Schema and the source of its module.

    Checks are code, so the schema alone does not tell; other modules that it imports are not looked at. Blanks at the
    ends of lines do not count. A module whose source is not there is told by its schema.
    """
    schema = json.dumps(model.model_json_schema(), sort_keys=True)
    try:
        source = inspect.getsource(sys.modules[model.__module__])
    except (OSError, TypeError, KeyError):
        source = ""
    lines = "\n".join(line.rstrip() for line in source.splitlines())
    return hashlib.sha256(f"{model.__qualname__}\n{schema}\n{lines}".encode()).hexdigest()[:16]
