"""Jobs, keys and health on the page."""

from __future__ import annotations

import re

import pytest

from tests.server.page_visitor import (
    Visitor,
    words,
)
from tests.server.running import Running


def test_a_key_made_on_the_page_works_once_shown_and_ends_when_revoked(
    visitor: Visitor, running: Running
) -> None:
    made = visitor.post(
        "/keys/add", seen="/keys", data={"label": "radio", "credits": "3600", "expires": "2099-12-31"}
    )
    key = re.search(r'class="key">([a-z0-9]{32})<', made.text)
    assert key is not None
    stat = running.ask("stat", key=key[1])
    listed = visitor.get("/keys")
    row = listed.text.index("radio")
    revoke = re.search(r'action="(/keys/\d+/revoke)"', listed.text[row:])
    assert revoke is not None
    visitor.post(revoke[1], seen="/keys")

    assert (stat["current_credit_balance"], stat["expiration_date"]) == (3600, "2099-12-31 23:59:59")
    assert key[1] not in listed.text
    assert "radio active 2099-12-31 23:59 3,600 s 0 s" in words(listed)
    assert running.ask("stat", key=key[1])["success"] is False


@pytest.mark.parametrize(
    "data", [{"credits": "-1"}, {"credits": "1e9"}, {"credits": "9" * 11}, {"expires": "soon"}]
)
def test_a_key_that_makes_no_sense_is_not_made(
    visitor: Visitor, running: Running, data: dict[str, str]
) -> None:
    before = len(running.service.accounts.all())

    assert visitor.post("/keys/add", seen="/keys", data=data).status_code == 422
    assert len(running.service.accounts.all()) == before
