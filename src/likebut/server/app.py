"""The HTTP application over one gallery."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import likebut
from likebut.gallery.gallery import Gallery
from likebut.server.errors import add_error_handlers
from likebut.server.guard import Guard
from likebut.server.headers import SecurityHeaders
from likebut.server.image_routes import change_router, image_router
from likebut.server.metrics import RequestMetrics
from likebut.server.page_routes import page_router, session_router
from likebut.server.search_routes import search_router
from likebut.server.service import Service
from likebut.server.settings import ServerSettings
from likebut.server.status_routes import status_router

_DESCRIPTION = """Search pictures by a picture and what should be different.

Every error is `{"error": {"code", "message", "remedy"}}`. An image's id is the SHA-256 of its file's content.
Where the server was started with a token, send it as `Authorization: Bearer TOKEN`."""


def create_app(gallery: Gallery, settings: ServerSettings | None = None) -> FastAPI:
    """Return the application that serves ``gallery``.

    The gallery's retriever is used by one thread of the application from now on. Closing the application (its
    lifespan's end) finishes what has begun.

    Args:
        gallery: What is served.
        settings: Defaults if none.
    """
    service = Service(gallery, settings or ServerSettings())
    return app_of(service)


def app_of(service: Service) -> FastAPI:
    """Return the application over a service that is there already."""

    @asynccontextmanager
    async def closing(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="likebut",
        version=likebut.__version__,
        description=_DESCRIPTION,
        lifespan=closing,
        # FastAPI's own documentation pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in (
        search_router(service),
        image_router(service),
        change_router(service),
        status_router(service),
        session_router(service.settings),
        page_router(),
    ):
        app.include_router(router)
    add_error_handlers(app)
    # The one added last sees a request first.
    app.add_middleware(Guard, settings=service.settings, metrics=service.metrics)
    app.add_middleware(RequestMetrics, metrics=service.metrics)
    app.add_middleware(SecurityHeaders)
    return app
