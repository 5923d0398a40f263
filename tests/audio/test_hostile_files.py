"""Files that are not what they seem cost one row, in plain words, and nothing else."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio import Decoder
from pipeline.audio.child import run
from pipeline.audio.ffmpeg import find
from pipeline.errors import MediaError
from pipeline.model import FileStatus, Segment

SEGMENTS = [Segment(5.0, 15.0), Segment(20.0, 15.0)]


def every_way(decoder: Decoder, path: Path, *, also_inspect: bool = True) -> list[MediaError]:
    """What each of the decoder's functions says of a file that none of them can hear."""
    ways: list[Callable[[], object]] = [
        *([lambda: decoder.inspect(str(path))] if also_inspect else []),
        lambda: decoder.spans(str(path), SEGMENTS),
        lambda: list(decoder.whole(str(path))),
        lambda: decoder.measure(str(path)),
    ]
    errors = []
    for way in ways:
        with pytest.raises(MediaError) as caught:
            way()
        errors.append(caught.value)
    for error in errors:
        assert len(str(error)) < 350
        assert "0x" not in str(error)
        assert "\n" not in str(error)
        assert str(path) not in str(error)
    return errors


@pytest.mark.parametrize(
    "name", ["noise.mp3", "noise.aac", "noise.ogg", "noise.wav", "noise.m4a", "noise.flac"]
)
def test_random_bytes_are_unreadable(decoder: Decoder, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(np.random.default_rng(3).bytes(200_000))
    # A header may be found in anything, so `inspect` may well believe one.
    for error in every_way(decoder, path, also_inspect=False):
        assert error.status is FileStatus.UNREADABLE
        assert "damaged" in str(error)


def test_text_named_mp3_is_unreadable(decoder: Decoder, tmp_path: Path) -> None:
    path = tmp_path / "readme.mp3"
    path.write_text("This is not music.\n" * 500)
    assert {error.status for error in every_way(decoder, path)} == {FileStatus.UNREADABLE}


def test_an_empty_file_says_that_it_is_empty(decoder: Decoder, tmp_path: Path) -> None:
    path = tmp_path / "empty.mp3"
    path.touch()
    for error in every_way(decoder, path):
        assert str(error) == "it is empty (0 bytes); copy it again from where it came from"
        assert error.status is FileStatus.UNREADABLE


def test_a_folder_and_a_pipe_are_not_opened(decoder: Decoder, tmp_path: Path) -> None:
    (tmp_path / "folder.mp3").mkdir()
    os.mkfifo(tmp_path / "pipe.mp3")
    assert {e.message for e in every_way(decoder, tmp_path / "folder.mp3")} == {"it is a folder, not a file"}
    assert {e.message for e in every_way(decoder, tmp_path / "pipe.mp3")} == {
        "it is a device, pipe or socket, not a file"
    }


def test_a_file_that_vanished_has_failed_and_may_be_tried_again(decoder: Decoder, tmp_path: Path) -> None:
    for error in every_way(decoder, tmp_path / "gone.mp3"):
        assert str(error) == "it was not there any more when its turn came; run again"
        assert error.status is FileStatus.FAILED


def test_a_film_without_sound_has_no_audio(decoder: Decoder, tmp_path: Path, silent_film: Path) -> None:
    info = decoder.inspect(str(silent_film))
    assert not info.has_audio
    for way in (
        lambda: decoder.spans(str(silent_film), SEGMENTS),
        lambda: list(decoder.whole(str(silent_film))),
    ):
        with pytest.raises(MediaError, match="it holds no sound") as caught:
            way()
        assert caught.value.status is FileStatus.NO_AUDIO


@pytest.fixture(scope="module")
def silent_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 s of black, 16 by 16, with no sound track."""
    path = tmp_path_factory.mktemp("film") / "silent.mp4"
    made = run(
        [
            find("wheel").path,
            "-f",
            "rawvideo",
            "-s",
            "16x16",
            "-r",
            "5",
            "-i",
            "/dev/zero",
            "-t",
            "20",
            str(path),
        ]
    )
    assert made.returncode == 0, made.stderr
    return path


@pytest.mark.parametrize("extension", ["mp3", "flac", "ogg", "opus", "wav", "aiff", "wma", "mka", "mp2"])
def test_of_a_file_cut_short_what_is_there_is_heard(
    decoder: Decoder, album: dict[str, Path], tmp_path: Path, extension: str
) -> None:
    content = album[extension].read_bytes()
    path = tmp_path / f"cut.{extension}"
    path.write_bytes(content[: len(content) * 3 // 10])
    heard_s = sum(len(block) for block in decoder.whole(str(path))) / 8000
    assert 10 < heard_s < 20
    assert decoder.measure(str(path)) == pytest.approx(heard_s, abs=0.3)
    first, beyond = decoder.spans(str(path), [Segment(0.0, 10.0), Segment(33.0, 15.0)])
    assert len(first) == 80_000
    assert len(beyond) < 120_000
    # All segments beyond the end: an answer too, not an error.
    assert all(
        len(span) < 120_000 for span in decoder.spans(str(path), [Segment(25.0, 15.0), Segment(33.0, 15.0)])
    )


def test_a_hole_in_the_middle_costs_only_the_hole(
    decoder: Decoder, album: dict[str, Path], tmp_path: Path
) -> None:
    content = bytearray(album["mp3"].read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = bytes(20_000)
    path = tmp_path / "hole.mp3"
    path.write_bytes(content)
    assert sum(len(block) for block in decoder.whole(str(path))) > 43 * 8000
    spans = decoder.spans(str(path), [Segment(2.0, 15.0), Segment(30.0, 15.0)])
    assert [len(span) for span in spans] == [120_000, 120_000]


def test_latin_1_and_broken_tags_are_no_reason_to_refuse(
    decoder: Decoder, album: dict[str, Path], tmp_path: Path
) -> None:
    content = album["mp3"].read_bytes()
    body = content[content.index(b"\xff\xfb") :]
    bad_frames = {
        "latin-1": b"TIT2" + (9).to_bytes(4, "big") + b"\0\0" + b"\0caf\xe9 \x01\x07x",
        "invalid UTF-8": b"TIT2" + (8).to_bytes(4, "big") + b"\0\0" + b"\3caf\xff\xfe z",
        "broken UTF-16": b"TIT2" + (8).to_bytes(4, "big") + b"\0\0" + b"\1\xff\xfea\0b\0\xd8",
        "too long": b"TIT2" + (0x7FFFFF).to_bytes(4, "big") + b"\0\0" + b"\0abc",
    }
    for kind, frame in bad_frames.items():
        path = tmp_path / f"{kind}.mp3"
        path.write_bytes(b"ID3\x03\0\0\0\0" + bytes([len(frame) >> 7, len(frame) & 127]) + frame + body)
        info = decoder.inspect(str(path))
        assert info.duration_s == pytest.approx(48.0, abs=0.5), kind
        assert info.tags.title == "" or info.tags.title.isprintable(), kind
        info.tags.title.encode()  # no lone surrogates


@pytest.fixture
def listening() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine that writes down what it is asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def playlists(url: str, secret: Path) -> dict[str, str]:
    entry = f"#EXTINF:10,\n{url}/a.ts\n#EXTINF:10,\nfile://{secret}\n#EXTINF:10,\n{secret}\n"
    hls = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n{entry}#EXT-X-ENDLIST\n"
    sdp = f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\na=control:{url}\nm=audio 5004 RTP/AVP 0\n"
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT20S"><Period><AdaptationSet mimeType="audio/mp4">'
        f'<Representation id="1" bandwidth="64000"><BaseURL>{url}/b.mp4</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>"
    )
    return {
        "hls": hls,
        "ffconcat": f"ffconcat version 1.0\nfile '{secret}'\nfile {url}/c.mp3\n",
        "sdp": sdp,
        "dash": dash,
        "m3u": f"#EXTM3U\n{secret}\n{url}/d.mp3\n",
    }


@pytest.mark.parametrize(
    ("kind", "extension"),
    [("hls", "mp3"), ("hls", "m3u8"), ("ffconcat", "mp3"), ("sdp", "mp3"), ("dash", "mp3"), ("m3u", "mp3")],
)
def test_a_playlist_in_disguise_opens_no_other_file_and_no_address(
    decoder: Decoder,
    album: dict[str, Path],
    tmp_path: Path,
    listening: tuple[str, list[str]],
    kind: str,
    extension: str,
) -> None:
    url, asked = listening
    path = tmp_path / f"song.{extension}"
    path.write_text(playlists(url, album["mp3"])[kind])
    assert {error.status for error in every_way(decoder, path)} == {FileStatus.UNREADABLE}
    assert asked == []


def test_the_hostile_playlists_would_work_without_the_lists(
    album: dict[str, Path], tmp_path: Path, listening: tuple[str, list[str]]
) -> None:
    """The test above proves nothing unless these playlists do reach out when ffmpeg is left to itself."""
    url, asked = listening
    path = tmp_path / "song.m3u8"
    path.write_text(playlists(url, album["mp3"])["hls"])
    lax = ["-protocol_whitelist", "file,http,tcp", "-allowed_extensions", "ALL"]
    run([find("wheel").path, "-v", "error", "-nostdin", *lax, "-i", str(path), "-f", "null", "-"])
    assert asked
