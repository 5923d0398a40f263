"""Files that wait together are decoded together, and a bad one among them costs only its own row."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio import Decoder, open_decoder
from pipeline.audio.child import Limits
from pipeline.audio.command import Spans
from pipeline.audio.sharing import FILES_AT_ONCE, INPUTS_AT_ONCE, Sharing
from pipeline.errors import MediaError
from pipeline.model import Pcm, Segment


def request(name: str, segments: int = 3) -> Spans:
    return Spans(name, (Segment(0.0, 5.0),) * segments, one_channel=False)


def heard(one: Spans) -> list[Pcm]:
    return [np.array([sum(map(ord, one.path))], np.int16)] * len(one.segments)


class Process:
    """In place of ffmpeg: the first call waits until it is let go, the others do as told."""

    def __init__(self, bad: str = "", error: Exception | None = None) -> None:
        self.calls: list[list[str]] = []
        self.go_on = threading.Event()
        self._bad, self._error = bad, error

    def decoded(self, requests: Sequence[Spans]) -> list[list[Pcm] | None]:
        self.calls.append([one.path for one in requests])
        if len(self.calls) == 1:
            assert self.go_on.wait(30)
        if self._bad in self.calls[-1]:
            if self._error is not None:
                raise self._error
            if len(requests) > 1:
                return [None] * len(requests)
        return [heard(one) for one in requests]


def asked_at_once(process: Process, requests: Sequence[Spans]) -> list[Future[list[Pcm]]]:
    """The requests by a thread each, in this order, all but the first while the only process is busy."""
    sharing = Sharing(1, process.decoded)
    with ThreadPoolExecutor(len(requests)) as threads:
        futures = []
        for number, one in enumerate(requests):
            futures.append(threads.submit(sharing.ask, one))
            deadline_s = time.monotonic() + 30
            while not process.calls or len(sharing._waiting) < number:
                assert time.monotonic() < deadline_s
        process.go_on.set()
    return futures


def test_what_waits_for_a_process_shares_the_next_one() -> None:
    process = Process()
    requests = [request(name) for name in "abcd"]
    futures = asked_at_once(process, requests)
    assert process.calls[0] == ["a"]
    assert sorted(process.calls[1]) == ["b", "c", "d"]
    for one, future in zip(requests, futures, strict=True):
        assert [pcm.tolist() for pcm in future.result()] == [pcm.tolist() for pcm in heard(one)]


@pytest.mark.parametrize(("segments", "most"), [(1, FILES_AT_ONCE), (3, FILES_AT_ONCE), (6, 2), (20, 1)])
def test_no_process_is_given_more_than_it_can_bear(segments: int, most: int) -> None:
    process = Process()
    asked_at_once(process, [request(name, segments) for name in "abcdefgh"])
    assert sorted(name for call in process.calls for name in call) == list("abcdefgh")
    assert max(map(len, process.calls)) == most
    assert most == 1 or most * segments <= INPUTS_AT_ONCE


@pytest.mark.parametrize("error", [None, MediaError("decoding was stopped")])
def test_spoilt_company_is_asked_one_by_one(error: Exception | None) -> None:
    process = Process(bad="c", error=error)
    requests = [request(name) for name in "abcd"]
    futures = asked_at_once(process, requests)
    assert sorted(process.calls[2:]) == [["b"], ["c"], ["d"]]
    for one, future in zip(requests, futures, strict=True):
        if one.path == "c" and error is not None:
            assert future.exception() is error
        else:
            assert [pcm.tolist() for pcm in future.result()] == [pcm.tolist() for pcm in heard(one)]


def test_a_bug_leaves_nobody_waiting() -> None:
    process = Process(bad="c", error=RuntimeError("a bug"))
    futures = asked_at_once(process, [request(name) for name in "abcd"])
    errors = [future.exception() for future in futures]
    assert errors[0] is None
    assert isinstance(errors[2], RuntimeError)


def test_files_decoded_together_sound_as_if_each_had_been_alone(
    decoder: Decoder, album: dict[str, Path], patchwork: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.mp3"
    cut.write_bytes(album["mp3"].read_bytes()[:200_000])
    text = tmp_path / "text.mp3"
    text.write_text("This is not music.\n" * 500)
    # The wheel's ffmpeg hangs on a patchwork of sounds until it is stopped: too long to wait for here.
    patchworks = [] if "wheel" in decoder.name else [patchwork]
    paths = [str(path) for path in (*album.values(), *patchworks, cut, text, tmp_path / "gone.mp3")] * 2
    segments = [Segment(20.0, 5.0), Segment(2.5, 5.0), Segment(7.9, 5.0)]

    def answer(path: str) -> list[bytes] | str:
        try:
            return [pcm.tobytes() for pcm in decoder.spans(path, segments)]
        except MediaError as error:
            return str(error)

    with ThreadPoolExecutor(10) as threads:
        together = dict(zip(paths, threads.map(answer, paths), strict=True))
    assert together == {path: answer(path) for path in paths}
    unheard = sorted(Path(path).name for path, found in together.items() if isinstance(found, str))
    assert unheard == ["gone.mp3", "text.mp3"]


@pytest.mark.slow
def test_segments_that_stop_each_other_are_decoded_one_by_one(decoder: Decoder, patchwork: Path) -> None:
    segments = [Segment(20.0, 5.0), Segment(2.5, 5.0), Segment(7.9, 5.0)]
    heard = [len(pcm) for pcm in decoder.spans(str(patchwork), segments)]
    assert heard[1:] == [40_000, 40_000]
    assert 20_000 < heard[0] <= 40_000


def test_company_that_breaks_a_limit_is_heard_one_by_one(
    album: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.audio.ffmpeg_decoder._SHARED_LIMITS", Limits(wall_s=0.0))
    paths = [str(album[extension]) for extension in ("flac", "mp3", "ogg", "wav", "opus")]
    with open_decoder(backend="ffmpeg", workers=1) as decoder, ThreadPoolExecutor(5) as threads:
        spans = list(threads.map(lambda path: decoder.spans(path, [Segment(1.0, 5.0)]), paths))
    assert [len(pcm) for (pcm,) in spans] == [40_000] * 5
