"""What ends a run early, and that the next one does the rest and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.recognizers.audiotag import AudioTag
from tests.batch.runner import Runner, statuses
from tests.services.audiotag import AudioTagService
from tests.services.faults import refused


def test_the_cap_on_credits_holds_and_the_next_run_does_the_rest(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    capped = run(music, max_credits=20.0)
    assert capped.exit_code == 6
    assert service.charged_s() <= 20
    pending = [row for row in run.rows().values() if row.status == "pending"]
    assert pending
    assert "limit of 20 credits is used up" in pending[0].error
    assert pending[0].identified_at == ""
    assert run(music).exit_code == 0
    assert service.charged_s() == 75
    assert service.paid_twice() == []
    assert statuses(run.rows()) == {"a.mp3": "found", "b.ogg": "found", "unknown.flac": "not_found"}


def test_the_cap_on_files_leaves_the_rest_pending(run: Runner, music: Path) -> None:
    outcome = run(music, max_files=1)
    assert outcome.exit_code == 6
    assert statuses(run.rows()) == {"a.mp3": "found", "b.ogg": "pending", "unknown.flac": "pending"}
    assert run(music, max_files=1).exit_code == 6
    assert run(music, max_files=1).exit_code == 0


def test_a_key_refused_in_mid_run_stops_the_sending_and_leaves_the_rest_pending(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    service.plan("identify", *[refused("api key expired")] * 9)
    outcome = run(music, jobs=1)
    assert outcome.exit_code == 4
    assert set(statuses(run.rows()).values()) == {"pending"}
    assert service.charged_s() == 0


def test_credits_that_run_out_exit_with_their_own_code(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    service.free_s = 15
    outcome = run(music, jobs=1)
    assert outcome.exit_code == 7
    assert service.charged_s() == 15
    service.free_s = 1000
    assert run(music).exit_code == 0
    assert service.paid_twice() == []


def test_a_stop_leaves_pending_rows_and_the_same_command_goes_on(
    run: Runner, music: Path, service: AudioTagService
) -> None:
    run.stop.set()
    assert run(music).exit_code == 130
    assert service.charged_s() == 0
    run.stop.clear()
    assert run(music).exit_code == 0
    assert statuses(run.rows()) == {"a.mp3": "found", "b.ogg": "found", "unknown.flac": "not_found"}


def test_a_token_of_a_run_that_was_cut_short_is_collected_first(
    run: Runner, music: Path, service: AudioTagService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: AudioTag, token: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(AudioTag, "result", killed)
        with pytest.raises(KeyboardInterrupt):
            run(music, jobs=1)
    paid = service.charged_s()
    assert paid > 0
    run.stop.clear()
    service.seen.clear()
    assert run(music).exit_code == 0
    actions = [seen.action for seen in service.seen]
    assert actions[0] == "get_result"
    assert service.paid_twice() == []
    assert service.charged_s() == 75
