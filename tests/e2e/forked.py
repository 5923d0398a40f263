"""The command in a process forked from one that has loaded it: what `Popen` gives, without the seconds of the start.

For thousands of runs, most of which are killed. Everything is as in a process of its own (descriptors, locks, SQLite,
decoders, signals) but the loading of Python's modules, in which nothing can be lost.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.e2e.scene import PLUGIN

_FORKS: Final = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.e2e.loaded"])

_BEFORE_THE_ARGUMENTS: Final = 3
"""`python -m pipeline`."""


class Forked:
    """A run of the command, to be waited for or killed as a `Popen`."""

    def __init__(self, command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], **_: Any) -> None:
        """`command` begins with `python -m pipeline`. What it says is kept below its TMPDIR's parent."""
        self._said = [Path(env["TMPDIR"]).with_name(name) for name in ("stdout", "stderr")]
        for path in self._said:
            path.write_text("")  # a kill may come before the process gets so far
        arguments = [str(word) for word in command[_BEFORE_THE_ARGUMENTS:]]
        self._process = _FORKS.Process(target=_become, args=(arguments, str(cwd), dict(env), self._said))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it said, once it has ended; TimeoutExpired before."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("earmark", timeout or 0.0)
        stdout, stderr = (path.read_text(encoding="utf-8", errors="replace") for path in self._said)
        return stdout, stderr


def _become(arguments: list[str], cwd: str, env: dict[str, str], said: Sequence[Path]) -> None:
    from pipeline.cli import main

    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    if str(PLUGIN) in env["PYTHONPATH"]:
        _load_the_plugin()
    tempfile.tempdir = None  # else the one of the process that was forked
    for descriptor, path in enumerate(said, 1):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.argv = ["earmark", *arguments]
    main()


def _load_the_plugin() -> None:
    """Do what the interpreter does by itself at its start."""
    sys.path.insert(0, str(PLUGIN))
    module = importlib.util.spec_from_file_location("earmark_test_plugin", PLUGIN / "sitecustomize.py")
    assert module is not None
    assert module.loader is not None
    module.loader.exec_module(importlib.util.module_from_spec(module))
