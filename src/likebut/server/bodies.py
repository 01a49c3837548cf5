"""Reading request bodies within limits of size and time: JSON objects and multipart forms."""

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

_MAX_FIELDS = 64
_CLOSE = {"Connection": "close"}
BODY = "The body"


class LimitedBody:
    """An ASGI ``receive`` that refuses bodies that are too large or too slow.

    Args:
        receive: The server's ``receive``.
        max_bytes: Largest body, in bytes.
        seconds: Time limit for the whole body.
    """

    def __init__(self, receive: Receive, max_bytes: int, seconds: float) -> None:
        self._receive, self._max_bytes = receive, max_bytes
        self._seconds, self._deadline = seconds, time.monotonic() + seconds
        self._received = 0
        self._complete = False

    async def __call__(self) -> Message:
        """Return the next message.

        Raises:
            RequestError: The body is too large, or has not arrived in time.
        """
        if self._complete:
            # After the body comes only the client's disconnect, which has no time limit.
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(self._deadline - time.monotonic(), 0))
        except TimeoutError:
            raise RequestError(
                408,
                "too_slow",
                f"The request was not received within {self._seconds:g} seconds.",
                "Send it again.",
                _CLOSE,
            ) from None
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
        if self._received > self._max_bytes:
            raise too_large(self._max_bytes)
        return message


def too_large(limit: int) -> RequestError:
    """Return the error for a body of more than ``limit`` bytes."""
    problem = f"The request has more than {limit} bytes."
    return RequestError(413, "too_large", problem, "Send smaller images, or fewer per request.", _CLOSE)


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart form.

    Attributes:
        fields: Name → values, in the order received.
        files: Name → contents. The clients' file names are discarded.
    """

    fields: dict[str, list[str]]
    files: dict[str, list[bytes]]


def media_type(request: Request) -> str:
    """Return the body's media type without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def unsupported(request: Request, supported: Sequence[str]) -> RequestError:
    """Return the error for a body whose media type is not among ``supported``."""
    return RequestError(
        415,
        "unsupported_media_type",
        f'The media type of the body is "{media_type(request)[:80]}".',
        f"Send {' or '.join(supported)}.",
        {"Accept-Post": ", ".join(supported)},
    )


async def read_object(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request's body.

    Raises:
        RequestError: The body is too large, or is not a JSON object.
    """
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_JSON_BYTES:
            problem = f"The JSON has more than {MAX_JSON_BYTES} bytes."
            raise RequestError(413, "too_large", problem, "Send a smaller object.", _CLOSE)
    return parse_object(bytes(content), BODY)


def parse_object(content: bytes | str, source: str) -> dict[str, Any]:
    """Return a JSON object.

    Args:
        content: JSON.
        source: Where the JSON is, for error messages.

    Raises:
        RequestError: The content is not a JSON object.
    """
    try:
        value = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        status = 400 if source == BODY else 422
        raise RequestError(
            status, "invalid_json", f"{source} is not valid JSON: {error}.", "Send a JSON object."
        ) from None
    if not isinstance(value, dict):
        raise RequestError(
            422, "invalid_request", f"{source} is a JSON {type(value).__name__}, not an object.", "Send {…}."
        )
    return value


async def read_form(request: Request) -> Form:
    """Return a multipart form.

    Raises:
        RequestError: The form is truncated.
        HTTPException: The form is malformed, or has too many parts.
    """
    tail = _Tail(request.receive)
    fields: dict[str, list[str]] = {}
    files: dict[str, list[bytes]] = {}
    whole = Request(request.scope, tail)
    async with whole.form(max_files=MAX_FILES, max_fields=_MAX_FIELDS, max_part_size=MAX_JSON_BYTES) as form:
        # The parser drops a part in whose middle the body ends, without an error.
        if not tail.end.rstrip().endswith(b"--"):
            raise RequestError(
                400, "incomplete_form", "The form ends before its closing boundary.", "Send the complete form again."
            )
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                content = await value.read()
                # A browser sends a nameless empty file for an empty file field.
                if content or value.filename:
                    files.setdefault(name, []).append(content)
            else:
                fields.setdefault(name, []).append(value)
    return Form(fields, files)


class _Tail:
    """An ASGI ``receive`` that keeps the end of the body."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.end = b""

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.end = (self.end + message.get("body", b""))[-256:]
        return message
