"""Before money is spent: is the key accepted, what will be sent at most, what is left on the account."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.batch.plan import PlannedFile
from pipeline.cli.terminal import Terminal
from pipeline.errors import KeyRefused, ServiceError
from pipeline.recognizers.audiotag import AudioTag
from pipeline.wire.audiotag import AccountStat


def check_keys(services: Sequence[AudioTag]) -> None:
    """Raise KeyRefused or another ServiceError now rather than after an hour of decoding."""
    for service in services:
        service.info()


def at_most(planned: Iterable[PlannedFile], max_credits: float | None) -> tuple[int, float]:
    """Segments and seconds of audio that a run may send, its own cap included."""
    segments, credits = 0, 0.0
    for file in planned:
        segments += file.segments_at_most
        credits += file.credits_at_most
    return segments, credits if max_credits is None else min(credits, max_credits)


def announce(terminal: Terminal, services: Sequence[AudioTag], segments: int, credits: float) -> None:
    """Say what may be sent and what the balance is, on stderr."""
    for service in services:
        terminal.note(
            f"{service.name}: at most {credits:,.0f} credits (seconds of audio) in {segments:,} segments; "
            f"{balance(service, credits)}"
        )


def balance(service: AudioTag, credits: float) -> str:
    """What is left on the account, in words, and whether it will last."""
    try:
        stat = service.stat()
    except KeyRefused:
        raise
    except ServiceError as error:
        # A key that was never used has no statistics yet; that is no reason not to use it.
        return f"its balance is not known ({error.message})"
    words = balance_words(stat)
    if credits > stat.credit_balance + stat.free_s:
        words += ": this may not last, and what is left over stays pending"
    return words


def balance_words(stat: AccountStat) -> str:
    """The two kinds of money AudioTag keeps."""
    return f"balance {stat.credit_balance:,.0f} credits and {stat.free_s:,.0f} free seconds"
