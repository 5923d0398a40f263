"""What real AudioTag services do beyond their document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadReply, CreditsExhausted, EarmarkError, KeyRefused, TokenLost, UploadInDoubt
from pipeline.model import Status
from pipeline.wire.audiotag import Accepted, read_identify, read_info, read_result, read_stat, token_in
from tests.wire.test_golden import FOUND, IDENTIFY, NOT_FOUND


def result(**fields: Any) -> str:
    return json.dumps({"success": True, "error": None, **fields})


def candidate(**fields: Any) -> dict[str, Any]:
    return {"tracks": [["A", "B", "C", 1999]], "confidence": 50, "time": "0 - 15"} | fields


@pytest.mark.parametrize("error", ['"error":null,', '"error":"",', ""])
def test_success_may_carry_a_null_error_an_empty_one_or_none(error: str) -> None:
    assert read_identify(f'{{"success":true,{error}"token":"abc"}}') == Accepted("abc")
    assert read_result(f'{{"success":true,{error}"result":"not found"}}').status is Status.NOT_FOUND


def test_numbers_may_come_as_text() -> None:
    accepted = read_identify('{"success":true,"token":"t","start_time":"0","time_len":"12.0"}')
    [found] = read_result(
        result(result="found", data=[candidate(confidence="760", tracks=[["A", "B", "C", "1999"]])])
    ).candidates

    assert (accepted.start_s, accepted.length_s) == (0, 12)
    assert (found.score, found.rows[0].year) == (760, 1999)


def test_success_may_come_as_a_number_or_as_text() -> None:
    assert read_info('{"success":1,"api_ver":2.6,"status":"normal"}').api_version == "2.6"
    assert read_info('{"success":"true","api_ver":"2.6"}').api_version == "2.6"


def test_extra_fields_and_the_aid_of_revision_2_6_are_welcome() -> None:
    [found] = read_result(
        result(result="found", data=[candidate(aid="4711", mood="blue")], hint=1)
    ).candidates

    assert found.aid == 4711


def test_a_byte_order_mark_does_no_harm() -> None:
    assert read_identify("\ufeff" + IDENTIFY).token == "c5c7f4aa2affc79d39439f2fbe5bebe6"


def test_an_answer_inside_the_reply_to_identify_is_taken() -> None:
    accepted = read_identify(result(token="t", job_status="found", data=[candidate()], time_len=15))

    assert accepted.token == "t"
    assert accepted.candidates[0].rows[0].title == "A"


def test_a_found_inside_identify_without_data_leaves_the_token_to_ask_for() -> None:
    assert read_identify(result(token="t", job_status="found")) == Accepted("t")


def test_a_token_is_taken_even_beside_an_error_text() -> None:
    assert read_identify('{"success":true,"token":"t","error":"credit balance exhausted"}') == Accepted("t")
    with pytest.raises(CreditsExhausted):
        read_identify('{"success":false,"token":"t","error":"credit balance exhausted"}')


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>Down</html>",
        "[]",
        "null",
        '{"success":true}',
        '{"success":true,"token":""}',
        '{"success":true,"token":null}',
        '{"success":true,"token":{"a":1}}',
        '{"token":"abc"}',
        '{"success":false}',
        '{"success":true,"job_status":"not found"}',
        '{"success":true,"job_status":"found","data":[]}',
    ],
)
def test_an_upload_whose_reply_neither_refuses_nor_gives_a_token_is_in_doubt(text: str) -> None:
    with pytest.raises(UploadInDoubt) as doubt:
        read_identify(text)
    assert doubt.value.raw == text


def test_an_undocumented_refusal_of_an_upload_is_a_bad_reply() -> None:
    with pytest.raises(BadReply, match="too many cooks"):
        read_identify('{"success":false,"error":"too many cooks"}')


@pytest.mark.parametrize("word", ["maybe", "", "notfound", "not found yet", "none", "FOUNDATION", "error"])
def test_an_unknown_result_is_never_taken_for_not_found(word: str) -> None:
    with pytest.raises(BadReply):
        read_result(result(result=word))


@pytest.mark.parametrize("fields", [{}, {"result": None}, {"result": 0}, {"result": ["not found"]}])
def test_a_reply_without_a_result_is_a_bad_reply(fields: dict[str, Any]) -> None:
    with pytest.raises(BadReply, match="no result"):
        read_result(result(**fields))


def test_an_error_in_the_place_of_the_result_is_that_error() -> None:
    with pytest.raises(TokenLost):
        read_result(result(result="invalid token or no recognition results found for the token"))
    with pytest.raises(KeyRefused):
        read_result(result(result="api key expired"))


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        "x",
        [None],
        [{}],
        [{"tracks": []}],
        [{"tracks": [[]], "confidence": 3}],
        [{"tracks": [["", "B", "C", 1]]}],
    ],
)
def test_found_without_a_title_is_a_bad_reply(data: Any) -> None:
    with pytest.raises(BadReply, match="found"):
        read_result(result(result="found", data=data))


def test_not_found_with_candidates_is_a_bad_reply() -> None:
    with pytest.raises(BadReply, match="contradicts"):
        read_result(result(result="not found", data=[candidate()]))


@pytest.mark.parametrize("time", [None, "", "15", "a - b", "200 - 100", 7, ["0", "1"], "9" * 400 + " - 1"])
def test_an_unreadable_time_is_unknown(time: Any) -> None:
    [found] = read_result(result(result="found", data=[candidate(time=time)])).candidates

    assert found.span_s is None


def test_rows_may_be_short_or_objects_and_cells_may_be_null() -> None:
    rows = [["A"], ["A", None, None, None], {"track name": "A", "artist name": "B", "album name": "C"}, 5]
    [found] = read_result(result(result="found", data=[candidate(tracks=rows)])).candidates

    assert [(row.title, row.artist, row.album, row.year) for row in found.rows] == [
        ("A", "", "", 0),
        ("A", "", "", 0),
        ("A", "B", "C", 0),
    ]


def test_names_come_without_control_characters_and_lone_surrogates() -> None:
    row = '["\\ud800A\\u0000\\n B\\u001b[2J"]'
    text = f'{{"success":true,"result":"found","data":[{{"tracks":[{row}],"x":"\\udfff"}}]}}'
    [found] = read_result(text).candidates

    assert found.rows[0].title == "\ufffdA B[2J"
    json.dumps(found.raw, ensure_ascii=False).encode("utf-8")


def test_a_balance_that_is_no_number_is_a_bad_reply() -> None:
    with pytest.raises(BadReply, match="current_credit_balance"):
        read_stat('{"success":true,"current_credit_balance":"lots"}')
    with pytest.raises(BadReply, match="current_credit_balance"):
        read_stat('{"success":true,"current_credit_balance":1e999}')


@pytest.mark.parametrize("text", [FOUND, NOT_FOUND])
def test_a_reply_that_was_cut_is_never_an_answer(text: str) -> None:
    for length in range(len(text)):
        with pytest.raises(BadReply):
            read_result(text[:length])


def test_a_cut_reply_to_identify_gives_its_token_once_that_is_whole() -> None:
    end = IDENTIFY.index('","start_time')

    assert {token_in(IDENTIFY[:length]) for length in range(end + 1)} == {""}
    assert {token_in(IDENTIFY[:length]) for length in range(end + 1, len(IDENTIFY))} == {
        "c5c7f4aa2affc79d39439f2fbe5bebe6"
    }
    assert token_in('{"success":false,"token":"abc","err') == ""


@given(
    st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps)
)
def test_no_text_makes_a_reader_fail_in_any_other_way(text: str) -> None:
    for read in (read_info, read_stat, read_identify, read_result):
        with pytest.raises(EarmarkError):
            read(text)


@given(
    st.fixed_dictionaries(
        {"success": st.just(True), "result": st.sampled_from(["found", "wait", "not found"]) | st.text()},
        optional={
            "data": st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                lambda inner: (
                    st.lists(inner)
                    | st.dictionaries(st.sampled_from(["tracks", "confidence", "time", "aid"]), inner)
                ),
            )
        },
    )
)
def test_found_always_has_candidates_and_nothing_else_has(reply: dict[str, Any]) -> None:
    try:
        outcome = read_result(json.dumps(reply))
    except EarmarkError:
        return
    assert (outcome.status is Status.FOUND) == bool(outcome.candidates)
    assert outcome.status is not Status.NOT_FOUND or reply["result"].strip().lower() == "not found"


@pytest.mark.parametrize(
    "text", ['"\\' * 200_000, "[" * 300_000, '{"a":' * 100_000, "9" * 500_000, "(" * 300_000]
)
def test_hostile_replies_cost_no_more_than_their_length(text: str) -> None:
    with pytest.raises(BadReply):
        read_result(text)


@pytest.mark.parametrize("number", ["1e300", "9" * 60, '"1e30"'])
def test_a_number_no_database_could_hold_stays_a_float(number: str) -> None:
    row = f'{{"tracks":[["a","b","c",{number}]],"confidence":{number}}}'
    found = read_result(f'{{"success":true,"result":"found","data":[{row}]}}')
    taken = read_identify(f'{{"success":true,"token":"t","time_len":{number}}}')
    assert isinstance(found.candidates[0].score, float)
    assert isinstance(taken.length_s, float)
