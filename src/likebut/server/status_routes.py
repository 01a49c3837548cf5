"""``/v1/galleries``, ``/healthz``, ``/readyz`` and ``/metrics``."""

from pathlib import PurePath

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from likebut.gallery.fields import BUILT_IN_FIELDS
from likebut.server.errors import RequestError
from likebut.server.schemas import (
    FieldResponse,
    GalleriesResponse,
    GalleryResponse,
    LimitsResponse,
    StatusResponse,
    errors,
)
from likebut.server.service import Service
from likebut.server.settings import MAX_HITS, MAX_OFFSET, MAX_REFERENCES, MAX_TEXT


def status_router(service: Service) -> APIRouter:
    """Return the routes that describe the gallery and the state of the server."""
    router = APIRouter(tags=["status"])
    gallery, reading = service.gallery, service.reading

    @router.get(
        "/v1/galleries",
        operation_id="list_galleries",
        summary="Describe the gallery: size, model, fields with their values, limits",
        responses=errors(429, 503),
    )
    async def list_galleries() -> GalleriesResponse:
        return GalleriesResponse(galleries=[await reading.run(lambda: describe(service))])

    @router.get("/healthz", operation_id="get_health", summary="Whether the server runs")
    async def get_health() -> StatusResponse:
        return StatusResponse()

    @router.get(
        "/readyz",
        operation_id="get_readiness",
        summary="Whether the gallery is readable and the model runs",
        responses=errors(503),
    )
    async def get_readiness() -> StatusResponse:
        await reading.run(lambda: len(gallery))
        if not service.embedder.is_alive:
            raise RequestError(503, "not_ready", "The model's thread has stopped.", "Restart the server.")
        return StatusResponse()

    @router.get(
        "/metrics",
        operation_id="get_metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses=errors() | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def get_metrics() -> Response:
        service.metrics.images.set(await reading.run(lambda: len(gallery)))
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router


def describe(service: Service) -> GalleryResponse:
    """Return the description of the served gallery."""
    settings, gallery = service.settings, service.gallery
    built_in = {field.name for field in BUILT_IN_FIELDS}
    return GalleryResponse(
        name=PurePath(gallery.name).name or gallery.name,
        location=gallery.name,
        images=len(gallery),
        model=gallery.store.identity.model,
        fields=[FieldResponse.of(each, each.field.name in built_in) for each in service.fields.all()],
        can_add=service.uploads is not None and not settings.read_only,
        can_delete=not settings.read_only,
        limits=LimitsResponse(
            upload_bytes=settings.upload_bytes,
            pixels=settings.pixels,
            references=MAX_REFERENCES,
            text=MAX_TEXT,
            k=MAX_HITS,
            offset=MAX_OFFSET,
        ),
    )
