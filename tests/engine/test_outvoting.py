"""What sounds all the time is named by its votes, for nothing of it stands out in the map that verification reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.engine.catalogue import Catalogue
from pipeline.engine.heard import NAMED_LOG_ODDS, hear
from pipeline.engine.outvoting import search_outvoting
from pipeline.engine.query import Query, make_query
from pipeline.engine.search import search_plain
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.model import Pcm
from tests.engine.melodies import cut, drone, entry, noisy, tune

KNOWN = range(5)
"""Each has a chord of its own."""


def known(number: int, name: str = "drone") -> Entry:
    return Entry(KnownTrack(f"{name}-{number}"), [drone(number, 40.0)])


def asked(pcm: Pcm) -> Query:
    query = make_query(noisy(pcm, 30))
    assert query is not None
    return query


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """Five drones and six tunes."""
    made = Catalogue.open(tmp_path_factory.mktemp("drones"), create=True)
    made.add([*map(known, KNOWN), *(entry(seed) for seed in range(100, 106))])
    return made


def test_a_chord_that_sounds_all_the_time_is_named_by_when_its_peaks_come(catalogue: Catalogue) -> None:
    named = by_fit = 0
    for number in KNOWN:
        for start_s in (7.77, 20.13):
            excerpt = cut(drone(number, 40.0), start_s, 5)
            query = asked(excerpt)
            plain = [hear(query, candidate) for candidate in search_plain(query, catalogue.parts)]
            by_fit += any(heard.certain(NAMED_LOG_ODDS) for heard in plain)

            hits = catalogue.search(noisy(excerpt, 30))

            named += [hit.track_id for hit in hits] == [f"drone-{number}"]
            assert [hit.track_start_s for hit in hits] == pytest.approx([start_s], abs=0.04)

    assert by_fit < 6
    assert named == 10


@pytest.mark.parametrize("snr_db", [10, 5])
def test_votes_are_asked_where_a_moment_stands_out_that_is_too_short_to_name_anything(
    catalogue: Catalogue, snr_db: int
) -> None:
    excerpt = noisy(cut(drone(2, 40.0), 20.13, 5), snr_db)
    query = make_query(excerpt)
    assert query is not None
    moment = max(
        (hear(query, found) for found in search_plain(query, catalogue.parts)), key=lambda h: h.log_odds
    )

    assert moment.candidate.log_odds > NAMED_LOG_ODDS
    assert moment.log_odds > NAMED_LOG_ODDS
    assert not moment.certain(NAMED_LOG_ODDS)
    assert [hit.track_id for hit in catalogue.search(excerpt)] == ["drone-2"]


@pytest.mark.parametrize("snr_db", [30, 10, 0])
def test_another_drum_over_the_same_chord_is_not_named(catalogue: Catalogue, snr_db: int) -> None:
    for stranger in range(10, 20):
        assert catalogue.search(noisy(cut(drone(stranger, 20.0), 7.77, 5), snr_db)) == []


def test_a_copy_is_no_rival(tmp_path: Path) -> None:
    with Catalogue.open(tmp_path, create=True) as twice:
        twice.add([known(1), Entry(KnownTrack("copy"), [noisy(drone(1, 40.0), 40)])])

        (hit,) = twice.search(noisy(cut(drone(1, 40.0), 20.13, 5), 30))

    assert {hit.track_id, *(track.track_id for track in hit.also)} == {"drone-1", "copy"}


def test_votes_do_not_ask_again_for_a_cover_whose_music_was_heard(tmp_path: Path) -> None:
    cover = cut(tune(14, 60.0, players=472595), 12.5, 5)
    with Catalogue.open(tmp_path, create=True) as tunes:
        tunes.add(entry(seed, 60.0) for seed in (*range(300, 308), 14))
        query = make_query(cover)
        assert query is not None
        heard = [hear(query, found) for found in search_plain(query, tunes.parts)]
        by_votes = [hear(query, found) for found in search_outvoting(query, tunes.parts)]

        assert heard[0].candidate.log_odds > NAMED_LOG_ODDS > heard[0].log_odds
        assert [each.certain(NAMED_LOG_ODDS) for each in by_votes] == [True]
        assert tunes.search(cover) == []


def test_two_that_share_the_votes_are_both_left_to_verification(tmp_path: Path) -> None:
    both = cut(tune(1), 5, 5) // 2 + cut(tune(2), 5, 5) // 2
    with Catalogue.open(tmp_path, create=True) as tunes:
        tunes.add(entry(seed) for seed in (1, 2, 3))

        assert search_outvoting(asked(both), tunes.parts) == []
