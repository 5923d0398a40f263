"""What the people who run it look at: health, numbers, description."""

from __future__ import annotations

import re
import time
from pathlib import Path

import requests

from tests.server.ears import KNOWN
from tests.server.running import Running, serving


def get(running: Running, path: str, **headers: str) -> requests.Response:
    return requests.get(running.url.removesuffix("/api") + path, headers=headers, timeout=10)


def number(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def metrics_once(running: Running, audio_s: float) -> str:
    """What they say when so much audio is counted: last of all, and a moment after the client has its answer."""
    ends = time.monotonic() + 30
    while number(text := get(running, "/metrics").text, "earmark_audio_seconds_total") < audio_s:
        assert time.monotonic() < ends, text
    return text


def test_health_is_loading_and_then_serving(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        first = get(running, "/healthz")
        running.result(running.upload(KNOWN)["token"])
        then = get(running, "/healthz")

    assert (first.status_code, first.text) == (503, "loading\n")
    assert (then.status_code, then.text) == (200, "serving\n")


def test_metrics_count_what_was_asked_and_what_it_took(tmp_path: Path) -> None:
    # A server of its own: on one that others used, their last jobs may be answered meanwhile.
    with serving(tmp_path) as running:
        running.result(running.upload(KNOWN)["token"])
        running.ask("info", key="0" * 32)
        before = metrics_once(running, 15)
        running.result(running.upload(KNOWN)["token"])
        running.ask("a new word")
        after = metrics_once(running, 30)

    def grown(name: str) -> float:
        return number(after, name) - number(before, name)

    assert grown('earmark_requests_total{action="identify",outcome="ok"}') == 1
    assert grown('earmark_jobs_total{outcome="answered"}') == 1
    assert grown("earmark_audio_seconds_total") == 15
    assert number(after, 'earmark_requests_total{action="info",outcome="key_unrecognized"}') >= 1
    assert number(after, 'earmark_requests_total{action="other",outcome="invalid_command"}') >= 1
    assert number(after, "earmark_ready") == 1
    assert "a new word" not in after
    assert running.key not in after


def test_metrics_are_for_this_machine(shared: Running) -> None:
    assert get(shared, "/metrics", **{"X-Forwarded-For": "192.0.2.7"}).status_code == 404


def test_the_description_names_every_field_and_every_error(shared: Running) -> None:
    described = get(shared, "/openapi.json").json()
    operation = described["paths"]["/api"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    reply = operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]

    assert described["openapi"].startswith("3.")
    assert set(form) == {"apikey", "action", "file", "start_time", "time_len", "token"}
    assert "audio duration is too short" in reply["error"]["examples"]


def test_a_client_in_a_hurry_is_delayed_and_answered(tmp_path: Path) -> None:
    with serving(tmp_path, rate_per_key=10) as running:
        token = running.upload(KNOWN)["token"]
        running.result(token)
        replies = [running.ask("get_result", data={"token": token}) for _ in range(30)]
        metrics = get(running, "/metrics").text

    assert [reply["result"] for reply in replies] == ["found"] * 30
    assert number(metrics, 'earmark_request_seconds_sum{action="get_result"}') > 0.5


def test_an_address_in_a_hurry_is_delayed_whatever_keys_it_tries(tmp_path: Path) -> None:
    with serving(tmp_path, rate_per_address=10) as running:
        replies = [running.ask("info", key=f"{number:032d}") for number in range(30)]
        metrics = get(running, "/metrics").text

    assert {reply["error"] for reply in replies} == {"api key unrecognized"}
    assert number(metrics, 'earmark_request_seconds_sum{action="info"}') > 0.5
