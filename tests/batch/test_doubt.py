"""Uploads that break off: what they cost at most, on the service's own record, and what the rows say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.batch.doubt import Verdict, judge
from pipeline.ledger import Ledger
from pipeline.model import Probe, Usage
from tests.batch.runner import Runner, is_song, statuses
from tests.music import PITCHES_HZ, song, write
from tests.services import faults
from tests.services.audiotag import AudioTagService
from tests.services.faults import Fault
from tests.services.uploads import Form

ANSWERED = {"a.mp3": "found", "b.ogg": "found", "unknown.flac": "not_found"}
NEEDED_S = 15 + 15 + 45
"""What the folder costs undisturbed: the two songs are named by their first piece, the third has to be heard thrice."""


def credits_of(run: Runner) -> float:
    return sum(row.credits for row in run.rows().values())


@pytest.mark.parametrize("every_request", [True, False])
def test_an_upload_that_broke_off_before_it_was_taken_is_repeated_for_nothing_in_the_same_run(
    run: Runner, music: Path, service: AudioTagService, every_request: bool
) -> None:
    service.counts_every_request = every_request
    service.plan("identify", faults.reset_before(), faults.http(502), faults.http(504, "<html>"))
    assert run(music).exit_code == 0
    rows = run.rows()
    assert statuses(rows) == ANSWERED
    assert service.charged_s() == credits_of(run) == NEEDED_S
    assert {row.error for row in rows.values()} == {""}


@pytest.mark.parametrize(
    "fault",
    [
        faults.reset_after(),
        faults.http(502, "<html>Bad Gateway</html>", take=True),
        faults.http(504, take=True),
        faults.cut(0),
        faults.cut(30),
        faults.html(),
        faults.http(200, "", take=True),
        faults.slow(8),
    ],
    ids=str,
)
def test_an_upload_that_was_charged_and_cut_is_paid_for_once_more_in_the_same_run_and_the_row_says_so(
    run: Runner, music: Path, service: AudioTagService, fault: Fault
) -> None:
    service.counts_every_request = not fault.reset
    run.upload_s = 2.0
    service.plan_about(is_song("Anna"), "identify", fault, times=1)
    outcome = run(music)
    rows = run.rows()
    assert outcome.exit_code == 0
    assert statuses(rows) == ANSWERED
    assert service.charged_s() == credits_of(run) == outcome.counts.credits == NEEDED_S + 15
    assert max(service.times_charged().values()) == 2
    assert rows["a.mp3"].credits == 30
    assert "cost more than their answer; before that, charged: " in rows["a.mp3"].error
    assert rows["b.ogg"].error == ""
    assert run(music).counts.unchanged == 3


def test_a_token_in_a_reply_that_was_cut_behind_it_is_used_and_nothing_is_paid_twice(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    token_ends = len('{"success":true,"error":null,"token":"') + 33
    service.plan("identify", *[faults.cut(token_ends)] * 5)
    assert run(music).exit_code == 0
    assert service.charged_s() == NEEDED_S
    assert service.paid_twice() == []


def test_all_other_files_go_first(run: Runner, music: Path, service: AudioTagService) -> None:
    service.plan_about(is_song("Anna"), "identify", faults.reset_after(), times=1)
    run(music, jobs=1)
    order = [charge.sha256 for charge in service.charges]
    assert service.paid_twice() == [order[-1]]
    assert len(order) == 6


@pytest.mark.parametrize("jobs", [1, 4])
def test_charged_and_cut_every_time_costs_two_payments_is_said_in_the_row_and_the_rest_is_done(
    run: Runner, music: Path, service: AudioTagService, jobs: int
) -> None:
    service.plan_about(is_song("Anna"), "identify", faults.reset_after())
    outcome = run(music, jobs=jobs)
    rows = run.rows()
    assert outcome.exit_code == 3
    assert statuses(rows) == ANSWERED | {"a.mp3": "failed"}
    assert "charged 2 times, no answer, not sent again" in rows["a.mp3"].error
    assert rows["a.mp3"].credits == 30
    assert service.charged_s() == credits_of(run) == outcome.counts.credits == NEEDED_S + 15


def test_a_segment_that_was_given_up_costs_nothing_in_any_later_run(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    service.plan_about(is_song("Anna"), "identify", faults.reset_after())
    for _ in range(5):
        run(music, probes=1)
    assert max(service.times_charged().values()) == 2
    assert "charged 2 times, no answer, not sent again" in run.rows()["a.mp3"].error


def test_a_service_whose_counters_lie_gets_three_payments_at_most(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    service.stop_counting()
    service.plan_about(is_song("Anna"), "identify", faults.reset_after())
    for _ in range(3):
        run(music / "a.mp3", probes=1)
    assert service.times_charged().popitem()[1] <= 3
    assert "no answer, not sent again" in run.rows()["a.mp3"].error


def test_when_somebody_else_uses_the_key_nobody_knows_and_one_more_payment_is_made(
    run: Runner, music: Path, service: AudioTagService, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = service.reply

    def others_upload_too(form: Form) -> dict[str, Any]:
        service.others_s += 7
        return asked(form)

    monkeypatch.setattr(service, "reply", others_upload_too)
    service.plan_about(is_song("Anna"), "identify", faults.reset_before())
    run(music / "a.mp3", probes=1)
    assert "perhaps charged 2 times, no answer, not sent again" in run.rows()["a.mp3"].error
    assert sum(seen.action == "identify" for seen in service.seen) == 2


def test_without_counters_nobody_knows_and_one_more_payment_is_made(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    service.plan("stat", *[faults.refused("api key stats not found")] * 50)
    service.plan_about(is_song("Anna"), "identify", faults.reset_after())
    run(music)
    assert "perhaps charged 2 times, no answer" in run.rows()["a.mp3"].error
    assert max(service.times_charged().values()) == 2


def test_several_that_broke_off_at_once_and_were_not_charged_are_all_free(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    service.plan("identify", *[faults.reset_before()] * 3)
    assert run(music, jobs=4).exit_code == 0
    assert service.charged_s() == NEEDED_S


def test_several_that_broke_off_and_cannot_be_told_apart_cost_one_more_payment_each_at_most(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    service.plan("identify", faults.reset_before(), faults.reset_after(), faults.reset_before())
    assert run(music, jobs=4).exit_code == 0
    assert statuses(run.rows()) == ANSWERED
    assert max(service.times_charged().values()) <= 2
    assert service.charged_s() == NEEDED_S + 15
    assert any("perhaps charged: " in row.error for row in run.rows().values())


@pytest.mark.parametrize("charged", [True, False])
def test_an_upload_that_a_kill_broke_off_is_settled_by_the_next_run_after_all_other_files(
    run: Runner, music: Path, service: AudioTagService, charged: bool
) -> None:
    run(music / "b.ogg")
    run.decoder.decoded.clear()
    killed = killed_in_mid_upload(run, music, service, charged=charged)
    already = len(service.charges)
    assert run(music, jobs=1).exit_code == 0
    assert statuses(run.rows()) == ANSWERED
    assert service.charged_s() == NEEDED_S + 15 * charged
    assert service.paid_twice() == ([killed] if charged else [])
    if charged:
        assert service.charges[-1].sha256 == killed
        assert len(service.charges) > already + 1
        assert "before that, charged: the run ended during the upload" in run.rows()["a.mp3"].error


def test_a_copy_of_a_file_in_doubt_does_not_pay_too(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    for name in ("copy 1.mp3", "copy 2.mp3", "copy 3.mp3"):
        (music / name).write_bytes((music / "a.mp3").read_bytes())
    service.plan_about(is_song("Anna"), "identify", faults.reset_after())
    run(music, probes=1)
    assert service.times_charged() == {sha256: n for sha256, n in service.times_charged().items() if n <= 2}
    assert {row.status for path, row in run.rows().items() if "copy" in path} == {"failed"}
    assert credits_of(run) == service.charged_s()


def test_the_cap_counts_what_was_paid_in_vain(run: Runner, music: Path, service: AudioTagService) -> None:
    service.plan_about(is_song("Anna"), "identify", faults.reset_after(), times=1)
    assert run(music, max_credits=float(NEEDED_S)).exit_code == 6
    assert service.charged_s() == NEEDED_S
    assert run.rows()["a.mp3"].status == "pending"


def test_what_turns_out_not_to_be_charged_is_free_under_the_cap_too(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    service.plan_about(is_song("Anna"), "identify", faults.reset_before(), times=1)
    assert run(music, max_credits=float(NEEDED_S)).exit_code == 0
    assert service.charged_s() == NEEDED_S


def test_a_piece_of_a_mix_in_doubt_is_asked_again_and_the_others_are_not_paid_again(
    run: Runner, tmp_path: Path, service: AudioTagService
) -> None:
    write(tmp_path / "mixes" / "mix.mp3", *(song(PITCHES_HZ[title], 90) for title in ("Anna", "Berta")))
    service.plan_about(is_song("Berta"), "identify", faults.reset_after(), times=1)
    assert run(tmp_path / "mixes", mix_after_s=120.0, mix_every_s=30.0).exit_code == 0
    (row,) = run.rows().values()
    assert (row.status, row.tracks, row.credits) == ("found", 2, 7 * 15)
    assert service.charged_s() == 7 * 15


def killed_in_mid_upload(run: Runner, music: Path, service: AudioTagService, *, charged: bool) -> str:
    """Leave the ledger as a kill leaves it between intent and reply; the SHA-256 of the audio."""
    from pipeline.batch.convert import convert
    from pipeline.batch.walk import walk
    from pipeline.recognizers.audiotag import AudioTag
    from tests.services.audiotag import KEY

    (source,) = walk([bytes(music / "a.mp3")], on_trouble=lambda path, message: None)
    piece = next(iter(convert(source, run.decoder, run.options, hear_all=False).pieces))  # type: ignore[arg-type]
    with Ledger.open(run.state) as ledger, AudioTag(service.url, KEY) as client:
        ((file_id, _),) = ledger.admit([source]).values()
        ledger.uploads.intend(ledger.begin_run("m"), file_id, client.name, Probe(piece.probe.pcm))
        if charged:
            client.identify(piece.probe)
    return piece.probe.sha256


# ---- the judgement itself

BEFORE = Usage(1000.0, 70)


def now(more_s: float, queries: int) -> Usage:
    return Usage(BEFORE.uploaded_s + more_s, BEFORE.queries + queries)


@pytest.mark.parametrize(
    ("looks", "doubts_s", "verdict"),
    [
        ((now(30, 2), now(30, 2)), [15.0], Verdict.FREE),
        ((now(45, 3), now(45, 3)), [15.0], Verdict.CHARGED),
        ((now(60, 4), now(60, 4)), [15.0], Verdict.UNKNOWN),
        ((now(20, 2), now(20, 2)), [15.0], Verdict.UNKNOWN),
        # Booked between the two looks: more may follow.
        ((now(30, 2), now(45, 3)), [15.0], Verdict.UNKNOWN),
        # The queries contradict the seconds.
        ((now(30, 3), now(30, 3)), [15.0], Verdict.UNKNOWN),
        ((now(45, 2), now(45, 2)), [15.0], Verdict.UNKNOWN),
        ((now(30, 1), now(30, 1)), [15.0], Verdict.UNKNOWN),
        # Every request is a query: more of them than uploads say nothing.
        ((now(30, 20), now(30, 21)), [15.0], Verdict.FREE),
        ((now(45, 20), now(45, 21)), [15.0], Verdict.CHARGED),
        # Several at once: all or none can be told.
        ((now(30, 2), now(30, 2)), [15.0, 20.0], Verdict.FREE),
        ((now(65, 4), now(65, 4)), [15.0, 20.0], Verdict.CHARGED),
        ((now(45, 3), now(45, 3)), [15.0, 20.0], Verdict.UNKNOWN),
    ],
)
def test_the_counters_say_free_charged_or_nothing(
    looks: tuple[Usage, Usage], doubts_s: list[float], verdict: Verdict
) -> None:
    assert judge(BEFORE, looks, known_s=30.0, known=2, doubts_s=doubts_s) is verdict
