"""What is told of a job, fact by fact."""

from __future__ import annotations

from rich.text import Text

from config.money import NANO
from console.reading import words
from console.reading.watching import Watched
from ledger.jobs import AT_REST


def examples(watched: Watched) -> list[Text]:
    """What has become of the examples, and what is still to come."""
    status = watched.status
    again = sum(count for name, count in status.reasons.items() if name.startswith("again:"))
    facts = [
        Text.assemble((f"{status.accepted:,}", "green"), " accepted"),
        Text.assemble((f"{status.rejected:,}", "red" if status.rejected else ""), " rejected"),
    ]
    if again:
        facts.append(Text.assemble((f"{again:,}", "yellow"), " tried again"))
    if status.running:
        facts.append(Text.assemble((f"{status.running:,}", "cyan"), " in flight"))
    if status.waiting and status.state not in AT_REST:
        facts.append(Text(f"{status.waiting:,} waiting"))
    return facts


def rate(watched: Watched, rests: bool) -> list[Text]:
    """Examples a minute, now and over the time that the job was worked on; of one that rests the latter."""
    job = watched.job
    if not job.status.settled:
        return []
    run = Text(f"{words.rate(job.run_per_minute)} over {words.span(job.worked_seconds)}")
    if rests:
        return [run]
    return [Text.assemble((words.rate(job.per_minute), "bold"), " now"), run]


def left(watched: Watched) -> list[Text]:
    """How long it will take, with its range, and the budget's end where that comes first."""
    job = watched.job
    if job.left is None:
        return [Text("not known yet", "bright_black")]
    facts = [Text.assemble((words.about(job.left.likely), "bold"), f" ({words.spread(job.left)})")]
    if job.budget_left is not None:
        facts.append(Text(f"the budget lasts {words.about(job.budget_left.likely)}", "yellow"))
    return facts


def cost(watched: Watched) -> list[Text]:
    """What is spent, reserved and unknown, of which budgets, and what it will probably come to."""
    status, money = watched.status, watched.job.forecast
    spent = Text(words.dollars(status.cost_usd), "bold")
    facts = [spent if status.budget_usd is None else Text.assemble(spent, f" of {words.budget(status.budget_usd)}")]
    if status.reserved_usd:
        facts.append(Text(f"{words.dollars(status.reserved_usd)} reserved"))
    if status.unknown_usd:
        facts.append(Text(f"{words.dollars(status.unknown_usd)} unknown", "yellow"))
    books = watched.around.books
    if books.per_day is not None and status.state not in AT_REST:
        facts.append(
            Text(f"{words.dollars(books.spent / NANO)} of {words.budget(books.per_day / NANO)} today, all jobs")
        )
    if money is not None and status.state != "complete":
        facts.append(Text(f"{words.dollars(money.cost_usd)} in all, probably"))
        if money.examples is not None:
            facts.append(Text(f"the budget pays for about {money.examples:,} of {status.total:,}", "yellow"))
    return facts


def workers(watched: Watched, starting: bool) -> list[Text]:
    """Who is at work, for all jobs; `starting` where the first are on their way."""
    around = watched.around
    if starting and not around.workers:
        return [Text("starting", "bright_black")]
    machines = f" on {around.hosts} machines" if around.hosts > 1 else ""
    live = Text(f"{around.workers} live{machines}", "" if around.workers else "bold red")
    return [live, Text(words.counted(around.in_flight, "call in flight"))]
