"""The AudioTag client over real HTTP: what it sends, and what each answer means."""

from __future__ import annotations

import hashlib
import io
import wave

import pytest

from pipeline.audio import wav_bytes
from pipeline.errors import (
    BadReply,
    CreditsExhausted,
    KeyRefused,
    SegmentRefused,
    ServiceBusy,
    ServiceUnreachable,
    TokenLost,
    UsageError,
)
from pipeline.model import Status, Track
from pipeline.recognizers.audiotag import PUBLIC_URL, AudioTag
from pipeline.recognizers.audiotag_http import service_url
from pipeline.retry import poll
from pipeline.wire.audiotag import Info
from tests.recognizers.conftest import noise
from tests.services import faults
from tests.services.audiotag import KEY, AudioTagService
from tests.services.clock import FakeClock
from tests.wire.test_errors import MEANING
from tests.wire.test_golden import FOUND, IDENTIFY, LOST_TOKEN, NOT_FOUND, STAT, WAIT


def test_a_probe_is_uploaded_charged_and_named(service: AudioTagService, client: AudioTag) -> None:
    probe = noise(1)

    first = client.identify(probe)
    answer = poll(client.result, first.token, clock=FakeClock())

    assert (first.status, first.charged_s) == (Status.PENDING, 15)
    assert answer.status is Status.FOUND
    assert answer.matches[0].track == Track("Hello Mr. Monkey", "Arabesque", "Grand Collection", 2001, "4711")
    assert [(charge.token, charge.sha256, charge.seconds) for charge in service.charges] == [
        (first.token, probe.sha256, 15)
    ]


def test_the_upload_is_a_native_wav_named_after_its_audio(service: AudioTagService, client: AudioTag) -> None:
    probe = noise(1)
    client.identify(probe)
    [seen] = service.seen

    with wave.open(io.BytesIO(wav_bytes(probe.pcm))) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, 8000)
        assert hashlib.sha256(reader.readframes(reader.getnframes())).hexdigest() == probe.sha256
    assert len(wav_bytes(probe.pcm)) == 44 + 2 * len(probe.pcm)
    assert seen.filename == f"{probe.sha256[:16]}.wav"
    assert seen.headers["content-type"].startswith("multipart/form-data")
    assert dict(seen.fields) == {"apikey": KEY, "action": "identify"}


def test_a_part_of_a_probe_can_be_asked_about(service: AudioTagService, client: AudioTag) -> None:
    answer = client.identify(noise(1, 30), start_s=10, length_s=12)

    assert dict(service.seen[0].fields) == {
        "apikey": KEY,
        "action": "identify",
        "start_time": "10",
        "time_len": "12",
    }
    assert (answer.charged_s, service.charged_s()) == (12, 12)


def test_the_service_and_the_account_can_be_asked_about(service: AudioTagService, client: AudioTag) -> None:
    client.identify(noise(1))

    assert client.info() == Info("2.6")
    stat = client.stat()
    assert (stat.free_s, stat.credit_balance, stat.uploaded_s) == (10_785, 0, 15)


def test_a_balance_that_runs_out_is_said_before_anything_is_charged() -> None:
    with AudioTagService(free_s=20, credits_s=15) as service, AudioTag(service.url, KEY) as client:
        client.identify(noise(1))
        client.identify(noise(2))
        with pytest.raises(CreditsExhausted, match="credit balance exhausted") as exhausted:
            client.identify(noise(3))

    assert "top up the account" in str(exhausted.value)
    assert service.charged_s() == 30


@pytest.mark.parametrize("length_s", [0, 4.9])
def test_audio_that_is_too_short_is_never_sent(
    length_s: float, service: AudioTagService, client: AudioTag
) -> None:
    with pytest.raises(SegmentRefused, match=r"5 s at least"):
        client.identify(noise(1, length_s))
    with pytest.raises(SegmentRefused, match=r"4\.0 s"):
        client.identify(noise(1, 30), start_s=26)
    assert service.seen == []


@pytest.mark.parametrize("text", MEANING)
def test_every_documented_error_has_its_class(text: str, service: AudioTagService, client: AudioTag) -> None:
    calls = {
        "info": client.info,
        "stat": client.stat,
        "identify": lambda: client.identify(noise(1)),
        "get_result": lambda: client.result("t"),
    }
    for action, call in calls.items():
        service.plan(action, faults.refused(text))
        with pytest.raises(MEANING[text], match=text):
            call()
    assert service.charges == []
    assert len(service.seen) == len(calls)


@pytest.mark.parametrize(
    ("state", "text"), [("expired", "api key expired"), ("inactive", "api key inactive")]
)
def test_a_key_that_is_not_active_is_refused(state: str, text: str) -> None:
    with AudioTagService(keys={"otherkey": state}) as service:
        with AudioTag(service.url, "otherkey") as client, pytest.raises(KeyRefused, match=text):
            client.identify(noise(1))
        with (
            AudioTag(service.url, "unknownkey") as client,
            pytest.raises(KeyRefused, match="api key unrecognized"),
        ):
            client.info()


def test_the_documents_replies_are_understood_over_http(service: AudioTagService, client: AudioTag) -> None:
    service.plan("stat", faults.says(STAT))
    service.plan("identify", faults.says(IDENTIFY))
    service.plan("get_result", *map(faults.says, (WAIT, FOUND, NOT_FOUND, LOST_TOKEN)))

    assert client.stat().expires == "2022-05-15 19:06:12"
    first = client.identify(noise(1))
    assert (first.token, first.charged_s) == ("c5c7f4aa2affc79d39439f2fbe5bebe6", 12)
    assert client.result(first.token).status is Status.PENDING
    assert [match.raw_score for match in client.result(first.token).matches] == [321, 285]
    assert client.result(first.token).status is Status.NOT_FOUND
    with pytest.raises(TokenLost):
        client.result(first.token)


def test_an_answer_given_at_once_needs_no_polling(service: AudioTagService, client: AudioTag) -> None:
    body = '{"success":true,"job_status":"found","time_len":15,"data":[{"tracks":[["A"]],"confidence":60}]}'
    service.plan("identify", faults.says(body))

    answer = client.identify(noise(1))

    assert (answer.status, answer.matches[0].track.title, answer.charged_s) == (Status.FOUND, "A", 15)


def test_a_service_that_does_not_say_what_it_charges_is_taken_to_charge_all_it_got(
    service: AudioTagService, client: AudioTag
) -> None:
    service.plan("identify", faults.says('{"success":true,"token":"t"}'))

    assert client.identify(noise(1, 20)).charged_s == 20


def test_an_unknown_token_is_lost_and_so_is_one_of_five_minutes_ago() -> None:
    clock = FakeClock()
    with AudioTagService(now=clock.now) as service, AudioTag(service.url, KEY) as client:
        token = client.identify(noise(1)).token
        clock.wait(299)
        assert client.result(token).status is Status.NOT_FOUND
        clock.wait(2)
        for lost in (token, "nonsense"):
            with pytest.raises(TokenLost, match="invalid token"):
                client.result(lost)


def test_an_unknown_result_is_kept_and_never_taken_for_not_found(
    service: AudioTagService, client: AudioTag
) -> None:
    service.plan("get_result", faults.says('{"success":true,"error":null,"result":"not sure"}'))

    with pytest.raises(BadReply, match="not sure") as bad:
        client.result("t")
    assert bad.value.raw == '{"success":true,"error":null,"result":"not sure"}'


def test_a_service_that_asks_for_patience_is_quoted(service: AudioTagService, client: AudioTag) -> None:
    service.plan("identify", faults.throttled("7"))
    service.plan("get_result", faults.throttled("9999999"))
    busy = '{"success":false,"error":"service temporarily not available"}'
    service.plan("info", faults.http(503, busy, headers={"Retry-After": "11"}))

    for call, seconds in (
        (lambda: client.identify(noise(1)), 7),
        (lambda: client.result("t"), 300),
        (client.info, 11),
    ):
        with pytest.raises(ServiceBusy) as patience:
            call()
        assert patience.value.retry_after_s == seconds
    assert service.charges == []


def test_a_stop_while_waiting_for_a_turn_sends_nothing(service: AudioTagService) -> None:
    with AudioTag(service.url, KEY, rate_per_s=1, clock=FakeClock(stop_after_s=0.5)) as client:
        client.info()
        with pytest.raises(ServiceUnreachable, match="identify was not sent"):
            client.identify(noise(1))
    assert [seen.action for seen in service.seen] == ["info"]


def test_requests_keep_to_the_rate(service: AudioTagService) -> None:
    clock = FakeClock()
    with AudioTag(service.url, KEY, rate_per_s=2, clock=clock) as client:
        token = client.identify(noise(1)).token
        client.result(token)
        client.stat()

    assert clock.waits == [0.5, 0.5]


def test_questions_share_a_connection_and_every_upload_has_its_own(
    service: AudioTagService, client: AudioTag
) -> None:
    for _ in range(3):
        client.info()
        client.identify(noise(1))

    ports = {
        action: {seen.client_port for seen in service.seen if seen.action == action}
        for action in ("info", "identify")
    }
    assert (len(ports["info"]), len(ports["identify"])) == (1, 3)
    assert not ports["info"] & ports["identify"]


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://audiotag.info/api", PUBLIC_URL),
        (" https://AudioTag.info/api/ ", PUBLIC_URL),
        ("https://audiotag.info:443", PUBLIC_URL),
        ("http://localhost:8765", "http://localhost:8765/api"),
        ("http://127.9.9.9:80/music/api", "http://127.9.9.9/music/api"),
        ("http://[::1]:8765/", "http://[::1]:8765/api"),
    ],
)
def test_an_address_has_one_spelling(given: str, url: str) -> None:
    assert service_url(given) == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "must begin with https://"),
        ("audiotag.info/api", "must begin with https://"),
        ("ftp://audiotag.info", "must begin with https://"),
        ("https://", "must begin with https://"),
        ("https://host:99999/api", "cannot be read"),
        ("https://[::1/api", "cannot be read"),
        ("http://audiotag.info/api", "use https, or say --insecure"),
        ("http://192.168.1.9/api", "use https, or say --insecure"),
        ("http://localhost.example.org/api", "use https, or say --insecure"),
        (f"https://me:{KEY}@host/api", "no user, password"),
        (f"https://host/api?apikey={KEY}", "no user, password, query"),
        (f"https://host/api#{KEY}", "no user, password, query or fragment"),
    ],
)
def test_an_unfit_address_is_refused_with_what_to_do(url: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        AudioTag(url, KEY)
    assert said in str(refused.value)
    assert KEY not in str(refused.value)


def test_plain_http_can_be_insisted_on() -> None:
    assert service_url("http://192.168.1.9/api", insecure=True) == "http://192.168.1.9/api"


def test_the_public_service_is_called_by_its_name_and_others_by_their_address() -> None:
    assert AudioTag(PUBLIC_URL, KEY).name == "audiotag"
    assert AudioTag("https://music.example.org", KEY).name == "https://music.example.org/api"


@pytest.mark.parametrize(
    ("key", "said"),
    [("", "set AUDIOTAG_API_KEY"), (" \n", "set AUDIOTAG_API_KEY"), ("abc\ndef", "copy"), ("ключ", "copy")],
)
def test_a_key_that_cannot_be_one_is_refused(key: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        AudioTag(PUBLIC_URL, key)
    assert key.strip() == "" or key not in str(refused.value)


def test_the_line_break_of_a_key_file_is_trimmed(service: AudioTagService) -> None:
    with AudioTag(service.url, f" {KEY}\r\n") as client:
        client.info()

    assert service.seen[0].fields["apikey"] == KEY
