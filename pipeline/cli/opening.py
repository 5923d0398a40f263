"""From settings to the things a command works with: the only place that opens a recognizer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline.audio import Decoder, open_decoder
from pipeline.batch.options import Coverage, Options
from pipeline.config import Settings
from pipeline.engine.catalogue import Catalogue
from pipeline.errors import StorageError, UsageError
from pipeline.model import Recognizer
from pipeline.recognizers.audiotag import AudioTag
from pipeline.recognizers.embedded import Embedded

CATALOGUE_FOLDER = "catalogue"

NOBODY = "there is nobody to ask: the catalogue holds no music yet, and no AudioTag key is set"
BOTH_WAYS = """\
free: earmark catalogue add DIR teaches it the music you know, then this command finds it elsewhere
paid: export AUDIOTAG_API_KEY=… (https://user.audiotag.info, API keys) asks the AudioTag service"""


def options(settings: Settings) -> Options:
    """The choices of a run."""
    return Options(
        coverage=Coverage(settings.coverage),
        segment_s=settings.segment,
        probes=settings.probes,
        mix_after_s=settings.mix_after,
        mix_every_s=settings.mix_every,
        max_credits=settings.max_credits,
        max_files=settings.max_files,
        jobs=settings.jobs,
        workers=settings.audio.workers,
        keep_segments=settings.keep_segments,
        include=settings.include,
        exclude=settings.exclude,
    )


def state_folder(settings: Settings) -> Path:
    """The state folder, made if need be. Raises StorageError when it cannot be."""
    folder = settings.state_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the state folder {folder} cannot be made: {error.strerror}",
            hint="name another with --state DIR",
        ) from error
    return folder


def catalogue(state: Path, *, create: bool = False) -> Catalogue:
    """The reference tracks of this state folder. Raises StorageError when there are none and `create` is off."""
    return Catalogue.open(state / CATALOGUE_FOLDER, create=create)


def decoder(settings: Settings) -> Decoder:
    """Whoever decodes files here."""
    return open_decoder(
        backend=settings.audio.backend, ffmpeg=settings.audio.ffmpeg, workers=settings.audio.workers
    )


@contextmanager
def recognizers(settings: Settings, state: Path) -> Iterator[list[Recognizer]]:
    """Who is asked, in the order of asking. Raises UsageError when nobody could name anything."""
    names = settings.recognizer or _usual(settings)
    chain: list[Recognizer] = []
    with ExitStack() as opened:
        for name in names:
            if name == "catalogue":
                if known := _filled_catalogue(state):
                    chain.append(Embedded(known))
            else:
                chain.append(opened.enter_context(service(settings, name)))
        if not chain:
            raise UsageError(NOBODY, hint=BOTH_WAYS)
        yield chain


def services(chain: list[Recognizer]) -> list[AudioTag]:
    """Those of the chain that cost money."""
    return [recognizer for recognizer in chain if isinstance(recognizer, AudioTag)]


def service(settings: Settings, name: str) -> AudioTag:
    """The AudioTag-compatible service of this name. Raises UsageError when no key is set for it."""
    url = settings.audiotag.url if name == "audiotag" else name
    key = settings.key_for(url)
    if key is None:
        raise UsageError(
            f"no key is set for {url}",
            hint='export AUDIOTAG_API_KEY=…, or put api_key_file = "…" under [audiotag] in the config file',
        )
    return AudioTag(
        url,
        key.get_secret_value(),
        jobs=settings.jobs,
        rate_per_s=settings.audiotag.rate_per_s,
        insecure=settings.insecure,
    )


def _usual(settings: Settings) -> tuple[str, ...]:
    return ("catalogue", "audiotag") if settings.key_for(settings.audiotag.url) else ("catalogue",)


def _filled_catalogue(state: Path) -> Catalogue | None:
    if not (state / CATALOGUE_FOLDER).exists():
        return None
    known = catalogue(state)
    return known if next(iter(known.tracks()), None) is not None else None
