"""`earmark serve`: the AudioTag API over the catalogue of this machine, until it is stopped."""

from __future__ import annotations

import functools
import importlib.util
import ipaddress
import logging
import resource
import signal
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pipeline.cli import log, opening, options
from pipeline.cli.terminal import Terminal
from pipeline.config import load
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.server.service import Service

EXAMPLES = """\
Examples:

  earmark serve
  AUDIOTAG_URL=http://127.0.0.1:8080/api AUDIOTAG_API_KEY=… earmark identify DIR --recognizer audiotag
  earmark serve --host 0.0.0.0 --allow-remote
"""

WANTED_FILES: Final = 8192
"""Open files: each connection is one, and so is each upload."""

_DOOR = "Where it listens"

Host = Annotated[
    str | None,
    typer.Option(
        "--host", metavar="ADDRESS", help="Default: 127.0.0.1, this machine only.", rich_help_panel=_DOOR
    ),
]
Port = Annotated[
    str | None,
    typer.Option("--port", metavar="N", help="Default: 8080; 0 takes a free one.", rich_help_panel=_DOOR),
]
AllowRemote = Annotated[
    bool | None,
    typer.Option(
        "--allow-remote",
        metavar="",
        help="Let an address be one that other machines reach. Keys then travel unencrypted: see the warning.",
        rich_help_panel=_DOOR,
    ),
]
Workers = Annotated[
    str | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Processes that analyse; default: one a core.",
        rich_help_panel=options.LIMITS,
    ),
]


def serve(
    host: Host = None,
    port: Port = None,
    allow_remote: AllowRemote = None,
    workers: Workers = None,
    state: options.State = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Serve the AudioTag API: any program written for AudioTag works here by changing its URL."""
    terminal = Terminal(quiet=quiet, as_json=as_json)
    require_server()
    flags = {"host": host, "port": port, "allow_remote": allow_remote, "workers": workers}
    given = {name: value for name, value in flags.items() if value is not None}
    settings = load({"state": state, "server": given or None}, config=config)
    door = settings.server
    remote = not _is_loopback(door.host)
    if remote and not door.allow_remote:
        raise UsageError(
            f"{door.host} is an address that other machines reach",
            hint="--allow-remote says that you mean it",
        )
    folder = opening.state_folder(settings)
    log.start(terminal, verbosity=0 if quiet else max(verbose, 1))
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    _raise_file_limit()
    from pipeline.cli.ear import open_ear  # noqa: PLC0415 -- an extra, and half a second
    from pipeline.server.service import Service, listen  # noqa: PLC0415

    with (
        listen(door.host, door.port) as listener,
        opening.decoder(settings) as decoder,
        Service(
            folder,
            door,
            decoder=decoder,
            open_ear=functools.partial(open_ear, folder / opening.CATALOGUE_FOLDER),
            open_catalogue=functools.partial(opening.catalogue, folder) if door.page else None,
        ) as service,
    ):
        address, bound_port = listener.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        _introduce(terminal, service, f"http://{shown}:{bound_port}/", page=door.page, remote=remote)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: service.stop())
        service.run(listener)
    terminal.note("stopped; what was accepted and not yet answered is answered after the next start")


def require_server() -> None:
    """Raise UsageError unless the `server` extra is installed."""
    missing = [
        name
        for name in ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "jinja2")
        if not _there(name)
    ]
    if missing:
        raise UsageError(
            f"earmark serve needs {', '.join(missing)}, which is not installed",
            hint="pip install 'earmark[server]'",
        )


def _introduce(terminal: Terminal, service: Service, root: str, *, page: bool, remote: bool) -> None:
    said: dict[str, Any] = {"url": f"{root}api"}
    if page:
        said["page"] = root
    if not any(account.only_here for account in service.accounts.all()):
        said["key"], _ = service.accounts.add(only_here=True, label="open, for this machine only")
    if terminal.as_json:
        terminal.data(said)
    else:
        for name, value in said.items():
            terminal.out.print(f"{name:<8}{value}", markup=False, soft_wrap=True)
    terminal.close()  # a program that reads our stdout waits for this line
    if "key" in said:
        terminal.note("the key is shown this once; it is for programs on this machine and never runs out")
        terminal.note("earmark key add makes others, with credits and an end")
    if remote:
        terminal.complain(
            "warning: other machines can reach this address, and keys and audio travel unencrypted. Put a proxy with "
            "TLS before it, or keep it inside a network you trust."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
