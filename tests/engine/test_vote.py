"""Votes: in large shards they are counted in another order, and the same places win."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine import vote as votes
from pipeline.engine.landmarks import KEYS
from pipeline.engine.vote import Ballot, Places, vote
from pipeline.engine.vote_large import RANGE_BITS

FRAMES = 5 << RANGE_BITS + votes.CELL_BITS
"""Of a shard of five ranges."""


def index(keys: npt.NDArray[np.uint32], frames: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint32], ...]:
    """A shard's postings, as its file has them."""
    order = np.argsort(keys, kind="stable")
    first = np.zeros(KEYS + 1, np.uint32)
    np.cumsum(np.bincount(keys, minlength=KEYS), out=first[1:])
    return first, frames[order].astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3]


def both(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, postings: int, repeats: list[int]
) -> tuple[Places, Places]:
    """The places by either way of counting, in a shard of accidents where a probe is heard at `repeats` as well."""
    probe_keys = rng.integers(0, 500, 200).astype(np.uint32)
    probe_frames = np.sort(rng.integers(0, 150, 200)).astype(np.int32)
    keys = [rng.integers(0, 500, postings).astype(np.uint32)]
    frames = [rng.integers(200, FRAMES - 400, postings)]
    for share, start in enumerate(repeats):
        heard = rng.random(200) < 0.2 + 0.05 * share
        keys.append(probe_keys[heard])
        frames.append(start + probe_frames[heard])
    first, stored = index(np.concatenate(keys), np.concatenate(frames))
    found = []
    for from_cells in (1 << 40, 0):
        monkeypatch.setattr(votes, "FROM_CELLS", from_cells)
        ballot = Ballot.for_frames(FRAMES)
        found.append(vote(first, stored, probe_keys, probe_frames, ballot, most=20))
    return found[0], found[1]


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    postings=st.sampled_from([0, 300, 20_000]),
    repeats=st.lists(st.integers(400, FRAMES - 400), max_size=12),
)
def test_the_same_places_win_however_large_the_shard(seed: int, postings: int, repeats: list[int]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        small, large = both(np.random.default_rng(seed), monkeypatch, postings, repeats)
    # Of places with as few votes as the last ones named, others may have been left out.
    bar = max([0, *small.votes[-1:], *large.votes[-1:]])
    assert said(small, bar) == said(large, bar)
    assert (np.diff(large.votes) <= 0).all()


def said(places: Places, bar: int) -> set[tuple[int, int]]:
    above = places.votes > bar
    return set(zip(places.frame[above].tolist(), places.votes[above].tolist(), strict=True))


@pytest.mark.parametrize("off", range(-12, 13))
def test_a_place_at_the_border_of_two_ranges_is_found(off: int, monkeypatch: pytest.MonkeyPatch) -> None:
    border = 2 << RANGE_BITS + votes.CELL_BITS
    small, large = both(np.random.default_rng(5), monkeypatch, 300, [border + off])
    assert large.frame[0] == small.frame[0]
    assert 0 <= border + off - int(large.frame[0]) < 8
