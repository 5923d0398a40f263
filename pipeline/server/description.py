"""The OpenAPI description of the one route whose requests FastAPI does not read."""

from __future__ import annotations

from typing import Any, Final

from pipeline.wire.audiotag_errors import ErrorText

TEXT: Final = """\
The AudioTag API, revision 2.6, over the catalogue of this machine. Every program written for AudioTag works here
by changing its URL. Errors of the API are answered with HTTP 200 and `success: false`."""

_FIELDS: Final[dict[str, Any]] = {
    "apikey": {"type": "string", "description": "32 characters of a-z and 0-9: `earmark key add` makes one"},
    "action": {"type": "string", "enum": ["info", "stat", "identify", "get_result"]},
    "start_time": {"type": "number", "default": 0, "description": "identify: seconds into the file"},
    "time_len": {"type": "number", "description": "identify: seconds to analyse; default: to the end"},
    "token": {"type": "string", "description": "get_result: what identify answered; valid for 5 minutes"},
}

_FILE: Final = {
    "type": "string",
    "format": "binary",
    "description": "identify: audio, 100 MB at most; its name must end in one of the document's extensions",
}


def _form(properties: dict[str, Any]) -> dict[str, Any]:
    return {"schema": {"type": "object", "required": ["apikey", "action"], "properties": properties}}


OPERATION: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": _form(_FIELDS),
            "multipart/form-data": _form({**_FIELDS, "file": _FILE}),
        },
    }
}

_CANDIDATE: Final = {
    "type": "object",
    "properties": {
        "tracks": {
            "type": "array",
            "description": "names of one recording, each [title, artist, album, year]; year 0 is unknown",
            "items": {"type": "array", "minItems": 4, "maxItems": 4},
        },
        "confidence": {"type": "integer", "description": "no percentage: 100 and more is certain"},
        "time": {"type": "string", "examples": ["100 - 200"], "description": "seconds of the uploaded file"},
        "aid": {"type": "integer"},
        "aids": {
            "type": "array",
            "items": {"type": "integer"},
            "description": "the id of each of the tracks",
        },
    },
}

RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The reply, of a success and of an error of the API alike",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["success"],
                    "properties": {
                        "success": {"type": "boolean"},
                        "error": {
                            "type": ["string", "null"],
                            "examples": [error.value for error in ErrorText],
                        },
                        "token": {"type": "string"},
                        "job_status": {"const": "wait"},
                        "start_time": {"type": "integer"},
                        "time_len": {"type": "integer"},
                        "result": {"type": "string", "examples": ["wait", "found", "not found"]},
                        "data": {"type": "array", "items": _CANDIDATE, "description": "only with `found`"},
                    },
                }
            }
        },
    }
}
