"""Loaded by the interpreter that runs the command: fails the n-th call of a kind, or makes the clock jump.

    FAULT=fsync:3:ENOSPC    the third os.fsync fails; kinds: write, fsync, rename, open, connect, send, receive, commit,
                            and of the calls that SQLite makes out of Python's sight sqlite_write, sqlite_read
    FAULT=fsync:3+:ENOSPC   the third and all that follow
    FAULT_MARK=FILE         receives a line when the fault strikes
    FAULT_WHILE=FILE:FILE   strikes only while there are such files, as a full disk does until somebody frees some of it
    NO_TEMPORARY_SPACE=1    no temporary file can be made, in child processes neither
    CLOCK_JUMP=-86400:5     from the fifth look on, the wall clock shows a day less

All but the last are taken out of the environment, so that child processes are left in peace.
"""

import builtins
import errno
import io
import os
import socket
import sqlite3
import stat
import threading
import time

import sqlite_calls

_open_file = io.open
_os = {name: getattr(os, name) for name in ("write", "fsync", "replace", "rename", "open", "close")}


class Fault:
    """Counts the calls of one kind, and says which of them fail."""

    def __init__(self, plan: str, mark: str, only_while: str) -> None:
        kind, number, code = plan.split(":")
        self.kind = kind
        self._for_ever = number.endswith("+")
        self._number = int(number.rstrip("+"))
        self.code = code
        self._mark = mark
        self._only_while = [path for path in only_while.split(":") if path]
        self._count = 0
        self._lock = threading.Lock()

    def strikes(self, kind: str) -> bool:
        """Whether this call fails."""
        if kind != self.kind:
            return False
        with self._lock:
            self._count += 1
            struck = self._count == self._number or (self._for_ever and self._count > self._number)
        struck = struck and all(map(os.path.exists, self._only_while))
        if struck and self._mark:
            descriptor = _os["open"](self._mark, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            _os["write"](descriptor, f"{kind} {self._count}\n".encode())
            _os["close"](descriptor)
        return struck

    def error(self, name: object = None) -> OSError:
        code = getattr(errno, self.code)
        return OSError(code, os.strerror(code), name if isinstance(name, str | bytes) else None)

    def check(self, kind: str, name: object = None) -> None:
        if self.strikes(kind):
            raise self.error(name)


def install(fault: Fault) -> None:
    """Put the fault between the program and the system."""

    def failing(function, kind, name_at=None):
        def call(*arguments, **more):
            fault.check(kind, None if name_at is None else arguments[name_at])
            return function(*arguments, **more)

        return call

    os.fsync = failing(os.fsync, "fsync")
    os.replace = failing(os.replace, "rename", 1)
    os.rename = failing(os.rename, "rename", 1)
    os.write = _failing_write(fault)
    _install_files(fault)
    _install_sockets(fault)
    _install_sqlite(fault)
    if fault.kind in sqlite_calls.FAILABLE:
        sqlite_calls.install(fault.kind, lambda: fault.strikes(fault.kind), fault.code)


def _failing_write(fault: Fault):
    def write(descriptor, data):
        # Pipes to child processes do not fill up as disks do.
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            fault.check("write")
        return _os["write"](descriptor, data)

    return write


def _install_files(fault: Fault) -> None:
    class FailingFile(io.FileIO):
        def write(self, data):
            fault.check("write")
            return super().write(data)

    def open_file(
        file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None
    ):
        if isinstance(file, int) or not set(mode) & set("wax+"):
            return _open_file(file, mode, buffering, encoding, errors, newline, closefd, opener)
        fault.check("open", os.fspath(file))
        raw = FailingFile(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, encoding, errors, newline)

    io.open = builtins.open = open_file


def _install_sockets(fault: Fault) -> None:
    class FailingSocket(socket.socket):
        def connect(self, address):
            fault.check("connect")
            return super().connect(address)

        def recv_into(self, *arguments):
            fault.check("receive")
            return super().recv_into(*arguments)

        def sendall(self, *arguments):
            if fault.strikes("send"):
                # Gone for both sides, as a connection is that fails so: what was sent may be read by the other.
                self.shutdown(socket.SHUT_RDWR)
                raise fault.error()
            return super().sendall(*arguments)

    socket.socket = FailingSocket


def _install_sqlite(fault: Fault) -> None:
    class FailingConnection(sqlite3.Connection):
        def commit(self):
            # As SQLite does it when it cannot write: what was in the transaction is undone.
            if self.in_transaction and fault.strikes("commit"):
                self.rollback()
                raise sqlite3.OperationalError("database or disk is full")
            super().commit()

    connect = sqlite3.connect
    sqlite3.connect = lambda *arguments, **more: connect(*arguments, **{**more, "factory": FailingConnection})


def without_temporary_space() -> None:
    """Let `tempfile` find no folder to write to."""
    import tempfile

    def none_usable():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    tempfile._get_default_tempdir = none_usable


def jump(plan: str) -> None:
    """Make the wall clock jump; the monotonic one goes on, as it does on a real machine."""
    import datetime

    by_s, _, after = plan.partition(":")
    looks = iter(range(1 << 60))
    real_time, real = time.time, datetime.datetime

    def offset_s() -> float:
        return float(by_s) if next(looks) >= int(after) else 0.0

    class Kind(type):
        def __instancecheck__(cls, instance):
            return isinstance(instance, real)

    class Jumping(real, metaclass=Kind):
        @classmethod
        def now(cls, tz=None):
            return real.now(tz) + datetime.timedelta(seconds=offset_s())

    time.time = lambda: real_time() + offset_s()
    datetime.datetime = Jumping


if _plan := os.environ.pop("FAULT", ""):
    install(Fault(_plan, os.environ.pop("FAULT_MARK", ""), os.environ.pop("FAULT_WHILE", "")))
if _plan := os.environ.pop("CLOCK_JUMP", ""):
    jump(_plan)
if os.environ.get("NO_TEMPORARY_SPACE"):
    without_temporary_space()
