"""From settings to the things a command works with: the only place that opens a recognizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.audio import Decoder, open_decoder
from pipeline.batch.options import Coverage, Options
from pipeline.config import Settings
from pipeline.errors import StorageError, UsageError
from pipeline.model import Recognizer
from pipeline.recognizers.audiotag import AudioTag

if TYPE_CHECKING:
    from pipeline.engine.catalogue import Catalogue

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
        credits_per_day=settings.budget.per_day,
        credits_per_month=settings.budget.per_month,
        reuse=settings.reuse,
        max_files=settings.max_files,
        jobs=settings.jobs,
        patience_s=settings.audiotag.patience,
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


def catalogue(state: Path) -> Catalogue:
    """The reference tracks of this state folder, made empty if there are none. Raises StorageError."""
    from pipeline.engine.catalogue import Catalogue  # noqa: PLC0415 -- half a second, only for who needs it

    return Catalogue.open(state / CATALOGUE_FOLDER, create=True)


def known_catalogue(state: Path) -> Catalogue | None:
    """The reference tracks of this state folder; None when there are none."""
    if not (state / CATALOGUE_FOLDER).exists():
        return None
    from pipeline.engine import manifest  # noqa: PLC0415 -- as above
    from pipeline.engine.catalogue import Catalogue  # noqa: PLC0415 -- as above

    if not (state / CATALOGUE_FOLDER / manifest.NAME).exists():
        return None
    known = Catalogue.open(state / CATALOGUE_FOLDER)
    return known if len(known) else None


def decoder(settings: Settings) -> Decoder:
    """Whoever decodes files here."""
    return open_decoder(
        backend=settings.audio.backend, ffmpeg=settings.audio.ffmpeg, workers=settings.audio.workers
    )


@contextmanager
def decoder_meanwhile(settings: Settings) -> Iterator[Callable[[], Decoder]]:
    """Whoever decodes files here, made ready while the caller loads what else a run needs; call it to have it.

    Its programs are tried out for half a second, in which this process would only wait. Raises what `decoder` does
    when called, and not before: whoever has no key is told of the key.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="decoder") as aside:
        opened = aside.submit(decoder, settings)
        try:
            yield opened.result
        finally:
            if opened.exception() is None:
                opened.result().close()


@contextmanager
def recognizers(settings: Settings, state: Path, *, only_plan: bool = False) -> Iterator[list[Recognizer]]:
    """Who is asked, in the order of asking. Raises UsageError when nobody could name anything.

    With `only_plan` nothing will be sent: a service needs no key, and its price can be known before it has one.
    """
    names = settings.recognizer or _usual(settings, only_plan=only_plan)
    chain: list[Recognizer] = []
    with ExitStack() as opened:
        for name in names:
            if name == "catalogue":
                chain += _embedded(state)
            else:
                chain.append(opened.enter_context(service(settings, name, only_plan=only_plan)))
        if not chain:
            raise UsageError(NOBODY, hint=BOTH_WAYS)
        yield chain


def services(chain: list[Recognizer]) -> list[AudioTag]:
    """Those of the chain that cost money."""
    return [recognizer for recognizer in chain if isinstance(recognizer, AudioTag)]


def service(settings: Settings, name: str, *, only_plan: bool = False) -> AudioTag:
    """The AudioTag-compatible service of this name. Raises UsageError when no key is set for it."""
    url = address(settings, name)
    key = settings.key_for(url)
    if key is None and not only_plan:
        raise UsageError(
            f"no key is set for {url}",
            hint='export AUDIOTAG_API_KEY=…, or put api_key_file = "…" under [audiotag] in the config file',
        )
    return AudioTag(
        url,
        key.get_secret_value() if key else "none",
        jobs=settings.jobs,
        rate_per_s=settings.audiotag.rate_per_s,
        insecure=settings.insecure,
    )


def address(settings: Settings, name: str) -> str:
    """Where the service of this name is."""
    return settings.audiotag.url if name == "audiotag" else name


def _embedded(state: Path) -> list[Recognizer]:
    """The engine of this process, unless it knows no music yet."""
    from pipeline.recognizers.embedded import Embedded  # noqa: PLC0415 -- as above

    known = known_catalogue(state)
    return [Embedded(known)] if known else []


def _usual(settings: Settings, *, only_plan: bool) -> tuple[str, ...]:
    asks_service = only_plan or settings.key_for(settings.audiotag.url) is not None
    return ("catalogue", "audiotag") if asks_service else ("catalogue",)
