"""``/v1/images``: list, read, add and delete images."""

import io
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from likebut.data.images import decode, read_content
from likebut.errors import ImageError
from likebut.gallery.images import content_id
from likebut.gallery.store import StoredImage
from likebut.server.bodies import Form, media_type, parse_object, read_form, unsupported
from likebut.server.errors import RequestError
from likebut.server.schemas import ID_PATTERN, AddedResponse, ImageResponse, ImagesResponse, errors
from likebut.server.service import Service
from likebut.server.uploads import check_images, pixels_of

ImageId = Annotated[str, Path(pattern=ID_PATTERN, description="SHA-256 of the image's content.")]
_IMMUTABLE = {"Cache-Control": "private, max-age=31536000, immutable"}
_NO_STORE = {"Cache-Control": "no-store"}
_JPEG: dict[str, Any] = {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
_MAX_SIDE = 1600
# The filter is part of the URL, of which the server accepts 32 KiB. Searches take longer filters, in their body.
_MAX_FILTER = 2000
_MAX_OFFSET = 10_000_000
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "title": "AddForm",
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["image"],
                    "properties": {
                        "image": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "minItems": 1,
                            "maxItems": 16,
                        },
                        "metadata": {"type": "object", "description": "Metadata of each image."},
                    },
                },
                "encoding": {"metadata": {"contentType": "application/json"}},
            }
        },
    }
}


def image_router(service: Service) -> APIRouter:
    """Return the routes that read images."""
    router = APIRouter(prefix="/v1/images", tags=["images"])
    gallery, reading = service.gallery, service.reading

    @router.get("", operation_id="list_images", summary="List images", responses=errors(422, 429, 503))
    async def list_images(
        limit: Annotated[int, Query(ge=1, le=500)] = 60,
        offset: Annotated[int, Query(ge=0, le=_MAX_OFFSET)] = 0,
        filter: Annotated[
            str,
            Query(
                max_length=_MAX_FILTER,
                description="Conditions on metadata, as JSON.",
                examples=['{"width": {">": 800}}'],
            ),
        ] = "",
    ) -> ImagesResponse:
        filters = parse_object(filter, '"filter"') if filter.strip() else {}

        def read() -> ImagesResponse:
            total = gallery.count(filters)
            images = gallery.images(limit, offset, filters)
            return ImagesResponse(
                images=[ImageResponse.of(image) for image in images], total=total, more=offset + len(images) < total
            )

        return await reading.run(read)

    @router.get("/{image_id}", operation_id="get_image", summary="Describe an image", responses=errors(404, 422, 429))
    async def get_image(image_id: ImageId) -> ImageResponse:
        return ImageResponse.of(await reading.run(lambda: gallery.image(image_id)))

    @router.get(
        "/{image_id}/thumbnail",
        operation_id="get_thumbnail",
        summary="An image's thumbnail",
        response_class=Response,
        responses=errors(404, 422, 429) | {200: _JPEG},
    )
    async def get_thumbnail(image_id: ImageId) -> Response:
        return _jpeg(await reading.run(lambda: gallery.thumbnail(image_id)), _IMMUTABLE)

    @router.get(
        "/{image_id}/picture",
        operation_id="get_picture",
        summary=f"An image, at most {_MAX_SIDE} pixels on its longer side",
        description="From the file if it is unchanged, otherwise from the thumbnail; without the file's own metadata.",
        response_class=Response,
        responses=errors(404, 422, 429) | {200: _JPEG},
    )
    async def get_picture(image_id: ImageId) -> Response:
        content = await reading.run(lambda: _read_jpeg(service, gallery.image(image_id)))
        if content is not None:
            return _jpeg(content, _IMMUTABLE)
        # The file may return, and with it the image in full size.
        return _jpeg(await reading.run(lambda: gallery.thumbnail(image_id)), _NO_STORE)

    return router


def change_router(service: Service) -> APIRouter:
    """Return the routes that add and delete images."""
    router = APIRouter(prefix="/v1/images", tags=["images"])

    @router.post(
        "",
        operation_id="add_images",
        summary="Add images",
        description="Adds all images, or none if one cannot be used. On status 201 they are durable.",
        status_code=201,
        responses=errors(400, 408, 413, 415, 422, 429, 503),
        openapi_extra=_FORM,
    )
    async def add_images(request: Request) -> AddedResponse:
        uploads = service.uploads
        if uploads is None or service.settings.read_only:
            raise _read_only("adding images")
        if media_type(request) != "multipart/form-data":
            raise unsupported(request, ("multipart/form-data",))
        contents, metadata = _images_and_metadata(await read_form(request))
        check_images(contents, service.settings.pixels)

        def add() -> tuple[list[StoredImage], int]:
            with service.pixels.reserve(max(map(pixels_of, contents))):
                return uploads.add(contents, metadata)

        images, added = await service.writing.run(add)
        service.fields.invalidate()
        return AddedResponse(images=[ImageResponse.of(image) for image in images], added=added)

    @router.delete(
        "/{image_id}",
        operation_id="delete_image",
        summary="Delete an image from the gallery",
        description="The image's file is kept, unless it was added through this server.",
        status_code=204,
        responses=errors(404, 422, 429, 503),
    )
    async def delete_image(image_id: ImageId) -> None:
        if service.settings.read_only:
            raise _read_only("deleting images")

        def delete() -> None:
            service.gallery.image(image_id)  # raises if there is none
            if service.uploads is not None:
                service.uploads.remove(image_id)
            else:
                service.gallery.delete(image_id)

        await service.writing.run(delete)
        service.fields.invalidate()

    return router


def _images_and_metadata(form: Form) -> tuple[list[bytes], dict[str, Any]]:
    unknown = sorted((form.fields.keys() - {"metadata"}) | (form.files.keys() - {"image"}))
    if unknown:
        raise RequestError(
            422,
            "invalid_request",
            f'The form has the unknown field "{unknown[0][:80]}".',
            'Send images as "image" and, optionally, one "metadata".',
        )
    contents = form.files.get("image", [])
    given = form.fields.get("metadata", [])
    if not contents or len(given) > 1:
        raise RequestError(
            422,
            "invalid_request",
            f'The form has {len(contents)} files "image" and {len(given)} fields "metadata".',
            'Send at least one file "image", and at most one "metadata".',
        )
    return contents, parse_object(given[0], '"metadata"') if given and given[0].strip() else {}


def _read_only(what: str) -> RequestError:
    return RequestError(403, "read_only", f"This server does not allow {what}.", "Use `likebut index` instead.")


def _jpeg(content: bytes, headers: dict[str, str]) -> Response:
    return Response(content, media_type="image/jpeg", headers=headers)


def _read_jpeg(service: Service, image: StoredImage) -> bytes | None:
    """Return an image re-encoded as JPEG for display; None if its file is missing or has changed.

    The file's own bytes are never sent: they may hold a GPS position, or exploit a decoder of the browser.
    """
    try:
        content = read_content(FilePath(image.path))
        if content_id(content) != image.id:
            return None
        with service.pixels.reserve(image.width * image.height):
            decoded = decode(content, least_side=_MAX_SIDE)
            decoded.thumbnail((_MAX_SIDE, _MAX_SIDE))
    except ImageError:
        return None
    buffer = io.BytesIO()
    decoded.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
