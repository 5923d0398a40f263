"""The sample music, made with the real ffmpeg: complete, tagged, honest about itself, and always the same."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinytag import TinyTag

from pipeline import audio
from pipeline.audio import Decoder, is_silent, open_decoder
from pipeline.errors import MediaError, StorageError
from pipeline.model import RATE_HZ, Tags
from pipeline.sample import Sample, make_sample
from pipeline.sample.arrangement import PEAK
from pipeline.sample.damage import CROSSFADE_S, crossfaded, excerpt, faster, heard_by_a_phone, noisy
from pipeline.sample.folder import Samples
from pipeline.sample.instruments import SAMPLE_RATE_HZ
from pipeline.sample.recordings import ALBUM, CATALOGUE, LULLABY, MINUET_IN_G, Recording


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return make_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def quick_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings of nothing but noise, for tests that are about files and not about music."""
    noise = np.random.default_rng(7).uniform(-0.5, 0.5, (45 * SAMPLE_RATE_HZ, 2)).astype(np.float32)
    monkeypatch.setattr(Recording, "samples", lambda self: noise)


@pytest.fixture(scope="module")
def truth(sample: Sample) -> dict[str, Any]:
    files: dict[str, Any] = json.loads(sample.truth.read_text(encoding="utf-8"))["files"]
    return files


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with open_decoder(workers=1) as opened:
        yield opened


def test_the_catalogue_is_tagged_and_in_several_formats(sample: Sample) -> None:
    tracks = {path: TinyTag.get(path) for path in sample.catalogue.iterdir()}
    seen = {(tag.title, tag.artist, tag.album, int(str(tag.year)[:4])) for tag in tracks.values()}
    wanted = {
        (recording.melody.title, recording.melody.composer, ALBUM, recording.melody.year)
        for recording in CATALOGUE
    }
    assert seen == wanted
    assert {path.suffix for path in tracks} == {".flac", ".mp3", ".ogg"}
    assert all(35 < (tag.duration or 0) < 75 for tag in tracks.values())


def test_the_truth_names_every_messy_file_and_no_other(sample: Sample, truth: dict[str, Any]) -> None:
    files = {
        path.relative_to(sample.music).as_posix() for path in sample.music.rglob("*") if not path.is_dir()
    }
    assert set(truth) == files
    titles = {recording.melody.title for recording in CATALOGUE}
    assert {entry["title"] for entry in truth.values()} <= {"", *titles}
    assert {entry["status"] for entry in truth.values()} == {
        "found",
        "not_found",
        "too_short",
        "silent",
        "unreadable",
    }
    assert len({Path(name).suffix for name in files}) >= 6


def test_the_messy_files_are_what_the_truth_says(
    sample: Sample, truth: dict[str, Any], decoder: Decoder
) -> None:
    for name, entry in truth.items():
        path = str(sample.music / name)
        if entry["status"] == "unreadable":
            with pytest.raises(MediaError):
                list(decoder.whole(path))
            continue
        pcm = np.concatenate(list(decoder.whole(path)))
        assert is_silent(pcm) == (entry["status"] == "silent"), name
        if entry["status"] == "too_short":
            assert len(pcm) < 5 * RATE_HZ
        else:
            assert len(pcm) > 15 * RATE_HZ, name
            # Decoders may overshoot a little; a run of samples at full scale is clipping.
            assert np.mean(np.abs(pcm.astype(np.int32)) >= 32767) < 1e-4, name


def test_copies_are_exact_and_the_wrong_tags_are_wrong(sample: Sample, truth: dict[str, Any]) -> None:
    assert (sample.music / "track01 (1).mp3").read_bytes() == (sample.music / "track01.mp3").read_bytes()
    [copy] = sample.music.glob("xx final.*")
    assert copy.read_bytes() in [path.read_bytes() for path in sample.catalogue.iterdir()]
    lie = TinyTag.get(sample.music / "07 - Track 7.mp3")
    assert (lie.title, truth["07 - Track 7.mp3"]["title"]) == ("Korobeiniki", "Amazing Grace")


@pytest.mark.usefixtures("quick_bands")
def test_a_whole_sample_is_left_alone_and_a_damaged_one_made_again(
    sample: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    before = {path: path.stat().st_mtime_ns for path in sample.folder.rglob("*")}
    make_sample(sample.folder, encode=_encode_nothing)
    assert {path: path.stat().st_mtime_ns for path in sample.folder.rglob("*")} == before
    (sample.music / "letter.mp3").rename(sample.folder / "letter")
    with pytest.raises(MediaError, match="no encoder at all"):
        make_sample(sample.folder, encode=_encode_nothing)
    (sample.folder / "letter").rename(sample.music / "letter.mp3")
    assert not sample.truth.exists()
    with caplog.at_level(logging.INFO):
        make_sample(sample.folder, encode=_touch)
    assert "sample made" in caplog.text
    assert sample.truth.exists()


@pytest.mark.usefixtures("quick_bands")
def test_a_codec_this_ffmpeg_lacks_is_replaced_by_one_it_has(tmp_path: Path) -> None:
    made = make_sample(tmp_path, encode=_only_wav_and_m4a)
    files = json.loads(made.truth.read_text(encoding="utf-8"))["files"]
    assert {Path(name).suffix for name in files} == {".wav", ".m4a", ".mp3"}
    assert [name for name in files if name.endswith(".mp3")] == ["letter.mp3"]
    assert {path.suffix for path in made.catalogue.iterdir()} == {".wav"}


@pytest.mark.usefixtures("quick_bands")
def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*taken"):
        make_sample(tmp_path / "taken" / "sample", encode=_touch)


def test_a_recording_is_the_same_every_time_and_never_a_loop() -> None:
    once, again = LULLABY.samples(), LULLABY.samples()
    assert np.array_equal(once, again)
    assert once.dtype == np.float32
    assert once.shape[1] == 2
    assert float(np.max(np.abs(once))) == pytest.approx(PEAK)
    start, length = 3 * SAMPLE_RATE_HZ, 5 * SAMPLE_RATE_HZ
    piece = once[start : start + length].mean(axis=1)
    rest = once[start + length :].mean(axis=1)
    spectrum = np.fft.rfft(rest, 2 * len(rest)) * np.conj(np.fft.rfft(piece, 2 * len(rest)))
    likeness = np.fft.irfft(spectrum)[: len(rest) - length]
    energy = np.convolve(rest**2, np.ones(length // 100), "valid").max() * 100
    assert np.max(np.abs(likeness)) < 0.5 * np.sqrt(np.sum(piece**2) * energy)


def test_damage_is_measured() -> None:
    rng = np.random.default_rng(1)
    music = excerpt(MINUET_IN_G.samples(), 5, 12)
    assert len(music) == 12 * SAMPLE_RATE_HZ
    assert len(faster(music, 2)) == pytest.approx(len(music) / 1.02, abs=2)
    noise = noisy(music, 10, rng)
    scale = np.sum(noise * music) / np.sum(music**2)
    left = noise / scale - music
    assert 10 * np.log10(np.mean(music**2) / np.mean(left**2)) == pytest.approx(10, abs=0.3)
    phone = heard_by_a_phone(music, rng)
    power = np.abs(np.fft.rfft(phone)) ** 2
    hz = np.fft.rfftfreq(len(phone), 1 / SAMPLE_RATE_HZ)
    assert phone.ndim == 1
    assert power[(hz > 300) & (hz < 3400)].sum() > 0.8 * power.sum()
    mix = crossfaded([music, music[::-1], music])
    assert len(mix) == pytest.approx(3 * len(music) - 2 * CROSSFADE_S * SAMPLE_RATE_HZ)
    assert max(float(np.max(np.abs(piece))) for piece in (noise, phone, mix)) <= PEAK + 1e-6


def _encode_nothing(
    path: Path,
    samples: Samples,
    rate_hz: int,
    *,
    tags: Tags = Tags(),  # noqa: B008
    options: Mapping[str, str] | None = None,
) -> None:
    raise MediaError("no encoder at all")


def _touch(
    path: Path,
    samples: Samples,
    rate_hz: int,
    *,
    tags: Tags = Tags(),  # noqa: B008
    options: Mapping[str, str] | None = None,
) -> None:
    path.write_bytes(b"made")


def _only_wav_and_m4a(
    path: Path,
    samples: Samples,
    rate_hz: int,
    *,
    tags: Tags = Tags(),  # noqa: B008
    options: Mapping[str, str] | None = None,
) -> None:
    if path.suffix not in (".wav", ".m4a"):
        raise MediaError(f"no encoder for {path.suffix}")
    audio.encode(path, samples[: SAMPLE_RATE_HZ // 10], rate_hz, tags=tags)
