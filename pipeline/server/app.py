"""The routes of the API and of whoever runs the service, and what every reply carries."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline import __version__
from pipeline.server import description
from pipeline.server.door import Door, json_reply
from pipeline.wire.audiotag_errors import ErrorText
from pipeline.wire.audiotag_replies import error_reply, to_json

METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]

_HEADERS: Final = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
}


def create_app(door: Door) -> FastAPI:
    """The routes of the API and of whoever runs it; those of the page for people are `page.attach`'s."""
    app = FastAPI(
        title="earmark",
        version=__version__,
        description=description.TEXT,
        docs_url=None,  # its page loads scripts from elsewhere; the description is at /openapi.json
        redoc_url=None,
    )
    for path in ("/api", "/api/"):
        app.add_api_route(
            path,
            door.api,
            methods=["POST"],
            response_class=Response,
            include_in_schema=path == "/api",
            openapi_extra=description.OPERATION,
            responses=description.RESPONSES,
            operation_id="api",
            summary="The AudioTag API",
        )
        app.add_api_route(path, door.api, methods=METHODS, include_in_schema=False)
    app.add_api_route(
        "/healthz", door.health, methods=["GET"], response_class=Response, summary="Loading or serving"
    )
    app.add_api_route(
        "/metrics", door.metrics, methods=["GET"], response_class=Response, summary="For Prometheus"
    )
    app.add_exception_handler(HTTPException, no_such_address)
    app.add_middleware(_Headers)
    return app


def is_of_the_api(path: str) -> bool:
    """Whether an address is the API's, or a mistyped one of it."""
    return path.rstrip("/") == "/api" or path.startswith("/api/")


async def no_such_address(request: Request, error: Exception) -> Response:
    """What a client hears that asks for something that is not there, or in a way that it cannot be asked for."""
    if is_of_the_api(request.url.path):
        return json_reply(to_json(error_reply(ErrorText.INVALID_COMMAND)))
    status, words = (
        (error.status_code, error.detail) if isinstance(error, HTTPException) else (404, "Not Found")
    )
    return Response(f"{words}\n", status, media_type="text/plain")


class _Headers:
    """Security headers on every reply; plain ASGI, so that bodies stream through untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                missing = [pair for pair in _HEADERS.items() if pair[0] not in present]
                message["headers"] = [*message["headers"], *missing]
            await send(message)

        await self._app(scope, receive, send_with_headers)
