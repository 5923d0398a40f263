"""The options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ASK, LIMITS, FILES, SPEAK = "Who is asked", "Limits", "Files", "Output"

Paths = Annotated[
    list[str],
    typer.Argument(metavar="PATH", help="Folders and files of music; - reads a list of paths from stdin."),
]
Recognizer = Annotated[
    list[str] | None,
    typer.Option(
        "--recognizer",
        metavar="NAME[,NAME...]",
        help="In order of asking: catalogue (what you taught it, free), audiotag (the paid service), or the "
        "https address of another AudioTag-compatible service. Default: catalogue, then audiotag if a "
        "key is set.",
        rich_help_panel=ASK,
    ),
]
Insecure = Annotated[
    bool | None,
    typer.Option(
        "--insecure",
        metavar="",
        help="Accept an http address that is not this machine.",
        rich_help_panel=ASK,
    ),
]
Coverage = Annotated[
    str | None,
    typer.Option(
        "--coverage",
        metavar="probe|full",
        help="probe: as few segments as settle the answer (default). full: the whole file, for mixes.",
        rich_help_panel=ASK,
    ),
]
SegmentLength = Annotated[
    str | None,
    typer.Option(
        "--segment",
        metavar="SECONDS",
        help="Length of a segment, 15 to 30 (default 15).",
        rich_help_panel=ASK,
    ),
]
MaxCredits = Annotated[
    str | None,
    typer.Option(
        "--max-credits",
        metavar="N",
        help="Send at most N seconds of audio to paid services.",
        rich_help_panel=LIMITS,
    ),
]
NoReuse = Annotated[
    bool,
    typer.Option(
        "--no-reuse",
        metavar="",
        help="Pay again for the same recording in another encoding; equal samples still cost nothing.",
        rich_help_panel=LIMITS,
    ),
]
MaxFiles = Annotated[
    str | None,
    typer.Option(
        "--max-files",
        metavar="N",
        help="Answer at most N files that have no answer yet.",
        rich_help_panel=LIMITS,
    ),
]
Jobs = Annotated[
    str | None,
    typer.Option(
        "--jobs",
        metavar="N",
        help="Segments being uploaded or waited for at the same time (default 8).",
        rich_help_panel=LIMITS,
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="PATTERN",
        help="Only files like this, e.g. '*.mp3'; repeatable.",
        rich_help_panel=FILES,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="PATTERN",
        help="No files like this, e.g. 'podcasts/**'; repeatable.",
        rich_help_panel=FILES,
    ),
]
KeepSegments = Annotated[
    Path | None,
    typer.Option(
        "--keep-segments",
        metavar="DIR",
        help="Write every segment asked about as a WAV file.",
        rich_help_panel=FILES,
    ),
]
State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="Where ledger and catalogue live (default: the platform's state folder).",
        rich_help_panel=FILES,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="A TOML file of settings.", rich_help_panel=FILES),
]
Out = Annotated[
    list[Path] | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Write a report; the ending chooses the format: .csv .parquet .xlsx .jsonl; repeatable.",
        rich_help_panel=SPEAK,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", metavar="", help="Print one JSON object a line on stdout.", rich_help_panel=SPEAK),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "-q",
        "--quiet",
        metavar="",
        help="No progress, no summary; data and errors only.",
        rich_help_panel=SPEAK,
    ),
]
Verbose = Annotated[
    int,
    typer.Option(
        "-v",
        "--verbose",
        count=True,
        metavar="",
        show_default=False,
        help="Say more; -vv says everything.",
        rich_help_panel=SPEAK,
    ),
]


def joined(names: list[str] | None) -> str | None:
    """A repeatable list option as one comma list, so that `-x a,b` and `-x a -x b` mean the same."""
    return ",".join(names) if names else None
