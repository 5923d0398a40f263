"""Silence, WAV, encoding, tags and messages: the small parts of the audio room."""

from __future__ import annotations

import io
import math
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio import encode, is_silent, level_dbfs, open_decoder, wav_bytes, write_wav
from pipeline.audio.chatter import translated
from pipeline.audio.tags import clean, year_in
from pipeline.errors import MediaError
from pipeline.model import FileStatus, Pcm, Segment, Tags

TONE: Pcm = np.round(3276.7 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)).astype(np.int16)


def test_levels_are_those_of_the_textbook() -> None:
    assert level_dbfs(TONE) == pytest.approx(-23.01, abs=0.01)  # a sine of amplitude 0.1
    assert level_dbfs(np.zeros(8000, np.int16)) == -math.inf
    assert level_dbfs(np.empty(0, np.int16)) == -math.inf


def test_hiss_is_silence_and_quiet_music_is_not() -> None:
    hiss = np.random.default_rng(0).normal(0, 10, 120_000).astype(np.int16)  # -70 dBFS
    assert is_silent(hiss)
    assert is_silent(np.empty(0, np.int16))
    assert not is_silent((TONE * 0.05).astype(np.int16))  # -49 dBFS


@given(st.lists(st.integers(-32768, 32767), max_size=300))
def test_a_wav_holds_the_samples_it_was_made_of(samples: list[int]) -> None:
    pcm = np.array(samples, np.int16)
    with wave.open(io.BytesIO(wav_bytes(pcm))) as read:
        assert (read.getframerate(), read.getnchannels(), read.getsampwidth()) == (8000, 1, 2)
        np.testing.assert_array_equal(np.frombuffer(read.readframes(len(pcm)), "<i2"), pcm)


def test_a_wav_file_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", TONE)
    assert (tmp_path / "a.wav").read_bytes() == wav_bytes(TONE)


@pytest.mark.parametrize("extension", ["mp3", "flac", "ogg", "m4a", "wav"])
def test_the_same_samples_give_the_same_file(
    tmp_path: Path, music: npt.NDArray[np.float32], extension: str
) -> None:
    for name in ("one", "two"):
        encode(tmp_path / f"{name}.{extension}", music[:44_100], 44_100, tags=Tags("Title", "Artist"))
    assert (tmp_path / f"one.{extension}").read_bytes() == (tmp_path / f"two.{extension}").read_bytes()


def test_options_reach_the_encoder(tmp_path: Path, music: npt.NDArray[np.float32]) -> None:
    for rate in ("64k", "192k"):
        encode(tmp_path / f"{rate}.mp3", music[: 44_100 * 5], 44_100, options={"audio_bitrate": rate})
    sizes = [(tmp_path / f"{rate}.mp3").stat().st_size for rate in ("64k", "192k")]
    assert sizes == [pytest.approx(40_000, rel=0.1), pytest.approx(120_000, rel=0.1)]


def test_mono_samples_stay_as_loud_as_they_were(tmp_path: Path, music: npt.NDArray[np.float32]) -> None:
    left = music[: 44_100 * 16, 0]
    encode(tmp_path / "mono.flac", left, 44_100)
    with open_decoder(backend="ffmpeg", ffmpeg="wheel", workers=1) as decoder:
        (span,) = decoder.spans(str(tmp_path / "mono.flac"), [Segment(0.0, 15.0)])
    assert level_dbfs(span) == pytest.approx(20 * math.log10(float(np.sqrt((left**2).mean()))), abs=0.5)


def test_an_encoder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with pytest.raises(
        MediaError, match=r"song\.mp3 could not be encoded by ffmpeg .*: Unknown encoder"
    ) as caught:
        encode(path, np.zeros(8000, np.float32), 8000, options={"acodec": "nonesuch"})
    assert caught.value.status is FileStatus.FAILED
    assert not path.exists()


@given(st.text(max_size=2000))
def test_a_clean_tag_fits_a_cell(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) <= 500
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in cleaned)
    cleaned.encode()
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize(
    ("date", "year"),
    [
        ("1999", 1999),
        ("1999-03-01T10:00", 1999),
        ("(p) 2004", 2004),
        ("31.12.1987", 1987),
        ("0000", None),
        ("", None),
        (None, None),
        ("19991231", None),
        (1975, 1975),
        ("99", None),
    ],
)
def test_the_year_is_found_in_a_date(date: object, year: int | None) -> None:
    assert year_in(date) == year


@pytest.mark.parametrize(
    ("stderr", "status", "message"),
    [
        (b"file:/m/a.mp3: Permission denied\n", "unreadable", "permission to read it was denied"),
        (b"file:/m/a.mp3: No such file or directory\n", "failed", "it was not there any more"),
        (b"[mp3 @ 0x55] Cannot allocate memory\n", "failed", "decoding it takes too much memory"),
        (b"Stream map '0:a:0' matches no streams.\n", "no_audio", "it holds no sound"),
        (
            b"[in#0 @ 0x5] [mp3 @ 0x6a] Header missing\n[x @ 0xf] Odd thing\n",
            "unreadable",
            "decoded: Odd thing;",
        ),
        (b"\xff\xfe\x00\x1b[31m" + b"y" * 500, "unreadable", "could not be decoded"),
        (b"", "unreadable", "nothing in it could be decoded"),
    ],
)
def test_what_ffmpeg_says_becomes_one_line(stderr: bytes, status: str, message: str) -> None:
    error = translated(stderr, "/m/a.mp3")
    assert error.status == status
    assert message in str(error)
    assert len(str(error)) < 300
    assert str(error).isprintable()
    assert "/m/" not in str(error)


def test_importing_this_room_needs_no_ffmpeg_and_runs_nothing_of_the_folder(tmp_path: Path) -> None:
    """`future`, which ffmpeg-python imports, once imported a stray `test.py` (CVE-2025-50817)."""
    for name in ("test.py", "future.py"):
        (tmp_path / name).write_text("raise SystemExit('a stray file was imported')")
    root = Path(__file__).parents[2]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import pipeline.audio; print('fine')"
    ended = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-P", "-c", code],
        cwd=tmp_path, env={"PATH": "/nonexistent"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.stdout, ended.stderr) == ("fine\n", "")
