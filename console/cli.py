"""The `genfleet` command: its groups of subcommands, and what people see of errors."""

from __future__ import annotations

import sys

import redis
import typer
from kombu.exceptions import OperationalError

from config import logs
from config.errors import UserError
from ledger.connection import refused

try:
    from console.commands import demo, estimate, follow, jobs, look, models, run, serve, top, usage, watch
except UserError as error:
    # Each model has its task, so a models file that cannot be used shows before any command runs.
    print(error, file=sys.stderr)
    sys.exit(2)

app = typer.Typer(
    name="genfleet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A fleet that generates datasets with language models, inside the provider's limits and your budget.",
)
for group in (demo, run, estimate, watch, follow, jobs, models, look, top, usage, serve):
    group.register(app)


def main() -> None:
    """Runs the command; exit code 2 for a user's mistake, 1 for a failed run, never a traceback for either."""
    logs.configure()
    try:
        app()
    except UserError as error:
        _say(str(error))
        sys.exit(2)
    except (redis.RedisError, OperationalError) as error:
        if refused(error):
            _say("the broker's user in REDIS_URL may not do that: give one of the right role.")
            sys.exit(2)
        _say(f"the broker does not answer any more ({type(error).__name__}); nothing is lost.")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _say(why: str) -> None:
    """What ended the command, to people as it is."""
    if logs.as_json():
        logs.log("command_failed", why=why)
    else:
        print(why, file=sys.stderr)
