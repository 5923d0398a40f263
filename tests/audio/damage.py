"""Ways to damage a file, the same for the same seed."""

from __future__ import annotations

from enum import StrEnum

import numpy as np


class Damage(StrEnum):
    """What is done to the bytes."""

    CUT = "cut"
    """The end is missing."""
    FLIPPED = "flipped"
    """Single bytes are others."""
    HEADER = "header"
    """Single bytes of the beginning are others."""
    HOLE = "hole"
    """A part in the middle is missing."""
    ZEROED = "zeroed"
    """A part in the middle is all zeros, as of a disk that lost a block."""


def damaged(content: bytes, how: Damage, seed: int) -> bytes:
    """A copy of `content`, damaged."""
    chance = np.random.default_rng(seed)
    size = len(content)
    if how is Damage.CUT:
        return content[: chance.integers(1, size)]
    if how in (Damage.FLIPPED, Damage.HEADER):
        reach = size if how is Damage.FLIPPED else min(size, 600)
        places = chance.integers(0, reach, chance.integers(1, 50))
        other = np.frombuffer(content, np.uint8).copy()
        other[places] = chance.integers(0, 256, len(places), dtype=np.uint8)
        return other.tobytes()
    start = chance.integers(0, size)
    length = chance.integers(1, size // 4)
    middle = bytes(min(length, size - start)) if how is Damage.ZEROED else b""
    return content[:start] + middle + content[start + length :]
