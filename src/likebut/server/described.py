"""How routes are described in OpenAPI."""

from typing import Any

from likebut.server.answers import ErrorAnswer

_MEANINGS = {
    400: "The request is malformed or incomplete.",
    401: "The token is missing or wrong.",
    403: "The server does not allow this.",
    404: "There is no such image.",
    408: "The request did not arrive in time.",
    413: "The request is too large.",
    415: "The body is of another type.",
    422: "The request is well-formed but wrong.",
    429: "Too many requests are being answered; Retry-After says how many seconds to wait.",
    503: "The answer took too long, or the server is not ready.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route that may answer with these errors, besides those of any route."""
    return {
        status: {"model": ErrorAnswer, "description": _MEANINGS[status]} for status in sorted({401, 403, *statuses})
    }
