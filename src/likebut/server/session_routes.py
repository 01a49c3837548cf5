"""Exchanging the token for a cookie, so that the page's pictures load: an ``<img>`` cannot send a header."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from likebut.server.described import errors
from likebut.server.errors import RequestError
from likebut.server.guard import SESSION_COOKIE, same_text, session_value
from likebut.server.settings import ServerSettings


class SessionBody(BaseModel):
    """The token that the server was started with."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=1000)


def session_router(settings: ServerSettings) -> APIRouter:
    """Return the routes that begin and end a session."""
    router = APIRouter(prefix="/v1/session", tags=["session"])

    @router.post(
        "", operation_id="begin_session", summary="Log a browser in", status_code=204, responses=errors(400, 413, 422)
    )
    async def begin_session(body: SessionBody, request: Request, response: Response) -> None:
        if settings.token is None:
            return
        token = settings.token.get_secret_value()
        if not same_text(body.token, token):
            raise RequestError(
                401, "unauthorised", "This is not the token.", "Use the one that the server was started with."
            )
        response.set_cookie(
            SESSION_COOKIE,
            session_value(token),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )

    @router.delete("", operation_id="end_session", summary="Log a browser out", status_code=204, responses=errors())
    async def end_session(response: Response) -> None:
        response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")

    return router
