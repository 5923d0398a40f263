"""What a run shows while it works, and what it says at its end."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakSet

import pytest
from rich.console import Console

from pipeline.batch.plan import PlannedFile
from pipeline.batch.tally import Counts
from pipeline.cli.plan import SHOWN_FILES, show_each
from pipeline.cli.progress import Pace, Progress, duration, heartbeat_line, left
from pipeline.cli.summary import NOTHING_THERE, cost_line, next_lines, result_line
from pipeline.cli.terminal import Terminal
from pipeline.model import FileStatus


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_that_of_the_last_minute():
    clock = FakeClock()
    pace = Pace(clock=clock)
    for second in range(1, 61):
        clock.now = second
        pace.per_s(second * 10)
    for second in range(61, 200):
        clock.now = second
        rate = pace.per_s(600 + second - 60)
    assert rate == pytest.approx(1.0)


def test_the_rate_before_anything_happened_is_nought():
    assert Pace(clock=FakeClock()).per_s(0) == 0.0


@pytest.mark.parametrize(
    ("seconds", "said"), [(4.4, "4 s"), (99, "99 s"), (720, "12 min"), (12_000, "3 h 20 min")]
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str):
    assert duration(seconds) == said


def test_time_left_is_not_guessed_before_the_total_is_known():
    assert left(Counts(done=10), 2.0) == ""
    assert left(Counts(total=100, done=10), 0.0) == ""
    assert left(Counts(total=100, done=10), 2.0) == "about 45 s left"


def test_the_heartbeat_holds_count_rate_time_left_credits_and_the_reason_of_a_wait():
    counts = Counts(
        total=2000,
        done=1000,
        by_status=Counter({FileStatus.FOUND: 900, FileStatus.NOT_FOUND: 100}),
        segments_sent=7,
        credits=105,
        in_flight=3,
        waiting_for="the service is busy",
    )
    assert heartbeat_line("answered", counts, 10.0) == (
        "answered 1,000 of 2,000 files · 10.0/s · about 2 min left · 900 found · 100 not found"
        " · 105 credits · 3 in flight · waiting: the service is busy"
    )


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end():
    terminal = Terminal()
    terminal.err = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Progress(terminal, "answered", lambda: Counts(total=4, done=2)) as progress:
        progress.announce("finishing what is in flight")
    written = terminal.err.file.getvalue()
    assert "2 of 4 files" in written
    assert "finishing what is in flight" in written
    assert written.rstrip().endswith("\x1b[2K")


def test_quiet_shows_nothing_at_all():
    terminal = Terminal(quiet=True)
    terminal.err = Console(file=io.StringIO(), force_terminal=True)
    with Progress(terminal, "answered", lambda: Counts(total=4, done=2)):
        terminal.note("hello")
    assert terminal.err.file.getvalue() == ""


# ---- the summary


def test_the_summary_says_what_was_skipped_and_why():
    counts = Counts(
        done=5,
        unchanged=2,
        by_status=Counter({FileStatus.FOUND: 3, FileStatus.SILENT: 1, FileStatus.TOO_SHORT: 1}),
    )
    assert result_line(counts, 12.0) == (
        "5 files in 12 s: 3 found, 1 too short, 1 silent (2 known from an earlier run)"
    )


def test_the_summary_says_what_it_cost_and_what_it_did_not():
    assert cost_line(Counts()) == "nothing was sent to a paid service"
    assert cost_line(Counts(segments_sent=3, credits=45, segments_reused=2)) == (
        "45 credits for 3 segments sent; 2 were already paid for"
    )


def test_a_plan_of_very_many_files_keeps_only_those_it_shows():
    class Followed(PlannedFile):
        """Without slots, so that weak references can follow it."""

    kept: WeakSet[Followed] = WeakSet()
    most_kept = 0

    def many(number: int) -> Iterator[PlannedFile]:
        nonlocal most_kept
        for count in range(number):
            file = Followed(f"{count}.mp3", 3, 45.0)
            kept.add(file)
            most_kept = max(most_kept, len(kept))
            yield file

    planned = show_each(Terminal(), many(100_000))
    assert (planned.files, planned.segments_at_most, planned.credits_at_most) == (100_000, 300_000, 4_500_000)
    assert len(planned.first) == SHOWN_FILES
    assert most_kept <= SHOWN_FILES + 2, "the one in hand and the one that comes, beside those shown"


def test_a_folder_without_music_is_said_to_be_one():
    assert next_lines(Counts(), paid=False, written=[], exit_code=0) == [NOTHING_THERE]


def test_the_summary_says_what_to_do_next():
    pending = Counts(done=1, by_status=Counter({FileStatus.PENDING: 1}))
    assert "the same command goes on" in next_lines(pending, paid=True, written=[], exit_code=6)[0]
    unknown = Counts(done=1, by_status=Counter({FileStatus.NOT_FOUND: 1}))
    free = " ".join(next_lines(unknown, paid=False, written=[], exit_code=0))
    assert "earmark catalogue add" in free
    assert "AUDIOTAG_API_KEY" in free
    assert "AUDIOTAG_API_KEY" not in " ".join(next_lines(unknown, paid=True, written=[], exit_code=0))
    done = Counts(done=1, by_status=Counter({FileStatus.FOUND: 1}))
    assert next_lines(done, paid=True, written=[Path("x.csv")], exit_code=0) == []
