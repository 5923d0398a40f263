"""The pause that a service orders with `Retry-After`."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRY_AFTER_MAX_S = 300.0
"""The longest pause a service may order: a wrong clock on either side must not halt a run for hours."""


def retry_after_s(header: str | None, *, date: str | None = None) -> float | None:
    """The pause a `Retry-After` header orders, `RETRY_AFTER_MAX_S` at most; None when it cannot be read.

    A date in it is measured against the service's own `Date` header where there is one: its clock may be
    wrong.
    """
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        until = _http_date(header)
        if until is None:
            return None
        seconds = (until - (_http_date(date) or datetime.now(UTC))).total_seconds()
    # A NaN fails every comparison, so it must not reach min and max.
    return max(0.0, min(seconds, RETRY_AFTER_MAX_S)) if seconds == seconds else None


def _http_date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
