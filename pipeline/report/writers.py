"""Which file name asks for which format, and how a report comes to stand whole in its place.

report.csv      + report.plays.csv
report.parquet  + report.plays.parquet
report.jsonl    + report.plays.jsonl
report.xlsx       sheets "files" and "plays"
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from pipeline.errors import UsageError
from pipeline.files import atomic_write, ensure_writable, storage_errors
from pipeline.model import FileRow, PlayRow
from pipeline.report.columns import FILE_COLUMNS, PLAY_COLUMNS, Column, Row
from pipeline.report.jsonl_table import write_jsonl

Files = Callable[[], Iterable[FileRow]]
Plays = Callable[[], Iterable[PlayRow]]


class Writer(Protocol):
    """Writes a report and returns the files it consists of, the one the user named first."""

    def __call__(self, target: Path, files: Files, plays: Plays, *, finished_at: str) -> list[Path]: ...


def write_reports(targets: Sequence[Path], files: Files, plays: Plays, *, finished_at: str) -> list[Path]:
    """Write every target in the format its ending asks for; return all files written, second tables included.

    `files` and `plays` are called once for each target, so that no format has to hold the rows. `finished_at`
    (ISO 8601, or "") is the only moment a report tells of itself: equal rows and moment give equal bytes.
    Raises UsageError for an unknown ending, before anything is written, and StorageError.
    """
    distinct = list(dict.fromkeys(targets))
    _check_names(distinct)
    written: list[Path] = []
    for target in distinct:
        written += _WRITERS[target.suffix.lower()](target, files, plays, finished_at=finished_at)
    return written


def check_targets(targets: Sequence[Path]) -> None:
    """Find out before anything is paid that a report cannot be written later: UsageError, StorageError."""
    distinct = list(dict.fromkeys(targets))
    _check_names(distinct)
    for target in distinct:
        for path in _paths(target):
            ensure_writable(path)


def _check_names(targets: Sequence[Path]) -> None:
    taken: dict[Path, Path] = {}
    for target in targets:
        if target.suffix.lower() not in _WRITERS:
            raise UsageError(
                f"no report format goes with the name {target}",
                hint=f"its ending must be one of {ENDINGS_SHOWN}",
            )
        for path in _paths(target):
            if (other := taken.setdefault(path.resolve(), target)) is not target:
                raise UsageError(
                    f"{other} and {target} would both write {path}", hint="give one another name"
                )


def _paths(target: Path) -> tuple[Path, ...]:
    return (target,) if target.suffix.lower() == ".xlsx" else (target, _plays_beside(target))


def _plays_beside(target: Path) -> Path:
    return target.with_name(f"{target.stem}.plays{target.suffix}")


def _write_csv(target: Path, files: Files, plays: Plays, *, finished_at: str) -> list[Path]:
    from pipeline.report.csv_table import write_csv  # noqa: PLC0415

    return _write_two(write_csv, target, files, plays)


def _write_parquet(target: Path, files: Files, plays: Plays, *, finished_at: str) -> list[Path]:
    from pipeline.report.parquet_table import write_parquet  # noqa: PLC0415

    return _write_two(write_parquet, target, files, plays)


def _write_jsonl(target: Path, files: Files, plays: Plays, *, finished_at: str) -> list[Path]:
    return _write_two(write_jsonl, target, files, plays)


def _write_xlsx(target: Path, files: Files, plays: Plays, *, finished_at: str) -> list[Path]:
    from pipeline.report.xlsx_book import write_xlsx  # noqa: PLC0415

    with atomic_write(target) as temporary:
        write_xlsx(temporary, files(), plays(), finished_at=finished_at)
    return [target]


def _write_two(
    write: Callable[[Path, Iterable[Row], tuple[Column, ...]], None], target: Path, files: Files, plays: Plays
) -> list[Path]:
    beside = _plays_beside(target)
    # Both tables are complete before either takes its place. The second goes first: whoever sees a new report
    # finds its plays there too.
    with ExitStack() as both:
        files_part = both.enter_context(atomic_write(target))
        plays_part = both.enter_context(atomic_write(beside))
        with storage_errors(target):
            write(files_part, files(), FILE_COLUMNS)
        write(plays_part, plays(), PLAY_COLUMNS)
    return [target, beside]


# Each writer loads its own libraries: pandas alone takes 0.4 s, which every other command would pay.
_WRITERS: dict[str, Writer] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".xlsx": _write_xlsx,
    ".jsonl": _write_jsonl,
}

ENDINGS = tuple(_WRITERS)
ENDINGS_SHOWN = ", ".join(ENDINGS)
