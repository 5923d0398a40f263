"""Files that vanish or change while they are read, two runs, a clock that jumps: nothing torn, nothing paid twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.e2e.kills import Moment, Trap, killed, scene
from tests.e2e.scene import PLUGIN, Scene, ended, sing
from tests.music import named, song, write
from tests.services.audiotag import AudioTagService
from tests.services.uploads import Form

SONGS = 8
"""More than can be decoded ahead by one thread while the first answer is awaited."""


class Meddling(AudioTagService):
    """A service behind whose first charge something happens."""

    def __init__(self) -> None:
        super().__init__(named)
        self.once_charged: Callable[[], object] = lambda: None

    def reply(self, form: Form) -> dict[str, Any]:
        answer = super().reply(form)
        if form.fields.get("action") == "identify":
            then, self.once_charged = self.once_charged, lambda: None
            then()
        return answer


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Scene]:
    titles = sing(tmp_path / "music", SONGS)
    with Meddling() as service:
        yield Scene(tmp_path, tmp_path / "music", titles, service)


def behind_the_first_charge(stage: Scene, then: Callable[[], object]) -> None:
    assert isinstance(stage.service, Meddling)
    stage.service.once_charged = then


ONE_BY_ONE = {"EARMARK_AUDIO__WORKERS": "1", "EARMARK_JOBS": "1"}


def test_a_file_that_vanishes_before_its_turn_costs_its_row_and_nothing_else(stage: Scene) -> None:
    names = sorted(stage.titles)
    last = stage.music / names[-1]
    behind_the_first_charge(stage, last.unlink)
    done = stage.run(environment=ONE_BY_ONE)
    assert done.code == 3
    rows = stage.rows()
    assert (rows[last.name]["status"], rows[last.name]["credits"]) == ("failed", 0)
    assert "not there any more" in rows[last.name]["error"]
    assert [row["title"] for name, row in sorted(rows.items()) if name != last.name] == [
        stage.titles[name] for name in names[:-1]
    ]


@pytest.mark.parametrize("how", [pytest.param("cut short", marks=pytest.mark.slow), "another song"])
def test_a_file_that_changes_while_it_is_asked_about_is_not_given_the_old_answer(
    stage: Scene, how: str
) -> None:
    first = stage.music / "0.wav"

    def change() -> None:
        if how == "cut short":
            os.truncate(first, 1000)
        else:
            write(first, song(784.0, 20, seed=99))

    behind_the_first_charge(stage, change)
    done = stage.run(environment=ONE_BY_ONE)
    assert done.code == 3
    assert stage.rows()["0.wav"]["status"] == "failed"
    assert "changed while it was read" in stage.rows()["0.wav"]["error"]
    again = stage.run()
    assert stage.rows()["0.wav"]["title"] == ("" if how == "cut short" else "Dora")
    assert again.code == (3 if stage.rows()["0.wav"]["status"] in ("unreadable", "failed") else 0)
    assert stage.service.paid_twice() == []


def test_of_two_runs_started_together_one_works_and_one_says_so(tmp_path: Path) -> None:
    with scene(tmp_path, latency_s=2.0) as stage:
        both = [ended(running) for running in [stage.start(), stage.start()]]
        assert sorted(done.code for done in both) == [0, 11]
        [second] = [done for done in both if done.code == 11]
        assert second.errors() == [f"error: another run holds the ledger in {stage.state}"]
        assert len(stage.service.charges) == 3
        stage.finish()
        assert stage.service.paid_twice() == []


@pytest.mark.parametrize(
    "jump",
    [
        "-86400:12",
        *(pytest.param(jump, marks=pytest.mark.slow) for jump in ("86400:3", "-86400:3", "3e8:12")),
    ],
)
def test_a_clock_that_jumps_loses_no_token_and_pays_nothing_twice(tmp_path: Path, jump: str) -> None:
    jumping = {"CLOCK_JUMP": jump, "PYTHONPATH": f"{PLUGIN}:{ROOT}"}
    with scene(tmp_path) as stage:
        stage.service.latency_s = 100.0
        killed(stage, Trap("get_result", 1, Moment.CHARGED), "--jobs=1")
        stage.service.latency_s = 0.0
        done = stage.run(environment=jumping)
        assert done.code == 0, done.stderr
        assert {name: row["title"] for name, row in stage.rows().items()} == stage.titles
        moments = {datetime.fromisoformat(row["identified_at"]) for row in stage.rows().values()}
        assert all(abs(datetime.now(UTC) - moment) > timedelta(hours=12) for moment in moments), (
            "it did not jump"
        )
        assert stage.service.paid_twice() == []
        assert len(stage.service.charges) == 3
