"""`earmark account`: what the paid service says of the key."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from pipeline.cli import log, opening, options
from pipeline.cli.money import FIRST_PAUSE_S, TRIES
from pipeline.cli.terminal import Terminal, printable
from pipeline.config import load
from pipeline.errors import UsageError
from pipeline.recognizers.audiotag import AudioTag
from pipeline.retry import retrying

EXAMPLES = """\
Examples:

  earmark account
  AUDIOTAG_URL=http://localhost:8080/api earmark account --json
"""


def account(
    recognizer: options.Recognizer = None,
    insecure: options.Insecure = None,
    config: options.Config = None,
    as_json: options.Json = False,
    verbose: options.Verbose = 0,
) -> None:
    """Show the key's balance and use at the AudioTag service. Costs nothing."""
    terminal = Terminal(as_json=as_json)
    settings = load({"recognizer": options.joined(recognizer), "insecure": insecure}, config=config)
    log.start(terminal, verbosity=verbose)
    names = [name for name in settings.recognizer or ("audiotag",) if name != "catalogue"]
    if not names:
        raise UsageError("the catalogue has no account", hint="earmark account shows the paid service's")
    for name in names:
        with opening.service(settings, name) as service:
            _show(terminal, service)


def _show(terminal: Terminal, service: AudioTag) -> None:
    info = retrying(service.info, tries=TRIES, first_pause_s=FIRST_PAUSE_S)
    stat = retrying(service.stat, tries=TRIES, first_pause_s=FIRST_PAUSE_S)
    if terminal.as_json:
        terminal.data({"service": service.name, **asdict(info), **asdict(stat)})
        return
    table = Table.grid(padding=(0, 3))
    for label, value in (
        ("service", f"{service.name}, API {info.api_version}, {info.status}"),
        ("credits left", f"{stat.credit_balance:,.0f}"),
        ("free seconds left", f"{stat.free_s:,.0f}"),
        ("credits spent", f"{stat.credits_spent:,.0f}"),
        ("audio sent", f"{stat.uploaded_s:,.0f} s, {stat.uploaded_bytes:,} bytes"),
        ("queries", f"{stat.queries:,}"),
        ("key expires", stat.expires),
    ):
        table.add_row(label, Text(printable(value)))
    terminal.out.print(table)
