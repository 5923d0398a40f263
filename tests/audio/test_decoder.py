"""Every back end hears every format, and hears the same."""

from __future__ import annotations

import os
import tempfile
import threading
import wave
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio import Decoder, adts, encode, is_silent, level_dbfs, open_decoder
from pipeline.audio.child import Finished, Limits, run
from pipeline.model import RATE_HZ, Pcm, Segment, Tags

SEEK_TO_PACKETS = ("ogg", "wma", "m4a", "alac", "3gp", "3gpp", "mp4", "mka")
"""Formats whose demuxers, in one version of ffmpeg or another, start up to 0.1 s off the place asked for."""

FORMATS = ["wav", "aiff", "flac", "alac", "m4a", "aac", "3gp", "mp3", "mp2", "ogg", "opus", "wma", "mka"]


def lag_s(span: Pcm, whole: Pcm, start_s: float) -> float:
    """How much later than `start_s` the span lies in the whole file; NaN if it is not there."""
    begin = round(start_s * RATE_HZ)
    size = 1 << (len(whole) + len(span)).bit_length()
    spectrum = np.fft.rfft(whole.astype(float), size) * np.fft.rfft(span.astype(float), size).conj()
    place = int(np.fft.irfft(spectrum).argmax())
    there = whole[place : place + len(span)].astype(float)
    alike = there @ span / max(np.linalg.norm(there) * np.linalg.norm(span.astype(float)), 1.0)
    return (place - begin) / RATE_HZ if alike > 0.7 else float("nan")


@pytest.mark.parametrize("extension", FORMATS)
def test_three_spans_are_what_the_whole_file_has_there(
    decoder: Decoder, album: dict[str, Path], extension: str
) -> None:
    path = str(album[extension])
    segments = [Segment(20.0, 15.0), Segment(2.5, 15.0), Segment(26.0, 20.0)]
    spans = decoder.spans(path, segments)
    whole = np.concatenate(list(decoder.whole(path)))
    assert [len(span) for span in spans] == [120_000, 120_000, 160_000]
    for segment, span in zip(segments, spans, strict=True):
        assert abs(lag_s(span, whole, segment.start_s)) < (0.12 if extension in SEEK_TO_PACKETS else 0.02)


@pytest.mark.parametrize("extension", FORMATS)
def test_inspect_tells_duration_and_tags(
    decoder: Decoder, album: dict[str, Path], tags: Tags, extension: str
) -> None:
    info = decoder.inspect(str(album[extension]))
    assert info.has_audio
    assert info.duration_s == pytest.approx(48.0, abs=3.0 if extension == "aac" else 0.3)
    if extension not in ("aac", "mp2", "3gp"):  # raw streams hold no tags; nobody writes 3GPP's
        assert info.tags == tags


@pytest.mark.parametrize("extension", ["aif", "3gpp", "mp4"])
def test_the_other_extensions_of_these_formats_are_heard_too(
    decoder: Decoder, album: dict[str, Path], extension: str
) -> None:
    assert decoder.inspect(str(album[extension])).duration_s == pytest.approx(48.0, abs=0.3)
    assert len(decoder.spans(str(album[extension]), [Segment(20.0, 15.0)])[0]) == 120_000


@pytest.mark.parametrize("extension", FORMATS)
def test_measure_counts_the_true_duration(decoder: Decoder, album: dict[str, Path], extension: str) -> None:
    assert decoder.measure(str(album[extension])) == pytest.approx(48.0, abs=0.15)


def test_the_whole_file_comes_in_blocks_of_thirty_seconds(decoder: Decoder, album: dict[str, Path]) -> None:
    assert [len(block) for block in decoder.whole(str(album["flac"]))] == [240_000, 144_000]


def test_samples_may_be_changed_by_the_caller(decoder: Decoder, album: dict[str, Path]) -> None:
    for pcm in [
        *decoder.spans(str(album["flac"]), [Segment(0, 15)]),
        next(decoder.whole(str(album["flac"]))),
    ]:
        assert pcm.dtype == np.int16
        pcm += 1


def test_a_span_that_reaches_beyond_the_end_is_short(decoder: Decoder, album: dict[str, Path]) -> None:
    spans = decoder.spans(str(album["flac"]), [Segment(38.0, 15.0), Segment(10.0, 15.0), Segment(90.0, 15.0)])
    # Releases of swr differ by a sample in what they flush at the end.
    assert [len(span) for span in spans] == [pytest.approx(80_000, abs=1), 120_000, 0]


def test_no_segments_give_no_spans(decoder: Decoder, album: dict[str, Path]) -> None:
    assert decoder.spans(str(album["flac"]), []) == []


def test_many_segments_come_back_in_order(decoder: Decoder, album: dict[str, Path]) -> None:
    path = str(album["flac"])
    segments = [Segment(float(start), 1.0) for start in range(20, 0, -1)]
    whole = np.concatenate(list(decoder.whole(path)))
    for segment, span in zip(segments, decoder.spans(path, segments), strict=True):
        assert len(span) == RATE_HZ
        assert abs(lag_s(span, whole, segment.start_s)) < 0.001


def test_silence_at_the_end_of_a_span_is_not_taken_for_a_short_file(
    decoder: Decoder, tmp_path: Path, music: npt.NDArray[np.float32]
) -> None:
    samples = music[: 44_100 * 40].copy()
    samples[44_100 * 10 :] = 0
    encode(tmp_path / "fades.flac", samples, 44_100)
    spans = decoder.spans(str(tmp_path / "fades.flac"), [Segment(2.0, 15.0), Segment(20.0, 15.0)])
    assert [len(span) for span in spans] == [120_000, 120_000]
    assert [is_silent(span) for span in spans] == [False, True]


def test_hours_of_silence_do_not_cost_a_process_every_thirty_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "silence.flac"
    encode(path, np.zeros((8_000 * 3600, 2), np.float32), 8_000)
    started: list[Sequence[bytes]] = []

    def counted(argv: Sequence[bytes], *, limits: Limits) -> Finished:
        started.append(argv)
        return run(argv, limits=limits)

    monkeypatch.setattr("pipeline.audio.ffmpeg_decoder.run", counted)
    with open_decoder(backend="ffmpeg", workers=1) as decoder:
        assert sum(len(block) for block in decoder.whole(str(path))) == 3600 * RATE_HZ
    assert len(started) == 7  # after 1, 2, 4, 8, 16, 32 and 64 of the 120 blocks


@pytest.mark.parametrize("extension", ["flac", "mp3"])
def test_stereo_whose_sides_cancel_out_is_heard_by_one_side(
    decoder: Decoder, tmp_path: Path, music: npt.NDArray[np.float32], extension: str
) -> None:
    left = music[: 44_100 * 36, 0]
    path = tmp_path / f"antiphase.{extension}"
    encode(path, np.stack([left, -left], axis=1), 44_100)
    spans = decoder.spans(str(path), [Segment(2.0, 15.0), Segment(20.0, 15.0)])
    blocks = list(decoder.whole(str(path)))
    for heard in (*spans, *blocks):
        assert level_dbfs(heard) > -20
    whole = np.concatenate(blocks)
    assert len(whole) == pytest.approx(36 * RATE_HZ, abs=400)
    assert abs(lag_s(spans[1], whole, 20.0)) < 0.1


@pytest.mark.parametrize(
    ("rate_hz", "channels"), [(8000, 1), (11_025, 1), (48_000, 6), (96_000, 2), (192_000, 2), (44_100, 1)]
)
def test_any_rate_and_any_number_of_channels_comes_out_as_8_khz_mono(
    decoder: Decoder, tmp_path: Path, rate_hz: int, channels: int
) -> None:
    tone = 0.4 * np.sin(2 * np.pi * 440 * np.arange(rate_hz * 16) / rate_hz)
    path = tmp_path / "tone.wav"
    encode(path, np.repeat(tone[:, None], channels, axis=1).astype(np.float32), rate_hz)
    (span,) = decoder.spans(str(path), [Segment(0.5, 15.0)])
    assert len(span) == 120_000
    assert np.abs(np.fft.rfft(span)).argmax() == 440 * 15


NAMES = [
    b"-dash.mp3", b"space, 'quotes\".mp3", b"concat:a|b.mp3", b"http:x.mp3", b"perc%03d[0];.mp3",
    b"new\nline.mp3",     b"earmark-input-0", b"back\\slash.mp3",
    b"latin-1 \xe9\xff.mp3", b"  Duration: 99:00:00.00, #?.mp3",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_any_file_name_will_do(decoder: Decoder, album: dict[str, Path], tmp_path: Path, name: bytes) -> None:
    path = os.fsencode(tmp_path) + b"/" + name
    os.link(album["mp3"], path)
    shown = os.fsdecode(path)
    assert decoder.inspect(shown).duration_s == pytest.approx(48.0, abs=0.3)
    assert len(decoder.spans(shown, [Segment(5.0, 15.0)])[0]) == 120_000
    assert sum(len(block) for block in decoder.whole(shown)) == pytest.approx(48 * RATE_HZ, abs=800)


def test_a_wrong_extension_is_no_obstacle(decoder: Decoder, album: dict[str, Path], tmp_path: Path) -> None:
    for extension, wrong in (("flac", "mp3"), ("m4a", "wav"), ("ogg", "flac")):
        path = tmp_path / f"{extension}.{wrong}"
        os.link(album[extension], path)
        assert decoder.inspect(str(path)).duration_s == pytest.approx(48.0, abs=0.3)
        assert len(decoder.spans(str(path), [Segment(5.0, 15.0)])[0]) == 120_000


def test_several_threads_may_share_a_decoder(decoder: Decoder, album: dict[str, Path]) -> None:
    path = str(album["ogg"])
    starts = [float(start) for start in range(8)]
    barrier = threading.Barrier(4)

    def hear(start_s: float) -> Pcm:
        barrier.wait(timeout=60)
        return decoder.spans(path, [Segment(start_s, 15.0)])[0]

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(hear, starts))
    for start_s, pcm in zip(starts, together, strict=True):
        np.testing.assert_array_equal(pcm, decoder.spans(path, [Segment(start_s, 15.0)])[0])


def test_a_consumer_that_stops_early_leaves_no_process(decoder: Decoder, album: dict[str, Path]) -> None:
    before = _children()
    blocks = decoder.whole(str(album["wav"]))
    next(blocks)
    assert _children() - before
    blocks.close()
    assert not _children() - before


def _children() -> set[int]:
    mine = str(os.getpid())
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[1] == mine:
            found.add(int(status.parent.name))
    return found


@pytest.mark.parametrize("decoder", ["av"], indirect=True)
def test_sound_that_changes_its_form_midway_is_heard_throughout(decoder: Decoder, patchwork: Path) -> None:
    (span,) = decoder.spans(str(patchwork), [Segment(2.0, 26.0)])
    assert len(span) == 26 * RATE_HZ
    for second in range(26):
        assert not is_silent(span[second * RATE_HZ : (second + 1) * RATE_HZ])


def test_dts_disguised_as_the_samples_of_a_wav_is_recognised(
    decoder: Decoder, tmp_path: Path, music: npt.NDArray[np.float32]
) -> None:
    """As on a DTS CD: played as samples it is noise at full level."""
    encode(tmp_path / "song.dts", music[: 44_100 * 10], 44_100, options={"acodec": "dca", "strict": "-2"})
    path = tmp_path / "song.wav"
    with wave.open(str(path), "wb") as disguise:
        disguise.setnchannels(2)
        disguise.setsampwidth(2)
        disguise.setframerate(44_100)
        disguise.writeframes((tmp_path / "song.dts").read_bytes())
    encode(tmp_path / "plain.flac", music[: 44_100 * 10], 44_100)
    (span,) = decoder.spans(str(path), [Segment(2.0, 5.0)])
    (plain,) = decoder.spans(str(tmp_path / "plain.flac"), [Segment(2.0, 5.0)])
    assert level_dbfs(span) == pytest.approx(level_dbfs(plain), abs=1.0)


def test_the_length_of_a_raw_aac_file_is_counted_and_not_guessed(
    decoder: Decoder, album: dict[str, Path], tmp_path: Path
) -> None:
    content = album["aac"].read_bytes()
    path = tmp_path / "song.aac"
    for share in (1.0, 0.6, 0.3):
        path.write_bytes(content[: int(len(content) * share)])
        assert decoder.inspect(str(path)).duration_s == pytest.approx(decoder.measure(str(path)), abs=0.03)


def test_an_aac_file_with_tags_is_left_to_the_decoder(
    decoder: Decoder, album: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "song.aac"
    path.write_bytes(b"ID3\3\0\0\0\0\0\0" + album["aac"].read_bytes())
    assert adts.counted(str(path)) is None
    assert decoder.inspect(str(path)).duration_s == pytest.approx(48.0, abs=3.0)


@given(st.binary(max_size=200))
def test_no_bytes_are_more_than_an_aac_file_of_unknown_length(content: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".aac") as file:
        file.write(b"\xff\xf1" + content)
        file.flush()
        counted = adts.counted(file.name)
    assert counted is None or 0 < (counted.duration_s or 0) <= 200
