"""A database is written whole or not at all, read while it is written, and fails in one line."""

import errno
import os
import resource
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from pipeline.database import RESERVE_BYTES, Database
from pipeline.errors import StorageError
from tests.conftest import ROOT


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "a.sqlite")
    with opened.write() as connection:
        connection.execute(text("CREATE TABLE numbers (number INTEGER PRIMARY KEY)"))
    yield opened
    opened.close()


def add(database: Database, number: int) -> None:
    with database.write() as connection:
        connection.execute(text("INSERT INTO numbers VALUES (:number)"), {"number": number})


def numbers(database: Database) -> list[int]:
    with database.read() as connection:
        return [row.number for row in connection.execute(text("SELECT number FROM numbers ORDER BY number"))]


def test_a_block_that_raises_leaves_nothing_behind(database: Database) -> None:
    add(database, 1)

    def broken_off() -> None:
        with database.write() as connection:
            connection.execute(text("INSERT INTO numbers VALUES (2)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_off()
    assert numbers(database) == [1]
    add(database, 3)
    assert numbers(database) == [1, 3]


def test_writers_of_many_threads_take_turns(database: Database) -> None:
    threads = [
        threading.Thread(target=lambda start=start: [add(database, start + n) for n in range(25)])
        for start in range(0, 200, 25)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert numbers(database) == list(range(200))


def test_a_reader_sees_one_moment_and_does_not_wait_for_the_writer(
    database: Database, tmp_path: Path
) -> None:
    add(database, 1)
    other = Database(tmp_path / "a.sqlite", read_only=True)
    with database.write() as writing, other.read() as reading:
        writing.execute(text("INSERT INTO numbers VALUES (2)"))
        assert reading.execute(text("SELECT count(*) FROM numbers")).scalar() == 1
    assert numbers(other) == [1, 2]
    other.close()


def test_a_reader_cannot_write(database: Database, tmp_path: Path) -> None:
    other = Database(tmp_path / "a.sqlite", read_only=True)
    with pytest.raises(StorageError, match="readonly"):
        add(other, 1)
    other.close()


def test_what_was_committed_outlives_a_kill(tmp_path: Path) -> None:
    program = """
        import os, sys
        from pathlib import Path
        from sqlalchemy import text
        from pipeline.database import Database
        database = Database(Path(sys.argv[1]))
        for statement in ("CREATE TABLE numbers (number INTEGER PRIMARY KEY)", "INSERT INTO numbers VALUES (1)"):
            with database.write() as connection:
                connection.execute(text(statement))
        with database.write() as connection:
            connection.execute(text("INSERT INTO numbers VALUES (2)"))
            os._exit(0)
    """
    assert _python(program, tmp_path / "a.sqlite").returncode == 0
    reopened = Database(tmp_path / "a.sqlite")
    assert numbers(reopened) == [1]
    reopened.close()


@pytest.mark.parametrize("content", [b"this is no database. " * 99, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(content)
    damaged = Database(path)
    with pytest.raises(StorageError) as told:
        numbers(damaged)
    assert str(path) in told.value.message
    assert "\n" not in told.value.message
    damaged.close()


def test_a_full_disk_is_an_error_and_what_was_there_stays(database: Database) -> None:
    add(database, 1)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE words (word TEXT)"))
        full = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {full}")
    with pytest.raises(StorageError, match="is full; check free space"), database.write() as connection:
        connection.execute(text("INSERT INTO words VALUES (:word)"), {"word": "x" * 100_000})
    assert numbers(database) == [1]


def test_what_is_settled_is_written_from_the_reserve_when_the_disk_has_filled_up(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = tmp_path / "a.sqlite-reserve"
    with database.write(reserving=True) as connection:
        connection.execute(text("INSERT INTO numbers VALUES (1)"))
    assert reserve.stat().st_size == RESERVE_BYTES
    write = Database.write

    @contextmanager
    def on_a_full_disk(self: Database, **how: bool) -> Iterator[Connection]:
        if reserve.exists():
            raise StorageError("database or disk is full")
        with write(self, **how) as connection:
            yield connection

    monkeypatch.setattr(Database, "write", on_a_full_disk)
    database.settle(text("INSERT INTO numbers VALUES (2)"))
    assert numbers(database) == [1, 2]
    assert not reserve.exists()


def test_without_room_for_what_follows_nothing_is_begun(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        StorageError, match=r"no room to go on writing .*: no space left on device; free some"
    ):
        _reserving(database)
    assert numbers(database) == []


def test_a_limit_on_file_sizes_is_met_before_it_is_reached(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (RESERVE_BYTES, RESERVE_BYTES))
    with pytest.raises(StorageError, match="may not grow beyond 2097152 bytes"):
        _reserving(database)


def _reserving(database: Database) -> None:
    with database.write(reserving=True) as connection:
        connection.execute(text("INSERT INTO numbers VALUES (1)"))


def test_the_reserve_goes_with_the_writer_and_stays_for_a_reader(database: Database, tmp_path: Path) -> None:
    reserve = tmp_path / "a.sqlite-reserve"
    reserve.write_text("left by a run that was killed")
    reader = Database(tmp_path / "a.sqlite", read_only=True)
    assert numbers(reader) == []
    reader.close()
    assert reserve.exists()
    database.close()
    assert not reserve.exists()


def test_a_name_that_is_no_text_nor_a_plain_address_is_only_a_name(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"what?mode=ro&%20 \xff#.sqlite")
    opened = Database(path)
    with opened.write() as connection:
        connection.execute(text("CREATE TABLE numbers (number INTEGER PRIMARY KEY)"))
    assert path.stat().st_size > 0
    assert numbers(opened) == []
    opened.close()


def test_a_database_in_a_read_only_folder_can_be_read(database: Database, tmp_path: Path) -> None:
    add(database, 1)
    database.close()
    program = """
        import sys
        from pathlib import Path
        from sqlalchemy import text
        from pipeline.database import Database
        with Database(Path(sys.argv[1]), read_only=True).read() as connection:
            print(connection.execute(text("SELECT number FROM numbers")).scalar())
    """
    tmp_path.chmod(0o555)
    try:
        done = _python(program, tmp_path / "a.sqlite")
    finally:
        tmp_path.chmod(0o755)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


LESS_POWER = """
import ctypes, os, sys
if sys.platform == "linux":
    PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def _python(program: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that not even as root may write where permissions forbid it."""
    return subprocess.run(
        [sys.executable, "-c", LESS_POWER, "-c", textwrap.dedent(program), path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
