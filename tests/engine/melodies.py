"""Music for the engine's tests: tunes that numpy plays, every seed another one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import signal

from pipeline.audio.ffmpeg import find
from pipeline.engine.catalogue import Catalogue
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.engine.verify import HeardPeaks
from pipeline.model import RATE_HZ, Pcm

Sound = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

_AS_IT_IS = ("-f", "s16le", "-ar", str(RATE_HZ), "-ac", "1")


def tune(seed: int, length_s: float = 40.0, players: int | None = None) -> Pcm:
    """Two voices over a drum, with notes, rhythm and timbre drawn from the seed.

    With `players` the same melody is played by others: other instruments, another drum, a little faster or slower.
    """
    rng = np.random.default_rng(seed)
    others = None if players is None else np.random.default_rng([players, seed])
    haste = 1.0 if others is None else others.uniform(0.9, 1.1)
    sound = np.zeros(round(length_s * RATE_HZ))
    for octave, pace_s in ((0, 0.22), (12, 0.31)):
        timbre = rng.uniform(0.1, 1.0, 6) / np.arange(1, 7)
        if others is not None:
            timbre = others.uniform(0.1, 1.0, 6) / np.arange(1, 7)
        start_s = 0.0
        while start_s < length_s - 1.5:
            pitch_hz = 220 * 2 ** ((octave + int(rng.integers(0, 13))) / 12)
            _add(sound, haste * start_s, _note(pitch_hz, rng.uniform(0.3, 1.2), timbre))
            start_s += pace_s * int(rng.integers(1, 4))
    drum_s = (others or rng).uniform(0.4, 0.7)
    for start_s in np.arange(0, length_s - 0.5, drum_s):
        _add(sound, start_s, 0.5 * rng.standard_normal(800) * np.exp(-np.arange(800) / 150))
    return to_pcm(sound)


def bells(seed: int, length_s: float) -> Pcm:
    """Notes that ring on for seconds: held so long, they are half right at any tempo."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(round(length_s * RATE_HZ))
    start_s = 0.0
    while start_s < length_s:
        pitch_hz = 130 * 2 ** (int(rng.integers(0, 30)) / 12)
        _add(
            sound, start_s, _note(pitch_hz, rng.uniform(1.5, 4), rng.uniform(0.05, 1.0, 6) / np.arange(1, 7))
        )
        start_s += rng.choice([0.3, 0.6, 0.9])
    return to_pcm(sound)


def pure_tones(seed: int, length_s: float) -> Pcm:
    """A voice without overtones, 80 dB over noise: nearly all peaks are far below the loudest around them."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(round(length_s * RATE_HZ))
    start_s = 0.0
    while start_s < length_s - 1.5:
        pitch_hz = 440 * 2 ** (int(rng.integers(0, 25)) / 12)
        _add(sound, start_s, _note(pitch_hz, rng.uniform(0.3, 1.2), np.ones(1)))
        start_s += 0.25 * int(rng.integers(1, 4))
    return to_pcm(sound + 1e-4 * np.abs(sound).max() * rng.standard_normal(len(sound)))


def drone(seed: int, length_s: float) -> Pcm:
    """A chord that sounds all the time, of which nothing stands out but by the drum that is struck over it."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    pitches_hz = 110 * 2 ** ((np.array([0, 7, 12, 16, 19, 24, 28, 31]) + seed % 5) / 12)
    partials = [(hz * n, n) for hz in pitches_hz for n in range(1, 5) if hz * n < RATE_HZ / 2 - 500]
    sound = np.sum([np.sin(2 * np.pi * hz * time_s + rng.uniform(0, 6)) / n for hz, n in partials], axis=0)
    start_s = 0.0
    while start_s < length_s - 0.5:
        _add(sound, start_s, 8 * rng.standard_normal(800) * np.exp(-np.arange(800) / 150))
        start_s += rng.choice([0.22, 0.33, 0.44])
    return to_pcm(sound)


def machine(seed: int, beat_s: float, length_s: float) -> Pcm:
    """A tune over the drum machine that all of these have, whatever the seed."""
    rng, kit, decay = np.random.default_rng(seed), np.random.default_rng(1), np.arange(1600)
    bass = 3 * np.sin(2 * np.pi * np.cumsum(60 + 120 * np.exp(-decay / 200)) / RATE_HZ) * np.exp(-decay / 500)
    snare, hat = (kit.standard_normal(1600) * np.exp(-decay / fade) for fade in (150, 80))
    hat = signal.lfilter([1, -0.9], [1], hat)
    sound = np.zeros(round(length_s * RATE_HZ))
    for step, start_s in enumerate(np.arange(0, length_s - 0.5, beat_s / 2)):
        for drum in ((bass,), (hat,), (snare, hat), (hat,))[step % 4]:
            _add(sound, start_s, drum)
    start_s = 0.0
    while start_s < length_s - 1.5:
        timbre = rng.uniform(0.1, 1, 6) / np.arange(1, 7)
        _add(sound, start_s, _note(220 * 2 ** (int(rng.integers(0, 20)) / 12), rng.uniform(0.3, 1.0), timbre))
        start_s += beat_s * int(rng.integers(1, 3))
    return to_pcm(sound)


def wind(seed: int, length_s: float) -> Pcm:
    """Noise that swells and drops from second to second."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    gusts = np.interp(time_s, np.arange(length_s + 1), rng.uniform(0.3, 1, int(length_s) + 1))
    return to_pcm(gusts * signal.lfilter([1], [1, -0.7], rng.standard_normal(len(time_s))))


def under_a_voice(pcm: Pcm, over_db: float, seed: int) -> Pcm:
    """The samples under a voice that much louder, whose pitch and loudness change from syllable to syllable."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(len(pcm)) / RATE_HZ
    sung_s, said_s = np.arange(0, time_s[-1] + 0.3, 0.3), np.arange(0, time_s[-1] + 0.15, 0.15)
    turns = 2 * np.pi * np.cumsum(np.interp(time_s, sung_s, rng.uniform(90, 220, len(sung_s)))) / RATE_HZ
    loudness = np.interp(time_s, said_s, rng.choice([0, 1, 1], len(said_s)))
    voice = loudness * np.sum([np.sin(n * turns) / np.sqrt(n) for n in range(1, 18)], axis=0)
    sound = pcm.astype(np.float64)
    return to_pcm(sound + voice * np.sqrt(np.mean(sound**2) / np.mean(voice**2) * 10 ** (over_db / 10)))


def _note(pitch_hz: float, length_s: float, timbre: Sound) -> Sound:
    time_s = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    partials = [
        strength * np.sin(2 * np.pi * pitch_hz * (n + 1) * time_s)
        for n, strength in enumerate(timbre)
        if pitch_hz * (n + 1) < RATE_HZ / 2
    ]
    return np.sum(partials, axis=0) * np.exp(-3 * time_s / length_s)


def _add(sound: Sound, start_s: float, part: Sound) -> None:
    start = round(start_s * RATE_HZ)
    sound[start : start + len(part)] += part[: max(len(sound) - start, 0)]


def to_pcm(sound: Sound) -> Pcm:
    """int16 at a comfortable level."""
    return np.rint(sound * (12_000 / (np.abs(sound).max() + 1e-9))).astype(np.int16)


def cut(pcm: Pcm, start_s: float, length_s: float) -> Pcm:
    """A span of the samples."""
    return pcm[round(start_s * RATE_HZ) : round((start_s + length_s) * RATE_HZ)]


def noisy(pcm: Pcm, snr_db: float, seed: int = 0) -> Pcm:
    """The samples under white noise."""
    sound = pcm.astype(np.float64)
    noise = np.random.default_rng(seed).standard_normal(len(pcm))
    return to_pcm(sound + noise * np.sqrt(np.mean(sound**2) / 10 ** (snr_db / 10)))


def at_speed(pcm: Pcm, percent: int) -> Pcm:
    """The samples played `percent` too fast: tempo and pitch rise alike."""
    return to_pcm(signal.resample_poly(pcm.astype(np.float64), 100, 100 + percent))


def at_tempo(pcm: Pcm, tempo: float) -> Pcm:
    """The samples so many times as fast, as high as they were."""
    filtered = [
        find("wheel").path,
        "-v",
        "error",
        *_AS_IT_IS,
        "-i",
        "-",
        "-af",
        f"atempo={tempo}",
        *_AS_IT_IS,
        "-",
    ]
    return np.frombuffer(
        subprocess.run(filtered, input=pcm.tobytes(), check=True, stdout=subprocess.PIPE).stdout, np.int16
    )


def entry(seed: int, length_s: float = 40.0) -> Entry:
    """A tune as the catalogue takes it."""
    pcm = tune(seed, length_s)
    return Entry(KnownTrack(f"tune-{seed}", f"Tune {seed}", "Numpy", path=f"/music/{seed}.flac"), [pcm])


def named(catalogue: Catalogue, seed: int) -> list[str]:
    """The tracks named for 8 s from the midst of a tune."""
    return [hit.track_id for hit in catalogue.search(cut(tune(seed), 12.3, 8))]


def shard_of(folder: Path) -> Path:
    """The only shard of a catalogue folder."""
    (shard,) = folder.glob("shard-*")
    return shard


def heard_peaks(levels: Sound, at: Numbers, bins: Numbers) -> HeardPeaks:
    """Peaks of a track that are so loud there, at those frames and bins of a probe: all [peaks]."""
    return HeardPeaks(
        at.astype(np.int32),
        bins.astype(np.int32),
        np.ones(len(at), np.float32),
        levels.astype(np.float32),
        (at // 8).astype(np.int32),
    )
