"""What happens to music on its way into a messy folder: cut, copied off the air, played too fast, mixed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, oaconvolve, resample_poly, sosfilt

from pipeline.sample.arrangement import PEAK
from pipeline.sample.instruments import SAMPLE_RATE_HZ

Samples = npt.NDArray[np.float32]
"""Shape (n,) or (n, 2), at `SAMPLE_RATE_HZ`."""

CROSSFADE_S = 4.0


def excerpt(samples: Samples, start_s: float, length_s: float) -> Samples:
    """The span that begins at `start_s`."""
    return samples[int(start_s * SAMPLE_RATE_HZ) : int((start_s + length_s) * SAMPLE_RATE_HZ)]


def mono(samples: Samples) -> Samples:
    """Both channels in one."""
    return np.asarray(samples.mean(axis=1), dtype=np.float32)


def faster(samples: Samples, percent: int) -> Samples:
    """Speed and pitch raised together, as on a turntable that runs fast."""
    return _safe(resample_poly(samples, 100, 100 + percent, axis=0))


def noisy(samples: Samples, snr_db: float, rng: np.random.Generator) -> Samples:
    """With pink noise, the spectrum of a street or a crowd, `snr_db` below the music."""
    spectrum = np.fft.rfft(rng.standard_normal(len(samples)))
    spectrum /= np.sqrt(np.maximum(np.arange(spectrum.size), 20.0 * len(samples) / SAMPLE_RATE_HZ))
    noise = np.fft.irfft(spectrum, len(samples))
    gain = np.sqrt(np.mean(samples**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    return _safe(samples + (gain * noise if samples.ndim == 1 else gain * noise[:, None]))


def heard_by_a_phone(samples: Samples, rng: np.random.Generator) -> Samples:
    """As a telephone across the room hears it: echo, 300 to 3,400 Hz, noise, an overdriven microphone."""
    time_s = np.arange(int(0.4 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    echo = rng.standard_normal(time_s.size) * np.exp(-time_s / 0.09)
    echo[0] = 1.2 * np.sqrt(np.sum(echo**2))
    far = oaconvolve(mono(samples), echo)[: len(samples)]
    narrow = sosfilt(butter(4, (300, 3400), "bandpass", fs=SAMPLE_RATE_HZ, output="sos"), far)
    driven = np.tanh(1.5 * narrow / np.quantile(np.abs(narrow), 0.99))
    return noisy(_safe(driven), 15.0, rng)


def crossfaded(pieces: list[Samples]) -> Samples:
    """The pieces one after the other, each fading into the next for `CROSSFADE_S`."""
    overlap = int(CROSSFADE_S * SAMPLE_RATE_HZ)
    rising = np.sin(np.linspace(0, np.pi / 2, overlap, dtype=np.float32))[:, None]
    mixed = pieces[0]
    for piece in pieces[1:]:
        both = mixed[-overlap:] * rising[::-1] + piece[:overlap] * rising
        mixed = np.concatenate((mixed[:-overlap], both, piece[overlap:]))
    return _safe(mixed)


def _safe(samples: npt.NDArray[np.floating]) -> Samples:
    """No louder than `PEAK`, so that nothing clips."""
    return (samples * min(1.0, PEAK / float(np.max(np.abs(samples))))).astype(np.float32)
