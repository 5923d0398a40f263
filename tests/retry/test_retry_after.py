"""What `Retry-After` orders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.retry import retry_after_s
from pipeline.retry.retry_after import RETRY_AFTER_MAX_S


@pytest.mark.parametrize(
    ("header", "date", "seconds"),
    [
        ("7", None, 7),
        ("0.5", None, 0.5),
        ("-3", None, 0),
        ("86400", None, RETRY_AFTER_MAX_S),
        ("1e999", None, RETRY_AFTER_MAX_S),
        ("Sat, 21 Nov 2026 10:00:20 GMT", "Sat, 21 Nov 2026 10:00:00 GMT", 20),
        ("Sat, 21 Nov 2026 10:00:20 GMT", "Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 31 Dec 2199 23:59:59 GMT", None, RETRY_AFTER_MAX_S),
        ("Sat, 01 Jan 2000 00:00:00 GMT", "nonsense", 0),
        ("Sat, 21 Nov 2026 10:00:20", "Sat, 21 Nov 2026 10:00:00 GMT", 20),
        (None, None, None),
        ("", None, None),
        ("nan", None, None),
        ("soon", None, None),
    ],
)  # fmt: skip
def test_retry_after_is_read(header: str | None, date: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, date=date) == seconds


@given(st.text(), st.none() | st.text())
def test_no_retry_after_halts_a_run_for_hours(header: str, date: str | None) -> None:
    seconds = retry_after_s(header, date=date)

    assert seconds is None or 0 <= seconds <= RETRY_AFTER_MAX_S
