"""What the engine names and what it does not, on tunes that numpy plays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.engine import search
from pipeline.engine.bent import KEPT, at_any_tempo, best_of_each_bend, search_bent
from pipeline.engine.catalogue import Catalogue
from pipeline.engine.covers import Bearing
from pipeline.engine.heard import NAMED_LOG_ODDS, RAISED_BY_LEVELS, bearing_on, hear, hear_there, heard_best
from pipeline.engine.query import make_query
from pipeline.engine.score import FEATURES, Others, Pass
from pipeline.engine.search import BEAT, HEARD_LOG_ODDS, Candidate, search_plain, search_scanned
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.model import RATE_HZ, Pcm
from tests.engine.melodies import (
    at_speed,
    at_tempo,
    bells,
    cut,
    entry,
    machine,
    noisy,
    to_pcm,
    tune,
    under_a_voice,
    wind,
)

KNOWN = range(100, 112)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """Twelve tunes, and one of them again under another name, 3 s later and under a little noise."""
    made = Catalogue.open(tmp_path_factory.mktemp("twelve"), create=True)
    made.add(entry(seed) for seed in KNOWN)
    later = np.concatenate([np.zeros(3 * RATE_HZ, np.int16), noisy(tune(111), 20)])
    made.add([Entry(KnownTrack("copy", "Tune 111, again"), [later])])
    return made


def names(catalogue: Catalogue, pcm: Pcm) -> list[str]:
    return [hit.track_id for hit in catalogue.search(pcm)]


@pytest.mark.parametrize("length_s", [5, 10, 15, 30])
def test_a_clip_is_named_with_its_place(catalogue: Catalogue, length_s: int) -> None:
    for seed in KNOWN[:4]:
        (hit,) = catalogue.search(cut(tune(seed), 8.765, length_s))

        assert hit.track_id == f"tune-{seed}"
        # A note is loudest a little after it began: up to two frames (64 ms) early is as near as it gets here.
        assert hit.track_start_s == pytest.approx(8.765, abs=0.09)
        assert (hit.start_s, hit.end_s) == (0, length_s)
        assert (hit.tempo, hit.pitch) == (1, 1)
        assert hit.confidence > 0.95


def test_who_has_only_the_drums_of_music_that_is_played_slower_is_not_named_for_it(tmp_path: Path) -> None:
    with Catalogue.open(tmp_path, create=True) as made:
        for tempo in (0.91, 0.93):
            slower = KnownTrack(f"same drums, {tempo} times as fast")
            made.add([Entry(slower, [machine(2, 0.5 / tempo, 60)])])
        made.add([Entry(KnownTrack("known"), [machine(1, 0.5, 60)]), *map(entry, KNOWN)])

        for tempo in (0.91, 0.93):
            for start_s in (10.3, 22.7, 35.1):
                heard = at_tempo(cut(machine(1, 0.5, 60), start_s, 6), tempo)[: 5 * RATE_HZ]
                assert names(made, noisy(heard, 5)) == ["known"]


def test_noise_as_loud_as_the_music_is_heard_through(catalogue: Catalogue) -> None:
    heard = [names(catalogue, noisy(cut(tune(seed), 11, 10), 0, seed)) for seed in KNOWN[:11]]

    assert heard == [[f"tune-{seed}"] for seed in KNOWN[:11]]


@pytest.mark.parametrize("percent", [-8, -3, 1, 4, 9])
def test_music_played_too_fast_or_too_slow_is_named_with_its_speed(
    catalogue: Catalogue, percent: int
) -> None:
    for seed in KNOWN[:3]:
        (hit,) = catalogue.search(at_speed(cut(tune(seed), 10, 8), percent))

        assert hit.track_id == f"tune-{seed}"
        # The plain pass bears a little: 1 % is a third of a bin, and half a frame a second.
        assert hit.tempo == pytest.approx(1 + percent / 100, abs=0.012)
        assert hit.pitch == pytest.approx(1 + percent / 100, abs=0.02)


def test_what_is_heard_for_a_moment_only_is_not_named_however_well_it_fits(catalogue: Catalogue) -> None:
    query = make_query(cut(tune(KNOWN[0]), 10, 8))
    assert query is not None
    heard = hear(query, search_plain(query, catalogue.parts)[0])

    for_a_moment = replace(heard, log_odds=heard.log_odds + 2, known_span=(62, 69))

    assert heard.certain(NAMED_LOG_ODDS)
    assert not for_a_moment.certain(NAMED_LOG_ODDS)
    assert heard_best([for_a_moment, heard]) == [heard]


def test_levels_do_not_raise_the_odds_of_a_beat_that_fits_elsewhere_as_well(catalogue: Catalogue) -> None:
    query = make_query(cut(tune(KNOWN[0]), 10, 8))
    assert query is not None
    found = replace(search_plain(query, catalogue.parts)[0], log_odds=1.5)
    told = dict(zip(FEATURES, found.features, strict=True))
    at_any_moment = told | {"fit_over_shifts": BEAT["fit_over_shifts"] - 0.01}
    a_beat = at_any_moment | {"fit_over_bins": BEAT["fit_over_bins"] - 0.01}

    music, unpitched, beat = (
        hear_there(query, replace(found, features=np.array(list(each.values()))))
        for each in (told, at_any_moment, a_beat)
    )

    assert music.log_odds == unpitched.log_odds > NAMED_LOG_ODDS
    assert beat.log_odds == 1.5


@pytest.mark.parametrize(("seed", "start_s", "snr_db"), [(5, 3.3, -6), (5, 3.3, -7)])
def test_music_that_seems_to_be_heard_longer_at_another_tempo_but_fits_no_better_is_judged_as_it_is(
    tmp_path: Path, seed: int, start_s: float, snr_db: float
) -> None:
    probe = noisy(cut(bells(seed, 40), start_s, 5), snr_db, seed=-4 - round(snr_db))
    with Catalogue.open(tmp_path, create=True) as made:
        made.add([*map(entry, KNOWN), *(Entry(KnownTrack(f"bells-{n}"), [bells(n, 40)]) for n in range(6))])

        assert names(made, probe) == [f"bells-{seed}"]


def test_what_is_moved_to_its_own_tempo_sounds_as_it_is(catalogue: Catalogue) -> None:
    query = make_query(cut(tune(KNOWN[0]), 10, 15))
    assert query is not None
    found = search_plain(query, catalogue.parts)[0]

    moved = at_any_tempo(query, found.moved(found.frame, found.z, 1.0125, 0), (0, query.frames - 1))

    assert moved.as_it_is


def test_what_is_heard_for_most_of_what_could_be_may_be_harmed_if_unevenly_or_throughout(
    catalogue: Catalogue,
) -> None:
    music = cut(tune(KNOWN[0]), 10, 5)
    swelling = np.interp(np.arange(5 * RATE_HZ) / RATE_HZ % 2, [0, 1, 2], [0.02, 1, 0.02])
    uneven = noisy(to_pcm(swelling * music), 0)
    beside_silence = np.concatenate([np.zeros(RATE_HZ, np.int16), uneven[: 4 * RATE_HZ]])

    def bearing(probe: Pcm, span: tuple[int, int]) -> Bearing:
        query = make_query(probe)
        assert query is not None
        found = search_plain(query, catalogue.parts)[0]
        return bearing_on(query, found, found.heard_peaks(query), span)

    assert bearing(uneven, (0, 148)).harmed
    assert not bearing(music, (0, 148)).harmed
    assert not bearing(uneven, (60, 148)).harmed
    assert bearing(beside_silence, (60, 148)).harmed
    assert [bearing(music, (first, 148)).throughout for first in (29, 31)] == [True, False]
    assert bearing(music, (0, 148)).heard_s == pytest.approx(5, abs=0.02)


@pytest.mark.parametrize(("seed", "tempo"), [(2, 1.03), (2, 0.95), (8, 1.04), (9, 1.04)])
def test_what_sounds_half_right_as_it_is_is_looked_for_at_other_tempi(
    tmp_path: Path, seed: int, tempo: float
) -> None:
    probe = at_tempo(cut(bells(seed, 60), 20, 12), tempo)[: 10 * RATE_HZ]
    query = make_query(probe)
    with Catalogue.open(tmp_path, create=True) as catalogue:
        catalogue.add(Entry(KnownTrack(f"bells-{seed}"), [bells(seed, 60)]) for seed in range(10))

        (hit,) = catalogue.search(probe)

        assert query is not None
        assert search_plain(query, catalogue.parts)[0].log_odds >= HEARD_LOG_ODDS
    assert hit.track_id == f"bells-{seed}"
    assert hit.tempo == pytest.approx(tempo, abs=0.01)


def test_at_another_tempo_levels_alone_name_nothing(catalogue: Catalogue) -> None:
    for seed in KNOWN[:4]:
        query = make_query(noisy(at_speed(cut(tune(seed), 10, 6), 4), 10, seed))
        assert query is not None
        heard = hear(query, search_bent(query, catalogue.parts)[0])
        assert heard.candidate.track.track_id == f"tune-{seed}"

        by_levels = hear(query, replace(heard.candidate, log_odds=0.4))

        assert heard.certain(NAMED_LOG_ODDS)
        assert by_levels.log_odds == pytest.approx(0.4 + RAISED_BY_LEVELS)
        assert not by_levels.certain(NAMED_LOG_ODDS)


@pytest.mark.parametrize(
    ("tempo", "shift", "alone"),
    [
        (1.0, 0, False),
        (0.95, 0, True),
        (1.005, 0, True),
        (0.9, 1, True),  # pitch is known to a bin
        (0.986, 1, False),  # 1.4 % too slow, and a bin lower for it
        (1.02, -1, False),
        (1.02, 1, True),
        (0.995, 1, True),
        (0.95, 4, False),
    ],
)
def test_a_turntable_that_runs_too_slow_changes_more_than_the_tempo(
    catalogue: Catalogue, tempo: float, shift: int, alone: bool
) -> None:
    candidate = Candidate(catalogue.parts[0], 0, 0, tempo, shift, votes=9, z=9.0)

    assert candidate.tempo_alone is alone


def test_of_every_tempo_and_pitch_only_the_best_few_are_kept(catalogue: Catalogue) -> None:
    part = catalogue.parts[0]
    bends = [(0.95, 0), (1.05, 0), (1.0, 3), (1.05, 3)]
    found = [
        Candidate(part, number, 0, tempo, shift, votes=9, z=z)
        for tempo, shift in bends
        for number, z in enumerate([4.0, 8.0, 5.0, 7.0, 6.0])
    ]

    kept = best_of_each_bend(found)

    assert [candidate.z for candidate in kept] == [z for z in (8.0, 7.0, 6.0) for _ in bends]
    assert len({(candidate.tempo, candidate.shift) for candidate in kept}) == len(bends)
    assert len(kept) == KEPT * len(bends)


def test_where_no_landmark_is_left_every_place_is_asked(tmp_path: Path) -> None:
    unseen = 0
    with Catalogue.open(tmp_path, create=True) as catalogue:
        catalogue.add(
            [
                *(Entry(KnownTrack(f"wind-{seed}"), [wind(seed, 60)]) for seed in range(20)),
                *(entry(seed) for seed in KNOWN),
            ]
        )

        for seed in range(20):
            probe = under_a_voice(cut(wind(seed, 60), 12, 6), 9, seed)

            (hit,) = catalogue.search(probe)

            assert (hit.track_id, hit.track_start_s) == (f"wind-{seed}", pytest.approx(12, abs=0.09))
            query = make_query(probe)
            assert query is not None
            voted = {candidate.track.track_id for candidate in search_plain(query, catalogue.parts)}
            unseen += hit.track_id not in voted
    assert unseen > 0


def test_a_track_that_is_not_known_any_more_is_not_found_anywhere(tmp_path: Path) -> None:
    probe = under_a_voice(cut(wind(0, 60), 12, 6), 9, 0)
    query = make_query(probe)
    assert query is not None
    with Catalogue.open(tmp_path, create=True) as catalogue:
        catalogue.add(Entry(KnownTrack(f"wind-{seed}"), [wind(seed, 60)]) for seed in range(20))
        assert search_scanned(query, catalogue.parts)[0].track.track_id == "wind-0"

        catalogue.remove(["wind-0"])

        others = [candidate.track.track_id for candidate in search_scanned(query, catalogue.parts)]
        catalogue.remove(f"wind-{seed}" for seed in range(20))
        nobody = search_scanned(query, catalogue.parts)
    assert others
    assert "wind-0" not in others
    assert nobody == []


def test_only_the_heard_part_of_a_probe_is_claimed(catalogue: Catalogue) -> None:
    probe = np.concatenate([tune(900)[: 6 * RATE_HZ], cut(tune(103), 20, 9)])

    (hit,) = catalogue.search(probe)

    assert hit.track_id == "tune-103"
    assert hit.start_s == pytest.approx(6, abs=1)
    assert hit.end_s == 15
    assert hit.track_start_s == pytest.approx(14, abs=0.09)


def test_two_tunes_one_after_the_other_are_two_hits(catalogue: Catalogue) -> None:
    found = catalogue.search(np.concatenate([cut(tune(104), 5, 7), cut(tune(105), 21, 8)]))

    spans = {hit.track_id: (hit.start_s, hit.end_s) for hit in found}
    assert spans.keys() == {"tune-104", "tune-105"}
    assert spans["tune-104"] == (0, pytest.approx(7, abs=1))
    assert spans["tune-105"] == (pytest.approx(7, abs=1), 15)


def test_two_tunes_at_once_are_two_hits_not_one_recording(catalogue: Catalogue) -> None:
    both = to_pcm(cut(tune(106), 5, 15).astype(float) + cut(tune(107), 20, 15))

    found = catalogue.search(both)

    assert {hit.track_id for hit in found} == {"tune-106", "tune-107"}
    assert [hit.also for hit in found] == [(), ()]


def test_copies_of_one_recording_are_one_hit_with_two_names(catalogue: Catalogue) -> None:
    (hit,) = catalogue.search(cut(tune(111), 12, 10))

    assert {hit.track_id, *(track.track_id for track in hit.also)} == {"tune-111", "copy"}
    assert len(hit.also) == 1


def test_a_probe_may_begin_before_its_track(catalogue: Catalogue) -> None:
    probe = np.concatenate([np.zeros(5 * RATE_HZ, np.int16), tune(102)[: 10 * RATE_HZ]])

    (hit,) = catalogue.search(probe)

    assert hit.track_id == "tune-102"
    assert hit.track_start_s == pytest.approx(-5, abs=0.09)


def test_unknown_tunes_are_not_found(catalogue: Catalogue) -> None:
    for seed in range(500, 512):
        assert names(catalogue, cut(tune(seed), 10, 5)) == []
        assert names(catalogue, noisy(cut(tune(seed), 10, 10), 0)) == []


@pytest.mark.parametrize("tracks", [1, 2, 3])
def test_a_small_catalogue_is_no_more_gullible(tmp_path: Path, tracks: int) -> None:
    small = Catalogue.open(tmp_path, create=True)
    small.add(entry(seed) for seed in range(tracks))

    for seed in range(500, 510):
        assert names(small, cut(tune(seed), 12, 15)) == []
    assert names(small, noisy(cut(tune(0), 12, 15), 5)) == ["tune-0"]


def test_beside_a_loop_that_fits_at_each_of_its_turns_others_are_still_seen(tmp_path: Path) -> None:
    turn = cut(tune(7), 10, 2)
    looped = Catalogue.open(tmp_path, create=True)
    looped.add([Entry(KnownTrack("loop"), [np.tile(turn, 150)]), *(entry(seed) for seed in KNOWN)])

    seen = looped.candidates(np.tile(turn, 3))

    assert seen[0].track_id == "loop"
    assert len(seen) > 3


@pytest.mark.parametrize("percent", [4, -8])
def test_a_loop_is_looked_for_where_enough_of_it_can_be_heard(tmp_path: Path, percent: int) -> None:
    turn = cut(tune(7), 10, 8)
    turn_over = at_speed(cut(np.tile(turn, 2), 5.5, 6), percent)[: 5 * RATE_HZ]
    hidden = round(2.3 * RATE_HZ)
    probe = np.concatenate([noisy(turn_over[:hidden], -5), turn_over[hidden:]])
    with Catalogue.open(tmp_path, create=True) as looped:
        looped.add([Entry(KnownTrack("loop"), [np.tile(turn, 6)]), *(entry(seed) for seed in KNOWN)])

        assert names(looped, probe) == ["loop"]


@pytest.mark.parametrize(("silence_s", "sound_s"), [(14, 0.5), (13, 1), (4, 0.5), (8, 2), (3, 2)])
def test_a_burst_of_unknown_music_in_silence_is_not_found(
    catalogue: Catalogue, silence_s: int, sound_s: float
) -> None:
    # Beginnings and ends of tracks fit every burst: all their peaks lie on one edge.
    silence = np.zeros(silence_s * RATE_HZ, np.int16)
    for seed in range(500, 512):
        assert names(catalogue, np.concatenate([silence, cut(tune(seed), 0, sound_s)])) == []
        assert names(catalogue, np.concatenate([cut(tune(seed), 10, sound_s), silence])) == []


def test_three_seconds_of_a_tune_before_silence_are_enough(catalogue: Catalogue) -> None:
    silence = np.zeros(2 * RATE_HZ, np.int16)
    heard = [names(catalogue, np.concatenate([cut(tune(seed), 10, 3.1), silence])) for seed in KNOWN[:11]]

    # The peaks of a sound end before it does.
    assert sum(found == [f"tune-{seed}"] for seed, found in zip(KNOWN, heard, strict=False)) >= 10


def _tone(*hz: float) -> Pcm:
    time_s = np.arange(10 * RATE_HZ) / RATE_HZ
    return to_pcm(np.sum([np.sin(2 * np.pi * f * time_s) for f in hz], axis=0))


def _noise(seconds: float) -> Pcm:
    return np.random.default_rng(3).integers(-20_000, 20_000, round(seconds * RATE_HZ)).astype(np.int16)


@pytest.mark.parametrize(
    "pcm",
    [
        np.zeros(0, np.int16),
        np.zeros(10 * RATE_HZ, np.int16),
        np.full(10 * RATE_HZ, 32767, np.int16),
        _noise(0.2),
        _noise(5),
        _noise(30),
        _noise(90),
        _tone(440),
        _tone(261.6, 329.6, 392.0),
        np.where(np.arange(15 * RATE_HZ) % RATE_HZ == 0, 32767, 0).astype(np.int16),
        np.concatenate([np.zeros(14 * RATE_HZ, np.int16), tune(100)[: RATE_HZ // 2]]),
    ],
    ids=[
        "nothing", "silence", "full scale", "0.2 s of noise", "5 s of noise", "30 s of noise", "90 s of noise",
        "a tone", "a chord", "clicks", "half a second of a known tune",
    ],
)  # fmt: skip
def test_what_is_no_music_is_not_found(catalogue: Catalogue, pcm: Pcm) -> None:
    assert catalogue.search(pcm) == []


@pytest.mark.parametrize("most", [1, 2])
def test_the_noise_of_the_last_bit_is_silence(most: int) -> None:
    noise = np.random.default_rng(1).integers(-most, most + 1, 10 * RATE_HZ).astype(np.int16)

    assert make_query(noise) is None
    assert make_query(noise * 2 + 1) is not None
    assert make_query(np.full(10 * RATE_HZ, -32768, np.int16)) is None  # as loud as can be, and still


def test_an_empty_catalogue_finds_nothing(tmp_path: Path) -> None:
    empty = Catalogue.open(tmp_path, create=True)

    assert empty.search(tune(100)) == empty.candidates(tune(100)) == []


def test_what_was_not_certain_enough_can_be_asked_for(catalogue: Catalogue) -> None:
    candidates = catalogue.candidates(cut(tune(500), 10, 5))

    assert candidates
    assert all(0 <= candidate.confidence < 0.7 for candidate in candidates)
    odds = [candidate.log_odds for candidate in candidates]
    assert odds == sorted(odds, reverse=True)


def test_tracks_that_are_not_told_of_change_no_odds(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = [make_query(noisy(cut(tune(seed), 5, 6), -6, seed)) for seed in range(200, 212)]

    def judged() -> list[list[float]]:
        found = [search_plain(query, catalogue.parts) for query in queries if query]
        return [candidate.features.tolist() for candidates in found for candidate in candidates]

    monkeypatch.setattr(search, "SCORED", 2)
    monkeypatch.setattr(search, "TOLD", 2 + search.CROWD_RANK + 1)
    monkeypatch.setitem(search.USUAL, Pass.PLAIN, Others(0.1, 0.1, 0, 0))  # whatever others reach counts
    few = judged()
    monkeypatch.setattr(search, "TOLD", 1000)

    assert few == judged()
    assert len(few) == 2 * len(queries)


def test_three_times_the_tracks_do_not_make_music_seem_such_as_fits_by_accident(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Catalogue.open(tmp_path, create=True) as many:
        many.add(entry(seed, 10) for seed in range(300, 410))
        (part,) = many.parts
        again = [replace(part, shard=replace(part.shard, name=name)) for name in ("again", "once more")]
        monkeypatch.setitem(search.USUAL, Pass.PLAIN, Others(0.1, 0.1, 0, 0))  # whatever others reach counts

        for seed in range(300, 306):
            query = make_query(noisy(cut(tune(seed, 10), 2, 5), 0, seed))
            assert query is not None
            here, everywhere = (
                search_plain(query, parts)[0].features[FEATURES.index("crowd")]
                for parts in ([part], [part, *again])
            )
            assert everywhere == pytest.approx(here, abs=0.05)
