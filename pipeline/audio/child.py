"""Run another program under limits of time, processor, memory and output, and leave nothing of it behind."""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

from pipeline.errors import MediaError
from pipeline.model import FileStatus

CHUNK_BYTES = 65_536
"""What a Linux pipe holds: larger reads bring no more at a time."""

STDERR_BYTES = 65_536
"""Random bytes named .mp3 make ffmpeg write hundreds of lines; the cause is in the first ones."""

NICENESS = 5
"""Decoding gives way to whatever the user does meanwhile."""


_OURS = ("EARMARK_", "AUDIOTAG_", "AUDD_")


def environment() -> dict[str, str]:
    """The environment for programs that open hostile files: without our settings, and so without any key."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(_OURS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child may use before it is stopped."""

    wall_s: float = 60.0
    """Seconds we wait for it in all; the time we spend on what it has written does not count."""
    stall_s: float = 60.0
    """Seconds without a sign of life."""
    cpu_s: int = 60
    memory_bytes: int = 2 << 30
    output_bytes: int = 64 << 20


class Child:
    """A running program: read `chunks`, then `returncode` and `stderr`. Leaving the context kills it."""

    def __init__(
        self,
        argv: Sequence[str | bytes],
        *,
        limits: Limits,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._limits, self._passed = limits, pass_fds
        self._stderr = bytearray()
        try:
            # A process group of its own: Ctrl-C in the terminal is ours to handle, and everything the child
            # starts can be killed with it.
            self._process = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                process_group=0,
                pass_fds=pass_fds,
                env=environment(),
            )
        except OSError as error:
            raise MediaError(
                f"{os.fsdecode(argv[0])} could not be started: {error.strerror or error}",
                status=FileStatus.FAILED,
                hint="see `earmark doctor`",
            ) from error
        self._confine()

    def _confine(self) -> None:
        # From outside and after the start, because preexec_fn is not safe in a program with threads.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICENESS)
        if sys.platform == "linux":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                limits = self._limits
                # Soft and hard are one: ffmpeg would take SIGXCPU for a wish to end early, and succeed.
                resource.prlimit(self._process.pid, resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s))
                memory = (limits.memory_bytes, limits.memory_bytes)
                resource.prlimit(self._process.pid, resource.RLIMIT_AS, memory)
                resource.prlimit(self._process.pid, resource.RLIMIT_CORE, (0, 0))
                if self._passed:
                    # What goes into passed files cannot be counted on its way.
                    size = (limits.output_bytes, limits.output_bytes)
                    resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, size)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int:
        """What the child ended with; valid once `chunks` is exhausted."""
        code = self._process.returncode
        if code is None:
            raise RuntimeError("the child is still running")
        return code

    @property
    def stderr(self) -> bytes:
        """The beginning of what it complained of."""
        return bytes(self._stderr)

    def chunks(self) -> Iterator[bytes]:
        """What the child writes, as it comes, to its end. Raises MediaError when it breaks a limit."""
        process, limits = self._process, self._limits
        assert process.stdout is not None  # noqa: S101 -- both pipes were asked for
        assert process.stderr is not None  # noqa: S101
        waited_s, written = 0.0, 0
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            selector.register(process.stderr, selectors.EVENT_READ)
            while selector.get_map():
                patience_s = min(limits.stall_s, limits.wall_s - waited_s)
                began = time.monotonic()
                ready = selector.select(max(patience_s, 0.0))
                waited_s += time.monotonic() - began
                if not ready:
                    raise self._stopped(f"nothing came within {patience_s:.0f} s")
                for key, _ in ready:
                    chunk = os.read(key.fd, CHUNK_BYTES)
                    if not chunk:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is process.stderr:
                        self._stderr += chunk[: STDERR_BYTES - len(self._stderr)]
                    else:
                        written += len(chunk)
                        if written > limits.output_bytes:
                            raise self._stopped(f"more than {limits.output_bytes} bytes came out")
                        yield chunk
        try:
            process.wait(max(limits.wall_s - waited_s, 1.0))
        except subprocess.TimeoutExpired:
            raise self._stopped(f"it did not end within {limits.wall_s:.0f} s") from None
        if process.returncode == -signal.SIGKILL:
            raise self._stopped(f"it used {limits.cpu_s} s of processor time, or the system's last memory")

    def _stopped(self, why: str) -> MediaError:
        self.close()
        return MediaError(
            f"decoding was stopped: {why}", status=FileStatus.FAILED, hint="the file may be damaged"
        )

    def close(self) -> None:
        """Kill the child if it still runs, and collect it."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        # A process stuck in the kernel (a dead network mount) cannot be collected; waiting would hang us.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Finished:
    """How a child ended and all it wrote."""

    returncode: int
    stdout: bytearray
    stderr: bytes


def run(
    argv: Sequence[str | bytes],
    *,
    limits: Limits | None = None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> Finished:
    """Run a program to its end and return what it wrote; MediaError if it cannot start or breaks a limit."""
    with Child(argv, limits=limits or Limits(), stdin=stdin, pass_fds=pass_fds) as child:
        stdout = bytearray()
        for chunk in child.chunks():
            stdout += chunk
        return Finished(child.returncode, stdout, child.stderr)
