"""One set of settings: from a flag, else the environment, else the config file, else the default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import SecretStr, ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from pipeline.config.mistakes import SHORT_NAMES, Nested, checked, explained, suggestion
from pipeline.config.settings import PREFIX, Settings, clean_key, known_keys
from pipeline.errors import UsageError

_CONFIG_VARIABLE = "EARMARK_CONFIG"


def load(flags: Mapping[str, Any] | None = None, *, config: Path | None = None) -> Settings:
    """The settings of this process; `flags` holds what the command line gave, None meaning not given.

    Raises UsageError for an unknown key or variable, a value out of range, a file that cannot be read.
    """
    given = {name: value for name, value in (flags or {}).items() if value not in (None, (), [])}
    _reject_unknown_variables()
    path = config_path(config)
    file = _read_file(path) if path else {}
    sources: list[tuple[str, Nested]] = [
        ("flag", given),
        ("environment", _one_key_source(_read_environment())),
        (str(path), _one_key_source(file)),
    ]
    merged: Nested = {}
    for _, values in reversed(sources):
        merged = _merge(merged, values)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise explained(error.errors()[0], sources) from None  # the cause would print the value, even a key's
    return checked(_with_key_from_file(settings), sources)


def config_path(given: Path | None) -> Path | None:
    """The config file in use, if there is one."""
    named = given or (Path(value) if (value := os.environ.get(_CONFIG_VARIABLE)) else None)
    if named is not None:
        return named
    usual = platformdirs.user_config_path("earmark") / "config.toml"
    try:
        return usual if usual.is_file() else None
    except OSError:
        return None  # a home that may not even be looked into holds no settings for us


def _read_file(path: Path) -> Nested:
    try:
        return tomllib.loads(path.expanduser().read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"the config file {path} cannot be read: {reason}",
            hint=f"name another with --config or {_CONFIG_VARIABLE}",
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"the config file {path} is not TOML: {error}", hint="configs/default.toml shows how"
        ) from error


def _read_environment() -> Nested:
    try:
        values = EnvSettingsSource(Settings)()
    except SettingsError as error:
        raise UsageError(
            f"the environment cannot be read: {error}", hint="a table is written as JSON"
        ) from error
    short: Nested = {}
    for variable, (table, key) in SHORT_NAMES.items():
        if value := os.environ.get(variable, "").strip():
            short.setdefault(table, {})[key] = value
    return _merge(short, values)  # the longer name was meant for this program alone, so it wins


def _reject_unknown_variables() -> None:
    known = {PREFIX + key.upper().replace(".", "__") for key in known_keys()}
    known |= {
        _CONFIG_VARIABLE,
        *(PREFIX + table.upper() for table in ("audiotag", "audio", "budget", "server")),
    }
    for variable in sorted(os.environ):
        if variable.upper().startswith(PREFIX) and variable.upper() not in known:
            raise UsageError(
                f"unknown environment variable {variable}", hint=suggestion(variable.upper(), sorted(known))
            )


def _one_key_source(values: Nested) -> Nested:
    """Within one source a key and a key file exclude each other; a higher source's replaces either."""
    table = values.get("audiotag")
    if not isinstance(table, dict) or not {"api_key", "api_key_file"} & table.keys():
        return values
    if {"api_key", "api_key_file"} <= table.keys():
        raise UsageError(
            "audiotag.api_key and audiotag.api_key_file are both given", hint="keep one of the two"
        )
    return {**values, "audiotag": {"api_key": None, "api_key_file": None, **table}}


def _with_key_from_file(settings: Settings) -> Settings:
    path = settings.audiotag.api_key_file
    if path is None:
        return settings
    try:
        key = clean_key(SecretStr(path.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no key"
        raise UsageError(
            f"audiotag.api_key_file {path} cannot be used: {reason}",
            hint="the file holds nothing but the key, in one line",
        ) from error
    table = settings.audiotag.model_copy(update={"api_key": key})
    return settings.model_copy(update={"audiotag": table})


def _merge(base: Nested, over: Mapping[str, Any]) -> Nested:
    merged = dict(base)
    for name, value in over.items():
        below = merged.get(name)
        merged[name] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
