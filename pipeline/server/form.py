"""A POST as it streams in: fields into a small dictionary, the file onto the disk, nothing whole in memory.

What breaks the form (a missing end, too many parts, contradicting fields) makes it `broken` instead of raising: the
document has a word for that, and the client shall hear it.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from pipeline.audio import DOCUMENTED

MOST_FIELDS: Final = 32
MOST_FIELD_BYTES: Final = 8192
MOST_NAME_BYTES: Final = 128
MOST_TEXT_BYTES: Final = 65_536
"""Of a body without a file: the document's requests take some hundred."""

WRITE_BYTES: Final = 1 << 20
FILE: Final = "file"

# It complains of every odd request; what a client does wrong is in the reply, not in our log.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


@dataclass
class Form:
    """What a request holds. Leaving the context deletes its file."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str = ""
    upload: Path | None = None
    """Where the file is; None when there was none, or when it was not kept."""
    size_bytes: int = 0
    """Of the file, also of one that was not kept."""
    broken: bool = False
    lost: bool = False
    """The disk refused to take the file."""
    has_file: bool = False

    @property
    def extension(self) -> str:
        """The ending of the file's name in lower case, without the dot."""
        return self.filename.rpartition(".")[2].lower()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.upload is not None:
            self.upload.unlink(missing_ok=True)


async def read_form(
    form: Form,
    content_type: str,
    body: AsyncIterator[bytes],
    *,
    folder: Path,
    most_bytes: int,
    keep: Callable[[], bool],
) -> None:
    """Read a body into `form`; its file goes to `folder` under a name of our own, if `keep` says so when it begins.

    A file larger than `most_bytes` is counted to its end and not kept. Raises OSError when the disk refuses.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        await _read_text(form, body)
        return
    boundary = options.get(b"boundary", b"")
    with _Parts(form, folder, most_bytes, keep) as parts:
        try:
            parser = parts.parser(boundary) if boundary else None
        except FormParserError:
            parser = None
        form.broken = parser is None
        # A broken body is read on to its end: an answer before that would be lost with the connection.
        async for chunk in body:
            if parser is not None and not form.broken:
                try:
                    parser.write(chunk)
                except FormParserError:
                    form.broken = True
        if parser is not None and parser.state is not MultipartState.END:
            form.broken = True


async def _read_text(form: Form, body: AsyncIterator[bytes]) -> None:
    text = bytearray()
    async for chunk in body:
        form.broken = form.broken or len(text) + len(chunk) > MOST_TEXT_BYTES
        if not form.broken:
            text += chunk
    if form.broken:
        return
    try:
        pairs = parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        form.broken = True
        return
    for name, value in pairs:
        _set(form, name, value)


def _set(form: Form, name: str, value: str) -> None:
    # Two values for one name mean that somebody between us and the client may have read the other one.
    if form.fields.setdefault(name, value) != value:
        form.broken = True


class _Parts:
    """The parts of a multipart body, as the parser calls them out."""

    def __init__(self, form: Form, folder: Path, most_bytes: int, keep: Callable[[], bool]) -> None:
        self._form = form
        self._folder = folder
        self._most_bytes = most_bytes
        self._keep = keep
        self._count = 0
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._name = ""
        self._text: bytearray | None = None
        self._file: IO[bytes] | None = None

    def parser(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._appender("_header"),
                "on_header_value": self._appender("_value"),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._end,
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def _appender(self, name: str) -> Callable[[bytes, int, int], None]:
        def append(data: bytes, start: int, end: int) -> None:
            getattr(self, name).extend(data[start:end])

        return append

    def _begin(self) -> None:
        self._count += 1
        if self._count > MOST_FIELDS:
            raise FormParserError("too many parts")
        self._disposition = b""
        self._header.clear()
        self._value.clear()

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"")
        if len(name) > MOST_NAME_BYTES:
            raise FormParserError("a field's name is too long")
        self._name = name.decode("utf-8", "replace")
        filename = options.get(b"filename")
        self._text = None
        if filename is None:
            self._text = bytearray()
        elif self._name == FILE:
            self._begin_file(filename.decode("utf-8", "replace"))

    def _begin_file(self, filename: str) -> None:
        form = self._form
        if form.has_file:
            raise FormParserError("two files")
        form.has_file = True
        # Only its ending counts; the rest may be anything, `../` too, and is never used.
        form.filename = filename
        if self._keep():
            ending = f".{form.extension}" if form.extension in DOCUMENTED else ""
            form.upload = self._folder / (secrets.token_hex(16) + ending)
            self._file = form.upload.open("wb", buffering=WRITE_BYTES)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._text is not None:
            if len(self._text) + end - start > MOST_FIELD_BYTES:
                raise FormParserError("a field is too long")
            self._text += data[start:end]
        elif self._name == FILE:
            self._form.size_bytes += end - start
            if self._file is not None and self._form.size_bytes <= self._most_bytes:
                self._file.write(memoryview(data)[start:end])

    def _end(self) -> None:
        if self._text is not None:
            _set(self._form, self._name, self._text.decode("utf-8", "replace"))
        elif self._file is not None:
            self._file.close()
            self._file = None
