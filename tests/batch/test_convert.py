"""Real files of awkward kinds become pieces that are worth asking about, and never more than was announced."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.audio import Decoder, is_silent, open_decoder
from pipeline.audio.ffmpeg import find
from pipeline.batch.budget import charged_seconds
from pipeline.batch.convert import Converted, Piece, convert
from pipeline.batch.options import Coverage, Options
from pipeline.batch.plan import segments_of
from pipeline.errors import MediaError
from pipeline.model import MAX_SEGMENT_S, MIN_SEGMENT_S, RATE_HZ, FileStatus, Pcm, Segment, SourceFile
from tests.music import song, write


@pytest.fixture(scope="module", params=["ffmpeg", "av"])
def decoder(request: pytest.FixtureRequest) -> Iterator[Decoder]:
    if request.param == "av":
        pytest.importorskip("av")
    with open_decoder(backend=request.param, workers=1) as opened:
        yield opened


def source(path: Path) -> SourceFile:
    found = path.stat()
    return SourceFile(os.fsencode(path), path.name, found.st_size, found.st_mtime_ns)


def converted(
    path: Path, decoder: Decoder, options: Options | None = None, *, hear_all: bool = False
) -> tuple[Converted, list[Piece]]:
    made = convert(source(path), decoder, options or Options(), hear_all=hear_all)
    return made, list(made.pieces)


def cost(pieces: list[Piece]) -> float:
    return sum(charged_seconds(piece.probe.length_s) for piece in pieces if piece.for_paid)


def silence(length_s: float) -> np.ndarray:
    return song(440, length_s) * 0


def test_a_header_that_promises_more_than_the_file_holds_is_measured(
    tmp_path: Path, decoder: Decoder
) -> None:
    path = write(tmp_path / "cut.flac", song(440, 200))
    os.truncate(path, path.stat().st_size // 4)
    assert decoder.inspect(str(path)).duration_s == pytest.approx(200, abs=1)
    made, pieces = converted(path, decoder)
    assert made.duration_s == pytest.approx(50, abs=5)
    assert [piece.segment.length_s for piece in pieces] == [15.0] * len(pieces) != []
    assert all(piece.segment.end_s <= made.duration_s for piece in pieces)


class Hiccuping:
    """A decoder that gives half of what it is first asked for, as when a disk or a network fails to read once."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def spans(self, path: str, segments: Sequence[Segment]) -> list[Pcm]:
        heard = self._decoder.spans(path, segments)
        if not self._failed:
            self._failed = True
            return [pcm[: len(pcm) // 2] for pcm in heard]
        return heard


@pytest.mark.parametrize("options", [Options(), Options(mix_after_s=60.0)], ids=["probes", "mix"])
def test_what_could_not_be_read_once_is_read_again_and_no_cut_segment_is_asked_about(
    tmp_path: Path, decoder: Decoder, options: Options
) -> None:
    path = write(tmp_path / "whole.wav", song(440, 130))
    _, expected = converted(path, decoder, options)
    made, pieces = converted(path, Hiccuping(decoder), options)  # type: ignore[arg-type]
    assert made.duration_s == 130
    assert [piece.segment.length_s for piece in pieces] == [15.0] * len(expected)
    assert [piece.probe.sha256 for piece in pieces] == [piece.probe.sha256 for piece in expected]


@pytest.mark.parametrize(
    "options",
    [Options(), Options(coverage=Coverage.FULL), Options(mix_after_s=60.0)],
    ids=["probes", "full", "mix"],
)
def test_a_file_of_which_next_to_nothing_is_left_is_damaged_and_not_short(
    tmp_path: Path, decoder: Decoder, options: Options
) -> None:
    path = write(tmp_path / "cut.flac", song(440, 100))
    os.truncate(path, path.stat().st_size * 3 // 100)
    with pytest.raises(MediaError, match=r"only \d\.\d s of it can be decoded, .* promises 100 s") as caught:
        converted(path, decoder, options)
    assert caught.value.status is FileStatus.UNREADABLE


def test_music_between_silent_places_is_found(tmp_path: Path, decoder: Decoder) -> None:
    path = write(tmp_path / "gaps.flac", silence(5), song(440, 25), silence(170))
    made, pieces = converted(path, decoder)
    assert made.nothing is None
    assert sorted(piece.segment.start_s for piece in pieces) == [0.0, 15.0]
    assert not any(is_silent(piece.probe.pcm) for piece in pieces)


def test_where_the_planned_places_are_silent_no_more_is_asked_than_was_planned(
    tmp_path: Path, decoder: Decoder
) -> None:
    # One probe in the middle was planned; around it there are two pieces, the last one 29 s long.
    path = write(tmp_path / "hole.flac", song(440, 14), silence(16), song(440, 14))
    _, pieces = converted(path, decoder)
    assert len(pieces) == 1
    assert 0 < cost(pieces) <= 15


def test_silence_throughout_is_said_and_nothing_is_asked(tmp_path: Path, decoder: Decoder) -> None:
    made, pieces = converted(write(tmp_path / "silent.flac", silence(60)), decoder)
    assert (made.nothing, made.note, pieces) == (FileStatus.SILENT, "nothing but silence", [])


@pytest.mark.parametrize("options", [Options(), Options(coverage=Coverage.FULL)])
def test_sides_that_cancel_each_other_out_are_heard_one_at_a_time(
    tmp_path: Path, decoder: Decoder, options: Options
) -> None:
    mono = write(tmp_path / "mono.wav", song(440, 60))
    path = tmp_path / "antiphase.flac"
    turned = ["-af", "pan=stereo|c0=c0|c1=-1*c0"]
    subprocess.run([find().path, "-v", "error", "-i", mono, *turned, path], check=True, timeout=60)
    _, pieces = converted(path, decoder, options)
    assert pieces
    for piece in pieces:
        spectrum = np.abs(np.fft.rfft(piece.probe.pcm.astype(np.float64)))
        assert np.argmax(spectrum) * RATE_HZ / len(piece.probe.pcm) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("length_s", [5.2, 14.0, 31.0, 47.0, 62.0])
def test_full_coverage_leaves_no_second_out_and_no_tail_too_short(
    tmp_path: Path, decoder: Decoder, length_s: float
) -> None:
    path = write(tmp_path / "tail.wav", song(440, length_s))
    made, pieces = converted(path, decoder, Options(coverage=Coverage.FULL))
    lengths = [piece.segment.length_s for piece in pieces]
    assert sum(lengths) == pytest.approx(length_s, abs=0.01) == made.duration_s
    assert all(min(length_s - 0.01, 15.0) <= length <= MAX_SEGMENT_S for length in lengths)
    ends = [0.0, *(piece.segment.end_s for piece in pieces)]
    assert [piece.segment.start_s for piece in pieces] == ends[:-1]


def test_a_file_under_five_seconds_costs_nothing(tmp_path: Path, decoder: Decoder) -> None:
    made, pieces = converted(write(tmp_path / "clip.mp3", song(440, 3)), decoder)
    assert (made.nothing, pieces) == (FileStatus.TOO_SHORT, [])
    assert f"at least {MIN_SEGMENT_S:.0f} s" in made.note


@pytest.mark.parametrize("content", [b"", b"this is a letter, not music. " * 99])
def test_what_is_no_music_is_an_error_of_that_file(tmp_path: Path, decoder: Decoder, content: bytes) -> None:
    path = tmp_path / "letter.mp3"
    path.write_bytes(content)
    with pytest.raises(MediaError):
        converted(path, decoder)


def test_a_copy_with_other_tags_has_the_same_content_and_other_music_has_not(
    tmp_path: Path, decoder: Decoder
) -> None:
    one = write(tmp_path / "one.flac", song(440, 70))
    two = tmp_path / "two.flac"
    tagged = ["-c", "copy", "-metadata", "title=Another name"]
    subprocess.run([find().path, "-v", "error", "-i", one, *tagged, two], check=True, timeout=60)
    other = write(tmp_path / "other.flac", song(440, 70, seed=1))
    ids = [converted(path, decoder)[0].content_id for path in (one, two, other)]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("hear_all", [True, False])
@pytest.mark.parametrize("segment_s", [15.0, 18.0, 25.0])
@pytest.mark.parametrize("length_s", [119.0, 136.0])
def test_a_mix_is_never_sent_more_of_than_the_plan_announced(
    tmp_path: Path, decoder: Decoder, segment_s: float, length_s: float, *, hear_all: bool
) -> None:
    options = Options(segment_s=segment_s, mix_after_s=60.0, mix_every_s=40.0)
    path = write(tmp_path / "mix.wav", song(440, length_s))
    _, pieces = converted(path, decoder, options, hear_all=hear_all)
    planned = segments_of(length_s, options, hear_all=hear_all)
    assert 0 < cost(pieces) <= sum(charged_seconds(segment.length_s) for segment in planned)
