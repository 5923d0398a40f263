"""The catalogue's pages: look for a track, play it, add music, remove a track."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from pipeline.audio import EXTENSIONS
from pipeline.engine.tracks import KnownTrack
from pipeline.errors import MediaError, UsageError
from pipeline.server.form import Form
from pipeline.server.page.adding import Adding
from pipeline.server.page.desk import Desk, PageError
from pipeline.server.page.played import Played
from pipeline.server.page.shelf import Shelf
from pipeline.server.refusal import Refusal
from pipeline.wire.audiotag_errors import ErrorText

PAGE_TRACKS: Final = 50
LISTENERS: Final = 4

WAIT_S: Final = 4.0
"""A short addition is over before its page is shown."""


class Music:
    """Routes for admins."""

    def __init__(self, desk: Desk, shelf: Shelf, adding: Adding, played: Played) -> None:
        self._desk = desk
        self._shelf = shelf
        self._adding = adding
        self._played = played
        # They wait for each other's decoding: in threads of their own, so that nobody else waits with them.
        self._listening = anyio.CapacityLimiter(LISTENERS)

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/catalogue", include_in_schema=False)
        router.add_api_route("", self.catalogue, methods=["GET"], response_class=Response)
        router.add_api_route("/upload", self.upload, methods=["POST"], response_class=Response)
        router.add_api_route("/folder", self.folder, methods=["POST"], response_class=Response)
        router.add_api_route("/{track_id}", self.track, methods=["GET"], response_class=Response)
        router.add_api_route("/{track_id}/sound", self.sound, methods=["GET"], response_class=Response)
        router.add_api_route("/{track_id}/remove", self.remove, methods=["POST"], response_class=Response)
        return router

    async def catalogue(self, request: Request, q: str = "", page: int = 1) -> Response:
        """The tracks, the last one added first, and what can be done with them."""
        self._desk.admin(request)
        words = q[:200]
        tracks = await self._desk.asked(lambda: self._shelf.search(words))
        pages = max(-(-len(tracks) // PAGE_TRACKS), 1)
        number = min(max(page, 1), pages)
        return self._desk.page(
            request,
            "catalogue.html",
            tracks=tracks[(number - 1) * PAGE_TRACKS : number * PAGE_TRACKS],
            count=len(tracks),
            words=words,
            number=number,
            pages=pages,
            addition=self._adding.current,
            endings=",".join(f".{ending}" for ending in sorted(EXTENSIONS)),
        )

    async def track(self, request: Request, track_id: str) -> Response:
        """One track, with a player and the way to remove it."""
        self._desk.admin(request)
        track = await self._track(track_id)
        source = await self._desk.asked(lambda: self._shelf.source(track))
        return self._desk.page(request, "track.html", track=track, source=source)

    async def sound(self, request: Request, track_id: str) -> Response:
        """The file a track came from, or its sound as WAV where browsers do not play the file."""
        self._desk.admin(request)
        track = await self._track(track_id)
        source = await self._desk.asked(lambda: self._shelf.source(track))
        if source is None:
            raise PageError(404, "The file of this track is gone, or has changed since it was added.")
        if source.media_type is not None:
            return FileResponse(source.path, media_type=source.media_type, stat_result=source.status)
        try:
            path = await run_sync(lambda: self._played.wav(track, source), limiter=self._listening)
        except MediaError as error:
            raise PageError(
                422, "The file of this track cannot be decoded any more.", error.message
            ) from error
        return FileResponse(path, media_type="audio/wav")

    async def upload(self, request: Request) -> Response:
        """Add an uploaded file."""
        self._desk.admin(request)
        async with self._desk.form(request) as form:
            upload = self._kept(form)
            filename = form.filename
            if not await self._desk.asked(lambda: self._adding.add_upload(upload, filename)):
                raise _busy()
        await self._desk.asked(lambda: self._adding.wait(WAIT_S))
        return self._desk.go("/catalogue")

    async def folder(self, request: Request) -> Response:
        """Say what a folder would add; add it once that was confirmed."""
        visitor = self._desk.admin(request)
        if not visitor.here:
            raise PageError(
                403, "Folders can be added only at the machine itself.", "Upload the files instead."
            )
        async with self._desk.form(request) as form:
            folder = _folder(form)
            confirmed = form.fields.get("confirmed") == "yes"
        if not confirmed:
            try:
                preview = await self._desk.asked(lambda: self._adding.look(folder))
            except UsageError as error:
                raise PageError(422, error.message, error.hint) from error
            return self._desk.page(request, "folder.html", folder=folder, preview=preview)
        if not self._adding.add_folder(folder):
            raise _busy()
        await self._desk.asked(lambda: self._adding.wait(WAIT_S))
        return self._desk.go("/catalogue")

    async def remove(self, request: Request, track_id: str) -> Response:
        """Forget a track."""
        self._desk.admin(request)
        async with self._desk.form(request):
            track = await self._track(track_id)
            await self._desk.asked(lambda: self._shelf.remove(track))
        return self._desk.go("/catalogue")

    async def _track(self, track_id: str) -> KnownTrack:
        track = await self._desk.asked(lambda: self._shelf.track(track_id))
        if track is None:
            raise PageError(404, "The catalogue holds no such track.", "It may have been removed.")
        return track

    def _kept(self, form: Form) -> Path:
        if not form.has_file or not form.filename:
            raise PageError(400, "No file was chosen.", "Choose a file, then press the button.")
        if form.extension not in EXTENSIONS:
            raise PageError(
                422, "This is no audio file that earmark knows.", "Its name tells: .mp3, .flac, .ogg…"
            )
        if form.size_bytes > self._desk.door.most_bytes:
            raise PageError(
                413, "This file is too large.", f"{self._desk.door.most_bytes // 1_048_576} MB are the most."
            )
        if form.upload is None or form.lost:
            raise Refusal(ErrorText.NOT_AVAILABLE)
        return form.upload


def _busy() -> PageError:
    hint = "Wait until that is done; the catalogue page says when."
    return PageError(409, "Music is being added already.", hint)


def _folder(form: Form) -> Path:
    text = form.fields.get("folder", "").strip()
    folder = Path(text)
    try:
        there = folder.is_absolute() and folder.is_dir()
    except (OSError, ValueError):  # a name that no folder can have
        there = False
    if not there:
        raise PageError(
            422, "There is no such folder on this machine.", "Give its whole path, such as /home/me/Music."
        )
    return folder
