"""Usage as people read it: figures with their units, in words and in tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from console.usage import Summary
from console.usage_query import Row

_LATENCY = {"p50_seconds": "p50", "p90_seconds": "p90", "p99_seconds": "p99"}
#: What a table for people shows of a group, and under which heading.
_SHOWN = {
    "requests": "requests",
    "accepted": "accepted",
    "rejected": "rejected",
    "errors": "errors",
    "unknown": "unknown",
    "prompt_tokens": "prompt",
    "cached_tokens": "cached",
    "completion_tokens": "completion",
    "cost_usd": "cost",
    "cost_per_accepted_usd": "per accepted",
} | _LATENCY
_SHOWN_OF_ERRORS = {
    "attempts": "attempts",
    "rejected": "rejected",
    "again": "repeated",
    "unknown": "unknown",
    "cost_usd": "cost",
} | _LATENCY
#: What a narrow terminal does without, first to last.
_LESS = (
    "p90_seconds",
    "cached_tokens",
    "unknown",
    "rejected",
    "p50_seconds",
    "errors",
    "p99_seconds",
    "requests",
    "prompt_tokens",
    "completion_tokens",
)
_GAP = 2


def table(rows: Sequence[Row], width: int | None = None) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of rows that `usage_of` or `summary_of` gave; the first column is the group.

    Where they are wider than `width` characters, columns of less interest are left out.
    """
    if not rows:
        return [], []
    group = next(iter(rows[0]))
    shown = _SHOWN_OF_ERRORS if group == "reason" else _SHOWN
    groups = [group.replace("_", " "), *("-" if row[group] is None else str(row[group]) for row in rows)]
    columns = {group: groups} | {name: [head, *(_cell(row, name) for row in rows)] for name, head in shown.items()}
    for name in _LESS:
        if width is None or sum(max(map(len, column)) + _GAP for column in columns.values()) <= width:
            break
        columns.pop(name, None)
    headings, *cells = map(list, zip(*columns.values(), strict=True))
    return headings, cells


def summary_lines(summary: Summary) -> Iterator[str]:
    """The totals, a figure a line."""
    all_ = summary.totals
    when = f", {summary.first:%Y-%m-%d %H:%M} to {summary.last:%Y-%m-%d %H:%M} UTC" if summary.last else ""
    yield f"Attempts of {summary.jobs:,} job{'' if summary.jobs == 1 else 's'}{when}"
    yield ""
    yield _line("requests", all_["requests"], f"calls to a model, in {all_['attempts']:,} attempts")
    yield _line("accepted", all_["accepted"], "examples")
    yield _line("rejected", all_["rejected"], "examples")
    cached = f", {_share(all_['cached_tokens'], all_['prompt_tokens'])} of them from the provider's cache"
    yield _line("prompt", all_["prompt_tokens"], "tokens" + (cached if all_["cached_tokens"] else ""))
    yield _line("completion", all_["completion_tokens"], "tokens")
    yield _line("cost", money(all_["cost_usd"]), "")
    if all_["accepted"]:
        yield _line(
            "  per accepted", money(all_["cost_per_accepted_usd"]), "for each accepted example, all costs shared"
        )
    yield _line("  for rejected", money(all_["rejected_cost_usd"]), "answers that were paid and gave no example")
    note = f"{all_['again_paid']:,} paid of {all_['again']:,} calls that settled nothing and were repeated"
    yield _line("  for repeated", money(all_["again_cost_usd"]), note)
    note = f"{all_['duplicates']:,} answers to what another call had settled"
    yield _line("  for duplicates", money(all_["duplicate_cost_usd"]), note)
    yield _line("unknown", all_["unknown"], "calls whose cost was never told; it is in no figure here")
    if all_["p50_seconds"] is not None:
        p50, p90, p99 = (_cell(all_, f"p{share}_seconds") for share in (50, 90, 99))
        yield _line("latency", p50, f"median; 90% of the calls ended within {p90}, 99% within {p99}")
    if summary.guessed:
        note = "attempts of an earlier version tell no number of examples and were taken for one each"
        yield _line("", summary.guessed, note)


def money(usd: Decimal | None) -> str:
    """An amount in USD: cents, or four digits where it is small; "-" for none."""
    if usd is None:
        return "-"
    if usd >= 1 or not usd:
        return f"${usd:,.2f}"
    places = min(9, 3 - usd.adjusted())
    return f"${usd:.{places}f}"


def _cell(row: Row, name: str) -> str:
    value = row[name]
    if value is None:
        return "-"
    if name.endswith("_usd"):
        return money(value)
    if name.endswith("_seconds"):
        return f"{value:.2f} s"
    return f"{value / 1e6:,.1f}M" if name.endswith("_tokens") and value >= 10_000_000 else f"{value:,}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _line(name: str, figure: int | str, note: str) -> str:
    return f"{name:<16}{figure if isinstance(figure, str) else format(figure, ','):>16}  {note}".rstrip()
