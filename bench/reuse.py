"""What is reused of music that was paid for: other encodings of it, which should be, and other music, which must not.

    python -m bench.reuse MUSIC [--tracks 60] [--work DIR]

MUSIC is a folder of known music of which no two files are the same recording. Of the first minute of each track: the
probes of a lossless copy are written into a ledger as if they had been sent, and those of copies in other encodings
and of changed versions are looked for, at the places where a run would cut them. Then of whole tracks: stretches of
15 s, every 7.5 s, are looked for among all others. DIR keeps the encoded files for the next time.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.audio import EXTENSIONS, Decoder, open_decoder
from pipeline.audio.ffmpeg import find
from pipeline.batch.reuse import Reuse
from pipeline.batch.segment import plan_probes
from pipeline.ledger import Ledger
from pipeline.model import RATE_HZ, Pcm, Probe, SourceFile

BASE: Final = "base.flac"
BASE_S: Final = 66
LENGTH_S: Final = 15.0
ENCODINGS: Final[Mapping[str, str]] = {
    "m320.mp3": "-b:a 320k",
    "m128.mp3": "-b:a 128k",
    "m64.mp3": "-b:a 64k",
    "m32.mp3": "-b:a 32k -ac 1 -ar 22050",
    "q4.ogg": "-c:a libvorbis -q:a 4",
    "q0.ogg": "-c:a libvorbis -q:a 0",
    "o24.opus": "-c:a libopus -b:a 24k",
    "o12.opus": "-c:a libopus -b:a 12k",
    "a128.m4a": "-c:a aac -b:a 128k",
    "w128.wma": "-c:a wmav2 -b:a 128k",
    "w48.wma": "-c:a wmav2 -b:a 48k",
    "gsm.wav": "-c:a libgsm_ms -ac 1 -ar 8000",
}
CHANGES: Final[Mapping[str, str]] = {
    "louder.flac": "-af acompressor=threshold=-24dB:ratio=4:makeup=8dB,bass=g=5,treble=g=-4",
    "faster.flac": "-af asetrate=44100*1.01,aresample=44100",
    "later.flac": "-ss 2.5",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("music", type=Path)
    parser.add_argument("--tracks", type=int, default=60)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    files = sorted(p for p in options.music.rglob("*") if p.suffix[1:].lower() in EXTENSIONS)
    random.Random(1).shuffle(files)
    with tempfile.TemporaryDirectory() as temporary, open_decoder(workers=2) as decoder:
        work = options.work or Path(temporary) / "work"
        with Ledger.open(Path(temporary) / "encodings") as ledger:
            reencoded(Sent(ledger), decoder, list(encoded(files, work, options.tracks)))
        with Ledger.open(Path(temporary) / "stretches") as ledger:
            others(Sent(ledger), decoder, files)


class Sent:
    """A ledger that holds the prints of what was sent, with the name of each piece of audio."""

    def __init__(self, ledger: Ledger) -> None:
        self.reuse = Reuse(ledger.prints, ledger.uploads)
        self.names: dict[str, tuple[str, int]] = {}
        self.spent_s = 0.0
        self.asked = 0
        self._ledger = ledger
        self._run_id = ledger.begin_run("bench")
        ledger.admit([SourceFile(b"/bench", "bench", 1, 1)])

    def send(self, probe: Probe, name: tuple[str, int]) -> None:
        self.names.setdefault(probe.sha256, name)
        self._ledger.uploads.intend(self._run_id, 1, "bench", probe, self.reuse.print_of(probe))

    def twin(self, probe: Probe) -> tuple[str, int] | None:
        began = time.perf_counter()
        found = self.reuse.alike("bench", probe)
        self.spent_s += time.perf_counter() - began
        self.asked += 1
        return self.names[found[0].sha256] if found else None


def encoded(files: list[Path], work: Path, tracks: int) -> Iterator[Path]:
    """A folder a track, each with its base and everything made of it; tracks of less than a minute are left out."""
    made = 0
    for number, file in enumerate(files):
        if made == tracks:
            return
        folder = work / f"{number:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        base = folder / BASE
        ffmpeg(file, base, f"-t {BASE_S} -ac 2 -ar 44100")
        if seconds(base) < BASE_S - 4:
            continue
        for name, arguments in {**ENCODINGS, **CHANGES}.items():
            ffmpeg(base, folder / name, arguments)
        made += 1
        yield folder


def ffmpeg(source: Path, target: Path, arguments: str) -> None:
    if not target.exists():
        command = [find().path, "-v", "error", "-nostdin", "-y", "-i", source, "-map", "0:a:0"]
        subprocess.run([*command, *arguments.split(), target], check=True, timeout=300)


def seconds(path: Path) -> float:
    command = [find().path, "-v", "error", "-nostdin", "-i", path, "-ac", "1", "-ar", "100", "-f", "u8", "-"]
    return len(subprocess.run(command, check=True, capture_output=True, timeout=300).stdout) / 100


def reencoded(sent: Sent, decoder: Decoder, folders: list[Path]) -> None:
    """Print, for each encoding, how many probes of it are known by those of the base."""
    for folder in folders:
        for place, probe in enumerate(probes(decoder, folder / BASE)):
            sent.send(probe, (folder.name, place))
    right: Counter[str] = Counter()
    wrong: defaultdict[str, list[str]] = defaultdict(list)
    asked: Counter[str] = Counter()
    for folder in folders:
        made = [probes(decoder, folder / name) for name in (*ENCODINGS, *CHANGES)]
        pieces = [(name, list(cut)) for name, cut in zip((*ENCODINGS, *CHANGES), made, strict=True)]
        base = list(probes(decoder, folder / BASE))
        stranger = next(probes(decoder, folders[folders.index(folder) - 1] / BASE)).pcm
        pieces.append(("with another piece at -6 dB", [Probe(mixed(probe.pcm, stranger)) for probe in base]))
        pieces.append(("3 s of another piece in it", [Probe(spliced(probe.pcm, stranger)) for probe in base]))
        for name, cut in pieces:
            for place, probe in enumerate(cut):
                asked[name] += 1
                found = sent.twin(probe)
                if found == (folder.name, place):
                    right[name] += 1
                elif found is not None:
                    wrong[name].append(f"{folder.name} {place} taken for {found}")
    for name, number in asked.items():
        print(
            f"{name:28} {number:5} probes, {right[name] / number:7.1%} reused, {len(wrong[name])} of other audio"
        )
        for line in wrong[name]:
            print(f"    {line}")
    print(f"a look among {len(sent.names)} prints, print included: {1000 * sent.spent_s / sent.asked:.1f} ms")


def others(sent: Sent, decoder: Decoder, files: list[Path]) -> None:
    """Print how often a stretch is taken for another: of its own track, and of another one."""
    same_track, other_track = [], []
    for number, file in enumerate(files):
        pcm = np.concatenate([np.empty(0, np.int16), *decoder.whole(str(file))])
        length, step = round(LENGTH_S * RATE_HZ), round(LENGTH_S / 2 * RATE_HZ)
        for start in range(0, len(pcm) - length + 1, step):
            probe = Probe(pcm[start : start + length])
            found = sent.twin(probe)
            if found is not None:
                line = f"{file.name} at {start / RATE_HZ:.1f} s taken for {found[0]} at {found[1] / RATE_HZ:.1f} s"
                (same_track if found[0] == f"{number} {file.name}" else other_track).append(line)
            else:
                sent.send(probe, (f"{number} {file.name}", start))
    print(f"{sent.asked} stretches of {len(files)} tracks, each against all before it:")
    print(
        f"  taken for another stretch of the same track {len(same_track)}, of another track {len(other_track)}"
    )
    for line in [*other_track, *same_track]:
        print(f"    {line}")
    print(f"a look among {len(sent.names)} prints, print included: {1000 * sent.spent_s / sent.asked:.1f} ms")


def probes(decoder: Decoder, path: Path) -> Iterator[Probe]:
    """The probes that a run would cut."""
    duration_s = decoder.inspect(str(path)).duration_s or decoder.measure(str(path))
    plan = plan_probes(duration_s, count=3, length_s=LENGTH_S)
    yield from map(Probe, decoder.spans(str(path), plan))


def mixed(pcm: Pcm, other: Pcm) -> Pcm:
    length = min(len(pcm), len(other))
    loud = np.sqrt(np.mean(pcm[:length].astype(float) ** 2))
    gain = loud / 2 / max(np.sqrt(np.mean(other[:length].astype(float) ** 2)), 1.0)
    return np.clip(pcm[:length] * 0.7 + other[:length] * (0.7 * gain), -32768, 32767).astype(np.int16)


def spliced(pcm: Pcm, other: Pcm) -> Pcm:
    middle, length = len(pcm) // 2, 3 * RATE_HZ
    return np.concatenate([pcm[:middle], other[:length], pcm[middle + length :]])


if __name__ == "__main__":
    main()
