"""Damaged and cut files of every format: one clear answer each, and never more to pay for than could be heard."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pytest

from pipeline.audio import Decoder, open_decoder
from pipeline.audio.ffmpeg import find
from pipeline.batch.budget import charged_seconds
from pipeline.batch.convert import Piece, convert
from pipeline.batch.options import Coverage, Options
from pipeline.errors import MediaError
from pipeline.model import MAX_SEGMENT_S, MIN_SEGMENT_S, RATE_HZ, FileStatus, SourceFile
from tests.audio.conftest import FORMATS
from tests.audio.damage import Damage, damaged
from tests.music import PITCHES_HZ, song, write

WHOLE_S = 48.0
"""What the files of the album hold."""


@pytest.fixture(scope="module", params=["ffmpeg", "av"])
def decoder(request: pytest.FixtureRequest) -> Iterator[Decoder]:
    if request.param == "av":
        pytest.importorskip("av")
    with open_decoder(backend=request.param, workers=2) as opened:
        yield opened


def pieces_of(path: Path, decoder: Decoder, options: Options) -> list[Piece]:
    """What would be asked about; nothing where the file is refused, which it must be in one line."""
    found = path.stat()
    source = SourceFile(os.fsencode(path), path.name, found.st_size, found.st_mtime_ns)
    pieces: list[Piece] = []
    said = ""
    try:
        pieces.extend(convert(source, decoder, options, hear_all=False).pieces)
    except MediaError as error:
        said = str(error)
    assert len(said) < 350
    assert "\n" not in said
    return pieces


def check(path: Path, decoder: Decoder, options: Options, *, most_s: float) -> None:
    """Every piece is as long as its audio, and all of them together no longer than the file can be."""
    pieces = pieces_of(path, decoder, options)
    for piece in pieces:
        assert piece.segment.length_s == len(piece.probe.pcm) / RATE_HZ
        assert MIN_SEGMENT_S <= piece.segment.length_s <= MAX_SEGMENT_S
        assert charged_seconds(piece.probe.length_s) < piece.segment.length_s + 1
    assert sum(piece.segment.length_s for piece in pieces) <= most_s


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("copies", [1, pytest.param(40, marks=pytest.mark.slow)], ids=["one", "many"])
def test_damage_of_every_kind_costs_at_most_what_can_be_heard(
    decoder: Decoder, album: dict[str, Path], tmp_path: Path, extension: str, copies: int
) -> None:
    content = album[extension].read_bytes()
    choices = cycle([Options(), Options(coverage=Coverage.FULL)])
    # Another kind of damage for each format, so that even one copy of each tries all kinds.
    kinds = cycle(Damage)
    first = FORMATS.index(extension)
    for number, how in enumerate(islice(kinds, first, first + copies), first):
        path = tmp_path / f"{how}-{number}.{extension}"
        path.write_bytes(damaged(content, how, seed=number))
        # A changed byte can make a file slower or repeat a part of it; twice as long is beyond any of them.
        check(path, decoder, next(choices), most_s=2 * WHOLE_S)


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("parts", [1, pytest.param(24, marks=pytest.mark.slow)], ids=["one", "many"])
def test_of_a_file_cut_anywhere_no_more_is_asked_about_than_there_is(
    decoder: Decoder, album: dict[str, Path], tmp_path: Path, extension: str, parts: int
) -> None:
    content = album[extension].read_bytes()
    for part in range(1, parts + 1):
        path = tmp_path / f"{part}.{extension}"
        path.write_bytes(content[: len(content) * part // (parts + 1)])
        try:
            heard_s = sum(len(block) for block in decoder.whole(str(path))) / RATE_HZ
        except MediaError:
            heard_s = 0.0
        check(path, decoder, Options(), most_s=heard_s + 0.1)
        for piece in pieces_of(path, decoder, Options()):
            assert piece.segment.end_s <= heard_s + 0.5


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace fails calls of the system")
def test_a_disk_that_fails_midway_is_told_and_no_shorter_file(tmp_path: Path) -> None:
    song_path = write(tmp_path / "song.wav", song(PITCHES_HZ["Anna"], 100))
    failing = tmp_path / "ffmpeg"
    fault = f"strace -f -qq -o {tmp_path / 'trace'} -P {song_path} -e inject=read:error=EIO:when=60+"
    failing.write_text(f'#!/bin/sh\nexec {fault} {find().path} "$@"\n', "utf-8")
    failing.chmod(0o755)
    with open_decoder(backend="ffmpeg", ffmpeg=str(failing)) as decoder:
        blocks = decoder.whole(str(song_path))
        assert len(next(blocks)) == 30 * RATE_HZ
        with pytest.raises(
            MediaError, match=r"reading it failed after .* s of sound: input/output error"
        ) as caught:
            list(blocks)
    assert caught.value.status is FileStatus.FAILED
