"""Before money is spent: is the key accepted, what will be sent at most, what is left on the account."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.batch.budget import Allowance
from pipeline.batch.plan import PlannedFile
from pipeline.cli.terminal import Terminal, counted
from pipeline.errors import KeyRefused, ServiceError
from pipeline.recognizers.audiotag import AudioTag
from pipeline.retry import retrying
from pipeline.wire.audiotag import AccountStat

TRIES = 3
FIRST_PAUSE_S = 0.5
"""A person waits for this check: about two seconds, then it is the person's turn."""


def check_keys(services: Sequence[AudioTag]) -> None:
    """Raise KeyRefused or another ServiceError now rather than after an hour of decoding."""
    for service in services:
        retrying(service.info, tries=TRIES, first_pause_s=FIRST_PAUSE_S)


def at_most(planned: Iterable[PlannedFile], limit: Allowance | None) -> tuple[int, float]:
    """Segments and seconds of audio that a run may send, its tightest limit included."""
    segments, cost = 0, 0.0
    for file in planned:
        segments += file.segments_at_most
        cost += file.credits_at_most
    return segments, within(limit, cost)


def within(limit: Allowance | None, cost: float) -> float:
    """What of a cost the tightest limit allows."""
    return cost if limit is None else min(cost, limit.left_s)


def announce(
    terminal: Terminal, services: Sequence[AudioTag], segments: int, cost: float, limit: Allowance | None
) -> None:
    """Say what may be sent, what limits it and what the balance is, on stderr."""
    for service in services:
        terminal.note(
            f"{service.name}: at most {cost:,.0f} credits (seconds of audio) in {counted(segments, 'segment')}"
            f"{limit_words(limit)}; {balance(service, cost)}"
        )


def limit_words(limit: Allowance | None) -> str:
    """What the tightest limit leaves, as the end of a clause; empty without one."""
    if limit is None:
        return ""
    return f", for {limit} leaves {limit.left_s:,.0f}"


def balance(service: AudioTag, cost: float) -> str:
    """What is left on the account, in words, and whether it will last."""
    try:
        stat = retrying(service.stat, tries=TRIES, first_pause_s=FIRST_PAUSE_S)
    except KeyRefused:
        raise
    except ServiceError as error:
        # A key that was never used has no statistics yet; that is no reason not to use it.
        return f"its balance is not known ({error.message})"
    words = balance_words(stat)
    if cost > stat.credit_balance + stat.free_s:
        words += ": this may not last, and what is left over stays pending"
    return words


def balance_words(stat: AccountStat) -> str:
    """The two kinds of money AudioTag keeps."""
    return f"balance {stat.credit_balance:,.0f} credits and {stat.free_s:,.0f} free seconds"
