"""Which spans of a file are asked about: a few probes, one a minute, or all of it.

Everything is counted in samples (8000 a second) and only named in seconds, so that planning ahead and
cutting a stream come to the same segments, byte for byte.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from pipeline.model import MAX_SEGMENT_S, MIN_SEGMENT_S, RATE_HZ, Pcm, Segment

MIN_PIECE_S = 15.0
"""The document's optimum is 15 to 30 s: nothing shorter is cut from a file that has as much."""

_MIN_FILE = round(MIN_SEGMENT_S * RATE_HZ)
_MIN_PIECE = round(MIN_PIECE_S * RATE_HZ)
_MAX_PIECE = round(MAX_SEGMENT_S * RATE_HZ)


def plan_probes(duration_s: float, *, count: int, length_s: float) -> list[Segment]:
    """At most `count` segments spread evenly, the middle one first: intros and fades say the least.

    They never overlap, so a short file gets fewer; one no longer than a segment is asked about whole, one
    under 5 s not at all.
    """
    total, length = _samples(duration_s), _length(length_s)
    if total < _MIN_FILE or count < 1:
        return []
    if total <= length:
        return [_segment(0, total)]
    # Centres lie total / (number + 1) apart.
    number = max(1, min(count, total // length - 1))
    from_the_middle = sorted(range(number), key=lambda i: abs(2 * i - (number - 1)))
    return [_segment(total * (i + 1) // (number + 1) - length // 2, length) for i in from_the_middle]


def plan_cover(duration_s: float, *, length_s: float) -> list[Segment]:
    """Segments that cover the whole file without gap or overlap, in order; none when it is under 5 s."""
    return [_segment(start, length) for start, length in _pieces(_samples(duration_s), _length(length_s))]


def plan_stride(duration_s: float, *, length_s: float, every_s: float) -> list[Segment]:
    """One segment in the middle of every `every_s` seconds, in order: enough to hear every track of a mix."""
    total, length = _samples(duration_s), _length(length_s)
    every = max(round(every_s * RATE_HZ), length)
    if total <= every:
        return plan_probes(duration_s, count=1, length_s=length_s)
    windows = [(start, min(every, total - start)) for start in range(0, total, every)]
    return [_segment(start + (room - length) // 2, length) for start, room in windows if room >= length]


def paid_step(*, length_s: float, every_s: float) -> int:
    """Of a mix that is heard in whole, each so-manieth piece is for paid services too: one every `every_s` at most."""
    return max(1, math.ceil(every_s / length_s))


def cut(blocks: Iterable[Pcm], *, length_s: float) -> Iterator[tuple[Segment, Pcm]]:
    """Cut a stream of unknown length into the segments of `plan_cover`, holding little more than one.

    The arrays are the caller's own; none reaches into another or into a block.
    """
    length = _length(length_s)
    start, held = 0, np.empty(0, np.int16)
    for block in blocks:
        held = np.concatenate((held, block))
        # With this much at hand the first piece is sure to be a full one, and what follows can stand alone.
        while len(held) >= length + _MIN_PIECE:
            yield _segment(start, length), held[:length].copy()
            start, held = start + length, held[length:]
    for offset, size in _pieces(len(held), length):
        yield _segment(start + offset, size), held[offset : offset + size].copy()


def _pieces(total: int, length: int) -> list[tuple[int, int]]:
    """Start and length of the pieces of `total` samples."""
    if total < _MIN_FILE:
        return []
    if total <= length:
        return [(0, total)]
    full, rest = divmod(total, length)
    lengths = [length] * full
    if rest >= _MIN_PIECE:
        lengths.append(rest)
    elif length + rest <= _MAX_PIECE:
        lengths[-1] += rest
    else:
        # Too long for one: together they are over 30 s, so each half is over 15 s.
        lengths[-1:] = [(length + rest) // 2, length + rest - (length + rest) // 2]
    starts = [length * number for number in range(full)]
    if len(lengths) > full:
        starts.append(total - lengths[-1])
    return list(zip(starts, lengths, strict=True))


def _segment(start: int, length: int) -> Segment:
    return Segment(start / RATE_HZ, length / RATE_HZ)


def _samples(duration_s: float) -> int:
    if not math.isfinite(duration_s):
        raise ValueError(f"a duration is a finite number of seconds, not {duration_s}")
    return round(max(duration_s, 0.0) * RATE_HZ)


def _length(length_s: float) -> int:
    if not MIN_PIECE_S <= length_s <= MAX_SEGMENT_S:
        raise ValueError(f"a segment is {MIN_PIECE_S:g} to {MAX_SEGMENT_S:g} s long, not {length_s}")
    return round(length_s * RATE_HZ)
