"""Every error of Table 2 asks the caller for the right thing."""

from __future__ import annotations

import pytest

from pipeline.errors import (
    BadReply,
    CreditsExhausted,
    EarmarkError,
    KeyRefused,
    SegmentRefused,
    ServiceBusy,
    TokenLost,
    UsageError,
)
from pipeline.wire.audiotag_errors import ErrorText, failure

MEANING: dict[str, type[EarmarkError]] = {
    "invalid command or parameter": UsageError,
    "api key expired": KeyRefused,
    "api key inactive": KeyRefused,
    "api key unrecognized": KeyRefused,
    "api key invalid or empty": KeyRefused,
    "service temporarily not available": ServiceBusy,
    "internal error: no server response": ServiceBusy,
    "internal error: server init error": ServiceBusy,
    "internal error": ServiceBusy,
    "api key stats not found": BadReply,
    "credit balance exhausted": CreditsExhausted,
    "audio file: no audio found, format invalid or unsupported": SegmentRefused,
    "audio duration is too short": SegmentRefused,
    "credit balance insufficient or exhausted": CreditsExhausted,
    "internal error: could not communicate to the recognition server": ServiceBusy,
    "internal error: could not process the file": SegmentRefused,
    "invalid token or no recognition results found for the token": TokenLost,
    "internal error: server recognition error": ServiceBusy,
    "internal error: server is not ready": ServiceBusy,
}


def test_the_table_is_complete() -> None:
    assert {error.value for error in ErrorText} == set(MEANING)


@pytest.mark.parametrize("text", MEANING)
def test_a_documented_error_has_its_meaning_whatever_its_case_and_surroundings(text: str) -> None:
    for said in (text, text.upper(), f"Error 17: {text} (try later)", text.replace(" ", "\n ")):
        error = failure(said, asked="identify", raw="{}")
        assert type(error) is MEANING[text]
        assert text in str(error).lower()
        assert "identify" in str(error)
        assert error.hint


def test_an_unknown_error_is_a_bad_reply_that_keeps_the_text() -> None:
    error = failure("the moon is full", asked="identify", raw='{"error":"the moon is full"}')

    assert isinstance(error, BadReply)
    assert "the moon is full" in str(error)
    assert error.raw == '{"error":"the moon is full"}'


def test_a_wrong_address_is_said_to_be_one() -> None:
    assert "AUDIOTAG_URL" in failure(ErrorText.INVALID_COMMAND, asked="info", raw="").hint


def test_hostile_error_texts_become_one_short_line() -> None:
    error = failure("\x1b[31m" + "\n".join(["boo"] * 500), asked="info", raw="")

    assert "\n" not in error.message
    assert "\x1b" not in error.message
    assert len(error.message) < 250
