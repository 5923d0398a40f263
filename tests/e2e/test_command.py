"""The command as a user runs it: a folder of music in, a spreadsheet out, and the service's own account of the cost."""

import csv
import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pandas
import pytest
from sqlalchemy import select

from pipeline.database import Database
from pipeline.ledger import UploadState, schema
from pipeline.model import Tags
from tests.conftest import Earmark
from tests.music import PITCHES_HZ, UNKNOWN_HZ, named, song, write
from tests.services.audiotag import KEY, AudioTagService
from tests.services.faults import refused

FILES = {
    "a.mp3": "Anna",
    "b.ogg": "Berta",
    "sub/c.flac": "Clara",
    "sub/=d.wav": "Dora",
    "sub/e.m4a": "Emma",
    "unknown.opus": "",
}


@pytest.fixture(scope="session")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("e2e") / "music"
    for number, (name, title) in enumerate(FILES.items()):
        pitch_hz = PITCHES_HZ.get(title, UNKNOWN_HZ)
        write(folder / name, song(pitch_hz, 65, seed=number), tags=Tags(title=f"tag {number}"))
    (folder / "letter.mp3").write_text("Dear reader, this is not music. " * 50)
    write(folder / "clip.wav", song(440, 3))
    return folder


@pytest.fixture
def music(songs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(songs, tmp_path / "music"))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[AudioTagService]:
    with AudioTagService(named) as running:
        monkeypatch.setenv("AUDIOTAG_URL", running.url)
        monkeypatch.setenv("AUDIOTAG_API_KEY", KEY)
        yield running


def csv_rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return {row["path"]: row for row in csv.DictReader(stream)}


def test_a_folder_of_music_becomes_a_spreadsheet(
    earmark: Earmark, music: Path, service: AudioTagService, tmp_path: Path
) -> None:
    out = [tmp_path / f"report.{ending}" for ending in ("csv", "parquet", "xlsx", "jsonl")]
    done = earmark("identify", music, *(f"--out={path}" for path in out), timeout_s=120)
    assert done.returncode == 3, done.stderr  # the letter cannot be read
    rows = csv_rows(out[0])
    for name, title in FILES.items():
        row = rows[f"'{name}" if name.startswith("=") else name]
        assert (row["title"], row["status"]) == (title, "found" if title else "not_found")
    assert rows["clip.wav"]["status"] == "too_short"
    assert float(rows["clip.wav"]["credits"] or 0) == 0
    assert rows["letter.mp3"]["error"]
    assert sum(float(row["credits"] or 0) for row in rows.values()) == service.charged_s() == 5 * 15 + 45

    frame = pandas.read_parquet(out[1]).set_index("path")
    assert dict(frame["title"])["a.mp3"] == "Anna"
    assert str(frame["identified_at"].dtype).startswith("datetime64")
    book = openpyxl.load_workbook(out[2])
    assert [cell.value for cell in book.worksheets[0][1]][:3] == ["path", "status", "title"]
    assert book.worksheets[0].freeze_panes
    assert len(book.worksheets) >= 2
    lines = [json.loads(line) for line in out[3].read_text(encoding="utf-8").splitlines()]
    assert [line["path"] for line in lines] == sorted((line["path"] for line in lines), key=str.encode)

    assert "balance" in done.stderr
    assert f"{service.charged_s()} credits" in done.stderr
    assert KEY not in done.stdout + done.stderr
    assert all(
        KEY not in path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()
    )


def test_the_report_can_be_written_again_byte_for_byte_without_asking_anybody(
    earmark: Earmark, music: Path, service: AudioTagService, tmp_path: Path
) -> None:
    names = ("one.csv", "one.parquet", "one.xlsx", "one.jsonl")
    earmark("identify", music, *(f"--out={tmp_path / name}" for name in names), timeout_s=120)
    asked = len(service.seen)
    again = [tmp_path / name.replace("one", "two") for name in names]
    assert earmark("report", *(f"--out={path}" for path in again)).returncode == 0
    assert len(service.seen) == asked
    for name, path in zip(names, again, strict=True):
        assert path.read_bytes() == (tmp_path / name).read_bytes(), name


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        ("api key expired", 4),
        ("api key inactive", 4),
        ("api key unrecognized", 4),
        ("api key invalid or empty", 4),
    ],
)
def test_a_refused_key_exits_4_before_anything_is_decoded_or_sent(
    earmark: Earmark, music: Path, service: AudioTagService, error: str, exit_code: int
) -> None:
    service.plan("info", *[refused(error)] * 5)
    done = earmark("identify", music)
    assert done.returncode == exit_code
    assert error in done.stderr
    assert "Traceback" not in done.stderr
    assert [seen.action for seen in service.seen] == ["info"]


def test_a_service_that_cannot_be_reached_exits_5(
    earmark: Earmark, music: Path, service: AudioTagService
) -> None:
    service.__exit__()
    done = earmark("identify", music, timeout_s=120)
    assert done.returncode == 5
    assert "Traceback" not in done.stderr


def test_credits_that_run_out_exit_7_and_keep_what_was_paid(
    earmark: Earmark, music: Path, service: AudioTagService, tmp_path: Path
) -> None:
    service.free_s, service.credits_s = 20, 0
    done = earmark("identify", music, f"--out={tmp_path / 'r.csv'}", "--jobs=1", timeout_s=120)
    assert done.returncode == 7, done.stderr
    assert service.charged_s() == 15
    found = Counter(row["status"] for row in csv_rows(tmp_path / "r.csv").values())
    assert found["found"] == 1
    assert found["pending"] == 5


def test_a_plan_costs_nothing_and_a_cap_is_kept(
    earmark: Earmark, music: Path, service: AudioTagService
) -> None:
    planned = earmark("plan", music, "--json")
    assert planned.returncode == 0
    rows = [json.loads(line) for line in planned.stdout.splitlines()]
    assert {row["path"]: row["credits_at_most"] for row in rows if "path" in row}["a.mp3"] == 45
    assert service.charges == []
    assert earmark("identify", music, "--max-credits=40", timeout_s=120).returncode == 6
    assert service.charged_s() <= 40


def test_with_nobody_to_ask_it_says_both_ways_on_in_three_lines(earmark: Earmark, music: Path) -> None:
    done = earmark("identify", music)
    assert done.returncode == 2
    said = done.stderr.strip().splitlines()
    assert len(said) == 3
    assert "nobody to ask" in said[0]
    assert "earmark catalogue add" in said[1]
    assert "AUDIOTAG_API_KEY" in said[2]
    assert done.stdout == ""


def test_ctrl_c_finishes_what_is_in_flight_and_reports(
    music: Path, service: AudioTagService, tmp_path: Path
) -> None:
    service.latency_s = 1.0
    report = tmp_path / "r.csv"
    running = started(music, report, "--jobs=2")
    until_charged(service, 1, running)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "finishing what is in flight; press again to stop now" in said
    rows = csv_rows(report)
    statuses = Counter(row["status"] for row in rows.values())
    assert statuses["pending"] > 0
    assert uploads(UploadState.SENT) == uploads(UploadState.INTENDED) == []
    finished = started(music, report)
    finished.communicate(timeout=120)
    assert finished.returncode == 3
    assert service.paid_twice() == []


@pytest.mark.slow
def test_the_embedded_engine_names_a_copy_in_another_codec(earmark: Earmark, tmp_path: Path) -> None:
    sample = tmp_path / "sample"
    assert earmark("sample", sample, timeout_s=300).returncode == 0
    added = earmark("catalogue", "add", sample / "catalogue", timeout_s=300)
    assert added.returncode == 0, added.stderr
    done = earmark("identify", sample / "music", f"--out={tmp_path / 'r.csv'}", timeout_s=300)
    rows = csv_rows(tmp_path / "r.csv")
    truth = json.loads((sample / "truth.json").read_text(encoding="utf-8"))["files"]
    assert set(rows) == set(truth)
    for name, expected in truth.items():
        assert rows[name]["status"] == expected["status"], name
        heard = [play["title"] for play in expected["plays"]]
        assert rows[name]["title"] in (heard or [expected.get("title", "")]), name
        assert int(rows[name]["tracks"]) == (len(expected["plays"]) or bool(rows[name]["title"])), name
    assert done.returncode in (0, 3)
    assert "nothing was sent to a paid service" in done.stderr


def started(music: Path, report: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "identify", music, f"--out={report}", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent.parent,
    )


def until_charged(service: AudioTagService, uploads: int, running: subprocess.Popen[str]) -> None:
    for _ in range(600):
        if len(service.charges) >= uploads:
            return
        try:
            running.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"ended before it sent anything: {running.communicate()[1]}")
    pytest.fail("sent nothing within a minute")


def uploads(state: UploadState) -> list[str]:
    from pipeline.config import load

    database = Database(load({}).state_folder() / "ledger.sqlite", read_only=True)
    with database.read() as connection:
        query = select(schema.uploads.c.sha256).where(schema.uploads.c.state == state.value)
        found = [row.sha256 for row in connection.execute(query)]
    database.close()
    return found
