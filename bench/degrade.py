"""What happens to music between the record and the ear: codecs, noise, talk, rooms, compressors, other speeds."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import signal

from pipeline.audio.ffmpeg import find
from pipeline.model import RATE_HZ, Pcm

SOURCE_HZ: Final = 44_100
Sound = npt.NDArray[np.float64]
"""Samples at SOURCE_HZ, full scale 1."""
Change = Callable[[Sound, np.random.Generator], Sound]

_RAW: Final = ("-f", "f32le", "-ar", str(SOURCE_HZ), "-ac", "1")
_SPEECH: Final = (
    "the quick brown fox jumps over the lazy dog while the host of the evening programme keeps on talking about "
    "the weather and the traffic and all the records that nobody plays any more "
)
_VOICES: Final = ("en", "en+f3", "en-us", "en+m3", "en+f2", "en+m7")


def ffmpeg(*arguments: str, sound: bytes = b"") -> bytes:
    """What ffmpeg writes to its output, given `sound` at its input."""
    command = [find("system").path, "-v", "error", *arguments]
    return subprocess.run(command, input=sound, check=True, capture_output=True, timeout=120).stdout


def read(path: str, start_s: float = 0.0, length_s: float = 1e9) -> Sound:
    """A span of a file, as one channel."""
    raw = ffmpeg("-ss", f"{start_s:.3f}", "-t", f"{length_s:.3f}", "-i", path, *_RAW, "-")
    return np.frombuffer(raw, np.float32).astype(np.float64)


def to_probe(sound: Sound) -> Pcm:
    """The samples as a recognizer gets them: 8 kHz, int16, a little below full scale."""
    low = signal.resample_poly(sound, RATE_HZ // 100, SOURCE_HZ // 100)
    return np.rint(low * (26_000 / (np.abs(low).max() + 1e-9))).astype(np.int16)


def filtered(sound: Sound, graph: str) -> Sound:
    """The sound through a filter graph of ffmpeg's."""
    raw = ffmpeg(*_RAW, "-i", "-", "-af", graph, *_RAW, "-", sound=sound.astype("<f4").tobytes())
    return np.frombuffer(raw, np.float32).astype(np.float64)


def coded(encoder: str, container: str, *options: str) -> Change:
    """Through an encoder and back."""

    def change(sound: Sound, _: np.random.Generator) -> Sound:
        file = ffmpeg(
            *_RAW,
            "-i",
            "-",
            *options,
            "-c:a",
            encoder,
            "-f",
            container,
            "-",
            sound=sound.astype("<f4").tobytes(),
        )
        raw = ffmpeg("-f", container, "-i", "-", *_RAW, "-", sound=file)
        return np.frombuffer(raw, np.float32).astype(np.float64)

    return change


def pink(samples: int, rng: np.random.Generator) -> Sound:
    """Noise of equal power in every octave."""
    lines = np.fft.rfft(rng.standard_normal(samples))
    return np.fft.irfft(lines / np.sqrt(np.maximum(np.arange(len(lines)), 1)), samples)


def mixed(sound: Sound, other: Sound, snr_db: float) -> Sound:
    """Both at once, the other as much weaker."""
    ratio = (np.mean(sound**2) + 1e-12) / (np.mean(other**2) + 1e-12)
    return sound + other * np.sqrt(ratio / 10 ** (snr_db / 10))


def talk(samples: int, rng: np.random.Generator, voices: int, rate_hz: int = SOURCE_HZ) -> Sound:
    """So many people reading aloud at once, each from another place in the text."""
    total = np.zeros(samples)
    for _ in range(voices):
        voice = np.tile(_voice(_VOICES[rng.integers(len(_VOICES))], rate_hz), 3)
        start = int(rng.integers(len(voice) - samples))
        total += voice[start : start + samples]
    return total


@cache
def _voice(name: str, rate_hz: int) -> Sound:
    said = subprocess.run(
        ["espeak-ng", "-v", name, "--stdout", _SPEECH * 3], check=True, capture_output=True, timeout=60
    ).stdout
    raw = ffmpeg("-i", "-", *_RAW, "-ar", str(rate_hz), "-", sound=said)
    return np.frombuffer(raw, np.float32).astype(np.float64)


def room(sound: Sound, rng: np.random.Generator, rate_hz: int = SOURCE_HZ) -> Sound:
    """Heard from the far side of a room (0.8 s) by a telephone's microphone, with a little noise."""
    taps = int(0.96 * rate_hz)
    echo = rng.standard_normal(taps) * 10 ** (-3 * np.arange(taps) / rate_hz / 0.8)
    echo[: int(0.004 * rate_hz)] *= 0.3
    echo[0] = 3
    band = signal.butter(4, [250, 3600], "band", fs=rate_hz, output="sos")
    heard = signal.sosfilt(band, signal.fftconvolve(sound, echo)[: len(sound)])
    return mixed(heard, pink(len(heard), rng), 10)


def squash(sound: Sound, _: np.random.Generator) -> Sound:
    """A radio station's compressor and equaliser, driven until it clips."""
    compressed = filtered(sound, "acompressor=threshold=0.05:ratio=12:makeup=8")
    louder_bass = "equalizer=f=300:width_type=o:w=2:g=9,equalizer=f=2500:width_type=o:w=1:g=-9"
    return np.clip(filtered(compressed, louder_bass), -0.5, 0.5)


def _under(noise: Callable[[int, np.random.Generator], Sound], snr_db: float) -> Change:
    return lambda sound, rng: mixed(sound, noise(len(sound), rng), snr_db)


def white(samples: int, rng: np.random.Generator) -> Sound:
    """Noise of equal power in every hertz."""
    return rng.standard_normal(samples)


def _babble(samples: int, rng: np.random.Generator) -> Sound:
    return talk(samples, rng, 7)


def _speed(low: float, high: float) -> Change:
    return lambda sound, rng: filtered(
        sound, f"asetrate={round(SOURCE_HZ * rng.uniform(low, high))},aresample={SOURCE_HZ}"
    )


def _tempo(low: float, high: float) -> Change:
    return lambda sound, rng: filtered(sound, f"atempo={rng.uniform(low, high):.4f}")


def _pitch(low_st: float, high_st: float) -> Change:
    return lambda sound, rng: filtered(
        sound, f"rubberband=pitch={2 ** (rng.uniform(low_st, high_st) / 12):.5f}"
    )


def _then(first: Change, second: Change) -> Change:
    return lambda sound, rng: second(first(sound, rng), rng)


_GSM: Final = coded("libgsm", "gsm", "-ar", "8000")
_ANY_SPEED: Final = _speed(0.9, 1.1)
_ANY_TEMPO: Final = _tempo(0.9, 1.1)
_ANY_PITCH: Final = _pitch(-1.5, 1.5)
DEGRADATIONS: Final[dict[str, Change]] = {
    "mp3 128k": coded("libmp3lame", "mp3", "-b:a", "128k"),
    "mp3 32k": coded("libmp3lame", "mp3", "-ar", "22050", "-b:a", "32k"),
    "opus 12k": coded("libopus", "ogg", "-ar", "48000", "-b:a", "12k"),
    "gsm": _GSM,
    "speex 8k": coded("libspeex", "ogg", "-ar", "8000", "-b:a", "8k"),
    "pink noise 10 dB": _under(pink, 10),
    "pink noise 0 dB": _under(pink, 0),
    "pink noise -5 dB": _under(pink, -5),
    "white noise 0 dB": _under(white, 0),
    "babble 0 dB": _under(_babble, 0),
    "voice-over 0 dB": _under(lambda samples, rng: talk(samples, rng, 1), 0),
    "room": room,
    "squash": squash,
    "speed within 10 %": _ANY_SPEED,
    "tempo within 10 %": _ANY_TEMPO,
    "pitch within 1.5 st": _ANY_PITCH,
    "speed, pink noise 0 dB": _then(_ANY_SPEED, _under(pink, 0)),
    "tempo, pink noise 0 dB": _then(_ANY_TEMPO, _under(pink, 0)),
    "pitch, pink noise 0 dB": _then(_ANY_PITCH, _under(pink, 0)),
    "speed, gsm": _then(_ANY_SPEED, _GSM),
    "tempo, gsm": _then(_ANY_TEMPO, _GSM),
    "pitch, gsm": _then(_ANY_PITCH, _GSM),
}


def _under_between(
    noise: Callable[[int, np.random.Generator], Sound], low_db: float, high_db: float
) -> Change:
    return lambda sound, rng: mixed(sound, noise(len(sound), rng), rng.uniform(low_db, high_db))


HARDER: Final[dict[str, Change]] = {
    "pink noise, -18 to -6 dB": _under_between(pink, -18, -6),
    "white noise, -24 to -8 dB": _under_between(white, -24, -8),
    "babble, -14 to -2 dB": _under_between(_babble, -14, -2),
    "voice-over, -20 to -4 dB": _under_between(lambda samples, rng: talk(samples, rng, 1), -20, -4),
    "room, pink noise, -14 to 0 dB": _then(room, _under_between(pink, -14, 0)),
    "speed, pink noise, -15 to -4 dB": _then(_ANY_SPEED, _under_between(pink, -15, -4)),
    "speed, babble, -10 to 0 dB": _then(_ANY_SPEED, _under_between(_babble, -10, 0)),
}
"""What the engine is often unsure of: it fills the middle of the scale of confidence."""
