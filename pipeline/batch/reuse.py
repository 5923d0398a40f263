"""The same recording in another encoding: what was paid for one is not paid again for the other.

The rule for "the same recording, same stretch" of two pieces of audio A and B, each known by the engine's peaks (the
moments and pitches that stand out, some sixty a second):

1.  Shifted against each other by one offset of at most a tenth of the longer one, they overlap by nine tenths of it or
    more. So A and B are about equally long, played at the same speed and pitch, and cut at the same place: two codecs
    or two ways to seek put a cut some tenths of a second apart.
2.  Of A's peaks in the overlap ALIKE lie within one frame (32 ms) and one bin (a quarter of a semitone) of a peak of B,
    and of B's as many within reach of one of A.
3.  In every two seconds of either as many as ALIKE_THROUGHOUT do: other words, a solo or a cut in the middle are heard.
4.  Both hold PEAKS_A_SECOND: of near silence and bare synthetic tones nothing can be said.

A loop that sounds the same for all of the segment is the same audio by this rule wherever it is played; no service
could tell one playing from the other. A remaster that changes loudness and colour no more than a poor codec does
passes too: it is the same recording.

What was answered "not found" is reused by the same rule: the service did not know the recording. Whoever wants every
encoding to be asked about says --no-reuse; equal samples are known by their hash in any case.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.fingerprint import FRONT_END, fingerprint
from pipeline.engine.spectrum import BINS, FRAME_S
from pipeline.ledger import Print, Prints, Upload, Uploads, UploadState
from pipeline.model import Probe

ALIKE: Final = 0.75
ALIKE_THROUGHOUT: Final = 0.65
PEAKS_A_SECOND: Final = 20
MOST_OFFSET: Final = 0.1
"""The rule's numbers, measured by bench/reuse.py."""

_STRETCH_S: Final = 2.0
_STRETCH_PEAKS: Final = 20
"""A stretch of the audio with fewer peaks is too quiet to be held to ALIKE_THROUGHOUT."""

_KEYS_KEPT: Final = 32
"""One landmark in so many goes into the index: three or four a second, of which a poor codec leaves one in four."""
_SHARED_KEYS: Final = 3
_CANDIDATES: Final = 5
"""Prints compared in full: the ones that share most keys, at least so many. Accident shares one or two."""

_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: multiplying by it scatters the keys, so that any one in so many is a fair sample."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How two pieces of audio compare at the offset where they fit best."""

    offset_s: float
    """How much later in the second a thing is heard."""
    share: float
    """Of the peaks that lie on one of the other's, of both the lower."""
    least: float
    """The same of the two seconds that fit worst."""

    @property
    def same(self) -> bool:
        return self.share >= ALIKE and self.least >= ALIKE_THROUGHOUT


class Reuse:
    """Finds audio that was sent before, in another encoding. May be used from several threads.

    With `enabled` off nothing is found, but what is sent is remembered all the same.
    """

    def __init__(self, prints: Prints, uploads: Uploads, *, enabled: bool = True) -> None:
        self._prints = prints
        self._uploads = uploads
        self._enabled = enabled
        self._ready: dict[str, Print] = {}
        self._open: dict[tuple[str, str], Print] = {}
        self._changed = threading.Condition()

    def prepare(self, probe: Probe) -> None:
        """Make the print of audio whose `turn` will come, so that nobody waits for it then."""
        self._ready[probe.sha256] = make_print(probe)

    @contextmanager
    def turn(self, recognizer: str, probe: Probe) -> Iterator[None]:
        """One at a time for audio that sounds the same: the second finds what the first was answered."""
        mine = self._ready.pop(probe.sha256, None) or make_print(probe)
        with self._changed:
            self._changed.wait_for(lambda: not self._enabled or not self._is_open(recognizer, mine))
            self._open[recognizer, mine.sha256] = mine
        try:
            yield
        finally:
            with self._changed:
                del self._open[recognizer, mine.sha256]
                self._changed.notify_all()

    def print_of(self, probe: Probe) -> Print:
        """What the ledger keeps with the intent to send this probe."""
        with self._changed:
            known = next((held for (_, sha256), held in self._open.items() if sha256 == probe.sha256), None)
        return known or make_print(probe)

    def alike(self, recognizer: str, probe: Probe) -> list[Upload]:
        """The uploads to this service of audio that is the same stretch of the same recording, most alike first."""
        if not self._enabled:
            return []
        noted = self._uploads_of(recognizer, self._prints.same_as(probe.sha256))
        if any(upload.recognition is not None for upload in noted):
            return noted
        twins = self._twins(probe)
        uploads = self._uploads_of(recognizer, twins)
        answered = next((upload.sha256 for upload in uploads if upload.recognition is not None), None)
        if answered is not None:
            found = twins[answered]
            self._prints.note_same(
                probe.sha256, answered, offset_s=round(found.offset_s, 3), likeness=round(found.share, 3)
            )
        return uploads

    def _uploads_of(self, recognizer: str, audio: Iterable[str]) -> list[Upload]:
        return [
            upload
            for sha256 in audio
            for upload in self._uploads.of_audio(sha256, recognizer)
            # What the service cannot read says nothing about another encoding of it.
            if upload.state is not UploadState.REFUSED
        ]

    def _twins(self, probe: Probe) -> dict[str, Likeness]:
        """By its hash, audio with a print that is the same stretch of the same recording, most alike first."""
        mine = self.print_of(probe)
        near = self._prints.near(
            mine, within_frames=_reach(mine.frames), at_least=_SHARED_KEYS, most=_CANDIDATES
        )
        compared = [(other.sha256, likeness(mine, other)) for other in near if other.sha256 != mine.sha256]
        same = [(sha256, found) for sha256, found in compared if found is not None and found.same]
        return dict(sorted(same, key=lambda pair: -pair[1].share))

    def _is_open(self, recognizer: str, mine: Print) -> bool:
        return any(_same(mine, other) for (name, _), other in self._open.items() if name == recognizer)


def make_print(probe: Probe) -> Print:
    """The print of a probe: some 2 kB."""
    made = fingerprint([probe.pcm])
    peaks = np.stack([made.peak_frame.astype("<u2"), made.peak_bin.astype("<u2")])
    kept = made.keys.astype(np.uint64) * _SPREAD >> np.uint64(32)
    sample = kept % np.uint64(_KEYS_KEPT) == 0
    keys = sorted(set(zip(made.keys[sample].tolist(), made.key_frame[sample].tolist(), strict=True)))
    return Print(probe.sha256, f"peaks {FRONT_END}", made.frames, zlib.compress(peaks.tobytes()), keys)


def likeness(first: Print, second: Print) -> Likeness | None:
    """How alike two prints are; None where either holds too little, or one is over a tenth longer."""
    longer, shorter = max(first.frames, second.frames), min(first.frames, second.frames)
    reach = _reach(longer)
    if longer - shorter > reach:
        return None
    a, b = _peaks(first), _peaks(second)
    if min(len(a[0]), len(b[0])) < PEAKS_A_SECOND * FRAME_S * longer:
        return None
    # Cells around B's peaks, with room for every offset and neighbour.
    near_b = _neighbourhood(b, longer + 2 * reach, reach)
    offsets = sorted(range(-reach, reach + 1), key=abs)
    fits = [int(near_b[a[0] + (1 + reach + offset), a[1] + 1].sum()) for offset in offsets]
    offset = offsets[int(np.argmax(fits))]
    if min(first.frames + offset, second.frames) - max(offset, 0) < longer - reach:
        return None
    stretch = round(_STRETCH_S / FRAME_S)
    shares = [_shares(a, b, second.frames, offset, stretch), _shares(b, a, first.frames, -offset, stretch)]
    return Likeness(offset * FRAME_S, min(s for s, _ in shares), min(s for _, s in shares))


_Peaks = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


def _peaks(print_: Print) -> _Peaks:
    frame, bin_ = np.frombuffer(zlib.decompress(print_.peaks), "<u2").reshape(2, -1)
    return frame.astype(np.intp), bin_.astype(np.intp)


def _neighbourhood(peaks: _Peaks, frames: int, before: int) -> npt.NDArray[np.bool_]:
    """Where a peak would lie on or next to one of these; both axes shifted by one, frames by `before` more."""
    near = np.zeros((frames + 2, BINS + 2), np.bool_)
    for frame in range(3):
        for bin_ in range(3):
            near[peaks[0] + before + frame, peaks[1] + bin_] = True
    return near


def _shares(a: _Peaks, b: _Peaks, b_frames: int, offset: int, stretch: int) -> tuple[float, float]:
    """The share of A's peaks in the overlap that lie on one of B's: of all, and of the stretch with the lowest."""
    near_b = _neighbourhood(b, b_frames, 0)
    frame = a[0] + offset
    inside = (frame >= 0) & (frame < b_frames)
    hit = near_b[frame[inside] + 1, a[1][inside] + 1]
    group = a[0][inside] // stretch
    count = np.bincount(group)
    hits = np.bincount(group, weights=hit)
    heard = count >= _STRETCH_PEAKS
    least = float((hits[heard] / count[heard]).min()) if heard.any() else 0.0
    return (float(hit.mean()) if len(hit) else 0.0), least


def _same(first: Print, second: Print) -> bool:
    found = likeness(first, second)
    return found is not None and found.same


def _reach(frames: int) -> int:
    return int(MOST_OFFSET * frames)
