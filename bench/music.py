"""Music that anybody can have, out of Debian's packages, as the other benchmarks want it.

    python -m bench.music FOLDER [--packages NAME,NAME]

Without --packages it brings KNOWN and UNKNOWN: about nine hours that nothing of the engine was made with. Each package
becomes a folder of its own; tracker modules are played by ffmpeg (with libopenmpt, as Debian's has) and kept as FLAC.
What is there already stays. Needs apt-get and dpkg-deb; nothing is installed. Prints what to tell the benchmarks:
the folder, and which of its music is to stay unknown.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

KNOWN: Final = (
    "widelands-data openclonk-data pekka-kana-2-data enigma-data blobwars-data heroes-sound-tracks wordwarvi-sound "
    "plee-the-bear-data glob2-data powermanga-data krank caveexpress-data hannah-data pax-britannica-data raincat-data "
    "tomatoes-data criticalmass-data angrydd"
)
UNKNOWN: Final = (
    "rafkill-data freedroid-data bomberclone-data fretsonfire-songs-muldjord fretsonfire-songs-sectoid tuxmath-data "
    "tuxtype-data pinball-data pathological renpy-demo ri-li-data vodovod cuyo-data gweled funnyboat instead-data "
    "mazeofgalious-data orbital-eunuchs-sniper-data torcs-data gamine-data pangzero endless-sky-data scorched3d-data "
    "alienblaster-data"
)
"""Orchestras, bands, tracker modules, a coyote."""

RECORDED: Final = (".ogg", ".oga", ".mp3", ".opus", ".flac", ".wav")
MODULES: Final = (".mod", ".xm", ".it", ".s3m")
SMALLEST_BYTES: Final = 20_000
LONGEST_S: Final = 480
"""Of a module: many never end."""


def brought(packages: list[str], folder: Path) -> None:
    """Put the music of these packages into folders of their names; the same file is taken once."""
    seen: set[bytes] = set()
    for package in packages:
        if not (folder / package).exists():
            with tempfile.TemporaryDirectory() as scratch:
                for name, path in _music(_unpacked(package, Path(scratch)), seen):
                    _taken(path, folder / package / name)


def _unpacked(package: str, scratch: Path) -> Path:
    subprocess.run(["apt-get", "download", "-q", package], cwd=scratch, stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["dpkg-deb", "-x", *scratch.glob("*.deb"), scratch / "files"], check=True)
    return scratch / "files"


def _music(files: Path, seen: set[bytes]) -> Iterator[tuple[str, Path]]:
    """The music below a folder, each with a name that no other has."""
    paths = sorted(path for path in files.rglob("*") if _is_music(path))
    names = Counter(path.name for path in paths)
    for path in paths:
        digest = hashlib.sha256(path.read_bytes()).digest()
        if digest not in seen:
            seen.add(digest)
            yield path.name if names[path.name] == 1 else f"{path.parent.name} {path.name}", path


def _is_music(path: Path) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size <= SMALLEST_BYTES:
        return False
    # One game keeps its modules without endings.
    return path.suffix.lower() in (*RECORDED, *MODULES) or (not path.suffix and path.parent.name == "music")


def _taken(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix.lower() in RECORDED:
        shutil.copy(source, target)
        return
    subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", source, "-t", str(LONGEST_S), "-ac", "1", "-ar", "44100",
         f"{target}.flac"],
        check=True,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--packages", default=f"{KNOWN} {UNKNOWN}".replace(" ", ","), help="between commas")
    options = parser.parse_args()
    packages = options.packages.split(",")
    brought(packages, options.folder)
    print(options.folder, "--unknown", ",".join(name for name in packages if name in UNKNOWN.split()))


if __name__ == "__main__":
    main()
