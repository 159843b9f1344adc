"""One reading of a job as a page: what it is, how far, what it cost, what failed, and what to do next."""

from __future__ import annotations

from rich.text import Text

from console.reading import words
from console.reading.layout import NARROW
from console.reading.next_step import Step, next_steps
from console.reading.watching import Watched
from console.screens.job import INDENT, INDENT_NARROW, drawing
from console.screens.parts import flow, labelled, wrapped
from ledger.jobs import AT_REST

_TALL = 1000
_COMMAND = "bold cyan"


def page(watched: Watched, width: int) -> list[Text]:
    """The job in lines of at most `width` characters."""
    status, indent = watched.status, INDENT if width >= NARROW else INDENT_NARROW
    room = width - indent
    lines = drawing(watched, width, _TALL, money=_money(watched), steps=False)
    tokens = [
        Text(f"{status.prompt_tokens:,} in prompts"),
        Text(f"{status.completion_tokens:,} in answers"),
        *([Text(f"{status.cached_tokens:,} of the prompts' cached")] if status.cached_tokens else []),
    ]
    lines += labelled("tokens", flow(tokens, room), indent)
    calls = [Text(f"{status.attempts:,} settled"), Text(f"{status.running:,} in flight")]
    if status.duplicates:
        calls.append(Text(f"{status.duplicates:,} answered what was settled already", "yellow"))
    lines += labelled("calls", flow(calls, room), indent)
    lines += labelled("recipe", wrapped(status.recipe.replace(",", ", "), room), indent)
    if status.note:
        lines += labelled("note", wrapped(status.note, room, "yellow"), indent)
    steps = next_steps(status, workers=watched.around.workers, fed=watched.fed)
    for place, step in enumerate(steps):
        lines += labelled("next" if place == 0 else "", _step(step, room), indent)
        if step.command and len(str(step)) > room:
            # In a line of its own and whole, to be copied.
            lines.append(Text.assemble(" " * (indent if len(step.command) <= room else 0), (step.command, _COMMAND)))
    return lines


def _step(step: Step, width: int) -> list[Text]:
    if step.command and len(str(step)) <= width:
        return [Text.assemble(f"{step.why}: ", (step.command, _COMMAND))]
    return wrapped(f"{step.why}:" if step.command else str(step), width)


def _money(watched: Watched) -> list[Text]:
    """What is spent, reserved, unknown and left, in a line each."""
    status, made = watched.status, watched.job.forecast
    budget = "" if status.budget_usd is None else f" of a budget of {words.budget(status.budget_usd)}"
    lines = [Text.assemble((words.dollars(status.cost_usd), "bold"), f" spent{budget}")]
    if status.duplicates:
        lines.append(Text(f"{words.dollars(status.duplicate_cost_usd)} of it for answers that came twice", "yellow"))
    if status.reserved_usd:
        lines.append(Text(f"{words.dollars(status.reserved_usd)} reserved for calls in flight, the most they can cost"))
    if status.unknown_usd:
        lines.append(
            Text(f"{words.dollars(status.unknown_usd)} unknown, at most: calls whose answer never came", "yellow")
        )
    if status.budget_usd is not None:
        left = status.budget_usd - status.cost_usd - status.reserved_usd - status.unknown_usd
        lines.append(Text(f"{words.dollars(max(0.0, left))} left"))
    if status.settled and status.cost_usd:
        lines.append(Text(f"{words.dollars(status.cost_usd / status.settled)} an example"))
    if made is not None and status.state not in AT_REST:
        lines.append(Text(f"{words.dollars(made.cost_usd)} in all, probably"))
    if made is not None and made.examples is not None:
        lines.append(Text(f"the budget pays for about {made.examples:,} of {status.total:,} examples", "yellow"))
    return lines
