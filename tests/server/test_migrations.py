"""Accounts of every earlier format are brought to today's whole, or left as they were."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from pipeline.server import migrations, schema
from pipeline.server.fair import FairQueue
from pipeline.server.jobs import Jobs
from pipeline.server.page.answers import answer_of
from pipeline.server.refusal import Refusal
from pipeline.server.service import open_accounts
from pipeline.wire.audiotag_errors import ErrorText

FROZEN = sorted((Path(__file__).parent / "schemas").glob("*.sql"))
KEY = "ujzde8gxd6ncf10epf91dhodzdoc9is0"
ANSWERED, FAILED, WAITING = "a" * 32, "b" * 32, "c" * 32
MADE_AT = 1_700_000_100.0


@pytest.fixture(params=FROZEN, ids=lambda path: path.stem)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A state folder whose accounts an earmark of an earlier format wrote."""
    state = tmp_path / "old"
    state.mkdir()
    with closing(sqlite3.connect(state / "server.sqlite")) as raw:
        raw.executescript(request.param.read_text("utf-8"))
    return state


def shape(state: Path) -> dict[str, object]:
    """Every table with its columns, every index with its columns."""
    with closing(sqlite3.connect(state / "server.sqlite")) as raw:
        named = raw.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
        kinds = {"table": "table_info", "index": "index_info"}
        found: dict[str, object] = {
            f"{kind} {name}": sorted(
                row[1:4] if kind == "table" else row[2:]
                for row in raw.execute(f"PRAGMA {kinds[kind]}({name})")
            )
            for kind, name in named
        }
        found["version"] = raw.execute("PRAGMA user_version").fetchone()[0]
    return found


def test_there_is_a_frozen_database_of_every_earlier_format() -> None:
    assert {int(path.stem.partition("_")[0]) for path in FROZEN} == set(migrations.STEPS)
    assert set(migrations.STEPS) == set(range(1, schema.SCHEMA_VERSION))


def test_migrated_accounts_have_the_tables_of_new_ones(old: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    for state in (old, tmp_path / "new"):
        open_accounts(state)[0].close()

    assert shape(old) == shape(tmp_path / "new")


def test_keys_charges_and_tokens_are_still_what_they_were(old: Path) -> None:
    database, accounts = open_accounts(old)
    folder = old / "jobs"
    folder.mkdir()
    (folder / f"{WAITING}.pcm").write_bytes(bytes(10))
    jobs = Jobs(database, folder, queue=FairQueue(most=9, most_per_owner=9), now=lambda: MADE_AT + 60)
    account = accounts.admit(KEY, from_here=True)
    waiting = jobs.take(0)
    record = jobs.record(account.key_id, ANSWERED)
    with pytest.raises(Refusal) as failed:
        jobs.answer(account.key_id, FAILED)
    answer = jobs.answer(account.key_id, ANSWERED)
    token, _ = jobs.new_place()
    jobs.accept(token, account.key_id, start_s=0, length_s=15, size_bytes=10)
    [left, _] = accounts.all()
    database.close()

    assert (left.credits, left.uploaded_s) == (75, 60), "and the next one is charged"
    assert (account.label, account.credits, account.free_s, account.uploaded_s) == ("radio", 90, 0, 45)
    assert answer is not None
    assert json.loads(answer)["data"][0]["aid"] == 7
    assert waiting is not None
    assert waiting.token == WAITING
    assert failed.value.error is ErrorText.RECOGNITION_ERROR
    assert record is not None
    [found] = answer_of(record).found
    assert (found.name.title, found.start_s, found.end_s) == ("Greensleeves", 2.0, 15.0)
    assert found.confidence == pytest.approx(0.986, abs=0.001)


def test_a_migration_that_fails_leaves_the_old_accounts_as_they_were(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shape(old)

    def broken(connection: object) -> None:
        migrations._keep_places(connection)  # type: ignore[arg-type]
        raise StorageError("the disk is full")

    monkeypatch.setattr(migrations, "STEPS", {1: broken})
    with pytest.raises(StorageError, match="the disk is full"):
        open_accounts(old)

    assert shape(old) == before
