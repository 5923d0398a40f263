"""A service in trouble: what stops, what goes on, what is waited for, and what the next run pays."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pipeline.batch.options import Coverage
from pipeline.database import Database
from pipeline.ledger import Ledger
from pipeline.model import Pcm
from pipeline.recognizers.audiotag import AudioTag
from pipeline.wire.audiotag import Candidate
from tests.batch.runner import Runner, Shelf, is_song, is_unknown, statuses
from tests.services import faults
from tests.services.audiotag import KEY, AudioTagService
from tests.services.faults import Fault
from tests.services.uploads import Form

ANSWERED = {"a.mp3": "found", "b.ogg": "found", "unknown.flac": "not_found"}


def uploads_seen(service: AudioTagService) -> int:
    return sum(seen.action == "identify" for seen in service.seen)


def test_a_wait_for_ever_blocks_no_other_file_and_is_collected_by_a_later_run(
    run: Runner, music: Path, service: AudioTagService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.batch.collecting.WAIT_S", 0.6)
    monkeypatch.setattr("pipeline.batch.collecting.TOKEN_LIFE_S", 2.0)
    service.plan_about(is_song("Anna"), "get_result", faults.waits())
    assert run(music, jobs=1).exit_code == 3
    rows = run.rows()
    assert statuses(rows) == ANSWERED | {"a.mp3": "failed"}
    assert (
        "charged, no answer yet; the next run asks for it: the service still works on it"
        in rows["a.mp3"].error
    )
    service.behave()
    assert run(music).exit_code == 0
    assert service.paid_twice() == []


@pytest.mark.parametrize(
    "lost",
    [
        faults.forgotten(),
        faults.refused("invalid token or no recognition results found for the token"),
    ],
    ids=["in result", "in error"],
)
def test_an_invalid_token_fails_that_segment_alone_and_is_paid_for_once_more_in_the_next_run(
    run: Runner, music: Path, service: AudioTagService, lost: Fault
) -> None:
    service.plan_about(is_song("Anna"), "get_result", lost)
    assert run(music, probes=1).exit_code == 3
    rows = run.rows()
    assert rows["a.mp3"].status == "failed"
    assert "charged, no answer: AudioTag get_result" in rows["a.mp3"].error
    assert rows["b.ogg"].status == "found"
    assert service.paid_twice() == []
    for _ in range(3):
        run(music, probes=1)
    assert max(service.times_charged().values()) == 2
    assert "charged 2 times, no answer, not sent again" in run.rows()["a.mp3"].error
    assert run.rows()["a.mp3"].credits == 30


@pytest.mark.parametrize(("error", "exit_code"), [("api key expired", 4), ("credit balance exhausted", 7)])
def test_a_key_or_credits_gone_in_mid_run_stop_the_uploads_and_what_was_paid_is_collected(
    run: Runner, music: Path, service: AudioTagService, error: str, exit_code: int
) -> None:
    service.latency_s = 1.0
    service.plan("identify", Fault(take=True), *[faults.refused(error)] * 20)
    assert run(music, jobs=1).exit_code == exit_code
    rows = run.rows()
    assert sorted(row.status for row in rows.values()) in (
        ["found", "pending", "pending"],
        ["pending", "pending", "pending"],
    )
    with Ledger.read(run.state) as ledger:
        assert ledger.uploads.waiting(service.url) == []
    assert uploads_seen(service) == 2
    service.behave()
    assert run(music).exit_code == 0
    assert service.charged_s() == 75
    assert service.paid_twice() == []


def test_a_service_that_goes_away_in_mid_run_is_waited_for_and_then_given_up(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    busy = faults.http(503, '{"success":false,"error":"service temporarily not available"}')
    service.plan("identify", *[busy] * 500)
    shelf = Shelf("Anna")
    with AudioTag(service.url, KEY) as paid:
        outcome = run(music, recognizers=[shelf, paid], jobs=8)
    assert outcome.exit_code == 5
    assert "was given up after" in str(outcome.stopped_by)
    rows = run.rows()
    assert statuses(rows) == {"a.mp3": "found", "b.ogg": "pending", "unknown.flac": "pending"}
    assert "service temporarily not available" in rows["b.ogg"].error
    assert shelf.heard == 9
    assert uploads_seen(service) <= 12
    assert service.charges == []


@pytest.mark.parametrize(
    "fault",
    [
        faults.throttled("1"),
        faults.throttled("Sat, 21 Nov 2026 10:00:01 GMT"),
        faults.http(503, '{"success":false,"error":"internal error: no server response"}'),
        faults.refused("internal error: could not communicate to the recognition server"),
    ],
    ids=["429 with seconds", "429 with a date of a wrong clock", "503", "internal error"],
)
def test_a_busy_service_is_asked_again_after_pauses_and_nothing_is_paid_twice(
    run: Runner, music: Path, service: AudioTagService, fault: Fault
) -> None:
    if "Retry-After" in fault.headers and "GMT" in fault.headers["Retry-After"]:
        fault.headers["Date"] = "Sat, 21 Nov 2026 10:00:00 GMT"
    service.plan("identify", fault, fault)
    assert run(music, jobs=1).exit_code == 0
    assert statuses(run.rows()) == ANSWERED
    assert service.charged_s() == 75
    assert service.paid_twice() == []
    first = [seen.at_s for seen in service.seen if seen.action == "identify"][:3]
    assert all(later - earlier > 0.45 for earlier, later in pairwise(first))


def test_the_first_ctrl_c_sends_nothing_more_of_what_waits_for_its_turn(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    with AudioTag(service.url, KEY, rate_per_s=1.0) as paid:
        taken = service.lookup

        def stopping(pcm: object) -> object:
            run.stop.set()
            return taken(pcm)  # type: ignore[arg-type]

        service.lookup = stopping  # type: ignore[assignment]
        outcome = run(music, recognizers=[paid], jobs=4)
    assert outcome.exit_code == 130
    assert len(service.charges) == uploads_seen(service) == 1
    with Ledger.read(run.state) as ledger:
        assert ledger.uploads.waiting(service.url) == []
    assert set(statuses(run.rows()).values()) <= {"pending", "found"}


def test_what_waits_for_its_turn_is_not_yet_written_down_so_a_kill_leaves_no_doubt_about_it(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    intended: list[int] = []
    known = service.lookup

    def looking_into_the_ledger(pcm: Pcm) -> Sequence[Candidate]:
        database = Database(run.state / "ledger.sqlite", read_only=True)
        with database.read() as connection:
            query = text("SELECT count(*) FROM uploads WHERE state = 'intended'")
            intended.append(connection.execute(query).scalar_one())
        database.close()
        return known(pcm)

    service.lookup = looking_into_the_ledger
    with AudioTag(service.url, KEY, rate_per_s=2.0) as paid:
        assert run(music, recognizers=[paid], jobs=4).exit_code == 0
    assert intended == [1] * 5


def test_a_token_is_asked_for_whatever_the_clocks_say_of_its_age(
    run: Runner, music: Path, service: AudioTagService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.batch.collecting.WAIT_S", 0.6)
    monkeypatch.setattr("pipeline.batch.collecting.TOKEN_LIFE_S", 1.0)
    service.plan_about(is_unknown, "get_result", faults.waits())
    run(music / "unknown.flac", probes=1)
    for year in (1970, 2199):
        database = Database(run.state / "ledger.sqlite")
        with database.write() as connection:
            connection.execute(
                text(f"UPDATE uploads SET sent_at = '{year}-01-01T00:00:00Z', intended_at = sent_at")
            )
        database.close()
        run(music / "unknown.flac", probes=1)
        assert run.rows()["unknown.flac"].status == "failed"
    service.behave()
    assert run(music / "unknown.flac", probes=1).exit_code == 0
    assert len(service.charges) == 1


def test_few_questions_a_second_still_collect_every_answer_before_new_uploads(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    service.latency_s = 0.8
    with AudioTag(service.url, KEY, rate_per_s=4.0) as paid:
        assert run(music, recognizers=[paid], jobs=8).exit_code == 0
    born = {charge.token: charge.at for charge in service.charges}
    assert len(born) == 5
    assert service.paid_twice() == []
    arrived = [seen.at_s for seen in service.seen]
    assert arrived[-1] - arrived[0] >= (len(arrived) - 1) / 4.0 - 0.1


def test_where_answers_come_late_in_their_tokens_lives_uploads_slow_down(
    run: Runner, music: Path, service: AudioTagService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.retry.window.SOON_S", 0.1)
    monkeypatch.setattr("pipeline.retry.window.LATE_S", 0.2)
    service.latency_s = 0.5
    on_their_way: list[int] = []
    open_tokens: set[str] = set()
    reply = service.reply

    def watching(form: Form) -> dict[str, Any]:
        answer = reply(form)
        if form.fields["action"] == "identify":
            on_their_way.append(len(open_tokens))
            open_tokens.add(answer["token"])
        elif answer.get("result") != "wait":
            open_tokens.discard(form.fields.get("token", ""))
        return answer

    monkeypatch.setattr(service, "reply", watching)
    assert run(music, jobs=4, coverage=Coverage.FULL).exit_code == 0
    assert len(on_their_way) > 8
    assert on_their_way[-3:] == [0, 0, 0]


def test_no_thread_of_a_run_is_left_behind_by_a_service_in_trouble(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    service.plan("identify", *[faults.reset_after()] * 50)
    run(music, jobs=4)
    names = {thread.name.split("-")[0].split("_")[0] for thread in threading.enumerate()}
    assert not names & {"local", "paying", "collect"}
    assert max(service.times_charged().values()) <= 2
