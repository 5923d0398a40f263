"""From a folder to answers on the embedded engine, beside fpcalc over the same files; and memory, for 50 and 5,000.

    python -m bench.folder [MUSIC] [--many 5000]

MUSIC is a folder of known music (without it: the music of bench.convert): its files are the catalogue and the
queries. fpcalc (Debian: libchromaprint-tools)
only fingerprints, and only the first two minutes; earmark decodes, fingerprints, searches, decides and writes the
report. Both run in turn, as whole processes; CPU is user and system time with all children. The memory part
identifies copies of a 40-second excerpt under many names.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.convert import own_music
from pipeline.audio import EXTENSIONS
from pipeline.audio.ffmpeg import find

ROOT = Path(__file__).parent.parent
FEW = 50
EXCERPT_S = 40


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("music", type=Path, nargs="?")
    parser.add_argument("--many", type=int, default=5000)
    options = parser.parse_args()
    music = options.music or own_music()[0].parent
    files = sorted(p for p in music.rglob("*") if p.suffix[1:].lower() in EXTENSIONS)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        earmark(home, "catalogue", "add", music)
        fpcalc = shutil.which("fpcalc")
        for turn in (1, 2):
            ours_s, _ = earmark(home, "identify", music, "--out", home / "r.csv", state=f"turn{turn}")
            print(f"turn {turn}: earmark identify  {len(files) / ours_s:6.2f} files per CPU second")
            if fpcalc:
                theirs_s = sum(cpu_s(run([fpcalc, path])) for path in files)
                print(f"turn {turn}: fpcalc            {len(files) / theirs_s:6.2f} files per CPU second")
                print(f"turn {turn}: earmark / fpcalc  {theirs_s / ours_s:6.2f}")
        few = copies(files[0], home / "few", FEW)
        many = copies(files[0], home / "many", options.many)
        for count, copied in ((FEW, few), (options.many, many)):
            seconds, peak_mb = earmark(home, "identify", copied, "--out", home / "m.csv", state=copied.name)
            print(f"{count:6} files: peak {peak_mb:4.0f} MB, {count / seconds:.1f} files per CPU second")


def earmark(home: Path, *arguments: str | Path, state: str = "") -> tuple[float, float]:
    """CPU seconds of one command with its children, and the peak memory of the largest of these processes in MB."""
    environment = {
        **os.environ,
        "HOME": str(home),
        "EARMARK_STATE": str(home / "state"),
        "PYTHONPATH": str(ROOT),
    }
    if state:
        # The same catalogue, a ledger of its own: nothing is known from the turn before.
        shutil.rmtree(home / state / "catalogue", ignore_errors=True)
        shutil.copytree(home / "state" / "catalogue", home / state / "catalogue")
        environment["EARMARK_STATE"] = str(home / state)
    cost = run([sys.executable, "-m", "pipeline", *arguments], environment)
    return cpu_s(cost), cost.ru_maxrss / 1024


def run(argv: list[str | Path], environment: dict[str, str] | None = None) -> resource.struct_rusage:
    """What a command and its children used; it may end with 3 (some files failed), as fpcalc does too."""
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, cost = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):
        sys.exit(f"{argv} ended with {process.returncode}: {said.decode(errors='replace')[-2000:]}")
    return cost


def cpu_s(cost: resource.struct_rusage) -> float:
    return cost.ru_utime + cost.ru_stime


def copies(source: Path, folder: Path, count: int) -> Path:
    """`count` files of the same 40 seconds, hard links to one."""
    folder.mkdir(parents=True)
    first = folder / "000000.mp3"
    run([find().path, "-y", "-v", "error", "-ss", "10", "-t", str(EXCERPT_S), "-i", source, first])
    for number in range(1, count):
        os.link(first, folder / f"{number:06}.mp3")
    return folder


if __name__ == "__main__":
    main()
