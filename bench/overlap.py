"""How close a run comes to the ideal of uploads and answers fully overlapped.

    python -m bench.overlap [--files 60] [--jobs 8] [--latency 3]

Runs `earmark identify` on FILES different files against a scripted service that takes LATENCY seconds a recognition,
beside the document's own script (upload, then ask every half second, one file after the other; timed on a few files
and scaled). The ideal is FILES x LATENCY / JOBS, in whole rounds: nothing but waiting.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests

from pipeline.audio.ffmpeg import find
from tests.music import PITCHES_HZ, named, song, write
from tests.services.audiotag import KEY, AudioTagService

ROOT = Path(__file__).parent.parent
SCRIPT_FILES = 4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--latency", type=float, default=3.0)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        AudioTagService(named, latency_s=options.latency) as service,
    ):
        music = Path(folder) / "music"
        pitches = list(PITCHES_HZ.values())
        # One after the other: the peak of a child begins with what this process ever held.
        for number in range(options.files):
            write(music / f"{number:03d}.mp3", song(pitches[number % len(pitches)], 90, seed=number))
        script_s = one_after_the_other(sorted(music.iterdir())[:SCRIPT_FILES], service.url) / SCRIPT_FILES
        service.charges.clear()
        ours_s = earmark(music, Path(folder), service.url, options.jobs)
        sent = len(service.charges)
    ideal_s = math.ceil(sent / options.jobs) * options.latency
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"{options.files} files, {sent} segments sent, {options.jobs} jobs, {options.latency:g} s a recognition"
    )
    print(f"the document's script   {script_s * options.files:7.1f} s   (from {SCRIPT_FILES} files)")
    print(f"earmark identify        {ours_s:7.1f} s   peak {peak_mb:.0f} MB (largest process)")
    print(f"ideal                   {ideal_s:7.1f} s")
    print(f"earmark / ideal         {ours_s / ideal_s:7.2f}     goal: at most 1.15")


def earmark(music: Path, folder: Path, url: str, jobs: int) -> float:
    """Wall seconds of the whole command, start-up and reports included."""
    environment = {
        **os.environ,
        "HOME": str(folder),
        "EARMARK_STATE": str(folder / "state"),
        "AUDIOTAG_URL": url,
        "AUDIOTAG_API_KEY": KEY,
        "PYTHONPATH": str(ROOT),
    }
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "pipeline", "identify", music, f"--jobs={jobs}", f"--out={folder / 'r.xlsx'}"],
        env=environment,
        capture_output=True,
        check=True,
        timeout=600,
    )
    return time.monotonic() - began


def one_after_the_other(files: list[Path], url: str) -> float:
    """Example 10 of the document, with its ffmpeg command: convert, send 15 s, ask every half second."""
    began = time.monotonic()
    for path in files:
        wav = path.with_suffix(".wav")
        subprocess.run(
            [find().path, "-v", "error", "-y", "-i", path, "-ar", "8000", "-ac", "1", "-vn", "-t", "15", wav],
            check=True,
        )
        with wav.open("rb") as audio:
            accepted = requests.post(
                url, data={"action": "identify", "apikey": KEY}, files={"file": audio}, timeout=60
            ).json()
        result = "wait"
        while result == "wait":
            time.sleep(0.5)
            asked = {"action": "get_result", "token": accepted["token"], "apikey": KEY}
            result = requests.post(url, data=asked, timeout=60).json()["result"]
        wav.unlink()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
