"""What a wrong setting is told: where it stands, what it says, what is allowed."""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from pipeline.config.settings import PREFIX, Settings, known_keys
from pipeline.errors import UsageError

SHORT_NAMES = {"AUDIOTAG_API_KEY": ("audiotag", "api_key"), "AUDIOTAG_URL": ("audiotag", "url")}
"""Names that are older than this program, and the keys they stand for."""

Nested = dict[str, Any]


def is_loopback(url: str) -> bool:
    """Whether `url` leads to this machine itself, judged by its text; no name is looked up."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked(settings: Settings, sources: list[tuple[str, Nested]]) -> Settings:
    """What no single field can tell: names of recognizers, and addresses that depend on `insecure`."""
    names = ("catalogue", "audiotag")
    for name in settings.recognizer:
        if name not in names and not name.startswith(("http://", "https://")):
            raise UsageError(
                f"{_place(('recognizer',), sources)}: {name} is no recognizer",
                hint=suggestion(name, names) or "give catalogue, audiotag or an https address",
            )
    addresses = [(("recognizer",), name) for name in settings.recognizer if name.startswith("http")]
    for loc, url in [*addresses, (("audiotag", "url"), settings.audiotag.url)]:
        if problem := _url_problem(url, insecure=settings.insecure):
            shown = urlsplit(url).hostname or "the address" if "@" in url else url
            raise UsageError(f"{_place(loc, sources)}: {shown} is not allowed: {problem[0]}", hint=problem[1])
    return settings


def _url_problem(url: str, *, insecure: bool) -> tuple[str, str] | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is not an address", "give one like https://audiotag.info/api"
    if parts.scheme not in ("http", "https") or not host:
        return "it is not an https address", "give one like https://audiotag.info/api"
    if parts.username or parts.password or parts.query or parts.fragment:
        return "it holds more than host and path", "a secret never goes into an address: set AUDIOTAG_API_KEY"
    if parts.scheme == "http" and not is_loopback(url) and not insecure:
        return (
            "the key would travel unencrypted",
            "use https, or --insecure if you know the way there is safe",
        )
    return None


def explained(error: ErrorDetails, sources: list[tuple[str, Nested]]) -> UsageError:
    loc = tuple(part for part in error["loc"] if isinstance(part, str))  # not the place in a list
    name = ".".join(loc)
    if error["type"] == "extra_forbidden":
        return UsageError(
            f"{_place(loc, sources)}: unknown key",
            hint=suggestion(name, [*known_keys(), "audiotag", "audio", "budget", "server"]),
        )
    model: type[BaseModel] = Settings
    allowed = ""
    for part in loc:
        if part not in model.model_fields:
            break
        field = model.model_fields[part]
        allowed = field.description or allowed
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    secret = loc[0] == "keys" or not {"api_key", "page_password"}.isdisjoint(loc)
    shown = "the value" if secret else repr(error["input"])
    return UsageError(f"{_place(loc, sources)}: {shown} is not allowed", hint=f"give {allowed}")


def _place(loc: tuple[str, ...], sources: list[tuple[str, Nested]]) -> str:
    """The spelling of a key where the user wrote it: a flag, a variable, a line of the config file."""
    for source, values in sources:
        if _holds(values, loc):
            if source == "flag":
                # A flag sets a key of a table by the key's own name: --port is server.port.
                return "--" + loc[1 if isinstance(values[loc[0]], dict) else 0].replace("_", "-")
            if source == "environment":
                short = next((name for name, key in SHORT_NAMES.items() if key == loc[:2]), "")
                return short if os.environ.get(short) else PREFIX + "__".join(loc[:2]).upper()
            return f"{'.'.join(loc[:2])} in {source}"
    return ".".join(loc)


def _holds(values: Nested, loc: tuple[str, ...]) -> bool:
    here: object = values
    for part in loc[:2]:
        if not isinstance(here, dict):
            return True  # the value is not the table it should be, or the loc goes on inside a list
        if part not in here or here[part] is None:
            return False
        here = here[part]
    return True


def suggestion(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else ""
