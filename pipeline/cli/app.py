"""`earmark` itself: its commands, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from pipeline import __version__
from pipeline.cli import (
    INTERRUPTED,
    account,
    catalogue,
    doctor,
    explain,
    failures,
    identify,
    key,
    plan,
    report,
    sample,
    serve,
)
from pipeline.cli.terminal import Terminal
from pipeline.errors import EarmarkError

app = typer.Typer(
    name="earmark",
    help="Point it at a folder of music: it says what every file really is, and what it cost to know.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=identify.EXAMPLES)(identify.identify)
app.command(epilog=plan.EXAMPLES)(plan.plan)
app.command(epilog=report.EXAMPLES)(report.report)
app.command(epilog=explain.EXAMPLES)(explain.explain)
app.add_typer(catalogue.app, name="catalogue", no_args_is_help=True)
app.command(epilog=serve.EXAMPLES)(serve.serve)
app.add_typer(key.app, name="key", no_args_is_help=True)
app.command(epilog=account.EXAMPLES)(account.account)
app.command(epilog=doctor.EXAMPLES)(doctor.doctor)
app.command(epilog=sample.EXAMPLES, hidden=True)(sample.sample)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"earmark {__version__}\n")
        raise typer.Exit


@app.callback()
def earmark(
    version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", help="Print the version.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


def run(arguments: list[str]) -> int:
    """Run one command; return its exit code, having said what went wrong, if anything."""
    # A file name may hold bytes that no encoding takes: show them escaped rather than fail while reporting.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    terminal = Terminal()
    unforeseen: Exception | None = None
    try:
        code = app(arguments, prog_name="earmark", standalone_mode=False)
    except EarmarkError as error:
        failures.tell(terminal, error)
        code = error.exit_code
    except typer.TyperException as error:
        failures.tell_usage(terminal, error)
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        terminal.err.print("interrupted; the same command goes on where this one stopped", soft_wrap=True)
        code = INTERRUPTED
    except Exception as error:
        unforeseen = error
        code = failures.tell_unforeseen(terminal, error)
    try:
        terminal.close()
    except OSError as error:
        # What could not be written is tried once more here: that is no second failure.
        if not (isinstance(unforeseen, OSError) and unforeseen.errno == error.errno):
            code = failures.tell_unforeseen(terminal, error)
    return code if isinstance(code, int) else 0
