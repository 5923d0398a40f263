"""Long files, heard piece by piece."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.batch.options import Coverage
from tests.batch.runner import Runner, Shelf, is_song
from tests.music import PITCHES_HZ, song, write
from tests.services.audiotag import AudioTagService
from tests.services.faults import says


def test_a_mix_gets_a_tracklist(run: Runner, tmp_path: Path, service: AudioTagService) -> None:
    parts = [song(PITCHES_HZ[title], 90) for title in ("Anna", "Berta", "Clara")]
    write(tmp_path / "mixes" / "mix.mp3", *parts)
    run(tmp_path / "mixes", mix_after_s=240.0, mix_every_s=30.0)
    (row,) = run.rows().values()
    assert (row.status, row.tracks) == ("found", 3)
    assert [(title, round(start / 90), round(end / 90)) for _, title, start, end in run.plays()] == [
        ("Anna", 0, 1),
        ("Berta", 1, 2),
        ("Clara", 2, 3),
    ]
    assert service.charged_s() == 9 * 15


def test_full_coverage_asks_about_every_second(run: Runner, music: Path, service: AudioTagService) -> None:
    run(music / "a.mp3", coverage=Coverage.FULL)
    ((_, title, start_s, end_s),) = run.plays()
    assert (title, start_s) == ("Anna", 0)
    assert end_s == pytest.approx(70, abs=0.2)
    assert service.charged_s() in {70, 71}


def test_a_mix_is_heard_again_when_a_track_was_added_or_removed(run: Runner, tmp_path: Path) -> None:
    mix = write(tmp_path / "mixes" / "mix.mp3", *(song(PITCHES_HZ[title], 90) for title in ("Anna", "Berta")))

    def titles(*known: str) -> list[str]:
        run(mix.parent, recognizers=[Shelf(*known)], mix_after_s=120.0)
        return [title for _, title, _, _ in run.plays()]

    assert titles("Anna") == ["Anna"]
    assert titles("Anna", "Berta") == ["Anna", "Berta"]
    assert run.decoder.decoded == ["mix.mp3"]
    assert titles("Anna", "Berta", "Clara") == ["Anna", "Berta"]
    assert run.decoder.decoded == []
    assert titles("Anna") == ["Anna"]


def test_a_piece_of_a_mix_that_got_no_answer_is_asked_for_again_and_paid_once(
    run: Runner, tmp_path: Path, service: AudioTagService
) -> None:
    write(tmp_path / "mixes" / "mix.mp3", *(song(PITCHES_HZ[title], 90) for title in ("Anna", "Berta")))
    service.plan_about(is_song("Anna"), "get_result", says("<html>oops</html>"), times=7)
    run(tmp_path / "mixes", jobs=1, mix_after_s=120.0, mix_every_s=90.0)
    (row,) = run.rows().values()
    assert (row.title, row.tracks) == ("Berta", 1)
    assert row.error.startswith("1 of 2 segments got no answer")
    run(tmp_path / "mixes", jobs=1, mix_after_s=120.0, mix_every_s=90.0)
    (row,) = run.rows().values()
    assert (row.tracks, row.error, row.credits) == (2, "", 30)
    assert service.charged_s() == 30
