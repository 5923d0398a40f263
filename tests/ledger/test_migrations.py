"""A ledger of every earlier format is brought to today's whole, or left as it was."""

import sqlite3
from pathlib import Path

import pytest

from pipeline.errors import LedgerBusy, StorageError
from pipeline.ledger import Ledger, UploadState, migrations, schema

HERE = Path(__file__).parent
PAID_SHA256 = "fed6318a578313991b17336ebc6aad99b03482f94588ffa33328301b1e7426e2"


def restore(state: Path, version: str) -> Path:
    """A state folder with the ledger that an earmark of that format once wrote."""
    state.mkdir(exist_ok=True)
    path = state / "ledger.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript((HERE / f"schema_{version}.sql").read_text("utf-8"))
    connection.close()
    return path


def shape(path: Path) -> dict[str, object]:
    """Every table with its columns and keys, every index with its columns."""
    connection = sqlite3.connect(path)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found: dict[str, object] = {
        table: (
            # Defaults and nullability of keys are written in several ways that mean the same.
            sorted(row[1:4] for row in connection.execute(f"PRAGMA table_info({table})")),
            sorted(row[2:5] for row in connection.execute(f"PRAGMA foreign_key_list({table})")),
            [row[5:] for row in connection.execute("PRAGMA table_list") if row[1] == table],
        )
        for table in tables
    }
    for index in [
        row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
    ]:
        found[f"index {index}"] = [row[2] for row in connection.execute(f"PRAGMA index_info({index})")]
    connection.close()
    return found


@pytest.fixture(params=sorted(migrations.STEPS))
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A state folder of each earlier format in turn."""
    restore(tmp_path / "old", request.param)
    return tmp_path / "old"


def test_there_is_a_frozen_ledger_of_every_earlier_format():
    frozen = {path.stem.removeprefix("schema_") for path in HERE.glob("schema_*.sql")}
    assert frozen == set(migrations.STEPS) == {str(n) for n in range(1, schema.SCHEMA_VERSION)}


def test_a_migrated_ledger_has_the_tables_of_a_new_one(old: Path, tmp_path: Path):
    Ledger.open(old).close()
    Ledger.open(tmp_path / "new").close()
    assert shape(old / "ledger.sqlite") == shape(tmp_path / "new" / "ledger.sqlite")


def test_what_was_paid_for_is_still_known_after_the_migration(old: Path):
    with Ledger.open(old) as ledger:
        (paid,) = ledger.uploads.of_audio(PAID_SHA256, "audiotag")
        assert paid.recognition is not None
        assert paid.recognition.matches[0].track.title == "Greensleeves"
        assert [upload.token for upload in ledger.uploads.waiting("audiotag")] == ["tok2"]
        rows = list(ledger.file_rows(1))
        assert [(row.path, row.status) for row in rows] == [("a.mp3", "found"), ("\udcff.ogg", "failed")]
        assert rows[0].credits == 30.0
        assert ledger.spending.of_run(1) == 45.0
        assert ledger.spending.broken_off_before(3) == 15.0


def test_a_report_of_an_old_ledger_needs_no_other_command(old: Path):
    with Ledger.read(old) as ledger:
        assert [row.title for row in ledger.file_rows(2)] == ["Greensleeves"]


def test_an_old_ledger_that_another_run_holds_is_left_to_it(old: Path):
    with Ledger.open(old):
        connection = sqlite3.connect(old / "ledger.sqlite")
        connection.execute("UPDATE meta SET value = '1'")
        connection.commit()
        connection.close()
        with pytest.raises(LedgerBusy):
            Ledger.read(old)


def test_a_migration_that_fails_leaves_the_old_ledger_as_it_was(old: Path, monkeypatch):
    before = shape(old / "ledger.sqlite")
    broken = {name: (after, [*steps, "no SQL"]) for name, (after, steps) in migrations.STEPS.items()}
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "STEPS", broken)
        with pytest.raises(StorageError, match="syntax error"):
            Ledger.open(old)
    assert shape(old / "ledger.sqlite") == before
    with Ledger.open(old) as ledger:
        assert ledger.uploads.of_audio(PAID_SHA256, "audiotag")[0].state is UploadState.ANSWERED


def test_a_ledger_of_a_newer_earmark_is_refused_and_left_alone(tmp_path: Path):
    Ledger.open(tmp_path).close()
    path = tmp_path / "ledger.sqlite"
    newer = schema.SCHEMA_VERSION + 1
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET value = ?", (str(newer),))
    connection.execute("DROP TABLE prints")
    connection.commit()
    connection.close()
    before = shape(path)
    for opened in (Ledger.open, Ledger.read):
        with pytest.raises(StorageError, match=f"has format {newer}, this earmark knows {newer - 1}") as told:
            opened(tmp_path)
        assert "use the earmark that wrote it" in told.value.hint
    assert shape(path) == before
