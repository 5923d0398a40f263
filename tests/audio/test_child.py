"""A child process keeps its limits, and nothing of it is left."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from pipeline.audio.child import STDERR_BYTES, Child, Limits, run
from pipeline.errors import MediaError
from pipeline.model import FileStatus


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


def test_what_a_child_writes_comes_back_whole() -> None:
    ended = run(
        python("import sys; sys.stdout.buffer.write(b'x' * 300_000); sys.stderr.write('oh'); sys.exit(3)")
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, b"x" * 300_000, b"oh")


def test_a_child_that_hangs_is_killed_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(MediaError, match="decoding was stopped: nothing came within 1 s") as caught:
        run(python("import time; time.sleep(60)"), limits=Limits(wall_s=1.0))
    assert caught.value.status is FileStatus.FAILED
    assert time.monotonic() - began < 10


def test_a_child_that_trickles_is_killed_at_its_wall_time() -> None:
    trickle = "import time\nwhile True: print('.', flush=True); time.sleep(0.05)"
    with pytest.raises(MediaError, match="decoding was stopped"):
        run(python(trickle), limits=Limits(wall_s=1.0))


def test_a_child_that_closes_its_output_and_stays_is_killed() -> None:
    with pytest.raises(MediaError, match="it did not end within 1 s"):
        run(python("import os, time; os.close(1); os.close(2); time.sleep(60)"), limits=Limits(wall_s=1.0))


@pytest.mark.skipif(sys.platform != "linux", reason="limits from outside need Linux")
def test_a_child_that_burns_the_processor_is_stopped() -> None:
    with pytest.raises(MediaError, match="it used 1 s of processor time"):
        run(python("while True: pass"), limits=Limits(cpu_s=1))


@pytest.mark.skipif(sys.platform != "linux", reason="limits from outside need Linux")
def test_a_child_gets_no_more_memory_than_its_limit() -> None:
    # Waits for a line, so that the limit is in place before it grows.
    code = "import time; time.sleep(0.5)\ntry: bytearray(1 << 30)\nexcept MemoryError: print('refused')"
    assert run(python(code), limits=Limits(memory_bytes=256 << 20)).stdout == b"refused\n"


def test_a_child_that_floods_its_output_is_stopped() -> None:
    flood = "import sys\nwhile True: sys.stdout.write('x' * 100_000)"
    with pytest.raises(MediaError, match="more than 1000000 bytes came out"):
        run(python(flood), limits=Limits(output_bytes=1_000_000))


def test_only_the_beginning_of_endless_complaints_is_kept() -> None:
    ended = run(python("import sys\nfor n in range(100_000): sys.stderr.write(f'line {n}\\n')"))
    assert len(ended.stderr) == STDERR_BYTES
    assert ended.stderr.startswith(b"line 0\nline 1\n")


def test_leaving_the_context_kills_the_child_and_its_children(tmp_path: Path) -> None:
    code = "import subprocess as s, time; print(s.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    with Child(python(code), limits=Limits()) as child:
        grandchild = int(next(child.chunks()))
        assert Path(f"/proc/{grandchild}").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)
    deadline = time.monotonic() + 10
    while _runs(grandchild) and time.monotonic() < deadline:
        os.sched_yield()
    assert not _runs(grandchild)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        run([str(tmp_path / "ffmpeg")])
    assert str(caught.value) == (
        f"{tmp_path}/ffmpeg could not be started: No such file or directory; see `earmark doctor`"
    )


def test_a_child_runs_at_lower_priority() -> None:
    code = "import os, time; time.sleep(0.3); print(os.getpriority(os.PRIO_PROCESS, 0))"
    assert int(run(python(code)).stdout) >= 5
