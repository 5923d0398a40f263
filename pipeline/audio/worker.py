"""The other end of `pool`: `python -m pipeline.audio.worker FD` answers requests on a pipe."""

from __future__ import annotations

import importlib
import operator
import os
import resource
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from pipeline.audio.child import NICENESS
from pipeline.errors import MediaError
from pipeline.model import FileStatus

MEMORY_BYTES = 2 << 30


def serve(connection: Connection) -> None:
    """Answer until the other side hangs up."""
    while True:
        try:
            task, arguments, limit_s = connection.recv()
        except EOFError:
            return
        # The default action of SIGALRM ends the process inside a C function too, and when nobody watches.
        signal.alarm(limit_s)
        answer = _answer(task, arguments)
        signal.alarm(0)
        connection.send(answer)


def _answer(task: str, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    """Whether the task (`module.function` of this room) came to an end, and its result or MediaError."""
    module, _, function = task.partition(".")
    try:
        return True, operator.attrgetter(function)(importlib.import_module(f"pipeline.audio.{module}"))(
            *arguments
        )
    except MediaError as error:
        return False, error
    except MemoryError:
        return False, MediaError("decoding it takes too much memory", status=FileStatus.FAILED)
    except Exception as error:  # whatever a file sets off in a library costs that file only
        line = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return False, MediaError(f"the decoder failed on it: {line}", status=FileStatus.FAILED)


def main() -> None:
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    serve(Connection(int(sys.argv[1])))


if __name__ == "__main__":
    main()
