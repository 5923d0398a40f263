"""Every key that can be set, with its default and what is allowed.

A key is a flag's name with `_` for `-`, so one word serves the command line, `EARMARK_*` and the config file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from pipeline.config.folders import default_state_folder

PUBLIC_AUDIOTAG_URL = "https://audiotag.info/api"
PREFIX = "EARMARK_"


def _split(value: object) -> object:
    """A list as people write it in one line: parts between commas."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _expand(value: Path) -> Path:
    try:
        return value.expanduser()
    except RuntimeError as error:  # `~` where no home is known
        raise ValueError(str(error)) from error


def clean_key(value: SecretStr) -> SecretStr:
    key = value.get_secret_value().strip()  # keys pasted or read from files carry a trailing newline
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("not a key")
    return SecretStr(key)


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
UserPath = Annotated[Path, AfterValidator(_expand)]
Paths = Annotated[tuple[UserPath, ...], NoDecode, BeforeValidator(_split)]
Key = Annotated[SecretStr, AfterValidator(clean_key)]


class AudioTagSettings(BaseModel):
    """The paid service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        default=PUBLIC_AUDIOTAG_URL, description="the https address of an AudioTag-compatible API"
    )
    api_key: Key | None = Field(default=None, description="a key as the service issued it, without spaces")
    api_key_file: UserPath | None = Field(default=None, description="a file that holds nothing but the key")
    rate_per_s: float | None = Field(default=None, gt=0, le=1000, description="requests a second, above 0")
    patience: float = Field(default=600.0, ge=0, le=86_400, description="seconds from 0 to 86400")


class BudgetSettings(BaseModel):
    """What may be spent by all runs together, in calendar days and months of UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_day: float | None = Field(default=None, ge=0, description="seconds of audio, 0 or more")
    per_month: float | None = Field(default=None, ge=0, description="seconds of audio, 0 or more")


class AudioSettings(BaseModel):
    """How files are decoded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: Literal["auto", "ffmpeg", "av"] = Field(default="auto", description="auto, ffmpeg or av")
    ffmpeg: str = Field(default="", description="system, wheel or the path of an ffmpeg program")
    workers: int | None = Field(default=None, ge=1, le=256, description="a whole number from 1 to 256")


class ServerSettings(BaseModel):
    """The self-hosted service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", min_length=1, description="an address of this machine")
    port: int = Field(default=8080, ge=0, le=65535, description="a port from 0 (any free one) to 65535")
    allow_remote: bool = Field(default=False, description="true or false")
    workers: int | None = Field(default=None, ge=1, le=256, description="a whole number from 1 to 256")
    queue: int = Field(default=500, ge=1, le=100_000, description="a whole number from 1 to 100000")
    queue_per_key: int = Field(default=200, ge=1, le=100_000, description="a whole number from 1 to 100000")
    uploads: int = Field(default=64, ge=1, le=1000, description="a whole number from 1 to 1000")
    upload_mb: int = Field(default=100, ge=1, le=1000, description="megabytes from 1 to 1000")
    analyse: float = Field(default=3600.0, ge=15, le=86_400, description="seconds from 15 to 86400")
    rate_per_key: float = Field(default=100.0, gt=0, le=100_000, description="requests a second, above 0")
    rate_per_address: float = Field(default=200.0, gt=0, le=100_000, description="requests a second, above 0")
    open_metrics: bool = Field(default=False, description="true or false")
    page: bool = Field(default=True, description="true or false")
    page_password: Annotated[SecretStr, Field(min_length=8)] | None = Field(
        default=None, description="8 characters or more"
    )


class Settings(BaseSettings):
    """Everything that can be set. A field's description says what is allowed, and error lines quote it."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
    )

    recognizer: Annotated[
        Names,
        Field(description="catalogue, audiotag or the https address of another service, between commas"),
        AfterValidator(_unique),
    ] = ()
    coverage: Annotated[str, Field(pattern="^(probe|full)$")] = Field(
        default="probe", description="probe or full"
    )
    segment: float = Field(default=15.0, ge=15, le=30, description="seconds from 15 to 30")
    probes: int = Field(default=3, ge=1, le=20, description="a whole number from 1 to 20")
    mix_after: float = Field(default=720.0, ge=60, description="seconds, 60 or more")
    mix_every: float = Field(default=60.0, ge=15, description="seconds, 15 or more")
    max_credits: float | None = Field(default=None, ge=0, description="seconds of audio, 0 or more")
    reuse: bool = Field(default=True, description="true or false")
    max_files: int | None = Field(default=None, ge=0, description="a whole number, 0 or more")
    jobs: int = Field(default=8, ge=1, le=64, description="a whole number from 1 to 64")
    include: Names = Field(default=(), description="patterns such as *.mp3 or live/**, between commas")
    exclude: Names = Field(default=(), description="patterns such as *.mp3 or live/**, between commas")
    out: Paths = Field(
        default=(), description="file names ending in .csv, .parquet, .xlsx or .jsonl, between commas"
    )
    keep_segments: UserPath | None = Field(default=None, description="a folder")
    state: UserPath | None = Field(default=None, description="a folder")
    insecure: bool = Field(default=False, description="true or false")
    audiotag: AudioTagSettings = Field(default=AudioTagSettings(), description="a table of keys")
    budget: BudgetSettings = Field(default=BudgetSettings(), description="a table of keys")
    audio: AudioSettings = Field(default=AudioSettings(), description="a table of keys")
    server: ServerSettings = Field(default=ServerSettings(), description="a table of keys")
    keys: dict[str, Key] = Field(default_factory=dict, description="a table of address = key")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` hands over: it reads the sources itself, so that it can name the culprit."""
        return (init_settings,)

    def key_for(self, url: str) -> SecretStr | None:
        """The key to show to the service at `url`: its own from `[keys]`, else the one of `[audiotag]`."""
        return self.keys.get(url, self.audiotag.api_key)

    def state_folder(self) -> Path:
        """Where ledger and catalogue live."""
        return self.state if self.state is not None else default_state_folder()


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every key that can be set, nested ones with a dot."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from known_keys(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
