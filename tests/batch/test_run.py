"""A whole run on real files, against a scripted service that keeps its own account of what it charged."""

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.audio import Decoder, open_decoder
from pipeline.batch.options import Coverage, Options
from pipeline.batch.plan import PlannedFile, estimate
from pipeline.batch.run import Outcome, identify
from pipeline.batch.tally import Tally
from pipeline.errors import TokenLost, UsageError
from pipeline.ledger import Ledger
from pipeline.model import FileRow, Match, Pcm, Probe, Recognition, Recognizer, Segment, Status, Tags, Track
from pipeline.recognizers.audiotag import AudioTag
from tests.music import PITCHES_HZ, UNKNOWN_HZ, named, song, write
from tests.services.audiotag import KEY, AudioTagService
from tests.services.faults import refused, says


@pytest.fixture(scope="session")
def decoder() -> Iterator[Decoder]:
    with open_decoder(workers=2) as opened:
        yield opened


@pytest.fixture(scope="session")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small folder of music, written once; tests copy what they change."""
    folder = tmp_path_factory.mktemp("songs")
    write(folder / "a.mp3", song(PITCHES_HZ["Anna"], 70), tags=Tags("Wrong", "Nobody"))
    write(folder / "b.ogg", song(PITCHES_HZ["Berta"], 70))
    write(folder / "unknown.flac", song(UNKNOWN_HZ, 70))
    return folder


@pytest.fixture
def music(songs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(songs, tmp_path / "music"))


@pytest.fixture
def service() -> Iterator[AudioTagService]:
    with AudioTagService(named) as running:
        yield running


class Counting:
    """A decoder that remembers what it was asked to decode."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.decoded: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._decoder, name)

    def spans(self, path: str, segments: Sequence[Segment]) -> list[Pcm]:
        self.decoded.append(Path(path).name)
        return self._decoder.spans(path, segments)

    def whole(self, path: str) -> Iterator[Pcm]:
        self.decoded.append(Path(path).name)
        return self._decoder.whole(path)


class Runner:
    """Runs the batch as the command does, one state folder for all runs."""

    def __init__(self, state: Path, service: AudioTagService, decoder: Decoder) -> None:
        self.state = state
        self.service = service
        self.decoder = Counting(decoder)
        self.stop = threading.Event()
        self.options = Options(jobs=4)

    def __call__(
        self, *roots: Path, recognizers: Sequence[Recognizer] | None = None, **changes: object
    ) -> Outcome:
        self.decoder.decoded.clear()
        with AudioTag(self.service.url, KEY) as paid, Ledger.open(self.state) as ledger:
            return identify(
                [os.fsencode(root) for root in roots],
                ledger=ledger,
                recognizers=recognizers if recognizers is not None else [paid],
                decoder=self.decoder,  # type: ignore[arg-type]
                options=replace(self.options, **changes),  # type: ignore[arg-type]
                tally=Tally(),
                stop=self.stop,
            )

    def plan(self, *roots: Path, **changes: object) -> list[PlannedFile]:
        with AudioTag(self.service.url, KEY) as paid, Ledger.open(self.state) as ledger:
            return list(
                estimate(
                    [os.fsencode(root) for root in roots],
                    ledger=ledger,
                    recognizers=[paid],
                    decoder=self.decoder,  # type: ignore[arg-type]
                    options=replace(self.options, **changes),  # type: ignore[arg-type]
                    tally=Tally(),
                    stop=self.stop,
                )
            )

    def rows(self, run_id: int | None = None) -> dict[str, FileRow]:
        with Ledger.read(self.state) as ledger:
            last = ledger.last_run()
            assert last is not None
            return {row.path: row for row in ledger.file_rows(run_id or last.run_id)}

    def plays(self) -> list[tuple[str, str, float, float]]:
        with Ledger.read(self.state) as ledger:
            last = ledger.last_run()
            assert last is not None
            return [(row.path, row.title, row.start_s, row.end_s) for row in ledger.play_rows(last.run_id)]


@pytest.fixture
def run(tmp_path: Path, service: AudioTagService, decoder: Decoder) -> Runner:
    return Runner(tmp_path / "state", service, decoder)


def statuses(rows: dict[str, FileRow]) -> dict[str, str]:
    return {path: row.status for path, row in rows.items()}


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


def test_the_cap_on_credits_holds_and_the_next_run_does_the_rest(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    capped = run(music, max_credits=20.0)
    assert capped.exit_code == 6
    assert service.charged_s() <= 20
    pending = [row for row in run.rows().values() if row.status == "pending"]
    assert pending
    assert "limit of 20 credits is used up" in pending[0].error
    assert pending[0].identified_at == ""
    assert run(music).exit_code == 0
    assert service.charged_s() == 75
    assert service.paid_twice() == []
    assert statuses(run.rows()) == {"a.mp3": "found", "b.ogg": "found", "unknown.flac": "not_found"}


def test_the_cap_on_files_leaves_the_rest_pending(run: Runner, music: Path) -> None:
    outcome = run(music, max_files=1)
    assert outcome.exit_code == 6
    assert statuses(run.rows()) == {"a.mp3": "found", "b.ogg": "pending", "unknown.flac": "pending"}
    assert run(music, max_files=1).exit_code == 6
    assert run(music, max_files=1).exit_code == 0


def test_a_key_refused_in_mid_run_stops_the_sending_and_leaves_the_rest_pending(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    service.plan("identify", *[refused("api key expired")] * 9)
    outcome = run(music, jobs=1)
    assert outcome.exit_code == 4
    assert set(statuses(run.rows()).values()) == {"pending"}
    assert service.charged_s() == 0


def test_credits_that_run_out_exit_with_their_own_code(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    service.free_s = 15
    outcome = run(music, jobs=1)
    assert outcome.exit_code == 7
    assert service.charged_s() == 15
    service.free_s = 1000
    assert run(music).exit_code == 0
    assert service.paid_twice() == []


def test_a_stop_leaves_pending_rows_and_the_same_command_goes_on(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    run.stop.set()
    assert run(music).exit_code == 130
    assert service.charged_s() == 0
    run.stop.clear()
    assert run(music).exit_code == 0
    assert statuses(run.rows()) == {"a.mp3": "found", "b.ogg": "found", "unknown.flac": "not_found"}


def test_an_answer_that_is_no_json_is_never_taken_for_not_found(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    service.plan("get_result", *[says("<html>oops</html>")] * 40)
    outcome = run(music, jobs=1, probes=1)
    rows = run.rows()
    assert outcome.exit_code == 3
    assert "not_found" not in statuses(rows).values()
    assert "could not be had" in next(row.error for row in rows.values() if row.status == "failed")


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


def test_a_token_of_a_run_that_was_cut_short_is_collected_first(
    run: Runner, music: Path, service: AudioTagService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: AudioTag, token: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(AudioTag, "result", killed)
        with pytest.raises(KeyboardInterrupt):
            run(music, jobs=1)
    paid = service.charged_s()
    assert paid > 0
    run.stop.clear()
    service.seen.clear()
    assert run(music).exit_code == 0
    actions = [seen.action for seen in service.seen]
    assert actions[0] == "get_result"
    assert service.paid_twice() == []
    assert service.charged_s() == 75


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


# ---- what changes between two runs


class Shelf:
    """A free recognizer that knows some of the pitches; a stand-in for the catalogue."""

    name = "catalogue"
    paid = False

    def __init__(self, *titles: str) -> None:
        self.titles = set(titles)
        self.heard = 0

    @property
    def edition(self) -> str:
        return " ".join(sorted(self.titles))

    def identify(self, probe: Probe) -> Recognition:
        self.heard += 1
        matches = tuple(
            Match(Track(row.title, row.artist, track_id=row.title), 0.97, start_s=0.0, end_s=probe.length_s)
            for candidate in named(probe.pcm)
            for row in candidate.rows
            if row.title in self.titles
        )
        return Recognition(Status.FOUND if matches else Status.NOT_FOUND, matches=matches)

    def result(self, token: str) -> Recognition:
        raise TokenLost("no token was given")

    def still_names(self, track_id: str) -> bool:
        return track_id in self.titles


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


def test_a_piece_of_a_mix_that_got_no_answer_gets_it_in_the_next_run(
    run: Runner, tmp_path: Path, service: AudioTagService
) -> None:
    write(tmp_path / "mixes" / "mix.mp3", *(song(PITCHES_HZ[title], 90) for title in ("Anna", "Berta")))
    service.plan("get_result", *[says("<html>oops</html>")] * 3)
    run(tmp_path / "mixes", jobs=1, mix_after_s=120.0, mix_every_s=90.0)
    (row,) = run.rows().values()
    assert (row.title, row.tracks) == ("Berta", 1)
    assert row.error.startswith("1 of 2 segments got no answer")
    run(tmp_path / "mixes", jobs=1, mix_after_s=120.0, mix_every_s=90.0)
    (row,) = run.rows().values()
    assert (row.tracks, row.error, row.credits) == (2, "", 30)
    assert service.charged_s() == 30


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
