"""Reading a request's body as JSON or as a form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.types import Message, Receive

from likebut.server.errors import RequestError
from likebut.server.settings import MAX_FILES, MAX_JSON_BYTES

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
