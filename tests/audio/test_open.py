"""The decoder is chosen by what works, not by what is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.audio import open_decoder
from pipeline.errors import UsageError

UNKNOWN_RELEASE = """
__version__ = "99.0.0"
class error:
    class FFmpegError(Exception): pass
    class ArgumentError(FFmpegError): pass
FFmpegError = error.FFmpegError
def open(path): raise AssertionError("never comes this far")
"""


@pytest.fixture
def pyav_of_the_future(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PyAV that loads, and takes none of the arguments of today."""
    (tmp_path / "av.py").write_text(UNKNOWN_RELEASE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("pipeline.audio.open.pyav_installed", lambda: True)


@pytest.mark.usefixtures("pyav_of_the_future")
def test_a_pyav_that_loads_but_works_otherwise_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    with open_decoder(backend="auto") as decoder:
        assert decoder.name.startswith("ffmpeg")
    assert "PyAV is installed but does not work here" in caplog.text
    assert "unexpected keyword argument" in caplog.text


@pytest.mark.usefixtures("pyav_of_the_future")
def test_a_pyav_that_was_asked_for_and_does_not_work_is_an_error() -> None:
    with pytest.raises(UsageError, match="PyAV cannot be used as the decoder"):
        open_decoder(backend="av")
