"""Kill -9 at chosen points: what was paid for is collected, and nothing is paid twice but where nobody can know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.ledger import UploadState
from tests.e2e.kills import Moment, Trap, killed, scene
from tests.e2e.scene import Scene
from tests.e2e.soak import series

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
