"""What this machine can hear, for `earmark doctor`."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.audio.ffmpeg import Ffmpeg, find
from pipeline.audio.formats import DOCUMENTED, OTHERS, Format
from pipeline.audio.open import Backend, open_decoder
from pipeline.errors import UsageError


@dataclass(frozen=True, slots=True)
class FormatSupport:
    """Whether files of one extension can be decoded."""

    extension: str
    documented: bool
    """Named by the AudioTag document; the rest are other containers people keep music in."""
    missing: tuple[str, ...]
    """What the ffmpeg lacks for it: `demuxer x`, `decoder y`. Empty: all is there."""

    @property
    def supported(self) -> bool:
        return not self.missing


@dataclass(frozen=True, slots=True)
class Survey:
    """The decoder a run would use, and what it can decode."""

    decoder: str
    """What works, e.g. `PyAV 18.1`; empty when nothing does."""
    ffmpeg: str
    """Path of the ffmpeg in use; empty when there is none."""
    version: str
    source: str
    """`system`, `wheel` or `given`."""
    passed_over: str
    """Why the system's ffmpeg is not used; empty when it is, or when another was asked for."""
    formats: tuple[FormatSupport, ...]
    problem: str = ""
    """Why nothing can be decoded; empty when all is well."""


def survey(*, backend: Backend = "auto", ffmpeg: str = "") -> Survey:
    """Look at the programs a run with these settings would decode with. A poor machine raises nothing."""
    passed_over = ""
    try:
        if not ffmpeg:
            try:
                find("system")
            except UsageError as error:
                passed_over = error.message
        binary = find(ffmpeg)
        with open_decoder(backend=backend, ffmpeg=ffmpeg, workers=1) as decoder:
            name = decoder.name
    except UsageError as error:
        return Survey("", "", "", "", passed_over, (), problem=str(error))
    return Survey(name, binary.path, binary.version, binary.source, passed_over, _formats(binary))


def _formats(binary: Ffmpeg) -> tuple[FormatSupport, ...]:
    return tuple(
        FormatSupport(extension, documented, _missing(binary, needed))
        for documented, table in ((True, DOCUMENTED), (False, OTHERS))
        for extension, needed in table.items()
    )


def _missing(binary: Ffmpeg, needed: Format) -> tuple[str, ...]:
    known = binary.demuxers & set(needed.demuxer.split(","))
    lacking = [] if known else [f"demuxer {needed.demuxer}"]
    # `mp3float|mp3`: either will do.
    lacking += [f"decoder {name}" for name in needed.decoders if not binary.decoders & set(name.split("|"))]
    return tuple(lacking)
