"""What a run came to, in a few lines: found, not found, skipped and why, the cost, what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.batch.tally import Counts
from pipeline.cli.progress import duration
from pipeline.cli.terminal import Terminal, counted, printable
from pipeline.model import FileStatus

_SAID = {
    FileStatus.FOUND: "found",
    FileStatus.NOT_FOUND: "not found",
    FileStatus.TOO_SHORT: "too short",
    FileStatus.SILENT: "silent",
    FileStatus.NO_AUDIO: "without sound",
    FileStatus.UNREADABLE: "unreadable",
    FileStatus.FAILED: "failed",
    FileStatus.PENDING: "pending",
}


NOTHING_THERE = (
    "no file there has an ending of music; a file that is named itself is tried whatever its ending"
)


def result_line(counts: Counts, seconds: float) -> str:
    """How many files, and what became of them."""
    fates = [f"{number:,} {said}" for status, said in _SAID.items() if (number := counts.by_status[status])]
    line = f"{counted(counts.done, 'file')} in {duration(seconds)}"
    if fates:
        line += ": " + ", ".join(fates)
    if counts.unchanged:
        line += f" ({counts.unchanged:,} known from an earlier run)"
    return line


def cost_line(counts: Counts) -> str:
    """What the run cost."""
    if not counts.segments_sent:
        line = "nothing was sent to a paid service"
    else:
        line = f"{counts.credits:,.0f} credits for {counted(counts.segments_sent, 'segment')} sent"
    if counts.segments_reused:
        line += f"; {counts.segments_reused:,} were already paid for"
        if counts.segments_alike:
            line += f", {counts.segments_alike:,} of them as another encoding"
    return line


def next_lines(counts: Counts, *, paid: bool, written: Sequence[Path], exit_code: int) -> list[str]:
    """What to do next; nothing where all is done."""
    lines = []
    if counts.by_status[FileStatus.PENDING] or exit_code in (4, 5, 6, 7, 130):
        lines.append("the same command goes on where this one stopped")
    if not counts.done and exit_code == 0:
        lines.append(NOTHING_THERE)
    if counts.by_status[FileStatus.NOT_FOUND] and not paid:
        lines.append("not found: your catalogue does not hold it; earmark catalogue add DIR teaches it more,")
        lines.append("and with AUDIOTAG_API_KEY set the rest is asked of the AudioTag service")
    if counts.by_status[FileStatus.FAILED] or counts.by_status[FileStatus.UNREADABLE]:
        lines.append("earmark explain FILE says what went wrong with a file")
    if counts.done and not written:
        lines.append("earmark report --out music.xlsx writes the spreadsheet, asking nobody again")
    return lines


def show(
    terminal: Terminal, counts: Counts, *, seconds: float, paid: bool, written: Sequence[Path], exit_code: int
) -> None:
    """Print the summary on stderr."""
    terminal.note()
    terminal.note(result_line(counts, seconds), style="bold")
    terminal.note(f"cost    {cost_line(counts)}")
    _listed(terminal, "report", [printable(str(path)) for path in written])
    _listed(terminal, "next", next_lines(counts, paid=paid, written=written, exit_code=exit_code))


def _listed(terminal: Terminal, label: str, lines: Sequence[str]) -> None:
    for number, line in enumerate(lines):
        terminal.note(f"{'' if number else label:<8}{line}")
