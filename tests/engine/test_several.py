"""Several tracks in one probe, where each begins and ends, and versions of one piece."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.engine.catalogue import Catalogue
from pipeline.engine.hits import Hit
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.model import RATE_HZ, Pcm
from tests.engine.melodies import bells, cut, entry, noisy, to_pcm, tune

KNOWN = range(200, 213)
REMIX = to_pcm(cut(tune(200), 0, 38).astype(float) + 1.5 * cut(tune(401), 0, 38))


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """Thirteen tunes, the first again with other music over it, and another again without its first 20 s."""
    made = Catalogue.open(tmp_path_factory.mktemp("several"), create=True)
    made.add(entry(seed) for seed in KNOWN)
    made.add([Entry(KnownTrack("remix"), [REMIX]), Entry(KnownTrack("edit"), [cut(tune(210), 20, 20)])])
    return made


def spans(found: list[Hit]) -> dict[str, tuple[float, float]]:
    return {hit.track_id: (hit.start_s, hit.end_s) for hit in found}


def faded(first: Pcm, second: Pcm, fade_s: float) -> Pcm:
    fade = round(fade_s * RATE_HZ)
    gone = np.linspace(1, 0, fade)
    both = first[-fade:] * gone + second[:fade] * (1 - gone)
    return to_pcm(np.concatenate([first[:-fade].astype(float), both, second[fade:].astype(float)]))


def test_three_tunes_of_five_seconds_are_all_found_where_they_are(catalogue: Catalogue) -> None:
    for seed in (201, 204, 207):
        pieces = [cut(tune(seed + n), 12 + 3 * n, 5) for n in range(3)]

        heard = spans(catalogue.search(np.concatenate(pieces)))

        assert heard == {
            f"tune-{seed + n}": (pytest.approx(5 * n, abs=0.5), pytest.approx(5 * n + 5, abs=0.5))
            for n in range(3)
        }


def test_what_rings_on_is_found_beside_what_fits_it_half(tmp_path: Path) -> None:
    # In the whole of a probe the bells seem to be heard under the tune as well, where all their levels are wrong.
    ringing = {f"bells-{seed}": bells(seed, 40) for seed in (601, 603, 605, 607)}
    with Catalogue.open(tmp_path, create=True) as catalogue:
        catalogue.add(entry(seed) for seed in (600, 602, 604, 606))
        catalogue.add(Entry(KnownTrack(name), [pcm]) for name, pcm in ringing.items())
        for (one, other), seed in zip(pairwise([*ringing, "bells-601"]), (600, 602, 604, 606), strict=True):
            pieces = [cut(ringing[one], 12, 5), cut(tune(seed), 15, 5), cut(ringing[other], 18, 5)]

            heard = spans(catalogue.search(np.concatenate(pieces)))

            assert heard == {
                name: (pytest.approx(5 * n, abs=0.5), pytest.approx(5 * n + 5, abs=1))
                for n, name in enumerate((one, f"tune-{seed}", other))
            }


def test_what_swells_is_heard_from_its_soft_beginning_on(tmp_path: Path) -> None:
    # Beside the loud part the soft one, 30 dB below and 10 dB over noise, hardly counts.
    with Catalogue.open(tmp_path, create=True) as catalogue:
        for seed in (620, 621, 622):
            loud = tune(seed).astype(float)
            swell = to_pcm(np.concatenate([0.03 * cut(loud, 0, 20), cut(loud, 20, 20)]))
            catalogue.add([Entry(KnownTrack(f"swell-{seed}"), [swell])])

            heard = spans(catalogue.search(noisy(cut(swell, 13, 15), 40)))

            assert heard == {f"swell-{seed}": (pytest.approx(0, abs=1), 15)}


def test_a_fade_is_parted_in_its_middle(catalogue: Catalogue) -> None:
    probe = faded(cut(tune(202), 10, 9), cut(tune(208), 5, 9), 3)

    heard = spans(catalogue.search(probe))

    assert heard.keys() == {"tune-202", "tune-208"}
    assert heard["tune-202"] == (0, pytest.approx(7.5, abs=1.2))
    assert heard["tune-208"] == (pytest.approx(7.5, abs=1.2), 15)
    assert heard["tune-202"][1] <= heard["tune-208"][0]


def test_what_is_played_together_for_long_is_not_parted(catalogue: Catalogue) -> None:
    first, second = np.zeros(15 * RATE_HZ), np.zeros(15 * RATE_HZ)
    first[: 11 * RATE_HZ], second[4 * RATE_HZ :] = cut(tune(203), 8, 11), cut(tune(209), 8, 11)

    heard = spans(catalogue.search(to_pcm(first + second)))

    assert heard["tune-203"] == (0, pytest.approx(11, abs=1))
    assert heard["tune-209"] == (pytest.approx(4, abs=1), 15)


def test_a_short_known_stretch_in_unknown_music_is_found(catalogue: Catalogue) -> None:
    probe = np.concatenate([cut(tune(500), 5, 5), cut(tune(205), 17, 5), cut(tune(501), 5, 5)])

    (hit,) = catalogue.search(probe)

    assert hit.track_id == "tune-205"
    assert (hit.start_s, hit.end_s) == (pytest.approx(5, abs=0.5), pytest.approx(10, abs=0.5))
    assert hit.track_start_s == pytest.approx(12, abs=0.09)


def test_a_tune_that_begins_late_is_not_heard_from_the_start(catalogue: Catalogue) -> None:
    # Before its own beginning a track has no peaks that could speak for it or against it.
    probe = np.concatenate([cut(tune(502), 5, 7), tune(206)[: 8 * RATE_HZ]])

    (hit,) = catalogue.search(probe)

    assert hit.start_s == pytest.approx(7, abs=0.6)


def test_what_is_faint_beside_a_tune_is_no_other_version_of_it(tmp_path: Path) -> None:
    # Where it shares peaks with the tune by accident it is loud, and nowhere else.
    faint, loud = cut(bells(706, 40), 10, 15).astype(float), cut(tune(703), 10, 15).astype(float)
    with Catalogue.open(tmp_path, create=True) as catalogue:
        catalogue.add(entry(seed) for seed in range(700, 708))
        catalogue.add(Entry(KnownTrack(f"bells-{seed}"), [bells(seed, 40)]) for seed in range(700, 708))
        for below_db in (8, 9):
            gain = 10 ** (-below_db / 20) * np.std(loud) / np.std(faint)

            heard = spans(catalogue.search(to_pcm(loud + gain * faint)))

            assert heard.keys() == {"tune-703", "bells-706"}


@pytest.mark.parametrize("snr_db", [40, 5])
def test_another_version_of_what_is_heard_is_no_second_track(catalogue: Catalogue, snr_db: float) -> None:
    for start_s in (6, 15):
        (original,) = catalogue.search(noisy(cut(tune(200), start_s, 15), snr_db))
        (remix,) = catalogue.search(noisy(cut(REMIX, start_s, 15), snr_db))

        assert (original.track_id, remix.track_id) == ("tune-200", "remix")


@pytest.mark.parametrize("snr_db", [5, 3])
def test_what_is_heard_for_longer_is_named_though_an_edit_fits_better_for_half(
    catalogue: Catalogue, snr_db: float
) -> None:
    probe = np.concatenate([noisy(cut(tune(210), 12, 8), snr_db), cut(tune(210), 20, 7)])

    whole, edit = sorted(catalogue.candidates(probe), key=lambda hit: hit.z)[-2:]
    (hit,) = catalogue.search(probe)

    assert (whole.track_id, edit.track_id) == ("tune-210", "edit")
    assert hit.track_id == "tune-210"


def test_an_edit_is_named_where_the_whole_has_other_music_before_it(catalogue: Catalogue) -> None:
    probe = np.concatenate([cut(tune(503), 5, 7), cut(tune(210), 20, 8)])

    (hit,) = catalogue.search(probe)

    assert {hit.track_id, *(track.track_id for track in hit.also)} == {"edit", "tune-210"}


def test_long_unknown_probes_are_not_found_at_any_look(catalogue: Catalogue) -> None:
    for seed in range(510, 516):
        assert catalogue.search(noisy(cut(tune(seed), 4, 30), 10)) == []
