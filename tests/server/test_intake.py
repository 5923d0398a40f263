"""From an upload to the samples that are analysed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio import Decoder, encode, open_decoder, read_native, wav_bytes
from pipeline.model import RATE_HZ, Segment
from pipeline.server.intake import Span, take_in
from pipeline.server.refusal import Refusal
from pipeline.wire.audiotag_errors import ErrorText
from tests.recognizers.conftest import noise


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with open_decoder(workers=1) as opened:
        yield opened


def ticks(length_s: int) -> npt.NDArray[np.float32]:
    """A tone whose loudness says which second it is."""
    at = np.arange(length_s * 8000)
    loud = 0.1 + 0.8 * (at // 8000) / length_s
    sound: npt.NDArray[np.float32] = (loud * np.sin(at * 0.35)).astype(np.float32)
    return sound


def taken(upload: Path, span: Span, decoder: Decoder, *, most_s: float = 3600) -> npt.NDArray[np.int16]:
    place = upload.with_suffix(".pcm")
    length_s = take_in(upload, place, span, decoder=decoder, most_s=most_s)
    pcm = np.fromfile(place, "<i2")
    assert len(pcm) == round(length_s * RATE_HZ)
    return pcm


@pytest.mark.parametrize("span", [Span(), Span(30.0), Span(12.5, 70.25), Span(0.0, 30.0), Span(170.0, 500.0)])
def test_native_audio_arrives_sample_by_sample(tmp_path: Path, decoder: Decoder, span: Span) -> None:
    pcm = noise(1, 200).pcm
    (tmp_path / "x.wav").write_bytes(wav_bytes(pcm))
    first = round(span.start_s * RATE_HZ)
    last = len(pcm) if span.length_s is None else first + round(span.length_s * RATE_HZ)

    np.testing.assert_array_equal(taken(tmp_path / "x.wav", span, decoder), pcm[first:last])


@pytest.mark.parametrize("ending", ["flac", "m4a", "ogg"])
def test_other_formats_arrive_whole_also_when_they_are_long(
    tmp_path: Path, decoder: Decoder, ending: str
) -> None:
    upload = tmp_path / f"x.{ending}"
    encode(upload, ticks(250), 8000)
    heard = taken(upload, Span(), decoder)
    late = taken(upload, Span(100.0, 20.0), decoder)

    assert abs(len(heard) / RATE_HZ - 250) < 0.2
    assert len(late) == 20 * RATE_HZ
    np.testing.assert_allclose(
        np.abs(late).max(), np.abs(heard[100 * RATE_HZ : 120 * RATE_HZ]).max(), rtol=0.05
    )


def test_no_more_is_analysed_than_the_limit(tmp_path: Path, decoder: Decoder) -> None:
    (tmp_path / "x.wav").write_bytes(wav_bytes(noise(1, 100).pcm))

    assert len(taken(tmp_path / "x.wav", Span(), decoder, most_s=45)) == 45 * RATE_HZ


@pytest.mark.parametrize("start_s", [47.0, 400.0])
def test_a_start_beyond_the_end_is_too_short(tmp_path: Path, decoder: Decoder, start_s: float) -> None:
    upload = tmp_path / "x.mp3"
    encode(upload, ticks(50), 8000)
    with pytest.raises(Refusal) as refusal:
        taken(upload, Span(start_s), decoder)

    assert refusal.value.error is ErrorText.TOO_SHORT


def test_a_video_without_sound_is_no_audio(tmp_path: Path, decoder: Decoder) -> None:
    (tmp_path / "x.wma").write_bytes(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(5000))
    with pytest.raises(Refusal) as refusal:
        taken(tmp_path / "x.wma", Span(), decoder)

    assert refusal.value.error is ErrorText.NO_AUDIO


@given(
    data=st.binary(max_size=80),
    known=st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", wav_bytes(noise(1, 1).pcm)[:36]]),
)
def test_no_bytes_upset_the_reader_of_native_audio(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, known: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.wav"
    path.write_bytes(known + data)
    pcm = read_native(path, Segment(0.0, 30.0))

    assert pcm is None or len(pcm) <= len(data) // 2
