"""How a run shows that it is alive: a bar on a terminal, a line now and then elsewhere, nothing with -q."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from pipeline.batch.tally import Counts
from pipeline.cli.terminal import Terminal, printable

HEARTBEAT_S = 30.0
REFRESH_PER_S = 4.0
RATE_WINDOW_S = 60.0
"""The rate is that of the last minute: the first files of a run say little about the ones that follow."""

Clock = Callable[[], float]


class Pace:
    """How fast work is done and how long it will take, from counts seen over time."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque([(clock(), 0)])

    def per_s(self, done: int) -> float:
        """Things done a second, over the last minute."""
        now = self._clock()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] >= RATE_WINDOW_S:
            self._seen.popleft()
        then, done_then = self._seen[0]
        return (done - done_then) / (now - then) if now > then else 0.0


def left(counts: Counts, per_s: float) -> str:
    """The time a run still takes, in words; empty while nobody can know."""
    if counts.total is None or per_s <= 0:
        return ""
    return f"about {duration((counts.total - counts.done) / per_s)} left"


def duration(seconds: float) -> str:
    """A span of time as a person says it: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def work_line(counts: Counts) -> str:
    """What a run has found and spent so far."""
    parts = [f"{count:,} {status.replace('_', ' ')}" for status, count in counts.by_status.most_common()]
    if counts.segments_sent or counts.in_flight:
        parts.append(f"{counts.credits:,.0f} credits")
        parts.append(f"{counts.in_flight} in flight")
    if counts.waiting_for:
        parts.append(f"waiting: {counts.waiting_for}")
    return " · ".join(parts)


def heartbeat_line(verb: str, counts: Counts, per_s: float) -> str:
    """One line for a log: count, rate, time left, and what was found."""
    of_total = f" of {counts.total:,}" if counts.total is not None else ""
    done = f"{verb} {counts.done:,}{of_total} files"
    parts = (done, f"{per_s:.1f}/s", left(counts, per_s), work_line(counts))
    return printable(" · ".join(part for part in parts if part))


class Progress:
    """Shows `now()` until it is left. The run itself never waits for it."""

    def __init__(
        self, terminal: Terminal, verb: str, now: Callable[[], Counts], *, clock: Clock = time.monotonic
    ) -> None:
        self._terminal = terminal
        self._verb = verb
        self._now = now
        self._pace = Pace(clock=clock)
        self._notice = ""
        self._live: Live | None = None
        self._done = threading.Event()
        self._heart: threading.Thread | None = None
        self._spinner = Spinner("dots", style="cyan")

    def __enter__(self) -> Self:
        if self._terminal.quiet:
            return self
        if self._terminal.err.is_terminal:
            self._live = Live(
                console=self._terminal.err,
                get_renderable=self._picture,
                refresh_per_second=REFRESH_PER_S,
                transient=True,
            )
            self._live.start()
        else:
            self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
            self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._live is not None:
            self._live.stop()
        if self._heart is not None:
            self._heart.join()

    def announce(self, notice: str) -> None:
        """Show a line at once: below the bar on a terminal, on stderr elsewhere."""
        self._notice = notice
        if self._live is None:
            self._terminal.note(notice)

    def _beat(self) -> None:
        while not self._done.wait(HEARTBEAT_S):
            counts = self._now()
            self._terminal.note(heartbeat_line(self._verb, counts, self._pace.per_s(counts.done)))

    def _picture(self) -> RenderableType:
        counts = self._now()
        per_s = self._pace.per_s(counts.done)
        top = Table.grid(padding=(0, 2))
        total = f"{counts.total:,}" if counts.total is not None else "…"
        top.add_row(
            self._spinner,
            Text(self._verb),
            ProgressBar(total=counts.total or 1, completed=counts.done if counts.total else 0, width=32),
            Text(f"{counts.done:,} of {total} files"),
            Text(f"{per_s:.1f}/s", style="dim"),
            Text(left(counts, per_s), style="dim"),
        )
        lines: list[RenderableType] = [top]
        if work := work_line(counts):
            lines.append(Text(f"   {printable(work)}", style="dim"))
        if self._notice:
            lines.append(Text(f"   {self._notice}", style="yellow"))
        return Group(*lines)
