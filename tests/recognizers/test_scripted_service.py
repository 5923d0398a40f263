"""The scripted service is strict on the document and serves what real clients send."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from pipeline.audio import wav_bytes
from pipeline.audio.ffmpeg import find
from pipeline.model import Status
from pipeline.recognizers.audiotag import AudioTag
from tests.recognizers.conftest import noise
from tests.services import faults
from tests.services.audiotag import KEY, AudioTagService

INVALID = {"success": False, "error": "invalid command or parameter"}


@pytest.fixture
def post(service: AudioTagService) -> Iterator[Any]:
    with requests.Session() as session:
        yield lambda **arguments: session.post(service.url, timeout=10, **arguments).json()


def test_only_a_post_with_a_known_action_is_served(service: AudioTagService, post: Any) -> None:
    assert requests.get(service.url, timeout=10).json() == INVALID
    assert post() == INVALID
    assert post(data={"apikey": KEY, "action": "identify_offline_stream"}) == INVALID
    assert post(data={"apikey": KEY, "Action": "info"}) == INVALID


def test_the_key_is_asked_for_and_trimmed(post: Any) -> None:
    assert post(data={"action": "info"})["error"] == "api key invalid or empty"
    assert post(data={"action": "info", "apikey": "x"})["error"] == "api key unrecognized"
    assert post(data={"action": "info", "apikey": KEY + "\n"})["success"] is True


def test_questions_come_urlencoded_and_multipart(post: Any) -> None:
    fields = {"apikey": KEY, "action": "info"}

    assert post(data=fields)["api_ver"] == "2.6"
    assert post(files={name: (None, value) for name, value in fields.items()})["api_ver"] == "2.6"


def test_uploads_come_in_every_shape_that_clients_give_them(service: AudioTagService, post: Any) -> None:
    wav = wav_bytes(noise(1).pcm)
    fields = {"apikey": KEY, "action": "identify", "token": "null", "time_len": "180"}
    part = b'--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    form = b"".join(part % (name.encode(), value.encode()) for name, value in fields.items())
    file = b'--B\r\nContent-Disposition: form-data; name="file"; filename=x.wav\r\n\r\n' + wav + b"\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    replies = [
        post(data=fields, files={"file": ("x.wav", wav, "application/octet-stream")}),
        post(data=form + file + b"--B--\r\n", headers=headers),
        post(data=file + form + b"--B--\r\n", headers=headers),
        post(data=iter([form, file, b"--B--\r\n"]), headers=headers),
    ]

    assert [(reply["job_status"], reply["time_len"]) for reply in replies] == [("wait", 15)] * 4
    assert {charge.sha256 for charge in service.charges} == {noise(1).sha256}


def test_files_are_refused_by_their_ending_their_length_and_their_content(
    service: AudioTagService, post: Any
) -> None:
    def upload(filename: str, content: bytes, **fields: str) -> str:
        reply = post(
            data={"apikey": KEY, "action": "identify", **fields}, files={"file": (filename, content)}
        )
        return str(reply["error"])

    no_audio = "audio file: no audio found, format invalid or unsupported"
    wav = wav_bytes(noise(1).pcm)
    assert upload("x.exe", wav) == no_audio
    assert upload("x.wav", b"nonsense") == no_audio
    assert upload("x.wav", wav_bytes(noise(1, 4.9).pcm)) == "audio duration is too short"
    assert upload("x.wav", wav, start_time="99") == "audio duration is too short"
    assert post(data={"apikey": KEY, "action": "identify"})["error"] == no_audio
    assert service.charges == []


def test_other_formats_are_decoded(service: AudioTagService, post: Any, tmp_path: Path) -> None:
    source = tmp_path / "source.wav"
    source.write_bytes(wav_bytes(noise(1).pcm))
    mp3 = tmp_path / "x.mp3"
    subprocess.run([find().path, "-v", "error", "-i", source, mp3], check=True, timeout=60)
    reply = post(data={"apikey": KEY, "action": "identify"}, files={"file": ("x.mp3", mp3.read_bytes())})

    assert (reply["job_status"], reply["time_len"]) == ("wait", 15)


def test_a_service_of_its_own_process_follows_its_plan_and_writes_its_charges_down(tmp_path: Path) -> None:
    probe = noise(1)
    plan = {
        "known": {probe.sha256: [{"tracks": [["A", "B", "C", 1999]], "confidence": 60, "time": "0 - 15"}]},
        "free_s": 20,
        "faults": {"info": [{"kind": "throttled", "retry_after": "3"}]},
        "about": [{"sha256": probe.sha256, "action": "get_result", "fault": {"kind": "waits"}, "times": 1}],
    }
    script, record = tmp_path / "plan.json", tmp_path / "charges.jsonl"
    script.write_text(json.dumps(plan))
    command = [sys.executable, "-m", "tests.services.audiotag"]
    with subprocess.Popen(
        [*command, "--script", script, "--record", record], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            with AudioTag(process.stdout.readline().strip(), KEY) as client:
                first = client.identify(probe)
                assert client.result(first.token).status is Status.PENDING
                assert client.result(first.token).matches[0].track.title == "A"
        finally:
            process.kill()

    [charge] = [json.loads(line) for line in record.read_text().splitlines()]
    assert (charge["token"], charge["sha256"], charge["seconds"]) == (first.token, probe.sha256, 15)


def test_what_was_paid_twice_is_known(service: AudioTagService, client: AudioTag) -> None:
    for seed in (1, 2, 1):
        client.identify(noise(seed))

    assert service.paid_twice() == [noise(1).sha256]


def test_every_kind_of_fault_can_be_written_in_a_plan() -> None:
    assert faults.from_json({"kind": "throttled", "retry_after": "3"}) == faults.throttled("3")
    assert faults.from_json({"kind": "reset_after"}) == faults.reset_after()
    assert faults.from_json({"kind": "refused", "error": "x"}).body == '{"success": false, "error": "x"}'
