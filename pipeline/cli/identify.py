"""`earmark identify`: the main job."""

from __future__ import annotations

import time
from collections.abc import Callable

import typer

from pipeline.audio import Decoder
from pipeline.batch.budget import budget_of
from pipeline.batch.plan import estimate
from pipeline.batch.run import Outcome
from pipeline.batch.run import identify as run_identify
from pipeline.batch.tally import Tally
from pipeline.cli import failures, log, money, opening, options, results, roots, summary
from pipeline.cli.progress import Progress
from pipeline.cli.signals import stopping
from pipeline.cli.terminal import Terminal, printable
from pipeline.config import Settings, load
from pipeline.ledger import Ledger
from pipeline.model import Recognizer
from pipeline.report import check_targets

EXAMPLES = """\
Examples:

  earmark identify ~/Music --out music.xlsx
  earmark identify ~/Music --recognizer catalogue --json
  earmark identify ~/mixes --coverage full --max-credits 3600
  find ~/Music -name '*.mp3' -mtime -7 | earmark identify - --out new.csv
"""


def identify(
    paths: options.Paths,
    recognizer: options.Recognizer = None,
    insecure: options.Insecure = None,
    coverage: options.Coverage = None,
    segment: options.SegmentLength = None,
    max_credits: options.MaxCredits = None,
    no_reuse: options.NoReuse = False,
    max_files: options.MaxFiles = None,
    jobs: options.Jobs = None,
    include: options.Include = None,
    exclude: options.Exclude = None,
    keep_segments: options.KeepSegments = None,
    state: options.State = None,
    config: options.Config = None,
    out: options.Out = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Say what every file of a folder of music really is.

    Walks the folders, decodes what it needs, asks the recognizers in order and
    prints a table; --out writes it as a spreadsheet. Resumes by itself: what was
    answered is not asked again, and never paid again.
    """
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
            "jobs": jobs,
            "include": include,
            "exclude": exclude,
            "keep_segments": keep_segments,
            "state": state,
            "out": out,
        },
        config=config,
    )
    raise typer.Exit(_identify(terminal, settings, roots.resolved(paths), verbosity=verbose))


def _identify(terminal: Terminal, settings: Settings, paths: list[bytes], *, verbosity: int) -> int:
    check_targets(settings.out)
    folder = opening.state_folder(settings)
    log.start(terminal, verbosity=verbosity, folder=folder)
    began = time.monotonic()
    with (
        opening.decoder_meanwhile(settings) as decoder,
        opening.recognizers(settings, folder) as chain,
        Ledger.open(folder) as ledger,
    ):
        outcome = _run(terminal, settings, paths, ledger, chain, decoder)
        run = ledger.run(outcome.run_id)
        written = results.write(settings.out, ledger, outcome.run_id, finished_at=run.finished_at or "")
        results.show(terminal, ledger, outcome.run_id)
        paid = bool(opening.services(chain))
    for path, why in outcome.troubles:
        terminal.complain(f"not read  {printable(path)}: {printable(why)}")
    if outcome.stopped_by is not None:
        failures.tell(terminal, outcome.stopped_by)
    summary.show(
        terminal,
        outcome.counts,
        seconds=time.monotonic() - began,
        paid=paid,
        written=written,
        exit_code=outcome.exit_code,
    )
    return outcome.exit_code


def _run(
    terminal: Terminal,
    settings: Settings,
    paths: list[bytes],
    ledger: Ledger,
    chain: list[Recognizer],
    opened: Callable[[], Decoder],
) -> Outcome:
    choices = opening.options(settings)
    services = opening.services(chain)
    money.check_keys(services)
    counting, tally = Tally(), Tally()
    decoder = opened()
    if services:
        # Its own tally: the run counts from nothing again.
        with Progress(terminal, "planned", counting.now) as progress, stopping(progress.announce) as stop:
            planned = estimate(
                paths,
                ledger=ledger,
                recognizers=chain,
                decoder=decoder,
                options=choices,
                tally=counting,
                stop=stop,
            )
            limit = budget_of(choices, ledger).tightest()
            segments, cost = money.at_most(planned, limit)
        if stop.is_set():
            raise KeyboardInterrupt
        money.announce(terminal, services, segments, cost, limit)
    with Progress(terminal, "answered", tally.now) as progress, stopping(progress.announce) as stop:
        return run_identify(
            paths,
            ledger=ledger,
            recognizers=chain,
            decoder=decoder,
            options=choices,
            tally=tally,
            stop=stop,
        )
