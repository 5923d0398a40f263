"""Who may ask, what they have left, and what they were charged."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from pipeline.database import Database
from pipeline.errors import StorageError
from pipeline.server import schema
from pipeline.server.refusal import Refusal
from pipeline.wire.audiotag_errors import ErrorText

KEY_CHARACTERS: Final = string.ascii_lowercase + string.digits
KEY_LENGTH: Final = 32
HINT_LENGTH: Final = 4
"""So much of a key is kept readable, for people to tell their keys apart; 145 bits of it stay unknown."""

UNLIMITED: Final = 1_000_000_000
"""Credits of a key that is not counted: 31 years of audio, and still an integer every client can hold."""

WELCOME_S: Final = 2.0
"""So long a key that was let in is taken to be welcome still, before an upload of it is looked at more closely."""

MOST_WELCOME: Final = 1000

_PAGE: Final = b"page"
"""In place of a key's hash: no key has this one, so nobody but the page asks in its name."""

# Built once: building it took longer than running it, and it is run for every request.
_BY_HASH: Final = select(schema.keys).where(schema.keys.c.hash == bindparam("wanted"))


@dataclass(frozen=True, slots=True)
class Account:
    """A key and what it has used. Credits and seconds are one and the same: a credit is a second of audio."""

    key_id: int
    hint: str
    label: str
    created_at: float
    expires_at: float | None
    active: bool
    only_here: bool
    """Whether it is accepted from this machine only."""
    credits: int
    free_s: int
    credits_spent: int
    queries: int
    uploaded_s: int
    uploaded_bytes: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What an upload took from an account: free seconds first."""

    free_s: int
    credits: int


class Accounts:
    """The keys of one service. Safe to use from several threads and from several processes."""

    def __init__(self, database: Database, *, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        self._lock = threading.Lock()
        self._queries: Counter[int] = Counter()
        # Until when each key, from this machine or not, is taken to be welcome.
        self._welcome: dict[tuple[bytes, bool], float] = {}

    def add(
        self,
        *,
        credits: int = UNLIMITED,
        free_s: int = 0,
        expires_at: float | None = None,
        only_here: bool = False,
        label: str = "",
    ) -> tuple[str, Account]:
        """Make a key; it is returned here and cannot be had again, for only its hash is kept."""
        key = "".join(secrets.choice(KEY_CHARACTERS) for _ in range(KEY_LENGTH))
        with self._database.write() as connection:
            row = connection.execute(
                insert(schema.keys)
                .values(
                    hash=_hash(key),
                    hint=key[:HINT_LENGTH],
                    label=label,
                    created_at=self._now(),
                    expires_at=expires_at,
                    only_here=int(only_here),
                    credits=credits,
                    free_s=free_s,
                )
                .returning(*schema.keys.c)
            ).one()
        return key, _account(row)

    def all(self) -> list[Account]:
        """Every key, in the order of making."""
        with self._database.read() as connection:
            keys = select(schema.keys).where(schema.keys.c.hash != _PAGE)
            found = connection.execute(keys.order_by(schema.keys.c.key_id))
            return [_account(row) for row in found]

    def page(self) -> Account:
        """The account of the page for people: it has no key, and always all the credits there are."""
        whole = {"credits": UNLIMITED, "free_s": 0, "credits_spent": 0}
        made = {"hash": _PAGE, "hint": "", "label": "page", "created_at": self._now(), **whole}
        with self._database.write() as connection:
            statement = sqlite_insert(schema.keys).values(made)
            statement = statement.on_conflict_do_update(index_elements=["hash"], set_=whole)
            return _account(connection.execute(statement.returning(*schema.keys.c)).one())

    def revoke(self, key_id: int) -> bool:
        """Make a key inactive for good; False when there is none of this number."""
        with self._database.write() as connection:
            gone = update(schema.keys).where(schema.keys.c.key_id == key_id).values(active=0)
            return connection.execute(gone).rowcount > 0

    def admit(self, key: str, *, from_here: bool) -> Account:
        """The account of a key, one query counted. Raises Refusal for a key that may not ask."""
        account = self._admitted(key, from_here=from_here)
        with self._lock:
            self._queries[account.key_id] += 1
        return account

    def would_admit(self, key: str, *, from_here: bool) -> bool:
        """Whether `admit` would let this key ask, or could not say, or did a moment ago; nothing is counted."""
        asked = (_hash(key.strip()), from_here)
        now_s = time.monotonic()
        with self._lock:
            if self._welcome.get(asked, 0.0) > now_s:
                return True
        try:
            self._admitted(key, from_here=from_here)
        except Refusal:
            return False
        except StorageError:
            return True
        with self._lock:
            if len(self._welcome) >= MOST_WELCOME:
                self._welcome.clear()
            self._welcome[asked] = now_s + WELCOME_S
        return True

    def _admitted(self, key: str, *, from_here: bool) -> Account:
        key = key.strip()
        if not key:
            raise Refusal(ErrorText.KEY_INVALID)
        wanted = _hash(key)
        with self._database.read() as connection:
            row = connection.execute(_BY_HASH, {"wanted": wanted}).one_or_none()
        # The index compares hashes, whose timing tells nothing of the key; this comparison tells nothing at all.
        if row is None or not hmac.compare_digest(row.hash, wanted):
            raise Refusal(ErrorText.KEY_UNRECOGNIZED)
        account = _account(row)
        if account.only_here and not from_here:
            raise Refusal(ErrorText.KEY_UNRECOGNIZED, "the key is for this machine only")
        if not account.active:
            raise Refusal(ErrorText.KEY_INACTIVE)
        if account.expires_at is not None and account.expires_at <= self._now():
            raise Refusal(ErrorText.KEY_EXPIRED)
        return account

    def queries(self, account: Account) -> int:
        """Queries ever made with the key, those not yet written down too."""
        with self._lock, self._database.read() as connection:
            row = connection.execute(
                select(schema.keys.c.queries).where(schema.keys.c.key_id == account.key_id)
            ).one()
            return int(row.queries) + self._queries[account.key_id]

    def flush(self) -> None:
        """Write down how many queries were made; a crash before it loses that count, never a charge."""
        # Under the lock to the end: `queries` must never see a count in neither place, or in both.
        with self._lock:
            if not self._queries:
                return
            with self._database.write() as connection:
                for key_id, queries in self._queries.items():
                    mine = schema.keys.c.key_id == key_id
                    more = {"queries": schema.keys.c.queries + queries}
                    connection.execute(update(schema.keys).where(mine).values(more))
            self._queries.clear()


def charge(connection: Connection, key_id: int, *, seconds: int, size_bytes: int) -> Charge:
    """Take seconds from an account within the caller's transaction. Raises Refusal when it has too few."""
    table = schema.keys
    row = connection.execute(select(table).where(table.c.key_id == key_id)).one()
    if row.free_s + row.credits < seconds:
        nothing_left = row.free_s + row.credits <= 0
        raise Refusal(ErrorText.BALANCE_EXHAUSTED if nothing_left else ErrorText.BALANCE_INSUFFICIENT)
    taken = Charge(free_s := min(row.free_s, seconds), seconds - free_s)
    connection.execute(
        update(table)
        .where(table.c.key_id == key_id)
        .values(
            free_s=table.c.free_s - taken.free_s,
            credits=table.c.credits - taken.credits,
            credits_spent=table.c.credits_spent + taken.credits,
            uploaded_s=table.c.uploaded_s + seconds,
            uploaded_bytes=table.c.uploaded_bytes + size_bytes,
        )
    )
    return taken


def refund(connection: Connection, key_id: int, taken: Charge) -> None:
    """Give back what was charged for an analysis that never came about.

    What was uploaded stays counted: the document's `uploaded_duration_sec` and `uploaded_size_bytes` are totals of what
    was passed to identification, found or not, and clients compare them with what they sent.
    """
    table = schema.keys
    connection.execute(
        update(table)
        .where(table.c.key_id == key_id)
        .values(
            free_s=table.c.free_s + taken.free_s,
            credits=table.c.credits + taken.credits,
            credits_spent=table.c.credits_spent - taken.credits,
        )
    )


def _hash(key: str) -> bytes:
    # Unsalted and fast on purpose: a key is 165 random bits, which no dictionary holds and no search reaches.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _account(row: Row[Any]) -> Account:
    return Account(
        key_id=row.key_id,
        hint=row.hint,
        label=row.label,
        created_at=row.created_at,
        expires_at=row.expires_at,
        active=bool(row.active),
        only_here=bool(row.only_here),
        credits=row.credits,
        free_s=row.free_s,
        credits_spent=row.credits_spent,
        queries=row.queries,
        uploaded_s=row.uploaded_s,
        uploaded_bytes=row.uploaded_bytes,
    )
