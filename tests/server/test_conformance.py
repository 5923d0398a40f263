"""The document, row by row, over a real socket: our service and the scripted one are the same thing to a client."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import requests

from pipeline.audio import DOCUMENTED, encode, wav_bytes
from tests.recognizers.conftest import noise
from tests.server.ears import KNOWN, UNKNOWN
from tests.server.subjects import Subject

INVALID = {"success": False, "error": "invalid command or parameter"}
NO_AUDIO = "audio file: no audio found, format invalid or unsupported"
TOO_SHORT = "audio duration is too short"
LOST = "invalid token or no recognition results found for the token"


# Table 1: keywords


def test_apikey_is_part_of_every_query(subject: Subject) -> None:
    for action in ("info", "stat", "identify", "get_result"):
        assert subject.ask(action, key="") == {"success": False, "error": "api key invalid or empty"}


def test_apikey_may_carry_the_newline_it_was_read_with(subject: Subject) -> None:
    assert subject.ask("info", key=subject.key + "\n")["success"] is True


def test_action_is_one_of_four_words(subject: Subject) -> None:
    assert subject.ask("info")["success"] is True
    for action in ("", "Info", "identify_offline_stream", "get_result_offline_stream", "x" * 500, "info\0"):
        assert subject.ask(action) == INVALID


def test_file_makes_a_token_of_32_hexadecimal_digits(subject: Subject) -> None:
    reply = subject.upload(UNKNOWN)

    assert re.fullmatch("[0-9a-f]{32}", reply["token"])


@pytest.mark.parametrize("extension", sorted(DOCUMENTED))
def test_file_comes_in_every_format_of_the_document(subject: Subject, extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{extension}"
    if extension == "amr":  # whose encoder hardly any ffmpeg has: 12 s of frames at 12.2 kbit/s
        path.write_bytes(b"#!AMR\n" + (b"\x3c" + bytes(31)) * 600)
    else:
        # The index of an MP4 comes first, since the scripted service reads its uploads from a pipe.
        streamable = {"movflags": "+faststart"} if extension in {"m4a", "alac", "3gp", "3gpp"} else {}
        encode(path, tones(12.0), 48_000, options=streamable)
    reply = subject.upload(path.read_bytes(), path.name.upper(), data={"time_len": "10"})

    assert (reply["success"], reply["time_len"]) == (True, 10)


def tones(length_s: float) -> npt.NDArray[np.float32]:
    time_s = np.arange(round(48_000 * length_s)) / 48_000
    sound: npt.NDArray[np.float32] = (0.4 * np.sin(2765 * time_s) + 0.2 * np.sin(7753 * time_s)).astype(
        np.float32
    )
    return sound


def test_start_time_and_time_len_choose_the_part_that_is_analysed(subject: Subject) -> None:
    wav = wav_bytes(np.concatenate([noise(9, 7).pcm, KNOWN.pcm, noise(8, 9).pcm]))
    reply = subject.upload(wav, data={"start_time": "7", "time_len": "15"})

    assert (reply["start_time"], reply["time_len"]) == (7, 15)
    assert subject.result(reply["token"])["result"] == "found"


def test_start_time_and_time_len_default_to_the_whole_file(subject: Subject) -> None:
    reply = subject.upload(noise(2, 21))

    assert (reply["start_time"], reply["time_len"]) == (0, 21)


def test_time_len_beyond_the_end_is_cut_and_told(subject: Subject) -> None:
    reply = subject.upload(noise(2, 20), data={"start_time": "8", "time_len": "180"})

    assert (reply["start_time"], reply["time_len"]) == (8, 12)


@pytest.mark.parametrize("written", ["12.0", "12", 12])
def test_numbers_come_in_as_clients_write_them_and_go_out_as_integers(subject: Subject, written: Any) -> None:
    reply = subject.upload(noise(2, 20), data={"time_len": written, "start_time": "0"})

    assert reply["time_len"] == 12
    assert all(type(reply[name]) is int for name in ("start_time", "time_len"))


def test_token_is_a_keyword_of_get_result_and_elsewhere_ignored(subject: Subject) -> None:
    assert subject.upload(UNKNOWN, data={"token": "null"})["success"] is True


# Table 2: errors


@pytest.mark.parametrize("action", ["info", "stat", "identify", "get_result"])
def test_every_query_tells_what_is_wrong_with_its_key(subject: Subject, action: str) -> None:
    told = {
        subject.expired: "api key expired",
        subject.inactive: "api key inactive",
        "0" * 32: "api key unrecognized",
        "short": "api key unrecognized",
        "": "api key invalid or empty",
    }
    for key, error in told.items():
        assert subject.ask(action, key=key) == {"success": False, "error": error}


def test_only_a_post_with_the_right_words_is_a_command(subject: Subject) -> None:
    assert requests.get(subject.url, timeout=10).json() == INVALID
    assert requests.post(subject.url, timeout=10).json() == INVALID
    assert (
        requests.post(subject.url, data={"apikey": subject.key, "Action": "info"}, timeout=10).json()
        == INVALID
    )
    query = {"apikey": subject.key, "action": "info"}
    assert requests.post(subject.url, params=query, timeout=10).json() == INVALID


def test_the_path_may_end_in_a_slash(subject: Subject) -> None:
    assert subject.ask("info", url=subject.url + "/")["success"] is True


def test_credits_run_out_and_what_was_refused_is_not_charged(subject: Subject) -> None:
    def stat() -> tuple[int, int]:
        told = subject.ask("stat", key=subject.poor, url=subject.poor_url)
        return told["identification_free_sec_remainder"], told["uploaded_duration_sec"]

    def upload(length_s: float) -> dict[str, Any]:
        return subject.upload(noise(2, length_s), key=subject.poor, url=subject.poor_url)

    assert upload(15)["success"] is True
    assert stat() == (5, 15)
    assert upload(15)["error"] in {"credit balance exhausted", "credit balance insufficient or exhausted"}
    assert stat() == (5, 15)
    assert upload(5)["success"] is True
    assert upload(5)["error"] == "credit balance exhausted"
    assert stat() == (0, 20)


def test_a_file_without_sound_is_refused(subject: Subject) -> None:
    wav = wav_bytes(KNOWN.pcm)
    for name, content in (
        ("x.exe", wav),
        ("x", wav),
        ("wav", b"nonsense"),
        ("x.wav", b"nonsense"),
        ("x.mp3", b"\0" * 9999),
    ):
        assert subject.upload(content, name) == {"success": False, "error": NO_AUDIO}
    assert subject.ask("identify") == {"success": False, "error": NO_AUDIO}


@pytest.mark.parametrize(
    ("length_s", "fields"),
    [(4.9, {}), (20, {"start_time": "16"}), (20, {"start_time": "99"}), (20, {"time_len": "4"})],
)
def test_less_than_5_seconds_is_too_short(subject: Subject, length_s: float, fields: dict[str, str]) -> None:
    assert subject.upload(noise(2, length_s), data=fields) == {"success": False, "error": TOO_SHORT}


def test_5_seconds_are_enough(subject: Subject) -> None:
    assert subject.upload(noise(2, 5.0))["time_len"] == 5


# Table 3: info


def test_info_tells_that_all_is_normal(subject: Subject) -> None:
    reply = subject.ask("info")

    assert reply == {"success": True, "status": "normal", "api_ver": reply["api_ver"], "action": "info"}
    assert re.fullmatch(r"2\.\d", reply["api_ver"])


# Table 4: stat


def test_stat_counts_in_integers_and_names_the_end_of_the_key(subject: Subject) -> None:
    reply = subject.ask("stat")
    counters = {
        "queries_count",
        "uploaded_duration_sec",
        "uploaded_size_bytes",
        "credits_spent",
        "current_credit_balance",
        "identification_free_sec_remainder",
    }

    assert set(reply) == counters | {"expiration_date", "success"}
    assert all(type(reply[name]) is int for name in counters)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", reply["expiration_date"])


def test_stat_counts_what_was_sent(subject: Subject) -> None:
    before = subject.ask("stat")
    wav = wav_bytes(noise(2, 12).pcm)
    subject.upload(wav)
    after = subject.ask("stat")

    assert after["uploaded_duration_sec"] - before["uploaded_duration_sec"] == 12
    assert after["uploaded_size_bytes"] - before["uploaded_size_bytes"] == len(wav)
    assert after["queries_count"] - before["queries_count"] == 2


# Table 5: identify


def test_identify_answers_with_a_token_and_no_error(subject: Subject) -> None:
    reply = subject.upload(KNOWN)

    assert list(reply) == ["success", "error", "token", "start_time", "time_len", "job_status"]
    assert reply == {
        "success": True,
        "error": None,
        "token": reply["token"],
        "start_time": 0,
        "time_len": 15,
        "job_status": "wait",
    }


# Table 6: get_result


def test_found_brings_candidates_with_tracks_confidence_time_and_aid(subject: Subject) -> None:
    reply = subject.result(subject.upload(KNOWN)["token"])
    [candidate] = reply.pop("data")

    assert reply == {"success": True, "error": None, "result": "found"}
    assert candidate["tracks"] == [
        ["Hello Mr. Monkey", "Arabesque", "Grand Collection", 2001],
        ["Hello Mr. Monkey", "Arabesque", "All Stars Disco (3 & 4)", 0],
    ]
    assert type(candidate["confidence"]) is int
    assert candidate["confidence"] >= 100
    assert candidate["time"] == "0 - 15"
    assert type(candidate["aid"]) is int


def test_not_found_brings_no_data(subject: Subject) -> None:
    reply = subject.result(subject.upload(UNKNOWN)["token"])

    assert reply == {"success": True, "error": None, "result": "not found"}


@pytest.mark.parametrize("token", ["", "0" * 32, "null", "../../etc/passwd", "'; drop table jobs; --"])
def test_an_unknown_token_is_told_beside_success(subject: Subject, token: str) -> None:
    reply = subject.ask("get_result", data={"token": token})

    assert reply == {"success": True, "error": None, "result": LOST}


def test_an_answer_can_be_asked_for_again(subject: Subject) -> None:
    token = subject.upload(KNOWN)["token"]

    assert subject.result(token) == subject.result(token)


# What real clients send (wire.md)


def test_questions_come_urlencoded_and_multipart(subject: Subject) -> None:
    for action in ("info", "stat", "get_result"):
        fields = {"apikey": (None, subject.key), "action": (None, action), "token": (None, "")}
        assert requests.post(subject.url, files=fields, timeout=10).json()["success"] is True


def test_uploads_come_in_every_shape_that_clients_give_them(subject: Subject) -> None:
    wav = wav_bytes(KNOWN.pcm)
    fields = {"apikey": subject.key, "action": "identify", "token": "null", "time_len": "180"}
    part = b'--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    form = b"".join(part % (name.encode(), value.encode()) for name, value in fields.items())
    file = b'--B\r\nContent-Disposition: form-data; name="file"; filename=x.wav\r\n\r\n' + wav + b"\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    bodies: list[Any] = [
        form + file + b"--B--\r\n",
        file + form + b"--B--\r\n",
        form + file + b"--B--",
        iter([form, file[:1000], file[1000:], b"--B--\r\n"]),
        iter([file, form, b"--B--\r\n"]),
    ]
    for body in bodies:
        reply = requests.post(subject.url, data=body, headers=headers, timeout=30).json()
        assert (reply["job_status"], reply["time_len"]) == ("wait", 15)
        assert subject.result(reply["token"])["result"] == "found"


def test_replies_are_compact_json(subject: Subject) -> None:
    text = requests.post(subject.url, data={"apikey": subject.key, "action": "info"}, timeout=10).text

    assert text.startswith('{"success":true,"status":"normal","api_ver":"')
