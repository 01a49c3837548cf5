"""Errors as JSON: ``{"error": {"code", "message", "remedy"}}``."""

import difflib
import http
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from likebut.errors import ImageError, InputError, LikebutError, UnknownImageError
from likebut.server.headers import SECURITY_HEADERS

_MAX_MESSAGE = 600
_REMEDIES = {
    404: "See /openapi.json for the available routes.",
    405: "See /openapi.json for the methods of this route.",
    400: "Send a complete request; /openapi.json has examples.",
}


class RequestError(LikebutError):
    """A request that gets an error response.

    Args:
        status: HTTP status.
        code: Stable name of the error, in snake_case.
        problem: One sentence saying what is wrong.
        remedy: One sentence saying what to do.
        headers: Headers of the response.
    """

    def __init__(
        self, status: int, code: str, problem: str, remedy: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(problem, remedy, code)
        self.status, self.headers = status, dict(headers or {})

    def response(self) -> JSONResponse:
        """Return the error response."""
        return error_response(self.status, self.code, self.problem, self.remedy, self.headers)


def error_response(
    status: int, code: str, message: str, remedy: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return an error as JSON. Messages may quote the request, so they are truncated to a readable length."""
    shown = message if len(message) <= _MAX_MESSAGE else message[: _MAX_MESSAGE - 1] + "…"
    # A quoted request may contain lone surrogates, which UTF-8 cannot encode.
    body = {"code": code, "message": _encodable(shown), "remedy": _encodable(remedy[:_MAX_MESSAGE])}
    return JSONResponse({"error": body}, status, dict(headers or {}) | {"Cache-Control": "no-store"})


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def explain_invalid(errors: Sequence[Any], known: Collection[str] = ()) -> RequestError:
    """Return the error for the first of pydantic's validation errors.

    Args:
        errors: The result of pydantic's ``errors()``.
        known: The allowed names, to suggest one for a misspelt field.
    """
    first = errors[0]
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
    name = ".".join(place) or "body"
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        remedy = f'Did you mean "{near[0]}"?' if near else f"Known fields: {', '.join(sorted(known))}."
        return RequestError(422, "invalid_request", f'The request has the unknown field "{name}".', remedy)
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return RequestError(422, "invalid_request", f'"{name}" is invalid: {message}.', f'Change "{name}".')


def add_error_handlers(app: FastAPI) -> None:
    """Make every error of ``app`` a JSON error response."""
    app.add_exception_handler(LikebutError, _likebut_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(ClientDisconnect, _disconnect)
    app.add_exception_handler(Exception, _unexpected_error)


def _likebut_error(request: Request, error: Exception) -> JSONResponse:
    match error:
        case RequestError():
            return error.response()
        case UnknownImageError():
            return error_response(404, "unknown_image", error.problem, error.remedy)
        case ImageError():
            return error_response(422, "bad_image", error.problem, error.remedy)
        case InputError():
            return error_response(422, "invalid_request", error.problem, error.remedy)
        case LikebutError():
            return error_response(500, "failed", error.problem, error.remedy)
    raise error


def _http_exception(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    phrase = http.HTTPStatus(error.status_code).phrase
    message = {
        404: f"There is no route {request.url.path}.",
        405: f"{request.url.path} does not support {request.method}.",
    }.get(error.status_code, f"{phrase}: {error.detail}" if error.detail != phrase else f"{phrase}.")
    code = phrase.lower().replace(" ", "_")
    remedy = _REMEDIES.get(error.status_code, "Change the request.")
    return error_response(error.status_code, code, message, remedy, error.headers)


def _validation_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    return explain_invalid(error.errors()).response()


def _disconnect(request: Request, error: Exception) -> JSONResponse:
    message = "The client disconnected before the request was complete."
    return error_response(400, "disconnected", message, "Send it again.")


def _unexpected_error(request: Request, error: Exception) -> JSONResponse:
    # Starlette sends this response from outside all middleware, so it carries the security headers itself.
    message = "Internal server error."
    return error_response(500, "internal", message, "Try again; the server's log has the details.", SECURITY_HEADERS)
