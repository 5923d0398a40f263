"""Free recognizers first, paid ones for what is left."""

from __future__ import annotations

from pathlib import Path

from pipeline.recognizers.audiotag import AudioTag
from tests.batch.runner import Runner, Shelf
from tests.music import PITCHES_HZ, song, write
from tests.services.audiotag import KEY, AudioTagService


def test_the_free_catalogue_answers_first_and_the_paid_service_gets_what_is_left(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    shelf = Shelf("Anna")
    with AudioTag(service.url, KEY) as paid:
        assert run(music, recognizers=[shelf, paid]).exit_code == 0
    rows = run.rows()
    assert {path: (row.title, row.recognizer, row.credits) for path, row in rows.items()} == {
        "a.mp3": ("Anna", "catalogue", 0),
        "b.ogg": ("Berta", service.url, 15),
        "unknown.flac": ("", "", 45),
    }
    assert shelf.heard == 9
    assert service.charged_s() == 60


def test_recognizers_are_asked_in_the_order_given(run: Runner, music: Path, service: AudioTagService) -> None:
    shelf = Shelf("Anna", "Berta")
    with AudioTag(service.url, KEY) as paid:
        run(music, recognizers=[paid, shelf])
    assert {row.recognizer for row in run.rows().values() if row.title} == {service.url}
    assert shelf.heard == 3
    assert service.charged_s() == 75


def test_in_a_mix_the_paid_service_gets_only_the_pieces_that_the_catalogue_left(
    run: Runner, tmp_path: Path, service: AudioTagService
) -> None:
    write(tmp_path / "mixes" / "mix.mp3", *(song(PITCHES_HZ[title], 90) for title in ("Anna", "Berta")))
    with AudioTag(service.url, KEY) as paid:
        run(tmp_path / "mixes", recognizers=[Shelf("Anna"), paid], mix_after_s=120.0, mix_every_s=30.0)
    assert [(title, round(start / 90), round(end / 90)) for _, title, start, end in run.plays()] == [
        ("Anna", 0, 1),
        ("Berta", 1, 2),
    ]
    assert service.charged_s() == 3 * 15
