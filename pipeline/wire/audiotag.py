"""The replies of the AudioTag API, revision 2.5 and 2.6, and how to read them.

Reading forgives what real servers are seen to do: `tests/wire/test_quirks.py` is the list.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.errors import BadReply, EarmarkError, UploadInDoubt
from pipeline.model import Status
from pipeline.wire.audiotag_errors import failure
from pipeline.wire.foreign_json import printable, read_object, shorten

RESULTS = {"wait": Status.PENDING, "found": Status.FOUND, "not found": Status.NOT_FOUND}
"""What `result` may say."""

_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*[-–]\s*(\d+(?:\.\d+)?)\s*(?:s|sec)?\s*", re.IGNORECASE)
_MAX_TOKEN_CHARS = 256
_MAX_CELL_CHARS = 500
"""Longer names are nonsense, and cleaning them would cost more than their length."""


@dataclass(frozen=True, slots=True)
class Info:
    """The reply to `info`."""

    api_version: str
    status: str = "normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStat:
    """The reply to `stat`: what a key has used and what its account has left."""

    credit_balance: float
    free_s: float
    """Seconds that may still be analysed for nothing."""
    expires: str
    """As the service words it, e.g. `2022-05-15 19:06:12`; no zone is given."""
    queries: int
    uploaded_s: float
    uploaded_bytes: int
    credits_spent: float


NO_TITLE: Final = "[no title information]"
"""What the service lists where it knows none."""


@dataclass(frozen=True, slots=True)
class Row:
    """One track of a candidate, as the service lists it: nothing cleaned, unknown is "" or 0."""

    title: str
    artist: str = ""
    album: str = ""
    year: int = 0
    aid: int | None = None
    """The id of the recording under this name, from a service that keeps its names apart (`aids`, as ours does)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One recording the service offers, under one or several names."""

    rows: tuple[Row, ...]
    score: float | None
    """The service's `confidence`: no percentage and no ceiling; it grows by 3 to 4 a matched second."""
    span_s: tuple[float, float] | None = None
    """Where in the analysed audio it is heard."""
    aid: int | None = None
    """The service's id of the recording, from revision 2.6 on."""
    raw: Any = field(default=None, compare=False)
    """The JSON it was read from."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The reply to an `identify` that was taken, and so charged."""

    token: str
    start_s: float | None = None
    length_s: float | None = None
    """What will be analysed, and so charged; None when the service does not say."""
    candidates: tuple[Candidate, ...] = ()
    """The answer itself, when the service gave it at once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The reply to `get_result`; candidates only with FOUND."""

    status: Status
    candidates: tuple[Candidate, ...] = ()


def read_info(text: str) -> Info:
    """Read the reply to `info`."""
    reply = _granted(text, asked="info")
    version = reply.get("api_ver")
    if not isinstance(version, str | int | float):
        raise BadReply(f"AudioTag info named no api_ver: {shorten(text)!r}", raw=text)
    return Info(api_version=printable(str(version)), status=printable(str(reply.get("status", ""))))


def read_stat(text: str) -> AccountStat:
    """Read the reply to `stat`."""
    reply = _granted(text, asked="stat")

    def counter(name: str) -> float:
        value = _number(reply.get(name))
        if value is None:
            raise BadReply(f"AudioTag stat gave no number as {name}: {shorten(text)!r}", raw=text)
        return value

    return AccountStat(
        credit_balance=counter("current_credit_balance"),
        free_s=counter("identification_free_sec_remainder"),
        expires=printable(str(reply.get("expiration_date") or "")),
        queries=int(counter("queries_count")),
        uploaded_s=counter("uploaded_duration_sec"),
        uploaded_bytes=int(counter("uploaded_size_bytes")),
        credits_spent=counter("credits_spent"),
    )


def read_identify(text: str) -> Accepted:
    """Read the reply to `identify`.

    BadReply is a refusal in words the document has not; UploadInDoubt means that the reply neither refuses
    nor holds a token or an answer, so that the upload may have been taken.
    """
    try:
        reply = read_object(text)
    except BadReply as bad:
        raise UploadInDoubt(bad.message, raw=text) from None
    token = _token(reply.get("token"))
    # A token is worth more than an error text beside it: it was paid for, and asking for it is free.
    granted = _true(reply.get("success"))
    if reply.get("error") and not (token and granted):
        raise _refusal(reply, asked="identify", text=text)
    inline = str(reply.get("job_status", "")).strip().lower() == "found"
    accepted = Accepted(
        token=token,
        start_s=_number(reply.get("start_time")),
        length_s=_number(reply.get("time_len")),
        candidates=read_candidates(reply.get("data")) if inline else (),
    )
    if not granted or not (token or accepted.candidates):
        raise UploadInDoubt(f"AudioTag identify gave no token: {shorten(text)!r}", raw=text)
    return accepted


def read_result(text: str) -> Outcome:
    """Read the reply to `get_result`. An undocumented `result` is never taken for "not found"."""
    reply = _granted(text, asked="get_result")
    said = reply.get("result")
    if not isinstance(said, str):
        raise BadReply(f"AudioTag get_result gave no result: {shorten(text)!r}", raw=text)
    status = RESULTS.get(" ".join(said.lower().split()))
    if status is None:
        # The service puts the error of an unknown token here, beside success:true.
        raise failure(said, asked="get_result", raw=text)
    if status is Status.PENDING:
        return Outcome(status)
    candidates = read_candidates(reply.get("data"))
    if (status is Status.FOUND) != bool(candidates):
        found = f"{shorten(said)!r} with {len(candidates)} usable candidates"
        raise BadReply(f"AudioTag get_result contradicts itself: {found}", raw=text)
    return Outcome(status, candidates)


def read_candidates(data: object) -> tuple[Candidate, ...]:
    """The usable candidates of a `data` list; one without a single title is left out."""
    items = data if isinstance(data, list) else []
    found = (_candidate(item) for item in items if isinstance(item, dict))
    return tuple(candidate for candidate in found if candidate.rows)


def token_in(text: str) -> str:
    """The token in a reply to `identify` that was cut after it; "" when there is none to trust."""
    whole = re.search(r'"token"\s*:\s*"([^"\\\s]{1,256})"', text)
    granted = re.search(r'"success"\s*:\s*(?:true|1|"true")', text, re.IGNORECASE)
    return whole[1] if whole and granted else ""


def _granted(text: str, *, asked: str) -> dict[str, Any]:
    reply = read_object(text)
    if reply.get("error"):
        raise _refusal(reply, asked=asked, text=text)
    if not _true(reply.get("success")):
        raise BadReply(f"AudioTag {asked} neither succeeded nor named an error: {shorten(text)!r}", raw=text)
    return reply


def _refusal(reply: Mapping[str, Any], *, asked: str, text: str) -> EarmarkError:
    error = reply["error"]
    return failure(error if isinstance(error, str) else json.dumps(error), asked=asked, raw=text)


def _true(value: object) -> bool:
    return value is True or value == 1 or (isinstance(value, str) and value.strip().lower() in {"true", "1"})


def _number(value: object) -> float | None:
    """A finite number, also from text such as "12" or "12.0"."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    # Beyond 2**53 a float is no exact count, and no database column holds such an integer.
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _token(value: object) -> str:
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if text.isprintable() and len(text) <= _MAX_TOKEN_CHARS else ""


def _candidate(item: dict[str, Any]) -> Candidate:
    tracks, aids = item.get("tracks"), item.get("aids")
    cells = tracks if isinstance(tracks, list) else []
    own = aids if isinstance(aids, list) and len(aids) == len(cells) else [None] * len(cells)
    rows = tuple(row for row in map(_row, cells, own) if row.title)
    score = item.get("confidence")
    aid = _number(item.get("aid"))
    return Candidate(
        rows=rows,
        score=_number(score.strip(" %") if isinstance(score, str) else score),
        span_s=_span(item.get("time")),
        aid=None if aid is None else int(aid),
        raw=item,
    )


def _row(fields: object, aid: object) -> Row:
    if isinstance(fields, dict):
        # The document's table calls a row an object, with its fields "in the following order".
        fields = list(fields.values())
    cells: Sequence[object] = fields if isinstance(fields, list) else []
    title, artist, album = (_text(cells[i]) if i < len(cells) else "" for i in range(3))
    year = _number(cells[3]) if len(cells) > 3 else None
    own = _number(aid)
    return Row(title, artist, album, int(year or 0), None if own is None else int(own))


def _text(cell: object) -> str:
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return ""
    return printable(str(cell))[:_MAX_CELL_CHARS]


def _span(value: object) -> tuple[float, float] | None:
    span = _SPAN.fullmatch(value[:64]) if isinstance(value, str) else None
    if span is None:
        return None
    start_s, end_s = float(span[1]), float(span[2])
    return (start_s, end_s) if math.isfinite(end_s) and start_s <= end_s else None
