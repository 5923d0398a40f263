"""Read JSON objects as other people's services print them, slips included."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from pipeline.errors import BadReply

# A string that never ends is one token to the end: hostile text then costs no more than its length.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[{}\[\]():,]|[^\s{}\[\]():,"]+', re.DOTALL)
_CLOSING = {"}", "]", ")"}
_BRACES = {"(": "{", ")": "}"}


def read_object(text: str) -> dict[str, Any]:
    """The JSON object in a reply; BadReply, with the text kept, when there is none.

    Two slips of the AudioTag document's own examples are forgiven, since a server may have been built from
    them: a comma too many before a closing bracket, and an object in parentheses with no commas at all.
    A reply that was cut is never completed.
    """
    for candidate in (text, _mend(text)):
        try:
            # Not strict: the document's example of `stat` has line breaks inside its strings.
            value = json.loads(
                candidate.lstrip("\ufeff"),
                strict=False,
                parse_constant=lambda _: None,
                parse_float=_finite,
                object_pairs_hook=_storable_keys,
            )
            if isinstance(value, dict):
                return {key: _storable(item) for key, item in value.items()}
        except (ValueError, RecursionError):
            continue
    raise BadReply(f"the reply is not a JSON object: {shorten(text)!r}", raw=text)


def shorten(text: str, limit: int = 120) -> str:
    """Foreign text for one line of a message: printable, at most `limit` characters."""
    flat = printable(text)
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def printable(text: str) -> str:
    """Foreign text without control characters, lone surrogates and runs of white space."""
    spaced = " ".join(text.split())
    return "".join(char for char in spaced if char.isprintable())


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _storable_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {_storable(key.strip()): item for key, item in pairs}


def _storable(value: Any) -> Any:
    """The value without lone surrogates: JSON can spell them, but no file, database or terminal takes
    them.
    """
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {key: _storable(item) for key, item in value.items()}
    return value


def _mend(text: str) -> str:
    tokens: list[str] = []
    for token in _TOKEN.findall(text):
        token = _BRACES.get(token, token)
        if token in _CLOSING and tokens and tokens[-1] == ",":
            tokens.pop()
        # In JSON nothing but a comma, a colon or an opening bracket comes before a string.
        if token.startswith('"') and tokens and tokens[-1] not in {",", ":", "{", "["}:
            tokens.append(",")
        tokens.append(token)
    return " ".join(tokens)
