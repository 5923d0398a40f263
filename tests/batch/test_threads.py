"""Whatever breaks in one thread of a run, the run ends: nobody waits for ever, and the cause is told."""

import os
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.decoder import MediaInfo
from pipeline.batch.options import Coverage, Options
from pipeline.batch.run import Outcome, identify
from pipeline.batch.tally import Tally
from pipeline.errors import KeyRefused, MediaError, StorageError, UploadInDoubt, UsageError
from pipeline.ledger import Ledger
from pipeline.model import (
    RATE_HZ,
    FileRow,
    Match,
    Pcm,
    Probe,
    Recognition,
    Segment,
    Status,
    Tags,
    Track,
)

FILES = 40


class Noise:
    """A decoder of made-up audio, another for every file; it does as told with some of them."""

    name = "noise"
    callers = 3

    def __init__(
        self, *, length_s: float = 60.0, fault: Exception | None = None, after_s: float = 0.0
    ) -> None:
        self.length_s = length_s
        self.fault = fault
        self.after_s = after_s
        self.open = 0

    def inspect(self, path: str) -> MediaInfo:
        return MediaInfo(self.length_s, Tags())

    def spans(self, path: str, segments: Sequence[Segment]) -> list[Pcm]:
        if self.fault is not None:
            raise self.fault
        return [self._pcm(path, segment.length_s) for segment in segments]

    def whole(self, path: str) -> Iterator[Pcm]:
        self.open += 1
        try:
            for start_s in np.arange(0.0, self.length_s, 30.0):
                if self.fault is not None and start_s >= self.after_s:
                    raise self.fault
                yield self._pcm(f"{path} {start_s}", min(30.0, self.length_s - start_s))
        finally:
            self.open -= 1

    def measure(self, path: str) -> float:
        return self.length_s

    def close(self) -> None: ...

    def __enter__(self) -> "Noise":
        return self

    def __exit__(self, *_: object) -> None: ...

    def _pcm(self, path: str, length_s: float) -> Pcm:
        seed = zlib.crc32(os.fsencode(path))
        return np.random.default_rng(seed).normal(0, 3000, round(length_s * RATE_HZ)).astype(np.int16)


class Paid:
    """A paid recognizer that finds everything, unless told otherwise."""

    name = "audiotag"
    paid = True
    edition = ""

    def __init__(self, *, fault: BaseException | None = None, after: int = 0) -> None:
        self.fault = fault
        self.after = after
        self.sent: list[str] = []
        self._lock = threading.Lock()

    def identify(self, probe: Probe) -> Recognition:
        with self._lock:
            self.sent.append(probe.sha256)
            if self.fault is not None and len(self.sent) > self.after:
                raise self.fault
        return Recognition(
            Status.FOUND, probe.sha256, (Match(Track("Song", "Band"), 0.97, 50.0),), probe.length_s
        )

    def result(self, token: str) -> Recognition:
        raise AssertionError("everything was answered at once")

    def still_names(self, track_id: str) -> bool:
        return True


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:03}.mp3").write_bytes(b"noise")
    return folder


class Running:
    """A run in a thread of its own, so that a test can tell that it never ends."""

    def __init__(self, music: Path, decoder: Noise, *recognizers: Paid, **choices: object) -> None:
        self.state = music.parent / "state"
        self.stop = threading.Event()
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._run, args=(music, decoder, recognizers, choices), daemon=True
        )
        self._thread.start()

    def _run(
        self, music: Path, decoder: Noise, recognizers: Sequence[Paid], choices: dict[str, object]
    ) -> None:
        try:
            with Ledger.open(self.state) as ledger:
                self.outcome = identify(
                    [os.fsencode(music)],
                    ledger=ledger,
                    recognizers=recognizers,
                    decoder=decoder,
                    options=Options(**{"jobs": 2, "workers": 2, **choices}),  # type: ignore[arg-type]
                    tally=Tally(),
                    stop=self.stop,
                )
        except BaseException as error:
            self.error = error

    def ended(self) -> "Running":
        self._thread.join(60)
        assert not self._thread.is_alive(), "the run hangs"
        names = {thread.name.split("-")[0].split("_")[0] for thread in threading.enumerate()}
        assert not names & {"local", "paying", "collect"}
        return self

    def rows(self) -> list[FileRow]:
        with Ledger.read(self.state) as ledger:
            last = ledger.last_run()
            assert last is not None
            return list(ledger.file_rows(last.run_id))


def test_a_run_on_made_up_audio_answers_every_file(music: Path) -> None:
    paid = Paid()
    done = Running(music, Noise(), paid).ended()
    assert done.outcome is not None
    assert done.outcome.exit_code == 0
    assert [row.status for row in done.rows()] == ["found"] * FILES
    assert len(paid.sent) == len(set(paid.sent)) == FILES


@pytest.mark.parametrize("after", [0, 5])
@pytest.mark.parametrize("coverage", [*Coverage])
def test_a_bug_in_a_paying_thread_ends_the_run_and_is_told(
    music: Path, coverage: Coverage, after: int
) -> None:
    done = Running(
        music, Noise(), Paid(fault=ZeroDivisionError("bug"), after=after), coverage=coverage
    ).ended()
    assert isinstance(done.error, ZeroDivisionError)


def test_a_bug_in_a_decoding_thread_ends_the_run_and_is_told(music: Path) -> None:
    done = Running(music, Noise(fault=ZeroDivisionError("bug")), Paid()).ended()
    assert isinstance(done.error, ZeroDivisionError)


def test_a_folder_that_cannot_take_the_segments_ends_the_run_with_exit_code_2(music: Path) -> None:
    (music.parent / "kept").write_text("in the way")
    done = Running(
        music, Noise(), Paid(), keep_segments=music.parent / "kept", coverage=Coverage.FULL
    ).ended()
    assert isinstance(done.error, StorageError)
    assert done.error.exit_code == 2


@pytest.mark.parametrize("error", [KeyRefused("api key expired"), UsageError("invalid command or parameter")])
def test_an_error_that_ends_all_paying_leaves_every_file_its_row(music: Path, error: Exception) -> None:
    paid = Paid(fault=error, after=6)
    done = Running(music, Noise(length_s=200.0), paid, coverage=Coverage.FULL).ended()
    assert done.outcome is not None
    assert done.outcome.exit_code == error.exit_code  # type: ignore[attr-defined]
    assert [row.status for row in done.rows()] == ["pending"] * FILES
    assert len(paid.sent) <= 6 + 2


def test_a_mix_that_breaks_off_in_mid_stream_keeps_what_was_heard(music: Path) -> None:
    decoder = Noise(length_s=300.0, fault=MediaError("it broke off"), after_s=120.0)
    done = Running(music, decoder, Paid(), coverage=Coverage.FULL).ended()
    assert done.outcome is not None
    assert {(row.status, row.error) for row in done.rows()} == {("found", "it broke off")}
    assert {row.credits for row in done.rows()} == {7 * 15.0}
    assert decoder.open == 0


def test_a_stop_in_mid_mix_ends_at_once_and_the_next_run_pays_only_for_the_rest(music: Path) -> None:
    first, decoder = Paid(), Noise(length_s=240.0)
    running = Running(music, decoder, first, coverage=Coverage.FULL)
    deadline = time.monotonic() + 30
    while len(first.sent) < 50 and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    running.stop.set()
    running.ended()
    assert running.outcome is not None
    assert running.outcome.exit_code == 130
    assert decoder.open == 0
    second = Paid()
    done = Running(music, Noise(length_s=240.0), second, coverage=Coverage.FULL).ended()
    assert [row.status for row in done.rows()] == ["found"] * FILES
    assert set(first.sent).isdisjoint(second.sent)
    assert sum(row.credits for row in done.rows()) == 240.0 * FILES


def test_a_state_folder_that_fills_up_ends_the_run_with_one_line(
    music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = Ledger.record

    def full(self: Ledger, *args: object, **more: object) -> None:
        if self.uploads.waiting("audiotag") == [] and threading.current_thread().name.startswith("paying"):
            raise StorageError("the database cannot be used: database or disk is full")
        answered(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Ledger, "record", full)
    done = Running(music, Noise(), Paid()).ended()
    assert isinstance(done.error, StorageError)


def test_a_service_that_takes_every_upload_and_answers_none_costs_no_more_than_the_manual_says(
    music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pause in ("FIRST_PAUSE_S", "LONGEST_PAUSE_S", "LATER_S"):
        monkeypatch.setattr(f"pipeline.retry.breaker.{pause}", 0.01)
    paid = Paid(fault=UploadInDoubt("the connection broke"))
    done = Running(music, Noise(), paid, jobs=8).ended()
    assert done.outcome is not None
    assert done.outcome.exit_code == 5
    assert "the connection broke" in str(done.outcome.stopped_by)
    assert [row.status for row in done.rows()] == ["pending"] * FILES
    assert len(paid.sent) == len(set(paid.sent)) <= 8 + 7 + 8
