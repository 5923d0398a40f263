"""`earmark plan`: what a run would send and cost; sends nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

import typer
from rich.text import Text

from pipeline.batch.budget import budget_of
from pipeline.batch.options import Options
from pipeline.batch.plan import PlannedFile, estimate
from pipeline.batch.tally import Tally
from pipeline.cli import INTERRUPTED, log, money, opening, options, roots
from pipeline.cli.progress import Progress
from pipeline.cli.signals import stopping
from pipeline.cli.terminal import Terminal, counted, printable, quiet_table
from pipeline.config import load
from pipeline.ledger import Ledger

EXAMPLES = """\
Examples:

  earmark plan ~/Music
  earmark plan ~/mixes --coverage full --recognizer audiotag
  earmark plan ~/Music --json
"""

SHOWN_FILES = 40


def plan(
    paths: options.Paths,
    recognizer: options.Recognizer = None,
    insecure: options.Insecure = None,
    coverage: options.Coverage = None,
    segment: options.SegmentLength = None,
    max_credits: options.MaxCredits = None,
    no_reuse: options.NoReuse = False,
    max_files: options.MaxFiles = None,
    include: options.Include = None,
    exclude: options.Exclude = None,
    state: options.State = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Say what identify would send and cost at most, file by file and in all. Sends no audio."""
    terminal = Terminal(quiet=quiet, as_json=as_json)
    settings = load(
        {
            "recognizer": options.joined(recognizer),
            "insecure": insecure,
            "coverage": coverage,
            "segment": segment,
            "max_credits": max_credits,
            "reuse": False if no_reuse else None,
            "max_files": max_files,
            "include": include,
            "exclude": exclude,
            "state": state,
        },
        config=config,
    )
    found = roots.resolved(paths)
    folder = opening.state_folder(settings)
    log.start(terminal, verbosity=verbose, folder=folder)
    tally = Tally()
    with (
        opening.recognizers(settings, folder, only_plan=True) as chain,
        Ledger.open(folder) as ledger,
        opening.decoder(settings) as decoder,
    ):
        choices = opening.options(settings)
        services = opening.services(chain)
        with Progress(terminal, "planned", tally.now) as progress, stopping(progress.announce) as stop:
            planned = show_each(
                terminal,
                estimate(
                    found,
                    ledger=ledger,
                    recognizers=chain,
                    decoder=decoder,
                    options=choices,
                    tally=tally,
                    stop=stop,
                ),
            )
        if stop.is_set():
            raise typer.Exit(INTERRUPTED)
        limit = budget_of(choices, ledger).tightest()
        segments, cost = planned.segments_at_most, money.within(limit, planned.credits_at_most)
        _show(terminal, planned, cost)
        keyed = [service for service in services if settings.key_for(opening.address(settings, service.name))]
        money.announce(terminal, keyed, segments, cost, limit)
        if services and segments:
            terminal.note(f"less is sent where {_free_words(choices, ledger)}")
        if not services:
            terminal.note("no paid service is asked: a run costs nothing")
        elif not keyed:
            terminal.note(
                f"at most {cost:,.0f} credits (seconds of audio) in {counted(segments, 'segment')}"
                f"{money.limit_words(limit)}; no key is set"
            )


def _free_words(choices: Options, ledger: Ledger) -> str:
    """What makes a run cheaper than its plan, which reads no audio."""
    known = counted(ledger.uploads.answers(), "answer")
    same = "the same recording, in any encoding," if choices.reuse else "the same audio, sample by sample,"
    return f"{same} was paid for: the ledger holds {known}"


@dataclass(slots=True)
class Planned:
    """What is kept of the files: a million of them take no more memory than these."""

    first: list[PlannedFile] = field(default_factory=list)
    files: int = 0
    segments_at_most: int = 0
    credits_at_most: float = 0.0

    def add(self, file: PlannedFile) -> None:
        if self.files < SHOWN_FILES:
            self.first.append(file)
        self.files += 1
        self.segments_at_most += file.segments_at_most
        self.credits_at_most += file.credits_at_most


def show_each(terminal: Terminal, files: Iterable[PlannedFile]) -> Planned:
    """Print each file as it comes where programs read, and sum up all of them."""
    planned = Planned()
    for file in files:
        planned.add(file)
        if terminal.as_json:
            terminal.data({"kind": "file", **asdict(file)})
    return planned


def _show(terminal: Terminal, planned: Planned, cost: float) -> None:
    if terminal.as_json:
        total = {
            "files": planned.files,
            "segments_at_most": planned.segments_at_most,
            "credits_at_most": cost,
        }
        terminal.data({"kind": "total", **total})
        return
    table = quiet_table(show_footer=True)
    table.add_column("file", counted(planned.files, "file"), overflow="fold", ratio=3)
    table.add_column("segments\nat most", f"{planned.segments_at_most:,}", justify="right")
    table.add_column("credits\nat most", f"{cost:,.0f}", justify="right")
    table.add_column("note", overflow="fold", ratio=2)
    for file in planned.first:
        table.add_row(
            Text(printable(file.path)),
            str(file.segments_at_most or ""),
            f"{file.credits_at_most:,.0f}" if file.credits_at_most else "",
            Text(printable(file.note)),
        )
    if planned.files > SHOWN_FILES:
        table.caption = f"the first {SHOWN_FILES} of {planned.files:,} files; --json prints them all"
    terminal.out.print(table)
