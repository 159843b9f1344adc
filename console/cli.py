"""The `genfleet` command: its groups of subcommands, and what people see of errors."""

from __future__ import annotations

import logging
import sys

import redis
import typer
from kombu.exceptions import OperationalError

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
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        app()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except (redis.RedisError, OperationalError) as error:
        if refused(error):
            print("the broker's user in REDIS_URL may not do that: give one of the right role.", file=sys.stderr)
            sys.exit(2)
        print(f"the broker does not answer any more ({type(error).__name__}); nothing is lost.", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
