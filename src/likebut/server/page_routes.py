"""The web page's files, and the session that its cookie holds."""

import hashlib
from dataclasses import dataclass
from importlib import resources

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from likebut.server.errors import RequestError
from likebut.server.guard import SESSION_COOKIE, equal_in_constant_time, session_value
from likebut.server.schemas import SessionRequest, errors
from likebut.server.settings import ServerSettings

_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page, its media type, and an ETag derived from its content."""

    content: bytes
    media_type: str
    etag: str


def load_page() -> dict[str, PageFile]:
    """Return the page's files by name."""
    files = {}
    for each in (resources.files("likebut.server") / "page").iterdir():
        suffix = "." + each.name.rpartition(".")[2]
        if each.is_file() and suffix in _TYPES:
            content = each.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            files[each.name] = PageFile(content, f"{_TYPES[suffix]}; charset=utf-8", etag)
    return files


def page_router() -> APIRouter:
    """Return the routes of the page, which OpenAPI does not list. Files are held in memory and looked up by name."""
    router = APIRouter(include_in_schema=False)
    files = load_page()

    def respond(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        file = files[name]
        headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=file.media_type)

    @router.get("/")
    async def index(request: Request) -> Response:
        return respond(request, "index.html")

    @router.get("/page/{name}")
    async def page_file(request: Request, name: str) -> Response:
        return respond(request, name)

    return router


def session_router(settings: ServerSettings) -> APIRouter:
    """Return the routes that start and end a browser's session."""
    router = APIRouter(prefix="/v1/session", tags=["session"])

    @router.post(
        "", operation_id="begin_session", summary="Start a session", status_code=204, responses=errors(400, 413, 422)
    )
    async def begin_session(body: SessionRequest, request: Request, response: Response) -> None:
        if settings.token is None:
            return
        token = settings.token.get_secret_value()
        if not equal_in_constant_time(body.token, token):
            raise RequestError(
                401, "unauthorised", "The token is wrong.", "Use the token that the server was started with."
            )
        response.set_cookie(
            SESSION_COOKIE,
            session_value(token),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )

    @router.delete("", operation_id="end_session", summary="End the session", status_code=204, responses=errors())
    async def end_session(response: Response) -> None:
        response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")

    return router
