"""The command, some music, a scripted service, and the books of both: for tests that break something on purpose."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from pipeline.database import Database
from pipeline.ledger import UploadState, schema
from tests.conftest import ROOT
from tests.music import PITCHES_HZ, song, write
from tests.services.audiotag import KEY, AudioTagService

UNLIKE = ("identified_at", "credits", "error", "segments_sent")
"""Columns in which an undisturbed run and one that was broken and went on may differ."""

IN_VAIN = {UploadState.IN_DOUBT.value, UploadState.CHARGED.value, UploadState.LOST.value}
BROKEN_OFF = IN_VAIN | {UploadState.CLEARED.value}

PLUGIN = Path(__file__).parent / "plugin"
"""A folder that makes the interpreter load our faults before it runs the command."""

SONG_S = 16.0


def sing(folder: Path, count: int = 3, *, first: int = 0) -> dict[str, str]:
    """Write `count` short songs that the scripted service knows, numbered from `first`; their names and titles."""
    titles = {number: list(PITCHES_HZ)[number % len(PITCHES_HZ)] for number in range(first, first + count)}
    for number, title in titles.items():
        write(folder / f"{number}.wav", song(PITCHES_HZ[title], SONG_S, seed=number))
    return {f"{number}.wav": title for number, title in titles.items()}


@dataclass(frozen=True)
class Done:
    """How the command ended."""

    code: int
    stdout: str
    stderr: str

    def errors(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if line.startswith("error: ")]


@dataclass
class Scene:
    """One folder of music with its own state, home, temporary folder and service."""

    folder: Path
    music: Path
    titles: Mapping[str, str]
    service: AudioTagService
    environment: dict[str, str] = field(default_factory=dict)
    begin: Callable[..., Any] = subprocess.Popen
    """What makes a process of a command, where no other program begins it."""

    def __post_init__(self) -> None:
        for path in (self.temporary, self.home, self.report.parent):
            path.mkdir(parents=True, exist_ok=True)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def report(self) -> Path:
        return self.folder / "reports" / "r.jsonl"

    def start(
        self, *more: str | Path, environment: Mapping[str, str] | None = None, **how: Any
    ) -> subprocess.Popen[str]:
        """`earmark identify` of the music, with what else is given."""
        arguments = ["identify", "--recognizer=audiotag", f"--state={self.state}", f"--out={self.report}"]
        return self.command(*arguments, *more, self.music, environment=environment, **how)

    def command(
        self,
        *arguments: str | Path,
        environment: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
        **how: Any,
    ) -> subprocess.Popen[str]:
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        begin = subprocess.Popen if before else self.begin
        process: subprocess.Popen[str] = begin(
            [*before, sys.executable, "-m", "pipeline", *arguments],
            text=True,
            errors="replace",
            cwd=self.home,
            env={
                **os.environ,
                "HOME": str(self.home),
                "TMPDIR": str(self.temporary),
                "PYTHONPATH": str(ROOT),
                "AUDIOTAG_URL": self.service.url,
                "AUDIOTAG_API_KEY": KEY,
                **self.environment,
                **(environment or {}),
            },
            **(streams | how),
        )
        return process

    def run(self, *more: str | Path, environment: Mapping[str, str] | None = None, **how: Any) -> Done:
        """`earmark identify` to its end."""
        return ended(self.start(*more, environment=environment, **how))

    def finish(self, *, after_random_kills: bool = False) -> dict[str, dict[str, Any]]:
        """One plain run to the end, which must do all that is left; the report's rows.

        Random kills may break off the upload of one and the same segment twice: then, and only then, it is given up.
        """
        done = self.run()
        rows = self.rows()
        broken_off = Counter(sha256 for sha256, state in self.uploads() if state in BROKEN_OFF)
        hopeless = sum(times > 1 for times in broken_off.values()) if after_random_kills else 0
        given_up = {name for name, row in rows.items() if row["status"] == "failed"}
        assert len(given_up) <= hopeless, done.stderr
        assert done.code == (3 if given_up else 0), done.stderr
        for name, title in self.titles.items():
            assert rows[name]["title"] == title or name in given_up, rows[name]
        self.check_books()
        assert self.leftovers() == [], self.leftovers()
        return rows

    def rows(self) -> dict[str, dict[str, Any]]:
        lines = self.report.read_text(encoding="utf-8").replace(self.service.url, "the service").splitlines()
        return {row["path"]: row for row in map(json.loads, lines)}

    def uploads(self) -> list[tuple[str, str]]:
        """Every upload in the ledger: the audio's SHA-256, and its state."""
        path = self.state / "ledger.sqlite"
        if not path.exists():
            return []
        database = Database(path, read_only=True)
        try:
            with database.read() as connection:
                query = select(schema.uploads.c.sha256, schema.uploads.c.state)
                return [(row.sha256, row.state) for row in connection.execute(query)]
        finally:
            database.close()

    def check_books(self) -> None:
        """No second was paid twice but where the ledger says that nobody could know; never more than three times."""
        charged = Counter(charge.sha256 for charge in self.service.charges)
        in_vain = Counter(sha256 for sha256, state in self.uploads() if state in IN_VAIN)
        twice = {sha256: times for sha256, times in charged.items() if times - 1 > in_vain[sha256]}
        assert twice == {}, f"paid again without doubt: {twice}, in doubt {in_vain}"
        assert max(charged.values(), default=0) <= 3, charged

    def leftovers(self) -> list[str]:
        """Temporary files that nobody removed."""
        left = [*self.temporary.iterdir(), *self.report.parent.glob(".*"), *self.state.glob("*-reserve")]
        return [path.name for path in left]


def ended(running: subprocess.Popen[str], *, timeout_s: float = 120.0) -> Done:
    """Wait for the command; whatever happened to it, it said so in plain words."""
    try:
        stdout, stderr = running.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        running.kill()
        raise
    done = Done(running.returncode, stdout, stderr)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert "Logging error" not in done.stderr, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr
    assert done.code != 70, done.stderr
    assert KEY not in done.stdout + done.stderr
    return done


def alike(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What of a report's rows must be the same however often a run was broken."""
    return {
        name: {column: row[column] for column in row if column not in UNLIKE} for name, row in rows.items()
    }


def fingerprint(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Every file below a folder: its content, its time, its mode."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
            path.stat().st_mode,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def with_file_limit(size_bytes: int) -> list[str]:
    """A program before the command: no file may grow beyond this (`ulimit -f`), however empty the disk is."""
    limit = (
        f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({size_bytes}, {size_bytes}))"
    )
    return [sys.executable, "-c", f"{limit}; os.execv(sys.argv[1], sys.argv[1:])"]


def without_root_powers() -> list[str]:
    """A program before the command: not even as root may it write where permissions forbid it."""
    drop = (
        "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE"
    )
    return (
        [sys.executable, "-c", f"{drop}\nos.execv(sys.argv[1], sys.argv[1:])"]
        if sys.platform == "linux"
        else []
    )
