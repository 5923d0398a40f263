"""Every example reply of the AudioTag document, word for word, read and written."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import KeyRefused, SegmentRefused, TokenLost
from pipeline.model import Status
from pipeline.wire import audiotag as wire
from pipeline.wire import audiotag_replies as replies
from pipeline.wire.audiotag_errors import ErrorText

INFO = '{"success":true,"status":"normal","api_ver":"2.5","action":"info"}'

# The line breaks inside the strings are the document's own.
STAT = """{"current_credit_balance":0,"identification_free_sec_remainder":1704,"expiration_date":"2022-05-15
19:06:12","queries_count":23,"uploaded_duration_sec":96,"uploaded_size_bytes":1058656,"credits_spent
":0,"success":true}"""

IDENTIFY = (
    '{"success":true,"error":null,"token":"c5c7f4aa2affc79d39439f2fbe5bebe6",'
    '"start_time":0,"time_len":12,"job_status":"wait"}'
)

IDENTIFY_COMMENT = """{
  "success":true,
  "error":null,
  "job_status": "wait",
  "token": "fe57a3d3f9615891fe33e6b5ddaa540c"
}"""

FOUND = """{
  "success":true,
  "error":null,
  "result":"found",
  "data": [
    {
      "tracks": [
        [
          "Hello Mr. Monkey",
          "Arabesque",
          "Grand Collection",
          2001
        ],
        [
          "Arabesque - Hello Mr. Monkey",
          "Various - Disco, New Wave",
          "All Stars Disco (3 & 4)",
          2001
        ]
      ],
      "confidence": 321,
      "time": "100 - 200"
    },
    {
      "tracks": [
        [
          "Hello Mr. Monkey",
          "Arabesque",
          "Arabesque-II (City Cats)",
          1979
        ]
      ],
      "confidence": 285,
      "time": "100 - 170"
    }
  ]
}"""

NOT_FOUND = """{
  "success":true,
  "error":null,
  "result":"not found",
}"""

WAIT = """{
  "success":true,
  "error":null,
  "result": "wait",
}"""

LOST_TOKEN = """(
  "success":true
  "error":null
  "result":"invalid token or no recognition results found for the token"
)"""

INFO_VALUE = wire.Info(api_version="2.5")
STAT_VALUE = wire.AccountStat(
    credit_balance=0,
    free_s=1704,
    expires="2022-05-15 19:06:12",
    queries=23,
    uploaded_s=96,
    uploaded_bytes=1058656,
    credits_spent=0,
)
IDENTIFY_VALUE = wire.Accepted("c5c7f4aa2affc79d39439f2fbe5bebe6", start_s=0, length_s=12)
FOUND_VALUE = wire.Outcome(
    Status.FOUND,
    (
        wire.Candidate(
            rows=(
                wire.Row("Hello Mr. Monkey", "Arabesque", "Grand Collection", 2001),
                wire.Row(
                    "Arabesque - Hello Mr. Monkey",
                    "Various - Disco, New Wave",
                    "All Stars Disco (3 & 4)",
                    2001,
                ),
            ),
            score=321,
            span_s=(100, 200),
        ),
        wire.Candidate(
            rows=(wire.Row("Hello Mr. Monkey", "Arabesque", "Arabesque-II (City Cats)", 1979),),
            score=285,
            span_s=(100, 170),
        ),
    ),
)


def test_the_replies_to_info_stat_and_identify_are_read() -> None:
    assert wire.read_info(INFO) == INFO_VALUE
    assert wire.read_stat(STAT) == STAT_VALUE
    assert wire.read_identify(IDENTIFY) == IDENTIFY_VALUE
    assert wire.read_identify(IDENTIFY_COMMENT) == wire.Accepted("fe57a3d3f9615891fe33e6b5ddaa540c")


def test_the_replies_to_get_result_are_read() -> None:
    assert wire.read_result(FOUND) == FOUND_VALUE
    assert wire.read_result(NOT_FOUND) == wire.Outcome(Status.NOT_FOUND)
    assert wire.read_result(WAIT) == wire.Outcome(Status.PENDING)
    with pytest.raises(TokenLost, match="invalid token or no recognition results found for the token"):
        wire.read_result(LOST_TOKEN)


def test_a_candidate_keeps_the_json_it_came_from() -> None:
    candidates = wire.read_result(FOUND).candidates

    assert [candidate.raw for candidate in candidates] == json.loads(FOUND)["data"]


def test_the_refusals_are_read() -> None:
    for read in (wire.read_info, wire.read_stat):
        with pytest.raises(KeyRefused, match="api key unrecognized"):
            read('{"success":false,"error":"api key unrecognized"}')
    with pytest.raises(SegmentRefused, match="audio duration is too short"):
        wire.read_identify('{"success":false,"error":"audio duration is too short"}')


def test_what_is_written_is_what_the_document_prints() -> None:
    assert replies.to_json(replies.info_reply(INFO_VALUE)) == INFO
    assert replies.to_json(replies.identify_reply(IDENTIFY_VALUE)) == IDENTIFY
    assert replies.to_json(replies.error_reply(ErrorText.KEY_UNRECOGNIZED)) == (
        '{"success":false,"error":"api key unrecognized"}'
    )
    assert replies.to_json(replies.error_reply(ErrorText.TOO_SHORT)) == (
        '{"success":false,"error":"audio duration is too short"}'
    )
    printed = STAT.replace("\n19:06:12", " 19:06:12").replace("credits_spent\n", "credits_spent")
    assert replies.to_json(replies.stat_reply(STAT_VALUE)) == printed


def test_results_are_written_with_the_documents_keys_in_the_documents_order() -> None:
    def in_order(text: str) -> str:
        return json.dumps(json.loads(text.replace(",\n}", "\n}")))

    assert json.dumps(replies.result_reply(FOUND_VALUE)) == in_order(FOUND)
    assert json.dumps(replies.result_reply(wire.Outcome(Status.NOT_FOUND))) == in_order(NOT_FOUND)
    assert json.dumps(replies.result_reply(wire.Outcome(Status.PENDING))) == in_order(WAIT)
    assert replies.lost_token_reply() == {
        "success": True,
        "error": None,
        "result": "invalid token or no recognition results found for the token",
    }


def test_numbers_are_written_as_integers_since_strict_clients_refuse_others() -> None:
    accepted = replies.identify_reply(wire.Accepted("t", start_s=1.5, length_s=12.5))
    candidate = wire.Candidate((wire.Row("A"),), score=50.4, span_s=(1.2, 14.9), aid=7)
    [item] = replies.result_reply(wire.Outcome(Status.FOUND, (candidate,)))["data"]
    stat = wire.AccountStat(
        credit_balance=9.9,
        free_s=9.9,
        expires="x",
        queries=1,
        uploaded_s=12.5,
        uploaded_bytes=1,
        credits_spent=0.1,
    )

    assert (accepted["start_time"], accepted["time_len"]) == (2, 12)
    assert item == {"tracks": [["A", "", "", 0]], "confidence": 50, "time": "1 - 15", "aid": 7}
    assert [value for value in replies.stat_reply(stat).values() if isinstance(value, float)] == []


def test_what_was_written_is_read_back() -> None:
    assert wire.read_info(replies.to_json(replies.info_reply(INFO_VALUE))) == INFO_VALUE
    assert wire.read_stat(replies.to_json(replies.stat_reply(STAT_VALUE))) == STAT_VALUE
    assert wire.read_identify(replies.to_json(replies.identify_reply(IDENTIFY_VALUE))) == IDENTIFY_VALUE
    assert wire.read_result(replies.to_json(replies.result_reply(FOUND_VALUE))) == FOUND_VALUE
