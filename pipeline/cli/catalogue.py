"""`earmark catalogue`: the music that can be recognised for nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from pipeline.batch.tally import Counts
from pipeline.cli import INTERRUPTED, log, opening, options, roots, summary
from pipeline.cli.explain import named_track
from pipeline.cli.progress import Progress, duration
from pipeline.cli.signals import stopping
from pipeline.cli.terminal import Terminal, counted, printable, quiet_table
from pipeline.config import Settings, load
from pipeline.engine.tracks import KnownTrack
from pipeline.errors import UsageError
from pipeline.model import Track

ADD_EXAMPLES = """\
Examples:

  earmark catalogue add ~/Music/ripped-from-my-CDs
  earmark catalogue add one.flac two.flac
"""

REMOVE_EXAMPLES = """\
Examples:

  earmark catalogue remove 3f0c9a1b2d4e5f60
  earmark catalogue remove ~/Music/wrongly-tagged
"""

LIST_EXAMPLES = """\
Examples:

  earmark catalogue list
  earmark catalogue list --json > catalogue.jsonl
"""

SOME_FAILED = 3

app = typer.Typer(help="The reference tracks of the embedded engine: what it can name, for nothing.")

Which = Annotated[
    list[str],
    typer.Argument(metavar="TRACK", help="Ids of tracks (see list), or files and folders they came from."),
]


@app.command(epilog=ADD_EXAMPLES)
def add(
    paths: options.Paths,
    state: options.State = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Teach the engine music you know. Title, artist and album are taken from the files' tags."""
    terminal = Terminal(quiet=quiet, as_json=as_json)
    settings = load({"state": state}, config=config)
    raise typer.Exit(_add(terminal, settings, roots.resolved(paths), verbosity=verbose))


def _add(terminal: Terminal, settings: Settings, paths: list[bytes], *, verbosity: int) -> int:
    from pipeline.batch.enrol import enrol  # noqa: PLC0415 -- it brings the engine, see opening

    folder = opening.state_folder(settings)
    log.start(terminal, verbosity=verbosity, folder=folder)
    counts = Counts()

    def on_progress(done: int, total: int) -> None:
        nonlocal counts
        counts = Counts(total=total, done=done)

    catalogue = opening.catalogue(folder)
    with (
        opening.decoder(settings) as decoder,
        Progress(terminal, "learned", lambda: counts) as progress,
        stopping(progress.announce) as stop,
    ):
        result = enrol(
            paths,
            catalogue=catalogue,
            decoder=decoder,
            workers=settings.audio.workers,
            stop=stop,
            on_progress=on_progress,
        )
        if result.added and not stop.is_set():
            catalogue.warm_up()
    if terminal.as_json:
        terminal.data({"added": result.added, "already_there": result.already_there, "failed": result.failed})
    for path, message in result.failed:
        terminal.complain(f"not added  {printable(path)}: {printable(message)}")
    terminal.note(
        f"catalogue: {result.added:,} added, {result.already_there:,} already there, {len(result.failed):,} failed, "
        f"{len(catalogue):,} in all"
    )
    if not (result.added or result.already_there or result.failed or stop.is_set()):
        terminal.note(summary.NOTHING_THERE)
    if stop.is_set():
        return INTERRUPTED
    return SOME_FAILED if result.failed else 0


@app.command(epilog=REMOVE_EXAMPLES)
def remove(
    tracks: Which,
    state: options.State = None,
    config: options.Config = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Forget reference tracks. The music files themselves are not touched."""
    terminal = Terminal(quiet=quiet)
    settings = load({"state": state}, config=config)
    log.start(terminal, verbosity=verbose)
    catalogue = opening.known_catalogue(settings.state_folder())
    if catalogue is None:
        raise UsageError("the catalogue is empty", hint="earmark catalogue add DIR fills it")
    removed = catalogue.remove(track_ids=chosen(catalogue.tracks(), tracks))
    terminal.note(f"catalogue: {removed:,} removed, {len(catalogue):,} left")


def chosen(tracks: Sequence[KnownTrack], wanted: Iterable[str]) -> list[str]:
    """Ids of the tracks meant by `wanted`: ids, files, folders. Raises UsageError for one that means none."""
    ids: dict[str, None] = {}
    for word in wanted:
        place = os.path.abspath(os.path.expanduser(word))  # noqa: PTH100, PTH111 -- a name may hold any bytes
        below = os.path.join(place, "")  # noqa: PTH118
        meant = [
            track.track_id
            for track in tracks
            if track.track_id == word or track.path == place or track.path.startswith(below)
        ]
        if not meant:
            raise UsageError(
                f"the catalogue holds no track {printable(word)}",
                hint="earmark catalogue list shows what it holds",
            )
        ids.update(dict.fromkeys(meant))
    return list(ids)


@app.command("list", epilog=LIST_EXAMPLES)
def list_(
    state: options.State = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Show every reference track."""
    terminal = Terminal(quiet=quiet, as_json=as_json)
    settings = load({"state": state}, config=config)
    log.start(terminal, verbosity=verbose)
    catalogue = opening.known_catalogue(settings.state_folder())
    tracks = catalogue.tracks() if catalogue else []
    if as_json:
        for track in tracks:
            terminal.data(asdict(track))
        return
    table = quiet_table()
    table.add_column("track", no_wrap=True, style="dim")
    table.add_column("what it is", overflow="fold", ratio=2)
    table.add_column("length", justify="right", no_wrap=True)
    table.add_column("from", overflow="fold", ratio=2, style="dim")
    for track in tracks:
        name = named_track(Track(track.title, track.artist, track.album, track.year))
        table.add_row(track.track_id, Text(name), duration(track.duration_s), Text(printable(track.path)))
    if tracks:
        terminal.out.print(table)
    terminal.note(
        f"{counted(len(tracks), 'track')}, {duration(sum(track.duration_s for track in tracks))} of music"
    )
