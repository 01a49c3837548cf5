"""The web page: a handful of files that come with the package, held in memory and known by name."""

import hashlib
from dataclasses import dataclass
from importlib import resources

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from likebut.server.errors import RequestError
from likebut.server.guard import SESSION_COOKIE, same_text, session_value
from likebut.server.schemas import errors
from likebut.server.settings import ServerSettings

_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page, with its media type and a tag that changes with its content."""

    content: bytes
    media_type: str
    tag: str


def load_page() -> dict[str, PageFile]:
    """Return the page's files by name."""
    files = {}
    for each in (resources.files("likebut.server") / "page").iterdir():
        suffix = "." + each.name.rpartition(".")[2]
        if each.is_file() and suffix in _TYPES:
            content = each.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            files[each.name] = PageFile(content, f"{_TYPES[suffix]}; charset=utf-8", tag)
    return files


def page_router() -> APIRouter:
    """Return the routes that serve the page; OpenAPI does not list them."""
    router = APIRouter(include_in_schema=False)
    files = load_page()

    def answer(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        file = files[name]
        headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == file.tag:
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=file.media_type)

    @router.get("/")
    async def index(request: Request) -> Response:
        return answer(request, "index.html")

    @router.get("/page/{name}")
    async def page_file(request: Request, name: str) -> Response:
        return answer(request, name)

    return router


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
