"""Every error as one envelope: ``{"error": {"code", "message", "remedy"}}``."""

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

_LONGEST_MESSAGE = 600
_REMEDIES = {
    404: "See /openapi.json for what there is.",
    405: "See /openapi.json for what this address takes.",
    400: "Send a complete request; /openapi.json has examples.",
}


class RequestError(LikebutError):
    """A request that is answered with an error.

    Args:
        status: HTTP status.
        code: The error's name for programs.
        problem: What is wrong.
        remedy: What to do.
        headers: Of the answer.
    """

    def __init__(
        self, status: int, code: str, problem: str, remedy: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(problem, remedy)
        self.status, self.code, self.headers = status, code, dict(headers or {})

    def response(self) -> JSONResponse:
        """Return the answer that tells of it."""
        return error_response(self.status, self.code, self.problem, self.remedy, self.headers)


def error_response(
    status: int, code: str, message: str, remedy: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the envelope. Messages repeat what was sent, so they are cut to a readable length."""
    shown = message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"
    # An exception may quote half a surrogate pair, which no JSON document can hold.
    body = {"code": code, "message": _encodable(shown), "remedy": _encodable(remedy[:_LONGEST_MESSAGE])}
    return JSONResponse({"error": body}, status, dict(headers or {}) | {"Cache-Control": "no-store"})


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def explain_invalid(errors: Sequence[Any], known: Collection[str] = ()) -> RequestError:
    """Return the refusal for what pydantic found wrong, the first of it.

    Args:
        errors: As pydantic's ``errors()`` gives them.
        known: The names that were allowed, for the near miss of an unknown one.
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
    return RequestError(422, "invalid_request", f'"{name}" is wrong: {message}.', f'Change "{name}".')


def add_error_handlers(app: FastAPI) -> None:
    """Make every error of ``app`` an envelope."""
    app.add_exception_handler(LikebutError, _foreseen)
    app.add_exception_handler(HTTPException, _of_framework)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unforeseen)


def _foreseen(request: Request, error: Exception) -> JSONResponse:
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


def _of_framework(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    phrase = http.HTTPStatus(error.status_code).phrase
    message = {
        404: f"There is nothing at {request.url.path}.",
        405: f"{request.url.path} does not take {request.method}.",
    }.get(error.status_code, f"{phrase}: {error.detail}" if error.detail != phrase else f"{phrase}.")
    code = phrase.lower().replace(" ", "_")
    remedy = _REMEDIES.get(error.status_code, "Change the request.")
    return error_response(error.status_code, code, message, remedy, error.headers)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    return explain_invalid(error.errors()).response()


def _gone(request: Request, error: Exception) -> JSONResponse:
    return error_response(400, "disconnected", "The client left before it had sent everything.", "Send it again.")


def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    # This answer is sent from outside the middleware, so it has to bring its security headers itself.
    return error_response(
        500, "internal", "The server failed.", "Try again; its log has the details.", SECURITY_HEADERS
    )
