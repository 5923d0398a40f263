"""Every way a request can break has the class that says whether it may have been charged."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import (
    BadReply,
    EarmarkError,
    KeyRefused,
    ServiceBusy,
    ServiceUnreachable,
    UploadInDoubt,
    UsageError,
)
from pipeline.model import Status
from pipeline.recognizers.audiotag import AudioTag
from pipeline.recognizers.audiotag_http import MAX_REPLY_BYTES
from pipeline.retry import poll
from tests.recognizers.conftest import noise
from tests.services import faults
from tests.services.audiotag import KEY, AudioTagService
from tests.services.clock import FakeClock
from tests.services.faults import Fault


@pytest.fixture
def closed_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    return port


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port whose connections are accepted by the kernel and never read."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener.getsockname()[1]


def test_a_refused_connection_means_that_nothing_was_sent(closed_port: int) -> None:
    with AudioTag(f"http://127.0.0.1:{closed_port}", KEY) as client:
        for call in (client.info, lambda: client.identify(noise(1))):
            with pytest.raises(ServiceUnreachable, match="Connection refused") as unreachable:
                call()
            assert "nothing was sent" in unreachable.value.hint


def test_a_name_that_does_not_exist_means_that_nothing_was_sent() -> None:
    with (
        AudioTag("https://nowhere.invalid/api", KEY) as client,
        pytest.raises(ServiceUnreachable, match="nowhere"),
    ):
        client.identify(noise(1))


def test_a_failed_tls_handshake_means_that_nothing_was_sent(service: AudioTagService) -> None:
    with (
        AudioTag(service.url.replace("http://", "https://"), KEY, connect_s=2) as client,
        pytest.raises(ServiceUnreachable, match=r"could not be sent.*SSL"),
    ):
        client.identify(noise(1))
    assert service.seen == []


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_a_certificate_nobody_vouches_for_is_refused_before_the_key_is_sent(tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path, check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            plain, _ = listener.accept()
            plain.settimeout(10)
            try:
                with context.wrap_socket(plain, server_side=True) as secure:
                    received.append(secure.recv(1000))
            except OSError:
                plain.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with (
            AudioTag(f"https://127.0.0.1:{listener.getsockname()[1]}", KEY) as client,
            pytest.raises(ServiceUnreachable, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            client.identify(noise(1))
        thread.join(10)
    assert b"".join(received) == b""


@pytest.mark.parametrize(
    "fault",
    [
        faults.reset_before(),
        faults.reset_after(),
        faults.html(),
        faults.cut(0),
        faults.cut(1),
        faults.cut(40),
        faults.http(200, ""),
        faults.http(200, '{"success":true}'),
        faults.http(500, "Oops", take=True),
        faults.http(502, "<html>Bad Gateway</html>"),
        faults.http(503, "<html>Service Unavailable</html>", headers={"Retry-After": "5"}),
        faults.http(504, ""),
        faults.http(408, "Request Timeout"),
    ],
    ids=str,
)  # fmt: skip
def test_an_upload_that_broke_after_it_began_is_in_doubt_and_sent_only_once(
    fault: Fault, service: AudioTagService, client: AudioTag
) -> None:
    service.plan("identify", fault)

    with pytest.raises(UploadInDoubt) as doubt:
        client.identify(noise(1))

    assert "not sent again by itself" in str(doubt.value)
    assert doubt.value.raw == (fault.body or "") or doubt.value.raw.startswith(
        '{"success":true'[: fault.keep]
    )
    assert [seen.action for seen in service.seen] == ["identify"]
    assert len(service.charges) == fault.take


def test_an_upload_that_is_never_answered_is_in_doubt(silent_port: int) -> None:
    with (
        AudioTag(f"http://127.0.0.1:{silent_port}", KEY, upload_s=0.2) as client,
        pytest.raises(UploadInDoubt, match="timed out") as doubt,
    ):
        client.identify(noise(1))
    assert "may have been charged" in doubt.value.hint


def test_a_reply_that_comes_too_late_is_in_doubt(service: AudioTagService) -> None:
    service.plan("identify", faults.slow(30))
    with (
        AudioTag(service.url, KEY, upload_s=0.2) as client,
        pytest.raises(UploadInDoubt, match="timed out"),
    ):
        client.identify(noise(1))
    assert len(service.charges) == 1


def test_the_token_is_saved_out_of_a_reply_that_was_cut(service: AudioTagService, client: AudioTag) -> None:
    whole = '{"success":true,"error":null,"token":"'
    service.plan("identify", faults.cut(len(whole) + 33))

    first = client.identify(noise(1))

    assert (first.status, first.token, first.charged_s) == (Status.PENDING, service.charges[0].token, 15)
    assert poll(client.result, first.token, clock=FakeClock()).status is Status.FOUND


def test_a_token_that_was_cut_itself_is_not_guessed(service: AudioTagService, client: AudioTag) -> None:
    whole = '{"success":true,"error":null,"token":"'
    service.plan("identify", faults.cut(len(whole) + 31))

    with pytest.raises(UploadInDoubt) as doubt:
        client.identify(noise(1))
    assert doubt.value.raw == whole + service.charges[0].token[:31]


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (faults.throttled(), ServiceBusy, "HTTP 429"),
        (faults.http(401), KeyRefused, "HTTP 401"),
        (faults.http(403, "<html>blocked</html>"), KeyRefused, "network is blocked"),
        (faults.http(404, "<html>nothing here</html>"), UsageError, "check AUDIOTAG_URL"),
        (faults.http(413), UsageError, "HTTP 413"),
        (
            faults.http(302, headers={"Location": "https://elsewhere/api"}),
            UsageError,
            "https://elsewhere/api",
        ),
        (faults.http(307, headers={"Location": "/other"}), UsageError, "not followed"),
    ],
)
def test_a_request_that_was_turned_away_unread_costs_nothing(
    fault: Fault, kind: type[EarmarkError], said: str, service: AudioTagService, client: AudioTag
) -> None:
    for action, call in (("identify", lambda: client.identify(noise(1))), ("info", client.info)):
        service.plan(action, fault)
        with pytest.raises(kind) as refused:
            call()
        assert said in str(refused.value)
    assert (len(service.seen), service.charges) == (2, [])


def test_an_error_of_the_api_is_believed_whatever_the_http_status(
    service: AudioTagService, client: AudioTag
) -> None:
    for status in (400, 401, 429, 500, 503):
        service.plan("identify", faults.http(status, '{"success":false,"error":"api key expired"}'))
        with pytest.raises(KeyRefused, match="api key expired"):
            client.identify(noise(1))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.reset_before(), ServiceUnreachable),
        (faults.cut(10), ServiceUnreachable),
        (faults.http(502, "<html>Bad Gateway</html>"), ServiceBusy),
        (faults.http(504), ServiceBusy),
        (faults.html(), BadReply),
        (faults.http(200, ""), BadReply),
    ],
    ids=str,
)
def test_a_question_that_broke_may_be_asked_again(
    fault: Fault, kind: type[EarmarkError], service: AudioTagService, client: AudioTag
) -> None:
    token = client.identify(noise(1)).token
    for action, call in (("info", client.info), ("get_result", lambda: client.result(token))):
        service.plan(action, fault)
        with pytest.raises(kind):
            call()
        call()
    assert len(service.charges) == 1


def test_polling_outlives_a_rough_patch_without_paying_again(
    service: AudioTagService, client: AudioTag
) -> None:
    token = client.identify(noise(1)).token
    service.plan(
        "get_result",
        faults.reset_before(),
        faults.throttled("3"),
        faults.html(),
        faults.http(502),
        faults.cut(20),
        faults.refused("internal error: server is not ready"),
    )

    assert poll(client.result, token, clock=FakeClock()).status is Status.FOUND
    assert len(service.charges) == 1


def test_an_endless_reply_is_cut_off(service: AudioTagService, client: AudioTag) -> None:
    service.plan("info", faults.says('{"success":true,"x":"' + "y" * (2 * MAX_REPLY_BYTES)))

    with pytest.raises(ServiceUnreachable, match="longer than"):
        client.info()


def test_an_upload_cannot_be_lost_to_a_kept_connection_that_the_service_closed(
    service: AudioTagService, client: AudioTag
) -> None:
    for seed in range(20):
        client.info()
        client.identify(noise(seed, 5))

    assert len(service.charges) == 20


def test_a_proxy_of_the_environment_is_not_asked_for_our_own_machine(
    service: AudioTagService, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port}")
    with AudioTag(service.url, KEY) as client:
        assert client.info().api_version == "2.6"


def test_a_server_that_speaks_no_http_is_quoted_without_the_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                connection.recv(1 << 16)
                connection.sendall(f"you sent {KEY}\r\n\r\n".encode())

        thread = threading.Thread(target=babble)
        thread.start()
        with (
            AudioTag(f"http://127.0.0.1:{listener.getsockname()[1]}", KEY) as client,
            pytest.raises(ServiceUnreachable, match=r"broke during info.*you sent \*\*\*"),
        ):
            client.info()
        thread.join(10)


EVERY_FAULT = [
    faults.reset_before(),
    faults.html(f"<html>{KEY}</html>"),
    faults.throttled(),
    faults.http(302, headers={"Location": f"https://elsewhere/?apikey={KEY}"}),
    faults.http(404, KEY),
    faults.http(500, KEY),
    faults.says(f'{{"success":false,"error":"no such key: {KEY}"}}'),
    faults.says(f'{{"success":false,"error":"api key unrecognized {KEY}"}}'),
    faults.says(f'{{"success":true,"result":"{KEY}"}}'),
    faults.cut(30),
]


def test_the_key_is_seen_by_nobody_but_the_service(
    service: AudioTagService, client: AudioTag, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    shown = [repr(client), str(client), client.name, repr(vars(client))]
    for fault in EVERY_FAULT:
        for action, call in (
            ("info", client.info),
            ("get_result", lambda: client.result("t")),
            ("identify", lambda: client.identify(noise(1))),
        ):
            service.plan(action, fault)
            with pytest.raises(EarmarkError) as failed:
                call()
            error: BaseException | None = failed.value
            while error is not None:
                shown += [str(error), repr(error), repr(vars(error)), repr(error.args)]
                error = error.__cause__ or error.__context__
    client.identify(noise(1))

    assert [text for text in shown if KEY in text] == []
    assert KEY not in caplog.text
    assert len(caplog.records) > 0
    for seen in service.seen:
        assert seen.method == "POST"
        assert seen.fields["apikey"] == KEY
        assert KEY not in seen.target + repr(seen.headers)
