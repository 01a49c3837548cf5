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

_DESCRIPTION = """Search images by a reference image and a modification text.

Every error is `{"error": {"code", "message", "remedy"}}`. An image's id is the SHA-256 of its file's content.
If the server was started with a token, send it as `Authorization: Bearer TOKEN`."""


def create_app(gallery: Gallery, settings: ServerSettings | None = None) -> FastAPI:
    """Return the ASGI application that serves ``gallery``.

    From this call on the gallery's retriever is used by one thread of the application. The end of the application's
    lifespan finishes pending work and closes the gallery.

    Args:
        gallery: The gallery to serve.
        settings: Settings of the server; defaults if None.
    """
    return app_of(Service(gallery, settings or ServerSettings()))


def app_of(service: Service) -> FastAPI:
    """Return the application over an existing service."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="likebut",
        version=likebut.__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        # FastAPI's documentation pages load scripts from other hosts.
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
    # The middleware added last sees a request first.
    app.add_middleware(Guard, settings=service.settings, metrics=service.metrics)
    app.add_middleware(RequestMetrics, metrics=service.metrics)
    app.add_middleware(SecurityHeaders)
    return app
