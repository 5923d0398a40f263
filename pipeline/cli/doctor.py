"""`earmark doctor`: is everything there that a run needs; each finding with its remedy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import typer
from rich.table import Table
from rich.text import Text

from pipeline.audio import survey
from pipeline.cli import log, money, opening, options
from pipeline.cli.progress import duration
from pipeline.cli.terminal import Terminal, counted, printable
from pipeline.config import Settings, load
from pipeline.config.load import config_path
from pipeline.errors import EarmarkError

EXAMPLES = """\
Examples:

  earmark doctor
  earmark doctor --json
"""

LOW_DISK_BYTES = 500_000_000
"""A catalogue of a few thousand tracks and its ledger; below this a long run may end for want of space."""


class Verdict(StrEnum):
    """How a finding matters."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `exit_code` is what a run would end with because of it."""

    verdict: Verdict
    subject: str
    finding: str
    remedy: str = ""
    exit_code: int = 0


def doctor(
    recognizer: options.Recognizer = None,
    insecure: options.Insecure = None,
    state: options.State = None,
    config: options.Config = None,
    as_json: options.Json = False,
    verbose: options.Verbose = 0,
) -> None:
    """Check ffmpeg, formats, disk, key and catalogue. Each finding comes with its remedy."""
    terminal = Terminal(as_json=as_json)
    settings = load(
        {"recognizer": options.joined(recognizer), "insecure": insecure, "state": state}, config=config
    )
    log.start(terminal, verbosity=verbose)
    findings = [*_settings(config), *_decoding(settings), *_state(settings), *_services(settings)]
    if as_json:
        for finding in findings:
            terminal.data(asdict(finding))
    else:
        terminal.out.print(_table(findings))
    raise typer.Exit(next((finding.exit_code for finding in findings if finding.exit_code), 0))


def _table(findings: list[Finding]) -> Table:
    styles = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.PROBLEM: "bold red"}
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        text = Text(printable(finding.finding))
        if finding.remedy:
            text.append("\n→ ", style="cyan").append("\n  ".join(map(printable, finding.remedy.splitlines())))
        table.add_row(Text(finding.verdict, style=styles[finding.verdict]), finding.subject, text)
    return table


def _settings(given: Path | None) -> Iterator[Finding]:
    path = config_path(given)
    if path is None:
        yield Finding(Verdict.OK, "settings", "no config file; flags, environment and defaults decide")
        return
    readable_by_others = path.expanduser().stat().st_mode & 0o044
    if readable_by_others and "api_key" in path.expanduser().read_text(encoding="utf-8-sig"):
        yield Finding(
            Verdict.WARNING,
            "settings",
            f"{path} may hold a key, and others on this machine can read it",
            f"chmod 600 {path}",
        )
    else:
        yield Finding(Verdict.OK, "settings", f"config file {path}")


def _decoding(settings: Settings) -> Iterator[Finding]:
    found = survey(backend=settings.audio.backend, ffmpeg=settings.audio.ffmpeg)
    if found.problem:
        yield Finding(
            Verdict.PROBLEM,
            "decoder",
            found.problem,
            "install ffmpeg from your system's packages, or reinstall earmark",
            exit_code=2,
        )
        return
    yield Finding(Verdict.OK, "decoder", found.decoder)
    yield Finding(Verdict.OK, "ffmpeg", f"{found.version} ({found.source}), {found.ffmpeg}")
    if found.passed_over:
        yield Finding(Verdict.OK, "ffmpeg", f"passed over: {found.passed_over}")
    documented = [support for support in found.formats if support.documented]
    heard = " ".join(support.extension for support in documented if support.supported)
    others = sum(support.supported for support in found.formats if not support.documented)
    yield Finding(Verdict.OK, "formats", f"{heard} and {others} more")
    for support in found.formats:
        if not support.supported:
            yield Finding(
                Verdict.WARNING,
                "formats",
                f".{support.extension} may not be heard: this ffmpeg lacks {', '.join(support.missing)}",
                "install a full ffmpeg, or set audio.ffmpeg to one (EARMARK_AUDIO__FFMPEG)",
            )


def _state(settings: Settings) -> Iterator[Finding]:
    try:
        folder = opening.state_folder(settings)
        known = opening.known_catalogue(folder)
    except EarmarkError as error:
        yield _problem("state", error)
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(
            Verdict.PROBLEM,
            "state",
            f"{folder} cannot be written",
            "name another with --state DIR or EARMARK_STATE",
            exit_code=2,
        )
    else:
        yield Finding(Verdict.OK, "state", str(folder))
    free = shutil.disk_usage(folder).free
    yield Finding(
        Verdict.OK if free >= LOW_DISK_BYTES else Verdict.WARNING,
        "disk",
        f"{free / 1e9:,.1f} GB free there",
        "" if free >= LOW_DISK_BYTES else "free some space, or move the state folder with --state DIR",
    )
    if known is None:
        yield Finding(
            Verdict.WARNING,
            "catalogue",
            "empty: nothing can be named for nothing",
            "earmark catalogue add DIR",
        )
    else:
        heard = duration(sum(track.duration_s for track in known.tracks()))
        yield Finding(Verdict.OK, "catalogue", f"{counted(len(known), 'track')}, {heard} of music")


def _services(settings: Settings) -> Iterator[Finding]:
    for name in settings.recognizer or ("audiotag",):
        if name == "catalogue":
            continue
        url = opening.address(settings, name)
        if settings.key_for(url) is None:
            yield Finding(
                Verdict.WARNING,
                "service",
                f"no key is set for {url}: the paid service is not asked",
                "export AUDIOTAG_API_KEY=… (https://user.audiotag.info, API keys), if you want it to be",
            )
            continue
        try:
            with opening.service(settings, name) as service:
                money.check_keys([service])
                left = money.balance(service, 0.0)
        except EarmarkError as error:
            yield _problem("service", error)
        else:
            yield Finding(Verdict.OK, "service", f"{url} accepts the key; {left}")


def _problem(subject: str, error: EarmarkError) -> Finding:
    return Finding(Verdict.PROBLEM, subject, error.message, error.hint, exit_code=error.exit_code)
