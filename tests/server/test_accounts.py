"""Keys and what is left on them."""

from __future__ import annotations

import hmac
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.database import Database
from pipeline.errors import StorageError
from pipeline.server import schema
from pipeline.server.accounts import Accounts, charge, refund
from pipeline.server.refusal import Refusal
from pipeline.server.service import open_accounts
from pipeline.wire.audiotag_errors import ErrorText


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Database, Accounts]]:
    database, accounts = open_accounts(tmp_path)
    yield database, accounts
    database.close()


def test_a_key_has_32_characters_and_is_nowhere_on_the_disk(tmp_path: Path) -> None:
    database, accounts = open_accounts(tmp_path)
    key, account = accounts.add(label="radio")
    database.close()

    assert re.fullmatch("[a-z0-9]{32}", key)
    assert account.hint == key[:4]
    assert all(key.encode() not in path.read_bytes() for path in tmp_path.iterdir())
    assert (tmp_path / "server.sqlite").stat().st_mode & 0o077 == 0


def test_an_end_is_the_end(tmp_path: Path) -> None:
    now_s = 1000.0
    database, _ = open_accounts(tmp_path)
    accounts = Accounts(database, now=lambda: now_s)
    key, _ = accounts.add(expires_at=1001.0)
    accounts.admit(key, from_here=True)
    now_s = 1001.0
    with pytest.raises(Refusal) as refusal:
        accounts.admit(key, from_here=True)
    database.close()

    assert refusal.value.error is ErrorText.KEY_EXPIRED


def test_a_revoked_key_is_inactive_at_once(opened: tuple[Database, Accounts]) -> None:
    _, accounts = opened
    key, account = accounts.add()

    assert accounts.revoke(account.key_id) is True
    assert accounts.revoke(99) is False
    with pytest.raises(Refusal) as refusal:
        accounts.admit(key, from_here=True)
    assert refusal.value.error is ErrorText.KEY_INACTIVE


def test_queries_are_counted_before_and_after_they_are_written_down(
    opened: tuple[Database, Accounts],
) -> None:
    database, accounts = opened
    key, account = accounts.add()
    for _ in range(3):
        accounts.admit(key, from_here=True)
    before = accounts.queries(account)
    accounts.flush()
    accounts.admit(key, from_here=True)

    assert (before, accounts.queries(account)) == (3, 4)
    assert Accounts(database).queries(account) == 3


@settings(deadline=None, max_examples=25)
@given(
    free_s=st.integers(0, 100),
    credits=st.integers(0, 100),
    uploads=st.lists(st.tuples(st.integers(5, 60), st.booleans()), max_size=12),
)
def test_what_was_charged_and_what_is_left_are_what_there_was(
    tmp_path_factory: pytest.TempPathFactory, free_s: int, credits: int, uploads: list[tuple[int, bool]]
) -> None:
    database, accounts = open_accounts(tmp_path_factory.mktemp("accounts"))
    _, account = accounts.add(free_s=free_s, credits=credits)
    paid = 0
    for seconds, fails in uploads:
        try:
            with database.write() as connection:
                taken = charge(connection, account.key_id, seconds=seconds, size_bytes=1)
        except Refusal:
            assert free_s + credits - paid < seconds
            continue
        assert taken.free_s + taken.credits == seconds
        if fails:
            with database.write() as connection:
                refund(connection, account.key_id, taken)
        else:
            paid += seconds
    [left] = accounts.all()
    database.close()

    assert left.free_s + left.credits == free_s + credits - paid
    assert left.credits_spent == credits - left.credits
    assert left.free_s >= 0
    assert left.credits >= 0


def test_accounts_of_a_newer_earmark_are_left_alone(tmp_path: Path) -> None:
    database, _ = open_accounts(tmp_path)
    database.close()
    with sqlite3.connect(tmp_path / "server.sqlite") as raw:
        raw.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    raw.close()

    with pytest.raises(StorageError, match="written by a newer earmark"):
        open_accounts(tmp_path)


def test_a_key_that_was_welcome_a_moment_ago_still_cannot_ask_once_it_is_revoked(
    opened: tuple[Database, Accounts], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, accounts = opened
    key, account = accounts.add()
    assert accounts.would_admit(key, from_here=True)
    accounts.revoke(account.key_id)
    a_moment_later = accounts.would_admit(key, from_here=True)
    with pytest.raises(Refusal):
        accounts.admit(key, from_here=True)
    monkeypatch.setattr("pipeline.server.accounts.WELCOME_S", 0.0)
    accounts._welcome.clear()

    assert a_moment_later, "which costs the disk one upload, and the account nothing"
    assert not accounts.would_admit(key, from_here=True)


def test_a_key_that_was_not_welcome_is_as_soon_as_it_is_made(opened: tuple[Database, Accounts]) -> None:
    _, accounts = opened
    key, account = accounts.add(only_here=True)

    assert not accounts.would_admit("0" * 32, from_here=True)
    assert not accounts.would_admit(key, from_here=False)
    assert accounts.would_admit(key, from_here=True)
    assert not accounts.would_admit(key, from_here=False)
    assert accounts.admit(key, from_here=True).key_id == account.key_id


@pytest.mark.parametrize("theirs", ["0" * 32, "", "a", "é" * 32, "\udcff", "x" * 5000, "\0" * 32])
def test_no_key_is_compared_in_a_time_that_tells_something_of_it(
    opened: tuple[Database, Accounts], monkeypatch: pytest.MonkeyPatch, theirs: str
) -> None:
    _, accounts = opened
    key, _ = accounts.add()
    compared: list[tuple[bytes, bytes]] = []
    same = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return same(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    accounts.admit(key, from_here=True)
    with pytest.raises(Refusal):
        accounts.admit(theirs, from_here=True)

    # Hashes are looked up and compared, never keys: how far one agrees says nothing of the other.
    assert [len(one) for pair in compared for one in pair] == [32, 32]
    assert key.encode() not in compared[0]
