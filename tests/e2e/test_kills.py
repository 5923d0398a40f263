"""Kill -9 at chosen points: what was paid for is collected, and nothing is paid twice but where nobody can know."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.ledger import UploadState
from tests.e2e.kills import Moment, Trap, killed, scene
from tests.e2e.scene import Scene, ended, sing
from tests.e2e.soak import series
from tests.services.uploads import Form

TOKEN_ON_DISK_S = 0.4


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


def test_killed_before_the_service_took_anything_costs_nothing(stage: Scene) -> None:
    killed(stage, Trap("identify", 1, Moment.BEFORE), "--jobs=1")
    assert stage.service.charges == []
    stage.finish()
    assert stage.service.paid_twice() == []


def test_killed_between_charge_and_reply_is_the_one_thing_that_may_be_paid_again(stage: Scene) -> None:
    killed(stage, Trap("identify", 1, Moment.CHARGED), "--jobs=1")
    assert len(stage.service.charges) == 1
    stage.finish()
    assert len(stage.service.charges) <= 4
    assert len(stage.service.paid_twice()) <= 1


def test_the_token_is_on_disk_soon_after_the_reply(stage: Scene) -> None:
    stage.service.latency_s = 100.0  # so that no answer comes before the kill
    killed(stage, Trap("identify", 1, Moment.REPLIED, TOKEN_ON_DISK_S), "--jobs=1")
    assert [state for _, state in stage.uploads()] == [UploadState.SENT.value]
    stage.service.latency_s = 0.0
    stage.finish()
    assert stage.service.paid_twice() == []
    assert len(stage.service.charges) == 3


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace sees what is synced")
def test_the_token_is_synced_to_the_disk_soon_after_the_reply(stage: Scene) -> None:
    """A kill leaves what was written and not synced; a power cut does not."""
    replied_s: list[float] = []
    service, reply = stage.service, stage.service.reply

    def noting(form: Form) -> dict[str, Any]:
        answer = reply(form)
        if form.fields.get("action") == "identify":
            replied_s.append(time.time())
        return answer

    service.reply = noting  # type: ignore[method-assign]
    trace = stage.folder / "trace"
    done = stage.run(
        "--jobs=1", before=["strace", "-f", "-qq", "-ttt", "-y", "-o", str(trace), "-e", "fdatasync,fsync"]
    )
    assert done.code == 0, done.stderr
    lines = [line.split() for line in trace.read_text(encoding="utf-8").splitlines()]
    synced_s = [float(line[1]) for line in lines if "ledger.sqlite-wal" in line[2] and "resumed" not in line]
    assert len(replied_s) == 3
    for moment_s in replied_s:
        assert any(moment_s < after_s < moment_s + TOKEN_ON_DISK_S for after_s in synced_s)


def test_a_resume_asks_for_every_old_token_before_it_sends_anything(stage: Scene) -> None:
    stage.service.latency_s = 100.0
    killed(stage, Trap("get_result", 3, Moment.BEFORE), "--jobs=3")
    old = {charge.token for charge in stage.service.charges}
    assert len(old) > 1
    stage.titles = {**stage.titles, **sing(stage.music, 2, first=len(stage.titles))}
    stage.service.latency_s = 0.0
    stage.service.seen.clear()
    stage.finish()
    sending = [seen.action for seen in stage.service.seen].index("identify")
    assert {seen.fields.get("token") for seen in stage.service.seen[:sending]} >= old
    assert stage.service.paid_twice() == []


def test_a_cap_holds_over_a_kill_and_two_processes_at_once(stage: Scene) -> None:
    capped = ("--max-credits=35", "--jobs=1")
    stage.service.latency_s = 100.0
    killed(stage, Trap("get_result", 1, Moment.BEFORE), *capped)
    stage.service.latency_s = 0.5
    both = [ended(running) for running in [stage.start(*capped), stage.start(*capped)]]
    assert sorted(done.code for done in both) == [6, 11]
    assert stage.service.charged_s() == 30
    stage.finish()
    assert stage.service.charged_s() == 45


@pytest.mark.parametrize(
    "moment",
    [
        Moment.REPLIED,
        *(pytest.param(moment, marks=pytest.mark.slow) for moment in (Moment.BEFORE, Moment.CHARGED)),
    ],
)
def test_killed_while_it_asks_for_an_answer_pays_nothing_twice(stage: Scene, moment: Moment) -> None:
    killed(stage, Trap("get_result", 1, moment), "--jobs=1")
    assert len(stage.service.charges) == 1
    stage.finish()
    assert stage.service.paid_twice() == []
    assert len(stage.service.charges) == 3


def test_some_random_kills_lose_nothing_and_touch_no_music(tmp_path: Path) -> None:
    account = series(tmp_path, 5, seed=3)
    assert account.failures == ()
    assert account.charged - account.needed <= account.in_doubt


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 104))
def test_many_random_kills_lose_nothing_and_touch_no_music(tmp_path: Path, seed: int) -> None:
    account = series(tmp_path, 12, seed)
    assert account.failures == ()
    assert account.charged - account.needed <= account.in_doubt
