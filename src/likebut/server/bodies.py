"""Reading a request's body within bounds of size and time."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.types import Message, Receive

from likebut.server.errors import RequestError
from likebut.server.settings import MAX_FILES, MAX_JSON_BYTES


class LimitedBody:
    """A ``receive`` that refuses bodies that are too large or too slow.

    Args:
        receive: The server's own.
        most_bytes: Largest body.
        seconds: Longest time for the whole body.
    """

    def __init__(self, receive: Receive, most_bytes: int, seconds: float) -> None:
        self._receive, self._most_bytes = receive, most_bytes
        self._seconds, self._deadline = seconds, time.monotonic() + seconds
        self._received = 0
        self._complete = False

    async def __call__(self) -> Message:
        """Return the next message.

        Raises:
            RequestError: The body is too large, or has not arrived in time.
        """
        if self._complete:
            # What follows the body is the client's leaving, and that may take any time.
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(self._deadline - time.monotonic(), 0))
        except TimeoutError:
            raise _too_slow(self._seconds) from None
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
        if self._received > self._most_bytes:
            raise too_large(self._most_bytes)
        return message


def too_large(limit: int) -> RequestError:
    """Return the refusal of a body of more than ``limit`` bytes."""
    return RequestError(
        413,
        "too_large",
        f"The request has more than {limit} bytes.",
        "Send smaller pictures, or fewer at once.",
        {"Connection": "close"},
    )


def _too_slow(seconds: float) -> RequestError:
    return RequestError(
        408,
        "too_slow",
        f"The request did not arrive whole within {seconds:g} seconds.",
        "Send it again.",
        {"Connection": "close"},
    )


_MOST_FIELDS = 64
BODY = "The body"


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart form.

    Attributes:
        fields: Name → values, in the order in which they came.
        files: Name → contents; what clients call their files is not kept.
    """

    fields: dict[str, list[str]]
    files: dict[str, list[bytes]]


def media_type(request: Request) -> str:
    """Return the body's media type without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def unsupported(request: Request, supported: Sequence[str]) -> RequestError:
    """Return the refusal of a body that is neither of the ``supported`` types."""
    return RequestError(
        415,
        "unsupported_media_type",
        f'The body is of type "{media_type(request)[:80]}".',
        f"Send {' or '.join(supported)}.",
        {"Accept-Post": ", ".join(supported)},
    )


async def read_object(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request's body.

    Raises:
        RequestError: It is too large, or no JSON object.
    """
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_JSON_BYTES:
            raise RequestError(
                413,
                "too_large",
                f"The JSON has more than {MAX_JSON_BYTES} bytes.",
                "Send less.",
                {"Connection": "close"},
            )
    return parse_object(bytes(content), BODY)


def parse_object(content: bytes | str, what: str) -> dict[str, Any]:
    """Return a JSON object.

    Args:
        content: JSON.
        what: Where it stood, for the message.

    Raises:
        RequestError: It is none.
    """
    try:
        value = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        status = 400 if what == BODY else 422
        raise RequestError(
            status, "invalid_json", f"{what} is not valid JSON: {error}.", "Send a JSON object."
        ) from None
    if not isinstance(value, dict):
        raise RequestError(
            422, "invalid_request", f"{what} is a JSON {type(value).__name__}, not an object.", "Send {…}."
        )
    return value


class _Tail:
    """A ``receive`` that remembers how the body ended."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.end = b""

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.end = (self.end + message.get("body", b""))[-256:]
        return message


async def read_form(request: Request) -> Form:
    """Return a multipart form.

    Raises:
        RequestError: It was cut off.
        HTTPException: It is not well-formed, or has too many parts.
    """
    tail = _Tail(request.receive)
    fields: dict[str, list[str]] = {}
    files: dict[str, list[bytes]] = {}
    whole = Request(request.scope, tail)
    async with whole.form(max_files=MAX_FILES, max_fields=_MOST_FIELDS, max_part_size=MAX_JSON_BYTES) as form:
        # The parser takes a body that ends in the middle of a part for one without that part.
        if not tail.end.rstrip().endswith(b"--"):
            raise RequestError(
                400, "incomplete_form", "The form ends before its last boundary.", "Send it again, whole."
            )
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                content = await value.read()
                # A browser sends a nameless empty file for a file field that was left empty.
                if content or value.filename:
                    files.setdefault(name, []).append(content)
            else:
                fields.setdefault(name, []).append(value)
    return Form(fields, files)
