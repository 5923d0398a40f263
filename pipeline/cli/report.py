"""`earmark report`: the reports again, from the ledger alone."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli import log, options, results
from pipeline.cli.terminal import Terminal, printable
from pipeline.config import load
from pipeline.errors import UsageError
from pipeline.ledger import Ledger
from pipeline.report import check_targets

EXAMPLES = """\
Examples:

  earmark report
  earmark report --out music.xlsx --out music.parquet
  earmark report --run 3 --json
"""

Run = Annotated[
    int | None, typer.Option("--run", metavar="N", help="Which run, by its number; default: the last one.")
]


def report(
    run: Run = None,
    state: options.State = None,
    config: options.Config = None,
    out: options.Out = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Write the reports of a run again, or print them. Asks nobody, decodes nothing."""
    terminal = Terminal(quiet=quiet, as_json=as_json)
    settings = load({"state": state, "out": out}, config=config)
    log.start(terminal, verbosity=verbose)
    check_targets(settings.out)
    with Ledger.read(settings.state_folder()) as ledger:
        wanted = ledger.last_run() if run is None else ledger.run(run)
        if wanted is None:
            raise UsageError("the ledger holds no run yet", hint="earmark identify DIR makes one")
        written = results.write(settings.out, ledger, wanted.run_id, finished_at=wanted.finished_at or "")
        if as_json or not written:
            results.show(terminal, ledger, wanted.run_id)
    terminal.note(f"run {wanted.run_id}, {wanted.finished_at or 'not finished'}")
    for path in written:
        terminal.note(f"report  {printable(str(path))}")
