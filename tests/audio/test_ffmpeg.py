"""Which ffmpeg is taken, and what is said of one that will not do."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from pipeline.audio import open_decoder, survey
from pipeline.audio.ffmpeg import find
from pipeline.errors import UsageError

FEIGNED = """#!/bin/sh
echo "ffmpeg version {version} Copyright (c) 2000-2013 the FFmpeg developers" >&2
case "$1" in
-demuxers) for name in {demuxers}; do echo " D   $name   described"; done ;;
-decoders) for name in aac flac vorbis opus wmav2 alac pcm_s16le; do echo " A....D $name   described"; done ;;
-filters) for name in {filters}; do echo " ... $name   A->A   described"; done ;;
esac
"""

ALL_DEMUXERS = "mp3 ogg flac wav aac asf aiff amr mov,mp4,m4a,3gp,3g2,mj2"
ALL_FILTERS = "aresample aformat asetnsamples atrim concat pan"


def feigned(
    path: Path, *, version: str = "6.1", demuxers: str = ALL_DEMUXERS, filters: str = ALL_FILTERS
) -> Path:
    """A script that answers like an ffmpeg."""
    path.write_text(FEIGNED.format(version=version, demuxers=demuxers, filters=filters))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH, but for the shell."""
    (tmp_path / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_the_systems_is_taken_when_it_can_do_the_work(only: Path) -> None:
    feigned(only / "ffmpeg")
    found = find()
    assert (found.path, found.version, found.source) == (str(only / "ffmpeg"), "6.1", "system")
    assert found.name == "ffmpeg 6.1 (system)"


def test_without_one_on_the_system_the_wheels_is_taken(only: Path) -> None:
    assert find().source == "wheel"
    assert find().missing == ()
    with pytest.raises(UsageError, match="no ffmpeg is installed on this system"):
        find("system")


@pytest.mark.parametrize(
    ("lack", "named"),
    [
        ({"version": "3.4.8"}, "version 4 or newer"),
        (
            {"demuxers": "mp3 flac"},
            "demuxer aac, demuxer aiff, demuxer amr, demuxer asf, demuxer mov, demuxer ogg",
        ),
        ({"filters": "aresample aformat asetnsamples atrim concat"}, "filter pan"),
    ],
)
def test_a_system_one_that_cannot_do_the_work_is_passed_over(
    only: Path, lack: dict[str, str], named: str
) -> None:
    feigned(only / "ffmpeg", **lack)
    assert find().source == "wheel"
    seen = survey(backend="ffmpeg")
    assert seen.source == "wheel"
    assert "cannot do the work: it lacks" in seen.passed_over
    assert named in seen.passed_over
    with pytest.raises(UsageError) as caught:
        find("system")
    assert named in str(caught.value)


def test_an_exchanged_binary_is_looked_at_again(only: Path) -> None:
    feigned(only / "ffmpeg", version="6.1")
    assert find("system").version == "6.1"
    feigned(only / "ffmpeg", version="7.0.2")
    assert find("system").version == "7.0.2"


def test_a_path_that_is_no_ffmpeg_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"no ffmpeg at {tmp_path}/nothing: No such file or directory"):
        find(str(tmp_path / "nothing"))
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho hello\n")
    other.chmod(0o755)
    with pytest.raises(
        UsageError, match="other is not an ffmpeg: asked for its demuxers it ended with code 0"
    ):
        open_decoder(backend="ffmpeg", ffmpeg=str(other))


def test_the_survey_covers_every_documented_extension() -> None:
    seen = survey(backend="ffmpeg", ffmpeg="wheel")
    documented = [support for support in seen.formats if support.documented]
    table = "wma wav opus ogg mp3 mp2 m4a flac amr alac aiff aif aac 3gpp 3gp"
    assert [support.extension for support in documented] == table.split()
    assert all(support.supported for support in documented)
    assert seen.decoder.endswith("(wheel)")
    assert not seen.problem


def test_the_survey_names_what_is_missing(only: Path) -> None:
    feigned(only / "ffmpeg")
    missing = {support.extension: support.missing for support in survey(backend="ffmpeg").formats}
    assert missing["amr"] == ("decoder amrnb", "decoder amrwb")
    assert missing["mkv"] == ("demuxer matroska,webm", "decoder ac3")
    assert missing["flac"] == ()


def test_the_survey_of_a_poor_machine_says_what_to_do(tmp_path: Path) -> None:
    seen = survey(ffmpeg=str(tmp_path / "gone"))
    assert seen.decoder == ""
    assert seen.formats == ()
    assert seen.problem.endswith("give the path of an ffmpeg, `system` or `wheel`")
