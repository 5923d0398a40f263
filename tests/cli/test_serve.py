"""`earmark serve` and `earmark key`, as a user types them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipeline.cli import serve
from pipeline.errors import UsageError
from tests.conftest import Earmark


def test_a_key_is_added_listed_and_revoked(earmark: Earmark, tmp_path: Path) -> None:
    state = ("--state", tmp_path / "s")
    added = earmark(
        "key", "add", "--credits", "100", "--expires", "2030-06-30", "--label", "radio", "--json", *state
    )
    plain = earmark("key", "add", *state)
    revoked = earmark("key", "revoke", "2", *state)
    listed = [json.loads(line) for line in earmark("key", "list", "--json", *state).stdout.splitlines()]
    table = earmark("key", "list", *state).stdout

    made = json.loads(added.stdout)
    assert re.fullmatch("[a-z0-9]{32}", made["key"])
    assert (made["credits"], made["free_s"], made["expires"]) == (100, 0, "2030-06-30 23:59:59")
    assert re.fullmatch("[a-z0-9]{32}\n", plain.stdout)
    assert revoked.returncode == 0
    assert [(row["label"], row["state"], row["credits"]) for row in listed] == [
        ("radio", "active", 100),
        ("", "revoked", 1_000_000_000),
    ]
    assert made["key"] not in table
    assert f"{made['key'][:4]}…" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("key", "add", "--expires", "soon"),
            "error: --expires: soon is not a day\nhint: write it as 2027-12-31\n",
        ),
        (("key", "revoke", "7"), "error: there is no key 7\nhint: earmark key list shows them\n"),
        (
            ("serve", "--host", "0.0.0.0"),
            "error: 0.0.0.0 is an address that other machines reach\nhint: --allow-remote says that you mean it\n",
        ),
        (
            ("serve", "--port", "70000"),
            "error: --port: '70000' is not allowed\nhint: give a port from 0 (any free one)",
        ),
        (
            ("serve", "--host", "192.0.2.1", "--allow-remote"),
            "error: cannot listen at 192.0.2.1, port 8080: ",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    earmark: Earmark, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    said = earmark(*arguments, "--state", tmp_path)

    assert said.returncode == 2
    assert said.stderr.startswith(message)
    assert said.stdout == ""


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_there", lambda name: name != "uvicorn")
    with pytest.raises(UsageError) as error:
        serve.require_server()

    assert (
        str(error.value)
        == "earmark serve needs uvicorn, which is not installed; pip install 'earmark[server]'"
    )
