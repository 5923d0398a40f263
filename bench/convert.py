"""How fast and how lean decoding is, against decoding alone and against the AudioTag document's own way.

    python bench/convert.py [MUSIC]

Without MUSIC it makes some (4 min of synthesised music in twelve formats, kept in the temporary folder).
Compared methods take turns, file by file, so that a busy machine slows them alike: trust the ratios, not the
seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydub import AudioSegment

from pipeline.audio import EXTENSIONS, Decoder, cores, encode, open_decoder
from pipeline.audio.ffmpeg import find
from pipeline.batch.segment import plan_probes

RATE_HZ = 44_100
FORMATS = ("mp3", "m4a", "ogg", "opus", "flac", "wav", "wma", "aiff", "mp2", "aac", "3gp", "alac")
CACHE = Path(tempfile.gettempdir()) / "earmark-bench-music"


def synthesised(length_s: float) -> npt.NDArray[np.float32]:
    """Stereo music: four voices of decaying notes with a harmonic each, and a little noise."""
    rng = np.random.default_rng(1)
    samples = rng.normal(0, 0.01, (round(length_s * RATE_HZ), 2)).astype(np.float32)
    scale = 220 * 2 ** (np.array([0, 2, 3, 5, 7, 8, 10]) / 12)
    start = 0
    while start < len(samples):
        stop = min(start + int(RATE_HZ * rng.uniform(0.15, 0.5)), len(samples))
        at_s = np.arange(stop - start) / RATE_HZ
        for pitch_hz in rng.choice(scale, 4) * rng.choice([0.5, 1, 2], 4):
            voice = 0.12 * np.exp(-3 * at_s) * np.sin(2 * np.pi * pitch_hz * at_s)
            samples[start:stop, 0] += voice.astype(np.float32)
            samples[start:stop, 1] += np.roll(voice, 40).astype(np.float32)
        start = stop
    return samples


def own_music() -> list[Path]:
    CACHE.mkdir(exist_ok=True)
    files = [CACHE / f"song.{extension}" for extension in FORMATS]
    missing = [path for path in files if not path.exists()]
    samples = synthesised(240.0) if missing else None
    for path in missing:
        assert samples is not None
        half_done = path.with_stem("half-done")
        encode(half_done, samples, RATE_HZ)
        half_done.replace(path)
    return files


def long_mix(song: Path) -> Path:
    """Three hours of MP3: frames of one song after frames of another make a valid stream."""
    path = CACHE / "mix.mp3"
    if not path.exists():
        content = song.read_bytes()
        with path.with_suffix(".part").open("wb") as out:
            for _ in range(45):
                out.write(content)
        path.with_suffix(".part").replace(path)
    return path


def cpu_s() -> float:
    """Processor seconds of this process, of its children that have ended and of the workers that have not."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                ticks += sum(int(field) for field in fields[11:15])
    return sum(usage.ru_utime + usage.ru_stime for usage in used) + ticks / os.sysconf("SC_CLK_TCK")


def cpu_of(work: Callable[[], object]) -> float:
    before = cpu_s()
    work()
    return cpu_s() - before


def decode_only(exe: str, path: Path) -> None:
    argv = [
        exe,
        "-nostdin",
        "-v",
        "error",
        "-threads",
        "1",
        "-vn",
        "-i",
        path,
        "-map",
        "0:a:0",
        "-f",
        "null",
        "-",
    ]
    subprocess.run(argv, check=True, timeout=300)


def convert_whole(decoder: Decoder, path: Path) -> None:
    for _ in decoder.whole(str(path)):
        pass


def three_probes(decoder: Decoder, path: Path) -> None:
    duration_s = decoder.inspect(str(path)).duration_s or decoder.measure(str(path))
    decoder.spans(str(path), plan_probes(duration_s, count=3, length_s=15.0))


def documents_way(exe: str, path: Path) -> None:
    """A WAV on disk, then slices of it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.wav"
        argv = [exe, "-nostdin", "-v", "error", "-i", path, "-ar", "8000", "-ac", "1", "-vn", out]
        subprocess.run(argv, check=True, timeout=300)
        song = AudioSegment.from_wav(out)
        for place in plan_probes(song.duration_seconds, count=3, length_s=15.0):
            song[int(place.start_s * 1000) : int(place.end_s * 1000)].raw_data  # noqa: B018


@contextlib.contextmanager
def pyav() -> Iterator[Decoder | None]:
    try:
        import av  # noqa: F401
    except ImportError:
        yield None
    else:
        with open_decoder(backend="av") as decoder:
            yield decoder


def cpu_table(files: list[Path], wanted: str) -> None:
    exe = find(wanted).path
    print(f"\nCPU ms a file, {find(wanted).name}")
    heads = {"decoding": 9, "whole": 9, "/decoding": 11, "3 probes": 10, "/whole": 8, "PyAV": 8, "/ whole": 8}
    print(f"{'file':<12}" + "".join(f"{head:>{width}}" for head, width in heads.items()))
    sums = np.zeros(4)
    with open_decoder(backend="ffmpeg", ffmpeg=wanted) as by_ffmpeg, pyav() as by_pyav:
        for path in files:
            ways: list[Callable[[], object]] = [
                lambda path=path: decode_only(exe, path),
                lambda path=path: convert_whole(by_ffmpeg, path),
                lambda path=path: three_probes(by_ffmpeg, path),
                lambda path=path: three_probes(by_pyav, path) if by_pyav else None,
            ]
            rounds = np.array([[cpu_of(way) for way in ways] for _ in range(4)])
            # The first round starts the workers and fills the caches.
            costs = rounds[1:].mean(axis=0) * 1000
            sums += costs
            print_costs(path.name[-11:], costs)
        print_costs("all", sums)
        decoding, whole, _, by_workers = sums
        print(f"whole at most 1.25 x decoding: {verdict(whole <= 1.25 * decoding)}", end="; ")
        print(f"with PyAV 0.25 x: {verdict(0 < by_workers <= 0.25 * whole)}")
        together = folder_share(files, by_ffmpeg)
        print(
            f"3 probes as a run does it, {by_ffmpeg.callers} files in flight: {together:.2f} x whole ", end=""
        )
        print(f"(at most 0.40 x: {verdict(together <= 0.40)})")


def folder_share(files: list[Path], decoder: Decoder) -> float:
    """CPU of three probes a file, several files in flight as in a run, beside that of converting them whole."""
    shares = []
    for _ in range(3):
        whole = cpu_of(lambda: [convert_whole(decoder, path) for path in files])
        shares.append(cpu_of(lambda: hear_all(decoder, files * 5)) / 5 / whole)
    return statistics.median(shares)


def hear_all(decoder: Decoder, files: list[Path]) -> None:
    """Three probes of each, from as many threads as a run would use."""
    with ThreadPoolExecutor(decoder.callers) as threads:
        list(threads.map(lambda path: three_probes(decoder, path), files))


def print_costs(name: str, costs: npt.NDArray[np.float64]) -> None:
    decoding, whole, probes, by_workers = costs
    print(f"{name:<12}{decoding:9.0f}{whole:9.0f}{whole / decoding:11.2f}", end="")
    print(f"{probes:10.0f}{probes / whole:8.2f}{by_workers:8.0f}{by_workers / whole:8.2f}")


def wall_table(files: list[Path], wanted: str) -> None:
    exe = find(wanted).path
    sixty = (files * (60 // len(files) + 1))[:60]
    print(f"\nFiles a second, {len(sixty)} mixed files, three probes each, workers started, {cores()} cores")
    taken: dict[str, list[float]] = {}
    with open_decoder(backend="ffmpeg", ffmpeg=wanted) as by_ffmpeg, pyav() as by_pyav:
        decoders = [decoder for decoder in (by_ffmpeg, by_pyav) if decoder is not None]
        for decoder in decoders:
            # A nightly run starts its workers once.
            hear_all(decoder, files)
        for _ in range(3):
            began = time.perf_counter()
            for path in sixty:
                documents_way(exe, path)
            taken.setdefault("the document's way, one by one", []).append(time.perf_counter() - began)
            for decoder in decoders:
                began = time.perf_counter()
                hear_all(decoder, sixty)
                taken.setdefault(f"{decoder.name}, {decoder.callers} threads", []).append(
                    time.perf_counter() - began
                )
    plain = taken["the document's way, one by one"]
    for (name, times), goal in zip(taken.items(), (1.0, 4.5, 8.0), strict=False):
        faster = statistics.median(slow / quick for slow, quick in zip(plain, times, strict=True))
        print(f"{name:<34}{60 / statistics.median(times):7.1f}{faster:7.1f} x  ", end="")
        print(f"(at least {goal} x: {verdict(faster >= goal)})")


def memory_table(song: Path) -> None:
    print("\nPeak memory in MB while a whole file streams through")
    code = (
        "import resource, sys\nfrom pipeline.audio import open_decoder\n"
        "if __name__ == '__main__':\n"
        "    with open_decoder(backend='ffmpeg') as decoder:\n"
        "        length = sum(len(block) for block in decoder.whole(sys.argv[1])) / 8000\n"
        # Not ru_maxrss: it begins with what the process that started this one used.
        "    own_kb = [line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line][0]\n"
        "    child_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        "    print(f'{length / 60:6.1f} min: own {int(own_kb) // 1024}, ffmpeg {child_kb // 1024}')\n"
    )
    for path in (song, long_mix(song)):
        subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=300)


def verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("music", nargs="?", type=Path, help="a folder of music; default: synthesised")
    parser.add_argument("--files", type=int, default=12, help="how many files of the folder to use")
    parser.add_argument(
        "--ffmpeg", default="", help="`system`, `wheel` or a path; default: as earmark chooses"
    )
    arguments = parser.parse_args()
    if arguments.music is None:
        files = own_music()
    else:
        found = sorted(arguments.music.rglob("*"))
        files = [path for path in found if path.suffix.lower().lstrip(".") in EXTENSIONS][: arguments.files]
    if not files:
        parser.error(f"no music below {arguments.music}")
    cpu_table(files, arguments.ffmpeg)
    wall_table(files, arguments.ffmpeg)
    memory_table(own_music()[0])


if __name__ == "__main__":
    main()
