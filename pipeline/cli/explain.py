"""`earmark explain`: the evidence behind one answer."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from math import floor
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from pipeline.cli import log, options
from pipeline.cli.terminal import Terminal, counted, printable, quiet_table
from pipeline.config import load
from pipeline.errors import UsageError
from pipeline.ledger import AskedSegment, FileEvidence, Ledger
from pipeline.model import FileRow, Match, Track

EXAMPLES = """\
Examples:

  earmark explain "~/Music/Unknown/track 03.mp3"
  earmark explain mix.flac --json
"""

File = Annotated[str, typer.Argument(metavar="FILE", help="A file that was identified before.")]


def explain(
    file: File,
    state: options.State = None,
    config: options.Config = None,
    as_json: options.Json = False,
    verbose: options.Verbose = 0,
) -> None:
    """Show the evidence behind the answer to a file: segments, candidates, votes, raw rows. Asks nobody."""
    terminal = Terminal(as_json=as_json)
    settings = load({"state": state}, config=config)
    log.start(terminal, verbosity=verbose)
    path = os.fsencode(os.path.abspath(Path(file).expanduser()))  # noqa: PTH100 -- resolve() would follow links
    with Ledger.read(settings.state_folder()) as ledger:
        evidence = ledger.evidence(path)
    if evidence is None:
        raise UsageError(
            f"the ledger has no answer for {printable(file)}", hint="earmark identify FILE asks first"
        )
    if as_json:
        _print_json(terminal, evidence)
    else:
        _print(terminal, evidence)


def _print_json(terminal: Terminal, evidence: FileEvidence) -> None:
    terminal.data({"kind": "answer", **asdict(evidence.row)})
    for asked in evidence.segments:
        terminal.data({"kind": "segment", **asdict(asked)})


def _print(terminal: Terminal, evidence: FileEvidence) -> None:
    out = terminal.out
    for line in _answer(evidence.row):
        out.print(line)
    if not evidence.segments:
        out.print(Text("no segment was asked about", style="dim"))
        return
    out.print()
    out.print(_segments(evidence.segments))
    votes = _votes(evidence.segments)
    if votes.row_count:
        out.print()
        out.print(votes)
    raw = [(asked, match) for asked in evidence.segments for match in asked.matches if match.raw is not None]
    if raw:
        out.print()
        out.print(Text("raw rows, as they came", style="bold"))
        for asked, match in raw:
            text = printable(json.dumps(match.raw, ensure_ascii=False))
            out.print(Text(f"{_clock(asked.segment.start_s):>8}  {text}", style="dim"), soft_wrap=True)


def _answer(row: FileRow) -> list[Text]:
    lines = [Text(printable(row.path), style="bold")]
    named = named_track(Track(row.title, row.artist, row.album, row.year)) if row.title else ""
    lines.append(Text.assemble((row.status.replace("_", " "), "green" if named else "yellow"), "  ", named))
    facts = []
    if row.confidence is not None:
        facts.append(f"confidence {_probability(row.confidence)}")
    if row.recognizer:
        facts.append(f"by {printable(row.recognizer)}")
    if row.raw_score is not None:
        facts.append(f"raw score {row.raw_score:g}")
    if row.segments_agreeing:
        agree = "agrees" if row.segments_agreeing == 1 else "agree"
        facts.append(f"{counted(row.segments_agreeing, 'segment')} {agree}")
    if row.segments_sent:
        facts.append(f"{row.credits:g} credits for {counted(row.segments_sent, 'segment')} sent")
    if row.tracks > 1:
        facts.append(f"{row.tracks} tracks heard")
    if row.identified_at:
        facts.append(row.identified_at)
    lines.append(Text(" · ".join(facts), style="dim"))
    if row.tag_title or row.tag_artist:
        tagged = named_track(Track(row.tag_title, row.tag_artist, row.tag_album))
        lines.append(Text(f"its own tags say {tagged}", style="dim"))
    if row.error:
        lines.append(Text(printable(row.error), style="red"))
    return lines


def _segments(segments: Sequence[AskedSegment]) -> Table:
    table = quiet_table()
    table.add_column("segment", justify="right", no_wrap=True)
    table.add_column("asked", no_wrap=True)
    table.add_column("answer", no_wrap=True)
    table.add_column("candidates", overflow="fold", ratio=1)
    for asked in segments:
        candidates = Text("\n").join(_candidate(match) for match in asked.matches)
        status = asked.status.replace("_", " ") if asked.status else "no answer"
        span = f"{_clock(asked.segment.start_s)}-{_clock(asked.segment.end_s)}"
        said = candidates or Text(printable(asked.error))
        if candidates and asked.error:  # what the answer cost beyond itself
            said = Text("\n").join((candidates, Text(printable(asked.error), style="dim")))
        if asked.paid_with:
            said = Text("\n" if said else "").join(
                [said, Text(f"paid for with {printable(asked.paid_with)}", style="dim")]
            )
        table.add_row(span, Text(printable(asked.recognizer)), status, said)
    return table


def _candidate(match: Match) -> Text:
    line = Text(named_track(match.track))
    line.append(f"  {_probability(match.confidence)}", style="bold")
    if match.raw_score is not None:
        line.append(f"  raw {match.raw_score:g}", style="dim")
    if match.also:
        line.append(f"  also {'; '.join(named_track(track) for track in match.also)}", style="dim")
    return line


def _votes(segments: Sequence[AskedSegment]) -> Table:
    """How many segments put each track first."""
    first: Counter[str] = Counter(named_track(asked.matches[0].track) for asked in segments if asked.matches)
    table = quiet_table()
    table.add_column("votes", justify="right")
    table.add_column("track named first", overflow="fold")
    for name, votes in first.most_common():
        table.add_row(str(votes), Text(name))
    return table


def named_track(track: Track) -> str:
    """A track in one line: `Title - Artist (Album, 1999)`."""
    home = ", ".join(part for part in (track.album, str(track.year) if track.year else "") if part)
    name = " - ".join(part for part in (track.title, track.artist) if part)
    return printable(f"{name} ({home})" if home else name)


def _probability(confidence: float) -> str:
    """Two digits, rounded down: nothing short of certainty reads 1.00."""
    return f"{floor(confidence * 100) / 100:.2f}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}:{rest:04.1f}"
