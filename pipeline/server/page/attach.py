"""The page joins the service: its routes, its static files, its way of saying that something went wrong."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from pipeline.audio import Decoder
from pipeline.engine.catalogue import Catalogue
from pipeline.errors import EarmarkError
from pipeline.server.accounts import Accounts
from pipeline.server.door import Door
from pipeline.server.jobs import Jobs
from pipeline.server.page.access import Access
from pipeline.server.page.adding import Adding
from pipeline.server.page.desk import FOLDER, Desk, PageError
from pipeline.server.page.home import Home
from pipeline.server.page.music import Music
from pipeline.server.page.office import Office
from pipeline.server.page.played import Played
from pipeline.server.page.shelf import Shelf
from pipeline.server.refusal import Refusal
from pipeline.server.workers import Workers


def attach(
    app: FastAPI,
    ends: ExitStack,
    *,
    door: Door,
    accounts: Accounts,
    jobs: Jobs,
    workers: Workers,
    decoder: Decoder,
    open_catalogue: Callable[[], Catalogue],
    folder: Path,
    password: str | None,
) -> None:
    """Add the page to the service's app; `ends` stops what it does in the background.

    In `folder` the page keeps the music that comes through it into the catalogue (`music`), and what was decoded for
    listeners (`played`).
    """
    desk = Desk(door, Access(password))
    shelf = Shelf(open_catalogue, folder / "music")
    adding = Adding(shelf, decoder)
    ends.callback(adding.close)

    async def brake(request: Request) -> None:
        await door.brake(request.client.host if request.client else "")

    router = APIRouter(dependencies=[Depends(brake)])
    router.include_router(Home(desk, accounts, jobs, shelf, decoder).router())
    router.include_router(Music(desk, shelf, adding, Played(folder / "played", decoder)).router())
    router.include_router(
        Office(
            desk,
            accounts,
            jobs,
            shelf,
            decoder,
            readiness=lambda: workers.readiness,
            restarts=lambda: workers.restarts,
        ).router()
    )
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")
    for kind in (PageError, RequestValidationError, Refusal, EarmarkError, Exception):
        app.add_exception_handler(kind, desk.on_page_error)
    app.add_exception_handler(HTTPException, desk.on_no_such_page)
