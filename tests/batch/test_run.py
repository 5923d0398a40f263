"""A whole run on real files: a row for each, its cost, and what a second run does."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from pipeline.batch.options import Coverage
from pipeline.database import Database
from pipeline.errors import UsageError
from pipeline.ledger import Ledger, UploadState, schema
from tests.batch.runner import Runner, is_unknown, statuses
from tests.music import PITCHES_HZ, song, write
from tests.services.audiotag import AudioTagService
from tests.services.faults import says


def test_every_file_gets_its_row_and_its_cost(run: Runner, music: Path, service: AudioTagService) -> None:
    write(music / "sub" / "short.wav", song(440, 3))
    write(music / "sub" / "silent.mp3", song(440, 70) * 0)
    (music / "empty.mp3").touch()
    (music / "text.mp3").write_text("this is a letter, not music. " * 99)
    outcome = run(music)
    rows = run.rows()
    assert statuses(rows) == {
        "a.mp3": "found",
        "b.ogg": "found",
        "unknown.flac": "not_found",
        "empty.mp3": "unreadable",
        "sub/short.wav": "too_short",
        "sub/silent.mp3": "silent",
        "text.mp3": rows["text.mp3"].status,
    }
    assert rows["text.mp3"].status in {"no_audio", "unreadable"}
    anna = rows["a.mp3"]
    assert (anna.title, anna.artist, anna.album, anna.year) == ("Anna", "The Sines", "Pitches", 1999)
    assert (anna.tag_title, anna.tag_artist) == ("Wrong", "Nobody")
    assert (anna.segments_sent, anna.segments_agreeing, anna.credits, anna.raw_score) == (1, 1, 15.0, 55.0)
    assert anna.duration_s == pytest.approx(70, abs=0.2)
    assert rows["unknown.flac"].credits == 45.0
    assert rows["empty.mp3"].error.startswith("the file is empty")
    assert sum(row.credits for row in rows.values()) == service.charged_s() == 15 + 15 + 45
    assert outcome.exit_code == 3
    assert outcome.counts.credits == service.charged_s()


def test_running_again_sends_nothing_and_decodes_nothing(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    first = run(music)
    charged, before = service.charged_s(), run.rows()
    second = run(music)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert service.charged_s() == charged
    assert run.decoder.decoded == []
    assert second.counts.unchanged == 3
    assert run.rows() == before


def test_copies_and_moved_files_cost_nothing(run: Runner, music: Path, service: AudioTagService) -> None:
    run(music)
    charged = service.charged_s()
    (music / "deep").mkdir()
    shutil.copy(music / "a.mp3", music / "deep" / "copy of a.mp3")
    (music / "b.ogg").rename(music / "deep" / "moved.ogg")
    run(music)
    rows = run.rows()
    assert service.charged_s() == charged
    assert rows["deep/copy of a.mp3"].title == "Anna"
    assert rows["deep/copy of a.mp3"].credits == 0
    assert rows["deep/copy of a.mp3"].duplicate_group == rows["a.mp3"].duplicate_group != ""
    assert rows["deep/moved.ogg"].title == "Berta"


def test_a_changed_file_is_asked_about_again(run: Runner, music: Path, service: AudioTagService) -> None:
    run(music)
    write(music / "a.mp3", song(PITCHES_HZ["Clara"], 60))
    run(music)
    assert run.decoder.decoded == ["a.mp3"]
    assert run.rows()["a.mp3"].title == "Clara"


@pytest.mark.parametrize(
    "body", ["<html>oops</html>", "", '{"success":true,"res', '{"success":true,"result":"not sure"}']
)
def test_an_answer_that_is_none_is_kept_and_never_taken_for_not_found(
    run: Runner, music: Path, service: AudioTagService, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Asked aside too, on a busy machine, so many bad answers in a row would look like a service that is down.
    monkeypatch.setattr("pipeline.batch.backlog.SLOW_EVERY_S", 600.0)
    service.plan_about(is_unknown, "get_result", says(body))
    outcome = run(music, jobs=1, probes=1)
    rows = run.rows()
    assert outcome.exit_code == 3
    assert statuses(rows) == {"a.mp3": "found", "b.ogg": "found", "unknown.flac": "failed"}
    assert "charged, no answer yet; the next run asks for it" in rows["unknown.flac"].error
    assert rows["unknown.flac"].credits == 15
    if body:
        assert waiting_for(run) == [body]
    service.behave()
    assert run(music, probes=1).exit_code == 0
    assert waiting_for(run) == []
    assert service.paid_twice() == []


def waiting_for(run: Runner) -> list[str]:
    """What the ledger holds that came in the place of answers still awaited."""
    database = Database(run.state / "ledger.sqlite", read_only=True)
    with database.read() as connection:
        query = select(schema.uploads.c.raw).where(schema.uploads.c.state == UploadState.SENT.value)
        found = [row.raw for row in connection.execute(query)]
    database.close()
    return found


def test_a_plan_names_the_most_a_run_can_cost_and_sends_nothing(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    planned = run.plan(music)
    assert [(file.path, file.segments_at_most, file.credits_at_most) for file in planned] == [
        ("a.mp3", 3, 45.0),
        ("b.ogg", 3, 45.0),
        ("unknown.flac", 3, 45.0),
    ]
    assert service.seen == []
    run(music)
    assert [file.note for file in run.plan(music)] == ["answered and unchanged since"] * 3


def test_names_of_every_kind_are_answered(run: Runner, songs: Path, tmp_path: Path) -> None:
    names = [
        b"-dash.mp3",
        b"new\nline.mp3",
        b"q'uo\"te.mp3",
        b"\xff\xfe.mp3",
        b"concat:a|b.mp3",
        b"perc%03d.mp3",
    ]
    folder = tmp_path / "names"
    folder.mkdir()
    for name in names:
        shutil.copy(songs / "a.mp3", os.fsencode(folder) + b"/" + name)
    assert run(folder).exit_code == 0
    rows = run.rows()
    assert {os.fsencode(path) for path in rows} == set(names)
    assert {row.title for row in rows.values()} == {"Anna"}
    assert sum(row.credits for row in rows.values()) == 15


def test_kept_segments_are_wav_files_named_by_source_and_second(
    run: Runner, music: Path, tmp_path: Path
) -> None:
    run(music / "a.mp3", keep_segments=tmp_path / "kept")
    names = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert len(names) == 3
    assert all(name.startswith("a.mp3.") and name.endswith(".wav") for name in names)
    assert (tmp_path / "kept" / names[0]).read_bytes()[:4] == b"RIFF"


def test_a_file_that_vanishes_costs_one_row(
    run: Runner, music: Path, service: AudioTagService, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspect = run.decoder._decoder.inspect

    def vanishing(path: str) -> object:
        if path.endswith("b.ogg"):
            Path(path).unlink()
        return inspect(path)

    monkeypatch.setattr(run.decoder, "inspect", vanishing, raising=False)
    outcome = run(music)
    rows = run.rows()
    assert outcome.exit_code == 3
    assert rows["b.ogg"].status in {"failed", "unreadable"}
    assert statuses(rows)["a.mp3"] == "found"


def test_credits_are_what_this_answer_cost_and_an_old_report_stays_as_it_was(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    first = run(music)
    before = run.rows()
    write(music / "a.mp3", song(PITCHES_HZ["Clara"], 60, seed=5))
    run(music)
    rows = run.rows()
    assert (rows["a.mp3"].title, rows["a.mp3"].credits, rows["a.mp3"].segments_sent) == ("Clara", 15, 1)
    assert rows["b.ogg"].credits == 15
    run(music, coverage=Coverage.FULL)
    assert run.rows()["unknown.flac"].credits == pytest.approx(70, abs=1)
    assert run.rows(first.run_id) == before


def test_a_folder_that_is_not_there_is_told_before_a_run_begins(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="link cannot be read"):
        run(tmp_path / "link")
    with Ledger.read(run.state) as ledger:
        assert ledger.last_run() is None
