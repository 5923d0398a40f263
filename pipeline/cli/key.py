"""`earmark key`: who may ask the self-hosted service, and how much."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import log, opening, options
from pipeline.cli.serve import require_server
from pipeline.cli.terminal import Terminal, printable, quiet_table
from pipeline.config import Settings, load
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.server.accounts import Account, Accounts

ADD_EXAMPLES = """\
Examples:

  earmark key add
  earmark key add --label radio --credits 36000 --expires 2027-12-31
  earmark key add --free-seconds 10800 --json
"""

LIST_EXAMPLES = """\
Examples:

  earmark key list
"""

REVOKE_EXAMPLES = """\
Examples:

  earmark key revoke 3
"""

MOST = 1_000_000_000

app = typer.Typer(help="API keys and credits of the self-hosted service.")

Credits = Annotated[
    int | None,
    typer.Option(
        "--credits",
        metavar="N",
        min=0,
        max=MOST,
        help="Seconds of audio it may have analysed. Without this and --free-seconds: any number.",
    ),
]
FreeSeconds = Annotated[
    int | None,
    typer.Option(
        "--free-seconds", metavar="N", min=0, max=MOST, help="Seconds that are used up before credits."
    ),
]
Expires = Annotated[
    str | None,
    typer.Option(
        "--expires", metavar="DATE", help="The last day it works, UTC, e.g. 2027-12-31. Default: no end."
    ),
]
Label = Annotated[
    str, typer.Option("--label", metavar="TEXT", help="A name for people, e.g. whose key it is.")
]
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="The key's number: see list.")]


@app.command(epilog=ADD_EXAMPLES)
def add(
    credits: Credits = None,
    free_seconds: FreeSeconds = None,
    expires: Expires = None,
    label: Label = "",
    state: options.State = None,
    config: options.Config = None,
    as_json: options.Json = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    from pipeline.server.accounts import UNLIMITED  # noqa: PLC0415 -- an extra

    terminal = Terminal(as_json=as_json)
    expires_at = _end_of(expires) if expires else None
    counted = credits is not None or free_seconds is not None
    with _accounts(terminal, load({"state": state}, config=config)) as accounts:
        key, account = accounts.add(
            credits=(credits or 0) if counted else UNLIMITED,
            free_s=free_seconds or 0,
            expires_at=expires_at,
            label=label,
        )
    if as_json:
        terminal.data({"key": key, **_public(account)})
        return
    terminal.out.print(key, markup=False, soft_wrap=True)
    terminal.note(
        f"key {account.key_id}: shown this once, so keep it; earmark key revoke {account.key_id} ends it"
    )


@app.command("list", epilog=LIST_EXAMPLES)
def list_(state: options.State = None, config: options.Config = None, as_json: options.Json = False) -> None:
    """Show every key: its first characters, what it has used, what it has left."""
    terminal = Terminal(as_json=as_json)
    with _accounts(terminal, load({"state": state}, config=config)) as accounts:
        known = accounts.all()
    if as_json:
        for account in known:
            terminal.data(_public(account))
        return
    table = quiet_table()
    for name in ("number", "key", "label", "state", "expires"):
        table.add_column(name)
    for name in ("free s", "credits", "spent", "audio s", "queries"):
        table.add_column(name, justify="right")
    for account in known:
        shown = _public(account)
        numbers = (
            account.free_s,
            account.credits,
            account.credits_spent,
            account.uploaded_s,
            account.queries,
        )
        table.add_row(
            str(account.key_id),
            f"{account.hint}…",
            printable(account.label),
            str(shown["state"]),
            str(shown["expires"]),
            *(f"{number:,}" for number in numbers),
        )
    terminal.out.print(table)


@app.command(epilog=REVOKE_EXAMPLES)
def revoke(number: Number, state: options.State = None, config: options.Config = None) -> None:
    """Make a key inactive, at once and for good. Its record stays."""
    terminal = Terminal()
    with _accounts(terminal, load({"state": state}, config=config)) as accounts:
        if not accounts.revoke(number):
            raise UsageError(f"there is no key {number}", hint="earmark key list shows them")
    terminal.note(f"key {number} is inactive")


@contextmanager
def _accounts(terminal: Terminal, settings: Settings) -> Iterator[Accounts]:
    require_server()
    from pipeline.server.service import open_accounts  # noqa: PLC0415 -- an extra

    log.start(terminal, verbosity=0)
    database, accounts = open_accounts(opening.state_folder(settings))
    try:
        yield accounts
    finally:
        database.close()


def _end_of(day: str) -> float:
    """The end of a day, as seconds since 1970. Raises UsageError."""
    try:
        ends = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"--expires: {printable(day)} is not a day", hint="write it as 2027-12-31"
        ) from error
    return math.floor(ends.timestamp()) - 1.0


def _public(account: Account) -> dict[str, object]:
    from pipeline.server.api import expiry_words  # noqa: PLC0415 -- an extra

    hidden = {"active", "expires_at", "created_at", "only_here"}
    shown = {name: value for name, value in asdict(account).items() if name not in hidden}
    ends = None if account.expires_at is None else expiry_words(account.expires_at)
    state = "active" if account.active else "revoked"
    if account.active and account.only_here:
        state = "active, this machine only"
    return {**shown, "state": state, "expires": ends or "never"}
