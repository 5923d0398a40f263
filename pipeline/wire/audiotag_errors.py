"""The error texts of the AudioTag API (Table 2 of its document), and what each asks of the caller."""

from __future__ import annotations

from enum import StrEnum

from pipeline.errors import (
    BadReply,
    CreditsExhausted,
    EarmarkError,
    KeyRefused,
    SegmentRefused,
    ServiceBusy,
    ServiceError,
    TokenLost,
    UsageError,
)
from pipeline.wire.foreign_json import shorten


class ErrorText(StrEnum):
    """Every documented error, to the letter: clients look for these as substrings."""

    INVALID_COMMAND = "invalid command or parameter"
    KEY_EXPIRED = "api key expired"
    KEY_INACTIVE = "api key inactive"
    KEY_UNRECOGNIZED = "api key unrecognized"
    KEY_INVALID = "api key invalid or empty"
    NOT_AVAILABLE = "service temporarily not available"
    NO_SERVER_RESPONSE = "internal error: no server response"
    SERVER_INIT = "internal error: server init error"
    INTERNAL = "internal error"
    STATS_NOT_FOUND = "api key stats not found"
    BALANCE_EXHAUSTED = "credit balance exhausted"
    NO_AUDIO = "audio file: no audio found, format invalid or unsupported"
    TOO_SHORT = "audio duration is too short"
    BALANCE_INSUFFICIENT = "credit balance insufficient or exhausted"
    NO_COMMUNICATION = "internal error: could not communicate to the recognition server"
    NOT_PROCESSED = "internal error: could not process the file"
    INVALID_TOKEN = "invalid token or no recognition results found for the token"  # noqa: S105
    RECOGNITION_ERROR = "internal error: server recognition error"
    NOT_READY = "internal error: server is not ready"


_NEW_KEY = "make or activate a key at https://user.audiotag.info (API keys) and set AUDIOTAG_API_KEY"
_TOP_UP = "top up the account, or run again when its free seconds are renewed: what is pending is kept"
_NOT_ITS_API = "check that AUDIOTAG_URL is the address of the API itself, such as https://audiotag.info/api"
_ASK_LATER = "run again later"

# Looked for in this order, case and surroundings ignored: the general text must come after the special ones.
_MEANING: tuple[tuple[ErrorText, type[ServiceError], str], ...] = (
    (ErrorText.KEY_EXPIRED, KeyRefused, _NEW_KEY),
    (ErrorText.KEY_INACTIVE, KeyRefused, _NEW_KEY),
    (ErrorText.KEY_UNRECOGNIZED, KeyRefused, _NEW_KEY),
    (ErrorText.KEY_INVALID, KeyRefused, _NEW_KEY),
    (ErrorText.BALANCE_EXHAUSTED, CreditsExhausted, _TOP_UP),
    (ErrorText.BALANCE_INSUFFICIENT, CreditsExhausted, _TOP_UP),
    (ErrorText.NO_AUDIO, SegmentRefused, "this segment is not sent again"),
    (ErrorText.TOO_SHORT, SegmentRefused, "ask with a longer --segment: 15 s is safe, under 12 s is a risk"),
    # Our uploads are all of the one native format, so this is about this audio or a passing fault, and
    # nobody says which. The service had the whole file when it failed: sending it again might be charged
    # again, and a file that always fails must not stop the run. So the segment fails, visibly, and the next
    # one is asked.
    (ErrorText.NOT_PROCESSED, SegmentRefused, "this segment is not sent again"),
    (ErrorText.INVALID_TOKEN, TokenLost, "tokens live five minutes; the segment counts as failed"),
    (ErrorText.STATS_NOT_FOUND, BadReply, "the key may be new and unused; other requests work without"),
    (ErrorText.NOT_AVAILABLE, ServiceBusy, _ASK_LATER),
    (ErrorText.INTERNAL, ServiceBusy, _ASK_LATER),
)


def failure(text: str, *, asked: str, raw: str) -> EarmarkError:
    """The error to raise for an error text of the service; `asked` names the request, `raw` is the reply."""
    message = f"AudioTag {asked} was answered with the error {shorten(text)!r}"
    if contains(text, ErrorText.INVALID_COMMAND):
        # We send only documented requests, so the far end is not this API, or not this revision of it.
        return UsageError(message, hint=_NOT_ITS_API)
    for known, kind, hint in _MEANING:
        if contains(text, known):
            return kind(message, hint=hint, raw=raw)
    return BadReply(message, hint="this error is not in the service's document", raw=raw)


def contains(text: str, known: ErrorText) -> bool:
    """Whether a documented error is in the text, in any case and spacing."""
    return known.value in " ".join(text.lower().split())
