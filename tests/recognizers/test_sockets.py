"""An upload is on the wire once, whatever the far end does with the connection; seen from a bare socket."""

from __future__ import annotations

import inspect
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pipeline.errors import ServiceUnreachable, UploadInDoubt
from pipeline.recognizers.audiotag import AudioTag
from tests.recognizers.conftest import noise
from tests.services import faults
from tests.services.audiotag import KEY, AudioTagService

Treatment = Callable[[socket.socket], None]


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def half_the_body_then_reset(connection: socket.socket) -> None:
    received = 0
    while received < 120_000:
        received += len(connection.recv(4096))
    reset(connection)


def all_of_it_then_closed(connection: socket.socket) -> None:
    received = b""
    while not received.endswith(b"--\r\n"):
        received += connection.recv(1 << 16)
    connection.close()


def half_a_status_line(connection: socket.socket) -> None:
    received = b""
    while not received.endswith(b"--\r\n"):
        received += connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 20")
    connection.close()


@contextmanager
def far_end(treatment: Treatment) -> Iterator[tuple[str, list[int]]]:
    """Treats every connection so; yields the address and a list that grows with each connection."""
    connections: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connections.append(connection.fileno())
                connection.settimeout(10)
                with connection:
                    treatment(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/api", connections
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


@pytest.mark.parametrize("treatment", [half_the_body_then_reset, all_of_it_then_closed, half_a_status_line])
def test_an_upload_that_broke_half_way_went_over_the_wire_once(treatment: Treatment) -> None:
    with far_end(treatment) as (url, connections), AudioTag(url, KEY, upload_s=5) as client:
        with pytest.raises(UploadInDoubt):
            client.identify(noise(1))
        assert len(connections) == 1


def test_a_connection_that_breaks_before_the_upload_is_no_doubt() -> None:
    with far_end(reset) as (url, connections), AudioTag(url, KEY, upload_s=5) as client:
        # Whether the kernel had taken the first bytes by then is a race: in doubt is the safe word for it.
        with pytest.raises((ServiceUnreachable, UploadInDoubt)):
            client.identify(noise(1))
        assert len(connections) == 1


def test_the_usual_patience_for_a_reply_is_a_minute() -> None:
    parameters = inspect.signature(AudioTag).parameters
    assert parameters["upload_s"].default >= 60
    assert parameters["answer_s"].default >= 60


@pytest.mark.slow
def test_replies_that_take_nine_seconds_cause_no_second_payment(service: AudioTagService) -> None:
    service.plan("identify", faults.slow(9))
    service.plan("get_result", faults.slow(9))
    with AudioTag(service.url, KEY) as client:
        token = client.identify(noise(1)).token
        assert client.result(token).matches
    assert len(service.charges) == 1
