"""The replies of the AudioTag API as a server writes them.

The types are exactly those that strict clients need: integers where the document says number, `error` null on
success, `data` absent unless found.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pipeline.model import Status
from pipeline.wire.audiotag import RESULTS, Accepted, AccountStat, Candidate, Info, Outcome
from pipeline.wire.audiotag_errors import ErrorText

_RESULT_WORDS = {status: word for word, status in RESULTS.items()}


def info_reply(info: Info) -> dict[str, Any]:
    """The JSON object that answers `info`."""
    return {"success": True, "status": info.status, "api_ver": info.api_version, "action": "info"}


def stat_reply(stat: AccountStat) -> dict[str, Any]:
    """The JSON object that answers `stat`: whole numbers, since strict clients refuse 12.5."""
    return {
        "current_credit_balance": math.floor(stat.credit_balance),
        "identification_free_sec_remainder": math.floor(stat.free_s),
        "expiration_date": stat.expires,
        "queries_count": stat.queries,
        "uploaded_duration_sec": round(stat.uploaded_s),
        "uploaded_size_bytes": stat.uploaded_bytes,
        "credits_spent": math.ceil(stat.credits_spent),
        "success": True,
    }


def identify_reply(accepted: Accepted) -> dict[str, Any]:
    """The JSON object that answers an `identify` that was taken; the answer itself waits behind the token."""
    return {
        "success": True,
        "error": None,
        "token": accepted.token,
        "start_time": round(accepted.start_s or 0),
        "time_len": round(accepted.length_s or 0),
        "job_status": "wait",
    }


def result_reply(outcome: Outcome) -> dict[str, Any]:
    """The JSON object that answers `get_result`; `data` is there only when something was found."""
    reply: dict[str, Any] = {"success": True, "error": None, "result": _RESULT_WORDS[outcome.status]}
    if outcome.status is Status.FOUND:
        reply["data"] = [_candidate_json(candidate) for candidate in outcome.candidates]
    return reply


def lost_token_reply() -> dict[str, Any]:
    """The JSON object that answers an unknown token: a success, as the service has it, which ends polling."""
    return {"success": True, "error": None, "result": ErrorText.INVALID_TOKEN.value}


def error_reply(error: ErrorText) -> dict[str, Any]:
    """The JSON object of a refusal."""
    return {"success": False, "error": error.value}


def to_json(reply: Mapping[str, Any]) -> str:
    """A reply as it goes over the wire: compact, as the service prints it."""
    return json.dumps(reply, separators=(",", ":"), allow_nan=False)


def _candidate_json(candidate: Candidate) -> dict[str, Any]:
    item: dict[str, Any] = {
        "tracks": [[row.title, row.artist, row.album, row.year] for row in candidate.rows],
        "confidence": round(candidate.score or 0),
        "time": "{:.0f} - {:.0f}".format(*(candidate.span_s or (0, 0))),
    }
    if candidate.aid is not None:
        item["aid"] = candidate.aid
    if all(row.aid is not None for row in candidate.rows):
        item["aids"] = [row.aid for row in candidate.rows]
    return item
