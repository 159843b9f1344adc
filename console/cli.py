"""The `genfleet` command, and what people see of errors."""

from __future__ import annotations

import sys

import typer

from config.errors import UserError
from console.lazy import LazyGroup

app = typer.Typer(
    name="genfleet",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A fleet that generates datasets with language models, inside the provider's limits and your budget.",
)


@app.callback()
def begin() -> None:
    """Before any command."""
    from config import logs  # noqa: PLC0415  with pydantic's settings, which nobody needs who asks for help

    logs.configure()


def main() -> None:
    """Runs the command; exit code 2 for a user's mistake, 1 for a failed run, never a traceback for either."""
    try:
        app()
    except UserError as error:
        _say(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        sys.exit(_trouble(error))


def _trouble(error: Exception) -> int:
    """Says what is the matter with the broker, and gives the exit code; raises what is not the broker's."""
    import redis  # noqa: PLC0415  whoever talks to a broker has them by now
    from kombu.exceptions import OperationalError  # noqa: PLC0415

    from ledger.connection import refused  # noqa: PLC0415

    if not isinstance(error, redis.RedisError | OperationalError):
        raise error
    if refused(error):
        _say("the broker's user in REDIS_URL may not do that: give one of the right role.")
        return 2
    _say(f"the broker does not answer any more ({type(error).__name__}); nothing is lost.")
    return 1


def _say(why: str) -> None:
    """What ended the command, to people as it is."""
    from config import logs  # noqa: PLC0415  as above

    if logs.as_json():
        logs.configure()  # it may have ended before `begin`
        logs.log("command_failed", why=why)
    else:
        print(why, file=sys.stderr)
